//! A record as a document of CouchDB, and the way back.
//!
//! | field | holds |
//! |---|---|
//! | `_id` | the record's key; see `ids.rs` for those that cannot be |
//! | `version` | the version; one beyond 2^53 as text |
//! | `data` | the document |
//! | `json` | the document as JSON text, instead of `data`, where CouchDB would not give it back equal |
//! | `collection` | what the key has before the first separator |
//! | `key` | the record's key, where `_id` does not tell it |

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::fits::fits;
use super::ids::{key_of, Id};
use super::revisions::Revision;
use crate::core::document::Writer;
use crate::core::{Error, ErrorCode, Record};

/// Whole numbers up to here are the same in every program.
const EXACT: u64 = 1 << 53;

/// Writes a record as a document for `_bulk_docs`.
pub(super) fn write(
    id: &Id<'_>,
    collection: Option<&str>,
    record: &Record,
    revision: &Revision,
    out: &mut Writer,
) {
    begin(id, revision, out);
    out.raw_name("version");
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(record.version);
    if record.version.unsigned_abs() > EXACT {
        out.raw_text(digits);
    } else {
        out.raw(digits);
    }
    for (name, value) in [("collection", collection), ("key", id.full_key)] {
        if let Some(value) = value {
            out.raw_name(name);
            out.text(value);
        }
    }
    // All data that reach a backend are UTF-8.
    let data = std::str::from_utf8(&record.data).unwrap_or_default();
    if fits(&record.data) {
        out.raw_name("data");
        out.raw(data);
    } else {
        out.raw_name("json");
        out.text(data);
    }
    out.object_end();
}

/// Writes what takes a document away.
pub(super) fn write_deletion(id: &Id<'_>, revision: &Revision, out: &mut Writer) {
    begin(id, revision, out);
    out.raw_name("_deleted");
    out.raw("true");
    out.object_end();
}

fn begin(id: &Id<'_>, revision: &Revision, out: &mut Writer) {
    out.object_start();
    out.raw_name("_id");
    out.text(&id.id);
    if let Revision::Is(revision) = revision {
        out.raw_name("_rev");
        out.text(revision);
    }
}

/// A row of `_all_docs`.
#[derive(Deserialize)]
pub(super) struct Row<'a> {
    /// What was asked for.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    #[serde(borrow, default)]
    pub value: Option<RowValue<'a>>,
    /// `null` where it is deleted.
    #[serde(borrow, default)]
    pub doc: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub error: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct RowValue<'a> {
    #[serde(borrow)]
    pub rev: Cow<'a, str>,
    #[serde(default)]
    pub deleted: bool,
}

impl Row<'_> {
    /// The document's revision; a deleted one needs none to be made again.
    pub fn revision(&self) -> Revision {
        match &self.value {
            Some(value) if !value.deleted => Revision::Is(value.rev.clone().into_owned()),
            _ => Revision::Absent,
        }
    }
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(rename = "_id", borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
    /// `null` is a document too.
    #[serde(borrow, default, deserialize_with = "whatever")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    json: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
}

fn whatever<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The record in a document, and its key if it has one. The document is a part of `answer`.
///
/// # Errors
/// The document is no record.
pub(super) fn read(document: &RawValue, answer: &Bytes) -> Result<(Option<String>, Record), Error> {
    let stored: Stored<'_> =
        serde_json::from_str(document.get()).map_err(|_| corrupt("a field is of another kind"))?;
    let version = stored.version.and_then(|version| version.get().trim_matches('"').parse().ok());
    let version = version.ok_or_else(|| corrupt("\"version\" is no whole number"))?;
    let data = match (&stored.json, stored.data) {
        (Some(text), _) => {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            is_json
                .then(|| Bytes::copy_from_slice(text.as_bytes()))
                .ok_or_else(|| corrupt("\"json\" holds no JSON"))?
        }
        (None, Some(data)) => answer.slice_ref(data.get().as_bytes()),
        (None, None) => return Err(corrupt("it has neither \"data\" nor \"json\"")),
    };
    let key = key_of(&stored.id, stored.key.as_deref()).map(str::to_owned);
    Ok((key, Record { version, data }))
}

fn corrupt(why: &str) -> Error {
    Error::new(ErrorCode::Corrupt, format!("the document under this key is no record: {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::ids::id_of;
    use super::*;

    fn written(key: &str, version: i64, data: &str, revision: Revision) -> String {
        let mut out = Writer::default();
        let record = Record { version, data: Bytes::copy_from_slice(data.as_bytes()) };
        write(&id_of(key), key.split_once('/').map(|(first, _)| first), &record, &revision, &mut out);
        String::from_utf8(out.finish()).unwrap()
    }

    fn read_text(text: &str) -> Result<(Option<String>, Record), Error> {
        let answer = Bytes::copy_from_slice(text.as_bytes());
        let document: &RawValue = serde_json::from_slice(&answer).unwrap();
        read(document, &answer)
    }

    #[test]
    fn a_record_is_a_document_and_back() {
        let text = written("users/1", 7, r#"{"_id":"x"}"#, Revision::Is("1-a".into()));
        assert_eq!(
            text,
            r#"{"_id":"users/1","_rev":"1-a","version":7,"collection":"users","data":{"_id":"x"}}"#
        );
        let (key, record) = read_text(&text).unwrap();
        assert_eq!(
            (key.as_deref(), record.version, &record.data[..]),
            (Some("users/1"), 7, &br#"{"_id":"x"}"#[..])
        );
    }

    #[test]
    fn what_would_not_come_back_is_text() {
        let text = written("_a", i64::MIN, "1e400", Revision::Absent);
        assert_eq!(text, r#"{"_id":":_a","version":"-9223372036854775808","json":"1e400"}"#);
        let (key, record) = read_text(&text).unwrap();
        assert_eq!((key.as_deref(), record.version, &record.data[..]), (Some("_a"), i64::MIN, &b"1e400"[..]));
    }

    #[test]
    fn a_document_of_others_is_corrupt() {
        for text in [
            r#"{"_id":"a"}"#,
            r#"{"_id":"a","version":1}"#,
            r#"{"_id":"a","version":1.5,"data":1}"#,
            r#"{"_id":"a","version":null,"data":1}"#,
            r#"{"_id":"a","version":1,"json":"{"}"#,
            r#"{"_id":"a","version":1,"json":7}"#,
        ] {
            assert_eq!(read_text(text).unwrap_err().code(), ErrorCode::Corrupt, "{text}");
        }
        // A document that is `null` is one.
        assert_eq!(&read_text(r#"{"_id":"a","version":1,"data":null}"#).unwrap().1.data[..], b"null");
    }
}
