//! All records, page by page.
//!
//! Cassandra walks through the partitions in the order of their tokens, and hands out a state
//! from which any node goes on. That is the cursor's place, in
//! hexadecimal digits.

use scylla::client::session::Session;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::prepared::PreparedStatement;

use super::failure::{self, Others};
use super::options::Options;
use super::row::record;
use crate::core::{Error, ErrorCode, Key, Listing, Page};
use crate::records::hash::hexadecimal;
use crate::records::paging::{refused, Cursor};

/// The most rows that are asked for at once.
const MAX_ROWS: usize = 1_000;

type Row<'a> = (&'a str, &'a str, Option<&'a str>, Option<i64>, Option<&'a str>);

pub(super) async fn read(
    session: &Session,
    statement: &PreparedStatement,
    Options { rows, table, omissions, .. }: &Options,
    listing: &Listing,
) -> Result<Page, Error> {
    let cursor = listing.cursor.as_deref();
    let state = match cursor {
        None => PagingState::start(),
        Some(text) => {
            let state = Cursor::read_within(table, text)?.as_deref().and_then(from_hexadecimal);
            PagingState::new_from_raw_bytes(state.ok_or_else(refused)?)
        }
    };
    let mut statement = statement.clone();
    let size = listing.limit.clamp(1, MAX_ROWS);
    statement.set_page_size(i32::try_from(size).unwrap_or(i32::MAX));
    let answer = session.execute_single_page(&statement, &(), state).await;
    let (result, next) =
        answer.map_err(|error| match failure::of_operation(&error, Others::of(session)) {
            // Cassandra's words for a state that it did not hand out.
            error if error.code() == ErrorCode::Backend && cursor.is_some() => refused(),
            error => error,
        })?;
    let result = result.into_rows_result().map_err(|_| failure::unexpected())?;
    let mut page = Page::default();
    for row in result.rows::<Row<'_>>().map_err(|_| failure::unexpected())? {
        let (collection, id, long_key, version, data) = row.map_err(|_| failure::unexpected())?;
        let Some(key) = rows.key(collection, id, long_key) else { continue };
        match record(version, data) {
            Ok(record) => page.records.push((Key::from(key), record)),
            Err(error) => omissions.add(&key, &error),
        }
    }
    page.next = match next {
        PagingStateResponse::HasMorePages { state } => state
            .as_bytes_slice()
            .and_then(|bytes| Cursor { table: table.to_owned(), after: Some(hexadecimal(bytes)) }.write()),
        PagingStateResponse::NoMorePages => None,
    };
    Ok(page)
}

/// Undoes `hexadecimal`; no bytes at all are not to be had.
fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_the_state_it_was() {
        let state: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hexadecimal(&hexadecimal(&state)), Some(state));
        for bad in ["", "0", "0g", "é0", "000"] {
            assert_eq!(from_hexadecimal(bad), None, "{bad}");
        }
    }
}
