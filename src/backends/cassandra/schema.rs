//! The keyspace and the table: whether they are there, and making them.

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use super::failure::{self, Others};
use super::options::{Options, Replication};
use super::statements;
use crate::config::wrong;
use crate::core::{Error, ErrorCode};

/// Makes what is missing, as far as the options want it; called when a statement could not be
/// prepared. All of it may be done by several at once.
pub(super) async fn make(session: &Session, options: &Options) -> Result<(), Error> {
    let keyspace = options.keyspace.as_str();
    if names(session, statements::KEYSPACE_EXISTS, &[keyspace]).await?.is_empty() {
        let Some(replication) = &options.replication else {
            return Err(wrong(format!(
                "the keyspace \"{keyspace}\" (option \"keyspace\") does not exist; make it, or give the option \"replication\""
            )));
        };
        let replicas = replicas(session, replication);
        change(session, &statements::create_keyspace(keyspace, &replicas), "a keyspace").await?;
    }
    let columns = names(session, statements::COLUMNS, &[keyspace, options.table.as_str()]).await?;
    if !columns.is_empty() {
        // Made by somebody else: a moment ago for records, or long ago for something else.
        let is_ours = statements::OUR_COLUMNS.iter().all(|name| columns.iter().any(|column| column == name));
        if !is_ours {
            return Err(not_our_table(options));
        }
        return match options.columns.iter().find(|name| !columns.contains(name)) {
            Some(name) => Err(no_such_column(options, name)),
            None => Ok(()),
        };
    }
    change(session, &statements::create_table(&options.full_table()), "a table").await?;
    if let Some(name) = options.columns.first() {
        return Err(no_such_column(options, name));
    }
    // With the new keyspace's replicas the driver knows which node has which record.
    session.refresh_metadata().await.map_err(|_| Error::connection(failure::UNDESCRIBED))
}

/// Somebody else's table has the name.
pub(super) fn not_our_table(options: &Options) -> Error {
    wrong(format!("in {}: {}", options.full_table(), failure::not_our_table()))
}

fn no_such_column(options: &Options, name: &str) -> Error {
    let table = options.full_table();
    wrong(format!(
        "the table {table} has no column \"{name}\" (option \"columns\"); add it in the type that you want: ALTER TABLE {table} ADD {} text",
        statements::quoted(name)
    ))
}

/// The first column of what the schema's own tables say.
async fn names(session: &Session, question: &str, of: &[&str]) -> Result<Vec<String>, Error> {
    let answer = session.query_unpaged(question, of).await;
    let answer = answer.map_err(|error| failure::of_operation(&error, Others::None))?.into_rows_result();
    let rows = answer.map_err(|_| failure::unexpected())?;
    let names = rows.rows::<(String,)>().map_err(|_| failure::unexpected())?;
    names.map(|row| row.map(|(name,)| name).map_err(|_| failure::unexpected())).collect()
}

/// Changes the schema, and waits until all nodes know it.
async fn change(session: &Session, statement: &str, what: &str) -> Result<(), Error> {
    match session.query_unpaged(statement, &()).await {
        Ok(_) => Ok(()),
        Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, words))) => match kind {
            DbError::AlreadyExists { .. } => Ok(()),
            DbError::Unauthorized => Err(Error::new(
                ErrorCode::Configuration,
                format!("the user may not make {what} (Cassandra answered: {words}); grant it, or make it by hand"),
            )),
            DbError::Invalid | DbError::ConfigError | DbError::SyntaxError => Err(wrong(format!(
                "Cassandra does not make {what} (it answered: {words}); see the options \"replication\" and \"table\", or make it by hand"
            ))),
            kind => Err(Error::connection(format!("Cassandra could not make {what}: {kind}: {words}"))),
        },
        Err(error) => Err(failure::of_operation(&error, Others::None)),
    }
}

fn replicas(session: &Session, replication: &Replication) -> Vec<(String, u32)> {
    match replication {
        Replication::In(each) => each.clone(),
        Replication::Everywhere(count) => {
            let mut names = datacentres(session);
            names.sort();
            names.dedup();
            names.into_iter().map(|name| (name, *count)).collect()
        }
    }
}

/// The datacentre of each node.
pub(super) fn datacentres(session: &Session) -> Vec<String> {
    let state = session.get_cluster_state();
    state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect()
}
