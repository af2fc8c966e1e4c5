//! Connections by name: `connectorctl.toml` in the user's configuration folder, a table for each.

use std::env;
use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::source::Target;
use crate::failure::Failure;

/// Where names are: `$XDG_CONFIG_HOME/connectorctl.toml`, or `~/.config/connectorctl.toml`.
pub fn place() -> Option<PathBuf> {
    let folder = env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")));
    folder.map(|folder| folder.join("connectorctl.toml"))
}

pub fn read(name: &str) -> Result<Target, Failure> {
    let place = place().ok_or_else(|| {
        Failure::wrong("the environment has no HOME and no XDG_CONFIG_HOME to look for names in")
    })?;
    let shown = place.display();
    let text = fs::read_to_string(&place)
        .map_err(|error| Failure::wrong(format!("@{name} cannot be looked up: {shown}: {error}")))?;
    let mut tables: Map<String, Value> = toml::from_str(&text).map_err(|error| {
        let line =
            error.span().map_or(0, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Failure::wrong(format!("{shown}: no TOML at line {line}; correct it"))
    })?;
    match tables.remove(name) {
        Some(Value::Object(options)) => Ok(Target { options, remarks: Vec::new() }),
        _ => {
            let names: Vec<String> = tables.keys().map(|name| format!("@{name}")).collect();
            let has = if names.is_empty() { "none".into() } else { names.join(", ") };
            Err(Failure::wrong(format!("{shown} has no table [{name}]; it has: {has}")))
        }
    }
}
