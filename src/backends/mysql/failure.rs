//! The servers' errors in words: what happened, and what to do about it.
//!
//! Their own messages are not repeated: they may hold keys and data.
//! <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>,
//! <https://docs.pingcap.com/tidb/stable/error-codes>

use super::statements::Dialect;
use super::wire::{Failure, Refusal};
use crate::config::wrong;
use crate::core::{Error, ErrorCode};

pub(super) mod code {
    pub const TOO_MANY_CONNECTIONS: u16 = 1040;
    pub const HOST_BLOCKED: u16 = 1129;
    pub const HOST_NOT_ALLOWED: u16 = 1130;
    pub const NO_ACCESS_TO_DATABASE: u16 = 1044;
    pub const ACCESS_DENIED: u16 = 1045;
    pub const UNKNOWN_DATABASE: u16 = 1049;
    pub const NO_SUCH_TABLE: u16 = 1146;
    pub const TOO_MANY_CONNECTIONS_OF_USER: u16 = 1203;
    pub const LIMIT_OF_USER: u16 = 1226;
    pub const UNKNOWN_STATEMENT: u16 = 1243;
    pub const TOO_MANY_STATEMENTS: u16 = 1461;
    pub const PREPARE_AGAIN: u16 = 1615;
    pub const NO_PASSWORD: u16 = 1698;
    pub const PASSWORD_EXPIRED: u16 = 1862;
    pub const MUST_CHANGE_PASSWORD: u16 = 1820;
    pub const ACCOUNT_LOCKED: u16 = 3118;
    pub const ACCOUNT_LOCKED_MARIADB: u16 = 4151;
    pub const TLS_DEMANDED: u16 = 3159;
    pub const JSON_INVALID_TEXT: u16 = 3140;
    pub const JSON_INVALID: u16 = 3141;
    pub const JSON_CHARSET: u16 = 3144;
    pub const JSON_TOO_DEEP: u16 = 3157;
    pub const CHECK_FAILED_MARIADB: u16 = 4025;
}

/// What a refusal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The operation is tried again, with growing pauses.
    Again,
    /// So is everything that waits for the server.
    Rest,
    /// Somebody holds a lock on a row, or on the whole table.
    Lock,
    /// The server takes no writes.
    ReadOnly,
    /// The connection, or the server, is of no more use.
    Reconnect,
    /// The record is refused; the others of its statement may be taken.
    RefuseRow,
    /// So would be every record.
    RefuseAll,
    /// The record is too large.
    TooLarge,
    /// Nothing goes before somebody has changed the login.
    Login,
}

const NO_RIGHT: &str = "the user (option \"user\") has not the right to do this; grant it SELECT, INSERT, UPDATE, DELETE and CREATE on the database";
const DATABASE_GONE: &str = "the database (option \"database\") is not there any more";
const NO_SPACE: &str =
    "the server has no space left, and nothing was stored; free space on its disk, or raise its limit";
const FILES_FAIL: &str =
    "the server failed to read or write its files, and nothing was stored; look after its disk";
const IN_THE_WAY: &str = "another transaction was in the way";
const DEADLOCK: &str = "another transaction was in the way (deadlock)";
const LOCKED: &str = "another transaction holds a lock on the record or its table; end it, or raise timeout";
const INTERRUPTED: &str = "the server interrupted the statement";
const PREPARE: &str = "the statement must be prepared again";
const NO_MEMORY: &str = "the server has no more memory, threads or locks at the moment";
const READ_ONLY: &str = "the server is read-only, as a replica is; give the address of one that takes writes";
const ENDED: &str = "the server ended the connection";
const CLUSTER_AWAY: &str = "the cluster behind the server does not answer it";
const NOT_READY: &str =
    "the server takes no statements at the moment, as a node that has lost its cluster does";
const SOMEBODYS_COLUMNS: &str =
    "a generated column, index, constraint or trigger that somebody added to its table refuses the record";

