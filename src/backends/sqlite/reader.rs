//! Reading: a batch is one read transaction, which sees everything that was committed before.

use rusqlite::Row;
use tokio::sync::oneshot;

use super::inbox::{Answer, Inbox};
use super::prepared::Prepared;
use super::row::{record, version};
use super::session::Session;
use super::{failure, scan, statements};
use crate::core::{BatchResult, Error, Key, Listing, Page, Record};
use crate::records::paging::Cursor;

/// A batch of reads.
pub(super) enum Read {
    Records(Vec<Key>, Answer<Option<Record>>),
    Versions(Vec<Key>, Answer<Option<i64>>),
    Page(Option<Cursor>, Listing, oneshot::Sender<Result<Page, Error>>),
}

/// The thread's work.
pub(super) fn run(session: &Session, inbox: &mut Inbox<Read>) {
    // Whoever asked may be gone; then there is nobody to tell.
    while let Some(batch) = inbox.next() {
        match batch {
            Read::Records(keys, answer) => {
                drop(answer.send(read(session, &keys, statements::get, record)));
            }
            Read::Versions(keys, answer) => {
                drop(answer.send(read(session, &keys, statements::head, version)));
            }
            Read::Page(cursor, listing, answer) => {
                let page = scan::page(session, cursor, &listing);
                session.roll_back();
                drop(answer.send(page));
            }
        }
    }
}

fn read<T>(
    session: &Session,
    keys: &[Key],
    statement: fn(&str) -> String,
    take: fn(&Row<'_>) -> Result<T, Error>,
) -> BatchResult<Option<T>> {
    let results = read_all(session, keys, statement, take);
    session.roll_back();
    let results = results.map_err(|error| match failure::is_busy(&error) {
        // A lock that keeps reads out keeps everything out; most keep out other writes alone.
        true => session.explain(&error).of_server(),
        false => session.explain(&error),
    })?;
    session.check_place()?;
    Ok(results)
}

fn read_all<T>(
    session: &Session,
    keys: &[Key],
    statement: fn(&str) -> String,
    take: fn(&Row<'_>) -> Result<T, Error>,
) -> rusqlite::Result<Vec<Result<Option<T>, Error>>> {
    if keys.len() > 1 {
        session.execute(statements::BEGIN_READ)?;
    }
    let mut prepared = Prepared::new(session, statement);
    let mut results = Vec::with_capacity(keys.len());
    for key in keys {
        if session.stop.is_set() {
            break;
        }
        results.push(match read_one(session, &mut prepared, key, take) {
            Ok(result) => result,
            Err(error) if failure::concerns_one_row(&error) => {
                Err(failure::of_operation(&error, &session.options))
            }
            Err(error) => return Err(error),
        });
    }
    Ok(results)
}

fn read_one<'a, T>(
    session: &Session,
    prepared: &mut Prepared<'a>,
    key: &'a str,
    take: fn(&Row<'_>) -> Result<T, Error>,
) -> rusqlite::Result<Result<Option<T>, Error>> {
    let place = session.options.tables.place(key);
    let Some(statement) = prepared.if_table_exists(place.collection)? else { return Ok(Ok(None)) };
    statement.raw_bind_parameter(1, place.id)?;
    let mut rows = statement.raw_query();
    match rows.next() {
        Ok(Some(row)) => Ok(take(row).map(Some)),
        Ok(None) => Ok(Ok(None)),
        // The statement was kept from when there was a table.
        Err(error) if failure::is_missing_table(&error) => Ok(Ok(None)),
        Err(error) => Err(error),
    }
}
