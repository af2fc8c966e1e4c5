//! What happened, for a person to read. Nothing is written unless somebody asked for it.

use crate::time::{words, Nanos};

/// The lines so far, or none at all.
#[derive(Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(is_wanted: bool) -> Trace {
        Trace { lines: is_wanted.then(Vec::new) }
    }

    pub fn say(&mut self, now: Nanos, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>18}  {}", words(now), line()));
        }
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
