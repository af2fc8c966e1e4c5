//! What is in the column `val`, and back.
//!
//! A `text` column holds the document to the letter. `jsonb` makes a value of it and cannot hold
//! all of them: such a document is stored as `{"ds_json": "…"}`, its text within a string. Layout
//! V1 has the version beside the data: `{"_v": 1, "_d": …}` is what deepstream's connector 1.1.5
//! writes; the form that others wrote, `{…, "__ds": {"_v": 1}}`, is read as well. There, what the
//! classic interface stores beside records is the text of the value.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;

use super::shape::{Shape, Val, Version};
use crate::core::document::{tokens, unescape, Token, Writer};
use crate::core::{check_document, Record};
use crate::records::classic;
use crate::records::envelope::{self, Form};
use crate::records::members::{MemberNames, Members};
use crate::records::numbers::Decimal;

/// The one member of a document that `jsonb` could not hold.
const ESCAPE: &str = "ds_json";

/// Nested deeper than this, a document is text to `jsonb`: PostgreSQL's own stack has an end.
const MAX_DEPTH: usize = 1_000;

/// Numbers with more digits, or with more zeros, are text to `jsonb`: `numeric` has an end.
const MAX_DIGITS: usize = 1_000;

/// The text of a record for the column.
pub(super) fn write(shape: Shape, record: &Record) -> Cow<'_, str> {
    let data = match shape.val {
        Val::Text | Val::Json => Cow::Borrowed(&record.data[..]),
        Val::Jsonb => escaped(&record.data),
    };
    let text = match shape.version {
        Version::InVal => {
            let record = Record { version: record.version, data: Bytes::copy_from_slice(&data) };
            Cow::Owned(envelope::write(Form::V1, &record, None))
        }
        Version::Int | Version::Bigint => data,
    };
    // Data are known to be UTF-8.
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(std::str::from_utf8(text).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(String::from_utf8(text).unwrap_or_default()),
    }
}

/// The record in a row; the error says what is wrong with it. `version` is that of the column.
pub(super) fn read(shape: Shape, version: Option<i64>, text: &str) -> Result<Record, &'static str> {
    let text = Bytes::copy_from_slice(text.as_bytes());
    let record = match shape.version {
        Version::InVal => enveloped(&text).ok_or("its val has neither _v and _d nor __ds")?,
        Version::Int | Version::Bigint => {
            if shape.val == Val::Text {
                check_document(&text).map_err(|_| "its val is not JSON")?;
            }
            // A row that somebody wrote by hand may have none.
            Record { version: version.unwrap_or(0), data: text }
        }
    };
    held(shape, record)
}

/// The record with the document that the column could not hold, if it has one.
fn held(shape: Shape, mut record: Record) -> Result<Record, &'static str> {
    if shape.val == Val::Jsonb {
        if let Some(data) = unescaped(&record.data)? {
            record.data = data;
        }
    }
    Ok(record)
}

/// The same as [`write`], of a record that may stand for a value of the classic interface.
pub(super) fn write_classic(shape: Shape, record: &Record) -> Cow<'_, str> {
    let value = classic::value(&record.data).filter(|value| {
        let is_held = shape.val != Val::Jsonb || jsonb_keeps(value);
        shape.version == Version::InVal && is_held && transformed(value).is_none()
    });
    match value {
        Some(value) => Cow::Owned(String::from_utf8_lossy(&value).into_owned()),
        None => write(shape, record),
    }
}

/// The same as [`read`], of what [`write_classic`] has written.
pub(super) fn read_classic(shape: Shape, version: Option<i64>, text: &str) -> Result<Record, &'static str> {
    if shape.version != Version::InVal {
        return read(shape, version, text);
    }
    let text = Bytes::copy_from_slice(text.as_bytes());
    if let Some(record) = transformed(&text) {
        return held(shape, record);
    }
    let is_record =
        |record: &Record| classic::value(&record.data).is_none_or(|value| transformed(&value).is_some());
    match classic::exact(&text).filter(is_record) {
        Some(record) => held(shape, record),
        None => classic::read(&text).ok_or("its val is not JSON"),
    }
}

fn enveloped(text: &Bytes) -> Option<Record> {
    transformed(text).or_else(|| envelope::read(text))
}

/// `{…data, "__ds": {"_v": 1}}`, or `{"__dsList": […], "__ds": {"_v": 1}}`.
fn transformed(text: &Bytes) -> Option<Record> {
    if !text.windows(6).any(|window| window == b"\"__ds\"") {
        return None;
    }
    let Members(members) = serde_json::from_slice(text).ok()?;
    let (_, meta) = members.iter().find(|(name, _)| name == "__ds")?;
    let Meta { version } = serde_json::from_str(meta.get()).ok()?;
    if let Some((_, list)) = members.iter().find(|(name, _)| name == "__dsList") {
        if list.get().starts_with('[') {
            return Some(Record { version, data: text.slice_ref(list.get().as_bytes()) });
        }
    }
    let mut data = Writer::with_capacity(text.len());
    data.object_start();
    for (name, value) in members.iter().filter(|(name, _)| name != "__ds") {
        data.name(name);
        data.raw(value.get());
    }
    data.object_end();
    Some(Record { version, data: data.finish().into() })
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "_v")]
    version: i64,
}

