//! What Cassandra's refusals, and the driver's failures, mean for the engine.
//!
//! The driver tries other nodes by itself. What comes out of it is either the database's last
//! word, or there was no node to be had.

use std::io;

use scylla::client::session::Session;
use scylla::errors::{
    BrokenConnectionError, BrokenConnectionErrorKind, ConnectionError, ConnectionPoolError,
    ConnectionSetupRequestErrorKind, DbError, ExecutionError, FrameHeaderParseError, MetadataError,
    MetadataFetchErrorKind, NewSessionError, NextPageError, NextRowError, PrepareError, RequestAttemptError,
    RequestError,
};

use crate::config::wrong;
use crate::core::{Error, ErrorCode};
use crate::net::tls;

/// Whether an operation that found no node may find one a moment later on the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// Another node of the cluster is connected.
    Connected,
    /// There is none, or none is connected.
    None,
}

impl Others {
    /// Those of a session.
    pub fn of(session: &Session) -> Others {
        let state = session.get_cluster_state();
        let nodes = state.get_nodes_info();
        // A single node that just broke may still count as connected.
        match nodes.len() > 1 && nodes.iter().any(|node| node.is_connected()) {
            true => Others::Connected,
            false => Others::None,
        }
    }
}

/// Why an operation failed on a session that stands.
pub(super) fn of_operation(error: &ExecutionError, others: Others) -> Error {
    match error {
        ExecutionError::LastAttemptError(attempt) => of_attempt(attempt, others),
        ExecutionError::ConnectionPoolError(error) => no_node(&of_pool(error), others),
        ExecutionError::PrepareError(error) => of_prepare(error, others),
        ExecutionError::EmptyPlan => {
            no_node("no node of the cluster, or of the option \"localDataCenter\", is to be had", others)
        }
        ExecutionError::RequestTimeout(_)
        | ExecutionError::SchemaAgreementError(_)
        | ExecutionError::MetadataError(_) => {
            Error::transient(ErrorCode::Unavailable, "Cassandra took too long")
        }
        // The driver's words for values that do not fit their columns name types alone.
        ExecutionError::BadQuery(_) | ExecutionError::UseKeyspaceError(_) => {
            Error::new(ErrorCode::Backend, not_our_table())
        }
        _ => Error::new(ErrorCode::Backend, "the Cassandra driver failed in a way that is not known here"),
    }
}

/// Why a statement could not be prepared.
pub(super) fn of_prepare(error: &PrepareError, others: Others) -> Error {
    match error {
        PrepareError::AllAttemptsFailed { first_attempt } => of_attempt(first_attempt, others),
        PrepareError::ConnectionPoolError(error) => no_node(&of_pool(error), others),
        _ => Error::connection("the nodes of the cluster do not agree about a prepared statement"),
    }
}

/// Whether the database does not know what a statement speaks of: a keyspace, a table, a column.
pub(super) fn is_unknown_table(error: &PrepareError) -> bool {
    matches!(
        error,
        PrepareError::AllAttemptsFailed { first_attempt: RequestAttemptError::DbError(DbError::Invalid, _) }
    )
}

fn no_node(reason: &str, others: Others) -> Error {
    match others {
        // A node that died may hide what the others said, so that there may well be a way.
        Others::Connected => Error::transient(ErrorCode::Unavailable, reason),
        Others::None => Error::connection(reason),
    }
}

fn of_attempt(error: &RequestAttemptError, others: Others) -> Error {
    match error {
        RequestAttemptError::DbError(kind, words) => of_database(kind, words),
        RequestAttemptError::BrokenConnectionError(error) => {
            no_node(&format!("the connection to a node broke: {}", of_broken(error)), others)
        }
        RequestAttemptError::UnableToAllocStreamId => Error::transient(
            ErrorCode::Unavailable,
            "there are as many requests under way to a node as the protocol allows",
        ),
        RequestAttemptError::SerializationError(_) => Error::new(ErrorCode::Backend, not_our_table()),
        RequestAttemptError::RepreparedIdChanged { .. } => {
            Error::connection("the table was changed, so that statements must be prepared again")
        }
        // What is left is an answer that no Cassandra gives.
        _ => no_node("the server's answer does not fit the question", others),
    }
}

