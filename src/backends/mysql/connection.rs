//! Batches in statements: one for each table and batch, as long as the server takes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;

use super::failure::{self, code};
use super::rows::{self, NewRow};
use super::scan::Scan;
use super::sessions::Sessions;
use super::statements::{self, Columns, Dialect};
use super::tables::{self, Tables};
use super::wire::{Failure, Parameter, Row, Session, Statement};
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Notice, Page, Record, Remedy};

/// How often a table is made again that somebody drops all the time.
const ATTEMPTS_TO_CREATE: usize = 3;

/// Room in a packet for all but the values.
const OVERHEAD: usize = 64;

/// The connections to one server.
pub(super) struct MysqlConnection {
    pub sessions: Arc<Sessions>,
    pub tables: Tables,
    pub dialect: Dialect,
    /// The server's `max_allowed_packet`.
    pub largest_packet: usize,
    /// Something for the log.
    pub remark: Mutex<Option<String>>,
}

/// The results of a batch, each in its key's place.
type Results<T> = Vec<Result<T, Error>>;

/// Notes one result for some keys. An error that ends the connection ends the batch.
fn note<T: Clone>(
    results: &mut Results<T>,
    places: impl IntoIterator<Item = usize>,
    result: Result<T, Error>,
) -> Result<(), Error> {
    if let Err(error) = &result {
        if error.remedy() == Remedy::Reconnect {
            return Err(error.clone());
        }
    }
    for place in places {
        results[place] = result.clone();
    }
    Ok(())
}

