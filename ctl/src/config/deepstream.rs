//! A deepstream server's own configuration: its connectors' sections, with the official names for them.

use std::env;

use deepstream_connector::backends::ENTRIES;
use serde_json::{Map, Value};

use super::source::Target;
use super::yaml;
use crate::cli::Section;
use crate::failure::Failure;

/// What deepstream has connectors for, and this library has not.
const OTHERS: &[&str] = &["elasticsearch", "rethinkdb", "hazelcast"];

/// The types whose layout of before deepstream 5 is another one.
const LAYOUTS: &[&str] = &["redis", "memcached", "mongodb", "postgres"];

/// Reads a section. `${NAME}` stands for an environment variable, as it does for the server.
pub fn read(text: &str, section: Option<Section>) -> Result<Target, Failure> {
    let mut remarks = Vec::new();
    let value = yaml::read(&with_variables(text, &mut remarks))?;
    let Value::Object(mut server) = value else {
        return Err(Failure::wrong("this is no configuration; give our JSON, or a deepstream server's YAML"));
    };
    // Servers before deepstream 5 have them all in one place.
    let is_classic = matches!(server.get("plugins"), Some(Value::Object(plugins)) if is_with_sections(plugins))
        && !is_with_sections(&server);
    if is_classic {
        if let Some(Value::Object(plugins)) = server.remove("plugins") {
            server = plugins;
        }
    }
    let chosen = chosen(&server, section)?;
    let mut target = connector(&server[chosen], chosen)?;
    if is_classic && is_official(&server[chosen]) {
        let has_layouts =
            target.options.get("type").and_then(Value::as_str).is_some_and(|name| LAYOUTS.contains(&name));
        if has_layouts && !target.options.contains_key("layout") {
            target.options.insert("layout".into(), "V1".into());
            target.remarks.push("layout V1, as connectors of servers before deepstream 5 have it".into());
        }
    }
    remarks.append(&mut target.remarks);
    Ok(Target { options: target.options, remarks })
}

fn is_with_sections(server: &Map<String, Value>) -> bool {
    server.contains_key("cache") || server.contains_key("storage")
}

/// The section that is meant.
fn chosen(server: &Map<String, Value>, section: Option<Section>) -> Result<&'static str, Failure> {
    let has = |section: Section| server.get(section.name()).is_some_and(Value::is_object);
    match section {
        Some(section) if has(section) => Ok(section.name()),
        Some(section) => Err(Failure::wrong(format!("there is no section \"{}\" in it", section.name()))),
        None => match (has(Section::Cache), has(Section::Storage)) {
            (true, false) => Ok(Section::Cache.name()),
            (false, true) => Ok(Section::Storage.name()),
            (true, true) => Err(Failure::wrong(
                "there is a section \"cache\" and a section \"storage\"; choose by --section (of two connections, --from-section and --to-section)",
            )),
            (false, false) => Err(Failure::wrong(
                "there is no option \"type\", and no section \"cache\" or \"storage\" of a deepstream server",
            )),
        },
    }
}

/// Whether a section is of deepstream's own connectors, not of ours.
fn is_official(section: &Value) -> bool {
    section.get("options").and_then(|options| options.get("type")).is_none()
}

/// The configuration of a section's connector.
fn connector(section: &Value, chosen: &str) -> Result<Target, Failure> {
    let mut options = match section.get("options") {
        Some(Value::Object(options)) => options.clone(),
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(Failure::wrong(format!("\"{chosen}.options\" is no mapping"))),
    };
    let mut remarks = Vec::new();
    // One of ours says by itself what it is.
    if !options.contains_key("type") {
        let kind = kind(section, chosen)?;
        remarks.push(format!("type {kind}, for deepstream's own connector"));
        options.insert("type".into(), kind.into());
    }
    options.retain(|_, value| !value.is_null());
    Ok(Target { options, remarks })
}

/// Which of our types stands for the connector that a section names.
fn kind(section: &Value, chosen: &str) -> Result<&'static str, Failure> {
    let given = ["name", "path", "type"].iter().find_map(|name| section.get(*name)?.as_str());
    let Some(given) = given else {
        return Err(Failure::wrong(format!("\"{chosen}\" names no connector; give it \"name\" or \"path\"")));
    };
    // `@deepstream/storage-postgres`, `deepstream.io-cache-redis`, and paths to them.
    let word = given.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let word = ["cache-", "storage-"].iter().find_map(|kind| Some(word.rsplit_once(kind)?.1)).unwrap_or(word);
    if let Some(entry) = ENTRIES.iter().find(|entry| entry.name == word) {
        return Ok(entry.name);
    }
    let names = ENTRIES.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    Err(Failure::wrong(match word {
        "default" => format!("\"{chosen}\" is the server's own memory, which nobody else can read"),
        word if OTHERS.contains(&word) => format!("\"{chosen}\" is for {word}, which this library does not connect to; it has: {names}"),
        _ => format!("\"{chosen}\" names a connector that is none of deepstream's; give its options a \"type\", one of {names}"),
    }))
}

/// The text with the environment's values; of what is not set there is nothing.
fn with_variables(text: &str, remarks: &mut Vec<String>) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        whole.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            whole.push_str("${");
            rest = after;
            continue;
        };
        match env::var(name) {
            Ok(value) => whole.push_str(&value),
            Err(_) => remarks.push(format!("the environment has no {name}")),
        }
        rest = behind;
    }
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(text: &str, section: Option<Section>) -> Result<Value, String> {
        read(text, section).map(|target| Value::Object(target.options)).map_err(|failure| failure.message)
    }

    #[test]
    fn official_connectors_become_our_types() {
        let text = "cache:\n  name: redis\n  options: {host: h, port: 1}\nstorage:\n  path: ./lib/@deepstream/storage-mongodb\n  options:\n    connectionString: mongodb://h\n";
        assert_eq!(
            options(text, Some(Section::Cache)).unwrap(),
            json!({"type": "redis", "host": "h", "port": 1})
        );
        assert_eq!(
            options(text, Some(Section::Storage)).unwrap(),
            json!({"type": "mongodb", "connectionString": "mongodb://h"})
        );
        assert!(options(text, None).unwrap_err().contains("--section"));
    }

    #[test]
    fn servers_of_before_have_the_layout_of_before() {
        let text = "plugins:\n  storage:\n    name: postgres\n    options: {user: u}\n";
        assert_eq!(options(text, None).unwrap(), json!({"type": "postgres", "user": "u", "layout": "V1"}));
        let ours = "plugins:\n  storage:\n    name: native\n    options: {type: redis}\n";
        assert_eq!(options(ours, None).unwrap(), json!({"type": "redis"}));
    }

    #[test]
    fn what_is_not_ours_is_named() {
        for (text, words) in [
            ("storage: {name: rethinkdb}", "rethinkdb"),
            ("storage: {type: default}", "own memory"),
            ("storage: {path: ./mine}", "\"type\""),
            ("port: 6020", "\"storage\""),
            ("- 1", "no configuration"),
        ] {
            let message = options(text, None).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn variables_are_those_of_the_environment() {
        let mut remarks = Vec::new();
        let path = env::var("PATH").unwrap();
        assert_eq!(with_variables("a ${PATH} b ${", &mut remarks), format!("a {path} b ${{"));
        assert!(remarks.is_empty());
        assert_eq!(with_variables("x: ${NOBODY_SET_THIS}", &mut remarks), "x: ");
        assert_eq!(remarks.len(), 1);
    }
}
