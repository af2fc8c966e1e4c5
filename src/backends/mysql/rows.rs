//! A record as a row, and a row as a record.

use std::borrow::Cow;

use bytes::Bytes;

use super::statements::{Columns, Dialect};
use super::tables::{self, Tables};
use super::wire::{Parameter, Value};
use crate::core::document::{depth, tokens, unescape, Token};
use crate::core::{check_document, Error, ErrorCode, Record};
use crate::records::naming::Place;

/// How deep documents may be nested for the servers' JSON functions.
const DEEPEST_IN_MYSQL: usize = 100;
const DEEPEST_IN_MARIADB: usize = 31;

/// A record on its way into a table.
#[derive(Clone, Debug)]
pub(super) struct NewRow<'a> {
    /// Its number in the batch.
    pub index: usize,
    pub id: Cow<'a, str>,
    record: &'a Record,
    /// The document goes where the server's JSON functions do not see it.
    pub is_raw: bool,
    /// The whole key, where it cannot be told from the names of table and row.
    long_key: Option<&'a str>,
}

impl<'a> NewRow<'a> {
    /// `has_plain_table` says that the table's name tells the collection.
    pub fn new(
        index: usize,
        key: &'a str,
        place: Place<'a>,
        has_plain_table: bool,
        record: &'a Record,
        dialect: Dialect,
    ) -> NewRow<'a> {
        let id = tables::row_of(place.id);
        let is_plain = has_plain_table && matches!(id, Cow::Borrowed(_));
        NewRow {
            index,
            id,
            record,
            is_raw: !suits_json(&record.data, dialect),
            long_key: (!is_plain).then_some(key),
        }
    }

    /// The columns that it needs.
    pub fn columns(&self) -> Columns {
        match self.is_raw || self.long_key.is_some() {
            true => Columns::All,
            false => Columns::Usual,
        }
    }

    /// How many bytes of it go to the server, about.
    pub fn size(&self) -> usize {
        // Eight of the version, at most nine for each length, and the parameters' types.
        64 + self.id.len() + self.record.data.len() + self.long_key.map_or(0, str::len)
    }

    /// Appends its values in the order of the columns.
    pub fn push_onto<'b>(&'b self, parameters: &mut Vec<Parameter<'b>>, columns: Columns) {
        let document = Parameter::Text(&self.record.data);
        let (data, raw) = match self.is_raw {
            true => (Parameter::Null, document),
            false => (document, Parameter::Null),
        };
        parameters.extend([
            Parameter::Text(self.id.as_bytes()),
            Parameter::Integer(self.record.version),
            data,
        ]);
        if columns == Columns::All {
            let long_key = self.long_key.map_or(Parameter::Null, |key| Parameter::Text(key.as_bytes()));
            parameters.extend([raw, long_key]);
        }
    }
}

/// Whether a document can be where the server's JSON functions look at it. What this does not
/// foresee is refused by the server, and stored the other way then.
fn suits_json(document: &[u8], dialect: Dialect) -> bool {
    let deepest = match dialect {
        Dialect::Mysql | Dialect::TiDb => DEEPEST_IN_MYSQL,
        Dialect::MariaDb => DEEPEST_IN_MARIADB,
    };
    // To count brackets is much faster than to understand them.
    let brackets = document.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets > deepest && depth(document) > deepest {
        return false;
    }
    // In MySQL such a document has no JSON, and is text all the same.
    let may_have_halves = || document.windows(3).any(|three| matches!(three, b"\\ud" | b"\\uD"));
    dialect != Dialect::MariaDb || !may_have_halves() || !has_half_a_pair(document)
}

fn has_half_a_pair(document: &[u8]) -> bool {
    tokens(document)
        .any(|token| matches!(token, Token::Text(raw) | Token::Name(raw) if unescape(raw).is_err()))
}

/// The record in a row that begins with `id`, `version`, `data` and `raw`.
pub(super) fn record(row: &[Value]) -> Result<Record, Error> {
    let version = version(row)?;
    let data = match (row.get(2), row.get(3)) {
        (Some(Value::Bytes(data)), _) | (Some(Value::Null), Some(Value::Bytes(data))) => data,
        _ => return Err(corrupt("it has no data")),
    };
    check_document(data).map_err(|_| corrupt("its data is not JSON"))?;
    // What came with other rows in one read must not stay because of one.
    Ok(Record { version, data: Bytes::copy_from_slice(data) })
}

/// The version in a row that begins with `id` and `version`.
pub(super) fn version(row: &[Value]) -> Result<i64, Error> {
    match row.get(1) {
        Some(Value::Integer(version)) => Ok(*version),
        _ => Err(corrupt("its version is not an integer")),
    }
}

/// The text in a column.
pub(super) fn text(row: &[Value], column: usize) -> Option<&str> {
    match row.get(column) {
        Some(Value::Bytes(text)) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// The key of a row with all columns; `None` where no key leads to it.
pub(super) fn key(tables: &Tables, table: &str, row: &[Value]) -> Option<String> {
    let id = text(row, 0)?;
    let key = match text(row, 4) {
        Some(key) => key.to_owned(),
        None => tables.key(Place { collection: tables.collection(table)?.as_deref(), id })?,
    };
    let place = tables.place(&key);
    (tables.name(place.collection) == table && tables::row_of(place.id) == id).then_some(key)
}

fn corrupt(what: &str) -> Error {
    Error::new(
        ErrorCode::Corrupt,
        format!("the row under this key is not a record: {what}; correct it, or set the record again"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_servers_json_cannot_hold_is_known_beforehand() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
        for (dialect, deepest) in [(Dialect::Mysql, 100), (Dialect::MariaDb, 31)] {
            assert!(suits_json(&nested(deepest), dialect));
            assert!(!suits_json(&nested(deepest + 1), dialect));
            let wide = format!("[{}]", vec!["[]"; 1000].join(","));
            assert!(suits_json(wide.as_bytes(), dialect));
            assert!(suits_json(br#"["\ud83d\ude00", "\\ud800"]"#, dialect));
        }
        assert!(!suits_json(br#"{"\ud800": 1}"#, Dialect::MariaDb));
        assert!(!suits_json(br#"["\uDFFF"]"#, Dialect::MariaDb));
        assert!(suits_json(br#"["\uDFFF"]"#, Dialect::Mysql));
    }

    #[test]
    fn a_row_changed_by_hand_is_a_record_only_if_it_can_be() {
        let text = |text: &'static str| Value::Bytes(text.into());
        let good = [text("1"), Value::Integer(7), text("{}"), Value::Null];
        assert_eq!(record(&good).unwrap(), Record { version: 7, data: "{}".into() });
        let raw = [text("1"), Value::Integer(7), Value::Null, text("[]")];
        assert_eq!(record(&raw).unwrap().data, "[]");
        for bad in [
            vec![],
            vec![text("1"), Value::Null, text("{}"), Value::Null],
            vec![text("1"), Value::Integer(1), text("{"), Value::Null],
            vec![text("1"), Value::Integer(1), Value::Null, Value::Null],
        ] {
            assert_eq!(record(&bad).unwrap_err().code(), ErrorCode::Corrupt);
        }
    }
}