/// The database's own refusals. Its words are read and not repeated: they may quote what it was told.
fn of_database(kind: &DbError, words: &str) -> Error {
    match kind {
        DbError::Unavailable { consistency, required, alive } => Error::transient(
            ErrorCode::Unavailable,
            format!("Cassandra has {alive} of the {required} replicas that {consistency} needs"),
        ),
        DbError::ReadTimeout { consistency, received, required, .. }
        | DbError::WriteTimeout { consistency, received, required, .. } => Error::transient(
            ErrorCode::Unavailable,
            format!(
                "{received} of the {required} replicas that {consistency} needs answered Cassandra in time"
            ),
        ),
        DbError::Overloaded
        | DbError::IsBootstrapping
        | DbError::TruncateError
        | DbError::ServerError
        | DbError::ReadFailure { .. }
        | DbError::WriteFailure { .. }
        | DbError::RateLimitReached { .. } => {
            Error::transient(ErrorCode::Backend, format!("Cassandra answered: {kind}"))
        }
        DbError::AuthenticationError => login(),
        DbError::Unauthorized => {
            let right = RIGHTS.iter().find(|right| words.contains(*right)).unwrap_or(&"what it needs");
            Error::new(
                ErrorCode::Backend,
                format!("Cassandra does not allow it; grant the user of the option \"user\" {right}"),
            )
        }
        DbError::Invalid if words.contains("too large") || words.contains("too big") => {
            Error::new(ErrorCode::TooLarge, "the record is larger than this Cassandra takes")
        }
        DbError::Invalid if is_gone(words) => Error::connection("the table was dropped or changed"),
        // These have names in them.
        DbError::AlreadyExists { .. } => {
            Error::new(ErrorCode::Backend, "Cassandra answered: it is there already")
        }
        DbError::FunctionFailure { .. } => {
            Error::new(ErrorCode::Backend, "Cassandra answered: a function failed")
        }
        _ => Error::new(ErrorCode::Backend, format!("Cassandra answered: {kind}")),
    }
}

/// What a user may be granted.
const RIGHTS: &[&str] = &["CREATE", "ALTER", "DROP", "SELECT", "MODIFY", "AUTHORIZE", "DESCRIBE", "EXECUTE"];

/// Cassandra has one code for all that is invalid, and other words in each generation.
fn is_gone(words: &str) -> bool {
    ["unconfigured table", "does not exist", "Undefined column", "Unknown keyspace", "not found"]
        .iter()
        .any(|known| words.contains(known))
}

/// Why there is no session. Code `Configuration` or `Authentication` where waiting will not help.
pub(super) fn of_connect(error: &NewSessionError) -> Error {
    match error {
        NewSessionError::FailedToResolveAnyHostname(_) => {
            Error::connection("the names in the option \"contactPoints\" cannot be resolved")
        }
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(error)) => of_first_contact(error),
        NewSessionError::MetadataError(MetadataError::FetchError(error)) => match &error.error {
            MetadataFetchErrorKind::PrepareError(attempt) => of_attempt(attempt, Others::None),
            MetadataFetchErrorKind::NextRowError(NextRowError::NextPageError(
                NextPageError::RequestFailure(RequestError::LastAttemptError(attempt)),
            )) => of_attempt(attempt, Others::None),
            _ => Error::connection(UNDESCRIBED),
        },
        NewSessionError::MetadataError(_) => Error::connection(UNDESCRIBED),
        other => wrong(format!("the Cassandra driver refuses its configuration: {other}")),
    }
}

pub(super) const UNDESCRIBED: &str = "the cluster does not describe itself as Cassandra does";

fn of_first_contact(error: &ConnectionPoolError) -> Error {
    let ConnectionPoolError::Broken { last_connection_error } = error else {
        return Error::connection(of_pool(error));
    };
    match last_connection_error {
        ConnectionError::ConnectionSetupRequestError(setup) => match setup.get_error() {
            ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, _)
            | ConnectionSetupRequestErrorKind::MissingAuthentication => login(),
            ConnectionSetupRequestErrorKind::DbError(kind, words) => of_database(kind, words),
            // With TLS 1.3 a server refuses a client's certificate after the handshake.
            ConnectionSetupRequestErrorKind::BrokenConnection(broken) => {
                stream_of(broken).and_then(tls::failure).unwrap_or_else(|| Error::connection(of_pool(error)))
            }
            _ => Error::connection(of_pool(error)),
        },
        ConnectionError::IoError(error) => of_stream(error),
        _ => Error::connection(of_pool(error)),
    }
}

/// What the system said when a connection broke.
fn stream_of(error: &BrokenConnectionError) -> Option<&io::Error> {
    match error.downcast_ref::<BrokenConnectionErrorKind>()? {
        BrokenConnectionErrorKind::FrameHeaderParseError(
            FrameHeaderParseError::HeaderIoError(error) | FrameHeaderParseError::BodyChunkIoError(_, error),
        )
        | BrokenConnectionErrorKind::WriteError(error) => Some(error),
        _ => None,
    }
}

fn of_stream(error: &io::Error) -> Error {
    tls::failure(error).unwrap_or_else(|| Error::connection(format!("cannot connect: {error}")))
}

