//! The replies of a server, in whichever protocol.

use bytes::Bytes;

use crate::core::{Error, ErrorCode};

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The command was carried out: `HD`, `STORED`, or the status 0.
    Success,
    /// There is no such item: `EN`, `NF`, or the status 1.
    NotFound,
    /// An item's value.
    Value(Bytes),
    /// The setting `item_size_max`, in bytes, if the server tells it.
    ItemSizeMax(Option<usize>),
    /// An error, with its text.
    Error(ErrorKind, String),
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// The authentication failed, or is missing.
    Authentication,
    /// The item is too large.
    TooLarge,
    /// The command is unknown.
    UnknownCommand,
    /// A temporary failure.
    Temporary,
    /// Something else; the text says what.
    Other,
}

/// An error reply as an error.
pub(super) fn server_error(kind: ErrorKind, text: &str) -> Error {
    match kind {
        ErrorKind::Authentication => Error::new(
            ErrorCode::Authentication,
            "memcached refused the login; see the options \"user\", \"password\" and \"authentication\"",
        ),
        ErrorKind::Temporary => {
            Error::transient(ErrorCode::Backend, format!("memcached answered: {}", said(text))).of_server()
        }
        ErrorKind::TooLarge | ErrorKind::UnknownCommand | ErrorKind::Other => {
            Error::new(ErrorCode::Backend, format!("memcached answered: {}", said(text)))
        }
    }
}

/// What memcached says without quoting a command, in lower case.
const HARMLESS: &[&str] = &[
    "the item was not stored",
    "out of memory storing object",
    "out of memory allocating item",
    "object too large for cache",
    "too large",
    "temporary failure",
    "temporarily unavailable",
    "bad data chunk",
    "bad command line format",
    "unknown command",
    "not supported",
    "out of memory",
    "busy",
];

/// What the server said, as far as it may be repeated: others that speak its protocol may quote the
/// command, and with it keys and records.
fn said(text: &str) -> &str {
    let lower = text.to_lowercase();
    if let Some(words) = HARMLESS.iter().find(|words| lower.contains(*words)) {
        return words;
    }
    let code = text.split(' ').next().unwrap_or_default();
    match code {
        "ERROR" | "CLIENT_ERROR" | "SERVER_ERROR" => code,
        _ => "an error of an unknown kind",
    }
}

/// A reply that its command does not have: the connection is out of step.
pub(super) fn unexpected() -> Error {
    Error::connection("the server's answer does not fit the question")
}

/// Bytes that are no reply at all.
pub(super) fn malformed() -> Error {
    Error::connection("the server does not speak the memcached protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_quotes_is_not_passed_on() {
        let message = |text: &str| server_error(ErrorKind::Other, text).message().to_owned();
        assert_eq!(message("SERVER_ERROR hunter2"), "memcached answered: SERVER_ERROR");
        assert_eq!(message("hunter2"), "memcached answered: an error of an unknown kind");
        assert_eq!(
            message("SERVER_ERROR out of memory storing object"),
            "memcached answered: out of memory storing object"
        );
        assert_eq!(message("CLIENT_ERROR bad data chunk hunter2"), "memcached answered: bad data chunk");
    }
}
