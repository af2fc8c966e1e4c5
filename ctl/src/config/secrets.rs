//! Secrets: which options are some, and where they come from. Never from the command line.

use std::env;
use std::fs;

use deepstream_connector::backends::ENTRIES;
use deepstream_connector::config::{OptionKind, OptionSpec};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::prompt;

/// Options that are secrets, whatever holds them.
const NAMES: &[&str] = &[
    "accesstoken",
    "apikey",
    "jwt",
    "passphrase",
    "passwd",
    "pwd",
    "secretaccesskey",
    "sessiontoken",
    "token",
];

/// Whether an option with this name is a secret, in any spelling of it.
pub fn is_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    plain.ends_with("password") || plain.ends_with("secret") || NAMES.contains(&plain.as_str())
}

/// Whether text holds a password inside: a URL's, a connection string's, or a private key.
pub fn holds_secret(text: &str) -> bool {
    if text.contains("PRIVATE KEY") {
        return true;
    }
    let in_login = text.match_indices("://").any(|(at, _)| {
        let authority = text[at + 3..].split(['/', '?', '#']).next().unwrap_or_default();
        // A password may have any of these characters, unless it is written as it should be.
        let login = authority.rsplit_once('@').or_else(|| text[at + 3..].rsplit_once('@'));
        login.is_some_and(|(login, _)| login.contains(':'))
    });
    in_login
        || text
            .split(['?', '&', ';', ' ', ','])
            .any(|part| part.split_once('=').is_some_and(|(name, _)| is_secret(name)))
}

/// Refuses options with a secret in them.
pub fn refuse_on_command_line(options: &Map<String, Value>) -> Result<(), Failure> {
    for (name, value) in options {
        refuse(name, value)?;
    }
    Ok(())
}

fn refuse(name: &str, value: &Value) -> Result<(), Failure> {
    let is_source = value.as_object().is_some_and(|members| {
        members.len() == 1 && ["env", "file", "prompt"].iter().any(|source| members.contains_key(*source))
    });
    if is_secret(name) && !is_source && !value.is_null() {
        return Err(refused(name));
    }
    match value {
        Value::String(text) if holds_secret(text) => Err(Failure::wrong(format!(
            "the option \"{name}\" holds a password, and the system shows a command line to everybody; leave it out there and give --secret password=env:VARIABLE, or put it into a file for -c"
        ))),
        Value::Object(members) if !is_source => members.iter().try_for_each(|(name, value)| refuse(name, value)),
        Value::Array(items) => items.iter().try_for_each(|item| refuse(name, item)),
        _ => Ok(()),
    }
}

/// What is said to somebody who gives a secret by a flag.
pub fn refused(name: &str) -> Failure {
    Failure::wrong(format!(
        "the option \"{name}\" is a secret, and the system shows a command line to everybody; give --secret {name}=env:VARIABLE, --secret {name}=file:PATH or --secret {name}=prompt"
    ))
}

/// Puts a secret into the options, by what stands behind `--secret`.
pub fn add(options: &mut Map<String, Value>, given: &str) -> Result<(), Failure> {
    let (name, source) = given.split_once('=').unwrap_or((given, ""));
    let source = match source.split_once(':') {
        Some(("env", variable)) => ("env", Value::from(variable)),
        Some(("file", path)) => ("file", Value::from(path)),
        None if source == "prompt" => ("prompt", Value::Bool(true)),
        // What was given may be the secret.
        _ => return Err(Failure::wrong("--secret is NAME=env:VARIABLE, NAME=file:PATH or NAME=prompt")),
    };
    let source = Value::Object(Map::from_iter([(source.0.to_owned(), source.1)]));
    set(options, name, source)
}

/// Sets an option; a dot leads into another one.
pub fn set(options: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), Failure> {
    let Some((outer, inner)) = name.split_once('.') else {
        options.insert(name.to_owned(), value);
        return Ok(());
    };
    let inside = options.entry(outer).or_insert_with(|| Value::Object(Map::new()));
    match inside {
        Value::Object(inside) => set(inside, inner, value),
        _ => Err(Failure::wrong(format!(
            "the option \"{outer}\" has a value already; leave \"{outer}.{inner}\" out"
        ))),
    }
}

/// Puts secrets into the places of `{"env": …}` and `{"prompt": true}`, and those of `{"file": …}` where the library does
/// not read the file by itself.
pub fn resolve(options: &mut Map<String, Value>) -> Result<(), Failure> {
    let kind = options.get("type").and_then(Value::as_str).unwrap_or_default();
    let specs = ENTRIES.iter().find(|entry| entry.name == kind).map_or(&[][..], |entry| entry.options);
    resolve_in(options, specs)
}

fn resolve_in(options: &mut Map<String, Value>, specs: &[OptionSpec]) -> Result<(), Failure> {
    for (name, value) in options {
        let Value::Object(members) = value else { continue };
        let source = if members.len() == 1 { members.iter().next() } else { None };
        let found = match source {
            Some((source, Value::String(variable))) if source == "env" => {
                Some(env::var(variable).map_err(|_| {
                    Failure::wrong(format!(
                        "the option \"{name}\" is to be had from {variable}, which the environment has not"
                    ))
                })?)
            }
            Some((source, Value::Bool(true))) if source == "prompt" => Some(prompt::ask(name)?),
            Some((source, Value::String(path))) if source == "file" && !is_read_by_library(name, specs) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| Failure::wrong(format!("the option \"{name}\": {path}: {error}")))?;
                Some(
                    text.strip_suffix('\n')
                        .map(|text| text.strip_suffix('\r').unwrap_or(text))
                        .unwrap_or(&text)
                        .to_owned(),
                )
            }
            _ => None,
        };
        match found {
            Some(text) => *value = Value::from(text),
            None => resolve_in(members, &[])?,
        }
    }
    Ok(())
}

fn is_read_by_library(name: &str, specs: &[OptionSpec]) -> bool {
    specs.iter().any(|spec| spec.name == name && matches!(spec.kind, OptionKind::Secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_secret_that_the_library_declares_is_known() {
        for entry in ENTRIES {
            for spec in entry.options {
                if matches!(spec.kind, OptionKind::Secret) {
                    assert!(is_secret(spec.name), "{}", spec.name);
                }
            }
        }
        for name in
            ["sentinelPassword", "secretAccessKey", "sessionToken", "jwt", "token", "passphrase", "PASSWORD"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["user", "accessKeyId", "key", "keyPrefix", "host"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn passwords_inside_are_found() {
        for text in [
            "redis://:hunter2@h",
            "mongodb://u:p/w@h,h2/db",
            "host=h password=hunter2",
            "postgres://u@h/db?password=hunter2",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(holds_secret(text), "{text}");
        }
        for text in ["redis://h:6379/0", "mongodb://u@h,h2/db?w=1", "host=h user=u", "/a/b"] {
            assert!(!holds_secret(text), "{text}");
        }
    }

    #[test]
    fn sources_are_resolved_at_any_depth() {
        let mut options = json!({"type": "memory", "tls": {"passphrase": {"env": "PATH"}}, "password": {"env": "NOBODY_SET_THIS"}});
        let options = options.as_object_mut().unwrap();
        assert!(resolve(options).unwrap_err().message.contains("NOBODY_SET_THIS"));
        options.remove("password");
        resolve(options).unwrap();
        assert_eq!(options["tls"]["passphrase"], json!(env::var("PATH").unwrap()));
    }
}
