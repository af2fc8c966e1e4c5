//! The servers' errors in words: what happened, and what to do about it.
//!
//! Their own messages are not repeated: they may hold keys and data.
//! <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>

use super::statements::Dialect;
use super::wire::{Failure, Refusal};
use crate::config::wrong;
use crate::core::{Error, ErrorCode};

pub(super) mod code {
    /// `EE_DELETE`: in MariaDB what one of two connections gets that make the same table at once.
    pub const FILE_NOT_DELETED: u16 = 6;
    pub const DISK_FULL: u16 = 1021;
    pub const RECORD_CHANGED: u16 = 1020;
    pub const ENGINE_FAILED: u16 = 1030;
    pub const TOO_MANY_CONNECTIONS: u16 = 1040;
    pub const HOST_BLOCKED: u16 = 1129;
    pub const HOST_NOT_ALLOWED: u16 = 1130;
    pub const NO_ACCESS_TO_DATABASE: u16 = 1044;
    pub const ACCESS_DENIED: u16 = 1045;
    pub const NO_DATABASE: u16 = 1046;
    pub const NULL_IS_IMPOSSIBLE: u16 = 1048;
    pub const UNKNOWN_DATABASE: u16 = 1049;
    pub const SHUTTING_DOWN: u16 = 1053;
    pub const UNKNOWN_COLUMN: u16 = 1054;
    pub const KEY_TOO_LONG: u16 = 1071;
    pub const TABLE_FULL: u16 = 1114;
    pub const NO_RIGHT_TO_TABLE: u16 = 1142;
    pub const NO_RIGHT_TO_COLUMN: u16 = 1143;
    pub const NO_SUCH_TABLE: u16 = 1146;
    pub const PACKET_TOO_LARGE: u16 = 1153;
    pub const NO_RIGHT: u16 = 1227;
    pub const LOCK_WAIT_TIMEOUT: u16 = 1205;
    pub const DEADLOCK: u16 = 1213;
    pub const UNKNOWN_STATEMENT: u16 = 1243;
    pub const OPTION_PREVENTS: u16 = 1290;
    pub const INTERRUPTED: u16 = 1317;
    pub const TOO_MANY_STATEMENTS: u16 = 1461;
    pub const PREPARE_AGAIN: u16 = 1615;
    pub const BINARY_LOG_OF_STATEMENTS: u16 = 1665;
    pub const NO_PASSWORD: u16 = 1698;
    pub const TABLE_OUT_OF_SPACE: u16 = 1534;
    pub const READ_ONLY_TRANSACTION: u16 = 1792;
    pub const READ_ONLY_MODE: u16 = 1836;
    pub const PASSWORD_EXPIRED: u16 = 1862;
    pub const MUST_CHANGE_PASSWORD: u16 = 1820;
    pub const KILLED: u16 = 1927;
    pub const TOOK_TOO_LONG_MARIADB: u16 = 1969;
    pub const TOOK_TOO_LONG: u16 = 3024;
    pub const ACCOUNT_LOCKED: u16 = 3118;
    pub const ACCOUNT_LOCKED_MARIADB: u16 = 4151;
    pub const TLS_DEMANDED: u16 = 3159;
    pub const JSON_INVALID_TEXT: u16 = 3140;
    pub const JSON_INVALID: u16 = 3141;
    pub const JSON_CHARSET: u16 = 3144;
    pub const JSON_TOO_DEEP: u16 = 3157;
    pub const CHECK_FAILED_MARIADB: u16 = 4025;
    pub const IDLE_TOO_LONG: u16 = 4031;
}

/// Whether a row may go in where the column for documents is left out of it.
pub(super) fn is_about_json(refusal: &Refusal) -> bool {
    match refusal.code {
        // Not one that somebody added.
        code::CHECK_FAILED_MARIADB => refusal.words.contains(".data` "),
        other => matches!(
            other,
            code::JSON_TOO_DEEP | code::JSON_INVALID | code::JSON_INVALID_TEXT | code::JSON_CHARSET
        ),
    }
}