/// A document as `jsonb` can hold it.
fn escaped(data: &[u8]) -> Cow<'_, [u8]> {
    if jsonb_keeps(data) && !is_escape(data) {
        return Cow::Borrowed(data);
    }
    let mut writer = Writer::with_capacity(data.len() + data.len() / 8 + 16);
    writer.object_start();
    writer.name(ESCAPE);
    writer.text(std::str::from_utf8(data).unwrap_or_default());
    writer.object_end();
    Cow::Owned(writer.finish())
}

/// The document in the escape form; `None` where it is another.
fn unescaped(data: &[u8]) -> Result<Option<Bytes>, &'static str> {
    let mut pieces = tokens(data);
    let (Some(Token::ObjectStart), Some(Token::Name(ESCAPE)), Some(Token::Text(raw)), Some(Token::ObjectEnd)) =
        (pieces.next(), pieces.next(), pieces.next(), pieces.next())
    else {
        return Ok(None);
    };
    let text = unescape(raw).map_err(|_| "its ds_json is no text")?;
    let text = Bytes::copy_from_slice(text.as_bytes());
    check_document(&text).map_err(|_| "its ds_json is not JSON")?;
    Ok(Some(text))
}

/// Whether a document would be taken for the escape form.
fn is_escape(data: &[u8]) -> bool {
    let mut pieces = tokens(data);
    matches!(pieces.next(), Some(Token::ObjectStart))
        && matches!(pieces.next(), Some(Token::Name(name)) if unescape(name).is_ok_and(|name| name == ESCAPE))
        && matches!(pieces.next(), Some(Token::Text(_)))
        && matches!(pieces.next(), Some(Token::ObjectEnd))
}

/// Whether `jsonb` gives an equal document back: it has no U+0000, no half of a surrogate pair,
/// no negative zero, one member of a name, and an end to numbers and depth.
fn jsonb_keeps(data: &[u8]) -> bool {
    let mut pieces = tokens(data);
    let mut names = MemberNames::default();
    while let Some(token) = pieces.next() {
        if pieces.depth() > MAX_DEPTH {
            return false;
        }
        let good = match token {
            Token::ObjectStart => {
                names.open();
                true
            }
            Token::ObjectEnd => names.close(),
            Token::Name(raw) => is_storable(raw) && unescape(raw).map(|name| names.add(name)).is_ok(),
            Token::Text(raw) => is_storable(raw),
            Token::Number(digits) => is_kept(digits),
            Token::ArrayStart | Token::ArrayEnd | Token::Bool(_) | Token::Null => true,
        };
        if !good {
            return false;
        }
    }
    true
}

fn is_storable(raw: &str) -> bool {
    !raw.contains("\\u") || unescape(raw).is_ok_and(|text| !text.contains('\0'))
}

