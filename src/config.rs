//! The configuration: one JSON object, the same in every language.
//!
//! Every option is declared once, as an [`OptionSpec`]; reading, checking, the messages and the
//! tables in `docs/` follow from that.

mod aliases;
mod secret;
mod servers;
mod shown;
mod spec;
mod strict;

use std::time::Duration;

use serde_json::error::Category;
use serde_json::{Map, Value};

pub use aliases::aliases;
pub use secret::Secret;
pub use servers::{Login, Server};
pub use shown::shown;
pub use spec::{OptionKind, OptionSpec};

use crate::core::{EngineOptions, Error, ErrorCode, LogLevel};

const DAY: i64 = 86_400_000;

/// The options of every connector.
pub const COMMON: &[OptionSpec] = &[
    OptionSpec {
        name: "type",
        kind: OptionKind::Text,
        default: "–",
        meaning: "Which cache or database: the first column of the table above.",
    },
    OptionSpec {
        name: "timeout",
        kind: OptionKind::Integer(1, DAY),
        default: "10000",
        meaning:
            "Deadline of an operation in milliseconds, from its submission, with queue and connect time.",
    },
    OptionSpec {
        name: "connectTimeout",
        kind: OptionKind::Integer(1, DAY),
        default: "5000",
        meaning: "How long one attempt to connect may take, in milliseconds.",
    },
    OptionSpec {
        name: "closeTimeout",
        kind: OptionKind::Integer(0, DAY),
        default: "10000",
        meaning: "How long `close` lets accepted operations finish, in milliseconds.",
    },
    OptionSpec {
        name: "reconnectDelay",
        kind: OptionKind::Integer(1, DAY),
        default: "50",
        meaning: "First pause between attempts to connect, in milliseconds; it doubles each time.",
    },
    OptionSpec {
        name: "reconnectMaxDelay",
        kind: OptionKind::Integer(1, DAY),
        default: "2000",
        meaning: "Longest pause between attempts to connect, in milliseconds.",
    },
    OptionSpec {
        name: "maxInFlight",
        kind: OptionKind::Integer(1, 1 << 32),
        default: "1000000",
        meaning: "How many operations may be in flight, which is until their callback is called; one more is refused with `BUSY`.",
    },
    OptionSpec {
        name: "maxBytesInFlight",
        kind: OptionKind::Integer(1, 1 << 50),
        default: "268435456",
        meaning: "How many bytes these may take, with keys, data and answers that wait for their callback; more is refused with `BUSY`.",
    },
    OptionSpec {
        name: "logLevel",
        kind: OptionKind::Choice(&["debug", "info", "warn", "error"]),
        default: "info",
        meaning: "Log lines below this level are dropped.",
    },
    OptionSpec {
        name: "reactorThread",
        kind: OptionKind::Flag,
        default: "by backend",
        meaning:
            "Whether a thread of the connector's own does the I/O even where the host's event loop could.",
    },
    OptionSpec {
        name: "api",
        kind: OptionKind::Choice(&["classic", "modern"]),
        default: "by construction",
        meaning: "Node.js alone: which deepstream interface the connector has.",
    },
];

/// A checked configuration: every option that is given is known and of the right kind.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: Map<String, Value>,
    findings: Findings,
}

/// What is to be remembered of how options were given.
#[derive(Clone, Debug, Default)]
struct Findings {
    /// Options that were given under another of their names: `(name, as given)`.
    spelled: Vec<(&'static str, String)>,
    /// Options that are taken and have no effect.
    without_effect: Vec<String>,
}

/// A configuration error with this message.
pub fn wrong(message: impl Into<std::sync::Arc<str>>) -> Error {
    Error::new(ErrorCode::Configuration, message)
}

/// Reads the text of a configuration as a JSON object. Options that are `null` count as absent,
/// as deepstream hands over unset environment variables.
///
/// # Errors
/// It is not UTF-8, not JSON, or not an object.
pub fn parse(text: &[u8]) -> Result<Map<String, Value>, Error> {
    let text = std::str::from_utf8(text).map_err(|error| {
        wrong(format!(
            "the configuration is not UTF-8 (byte {}); give JSON text in UTF-8",
            error.valid_up_to()
        ))
    })?;
    // Some editors begin a file so.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = strict::read(text).map_err(|error| {
        if error.classify() == Category::Data {
            return wrong(format!("the configuration is not clear: {error}"));
        }
        wrong(format!(
            "the configuration is not JSON (line {}, column {}); give an object such as {{\"type\": \"memory\"}}",
            error.line(),
            error.column()
        ))
    })?;
    match value {
        Value::Object(values) => Ok(values.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        other => Err(wrong(format!(
            "the configuration is {}; give an object such as {{\"type\": \"memory\"}}",
            in_words(&other)
        ))),
    }
}

