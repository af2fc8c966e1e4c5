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

/// What is done about an error reply to a command.
#[derive(Clone, Copy)]
enum Remedy {
    /// The login is missing or wrong.
    SeeLogin,
    /// The connection is of no more use.
    Reconnect,
    /// The server refuses everything for a while.
    WaitForServer,
    /// The server refuses this key, or this kind of command, for a while.
    WaitForKey,
    /// The caller is told.
    Report,
}

/// What is wrong with the options, so that no waiting helps.
#[derive(Clone, Copy)]
enum Mistake {
    /// User or password are wrong.
    Login,
    /// The server has no such way to log in.
    NoLogin,
    /// There is no such database, or not for this user.
    Database,
}

/// What an error reply means in the two phases of a connection.
struct Rule {
    code: &'static str,
    /// What the server's words hold, in lower case; empty for every reply with the code.
    words: &'static str,
    /// At the login. Without a mistake the server is waited for as one that is absent.
    at_login: Option<Mistake>,
    /// At an operation.
    at_operation: Remedy,
    /// The server's words after the code are always the same, and hold nothing of a command.
    is_passed_on: bool,
}

const fn rule(code: &'static str, words: &'static str, at_operation: Remedy) -> Rule {
    Rule { code, words, at_login: None, at_operation, is_passed_on: true }
}

const fn mistake(code: &'static str, words: &'static str, mistake: Mistake, at_operation: Remedy) -> Rule {
    Rule { code, words, at_login: Some(mistake), at_operation, is_passed_on: false }
}

/// The error replies that are known, by code (<https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors>)
/// and words; the first that fits counts.
const RULES: &[Rule] = &[
    mistake("WRONGPASS", "", Mistake::Login, Remedy::SeeLogin),
    mistake("NOAUTH", "", Mistake::Login, Remedy::SeeLogin),
    mistake("NOPERM", "", Mistake::Database, Remedy::Report),
    mistake("ERR", "invalid password", Mistake::Login, Remedy::Report),
    mistake("ERR", "no password is set", Mistake::NoLogin, Remedy::Report),
    mistake("ERR", "without any password configured", Mistake::NoLogin, Remedy::Report),
    mistake("ERR", "wrong number of arguments for 'auth'", Mistake::NoLogin, Remedy::Report),
    mistake("ERR", "db index is out of range", Mistake::Database, Remedy::Report),
    mistake("ERR", "invalid db index", Mistake::Database, Remedy::Report),
    mistake("ERR", "select is not allowed in cluster mode", Mistake::Database, Remedy::Report),
    rule("ERR", "max number of clients reached", Remedy::Reconnect),
    rule("ERR", CLUSTER_DISABLED, Remedy::Report),
    rule("ERR", UNKNOWN_PRIMARY, Remedy::Report),
    // After a failover: a new connection finds the new primary behind the same name.
    rule("READONLY", "", Remedy::Reconnect),
    // The key's slot alone is without a node, or between two of them.
    rule("CLUSTERDOWN", "slot not served", Remedy::WaitForKey),
    rule("TRYAGAIN", "", Remedy::WaitForKey),
    // Reads go on.
    rule("NOREPLICAS", "", Remedy::WaitForKey),
    rule("CLUSTERDOWN", "", Remedy::WaitForServer),
    rule("LOADING", "", Remedy::WaitForServer),
    rule("MASTERDOWN", "", Remedy::WaitForServer),
    rule("BUSY", "", Remedy::WaitForServer),
    rule("OOM", "", Remedy::Report),
    rule("MISCONF", "", Remedy::Report),
    Rule { is_passed_on: false, ..rule("CROSSSLOT", "", Remedy::Report) },
    Rule { is_passed_on: false, ..rule("MOVED", "", Remedy::Report) },
    Rule { is_passed_on: false, ..rule("ASK", "", Remedy::Report) },
    rule("WRONGTYPE", "", Remedy::Report),
    rule("EXECABORT", "", Remedy::Report),
];

