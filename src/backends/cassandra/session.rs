//! A session with a cluster: statements that are prepared, and the operations.
//!
//! Each record is a request of its own to a node that has it; a batch is as many of them as the
//! engine puts into it, under way at once. A Cassandra `BATCH` over several partitions would be
//! slower, and heavier for its coordinator.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use scylla::client::session::Session;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;

use super::columns::{self, Bound};
use super::failure::{self, Others};
use super::options::Options;
use super::pages;
use super::place::Place;
use super::prepared::Prepared;
use super::row::{no_version, record};
use super::timestamps::OF_THIS_PROCESS;
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Listing, Notice, Page, Record};

/// Cassandra refuses a request of more than 16 MiB (`native_transport_max_frame_size`,
/// `max_mutation_size`); this much of it is left for everything that is not the record.
const MAX_RECORD_BYTES: usize = (16 << 20) - (4 << 10);

/// How often a quiet session looks whether a node is left.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A session that stands.
pub(super) struct CassandraConnection {
    session: Arc<Session>,
    statements: Prepared,
    options: Arc<Options>,
}

impl CassandraConnection {
    pub fn new(session: Arc<Session>, statements: Prepared, options: Arc<Options>) -> CassandraConnection {
        CassandraConnection { session, statements, options }
    }

    async fn execute(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryResult, Error> {
        let result = self.session.execute_unpaged(statement, values).await;
        result.map_err(|error| failure::of_operation(&error, Others::of(&self.session)))
    }

    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        let full = self.options.rows.full(key);
        let place = self.options.rows.place(&full);
        let result = self.execute(&self.statements.get, (place.collection, &*place.id)).await?;
        let rows = result.into_rows_result().map_err(|_| failure::unexpected())?;
        let row: Option<(Option<i64>, Option<&str>, Option<i64>)> =
            rows.maybe_first_row().map_err(|_| failure::unexpected())?;
        let Some((version, data, written)) = row else { return Ok(None) };
        notice(written);
        record(version, data).map(Some)
    }

    async fn head(&self, key: &Key) -> Result<Option<i64>, Error> {
        let full = self.options.rows.full(key);
        let place = self.options.rows.place(&full);
        let result = self.execute(&self.statements.head, (place.collection, &*place.id)).await?;
        let rows = result.into_rows_result().map_err(|_| failure::unexpected())?;
        let row: Option<(Option<i64>, Option<i64>)> =
            rows.maybe_first_row().map_err(|_| failure::unexpected())?;
        let Some((version, written)) = row else { return Ok(None) };
        notice(written);
        version.map(Some).ok_or_else(no_version)
    }

    async fn set(&self, key: &Key, record: &Record, timestamp: i64) -> Result<(), Error> {
        let full = self.options.rows.full(key);
        let bytes = full.len() + record.data.len();
        if bytes > MAX_RECORD_BYTES {
            return Err(Error::new(
                ErrorCode::TooLarge,
                format!("the record has {bytes} bytes with its key; Cassandra takes {MAX_RECORD_BYTES}"),
            ));
        }
        let Place { collection, id, long_key } = self.options.rows.place(&full);
        // The hosts' documents are checked to be UTF-8.
        let data = std::str::from_utf8(&record.data).map_err(|_| failure::unexpected())?;
        let statements = &self.statements;
        if !statements.columns.is_empty() {
            let mut values = vec![
                Bound::Text(collection.into()),
                Bound::Text((&*id).into()),
                Bound::BigInt(record.version),
                Bound::Text(data.into()),
            ];
            values.extend(long_key.map(|key| Bound::Text(key.into())));
            values.extend(columns::values(&statements.columns, &record.data));
            values.push(Bound::BigInt(timestamp));
            let statement = if long_key.is_some() { &statements.set_long } else { &statements.set };
            return self.execute(statement, values).await.map(drop);
        }
        match long_key {
            None => {
                let values = (collection, &*id, record.version, data, timestamp);
                self.execute(&statements.set, values).await.map(drop)
            }
            Some(key) => {
                let values = (collection, &*id, record.version, data, key, timestamp);
                self.execute(&statements.set_long, values).await.map(drop)
            }
        }
    }

    async fn delete(&self, key: &Key, timestamp: i64) -> Result<(), Error> {
        let full = self.options.rows.full(key);
        let place = self.options.rows.place(&full);
        self.execute(&self.statements.delete, (timestamp, place.collection, &*place.id)).await?;
        Ok(())
    }
}

/// Whoever writes after this is to be later than what was read.
fn notice(written: Option<i64>) {
    if let Some(timestamp) = written {
        OF_THIS_PROCESS.seen(timestamp);
    }
}

/// Ends when no node of the cluster is connected any more.
pub(super) async fn until_lost(session: Arc<Session>) -> Error {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let state = session.get_cluster_state();
        if !state.get_nodes_info().iter().any(|node| node.is_connected()) {
            return Error::connection("no node of the cluster is connected any more");
        }
    }
}

#[async_trait]
impl Connection for CassandraConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        Ok(join_all(keys.iter().map(|key| self.get(key))).await)
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        Ok(join_all(keys.iter().map(|key| self.head(key))).await)
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        // Each attempt has a timestamp of its own: one that was given up and arrives late is
        // older than its repetition, and than all that was done after it.
        let sets = entries.iter().map(|(key, record)| self.set(key, record, OF_THIS_PROCESS.next()));
        Ok(join_all(sets).await)
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        Ok(join_all(keys.iter().map(|key| self.delete(key, OF_THIS_PROCESS.next()))).await)
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        pages::read(&self.session, &self.statements.scan, &self.options, listing).await
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.options.omissions.poll(cx)
    }
}
