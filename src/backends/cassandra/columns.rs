//! Members of documents in columns of their own, so that CQL can find records by them.
//!
//! CQL cannot look into JSON text. The option `columns` names members that are written a second
//! time, to columns of the table with the same names and of whatever type a person gave them;
//! what does not fit the type is null there. `data` alone is read back.

use std::borrow::Cow;

use scylla::frame::response::result::{ColumnSpec, ColumnType, NativeType};
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use scylla::serialize::SerializationError;

use crate::core::document::{tokens, unescape, Token};

/// A column of the table that is filled from the member of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    name: String,
    kind: Kind,
}

/// What a column can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    BigInt,
    Int,
    Double,
    Boolean,
}

impl Column {
    /// `None` for a column of a type that no member is written to.
    pub fn of(spec: &ColumnSpec<'_>) -> Option<Column> {
        let kind = match spec.typ() {
            ColumnType::Native(NativeType::Text | NativeType::Ascii) => Kind::Text,
            ColumnType::Native(NativeType::BigInt) => Kind::BigInt,
            ColumnType::Native(NativeType::Int) => Kind::Int,
            ColumnType::Native(NativeType::Double) => Kind::Double,
            ColumnType::Native(NativeType::Boolean) => Kind::Boolean,
            _ => return None,
        };
        Some(Column { name: spec.name().to_owned(), kind })
    }
}

/// A value to be bound.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound<'a> {
    Null,
    Text(Cow<'a, str>),
    BigInt(i64),
    Int(i32),
    Double(f64),
    Boolean(bool),
}

impl SerializeValue for Bound<'_> {
    fn serialize<'b>(
        &self,
        typ: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self {
            Bound::Null => Ok(writer.set_null()),
            Bound::Text(text) => SerializeValue::serialize(&&**text, typ, writer),
            Bound::BigInt(number) => SerializeValue::serialize(number, typ, writer),
            Bound::Int(number) => SerializeValue::serialize(number, typ, writer),
            Bound::Double(number) => SerializeValue::serialize(number, typ, writer),
            Bound::Boolean(flag) => SerializeValue::serialize(flag, typ, writer),
        }
    }
}

/// What a document gives each of the columns. Of members with one name the last one counts, as
/// in JavaScript.
pub(super) fn values<'a>(columns: &[Column], data: &'a [u8]) -> Vec<Bound<'a>> {
    let mut values = vec![Bound::Null; columns.len()];
    let mut pieces = tokens(data);
    let mut member = None;
    while let Some(piece) = pieces.next() {
        if let (1, Token::Name(name)) = (pieces.depth(), piece) {
            let position = |name| columns.iter().position(|column| column.name == name);
            member = unescape(name).ok().and_then(position);
            continue;
        }
        // A container's begin counts as inside of it.
        let is_of_the_top = match piece {
            Token::ObjectStart | Token::ArrayStart => pieces.depth() == 2,
            _ => pieces.depth() == 1,
        };
        if let (true, Some(index)) = (is_of_the_top, member) {
            values[index] = fitting(columns[index].kind, piece);
            member = None;
        }
    }
    values
}

fn fitting(kind: Kind, value: Token<'_>) -> Bound<'_> {
    match (kind, value) {
        (Kind::Text, Token::Text(raw)) => unescape(raw).map_or(Bound::Null, Bound::Text),
        (Kind::BigInt, Token::Number(digits)) => whole(digits).map_or(Bound::Null, Bound::BigInt),
        (Kind::Int, Token::Number(digits)) => {
            whole(digits).and_then(|number| i32::try_from(number).ok()).map_or(Bound::Null, Bound::Int)
        }
        (Kind::Double, Token::Number(digits)) => {
            digits.parse().ok().filter(|number: &f64| number.is_finite()).map_or(Bound::Null, Bound::Double)
        }
        (Kind::Boolean, Token::Bool(flag)) => Bound::Boolean(flag),
        _ => Bound::Null,
    }
}

/// A whole number, also where it was written as `1.0` or `1e3`.
fn whole(digits: &str) -> Option<i64> {
    digits.parse().ok().or_else(|| {
        let number: f64 = digits.parse().ok()?;
        // Within these bounds every whole f64 is exact.
        (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [(&str, Kind); 5] =
        [("t", Kind::Text), ("b", Kind::BigInt), ("i", Kind::Int), ("d", Kind::Double), ("f", Kind::Boolean)];

    fn columns() -> Vec<Column> {
        KINDS.iter().map(|(name, kind)| Column { name: (*name).into(), kind: *kind }).collect()
    }

    fn of(document: &str) -> Vec<Bound<'_>> {
        values(&columns(), document.as_bytes())
    }

    #[test]
    fn members_at_the_top_are_found() {
        let document = r#" {"x": 1, "t": "a\u00e9\n", "b": 9007199254740993, "i": -7, "d": 1.5, "f": true} "#;
        let expected = [
            Bound::Text("aé\n".into()),
            Bound::BigInt(9_007_199_254_740_993),
            Bound::Int(-7),
            Bound::Double(1.5),
            Bound::Boolean(true),
        ];
        assert_eq!(of(document), expected);
        assert_eq!(
            of(r#"{"b": 1.0, "i": 2e1, "d": 3}"#)[1..4],
            [Bound::BigInt(1), Bound::Int(20), Bound::Double(3.0)]
        );
        assert_eq!(of(r#"{"\u0074": "escaped"}"#)[0], Bound::Text("escaped".into()));
        assert_eq!(of(r#"{"t": "first", "t": "last"}"#)[0], Bound::Text("last".into()));
    }

    #[test]
    fn what_is_deeper_is_not_taken_for_it() {
        for document in [
            r#"{"x": {"t": "deep", "f": true}, "y": [{"t": "deep"}, 1]}"#,
            r#"{"t": {"t": "deep"}, "b": [1], "f": [true], "d": {}}"#,
            r#"{"t": "first", "t": ["last"]}"#,
            r#"["t", 1, {"t": "deep"}]"#,
            r#""t""#,
            "null",
            "{}",
            r#"{"t": 1, "b": "1", "i": 2147483648, "d": "1", "f": 1}"#,
            r#"{"t": "\ud800", "b": 1.5, "i": null, "d": 1e999, "f": null}"#,
        ] {
            assert_eq!(of(document), vec![Bound::Null; 5], "{document}");
        }
        assert_eq!(of(r#"{"x": [[{"t": 1}], 2], "t": "after"}"#)[0], Bound::Text("after".into()));
    }

    /// What serde_json, which knows no limits of ours, finds at the top.
    fn expected(document: &serde_json::Value) -> Vec<Bound<'static>> {
        let member = |name: &str| document.as_object().and_then(|members| members.get(name));
        vec![
            member("t")
                .and_then(|v| v.as_str())
                .map_or(Bound::Null, |text| Bound::Text(text.to_owned().into())),
            member("b").and_then(serde_json::Value::as_i64).map_or(Bound::Null, Bound::BigInt),
            member("i")
                .and_then(serde_json::Value::as_i64)
                .and_then(|number| i32::try_from(number).ok())
                .map_or(Bound::Null, Bound::Int),
            member("d").and_then(serde_json::Value::as_f64).map_or(Bound::Null, Bound::Double),
            member("f").and_then(serde_json::Value::as_bool).map_or(Bound::Null, Bound::Boolean),
        ]
    }

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map("[tbidfx]", inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn columns_hold_what_the_members_are(document in any_value()) {
            let text = document.to_string();
            prop_assert_eq!(of(&text), expected(&document));
        }
    }
}