/// What each error is, and the words for it. Which of them are tried again is said by the servers'
/// documentation, and by that of their clusters.
const REFUSALS: &[(u16, Deed, &str)] = &[
    // In MariaDB what one of two connections gets that make the same table at once.
    (6, Deed::Again, "another connection makes or drops the same table"),
    (1020, Deed::Again, DEADLOCK),
    (1213, Deed::Again, DEADLOCK),
    (1614, Deed::Again, DEADLOCK),
    // A cluster has carried out another transaction first: Galera, group replication, TiDB.
    (1180, Deed::Again, IN_THE_WAY),
    (3101, Deed::Again, IN_THE_WAY),
    (8002, Deed::Again, IN_THE_WAY),
    (8005, Deed::Again, IN_THE_WAY),
    (8022, Deed::Again, IN_THE_WAY),
    (9004, Deed::Again, IN_THE_WAY),
    (9007, Deed::Again, IN_THE_WAY),
    (1317, Deed::Again, INTERRUPTED),
    (1969, Deed::Again, INTERRUPTED),
    (3024, Deed::Again, INTERRUPTED),
    (code::UNKNOWN_STATEMENT, Deed::Again, PREPARE),
    (code::PREPARE_AGAIN, Deed::Again, PREPARE),
    (1412, Deed::Again, "the record's table was changed a moment ago"),
    (8028, Deed::Again, "the record's table was changed a moment ago"),
    (1205, Deed::Lock, LOCKED),
    (3572, Deed::Lock, LOCKED),
    (
        code::TOO_MANY_STATEMENTS,
        Deed::Rest,
        "the server takes no more prepared statements; raise its max_prepared_stmt_count, or lower maxConnections",
    ),
    (1037, Deed::Rest, NO_MEMORY),
    (1038, Deed::Rest, NO_MEMORY),
    (1041, Deed::Rest, NO_MEMORY),
    (1206, Deed::Rest, NO_MEMORY),
    (1637, Deed::Rest, NO_MEMORY),
    (code::LIMIT_OF_USER, Deed::Rest, "the limit for this hour of the user (option \"user\") is reached; raise it"),
    (1297, Deed::Rest, "the server refuses for the moment"),
    (3100, Deed::Rest, "the server refuses for the moment"),
    // TiDB and ProxySQL, by their own numbers.
    (9001, Deed::Rest, CLUSTER_AWAY),
    (9002, Deed::Rest, CLUSTER_AWAY),
    (9003, Deed::Rest, CLUSTER_AWAY),
    (9005, Deed::Rest, CLUSTER_AWAY),
    // What proxies pass on of their own connections.
    (2002, Deed::Rest, CLUSTER_AWAY),
    (2003, Deed::Rest, CLUSTER_AWAY),
    (2006, Deed::Rest, CLUSTER_AWAY),
    (2013, Deed::Rest, CLUSTER_AWAY),
    (1290, Deed::ReadOnly, READ_ONLY),
    (1792, Deed::ReadOnly, READ_ONLY),
    (1836, Deed::ReadOnly, READ_ONLY),
    (1874, Deed::ReadOnly, READ_ONLY),
    (1047, Deed::Reconnect, NOT_READY),
    (3168, Deed::Reconnect, NOT_READY),
    (1053, Deed::Reconnect, "the server is shutting down"),
    (1152, Deed::Reconnect, ENDED),
    (1184, Deed::Reconnect, ENDED),
    (1927, Deed::Reconnect, ENDED),
    (4031, Deed::Reconnect, ENDED),
    (1046, Deed::Reconnect, DATABASE_GONE),
    (code::UNKNOWN_DATABASE, Deed::Reconnect, DATABASE_GONE),
    (
        1048,
        Deed::RefuseRow,
        "a unique index that somebody added to the record's table has another record with the same value",
    ),
    (1062, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1216, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1264, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1265, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1292, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1364, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1365, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1366, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1406, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1411, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1451, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1452, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1644, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (1690, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (code::JSON_INVALID_TEXT, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (code::JSON_INVALID, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (3156, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (3751, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (3752, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (3819, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (3903, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (code::CHECK_FAILED_MARIADB, Deed::RefuseRow, SOMEBODYS_COLUMNS),
    (code::NO_ACCESS_TO_DATABASE, Deed::RefuseAll, NO_RIGHT),
    (1142, Deed::RefuseAll, NO_RIGHT),
    (1143, Deed::RefuseAll, NO_RIGHT),
    (1227, Deed::RefuseAll, NO_RIGHT),
    (1021, Deed::RefuseAll, NO_SPACE),
    (1114, Deed::RefuseAll, NO_SPACE),
    (1534, Deed::RefuseAll, NO_SPACE),
    (1030, Deed::RefuseAll, FILES_FAIL),
    (1036, Deed::RefuseAll, "the record's table is read-only; change that at the server"),
    (3989, Deed::RefuseAll, "the database (option \"database\") is read-only; change that at the server"),
    (
        1054,
        Deed::RefuseAll,
        "the record's table is not one for records, with the columns id, version, data, raw and long_key; rename it, or choose another database, splitChar or defaultTable",
    ),
    (
        1071,
        Deed::RefuseAll,
        "the server's pages are too small for the index of a table for records; its innodb_page_size must be 8k or more",
    ),
    (
        1665,
        Deed::RefuseAll,
        "the server's binlog_format is STATEMENT, which is impossible with READ COMMITTED; make it ROW or MIXED",
    ),
    (1153, Deed::TooLarge, "the record is larger than the server's max_allowed_packet; raise that"),
    (code::MUST_CHANGE_PASSWORD, Deed::Login, "the server wants the user's \"password\" to be changed first"),
];

fn known(code: u16) -> Option<(Deed, &'static str)> {
    REFUSALS.iter().find(|(known, ..)| *known == code).map(|(_, deed, words)| (*deed, *words))
}

/// What a refusal asks for. One that is not known may be about one row, or about all.
pub(super) fn deed(refusal: &Refusal) -> Deed {
    known(refusal.code).map_or(Deed::RefuseRow, |(deed, _)| deed)
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

/// A write while the server takes none.
pub(super) fn read_only() -> Error {
    Error::transient(ErrorCode::Unavailable, READ_ONLY)
}

/// A write to a row that somebody has locked.
pub(super) fn locked() -> Error {
    Error::transient(ErrorCode::Unavailable, LOCKED)
}

/// What a statement's failure means to those who wait for it.
pub(super) fn of_operation(failure: Failure, dialect: Dialect) -> Error {
    let refusal = match failure {
        Failure::Lost(error) => return error,
        Failure::Refused(refusal) => refusal,
    };
    let code = refusal.code;
    let Some((deed, words)) = known(code) else {
        // What it is about is not known, and so nothing is said of it.
        let server = dialect.name();
        return Error::new(
            ErrorCode::Backend,
            format!("{server} refused the operation with error {code}; see its documentation, and its log"),
        );
    };
    let with_code = || format!("{words} (error {code})");
    match deed {
        Deed::Again => Error::transient(ErrorCode::Unavailable, with_code()),
        Deed::Rest => Error::transient(ErrorCode::Unavailable, with_code()).of_server(),
        Deed::Lock => locked(),
        Deed::ReadOnly => read_only(),
        Deed::Reconnect => Error::connection(with_code()),
        Deed::RefuseRow | Deed::RefuseAll => Error::new(ErrorCode::Backend, with_code()),
        Deed::TooLarge => Error::new(ErrorCode::TooLarge, words),
        Deed::Login => Error::new(ErrorCode::Authentication, words),
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
        code::TOO_MANY_CONNECTIONS_OF_USER | code::LIMIT_OF_USER => Error::connection(format!(
            "the user \"{user}\" has as many connections as the server allows; raise its limit there, or lower maxConnections"
        )),
        code::HOST_BLOCKED => {
            Error::connection("the server has blocked this host after too many errors; run FLUSH HOSTS there")
        }
        other => Error::connection(match known(other) {
            Some((Deed::Rest | Deed::Reconnect, words)) => format!("{words} (error {other})"),
            _ => format!("the server refused the connection with error {other}"),
        }),
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
        for number in 0..10_000 {
            for error in [
                of_operation(refused(number), Dialect::Mysql),
                of_connect(refused(number), "user", "records"),
            ] {
                assert!(!error.message().contains("secret data"), "{error}");
            }
        }
    }

    #[test]
    fn each_error_is_in_the_table_once() {
        for (index, (code, ..)) in REFUSALS.iter().enumerate() {
            assert!(REFUSALS[..index].iter().all(|(other, ..)| other != code), "{code}");
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
        let error = |code| of_operation(refused(code), Dialect::MariaDb);
        for code in [1180, 1205, 1213, 1290, 1317, 1836, 3101, 9007] {
            assert_eq!(error(code).remedy(), Remedy::TryAgain, "{code}");
            assert!(!error(code).is_of_server(), "{code}");
        }
        for code in [code::TOO_MANY_STATEMENTS, 1206, 1226, 1297, 9002] {
            assert_eq!(error(code).remedy(), Remedy::TryAgain, "{code}");
            assert!(error(code).is_of_server(), "{code}");
        }
        for code in [1047, 1053, 1927, 3168] {
            assert_eq!(error(code).remedy(), Remedy::Reconnect, "{code}");
        }
        for code in [1021, 1062, 3819, 4025, 1234] {
            assert_eq!(error(code).remedy(), Remedy::Report, "{code}");
        }
        for code in [1047, 3168] {
            let error = of_connect(refused(code), "user", "records");
            assert_eq!((error.remedy(), error.code()), (Remedy::Reconnect, ErrorCode::Unavailable));
        }
    }

    #[test]
    fn an_unknown_error_is_shown_by_its_number_and_blamed_on_nobody() {
        let error = of_operation(refused(1234), Dialect::Mysql);
        assert!(error.message().contains("error 1234"), "{error}");
        for blamed in ["column", "trigger", "table", "index"] {
            assert!(!error.message().contains(blamed), "{error}");
        }
    }
}