/// Whether a refusal would be the same for every row of the statement.
pub(super) fn is_about_the_statement(refusal: &Refusal) -> bool {
    matches!(
        refusal.code,
        code::DISK_FULL
            | code::ENGINE_FAILED
            | code::TABLE_FULL
            | code::TABLE_OUT_OF_SPACE
            | code::NO_ACCESS_TO_DATABASE
            | code::NO_RIGHT
            | code::NO_RIGHT_TO_TABLE
            | code::NO_RIGHT_TO_COLUMN
            | code::UNKNOWN_COLUMN
            | code::KEY_TOO_LONG
            | code::BINARY_LOG_OF_STATEMENTS
    )
}

/// What a statement's failure means to those who wait for it.
pub(super) fn of_operation(failure: Failure, dialect: Dialect) -> Error {
    let refusal = match failure {
        Failure::Lost(error) => return error,
        Failure::Refused(refusal) => refusal,
    };
    let server = dialect.name();
    let report = |message: String| Error::new(ErrorCode::Backend, message);
    let passing = |message: &str| Error::transient(ErrorCode::Unavailable, message.to_owned());
    match refusal.code {
        code::DEADLOCK | code::RECORD_CHANGED => passing("another transaction was in the way (deadlock)"),
        code::FILE_NOT_DELETED => passing("another connection makes or drops the same table"),
        code::LOCK_WAIT_TIMEOUT => {
            passing("another transaction holds a lock on the record or its table; end it, or raise timeout")
        }
        code::INTERRUPTED | code::TOOK_TOO_LONG | code::TOOK_TOO_LONG_MARIADB => {
            passing("the server interrupted the statement")
        }
        code::UNKNOWN_STATEMENT | code::PREPARE_AGAIN => passing("the statement must be prepared again"),
        code::TOO_MANY_STATEMENTS => passing(
            "the server takes no more prepared statements; raise its max_prepared_stmt_count, or lower maxConnections",
        )
        .of_server(),
        code::SHUTTING_DOWN => Error::connection("the server is shutting down"),
        code::KILLED | code::IDLE_TOO_LONG => Error::connection("the server ended the connection"),
        code::NO_DATABASE | code::UNKNOWN_DATABASE => {
            Error::connection("the database (option \"database\") is not there any more")
        }
        code::OPTION_PREVENTS | code::READ_ONLY_MODE | code::READ_ONLY_TRANSACTION => {
            Error::connection("the server is read-only, as a replica is; give the address of one that takes writes")
        }
        code::NO_RIGHT_TO_TABLE | code::NO_RIGHT_TO_COLUMN | code::NO_ACCESS_TO_DATABASE | code::NO_RIGHT => {
            report(
                "the user (option \"user\") has not the right to do this; grant it SELECT, INSERT, UPDATE, DELETE and CREATE on the database".into(),
            )
        }
        code::DISK_FULL | code::TABLE_FULL | code::TABLE_OUT_OF_SPACE => {
            report(format!("{server} has no space left, and nothing was stored; free space on its disk, or raise its limit"))
        }
        code::ENGINE_FAILED => report(format!(
            "{server} failed to read or write its files, and nothing was stored; look after its disk"
        )),
        code::PACKET_TOO_LARGE => Error::new(
            ErrorCode::TooLarge,
            "the record is larger than the server's max_allowed_packet; raise that",
        ),
        code::UNKNOWN_COLUMN => report(
            "the record's table is not one for records, with the columns id, version, data, raw and long_key; rename it, or choose another database, splitChar or defaultTable".into(),
        ),
        code::KEY_TOO_LONG => report(
            "the server's pages are too small for the index of a table for records; its innodb_page_size must be 8k or more".into(),
        ),
        code::BINARY_LOG_OF_STATEMENTS => report(
            "the server's binlog_format is STATEMENT, which is impossible with READ COMMITTED; make it ROW or MIXED".into(),
        ),
        code::NULL_IS_IMPOSSIBLE => report(
            "a unique index that somebody added to the record's table has another record with the same value".into(),
        ),
        code::MUST_CHANGE_PASSWORD => Error::new(
            ErrorCode::Authentication,
            "the server wants the user's \"password\" to be changed first",
        ),
        other => report(format!(
            "{server} refused the record with error {other}: a generated column, index, constraint or trigger that somebody added to its table may be the cause"
        )),
    }
}

