//! What each test took, for `tests/times`, which shows where the time of a run went.

use std::io;
use std::path::Path;

use serde_json::{json, Value};

use super::job::Class;

/// A test that was run.
#[derive(Debug)]
pub struct Taken {
    pub name: String,
    pub group: &'static str,
    pub promise: Option<&'static str>,
    pub class: Class,
    pub seconds: f64,
    /// Why it failed, if it did.
    pub fault: Option<String>,
}

/// Writes them as a JSON array.
pub fn write(path: &Path, taken: &[Taken]) -> io::Result<()> {
    let all: Vec<Value> = taken
        .iter()
        .map(|test| {
            json!({
                "name": test.name,
                "group": test.group,
                "promise": test.promise,
                "class": match test.class {
                    Class::Waits => "waits",
                    Class::Works => "works",
                    Class::Alone => "alone",
                },
                "seconds": (test.seconds * 1e3).round() / 1e3,
                "passed": test.fault.is_none(),
                "fault": test.fault,
            })
        })
        .collect();
    std::fs::write(path, Value::from(all).to_string())
}