/// The word of `known` that is most like `given`, if any is like it at all.
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .map(|word| (strsim::damerau_levenshtein(&given, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

impl Settings {
    /// Checks values against the options of one backend and those that all have.
    ///
    /// # Errors
    /// An unknown option, or a value of the wrong kind or out of range; the message names the
    /// option, what was given, and what is possible.
    pub fn check(values: Map<String, Value>, backend: &str, own: &[OptionSpec]) -> Result<Settings, Error> {
        let specs: Vec<OptionSpec> = COMMON.iter().chain(own).copied().collect();
        let mut findings = Findings::default();
        let values = check_object(values, "", &format!("the {backend} backend"), &specs, &mut findings)?;
        Ok(Settings { values, findings })
    }

    /// An error about these options, with their names as they were given.
    pub fn as_spelled(&self, error: &Error) -> Error {
        let mut message = error.message().to_owned();
        for (name, given) in &self.findings.spelled {
            message = message.replace(&format!("\"{name}\""), &format!("\"{given}\""));
        }
        Error::new(error.code(), message)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Whether an option is given.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// These options and others together.
    ///
    /// # Errors
    /// The name of an option that has two values.
    pub fn with(&self, other: &Settings) -> Result<Settings, String> {
        let mut values = self.values.clone();
        for (name, value) in &other.values {
            if values.insert(name.clone(), value.clone()).is_some_and(|other| other != *value) {
                return Err(name.clone());
            }
        }
        Ok(Settings { values, findings: self.findings.clone() })
    }

    /// Some of these options, each under another name.
    pub fn renamed(&self, names: &[(&str, &str)]) -> Settings {
        let value = |(from, to): &(&str, &str)| Some(((*to).to_owned(), self.get(from)?.clone()));
        Settings { values: names.iter().filter_map(value).collect(), findings: Findings::default() }
    }

    /// These options and one more, or another value for one.
    pub fn having(&self, name: &str, value: impl Into<Value>) -> Settings {
        let mut values = self.values.clone();
        values.insert(name.to_owned(), value.into());
        Settings { values, findings: self.findings.clone() }
    }

    /// These options, and of others those that are not among them.
    pub fn over(&self, other: &Settings) -> Settings {
        let mut values = other.values.clone();
        values.extend(self.values.clone());
        Settings { values, findings: self.findings.clone() }
    }

    /// Those of the options that are taken and have no effect.
    pub fn without_effect(&self) -> &[String] {
        &self.findings.without_effect
    }

    /// A text option.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A secret that may change.
    pub fn secret(&self, name: &'static str) -> Option<Secret> {
        let patience = self.engine().connect_timeout;
        self.get(name).and_then(|value| Secret::of(name, value, patience))
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_i64)
    }

    /// A count, which by its declaration is not negative.
    pub fn count(&self, name: &str) -> Option<usize> {
        self.integer(name).and_then(|value| usize::try_from(value).ok())
    }

    /// A duration that is given in milliseconds.
    pub fn milliseconds(&self, name: &str) -> Option<Duration> {
        self.integer(name).and_then(|value| u64::try_from(value).ok()).map(Duration::from_millis)
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    /// The options inside an option.
    pub fn object(&self, name: &str) -> Option<Settings> {
        self.get(name)
            .and_then(Value::as_object)
            .map(|values| Settings { values: values.clone(), findings: Findings::default() })
    }

    /// The servers that an option names; none where it is absent.
    pub fn servers(&self, name: &str) -> Vec<Server> {
        self.get(name).and_then(Server::list).unwrap_or_default()
    }

    /// Which address is to be dialled for which.
    pub fn address_map(&self, name: &str) -> Vec<(Server, Server)> {
        self.get(name).and_then(servers::address_map).unwrap_or_default()
    }

    /// What the common options say to the engine.
    pub fn engine(&self) -> EngineOptions {
        let default = EngineOptions::default();
        EngineOptions {
            timeout: self.milliseconds("timeout").unwrap_or(default.timeout),
            connect_timeout: self.milliseconds("connectTimeout").unwrap_or(default.connect_timeout),
            close_timeout: self.milliseconds("closeTimeout").unwrap_or(default.close_timeout),
            reconnect_delay: self.milliseconds("reconnectDelay").unwrap_or(default.reconnect_delay),
            reconnect_max_delay: self
                .milliseconds("reconnectMaxDelay")
                .unwrap_or(default.reconnect_max_delay),
            max_in_flight: self.count("maxInFlight").unwrap_or(default.max_in_flight),
            max_bytes_in_flight: self.count("maxBytesInFlight").unwrap_or(default.max_bytes_in_flight),
            log_level: match self.text("logLevel") {
                Some("debug") => LogLevel::Debug,
                Some("warn") => LogLevel::Warn,
                Some("error") => LogLevel::Error,
                _ => LogLevel::Info,
            },
            reactor_thread: self.flag("reactorThread"),
            remarks: self
                .findings
                .without_effect
                .iter()
                .map(|option| format!("the option \"{option}\" has no effect here"))
                .collect(),
        }
    }
}

fn check_object(
    values: Map<String, Value>,
    path: &str,
    owner: &str,
    specs: &[OptionSpec],
    findings: &mut Findings,
) -> Result<Map<String, Value>, Error> {
    let mut checked = Map::new();
    let mut given: Vec<(&str, String)> = Vec::new();
    for (name, value) in values {
        if value.is_null() {
            continue;
        }
        let Some(spec) = aliases::declared(&name, specs) else {
            let names = specs.iter().map(|spec| spec.name);
            let spellings = names.clone().chain(specs.iter().flat_map(|spec| aliases(spec.name, specs)));
            let hint = servers::meant(&name, specs)
                .or_else(|| nearest(&name, spellings))
                .map(|word| format!("did you mean \"{path}{word}\"?"))
                .unwrap_or_else(|| format!("it has: {}", names.collect::<Vec<_>>().join(", ")));
            return Err(wrong(match shown(&name) {
                Some(name) => format!("{owner} has no option \"{path}{name}\"; {hint}"),
                None => format!("{owner} does not have an option that is given; {hint}"),
            }));
        };
        if spec.is_absent_when_empty() && value.as_str().is_some_and(|text| text.trim().is_empty()) {
            continue;
        }
        if let OptionKind::Unused = spec.kind {
            findings.without_effect.push(format!("{path}{name}"));
        }
        let value = check_value(value, &format!("{path}{name}"), owner, spec.kind, findings)?;
        if let Some((_, other)) = given.iter().find(|(known, _)| *known == spec.name) {
            if checked.get(spec.name) != Some(&value) {
                return Err(wrong(format!(
                    "the options \"{path}{other}\" and \"{path}{name}\" mean the same; leave one of them out"
                )));
            }
        }
        if name != spec.name {
            findings.spelled.push((spec.name, name.clone()));
        }
        checked.insert(spec.name.to_owned(), value);
        given.push((spec.name, name));
    }
    Ok(checked)
}

fn check_value(
    value: Value,
    name: &str,
    owner: &str,
    kind: OptionKind,
    findings: &mut Findings,
) -> Result<Value, Error> {
    let refuse = |value: &Value, expected: String| {
        Err(wrong(format!("the option \"{name}\" is {}; give {expected}", in_words(value))))
    };
    match (kind, value) {
        (OptionKind::Text, value @ Value::String(_)) => Ok(value),
        (OptionKind::Text, Value::Number(number)) => Ok(Value::String(number.to_string())),
        (OptionKind::Text, value) => refuse(&value, "text".into()),
        (OptionKind::Secret, Value::Number(number)) => Ok(Value::String(number.to_string())),
        (OptionKind::Secret, value) => match Secret::of("", &value, Duration::ZERO) {
            Some(_) => Ok(value),
            None => refuse(&value, secret::SHAPES.into()),
        },
        (OptionKind::Integer(low, high), value) => {
            let number = match &value {
                Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
                Value::String(text) => text.trim().parse().ok(),
                _ => None,
            };
            match number {
                Some(number) if (low..=high).contains(&number) => Ok(Value::from(number)),
                Some(number) => Err(wrong(format!(
                    "the option \"{name}\" is {number}; give a whole number from {low} to {high}"
                ))),
                None => refuse(&value, format!("a whole number from {low} to {high}")),
            }
        }
        (OptionKind::FlagObjectOrWord(specs, words), value) => {
            let given = value.as_str().unwrap_or_default();
            match words.iter().find(|word| word.eq_ignore_ascii_case(given)) {
                Some(word) => Ok(Value::from(*word)),
                None => check_value(value, name, owner, OptionKind::FlagOrObject(specs), findings),
            }
        }
        (OptionKind::Flag | OptionKind::FlagOrObject(_), value @ Value::Bool(_)) => Ok(value),
        (OptionKind::Flag | OptionKind::FlagOrObject(_), Value::String(text))
            if text.trim().parse::<bool>().is_ok() =>
        {
            Ok(Value::Bool(text.trim() == "true"))
        }
        (OptionKind::Flag, value) => refuse(&value, "true or false".into()),
        (OptionKind::Choice(words), Value::String(text)) => {
            if let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(&text)) {
                return Ok(Value::from(*word));
            }
            let hint =
                nearest(&text, words.iter().copied()).map(|word| format!(" (did you mean \"{word}\"?)"));
            Err(wrong(format!(
                "the option \"{name}\" is {}; give one of {}{}",
                shown(&text).map_or("text".into(), |word| format!("\"{word}\"")),
                words.join(", "),
                hint.unwrap_or_default()
            )))
        }
        (OptionKind::Choice(words), value) => refuse(&value, format!("one of {}", words.join(", "))),
        (OptionKind::Object(specs) | OptionKind::FlagOrObject(specs), Value::Object(values)) => {
            check_object(values, &format!("{name}."), owner, specs, findings).map(Value::Object)
        }
        (OptionKind::Host, Value::String(text)) if servers::is_host(text.trim()) => {
            Ok(Value::from(text.trim()))
        }
        (OptionKind::Hosts, Value::String(text)) if servers::are_hosts(&text) => Ok(Value::String(text)),
        (OptionKind::Host | OptionKind::Hosts, Value::String(_)) => {
            Err(wrong(format!("the option \"{name}\" is no host name or address; {ALONE}")))
        }
        (OptionKind::Host | OptionKind::Hosts, value) => refuse(&value, "a host name or address".into()),
        (OptionKind::Servers | OptionKind::Nodes, value) => match Server::list(&value) {
            Some(servers) if servers.iter().all(|server| server.login.is_none()) => Ok(value),
            Some(_) if matches!(kind, OptionKind::Nodes) => Ok(value),
            Some(_) => Err(wrong(format!(
                "the option \"{name}\" has a login for a server, which this option does not take; {ALONE}"
            ))),
            None => refuse(
                &value,
                format!("\"host:port\", a list of such texts or of objects with \"host\" and \"port\", or an object that gives each \"host:port\" a weight from 1; {ALONE}"),
            ),
        },
        (OptionKind::AddressMap, value) => match servers::address_map(&value) {
            Some(_) => Ok(value),
            None => refuse(&value, "an object that gives \"host:port\" another one, as text or as an object with \"host\" and \"port\"".into()),
        },
        (OptionKind::Unused, value) => Ok(value),
        (OptionKind::Object(_), value) => refuse(&value, "an object".into()),
        (OptionKind::FlagOrObject(_), value) => refuse(&value, "true, false or an object".into()),
    }
}

/// What to do about more than a host where one belongs.
const ALONE: &str =
    "a host stands alone: give a whole URL as the option \"url\", or user and password as options of their own";

fn whole(number: f64) -> Option<i64> {
    // Within these bounds every whole f64 is exact.
    (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
}

/// A value's kind, and the value where it is a harmless scalar: text may be a password.
fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[OptionSpec] = &[
        OptionSpec { name: "port", kind: OptionKind::Integer(1, 65535), default: "1", meaning: "" },
        OptionSpec { name: "password", kind: OptionKind::Text, default: "", meaning: "" },
        OptionSpec {
            name: "tls",
            kind: OptionKind::FlagOrObject(&[OptionSpec {
                name: "caFile",
                kind: OptionKind::Text,
                default: "",
                meaning: "",
            }]),
            default: "false",
            meaning: "",
        },
    ];

    fn check(text: &str) -> Result<Settings, Error> {
        Settings::check(parse(text.as_bytes())?, "test", OWN)
    }

    fn message(text: &str) -> String {
        let error = check(text).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Configuration);
        error.message().to_owned()
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        assert_eq!(
            message(r#"{"prot": 1}"#),
            "the test backend has no option \"prot\"; did you mean \"port\"?"
        );
        assert_eq!(
            message(r#"{"tls": {"cafile": "x"}}"#),
            "the test backend has no option \"tls.cafile\"; did you mean \"tls.caFile\"?"
        );
        assert!(message(r#"{"zzzzzzzz": 1}"#).contains("it has: type, timeout"));
    }

    #[test]
    fn other_spellings_of_an_option_are_that_option() {
        const SHARED: &[OptionSpec] =
            &[OptionSpec { name: "user", kind: OptionKind::Text, default: "", meaning: "" }];
        let check = |text: &str| Settings::check(parse(text.as_bytes())?, "test", SHARED);
        let settings = check(r#"{"username": "ada"}"#).unwrap();
        assert_eq!(settings.text("user"), Some("ada"));
        // What is wrong with it is said of the option as it was given.
        let error = settings.as_spelled(&wrong("the option \"user\" is of no use"));
        assert_eq!(error.message(), "the option \"username\" is of no use");
        assert_eq!(check(r#"{"user": "ada", "username": "ada"}"#).unwrap().text("user"), Some("ada"));
        assert_eq!(
            check(r#"{"user": "ada", "username": "bob"}"#).unwrap_err().message(),
            "the options \"user\" and \"username\" mean the same; leave one of them out"
        );
        assert!(check(r#"{"usernmae": "ada"}"#)
            .unwrap_err()
            .message()
            .contains("did you mean \"username\"?"));
    }

    #[test]
    fn wrong_kinds_and_ranges_are_named() {
        assert_eq!(
            message(r#"{"port": true}"#),
            "the option \"port\" is true; give a whole number from 1 to 65535"
        );
        assert_eq!(
            message(r#"{"port": 70000}"#),
            "the option \"port\" is 70000; give a whole number from 1 to 65535"
        );
        assert!(message(r#"{"logLevel": "wran"}"#).contains("did you mean \"warn\""));
        assert!(message("[]").contains("is a list"));
        assert!(message("{").contains("not JSON"));
        assert!(parse(b"\xff{}").unwrap_err().message().contains("not UTF-8"));
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_not_repeated() {
        for text in [
            r#"{"port": "hunter2"}"#,
            r#"{"redis://:hunter2@host": true}"#,
            r#"{"tls": {"redis://:hunter2@host": true}}"#,
            r#"{"redis://:hunter2@host": 1, "redis://:hunter2@host": 1}"#,
            r#"{"logLevel": "redis://:hunter2@host"}"#,
        ] {
            let message = message(text);
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(message(r#"{"pört": 1}"#).contains("did you mean \"port\"?"));
    }

    #[test]
    fn a_host_with_more_than_a_host_is_refused_and_not_repeated() {
        const PLACES: &[OptionSpec] = &[
            OptionSpec { name: "host", kind: OptionKind::Host, default: "", meaning: "" },
            OptionSpec { name: "places", kind: OptionKind::Hosts, default: "", meaning: "" },
            OptionSpec { name: "servers", kind: OptionKind::Servers, default: "", meaning: "" },
            OptionSpec { name: "nodes", kind: OptionKind::Nodes, default: "", meaning: "" },
            OptionSpec { name: "natMap", kind: OptionKind::AddressMap, default: "", meaning: "" },
        ];
        let check = |text: &str| Settings::check(parse(text.as_bytes())?, "test", PLACES);
        for bad in [
            "redis://:hunter2@h",
            "redis://:hunter2@h:1/0",
            "hunter2@h",
            "//hunter2",
            "h hunter2",
            "h\\nhunter2",
        ] {
            for (name, text) in [
                ("host", format!(r#"{{"host": "{bad}"}}"#)),
                ("places", format!(r#"{{"places": "a,{bad}"}}"#)),
                ("servers", format!(r#"{{"servers": "a,{bad}"}}"#)),
                ("servers", format!(r#"{{"servers": ["{bad}"]}}"#)),
                ("servers", format!(r#"{{"servers": {{"{bad}": 1}}}}"#)),
                ("servers", format!(r#"{{"servers": [{{"host": "h", "password": "{bad}"}}]}}"#)),
                ("nodes", format!(r#"{{"nodes": [{{"host": "{bad}"}}]}}"#)),
                ("natMap", format!(r#"{{"natMap": {{"{bad}": "a:1"}}}}"#)),
                ("natMap", format!(r#"{{"natMap": {{"a:1": "{bad}"}}}}"#)),
            ] {
                let Err(error) = check(&text) else {
                    // A folder of a Unix socket.
                    assert!(name == "places" && bad.starts_with('/'), "{text}");
                    continue;
                };
                let message = error.message();
                assert!(message.contains(&format!("\"{name}\"")), "{message}");
                assert!(!message.contains("hunter2"), "{message}");
                assert!(name == "natMap" || message.contains("\"url\""), "{message}");
            }
        }
        assert_eq!(check(r#"{"host": " h\n"}"#).unwrap().text("host"), Some("h"));
        assert!(check(r#"{"places": "a,/run/pg,[::1]"}"#).is_ok());
    }

    #[test]
    fn what_an_empty_variable_gives_is_absent() {
        const OPTIONS: &[OptionSpec] = &[
            OptionSpec { name: "host", kind: OptionKind::Host, default: "", meaning: "" },
            OptionSpec { name: "user", kind: OptionKind::Text, default: "", meaning: "" },
            OptionSpec { name: "password", kind: OptionKind::Text, default: "", meaning: "" },
            OptionSpec { name: "url", kind: OptionKind::Text, default: "", meaning: "" },
            OptionSpec { name: "nodes", kind: OptionKind::Nodes, default: "", meaning: "" },
            OptionSpec { name: "table", kind: OptionKind::Text, default: "", meaning: "" },
        ];
        let text = r#"{"host": "", "username": "", "password": "", "url": " ", "nodes": "", "table": ""}"#;
        let settings = Settings::check(parse(text.as_bytes()).unwrap(), "test", OPTIONS).unwrap();
        for name in ["host", "user", "password", "url", "nodes"] {
            assert!(!settings.has(name), "{name}");
        }
        assert_eq!(settings.text("table"), Some(""));
    }

    #[test]
    fn what_has_no_effect_is_remarked() {
        const OPTIONS: &[OptionSpec] =
            &[OptionSpec { name: "lazyConnect", kind: OptionKind::Unused, default: "", meaning: "" }];
        let check = |text: &str| Settings::check(parse(text.as_bytes()).unwrap(), "test", OPTIONS).unwrap();
        assert_eq!(
            check(r#"{"lazyConnect": true}"#).engine().remarks,
            ["the option \"lazyConnect\" has no effect here"]
        );
        assert!(check("{}").engine().remarks.is_empty());
    }

    #[test]
    fn an_option_that_is_given_twice_is_named() {
        let message_of_two = message(r#"{"port": 1, "password": "x", "port": 1}"#);
        let start =
            "the configuration is not clear: the option \"port\" is given twice; leave one of them out";
        assert!(message_of_two.starts_with(start), "{message_of_two}");
        assert!(message(r#"{"tls": {"caFile": "a", "caFile": "b"}}"#).contains("\"caFile\" is given twice"));
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(check("\u{feff}{\"port\": 1}").unwrap().integer("port"), Some(1));
    }

    #[test]
    fn what_a_yaml_with_environment_variables_gives_is_understood() {
        let settings = check(r#"{"port": "6379", "password": 12345, "tls": null}"#).unwrap();
        for (text, flag) in [("true", Some(true)), (" false ", Some(false))] {
            let settings = check(&format!(r#"{{"reactorThread": "{text}", "tls": "{text}"}}"#)).unwrap();
            assert_eq!((settings.flag("reactorThread"), settings.flag("tls")), (flag, flag));
        }
        assert!(message(r#"{"reactorThread": "yes"}"#).contains("is text; give true or false"));
        assert_eq!(settings.integer("port"), Some(6379));
        assert_eq!(settings.text("password"), Some("12345"));
        assert_eq!(settings.flag("tls"), None);
    }
}
