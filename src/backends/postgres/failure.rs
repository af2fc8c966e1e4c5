//! PostgreSQL's error codes in words: what happened, and what to do about it.
//!
//! The server's own messages are not repeated for operations on records: they may hold a record's
//! data, or its key. Source of the codes:
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::DbError;
use tokio_postgres::Error as Failure;

use super::options::Options;
use crate::config::wrong;
use crate::core::{Error, ErrorCode};
use crate::net::tls;

/// What a failed statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// There is no such table, or no such schema.
    MissingTable,
    /// The table has other columns than it was known to have, or what was prepared for it is not
    /// good any more.
    Shape,
    /// There is no such function, which for a new table is that of its trigger.
    Function,
    /// The server knows a prepared statement by another name, or not at all.
    Statement,
    /// Somebody holds a lock on one of several rows, or on all.
    Lock,
    /// Perhaps one of several rows alone.
    Row,
    /// Everything that was asked.
    All,
}

fn code(failure: &Failure) -> &str {
    failure.code().map_or("", |code| code.code())
}

pub(super) fn about(failure: &Failure) -> About {
    match code(failure) {
        "42P01" | "3F000" => About::MissingTable,
        // Unknown column, type mismatch, cannot be cast, a plan whose result changed.
        "42703" | "42804" | "42846" | "0A000" => About::Shape,
        // An operator as well, where a column's type changed.
        "42883" => About::Function,
        "26000" | "42P05" => About::Statement,
        "55P03" => About::Lock,
        code if ["22", "23", "54", "P0", "44"].contains(&code.get(..2).unwrap_or("")) => About::Row,
        _ => About::All,
    }
}

/// Whether somebody else made the same thing a moment ago.
pub(super) fn is_there_already(failure: &Failure) -> bool {
    // Two that make the same at once meet in the catalog's indexes, or change one row of it.
    matches!(code(failure), "42P07" | "42P06" | "42710" | "42723" | "23505" | "XX000")
}

/// A failure of a statement on records. `options` is where it was sent.
pub(super) fn of_operation(failure: &Failure, options: &Options) -> Error {
    let Some(answer) = failure.as_db_error() else { return of_connection(failure) };
    let code = answer.code().code();
    if let Some(error) = of_code(code, options) {
        return error;
    }
    if is_about_session(answer) {
        return of_session(answer, options);
    }
    // Nothing is known of it but that.
    Error::new(ErrorCode::Backend, format!("{} refused the operation ({code})", options.in_words()))
}

/// What a code of the server's means for an operation on records, as far as that is known.
fn of_code(code: &str, options: &Options) -> Option<Error> {
    let place = options.in_words();
    let report = |message: String| Error::new(ErrorCode::Backend, message);
    let for_now = |what: &str| Error::transient(ErrorCode::Unavailable, format!("{what} at {place}"));
    let overloaded = |what: &str| for_now(what).of_server();
    Some(match code {
        "40001" => for_now("another transaction came first"),
        "40P01" => for_now("a deadlock with another transaction was broken up"),
        "55P03" => for_now("another transaction holds a lock"),
        "55006" => for_now("a table is in use"),
        "57014" => for_now("the statement was cancelled, by an administrator or by statement_timeout,"),
        "53200" => overloaded("there is not enough memory"),
        "53000" | "53400" => overloaded("a resource's limit is reached"),
        // A table was dropped between two looks.
        "XX000" => for_now("the server failed within itself (XX000)"),
        // A standby is never connected to, so it has become one, or somebody has said so; either is
        // another matter on the next connection, which may lead to another server.
        "25006" => Error::connection(format!(
            "nothing may be written over this connection to {place} (a standby, or default_transaction_read_only)"
        )),
        "26000" | "42P05" => for_now(
            "a pooler gave the session to somebody else, where the option \"preparedStatements\" must be false,",
        ),
        "53100" => report(format!("the disk of {place} is full, and nothing was stored; free space on it")),
        "58030" | "58000" | "XX001" | "XX002" => report(format!(
            "the system of {place} failed to read or write its files ({code}); look after its disk and log"
        )),
        "42501" => report(format!(
            "the role \"{}\" may not do this at {place}; GRANT it the rights to the schema \"{}\" and its tables",
            options.user, options.schema
        )),
        "54000" | "54001" | "54011" | "54023" => Error::new(
            ErrorCode::TooLarge,
            format!("the record is larger than PostgreSQL can hold ({code})"),
        ),
        "22003" => report(format!(
            "a number is out of the range of its column at {place}; for versions see the option \"bigintVersions\""
        )),
        "22021" | "22P05" => report(format!(
            "a character of the record has no place in the encoding of {place}; make the database with ENCODING 'UTF8'"
        )),
        "42P10" => report(format!(
            "the record's table at {place} has no primary key on id; add it, or choose another schema"
        )),
        "40000" | "40003" => for_now("the transaction was rolled back"),
        "23502" | "23503" | "23505" | "23514" | "23P01" | "44000" => report(format!(
            "a constraint that somebody added to the record's table at {place} refuses it ({code})"
        )),
        "P0001" => report(format!(
            "a trigger that somebody added to the record's table at {place} refuses it ({code})"
        )),
        "42883" => report(format!(
            "a function is missing at {place} that a trigger of the record's table or the type of one of its columns needs ({code})"
        )),
        "42703" | "42804" | "42846" | "42809" => report(format!(
            "the record's table at {place} is not one for records, with the columns id (its primary key), version and val ({code}); rename it, or choose another schema, splitChar or defaultTable"
        )),
        _ => return None,
    })
}

