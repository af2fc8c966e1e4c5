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
            Error::transient(ErrorCode::Backend, format!("memcached answered: {text}")).of_server()
        }
        ErrorKind::TooLarge | ErrorKind::UnknownCommand | ErrorKind::Other => {
            Error::new(ErrorCode::Backend, format!("memcached answered: {text}"))
        }
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
