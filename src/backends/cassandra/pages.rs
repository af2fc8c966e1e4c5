//! All records, page by page.
//!
//! Cassandra walks through the partitions in the order of their tokens, and hands out a state
//! from which any node goes on. That is the cursor, in hex.

use std::fmt::Write;

use scylla::client::session::Session;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::prepared::PreparedStatement;

use super::failure;
use super::place::Rows;
use super::session::{others, record};
use crate::core::{Error, ErrorCode, Key, Page};

/// The most rows that are asked for at once.
const MAX_ROWS: usize = 1_000;

type Row<'a> = (&'a str, &'a str, Option<&'a str>, Option<i64>, Option<&'a str>);

pub(super) async fn read(
    session: &Session,
    statement: &PreparedStatement,
    rows: &Rows,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page, Error> {
    let state = match cursor {
        None => PagingState::start(),
        Some(cursor) => PagingState::new_from_raw_bytes(from_hex(cursor).ok_or_else(bad_cursor)?),
    };
    let mut statement = statement.clone();
    let size = limit.clamp(1, MAX_ROWS);
    statement.set_page_size(i32::try_from(size).unwrap_or(i32::MAX));
    let answer = session.execute_single_page(&statement, &(), state).await;
    let (result, next) = answer.map_err(|error| match failure::of_operation(&error, others(session)) {
        // Cassandra's words for a state that it did not hand out.
        error if error.code() == ErrorCode::Backend && cursor.is_some() => bad_cursor(),
        error => error,
    })?;
    let result = result.into_rows_result().map_err(|_| failure::unexpected())?;
    let mut page = Page::default();
    for row in result.rows::<Row<'_>>().map_err(|_| failure::unexpected())? {
        let (collection, id, long_key, version, data) = row.map_err(|_| failure::unexpected())?;
        let Some(key) = rows.key(collection, id, long_key) else { continue };
        let record = record(version, data).map_err(|error| {
            Error::new(error.code(), format!("{} (it is \"{}\")", error.message(), shortened(&key)))
        })?;
        page.records.push((Key::from(key), record));
    }
    page.next = match next {
        PagingStateResponse::HasMorePages { state } => state.as_bytes_slice().map(|bytes| to_hex(bytes)),
        PagingStateResponse::NoMorePages => None,
    };
    Ok(page)
}

fn bad_cursor() -> Error {
    Error::new(ErrorCode::InvalidArgument, "the cursor is none that an earlier page gave; begin without one")
}

fn shortened(key: &str) -> String {
    key.chars().take(80).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
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
        assert_eq!(from_hex(&to_hex(&state)), Some(state));
        for bad in ["", "0", "0g", "é0", "000"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
