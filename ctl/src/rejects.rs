//! Records that could not be taken over, with the reasons: a file of JSON Lines that is made when there is one.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{json, Value};

use crate::failure::Failure;

/// Rejects of one run, and of those that it goes on with.
pub struct Rejects {
    place: PathBuf,
    file: Option<File>,
    /// What is in the file: each is there once.
    known: HashSet<String>,
}

impl Rejects {
    /// Begins without any: a file of a run before is removed.
    pub fn begin(place: &Path) -> Result<Rejects, Failure> {
        match fs::symlink_metadata(place) {
            // What is no file, such as a device, stays.
            Ok(there) if there.is_file() => {
                fs::remove_file(place)
                    .map_err(|error| Failure::file(&place.display().to_string(), &error))?;
            }
            _ => {}
        }
        Ok(Rejects { place: place.to_owned(), file: None, known: HashSet::new() })
    }

    /// Goes on with those of a run that was ended before its end.
    pub fn resume(place: &Path) -> Result<Rejects, Failure> {
        let mut rejects = Rejects { place: place.to_owned(), file: None, known: HashSet::new() };
        let Ok(text) = fs::read(place) else { return Ok(rejects) };
        // The last line may be half a line.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            let cut = OpenOptions::new().write(true).open(place).and_then(|file| file.set_len(whole as u64));
            cut.map_err(|error| rejects.failure(&error))?;
        }
        for line in text[..whole].split(|byte| *byte == b'\n') {
            if let Ok(reject) = serde_json::from_slice::<Value>(line) {
                rejects.known.insert(name_of(&reject));
            }
        }
        Ok(rejects)
    }

    /// Where they are.
    pub fn place(&self) -> &Path {
        &self.place
    }

    pub fn count(&self) -> u64 {
        self.known.len() as u64
    }

    /// Whether a record is among them.
    pub fn has(&self, key: &str) -> bool {
        self.known.contains(&name_of(&json!({"key": key})))
    }

    /// A record that cannot be taken over.
    pub fn record(&mut self, key: &str, code: &str, reason: &str) -> Result<(), Failure> {
        self.add(&json!({"key": key, "code": code, "reason": reason}))
    }

    /// A line that is no record.
    pub fn line(&mut self, number: u64, reason: &str) -> Result<(), Failure> {
        self.add(&json!({"line": number, "code": "CORRUPT", "reason": reason}))
    }

    /// What a listing left out, in its own words.
    pub fn omission(&mut self, words: &str) -> Result<(), Failure> {
        self.add(&json!({"code": "CORRUPT", "reason": words}))
    }

    fn add(&mut self, reject: &Value) -> Result<(), Failure> {
        if !self.known.insert(name_of(reject)) {
            return Ok(());
        }
        if self.file.is_none() {
            let opened = OpenOptions::new().create(true).append(true).open(&self.place);
            self.file = Some(opened.map_err(|error| self.failure(&error))?);
        }
        let written = self.file.as_mut().map(|file| file.write_all(format!("{reject}\n").as_bytes()));
        written.unwrap_or(Ok(())).map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &std::io::Error) -> Failure {
        Failure::file(&self.place.display().to_string(), error)
    }
}

/// What tells one reject from another.
fn name_of(reject: &Value) -> String {
    match (&reject["key"], &reject["line"]) {
        (Value::String(key), _) => format!("k{key}"),
        (_, Value::Number(line)) => format!("l{line}"),
        _ => format!("o{}", reject["reason"].as_str().unwrap_or_default()),
    }
}