fn is_kept(number: &str) -> bool {
    Decimal::read(number).is_some_and(|number| {
        let is_negative_zero = number.is_negative() && number.is_zero();
        !is_negative_zero
            && number.characters() <= MAX_DIGITS
            && number.exponent().unsigned_abs() <= MAX_DIGITS as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V1: Shape = Shape { version: Version::InVal, val: Val::Text };
    const JSONB: Shape = Shape { version: Version::Int, val: Val::Jsonb };
    const V1_JSONB: Shape = Shape { version: Version::InVal, val: Val::Jsonb };

    fn record(version: i64, data: &str) -> Record {
        Record { version, data: data.to_owned().into() }
    }

    #[test]
    fn text_is_kept_to_the_letter() {
        let shape = Shape { version: Version::Int, val: Val::Text };
        let odd = record(3, " {\"a\" : -0, \"a\": \"\\u0000\"} ");
        assert_eq!(write(shape, &odd), " {\"a\" : -0, \"a\": \"\\u0000\"} ");
        assert_eq!(read(shape, Some(3), &write(shape, &odd)), Ok(odd));
        assert_eq!(read(shape, None, "1"), Ok(record(0, "1")));
        assert!(read(shape, Some(1), "nonsense").is_err());
    }

    #[test]
    fn what_jsonb_cannot_hold_is_text_within_a_string() {
        for data in [
            r#""\u0000""#,
            r#"{"a\u0000":1}"#,
            r#"["\ud800"]"#,
            "-0",
            "[-0.0e5]",
            "1e1001",
            "1e-2000",
            "1e99999999999999999999",
            r#"{"a":1,"b":{"c":1,"\u0063":2}}"#,
            r#"{"ds_json":"x"}"#,
            r#"{"ds_js\u006fn":"x"}"#,
            &format!("{}{}", "[".repeat(1001), "]".repeat(1001)),
            &"9".repeat(1001),
        ] {
            for shape in [JSONB, V1_JSONB] {
                let record = record(1, data);
                let written = write(shape, &record);
                assert!(written.contains(r#"{"ds_json":""#), "{data}");
                assert_eq!(read(shape, Some(1), &written), Ok(record.clone()));
            }
        }
        for data in [
            "{}",
            r#"{"ds_json":1}"#,
            r#"{"ds_json":"x","a":1}"#,
            "[-1,0,0.0,-1e-3]",
            r#""\u0001\ud83d\ude00""#,
        ] {
            assert_eq!(write(JSONB, &record(1, data)), data);
            assert_eq!(read(JSONB, Some(1), data), Ok(record(1, data)));
        }
    }

    #[test]
    fn many_names_may_not_be_equal_either() {
        let names = |last: usize| -> String {
            let members: Vec<String> = (0..40).chain([last]).map(|name| format!("\"n{name}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(jsonb_keeps(names(40).as_bytes()));
        assert!(!jsonb_keeps(names(3).as_bytes()));
        assert!(!jsonb_keeps(names(39).as_bytes()));
    }

    #[test]
    fn layout_v1_is_read_in_both_forms() {
        for (text, data) in [
            (r#"{"_v":7,"_d":{"a":[1]}}"#, r#"{"a":[1]}"#),
            (r#"{"a": [1], "__ds": {"_v": 7}, "b": {"__ds": 1}}"#, r#"{"a":[1],"b":{"__ds": 1}}"#),
            (r#"{"__dsList": ["x"], "__ds": {"_v": 7}}"#, r#"["x"]"#),
            (r#"{"__dsList": 1, "__ds": {"_v": 7}}"#, r#"{"__dsList":1}"#),
            (r#"{"_v":7,"_d":{"__ds":{"_v":9}}}"#, r#"{"__ds":{"_v":9}}"#),
        ] {
            assert_eq!(read(V1, None, text), Ok(record(7, data)), "{text}");
        }
        for text in ["{}", "7", r#"{"__ds":{}}"#, r#"{"a":1}"#] {
            assert!(read(V1, None, text).is_err(), "{text}");
        }
        assert_eq!(write(V1, &record(-3, "[null]")), r#"{"_v":-3,"_d":[null]}"#);
    }

    #[test]
    fn a_classic_value_is_stored_as_its_text_where_that_is_read_as_one() {
        const COLUMN: Shape = Shape { version: Version::Int, val: Val::Text };
        let value = |text: &str| classic::record_of_value(text.as_bytes());
        for text in
            [r#"{"firstname":"Wolfram"}"#, r#"{"_v":3,"_d":{},"by":1}"#, "5", "null", r#"{"ds_json":"x"}"#]
        {
            for shape in [V1, V1_JSONB] {
                assert_eq!(write_classic(shape, &value(text)), text);
                assert_eq!(read_classic(shape, None, text), Ok(value(text)));
            }
            let stored = value(text);
            let written = write_classic(COLUMN, &stored);
            assert_eq!(written.as_bytes(), &value(text).data[..]);
            assert_eq!(read_classic(COLUMN, Some(value(text).version), &written), Ok(value(text)));
        }
        for text in [r#"{"a":1,"__ds":{"_v":2}}"#, r#"{"a":"\u0000"}"#, r#"{"_v":3,"_d":{"__dsValue":1}}"#] {
            for shape in [V1, V1_JSONB] {
                let stored = value(text);
                let written = write_classic(shape, &stored);
                assert_eq!(read_classic(shape, None, &written), Ok(value(text)), "{written}");
            }
        }
        for text in [r#"{"_v":7,"_d":{"a":[1]}}"#, r#"{"a":[1],"__ds":{"_v":7}}"#] {
            assert_eq!(read_classic(V1, None, text), Ok(record(7, r#"{"a":[1]}"#)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(
            data in r#"(\{"(ds_json|a|\\u0000|\\\\")":)?"([a-c"]|\\u0000|\\\\|\\"|\\ud83d\\ude00|\\ud800){0,6}"}?"#,
            version: i64,
        ) {
            prop_assume!(check_document(data.as_bytes()).is_ok());
            for shape in [V1, JSONB, V1_JSONB] {
                let record = record(version, &data);
                prop_assert_eq!(read(shape, Some(version), &write(shape, &record)), Ok(record));
            }
        }

        #[test]
        fn no_text_is_too_odd(text: String) {
            for shape in [V1, JSONB, V1_JSONB] {
                drop(read(shape, None, &text));
            }
        }
    }
}
