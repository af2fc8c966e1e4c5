//! What an error of the `redis` crate means for the engine.

use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::backends::tls;
use crate::core::{Error, ErrorCode};

/// An answer that has not the form its command promises: the two sides have lost each other.
pub(super) fn unexpected() -> Error {
    Error::connection("the server's answer does not fit the question")
}

/// Why an operation failed.
pub(super) fn operation_error(error: &RedisError) -> Error {
    match (error.kind(), error.code()) {
        (_, Some("NOAUTH" | "WRONGPASS")) => Error::connection("the server wants us to log in again"),
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            // A former primary: a new connection finds the new one behind the same name.
            Error::connection("the server has become a read-only replica")
        }
        (
            ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ),
            _,
        )
        | (_, Some("NOREPLICAS" | "BUSY")) => Error::transient(ErrorCode::Backend, said(error)),
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => Error::new(ErrorCode::Backend, said(error)),
        _ => broken(error),
    }
}

/// Why the server did not let us in.
pub(super) fn connect_error(error: &RedisError) -> Error {
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => Error::new(
            ErrorCode::Authentication,
            "Redis refused the login; see the options \"username\" and \"password\"",
        ),
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => {
            Error::connection("the server is loading its data")
        }
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => {
            Error::new(ErrorCode::Configuration, format!("{}; see the option \"db\"", said(error)))
        }
        _ => broken(error),
    }
}

/// What the answer to the first `PING` means.
pub(super) fn greeting_error(error: &RedisError) -> Result<(), Error> {
    // Somebody who may not ping is logged in nevertheless.
    if error.code() == Some("NOPERM") {
        return Ok(());
    }
    let failure = connect_error(error);
    match failure.code() {
        ErrorCode::Configuration => Err(Error::connection(said(error))),
        _ => Err(failure),
    }
}

/// The server's own words. Redis quotes neither keys nor values in them.
fn said(error: &RedisError) -> String {
    let words = [error.code(), error.detail()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    format!("Redis answered: {}", words.join(" "))
}

fn broken(error: &RedisError) -> Error {
    let cause = io_cause(error);
    if let Some(failure) = cause.and_then(tls::failure) {
        return failure;
    }
    match error.kind() {
        ErrorKind::Parse => Error::connection("the server does not speak the Redis protocol"),
        ErrorKind::Io => {
            let words = cause.map_or_else(|| error.category().to_owned(), |cause| cause.kind().to_string());
            Error::connection(format!("the connection broke: {words}"))
        }
        _ => Error::connection(format!("the connection failed: {}", error.category())),
    }
}

/// The system's error inside an error of the crate, which keeps it behind an `Arc`.
fn io_cause(error: &RedisError) -> Option<&io::Error> {
    type Shared = Arc<dyn std::error::Error + Send + Sync>;
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<Shared>().and_then(|shared| shared.downcast_ref()).or_else(|| source.downcast_ref())
}