/// What a server says that is no node of a cluster.
const CLUSTER_DISABLED: &str = "this instance has cluster support disabled";

/// What a sentinel says that does not know the primary.
const UNKNOWN_PRIMARY: &str = "no such master with that name";

/// What is said of a server that takes no writes any more.
const READ_ONLY: &str = "the server has become a read-only replica";

/// The code of the error that a user without permission gets.
pub(super) const NO_PERMISSION: &str = "NOPERM";

fn rule_of(error: &ServerError) -> Option<&'static Rule> {
    let words = error.details().unwrap_or_default().to_lowercase();
    RULES.iter().find(|rule| rule.code == error.code() && words.contains(rule.words))
}

/// What the server said, as far as it may be repeated: a server may quote the command, and with it
/// keys and records. Of words that are not known to be harmless the code alone is passed on.
fn said(error: &ServerError, rule: Option<&Rule>) -> String {
    let code = error.code();
    let is_code = |code: &str| {
        code.len() <= 32 && code.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
    };
    match (rule, error.details()) {
        (Some(rule), _) if rule.is_passed_on && !rule.words.is_empty() => {
            format!("Redis answered: {code} {}", rule.words)
        }
        (Some(rule), Some(details)) if rule.is_passed_on => format!("Redis answered: {code} {details}"),
        _ if code == NO_PERMISSION => {
            format!(
                "Redis answered: {code}; its access control list forbids this user the command or the key"
            )
        }
        _ if matches!(code, "CROSSSLOT" | "MOVED" | "ASK") => format!(
            "Redis answered: {code}; the server is a node of a cluster: give its address as \"nodes\" and not as \"host\" (of ElastiCache, as \"configurationEndpoint\")"
        ),
        _ if is_code(code) => format!("Redis answered: {code}"),
        _ => "Redis answered with an error of an unknown kind".to_owned(),
    }
}

fn wrong_login() -> Error {
    Error::new(
        ErrorCode::Authentication,
        "Redis refused the login; see the options \"user\" and \"password\"",
    )
}

/// An error reply to a command as an error.
pub(super) fn server_error(error: ServerError) -> Error {
    let rule = rule_of(&error);
    let said = said(&error, rule);
    match rule.map_or(Remedy::Report, |rule| rule.at_operation) {
        Remedy::SeeLogin => wrong_login(),
        Remedy::Reconnect if error.code() == "READONLY" => Error::connection(READ_ONLY),
        Remedy::Reconnect => Error::connection(said),
        Remedy::WaitForServer => Error::transient(ErrorCode::Backend, said).of_server(),
        Remedy::WaitForKey => Error::transient(ErrorCode::Backend, said),
        Remedy::Report => Error::new(ErrorCode::Backend, said),
    }
}

/// An error reply to a command of the login as an error: what passes is waited for as an absent
/// server is.
pub(super) fn login_error(error: ServerError) -> Error {
    let rule = rule_of(&error);
    let said = said(&error, rule);
    match rule.and_then(|rule| rule.at_login) {
        Some(Mistake::Login) => wrong_login(),
        Some(Mistake::NoLogin) => Error::new(
            ErrorCode::Authentication,
            "Redis has no such login; see the options \"user\" and \"password\"",
        ),
        Some(Mistake::Database) => Error::new(
            ErrorCode::Configuration,
            format!("{said}: this user cannot select the database; see the option \"db\""),
        ),
        None => Error::connection(said),
    }
}

/// Whether an error says that the user may not do this.
pub(super) fn is_forbidden(error: &Error) -> bool {
    error.code() == ErrorCode::Backend && error.message().contains(NO_PERMISSION)
}

/// Whether an error says that the server is a replica, which takes no writes.
pub(super) fn is_read_only(error: &Error) -> bool {
    error.message() == READ_ONLY
}

/// Whether an error says that a sentinel does not know the primary.
pub(super) fn is_unknown_primary(error: &Error) -> bool {
    error.message().contains(UNKNOWN_PRIMARY)
}