impl MysqlConnection {
    /// Statements over the rows of some keys, for each table: `text` makes one for a quoted
    /// table and a number of rows, `take` looks at the rows that come back and at the places of
    /// all ids in the batch.
    async fn by_ids<T: Clone>(
        &self,
        keys: &[Key],
        absent: T,
        text: fn(&str, usize) -> String,
        mut take: impl FnMut(Vec<Row>, &HashMap<&str, usize>, &mut Results<T>),
    ) -> BatchResult<T> {
        let mut by_table: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
        for (index, key) in keys.iter().enumerate() {
            by_table.entry(self.tables.place(key).collection).or_default().push(index);
        }
        let ids: Vec<_> = keys.iter().map(|key| tables::row_of(self.tables.place(key).id)).collect();
        let mut results = vec![Ok(absent); keys.len()];
        self.sessions
            .with(async |session| {
                for (collection, indices) in &by_table {
                    let table = self.tables.table(*collection);
                    let size = |index: &usize| ids[*index].len() + 16;
                    for indices in in_parts(indices, self.largest_packet, size) {
                        let places: HashMap<&str, usize> =
                            indices.iter().map(|index| (&*ids[*index], *index)).collect();
                        let statement =
                            filled(indices, |&index| ids[index].as_bytes(), |rows| text(&table, rows));
                        match session.execute(&statement).await {
                            Ok(rows) => take(rows, &places, &mut results),
                            Err(Failure::Refused(refusal)) if refusal.code == code::NO_SUCH_TABLE => {}
                            Err(failure) => {
                                let error = self.explain(session, failure, &statement.text);
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

    async fn set_rows<'a>(
        &self,
        session: &mut Session,
        table: &str,
        columns: Columns,
        rows: Vec<NewRow<'a>>,
        results: &mut Results<()>,
    ) -> Result<(), Error> {
        let mut parts: Vec<(Columns, Vec<NewRow<'a>>)> =
            in_parts(&rows, self.largest_packet, NewRow::size).map(|part| (columns, part.to_vec())).collect();
        let mut created = 0;
        while let Some((columns, mut rows)) = parts.pop() {
            if let [row] = &rows[..] {
                let size = row.size() + OVERHEAD;
                if size > self.largest_packet {
                    note(results, [row.index], Err(self.too_large(size)))?;
                    continue;
                }
            }
            let statement = self.insertion(table, columns, &rows);
            let failure = match session.execute(&statement).await {
                Ok(_) => continue,
                Err(failure) => failure,
            };
            let text = statement.text;
            match failure {
                Failure::Refused(refusal)
                    if refusal.code == code::NO_SUCH_TABLE && created < ATTEMPTS_TO_CREATE =>
                {
                    created += 1;
                    let places = rows.iter().map(|row| row.index).collect::<Vec<_>>();
                    match session.run(&statements::create_table(self.dialect, table)).await {
                        Ok(()) => parts.push((columns, rows)),
                        Err(failure) => {
                            note(results, places, Err(failure::of_operation(failure, self.dialect)))?;
                        }
                    }
                }
                Failure::Refused(refusal)
                    if failure::is_about_json(&refusal) && rows.len() == 1 && !rows[0].is_raw =>
                {
                    rows[0].is_raw = true;
                    parts.push((Columns::All, rows));
                }
                failure => {
                    let may_be_one_row = matches!(&failure, Failure::Refused(refusal)
                        if !failure::is_about_the_statement(refusal));
                    let error = self.explain(session, failure, &text);
                    if may_be_one_row && error.remedy() == Remedy::Report && rows.len() > 1 {
                        // Without the row that the server refuses the others are stored.
                        let second = rows.split_off(rows.len() / 2);
                        parts.extend([(columns, rows), (columns, second)]);
                        continue;
                    }
                    note(results, rows.iter().map(|row| row.index), Err(error))?;
                }
            }
        }
        Ok(())
    }

    /// The statement that stores rows.
    fn insertion<'a>(&self, table: &str, columns: Columns, rows: &'a [NewRow<'_>]) -> Statement<'a> {
        let class = statements::size_class(rows.len());
        let mut parameters = Vec::with_capacity(class * columns.count());
        for row in rows {
            row.push_onto(&mut parameters, columns);
        }
        let filler = rows.iter().min_by_key(|row| row.size());
        let total: usize = rows.iter().map(NewRow::size).sum();
        let surplus = class - rows.len();
        let mut count = rows.len();
        if let Some(filler) =
            filler.filter(|row| total + surplus * row.size() + OVERHEAD <= self.largest_packet)
        {
            for _ in 0..surplus {
                filler.push_onto(&mut parameters, columns);
            }
            count = class;
        }
        Statement { text: statements::set(self.dialect, table, columns, count), parameters }
    }

    fn too_large(&self, size: usize) -> Error {
        Error::new(
            ErrorCode::TooLarge,
            format!(
                "the record takes about {size} bytes, and the server's max_allowed_packet is {}; raise that",
                self.largest_packet
            ),
        )
    }

    /// What a failure means, after what it asks of the statements that are prepared.
    fn explain(&self, session: &mut Session, failure: Failure, text: &str) -> Error {
        if let Failure::Refused(refusal) = &failure {
            match refusal.code {
                code::UNKNOWN_STATEMENT | code::PREPARE_AGAIN => session.forget(text),
                code::TOO_MANY_STATEMENTS => session.forget_all(),
                _ => {}
            }
        }
        failure::of_operation(failure, self.dialect)
    }

    async fn set_all(
        &self,
        session: &mut Session,
        entries: &[(Key, Record)],
        results: &mut Results<()>,
    ) -> Result<(), Error> {
        let mut by_table: HashMap<Option<&str>, Vec<usize>> = HashMap::new();
        for (index, (key, _)) in entries.iter().enumerate() {
            by_table.entry(self.tables.place(key).collection).or_default().push(index);
        }
        for (collection, indices) in by_table {
            let name = self.tables.name(collection);
            let is_plain = self.tables.collection(&name).is_some();
            let mut rows: Vec<NewRow<'_>> = indices
                .into_iter()
                .map(|index| {
                    let (key, record) = &entries[index];
                    NewRow::new(index, key, self.tables.place(key), is_plain, record, self.dialect)
                })
                .collect();
            // Everybody who takes locks in one order waits, and does not meet in a deadlock.
            rows.sort_unstable_by(|one, other| one.id.cmp(&other.id));
            let (usual, others): (Vec<_>, Vec<_>) =
                rows.into_iter().partition(|row| row.columns() == Columns::Usual);
            let table = self.tables.quoted(&name);
            self.set_rows(session, &table, Columns::Usual, usual, results).await?;
            self.set_rows(session, &table, Columns::All, others, results).await?;
        }
        Ok(())
    }
}

/// Parts of a list that each fit into a packet, as far as one item does.
fn in_parts<T>(items: &[T], largest_packet: usize, size: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let room = largest_packet.saturating_sub(OVERHEAD);
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut total = 0;
        let fitting = rest.iter().take_while(|item| {
            total += size(item);
            total <= room
        });
        let count = fitting.count().max(1).min(rest.len());
        let (part, after) = rest.split_at(count);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// A statement with a text parameter for each item, filled up with the last one to a size that
/// is often used.
fn filled<'a, T>(
    items: &'a [T],
    value: impl Fn(&'a T) -> &'a [u8],
    text: impl Fn(usize) -> String,
) -> Statement<'a> {
    let mut parameters: Vec<Parameter<'a>> = items.iter().map(|item| Parameter::Text(value(item))).collect();
    let count = statements::size_class(parameters.len());
    if let Some(last) = parameters.last().copied() {
        parameters.resize(count, last);
    }
    Statement { text: text(count), parameters }
}

/// Puts rows that came back into their places.
fn sorted_in<T>(
    take: fn(&[super::wire::Value]) -> Result<T, Error>,
) -> impl FnMut(Vec<Row>, &HashMap<&str, usize>, &mut Results<Option<T>>) {
    move |rows, places, results| {
        for row in rows {
            if let Some(place) = rows::text(&row, 0).and_then(|id| places.get(id)) {
                results[*place] = take(&row).map(Some);
            }
        }
    }
}

#[async_trait]
impl Connection for MysqlConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        self.by_ids(keys, None, statements::get, sorted_in(rows::record)).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        self.by_ids(keys, None, statements::head, sorted_in(rows::version)).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let mut results = vec![Ok(()); entries.len()];
        self.sessions.with(async |session| self.set_all(session, entries, &mut results).await).await?;
        Ok(results)
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        self.by_ids(keys, (), statements::delete, |_, _, _| {}).await
    }

    async fn scan(&self, cursor: Option<&str>, limit: usize) -> Result<Page, Error> {
        self.sessions
            .with(async |session| {
                Scan { session, tables: &self.tables, dialect: self.dialect }.page(cursor, limit).await
            })
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

    fn poll_notice(&self, _: &mut Context<'_>) -> Poll<Notice> {
        let remark = self.remark.lock().unwrap_or_else(PoisonError::into_inner).take();
        remark.map_or(Poll::Pending, |remark| Poll::Ready(Notice::Remark(remark)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_fit_and_are_the_whole(sizes in prop::collection::vec(0usize..2_000, 0..50)) {
            let parts: Vec<&[usize]> = in_parts(&sizes, 1_000, |size| *size).collect();
            prop_assert_eq!(&parts.concat(), &sizes);
            for part in parts {
                prop_assert!(part.len() == 1 || part.iter().sum::<usize>() + OVERHEAD <= 1_000);
            }
        }
    }
}
