//! What the program says beside data: on standard error, as text for a person or as JSON for a program.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{json, Value};

use crate::failure::Failure;

/// How it speaks.
#[derive(Debug, Default)]
pub struct Console {
    json: bool,
    quiet: bool,
    is_terminal: bool,
    /// Whether the terminal's last line is a bar.
    has_bar: Mutex<bool>,
}

static CONSOLE: OnceLock<Console> = OnceLock::new();

/// The one of this program.
pub fn console() -> &'static Console {
    CONSOLE.get_or_init(Console::default)
}

/// Chooses how it speaks, once.
pub fn choose(json: bool, quiet: bool) {
    let is_terminal = io::stderr().is_terminal();
    let _ = CONSOLE.set(Console { json, quiet, is_terminal, has_bar: Mutex::new(false) });
}

impl Console {
    /// Whether results are JSON, too.
    pub fn json(&self) -> bool {
        self.json
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Something that does no harm.
    pub fn remark(&self, text: &str) {
        if !self.quiet {
            self.say(text, || json!({"remark": text}));
        }
    }

    /// Something that a person should know.
    pub fn warn(&self, text: &str) {
        self.say(text, || json!({"warning": text}));
    }

    /// What was done, for a program.
    pub fn summary(&self, object: &Value) {
        self.clear();
        put(&format!("{object}\n"));
    }

    /// Why the program ends.
    pub fn fail(&self, failure: &Failure) {
        let error = || json!({"error": {"code": failure.code, "exit": failure.exit as i32, "message": failure.message}});
        self.say(&failure.message, error);
    }

    /// How far it is: a bar on a terminal, else a JSON object.
    pub fn progress(&self, bar: &str, object: &Value) {
        if self.quiet {
            return;
        }
        let mut has_bar = self.has_bar.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_terminal && !self.json {
            *has_bar = true;
            put(&format!("\r{bar}\x1b[K"));
        } else {
            put(&format!("{object}\n"));
        }
    }

    /// The bar is over.
    pub fn end_progress(&self) {
        self.clear();
    }

    fn clear(&self) {
        let mut has_bar = self.has_bar.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *has_bar) {
            put("\r\x1b[K");
        }
    }

    fn say(&self, text: &str, object: impl FnOnce() -> Value) {
        self.clear();
        if self.json {
            put(&format!("{}\n", object()));
        } else {
            // Keys and file names may hold what a terminal obeys.
            let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            put(&format!("connectorctl: {text}\n"));
        }
    }
}

/// Nobody can be told where standard error is closed.
fn put(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
