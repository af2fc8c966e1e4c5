//! What goes into the engine and what comes out.

use std::time::Instant;

use serde_json::Value;

use super::admission::Weight;
use super::backend::{Listing, Page};
use super::error::{Error, ErrorCode};
use super::record::{Key, Record};

/// What to do with one key.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Read the record.
    Get,
    /// Read the version alone.
    Head,
    /// Store a record.
    Set(Record),
    /// Remove the record.
    Delete,
}

/// The kind of an operation: the engine makes batches of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads of records.
    Get,
    /// Reads of versions.
    Head,
    /// Writes.
    Set,
    /// Removals.
    Delete,
}

impl Kind {
    /// Every kind; `kind as usize` is its place here.
    pub const ALL: [Kind; 4] = [Kind::Get, Kind::Head, Kind::Set, Kind::Delete];

    /// The lower-case name, as in the statistics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Head => "head",
            Kind::Set => "set",
            Kind::Delete => "delete",
        }
    }

    /// Whether it changes nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Kind::Get | Kind::Head)
    }
}

impl Operation {
    /// How many bytes it takes while it is under way.
    pub(super) fn bytes(&self, key: &Key) -> usize {
        let data = if let Operation::Set(record) = self { record.data.len() } else { 0 };
        key.len() + data
    }

    /// The operation's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Operation::Get => Kind::Get,
            Operation::Head => Kind::Head,
            Operation::Set(_) => Kind::Set,
            Operation::Delete => Kind::Delete,
        }
    }
}

/// Something to ask.
#[derive(Clone, Debug)]
pub enum Question {
    /// A page of all records.
    Scan(Listing),
    /// A command that one backend alone has.
    Command {
        /// What it is called.
        name: String,
        /// Its arguments; `null` where there are none.
        arguments: Value,
    },
}

impl Question {
    /// A command whose arguments are JSON text, which may be empty.
    ///
    /// # Errors
    /// `InvalidArgument` for other text.
    pub fn command(name: impl Into<String>, arguments: &[u8]) -> Result<Question, Error> {
        let arguments = match arguments {
            [] => Value::Null,
            json => serde_json::from_slice(json).map_err(|error| {
                Error::new(
                    ErrorCode::InvalidArgument,
                    format!(
                        "the arguments are not JSON (line {}, column {}); give an object",
                        error.line(),
                        error.column()
                    ),
                )
            })?,
        };
        Ok(Question::Command { name: name.into(), arguments })
    }

    /// Whether it may be asked again when the answer was lost.
    pub(super) fn is_harmless(&self) -> bool {
        matches!(self, Question::Scan(_))
    }
}

/// The answer to one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a `get`; `None` is a miss.
    Record(Option<Record>),
    /// To a `head`; `None` is a miss.
    Version(Option<i64>),
    /// To a `set` or `delete`.
    Done,
    /// To a [`Question::Scan`].
    Page(Box<Page>),
    /// To a [`Question::Command`].
    Answer(Value),
}

impl Reply {
    /// How many bytes it takes until it is handed out, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Reply::Record(Some(record)) => record.data.len(),
            Reply::Page(page) => page.records.iter().map(|(key, record)| key.len() + record.data.len()).sum(),
            Reply::Answer(answer) => bytes_of(answer),
            Reply::Record(None) | Reply::Version(_) | Reply::Done => 0,
        }
    }
}

/// How much memory a value takes, about. It is no deeper than its parser allows.
fn bytes_of(value: &Value) -> usize {
    let inner: usize = match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(bytes_of).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + bytes_of(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inner
}

/// The answer to a request.
#[derive(Debug)]
pub enum Outcome {
    /// To a request for one key.
    One(Result<Reply, Error>),
    /// To a request for many keys, in the order in which they were given.
    Many(Vec<Result<Reply, Error>>),
}

/// What the engine tells its host. `T` is the host's ticket: whatever it needs to find the
/// callback again.
#[derive(Debug)]
pub enum Delivery<T> {
    /// A request is finished. Exactly one for each accepted request.
    Completion(T, Outcome),
    /// The connection stands, for the first time or again.
    Ready,
    /// Something that belongs to no operation. One for each outage.
    Failure {
        /// What happened.
        error: Error,
        /// Waiting will not help: the server refused us, or the configuration cannot work.
        fatal: bool,
    },
    /// A message of the database that a command asked for: its channel and what it says.
    Notification(String, String),
    /// A line for the host's log.
    Log(LogLevel, String),
    /// The connector has ended: the last delivery of all.
    Closed,
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum LogLevel {
    /// For whoever hunts a fault.
    Debug = 0,
    /// The normal course of things.
    Info = 1,
    /// Worth a look.
    Warn = 2,
    /// Something failed.
    Error = 3,
}

impl LogLevel {
    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

/// A request on its way from the host's thread to the engine.
#[derive(Debug)]
pub(super) struct Request<T> {
    pub ticket: T,
    pub submitted: Instant,
    pub deadline: Instant,
    pub weight: Weight,
    pub body: Body,
}

/// One key, many, or none.
#[derive(Debug)]
pub(super) enum Body {
    One(Key, Operation),
    Many(Vec<(Key, Operation)>),
    Ask(Question),
}
