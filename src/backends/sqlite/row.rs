//! A row that was read, as a record.

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::Row;

use crate::core::{check_document, Error, ErrorCode, Record};

/// The version, which is in the first column.
pub(super) fn version(row: &Row<'_>) -> Result<i64, Error> {
    match row.get_ref(0) {
        Ok(ValueRef::Integer(version)) => Ok(version),
        _ => Err(corrupt("its version is not an integer")),
    }
}

/// A row as somebody may have changed it by hand: it is a record only if its data is JSON.
pub(super) fn record(row: &Row<'_>) -> Result<Record, Error> {
    let version = version(row)?;
    let Ok(ValueRef::Text(data)) = row.get_ref(1) else {
        return Err(corrupt("its data is not text (for data in JSONB, use json())"));
    };
    check_document(data).map_err(|_| corrupt("its data is not JSON"))?;
    Ok(Record { version, data: Bytes::copy_from_slice(data) })
}

fn corrupt(what: &str) -> Error {
    Error::new(
        ErrorCode::Corrupt,
        format!("the row under this key is not a record: {what}; correct it, or set the record again"),
    )
}
