//! The flags of a connection.

use serde_json::{Map, Value};

use super::secrets;
use super::source::{self, Target};
use crate::cli::{ConnectionArgs, OptionArgs, Section};
use crate::failure::Failure;

/// Refuses a flag with the name of an option that is a secret, whatever the command would make of it.
pub fn refuse_secrets(words: impl Iterator<Item = String>) -> Result<(), Failure> {
    for word in words.take_while(|word| word != "--") {
        let flag = word.strip_prefix("--").map(|flag| flag.split('=').next().unwrap_or_default());
        if let Some(name) = flag.filter(|name| *name != "secret" && secrets::is_secret(name)) {
            return Err(secrets::refused(name));
        }
    }
    Ok(())
}

/// The configuration of a command with one connection.
pub fn one(arguments: &ConnectionArgs) -> Result<Target, Failure> {
    let mut target = match &arguments.config {
        Some(spec) => source::read(spec, arguments.section)?,
        None => Target::default(),
    };
    target.options.extend(options(&arguments.options)?);
    for (name, value) in dotted(&arguments.options)? {
        secrets::set(&mut target.options, &name, value)?;
    }
    for secret in &arguments.options.secrets {
        secrets::add(&mut target.options, secret)?;
    }
    if arguments.config.is_none() && !target.options.contains_key("type") {
        return Err(Failure::wrong(
            "there is no connection; give -c FILE, -c @NAME, or --type with what the type needs",
        ));
    }
    secrets::resolve(&mut target.options)?;
    Ok(target)
}

/// The configuration behind `--from` or `--to`.
pub fn spec(spec: &str, section: Option<Section>) -> Result<Target, Failure> {
    let mut target = source::read(spec, section)?;
    secrets::resolve(&mut target.options)?;
    Ok(target)
}

/// The options that have flags of their own.
fn options(arguments: &OptionArgs) -> Result<Map<String, Value>, Failure> {
    let texts = [
        ("type", &arguments.kind),
        ("host", &arguments.host),
        ("user", &arguments.user),
        ("database", &arguments.database),
        ("path", &arguments.path),
        ("url", &arguments.url),
    ];
    let mut options: Map<String, Value> = texts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.as_deref()?))))
        .collect();
    if let Some(port) = arguments.port {
        options.insert("port".into(), port.into());
    }
    secrets::refuse_on_command_line(&options)?;
    Ok(options)
}

/// What stands behind `--option`.
fn dotted(arguments: &OptionArgs) -> Result<Vec<(String, Value)>, Failure> {
    let one = |given: &String| {
        let Some((name, text)) = given.split_once('=') else {
            return Err(Failure::wrong("--option is NAME=VALUE, such as maxConnections=4"));
        };
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let last = name.rsplit('.').next().unwrap_or(name);
        let alone = Map::from_iter([(last.to_owned(), value)]);
        secrets::refuse_on_command_line(&alone)?;
        Ok((name.to_owned(), alone.into_iter().next().map_or(Value::Null, |(_, value)| value)))
    };
    arguments.options.iter().map(one).collect()
}
