//! What a server answers, in whichever protocol.

use bytes::Bytes;

use crate::core::{Error, ErrorCode};

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It was done.
    Done,
    /// There is no such item.
    Missing,
    /// An item's value.
    Value(Bytes),
    /// The largest item that the server takes, in bytes, if it says.
    ItemLimit(Option<usize>),
    /// It was not done.
    Refused(Refusal, String),
}

/// Why a server did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The login was wrong, or is missing.
    Login,
    /// The item is too large.
    Size,
    /// It does not know the command.
    Unknown,
    /// It cannot just now.
    Busy,
    /// Something else; the text says what.
    Other,
}

/// The error for a refusal.
pub(super) fn refused(refusal: Refusal, said: &str) -> Error {
    match refusal {
        Refusal::Login => Error::new(
            ErrorCode::Authentication,
            "memcached refused the login; see the options \"user\", \"password\" and \"authentication\"",
        ),
        Refusal::Busy => Error::transient(ErrorCode::Backend, format!("memcached answered: {said}")),
        Refusal::Size | Refusal::Unknown | Refusal::Other => {
            Error::new(ErrorCode::Backend, format!("memcached answered: {said}"))
        }
    }
}

/// An answer that does not fit what was asked: the two sides have lost each other.
pub(super) fn unexpected() -> Error {
    Error::connection("the server's answer does not fit the question")
}

/// Bytes that are no answer at all.
pub(super) fn malformed() -> Error {
    Error::connection("the server does not speak the memcached protocol")
}
