//! A configuration's text: a file, an object on the command line, or a name.

use std::fs;
use std::path::Path;

use deepstream_connector::config::parse;
use serde_json::{Map, Value};

use super::{deepstream, named, secrets};
use crate::cli::Section;
use crate::failure::Failure;

/// What is connected to.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The options, as the library takes them.
    pub options: Map<String, Value>,
    /// What is to be said of them.
    pub remarks: Vec<String>,
}

impl Target {
    /// The configuration for [`Connector::open`](deepstream_connector::Connector::open).
    pub fn text(&self) -> String {
        Value::Object(self.options.clone()).to_string()
    }
}

/// Reads what stands behind `-c`, `--from` or `--to`.
pub fn read(spec: &str, section: Option<Section>) -> Result<Target, Failure> {
    if let Some(name) = spec.strip_prefix('@') {
        return named::read(name);
    }
    if spec.trim_start().starts_with('{') {
        let options = parse(spec.as_bytes())?;
        secrets::refuse_on_command_line(&options)?;
        return Ok(Target { options, remarks: Vec::new() });
    }
    let text = fs::read(spec).map_err(|error| {
        let remedy = "give a file, @NAME of connectorctl.toml, or a JSON object";
        Failure::wrong(format!("the configuration {spec} cannot be read: {error}; {remedy}"))
    })?;
    file(Path::new(spec), &text, section)
}

fn file(path: &Path, text: &[u8], section: Option<Section>) -> Result<Target, Failure> {
    let place = path.display();
    let is_json = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if is_json {
        let options = parse(text).map_err(|error| Failure::wrong(format!("{place}: {}", error.message())))?;
        if options.contains_key("type") {
            if section.is_some() {
                return Err(Failure::wrong(format!(
                    "{place} is one connection's configuration; leave --section out"
                )));
            }
            return Ok(Target { options, remarks: Vec::new() });
        }
    }
    let text = std::str::from_utf8(text)
        .map_err(|_| Failure::wrong(format!("{place} is not UTF-8; give JSON or YAML in UTF-8")))?;
    deepstream::read(text, section).map_err(|failure| Failure::wrong(format!("{place}: {}", failure.message)))
}