/// Whether an error says that the server is no node of a cluster.
pub(super) fn is_no_cluster(error: &Error) -> bool {
    error.message().contains(CLUSTER_DISABLED)
}

/// The result of a transaction by the replies inside that to `EXEC`.
pub(super) fn exec_result(results: Vec<Value>) -> Result<(), Error> {
    results.into_iter().try_for_each(|result| match result {
        Value::ServerError(error) => Err(server_error(error)),
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Remedy as Outcome;

    fn reply(text: &str) -> ServerError {
        let Ok(Value::ServerError(reply)) = redis::parse_redis_value(format!("-{text}\r\n").as_bytes())
        else {
            panic!("{text}")
        };
        reply
    }

    #[test]
    fn a_refusal_is_of_the_server_or_of_the_key() {
        let refused = |text: &str| {
            let error = server_error(reply(text));
            assert_eq!(error.remedy(), Outcome::TryAgain, "{error}");
            error.is_of_server()
        };
        for of_server in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script.",
            "MASTERDOWN Link with MASTER is down",
            "CLUSTERDOWN The cluster is down",
        ] {
            assert!(refused(of_server), "{of_server}");
        }
        for of_key in [
            "CLUSTERDOWN Hash slot not served",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "NOREPLICAS Not enough good replicas to write.",
        ] {
            assert!(!refused(of_key), "{of_key}");
        }
    }

    #[test]
    fn a_login_is_refused_for_good_by_what_does_not_pass() {
        for (text, code) in [
            ("WRONGPASS invalid username-password pair or user is disabled.", ErrorCode::Authentication),
            ("NOAUTH Authentication required.", ErrorCode::Authentication),
            ("ERR invalid password", ErrorCode::Authentication),
            ("ERR Client sent AUTH, but no password is set", ErrorCode::Authentication),
            (
                "ERR AUTH <password> called without any password configured for the default user.",
                ErrorCode::Authentication,
            ),
            ("ERR wrong number of arguments for 'auth' command", ErrorCode::Authentication),
            ("ERR DB index is out of range", ErrorCode::Configuration),
            ("NOPERM User a has no permissions to run the 'select' command", ErrorCode::Configuration),
        ] {
            assert_eq!(login_error(reply(text)).code(), code, "{text}");
        }
        for text in [
            "ERR max number of clients reached",
            "BUSY Redis is busy running a script.",
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "ERR unknown",
            "SOMETHING new",
        ] {
            let error = login_error(reply(text));
            assert_eq!(error.remedy(), Outcome::Reconnect, "{error}");
        }
    }

    #[test]
    fn a_clusters_node_hints_at_the_option() {
        for text in ["MOVED 7 h:1", "ASK 7 h:1", "CROSSSLOT Keys in request don't hash to the same slot"] {
            let error = server_error(reply(text));
            assert_eq!(error.remedy(), Outcome::Report, "{error}");
            assert!(error.message().contains("\"nodes\"") && !error.message().contains("h:1"), "{error}");
        }
    }

    #[test]
    fn what_a_server_quotes_is_not_passed_on() {
        for text in [
            "ERR unknown command 'MSET', with args beginning with: 'hunter2' '1' 'hunter2'",
            "ERR wrong number of arguments for 'hunter2' command",
            "NOPERM User default has no permissions to access the 'hunter2' key",
            "NOPERM hunter2",
            "WRONGPASS hunter2",
            "SOMETHING hunter2",
            "hunter2 is no command",
            "ERR max number of clients reached hunter2",
            "hunter2",
        ] {
            for error in [server_error(reply(text)), login_error(reply(text))] {
                assert!(!error.message().contains("hunter2"), "{error}");
            }
        }
        assert_eq!(server_error(reply("ERR hunter2")).message(), "Redis answered: ERR");
        let full = "OOM command not allowed when used memory > 'maxmemory'.";
        assert!(server_error(reply(full)).message().ends_with(full));
        assert!(is_forbidden(&server_error(reply("NOPERM no"))));
        assert!(is_no_cluster(&server_error(reply("ERR This instance has cluster support disabled"))));
    }
}
