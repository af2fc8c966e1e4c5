//! What a host of the connector does and reports, in whatever language it is written; see
//! `tests/hosts/PROTOCOL.md`.

use std::fmt;
use std::time::{Duration, Instant};

use deepstream_connector::core::Applied;

/// A program, or part of this one, that uses connectors as a user of its language would.
pub trait Host: Send {
    /// What it can do.
    fn features(&self) -> Features;

    /// Has it carry out a command.
    fn send(&mut self, command: Command);

    /// The next thing it reports, if there is one before the deadline.
    fn receive(&mut self, deadline: Instant) -> Option<Event>;

    /// Has a host program end at once with this status, whatever is pending; the error says
    /// what happened instead.
    fn exit(&mut self, status: i32, patience: Duration) -> Result<(), String> {
        let _ = patience;
        Err(format!("only host programs can end, so there is no status {status}"))
    }

    /// Ends the host in an orderly way; the error says what was wrong with that.
    fn end(&mut self, patience: Duration) -> Result<(), String> {
        let _ = patience;
        Ok(())
    }
}

/// The verbs that work on keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Head,
    Delete,
}

impl Verb {
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Head => "head",
            Verb::Delete => "delete",
        }
    }
}

/// A record to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Vec<u8>,
    pub version: i64,
    pub data: Vec<u8>,
}

/// What a host is told to do. `connector` and `request` number connectors and requests;
/// `timeout` is in milliseconds, 0 for the connector's own.
#[derive(Clone, Debug)]
pub enum Command {
    Create {
        connector: u64,
        mode: String,
        configuration: Vec<u8>,
    },
    One {
        verb: Verb,
        connector: u64,
        request: u64,
        timeout: u64,
        key: Vec<u8>,
    },
    Set {
        connector: u64,
        request: u64,
        timeout: u64,
        entry: Entry,
    },
    Many {
        verb: Verb,
        connector: u64,
        request: u64,
        timeout: u64,
        keys: Vec<Vec<u8>>,
    },
    SetMany {
        connector: u64,
        request: u64,
        timeout: u64,
        entries: Vec<Entry>,
    },
    /// A page of the records with a prefix, which may be empty; an empty cursor is none.
    Scan {
        connector: u64,
        request: u64,
        timeout: u64,
        limit: u64,
        prefix: String,
        cursor: Vec<u8>,
    },
    /// A command of the backend's own; the arguments are JSON.
    Ask {
        connector: u64,
        request: u64,
        timeout: u64,
        name: String,
        arguments: Vec<u8>,
    },
    IsReady {
        connector: u64,
        request: u64,
    },
    Statistics {
        connector: u64,
        request: u64,
    },
    Close {
        connector: u64,
    },
    Free {
        connector: u64,
    },
    FreeInCallback {
        connector: u64,
        request: u64,
        key: Vec<u8>,
    },
    /// All of them without returning to an event loop in between.
    Burst(Vec<Command>),
    /// End the process at once; for host programs alone.
    Exit {
        status: i32,
    },
}

/// An error as a host sees it; by default there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    pub code: i32,
    pub message: String,
    pub applied: Applied,
}

/// The answer to one operation, alone or as a part of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// 0 is success.
    pub code: i32,
    pub retryable: bool,
    pub message: String,
    pub applied: Applied,
    pub found: bool,
    pub version: i64,
    pub data: Vec<u8>,
}

/// What a host reports.
#[derive(Clone, Debug)]
pub enum Event {
    Created {
        connector: u64,
        failure: Failure,
    },
    Refused {
        connector: u64,
        request: u64,
        failure: Failure,
    },
    Done {
        connector: u64,
        request: u64,
        answer: Answer,
    },
    /// `failure` is about the request as a whole; its code is 0 if each key has its own.
    Many {
        connector: u64,
        request: u64,
        failure: Failure,
        answers: Vec<Answer>,
    },
    IsReady {
        connector: u64,
        request: u64,
        ready: bool,
    },
    Statistics {
        connector: u64,
        request: u64,
        json: Vec<u8>,
    },
    Ready {
        connector: u64,
    },
    Error {
        connector: u64,
        failure: Failure,
        fatal: bool,
    },
    Log {
        connector: u64,
        level: String,
        message: String,
    },
    Notification {
        connector: u64,
        channel: String,
        payload: String,
    },
    Closed {
        connector: u64,
        failure: Failure,
    },
    Freed {
        connector: u64,
    },
    /// The host program has ended, or said what the protocol does not know.
    Ended(String),
}

/// What a host can do, by the words of the protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    pub get_many: bool,
    pub set_many: bool,
    pub delete_many: bool,
    pub head_many: bool,
    pub head: bool,
    pub timeout: bool,
    pub free: bool,
    pub bytes: bool,
    pub refusal: bool,
    pub exact: bool,
    /// A closed connector can still be asked, which no word of the protocol says since all
    /// programs can.
    pub after_close: bool,
}