/// Whether an answer is about the session and not about a statement.
fn is_about_session(answer: &DbError) -> bool {
    let code = answer.code().code();
    matches!(code.get(..2), Some("08" | "28" | "3D"))
        || matches!(code, "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "53300" | "25P03")
        || answer.parsed_severity() == Some(tokio_postgres::error::Severity::Fatal)
}

/// The server's own words about a session, unless the password may be among them.
fn words<'a>(answer: &'a DbError, options: &Options) -> &'a str {
    let is_safe = match &options.password {
        None => true,
        Some(password) => password.as_text().is_some_and(|text| !answer.message().contains(text)),
    };
    if is_safe {
        answer.message()
    } else {
        "in words that are not repeated"
    }
}

/// The server lets nobody in, or throws us out. Here its own words are the best there are: they
/// name roles, databases and addresses.
fn of_session(answer: &DbError, options: &Options) -> Error {
    let code = answer.code().code();
    match code {
        "28P01" | "28000" => {
            let remedy =
                "see the options \"user\", \"password\" and \"sslmode\", and the server's pg_hba.conf";
            Error::new(
                ErrorCode::Authentication,
                format!("{} refused the login ({}); {remedy}", options.in_words(), words(answer, options)),
            )
        }
        "3D000" => wrong(format!(
            "there is no database \"{}\" at this server; create it, or see the option \"database\"",
            options.database
        )),
        "57P01" => Error::connection("an administrator ended the connection, or the server is shutting down"),
        "57P02" => Error::connection("the server crashed and recovers"),
        "57P03" => {
            Error::connection(format!("the server takes no connections yet ({})", words(answer, options)))
        }
        "57P05" => Error::connection("the server ended a connection that was idle (idle_session_timeout)"),
        "53300" => Error::connection(
            "the server has too many connections; see its max_connections and the option \"maxConnections\"",
        ),
        _ => {
            Error::connection(format!("the server ended the connection ({code}: {})", words(answer, options)))
        }
    }
}

/// A failure to connect and log in.
pub(super) fn of_connect(failure: &Failure, options: &Options) -> Error {
    match failure.as_db_error() {
        Some(answer) if answer.code().code() == "42501" => wrong(format!(
            "the role \"{}\" may not use or create the schema \"{}\" ({}); GRANT it the right, or see the option \"schema\"",
            options.user,
            options.schema,
            words(answer, options)
        )),
        Some(answer) if is_about_session(answer) => of_session(answer, options),
        Some(answer) => Error::connection(format!(
            "the server refused to set the session up ({}: {})",
            answer.code().code(),
            words(answer, options)
        )),
        None => of_connection(failure),
    }
}

const LACK_OF_TLS: &str = "the server does not do TLS; configure it, or see the option \"sslmode\"";

/// Whether it is TLS that is wanted and not to be had.
pub(super) fn is_lack_of_tls(error: &Error) -> bool {
    error.message() == LACK_OF_TLS
}

/// A failure that the server did not tell.
pub(super) fn of_connection(failure: &Failure) -> Error {
    if failure.is_closed() {
        return Error::connection("the server closed the connection");
    }
    // The library's own words; nothing of what was sent is in them.
    let mut words = failure.to_string();
    let mut cause = failure.source();
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return ours.clone();
        }
        if let Some(error) = inner.downcast_ref::<io::Error>().filter(|_| words.contains("communicating")) {
            if let Some(ours) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                return ours.clone();
            }
            return tls::failure(error)
                .unwrap_or_else(|| Error::connection(format!("the connection broke: {}", error.kind())));
        }
        words.push_str(": ");
        words.push_str(&inner.to_string());
        cause = inner.source();
    }
    match words.as_str() {
        text if text.contains("does not support TLS") => wrong(LACK_OF_TLS),
        text if text.contains("password missing") => Error::new(
            ErrorCode::Authentication,
            "the server asks for a password, and there is none; see the option \"password\"",
        ),
        text if text.contains("authentication error") => Error::new(
            ErrorCode::Authentication,
            format!("the server asks for a login that is not possible here ({text}); see its pg_hba.conf"),
        ),
        text => Error::connection(format!("the server does not speak PostgreSQL's protocol ({text})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::postgres::OPTIONS;
    use crate::config::{parse, Settings};
    use crate::core::Remedy;

    fn of(code: &str) -> Option<Error> {
        let given = parse(br#"{"host": "h", "user": "u", "database": "d"}"#).unwrap();
        let settings = Settings::check(given, "postgres", OPTIONS).unwrap();
        of_code(code, &Options::read(&settings).unwrap())
    }

    #[test]
    fn of_an_unknown_code_nothing_is_claimed() {
        for code in ["42601", "42P17", "42000", "P0002", "23000", "0LP01", "99999", ""] {
            assert!(of(code).is_none(), "{code}: {:?}", of(code));
        }
        for (code, word) in
            [("42703", "columns"), ("42883", "function"), ("23514", "constraint"), ("P0001", "trigger")]
        {
            let error = of(code).unwrap();
            assert!(error.message().contains(word) && error.message().contains(code), "{error}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_waited_out() {
        for code in ["40001", "40003", "40P01", "55P03", "57014", "53200", "26000"] {
            assert_eq!(of(code).map(|error| error.remedy()), Some(Remedy::TryAgain), "{code}");
        }
        assert_eq!(of("25006").map(|error| error.remedy()), Some(Remedy::Reconnect));
    }
}
