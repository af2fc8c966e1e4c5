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
        // The key's slot alone is without a node, or between two of them.
        "CLUSTERDOWN" if said.contains("slot not served") => Error::transient(ErrorCode::Backend, said),
        "TRYAGAIN" => Error::transient(ErrorCode::Backend, said),
        // Reads go on.
        "NOREPLICAS" => Error::transient(ErrorCode::Backend, said),
        "LOADING" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY" => {
            Error::transient(ErrorCode::Backend, said).of_server()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Remedy;

    #[test]
    fn a_refusal_is_of_the_server_or_of_the_key() {
        let refused = |text: &str| {
            let Ok(Value::ServerError(reply)) = redis::parse_redis_value(text.as_bytes()) else { panic!() };
            let error = server_error(reply);
            assert_eq!(error.remedy(), Remedy::TryAgain, "{error}");
            error.is_of_server()
        };
        for of_server in [
            "-LOADING Redis is loading the dataset in memory\r\n",
            "-BUSY Redis is busy running a script.\r\n",
            "-MASTERDOWN Link with MASTER is down\r\n",
            "-CLUSTERDOWN The cluster is down\r\n",
        ] {
            assert!(refused(of_server), "{of_server}");
        }
        for of_key in [
            "-CLUSTERDOWN Hash slot not served\r\n",
            "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
            "-NOREPLICAS Not enough good replicas to write.\r\n",
        ] {
            assert!(!refused(of_key), "{of_key}");
        }
    }
}