/// What a failure to connect means. Code `Authentication` or `Configuration` where waiting will
/// not help.
pub(super) fn of_connect(failure: Failure, user: &str, database: &str) -> Error {
    let refusal = match failure {
        Failure::Lost(error) => return error,
        Failure::Refused(refusal) => refusal,
    };
    let denied = |message: String| Error::new(ErrorCode::Authentication, message);
    match refusal.code {
        code::ACCESS_DENIED | code::NO_PASSWORD => denied(format!(
            "the server does not let the user \"{user}\" in: give the right \"user\" and \"password\", or turn \"tls\" on if the server demands TLS of this user"
        )),
        code::PASSWORD_EXPIRED | code::MUST_CHANGE_PASSWORD => {
            denied(format!("the \"password\" of the user \"{user}\" has expired; change it at the server"))
        }
        code::ACCOUNT_LOCKED | code::ACCOUNT_LOCKED_MARIADB => {
            denied(format!("the server has locked the user \"{user}\", whatever the \"password\"; unlock it there"))
        }
        code::HOST_NOT_ALLOWED => denied(format!(
            "the server lets nobody in from this host; make a user \"{user}\" there that may come from here"
        )),
        code::TLS_DEMANDED => wrong("the server demands TLS; turn the option \"tls\" on"),
        code::UNKNOWN_DATABASE => wrong(format!(
            "the server has no database \"{database}\"; create it, or give another one as \"database\""
        )),
        code::NO_ACCESS_TO_DATABASE => wrong(format!(
            "the user \"{user}\" has no right to the database \"{database}\"; grant it, or give others as \"user\" and \"database\""
        )),
        code::TOO_MANY_CONNECTIONS => {
            Error::connection("the server has too many connections; raise its max_connections, or lower maxConnections")
        }
        code::HOST_BLOCKED => {
            Error::connection("the server has blocked this host after too many errors; run FLUSH HOSTS there")
        }
        code::SHUTTING_DOWN => Error::connection("the server is shutting down"),
        other => Error::connection(format!("the server refused the connection with error {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Remedy;

    fn refused(code: u16) -> Failure {
        Failure::Refused(Refusal { code, words: "Duplicate entry 'secret data' for key".into() })
    }

    #[test]
    fn no_message_has_the_servers_words() {
        for number in 0..5000 {
            for error in [
                of_operation(refused(number), Dialect::Mysql),
                of_connect(refused(number), "user", "records"),
            ] {
                assert!(!error.message().contains("secret data"), "{error}");
            }
        }
    }

    #[test]
    fn a_check_of_somebody_else_is_not_that_of_the_document() {
        let failed = |words: &str| Refusal { code: code::CHECK_FAILED_MARIADB, words: words.into() };
        assert!(is_about_json(&failed("CONSTRAINT `users.data` failed for `records`.`users`")));
        assert!(!is_about_json(&failed("CONSTRAINT `grown_up` failed for `records`.`users`")));
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_told() {
        let remedy = |code| of_operation(refused(code), Dialect::MariaDb).remedy();
        assert_eq!(remedy(code::DEADLOCK), Remedy::TryAgain);
        assert_eq!(remedy(code::LOCK_WAIT_TIMEOUT), Remedy::TryAgain);
        let is_of_server = |code| of_operation(refused(code), Dialect::Mysql).is_of_server();
        assert!(is_of_server(code::TOO_MANY_STATEMENTS) && !is_of_server(code::LOCK_WAIT_TIMEOUT));
        assert_eq!(remedy(code::KILLED), Remedy::Reconnect);
        assert_eq!(remedy(code::DISK_FULL), Remedy::Report);
        assert_eq!(remedy(3819), Remedy::Report);
    }
}
