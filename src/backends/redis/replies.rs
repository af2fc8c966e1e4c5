//! What a Redis server's refusals, and failures of the connection, mean for the engine.

use redis::{ServerError, Value};

use crate::core::{Error, ErrorCode};

/// An answer that has not the form its command promises: the two sides have lost each other.
pub(super) fn unexpected() -> Error {
    Error::connection("the server's answer does not fit the question")
}

/// Bytes that are no Redis reply at all.
pub(super) fn malformed() -> Error {
    Error::connection("the server does not speak the Redis protocol")
}

/// Why the server refused an operation; see <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>
/// for the words that errors begin with. The server's own words are passed on: Redis quotes
/// neither keys nor values in them.
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
        // A former primary: a new connection finds the new one behind the same name.
        "READONLY" => Error::connection("the server has become a read-only replica"),
        "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "NOREPLICAS" | "BUSY" => {
            Error::transient(ErrorCode::Backend, said)
        }
        _ => Error::new(ErrorCode::Backend, said),
    }
}

/// The replies inside a transaction that was carried out.
pub(super) fn all_well(results: Vec<Value>) -> Result<(), Error> {
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

/// What a refused first `PING` means.
pub(super) fn greeting_error(error: Error) -> Result<(), Error> {
    match error.code() {
        // Somebody who may not ping is logged in nevertheless.
        ErrorCode::Backend if error.message().contains("NOPERM") => Ok(()),
        ErrorCode::Backend => Err(Error::connection(error.message().to_owned())),
        _ => Err(error),
    }
}
