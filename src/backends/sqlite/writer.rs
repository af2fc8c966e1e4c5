//! Writing: a batch is one transaction, and is acknowledged after its commit.

use std::time::Duration;

use super::inbox::{Answer, Inbox};
use super::prepared::Prepared;
use super::session::Session;
use super::statements::{self, Document};
use super::{failure, patience};
use crate::core::{BatchResult, Error, ErrorCode, Key, Record};

/// A batch of changes, all to different keys.
pub(super) enum Changes {
    Set(Vec<(Key, Record)>),
    Delete(Vec<Key>),
}

/// A batch of writes.
pub(super) struct Write {
    pub changes: Changes,
    pub answer: Answer<()>,
}

/// The thread's work.
pub(super) fn run(session: &Session, inbox: &mut Inbox<Write>) {
    while let Some(Write { changes, answer }) = inbox.next() {
        // A batch that was given up must not come after what its successor has written.
        if session.stop.is_set() {
            return;
        }
        // Whoever asked may be gone; then there is nobody to tell.
        let _ = answer.send(write(session, &changes));
    }
    if inbox.is_closing() && session.check_place().is_ok() {
        // Only to spare the next one who opens the file the work, so it waits for nobody.
        patience::set(Duration::ZERO, &session.stop);
        let _ = session.connection.query_row(statements::CHECKPOINT, [], |_| Ok(()));
    }
}

fn write(session: &Session, changes: &Changes) -> BatchResult<()> {
    let rows = match changes {
        Changes::Set(entries) => entries.len(),
        Changes::Delete(keys) => keys.len(),
    };
    let mut results = vec![Ok(()); rows];
    loop {
        match transact(session, changes, &mut results) {
            Ok(()) => return Ok(results),
            Err(Defeat::OneRow) => {}
            Err(Defeat::Whole(error)) => {
                session.roll_back();
                return Err(error);
            }
        }
    }
}

/// Why a transaction came to nothing.
enum Defeat {
    /// One row's failure, which is noted, took the transaction with it, as a trigger's
    /// `RAISE(ROLLBACK)` does: without that row it may succeed.
    OneRow,
    Whole(Error),
}

/// One attempt: all rows that have not failed before.
fn transact(session: &Session, changes: &Changes, results: &mut [Result<(), Error>]) -> Result<(), Defeat> {
    let whole = |error| Defeat::Whole(session.explain(&error));
    session.check_place().map_err(Defeat::Whole)?;
    session.execute(statements::BEGIN_WRITE).map_err(whole)?;
    let mut prepared = Prepared::new(
        session,
        match changes {
            Changes::Set(_) => statements::set,
            Changes::Delete(_) => statements::delete,
        },
    );
    for (row, result) in results.iter_mut().enumerate().filter(|(_, result)| result.is_ok()) {
        let done = match changes {
            Changes::Set(entries) => set(session, &mut prepared, &entries[row].0, &entries[row].1),
            Changes::Delete(keys) => delete(session, &mut prepared, &keys[row]),
        };
        let Err(error) = done else { continue };
        if !failure::concerns_one_row(&error) {
            return Err(whole(error));
        }
        *result = Err(failure::of_operation(&error, &session.options));
        if session.connection.is_autocommit() {
            return Err(Defeat::OneRow);
        }
    }
    // Up to here a batch that was given up can be taken back. From here on the lock is held
    // until it is done, so that its successor comes after it.
    if session.stop.is_set() {
        return Err(Defeat::Whole(Error::new(ErrorCode::Closed, "the connection was given up")));
    }
    session.execute(statements::COMMIT).map_err(whole)?;
    session.check_place().map_err(Defeat::Whole)
}

fn set<'a>(
    session: &Session,
    prepared: &mut Prepared<'a>,
    key: &'a str,
    record: &Record,
) -> rusqlite::Result<()> {
    let tables = &session.options.tables;
    let place = tables.place(key);
    let statement = prepared.with_table(place.collection)?;
    statement.raw_bind_parameter(1, place.id)?;
    statement.raw_bind_parameter(2, record.version)?;
    statement.raw_bind_parameter(3, Document(&record.data))?;
    match statement.raw_execute() {
        // The statement was kept from when there was a table.
        Err(error) if failure::is_missing_table(&error) => {
            let table = tables.table(place.collection);
            session.connection.execute(&statements::create_table(&table), [])?;
            statement.raw_execute().map(drop)
        }
        other => other.map(drop),
    }
}

fn delete<'a>(session: &Session, prepared: &mut Prepared<'a>, key: &'a str) -> rusqlite::Result<()> {
    let place = session.options.tables.place(key);
    let Some(statement) = prepared.if_table_exists(place.collection)? else { return Ok(()) };
    statement.raw_bind_parameter(1, place.id)?;
    match statement.raw_execute() {
        // The statement was kept from when there was a table.
        Err(error) if failure::is_missing_table(&error) => Ok(()),
        other => other.map(drop),
    }
}
