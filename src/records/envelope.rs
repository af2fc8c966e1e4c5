//! A record in one JSON text: its version and its data side by side, as deepstream's connectors
//! write it where a key has one value.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::classic::is_object;
use crate::core::Record;

/// The names in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"_v":version,"_d":data}`, of classic connectors.
    #[cfg(any(feature = "redis", feature = "memcached", feature = "postgres"))]
    V1,
    /// `{"version":version,"data":data}`.
    #[cfg(any(feature = "memcached", feature = "ironcache"))]
    V2,
}

/// Either form; other fields are passed over.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "_v", alias = "version")]
    version: i64,
    #[serde(rename = "_d", alias = "data", borrow)]
    data: &'a RawValue,
    #[cfg(feature = "memcached")]
    #[serde(default, borrow)]
    key: Option<&'a RawValue>,
}

/// The text of a record, and in it whose record it is where that must be told.
pub(crate) fn write(form: Form, record: &Record, key: Option<&str>) -> Vec<u8> {
    let mut text = Vec::with_capacity(record.data.len() + 42);
    let (before, between): (&[u8], &[u8]) = match form {
        #[cfg(any(feature = "redis", feature = "memcached", feature = "postgres"))]
        Form::V1 => (b"{\"_v\":", b",\"_d\":"),
        #[cfg(any(feature = "memcached", feature = "ironcache"))]
        Form::V2 => (b"{\"version\":", b",\"data\":"),
    };
    text.extend_from_slice(before);
    text.extend_from_slice(itoa::Buffer::new().format(record.version).as_bytes());
    text.extend_from_slice(between);
    text.extend_from_slice(&record.data);
    if let Some(key) = key {
        text.extend_from_slice(b",\"key\":");
        text.extend_from_slice(serde_json::Value::from(key).to_string().as_bytes());
    }
    text.push(b'}');
    text
}

/// What a text of either form has. A list would do for an object as well, and is none.
fn parts(text: &Bytes) -> Option<Envelope<'_>> {
    if !is_object(text) {
        return None;
    }
    serde_json::from_slice(text).ok()
}

/// The record in a text of either form; `None` where it is neither.
#[cfg(any(test, feature = "redis", feature = "ironcache", feature = "postgres"))]
pub(crate) fn read(text: &Bytes) -> Option<Record> {
    let envelope = parts(text)?;
    Some(Record { version: envelope.version, data: text.slice_ref(envelope.data.get().as_bytes()) })
}

/// The same, and whose it is where that was told.
#[cfg(feature = "memcached")]
pub(crate) fn read_named(text: &Bytes) -> Option<(Record, Option<String>)> {
    let envelope = parts(text)?;
    let record = Record { version: envelope.version, data: text.slice_ref(envelope.data.get().as_bytes()) };
    let key = envelope.key.and_then(|key| serde_json::from_str(key.get()).ok());
    Some((record, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_form_is_read_with_other_fields_and_in_any_order() {
        for text in [
            r#"{"_v":7,"_d":{"a":[1]}}"#,
            r#"{"version":7,"data":{"a":[1]}}"#,
            r#" { "data" : {"a":[1]}, "more": null, "version" : 7 } "#,
        ] {
            let record = read(&Bytes::from(text)).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((record.version, &record.data[..]), (7, &br#"{"a":[1]}"#[..]));
        }
        for text in ["", "7", "{}", "[1,2]", r#"{"_v":7}"#, r#"{"_v":"7","_d":1}"#, r#"{"_v":7,"_d":1"#] {
            assert!(read(&Bytes::from(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let record = Record { version: -3, data: Bytes::from_static(b"[null]") };
        #[cfg(any(feature = "redis", feature = "memcached", feature = "postgres"))]
        {
            assert_eq!(write(Form::V1, &record, None), br#"{"_v":-3,"_d":[null]}"#);
            assert_eq!(read(&write(Form::V1, &record, None).into()), Some(record.clone()));
        }
        #[cfg(any(feature = "memcached", feature = "ironcache"))]
        {
            assert_eq!(write(Form::V2, &record, None), br#"{"version":-3,"data":[null]}"#);
            assert_eq!(read(&write(Form::V2, &record, None).into()), Some(record));
        }
    }
}
