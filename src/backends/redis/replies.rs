//! What the error replies of a Redis server, and failures of the connection, mean for the engine.

use redis::{ServerError, Value};

use crate::core::{Error, ErrorCode};

/// A reply of a type that its command does not have: the connection is out of step.
pub(super) fn unexpected() -> Error {
    Error::connection("the server's answer does not fit the question")
}

/// Bytes that are no Redis reply at all.
pub(super) fn malformed() -> Error {
    Error::connection("the server does not speak the Redis protocol")
}

/// An error reply as an error; see <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>
/// for the prefixes of errors. The message is passed on: Redis quotes neither keys nor values in
/// it.
pub(super) fn server_error(error: ServerError) -> Error {
    let code = error.code();
    let said = match error.details() {
        Some(details) => format!("Redis answered: {code} {details}"),
        None => format!("Redis answered: {code}"),
    };
    match code {
        "NOAUTH" | "WRONGPASS" => Error::new(
            ErrorCode::Authentication,
            "Redis refused the login; see the options \"user\" and \"password\"",
        ),
        // After a failover: a new connection finds the new primary behind the same name.
        "READONLY" => Error::connection("the server has become a read-only replica"),
        "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "NOREPLICAS" | "BUSY" => {
            Error::transient(ErrorCode::Backend, said)
        }
        _ => Error::new(ErrorCode::Backend, said),
    }
}

/// The result of a transaction by the replies inside that to `EXEC`.
pub(super) fn exec_result(results: Vec<Value>) -> Result<(), Error> {
    results.into_iter().try_for_each(|result| match result {
        Value::ServerError(error) => Err(server_error(error)),
        _ => Ok(()),
    })
}

/// Why `AUTH` failed.
pub(super) fn login_error(error: Error) -> Error {
    match error.code() {
        // `ERR AUTH <password> called without any password configured`, or a server without users.
        ErrorCode::Backend => Error::new(
            ErrorCode::Authentication,
            "Redis has no such login; see the options \"user\" and \"password\"",
        ),
        _ => error,
    }
}

/// Why `SELECT` failed.
pub(super) fn select_error(error: Error) -> Error {
    match error.code() {
        ErrorCode::Backend => {
            Error::new(ErrorCode::Configuration, format!("{}; see the option \"db\"", error.message()))
        }
        _ => error,
    }
}

/// What an error reply to the first `PING` means.
pub(super) fn ping_error(error: Error) -> Result<(), Error> {
    match error.code() {
        // A user without permission to ping is authenticated nevertheless.
        ErrorCode::Backend if error.message().contains("NOPERM") => Ok(()),
        ErrorCode::Backend => Err(Error::connection(error.message().to_owned())),
        _ => Err(error),
    }
}
