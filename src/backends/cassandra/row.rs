//! A row that was read, as a record.

use bytes::Bytes;

use crate::core::{check_document, Error, ErrorCode, Record};

/// A row as somebody may have changed it by hand: it is a record only if its data is JSON.
pub(super) fn record(version: Option<i64>, data: Option<&str>) -> Result<Record, Error> {
    let version = version.ok_or_else(no_version)?;
    let data = data.ok_or_else(|| corrupt("it has no data"))?;
    check_document(data.as_bytes()).map_err(|_| corrupt("its data is not JSON"))?;
    Ok(Record { version, data: Bytes::copy_from_slice(data.as_bytes()) })
}

/// What is wrong with a row without one.
pub(super) fn no_version() -> Error {
    corrupt("it has no version")
}

fn corrupt(what: &str) -> Error {
    Error::new(
        ErrorCode::Corrupt,
        format!("the row under this key is not a record: {what}; correct it, or set the record again"),
    )
}
