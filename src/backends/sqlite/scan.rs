//! All records, page by page, in one read transaction for each page.

use rusqlite::types::{ToSql, ValueRef};
use rusqlite::OptionalExtension;

use super::row::record;
use super::session::Session;
use super::{failure, statements};
use crate::core::{Error, Listing, Page, Record};
use crate::records::naming::Place;
use crate::records::paging::Cursor;
use crate::records::prefix::Range;

/// The page at a cursor, or the first one.
pub(super) fn page(session: &Session, cursor: Option<Cursor>, listing: &Listing) -> Result<Page, Error> {
    let explain = |error: rusqlite::Error| session.explain(&error);
    session.execute(statements::BEGIN_READ).map_err(explain)?;
    let mut page = Page::default();
    let limit = listing.limit;
    let mut place = match cursor {
        Some(cursor) => Some(cursor),
        None => first_after(session, "").map_err(explain)?,
    };
    while let Some(cursor) = place {
        let wanted = limit.max(1) - page.records.len();
        let rows = rows_of(session, &cursor, &listing.prefix, wanted).map_err(explain)?;
        for row in rows.found {
            match row {
                (Some(key), Ok(record)) => page.records.push((key.into(), record)),
                (Some(key), Err(error)) => session.options.omissions.add(&key, &error),
                (None, _) => {}
            }
        }
        place = match rows.last {
            Some(id) => Some(Cursor { after: Some(id), ..cursor }),
            None => first_after(session, &cursor.table).map_err(explain)?,
        };
        if page.records.len() >= limit.max(1) {
            break;
        }
    }
    page.next = place.and_then(|place| place.write());
    Ok(page)
}

/// The beginning of the next table.
fn first_after(session: &Session, table: &str) -> rusqlite::Result<Option<Cursor>> {
    let mut statement = session.connection.prepare_cached(statements::NEXT_TABLE)?;
    statement.query_row([table], |row| row.get(0).map(Cursor::at)).optional()
}

/// Some rows of a table.
#[derive(Default)]
struct Rows {
    /// With its key, if a key leads to it: else it is not ours.
    found: Vec<(Option<String>, Result<Record, Error>)>,
    /// The last one's id, if there are more.
    last: Option<String>,
}

fn rows_of(session: &Session, cursor: &Cursor, prefix: &str, wanted: usize) -> rusqlite::Result<Rows> {
    let tables = &session.options.tables;
    let Some(collection) = tables.collection(&cursor.table) else { return Ok(Rows::default()) };
    let Some(prefix) = tables.prefix_of_ids(prefix, collection.as_deref()) else {
        return Ok(Rows::default());
    };
    let range = Range::new(prefix, cursor.after.as_deref());
    let text = statements::page(&tables.quoted(&cursor.table), &range);
    let mut statement = match session.connection.prepare_cached(&text) {
        // It has gone meanwhile, or is no table for records.
        Err(error) if failure::is_refused_statement(&error) => return Ok(Rows::default()),
        other => other?,
    };
    // One more shows whether there are more.
    let limit = i64::try_from(wanted).unwrap_or(i64::MAX).saturating_add(1);
    let bounds = range.bounds().map(|bound| bound as &dyn ToSql);
    let parameters: Vec<&dyn ToSql> = bounds.chain([&limit as &dyn ToSql]).collect();
    let mut rows = statement.query(&*parameters)?;
    let mut page = Rows::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.found.len() == wanted {
            page.last = last;
            break;
        }
        let id = match row.get_ref(2)? {
            ValueRef::Text(id) => std::str::from_utf8(id).ok(),
            _ => None,
        };
        let key = id.and_then(|id| tables.key(Place { collection: collection.as_deref(), id }));
        last = id.map(str::to_owned);
        page.found.push((key, record(row)));
    }
    Ok(page)
}
