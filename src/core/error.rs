//! What can go wrong, as a fixed set of numbered codes and a sentence for a person.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The kind of a failure. The numbers are part of the C interface: they never change, and a
/// host must tolerate numbers that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ErrorCode {
    /// An argument is unusable: an empty or overlong key, bytes that are not UTF-8, data that
    /// is not JSON, a null pointer.
    InvalidArgument = 1,
    /// The configuration is wrong; the message names the option and the remedy.
    Configuration = 2,
    /// As many operations, or bytes, are in flight as `maxInFlight` or `maxBytesInFlight` allow.
    Busy = 3,
    /// The connector was closed or freed before the operation finished.
    Closed = 4,
    /// The operation's deadline passed; `applied` says whether a write may have been carried out.
    Timeout = 5,
    /// The server cannot be reached, or answered what it must not.
    Unavailable = 6,
    /// The server refused the credentials.
    Authentication = 7,
    /// The server, or the storage below it, refused the operation.
    Backend = 8,
    /// The record or key is larger than the backend can hold.
    TooLarge = 9,
    /// What is stored under the key is not a record.
    Corrupt = 10,
    /// A bug in this library: a panic was caught.
    Panic = 11,
    /// The calling process is a fork of the one that made the connector.
    Forked = 12,
    /// The backend, or this system, cannot do what was asked.
    Unsupported = 13,
}

impl ErrorCode {
    /// Every code, in the order of its number.
    pub const ALL: [ErrorCode; 13] = [
        ErrorCode::InvalidArgument,
        ErrorCode::Configuration,
        ErrorCode::Busy,
        ErrorCode::Closed,
        ErrorCode::Timeout,
        ErrorCode::Unavailable,
        ErrorCode::Authentication,
        ErrorCode::Backend,
        ErrorCode::TooLarge,
        ErrorCode::Corrupt,
        ErrorCode::Panic,
        ErrorCode::Forked,
        ErrorCode::Unsupported,
    ];

    /// The upper-case name, as in `CONNECTOR_ERR_<name>` and as `error.code` in JavaScript.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorCode::InvalidArgument => "INVALID_ARGUMENT",
            ErrorCode::Configuration => "CONFIGURATION",
            ErrorCode::Busy => "BUSY",
            ErrorCode::Closed => "CLOSED",
            ErrorCode::Timeout => "TIMEOUT",
            ErrorCode::Unavailable => "UNAVAILABLE",
            ErrorCode::Authentication => "AUTHENTICATION",
            ErrorCode::Backend => "BACKEND",
            ErrorCode::TooLarge => "TOO_LARGE",
            ErrorCode::Corrupt => "CORRUPT",
            ErrorCode::Panic => "PANIC",
            ErrorCode::Forked => "FORKED",
            ErrorCode::Unsupported => "UNSUPPORTED",
        }
    }
}

/// What the engine does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing helps: the caller gets the error.
    Report,
    /// The same connection may succeed a moment later: the engine tries the operation again in
    /// its place, with growing pauses, until its deadline.
    TryAgain,
    /// The connection is of no more use: the engine makes a new one and sends what was
    /// unanswered again.
    Reconnect,
}

/// Whether an operation that failed may have been carried out all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Applied {
    /// It was not, and will not be; so for whatever changes nothing.
    #[default]
    No = 0,
    /// It was given to the server, and nobody knows what became of it: it may have been carried
    /// out, or may still be.
    Unknown = 1,
}

impl Applied {
    /// The lower-case word, as `error.applied` in JavaScript and Python.
    pub const fn name(self) -> &'static str {
        match self {
            Applied::No => "no",
            Applied::Unknown => "unknown",
        }
    }
}

/// A failure: a code, what to do about it, and one sentence that never holds a password, a
/// token or a record's data.
#[derive(Clone, Debug)]
pub struct Error {
    code: ErrorCode,
    remedy: Remedy,
    applied: Applied,
    message: Arc<str>,
    pause: Option<Duration>,
    /// A transient failure of the whole server, not of one key alone.
    of_server: bool,
    /// And the connection to it was lost with the operation.
    was_in_flight: bool,
}

impl Error {
    /// A failure that is reported to the caller as it is.
    pub fn new(code: ErrorCode, message: impl Into<Arc<str>>) -> Error {
        Error::with(code, Remedy::Report, message.into())
    }

    /// A failure that passes by itself and concerns its key alone, such as a row that is locked:
    /// the operation rests, with growing pauses, and others go on.
    pub fn transient(code: ErrorCode, message: impl Into<Arc<str>>) -> Error {
        Error::with(code, Remedy::TryAgain, message.into())
    }

    /// A failure that ends the connection.
    pub fn connection(message: impl Into<Arc<str>>) -> Error {
        Error::with(ErrorCode::Unavailable, Remedy::Reconnect, message.into())
    }

    fn with(code: ErrorCode, remedy: Remedy, message: Arc<str>) -> Error {
        Error {
            code,
            remedy,
            applied: Applied::No,
            message,
            pause: None,
            of_server: false,
            was_in_flight: false,
        }
    }

    /// A transient failure after which the operation rests at least so long before it is tried
    /// again: a server that is asked too much says for how long it wants to be left alone.
    pub fn after(self, pause: Duration) -> Error {
        Error { pause: Some(pause), ..self }
    }

    /// A transient failure of the whole server, such as one that is still loading, asked too much
    /// or away: all operations of its group rest, with growing pauses, once for all of them.
    pub fn of_server(self) -> Error {
        Error { of_server: true, ..self }
    }

    /// The connection to the server was lost while the operation was in flight on it. One that met
    /// that twice goes apart from others: it may be the reason.
    pub fn in_flight(self) -> Error {
        Error { was_in_flight: true, ..self }
    }

    /// Whether the connection to the server was lost with the operation.
    pub fn was_in_flight(&self) -> bool {
        self.was_in_flight
    }

    /// Whether it concerns every operation of its group.
    pub fn is_of_server(&self) -> bool {
        self.of_server
    }

    /// The same failure of an operation of which nobody knows whether it was carried out.
    pub(crate) fn maybe_applied(self) -> Error {
        Error { applied: Applied::Unknown, ..self }
    }

    /// The kind of the failure.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What the engine does about it.
    pub fn remedy(&self) -> Remedy {
        self.remedy
    }

    /// Whether the operation may have been carried out although it failed. Never `Unknown` for
    /// one that reads, nor for one that was not accepted.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// How long to rest before another try, where that is known.
    pub fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// One sentence for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same call may succeed later without a change by the caller.
    pub fn is_retryable(&self) -> bool {
        self.remedy != Remedy::Report
            || matches!(self.code, ErrorCode::Busy | ErrorCode::Timeout | ErrorCode::Unavailable)
    }
}

/// What a request fails with when a panic was caught.
pub(super) fn panicked() -> Error {
    Error::new(ErrorCode::Panic, "a panic was caught inside the connector; this is a bug, please report it")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Error {}
/// A server's name for an error, where it is one word as such names are. What else a server says may quote what it
/// was told, and with it passwords and records, so it is not repeated.
#[cfg_attr(not(feature = "full"), allow(dead_code))]
pub(crate) fn name_of_error(text: &str) -> Option<&str> {
    const LONGEST: usize = 60;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=LONGEST).contains(&text.len()).then_some(text).filter(|text| text.bytes().all(is_part))
}