fn of_pool(error: &ConnectionPoolError) -> String {
    match error {
        ConnectionPoolError::Broken { last_connection_error } => {
            format!("no node is connected: {}", of_connection(last_connection_error))
        }
        other => format!("no node is connected: {other}"),
    }
}

/// The driver's words where they hold none of the server's.
fn of_connection(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectTimeout | ConnectionError::IoError(_) => error.to_string(),
        ConnectionError::BrokenConnection(error) => of_broken(error),
        ConnectionError::ConnectionSetupRequestError(setup) => match setup.get_error() {
            ConnectionSetupRequestErrorKind::DbError(kind, words) => {
                of_database(kind, words).message().to_owned()
            }
            ConnectionSetupRequestErrorKind::BrokenConnection(error) => of_broken(error),
            _ => MALFORMED.to_owned(),
        },
        _ => MALFORMED.to_owned(),
    }
}

fn of_broken(error: &BrokenConnectionError) -> String {
    match error.downcast_ref::<BrokenConnectionErrorKind>() {
        Some(
            kind @ (BrokenConnectionErrorKind::KeepaliveTimeout(_)
            | BrokenConnectionErrorKind::TooManyOrphanedStreamIds(_)
            | BrokenConnectionErrorKind::ChannelError),
        ) => kind.to_string(),
        _ => stream_of(error).map_or_else(|| MALFORMED.to_owned(), io::Error::to_string),
    }
}

const MALFORMED: &str = "the server does not answer as Cassandra does";

/// Cassandra tells a wrong password from an unknown user only in its words.
fn login() -> Error {
    Error::new(
        ErrorCode::Authentication,
        "Cassandra refused the login; see the options \"user\" and \"password\"",
    )
}

/// An answer that has not the form its statement promises.
pub(super) fn unexpected() -> Error {
    Error::connection("the server's answer does not fit the question")
}

/// Somebody else's table has the name.
pub(super) fn not_our_table() -> &'static str {
    "the table of the option \"table\" is not one for records; give another one, or one that does not exist yet"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Remedy;
    use scylla::errors::WriteType;
    use scylla::frame::types::Consistency;

    fn remedy(kind: DbError, words: &str) -> (ErrorCode, Remedy) {
        let attempt = RequestAttemptError::DbError(kind, words.into());
        let error = of_operation(&ExecutionError::LastAttemptError(attempt), Others::None);
        assert!(error.message().len() > 20, "{error}");
        (error.code(), error.remedy())
    }

    #[test]
    fn what_passes_is_tried_again() {
        let consistency = Consistency::LocalQuorum;
        for kind in [
            DbError::Unavailable { consistency, required: 2, alive: 1 },
            DbError::ReadTimeout { consistency, received: 1, required: 2, data_present: false },
            DbError::WriteTimeout { consistency, received: 1, required: 2, write_type: WriteType::Simple },
            DbError::Overloaded,
            DbError::IsBootstrapping,
            DbError::ServerError,
        ] {
            assert_eq!(remedy(kind.clone(), "words").1, Remedy::TryAgain, "{kind}");
        }
    }

    #[test]
    fn what_stays_is_reported() {
        assert_eq!(remedy(DbError::Unauthorized, "no SELECT"), (ErrorCode::Backend, Remedy::Report));
        assert_eq!(remedy(DbError::SyntaxError, "line 1"), (ErrorCode::Backend, Remedy::Report));
        let words = "Mutation of 17000119 bytes is too large for the maximum size of 16777216";
        assert_eq!(remedy(DbError::Invalid, words), (ErrorCode::TooLarge, Remedy::Report));
    }

    #[test]
    fn a_dropped_table_is_made_again_by_a_new_connection() {
        for words in ["unconfigured table records", "table k.records does not exist"] {
            assert_eq!(remedy(DbError::Invalid, words).1, Remedy::Reconnect, "{words}");
        }
    }

    #[test]
    fn a_node_that_is_away_ends_the_session_only_if_it_was_the_last_one() {
        let error = ExecutionError::ConnectionPoolError(ConnectionPoolError::Initializing);
        assert_eq!(of_operation(&error, Others::None).remedy(), Remedy::Reconnect);
        assert_eq!(of_operation(&error, Others::Connected).remedy(), Remedy::TryAgain);
        assert_eq!(of_operation(&ExecutionError::EmptyPlan, Others::None).remedy(), Remedy::Reconnect);
    }

    #[test]
    fn a_refused_login_names_the_options() {
        let (code, _) =
            remedy(DbError::AuthenticationError, "Provided username u and/or password are incorrect");
        assert_eq!(code, ErrorCode::Authentication);
        assert!(login().message().contains("\"password\""));
    }
}