impl Features {
    /// What Rust hosts can do.
    pub const ALL: Features = Features {
        get_many: true,
        set_many: true,
        delete_many: true,
        head_many: true,
        head: true,
        timeout: true,
        free: true,
        bytes: true,
        refusal: true,
        exact: true,
        after_close: true,
    };

    /// Reads the words of a host's greeting; what it does not know is none of its business.
    pub fn from_words(words: &str) -> Features {
        let has = |word| words.split(',').any(|other| other == word);
        Features {
            get_many: has("get_many"),
            set_many: has("set_many"),
            delete_many: has("delete_many"),
            head_many: has("head_many"),
            head: has("head"),
            timeout: has("timeout"),
            free: has("free"),
            bytes: has("bytes"),
            refusal: has("refusal"),
            exact: has("exact"),
            after_close: true,
        }
    }
}

/// Bytes as they appear in the log of a failed promise: readable, and not too many.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    if bytes.len() > MOST {
        format!("{text:?}… ({} bytes)", bytes.len())
    } else {
        format!("{text:?}")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Create { connector, mode, configuration } => {
                write!(f, "create #{connector} {mode} {}", shown(configuration))
            }
            Command::One { verb, connector, request, timeout, key } => {
                write!(f, "{} #{connector} r{request} timeout={timeout} {}", verb.name(), shown(key))
            }
            Command::Set { connector, request, timeout, entry } => write!(
                f,
                "set #{connector} r{request} timeout={timeout} {} version={} {}",
                shown(&entry.key),
                entry.version,
                shown(&entry.data)
            ),
            Command::Many { verb, connector, request, timeout, keys } => {
                write!(f, "{}_many #{connector} r{request} timeout={timeout} of {}", verb.name(), keys.len())
            }
            Command::SetMany { connector, request, timeout, entries } => {
                write!(f, "set_many #{connector} r{request} timeout={timeout} of {}", entries.len())
            }
            Command::Scan { connector, request, timeout, limit, prefix, cursor } => {
                let (prefix, cursor) = (shown(prefix.as_bytes()), shown(cursor));
                write!(f, "scan #{connector} r{request} timeout={timeout} {limit} of {prefix} after {cursor}")
            }
            Command::Ask { connector, request, timeout, name, arguments } => {
                write!(f, "command #{connector} r{request} timeout={timeout} {name} {}", shown(arguments))
            }
            Command::IsReady { connector, request } => write!(f, "is_ready #{connector} r{request}"),
            Command::Statistics { connector, request } => write!(f, "stats #{connector} r{request}"),
            Command::Close { connector } => write!(f, "close #{connector}"),
            Command::Free { connector } => write!(f, "free #{connector}"),
            Command::FreeInCallback { connector, request, key } => {
                write!(f, "free_in_callback #{connector} r{request} {}", shown(key))
            }
            Command::Burst(commands) => write!(f, "burst of {}", commands.len()),
            Command::Exit { status } => write!(f, "exit {status}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            0 => write!(f, "ok"),
            code => write!(f, "code {code}: {}", self.message),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.found) {
            (0, true) => write!(f, "version={} {}", self.version, shown(&self.data)),
            (0, false) => write!(f, "ok, no record"),
            (code, _) => write!(f, "code {code}: {}", self.message),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Created { connector, failure } => write!(f, "created #{connector} {failure}"),
            Event::Refused { connector, request, failure } => {
                write!(f, "refused #{connector} r{request} {failure}")
            }
            Event::Done { connector, request, answer } => write!(f, "done #{connector} r{request} {answer}"),
            Event::Many { connector, request, failure, answers } => {
                write!(f, "many #{connector} r{request} {failure}, {} answers", answers.len())?;
                match answers.iter().find(|answer| answer.code != 0) {
                    Some(answer) => write!(f, ", with {answer}"),
                    None => Ok(()),
                }
            }
            Event::IsReady { connector, request, ready } => {
                write!(f, "is_ready #{connector} r{request} {ready}")
            }
            Event::Statistics { connector, request, json } => {
                write!(f, "stats #{connector} r{request} {}", shown(json))
            }
            Event::Ready { connector } => write!(f, "ready #{connector}"),
            Event::Error { connector, failure, fatal } => {
                write!(f, "error #{connector} fatal={fatal} {failure}")
            }
            Event::Log { connector, level, message } => write!(f, "log #{connector} {level}: {message}"),
            Event::Notification { connector, channel, payload } => {
                write!(f, "notification #{connector} {channel:?} {payload:?}")
            }
            Event::Closed { connector, failure } => write!(f, "closed #{connector} {failure}"),
            Event::Freed { connector } => write!(f, "freed #{connector}"),
            Event::Ended(reason) => write!(f, "the host ended: {reason}"),
        }
    }
}
