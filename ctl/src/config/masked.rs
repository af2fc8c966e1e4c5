//! A configuration as it may be shown.

use serde_json::{Map, Value};

use super::secrets::{holds_secret, is_secret};

/// What stands in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// The options without their secrets.
pub fn masked(options: &Map<String, Value>) -> Map<String, Value> {
    options.iter().map(|(name, value)| (name.clone(), mask(name, value))).collect()
}

fn mask(name: &str, value: &Value) -> Value {
    match value {
        // Where a secret is to be had is none.
        Value::Object(members) if is_secret(name) && members.contains_key("file") => value.clone(),
        value if is_secret(name) && !value.is_null() => HIDDEN.into(),
        Value::String(text) if holds_secret(text) => without_password(text).into(),
        Value::Object(members) => Value::Object(masked(members)),
        Value::Array(items) => Value::Array(items.iter().map(|item| mask(name, item)).collect()),
        other => other.clone(),
    }
}

/// A URL with its host alone, where that is clear.
fn without_password(text: &str) -> String {
    let parts = text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)));
    match parts {
        Some((scheme, place)) if !holds_secret(place) => {
            let host = place.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{HIDDEN}@{host}…")
        }
        _ => HIDDEN.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_secret_is_shown() {
        let options = json!({
            "type": "redis", "url": "redis://u:hunter2@h:1/0", "password": "hunter2",
            "nodes": [{"host": "a", "password": "hunter2"}, "redis://:hunter2@b"], "port": 1,
            "tls": {"key": "-----BEGIN PRIVATE KEY----- hunter2", "passphrase": "hunter2"},
            "sentinelPassword": {"command": ["echo", "hunter2"]}, "dsn": "host=h password=hunter2", "uri": "x://u@h/?password=hunter2",
        });
        let shown = Value::Object(masked(options.as_object().unwrap())).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("\"port\":1") && shown.contains("@h:1"), "{shown}");
    }
}
