//! Batches on a connection that stands: reads in one statement for each table, writes by `writer.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Task, Poll};
use std::time::Instant;

use async_trait::async_trait;

use super::batch::{filled, note, size_of_id, Context, Results};
use super::failure::code;
use super::rows;
use super::scan::Scan;
use super::sessions::Sessions;
use super::statements;
use super::tables;
use super::wire::{Failure, Row, Value};
use super::writer::Writer;
use crate::core::{BatchResult, Connection, Error, Key, Listing, Notice, Page, Record};

/// The connections to one server.
pub(super) struct MysqlConnection {
    pub sessions: Arc<Sessions>,
    pub context: Context,
    /// Something for the log.
    pub remarks: Mutex<Vec<Notice>>,
}

impl MysqlConnection {
    /// Statements over the rows of some keys, for each table: `text` makes one for a quoted
    /// table and a number of rows, `take` makes something of a row.
    async fn read<T: Clone>(
        &self,
        keys: &[Key],
        text: fn(&str, usize) -> String,
        take: fn(&[Value]) -> Result<T, Error>,
    ) -> BatchResult<Option<T>> {
        let tables = &self.context.tables;
        let mut by_table: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
        for (index, key) in keys.iter().enumerate() {
            by_table.entry(tables.place(key).collection).or_default().push(index);
        }
        let ids: Vec<_> = keys.iter().map(|key| tables::row_of(tables.place(key).id)).collect();
        let mut results: Results<Option<T>> = vec![Ok(None); keys.len()];
        self.sessions
            .with(async |session| {
                for (collection, indices) in &by_table {
                    let table = tables.table(*collection);
                    for indices in self.context.in_parts(indices, |index| size_of_id(&ids[*index])) {
                        let places: HashMap<&str, usize> =
                            indices.iter().map(|index| (&*ids[*index], *index)).collect();
                        let statement =
                            filled(indices, |&index| ids[index].as_bytes(), |rows| text(&table, rows));
                        match session.execute(&statement).await {
                            Ok(rows) => sort_in(&rows, &places, take, &mut results),
                            Err(Failure::Refused(refusal)) if refusal.code == code::NO_SUCH_TABLE => {}
                            Err(failure) => {
                                let error = self.context.explain(session, failure, &statement.text);
                                note(&mut results, indices.iter().copied(), Err(error))?;
                            }
                        }
                    }
                }
                Ok(())
            })
            .await?;
        Ok(results)
    }
}

/// Puts rows that came back into their places.
fn sort_in<T>(
    rows: &[Row],
    places: &HashMap<&str, usize>,
    take: fn(&[Value]) -> Result<T, Error>,
    results: &mut Results<Option<T>>,
) {
    for row in rows {
        if let Some(place) = rows::text(row, 0).and_then(|id| places.get(id)) {
            results[*place] = take(row).map(Some);
        }
    }
}

#[async_trait]
impl Connection for MysqlConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        self.read(keys, statements::get, rows::record).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        self.read(keys, statements::head, rows::version).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        self.context.writability.ask()?;
        let (context, server) = (&self.context, self.sessions.server());
        self.sessions
            .with(async |session| Writer::new(context, server, session, entries.len()).set(entries).await)
            .await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        self.context.writability.ask()?;
        let (context, server) = (&self.context, self.sessions.server());
        self.sessions
            .with(async |session| Writer::new(context, server, session, keys.len()).delete(keys).await)
            .await
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        let Context { tables, dialect, .. } = &self.context;
        self.sessions
            .with(async |session| Scan { session, tables, dialect: *dialect, listing }.page().await)
            .await
    }

    async fn close(&self) {
        self.sessions.close().await;
    }

    fn wake_at(&self) -> Option<Instant> {
        self.sessions.wake_at()
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.sessions.moved())
    }

    fn poll_notice(&self, _: &mut Task<'_>) -> Poll<Notice> {
        let remark = self.remarks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let notice = remark
            .or_else(|| self.context.writability.news())
            .or_else(|| self.sessions.shortage().map(Notice::Warning));
        notice.map_or(Poll::Pending, Poll::Ready)
    }
}
