//! Values of deepstream's classic interface that are no version and data.
//!
//! That interface stores any JSON value. One of exactly `{"_v": version, "_d": data}` is a record;
//! any other is a record whose data are the object `{"__dsValue": value}`, and so is a record whose
//! own data look like that, whole. Where a classic connector had a layout, the value itself is
//! stored.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::Settings;
#[cfg(feature = "mongodb")]
use crate::core::document::Writer;
use crate::core::{check_document, Record};
#[cfg(feature = "mongodb")]
use crate::records::members::Members;

/// How data begin that hold a value. The addon writes it so, and so does whoever writes documents here.
const BEGIN: &[u8] = b"{\"__dsValue\"";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder<'a> {
    #[serde(rename = "__dsValue", borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exact<'a> {
    #[serde(rename = "_v")]
    version: i64,
    #[serde(rename = "_d", borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    #[serde(rename = "_v")]
    version: i64,
}

/// Whether values are to be told from records: only a host with the classic interface knows them.
pub(crate) fn has_values(settings: &Settings) -> bool {
    settings.text("api") == Some("classic")
}

/// The value that these data hold; `None` where they are a record's own.
pub(crate) fn value(data: &Bytes) -> Option<Bytes> {
    if !data.starts_with(BEGIN) {
        return None;
    }
    let holder: Holder<'_> = serde_json::from_slice(data).ok()?;
    Some(data.slice_ref(holder.value.get().as_bytes()))
}

/// The record that stands for a value.
pub(crate) fn record_of_value(value: &[u8]) -> Record {
    let versioned = if is_object(value) { serde_json::from_slice(value).ok() } else { None };
    let version = versioned.map_or(0, |Versioned { version }| version);
    Record { version, data: [BEGIN, b":", value, b"}"].concat().into() }
}

/// Whether a text of JSON is an object's.
pub(crate) fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

/// The record in a text of exactly a version and data.
pub(crate) fn exact(text: &Bytes) -> Option<Record> {
    // A list would do for one as well.
    if !is_object(text) {
        return None;
    }
    let Exact { version, data } = serde_json::from_slice(text).ok()?;
    Some(Record { version, data: text.slice_ref(data.get().as_bytes()) })
}

/// A record, or the record that stands for a value, as the JSON text that classic connectors stored.
/// `None` where it is not JSON.
pub(crate) fn read(text: &Bytes) -> Option<Record> {
    if let Some(record) = exact(text).filter(|record| value(&record.data).is_none()) {
        return Some(record);
    }
    check_document(text).ok()?;
    Some(record_of_value(text))
}

/// A value's member `_d` and the object of all its others, where that is an object or a list and
/// they are more than a version or none.
#[cfg(feature = "mongodb")]
pub(crate) fn parts(value: &Bytes) -> Option<(Bytes, Bytes)> {
    let Members(members) = serde_json::from_slice(value).ok()?;
    let is_data = |name: &str| name == "_d";
    let mut data = members.iter().filter(|(name, _)| is_data(name));
    let (Some((_, data)), None) = (data.next(), data.next()) else { return None };
    if !data.get().starts_with(['{', '[']) || exact(value).is_some() {
        return None;
    }
    let mut rest = Writer::with_capacity(value.len());
    rest.object_start();
    for (name, value) in members.iter().filter(|(name, _)| !is_data(name)) {
        rest.name(name);
        rest.raw(value.get());
    }
    rest.object_end();
    Some((value.slice_ref(data.get().as_bytes()), rest.finish().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_a_version_and_data_are_a_record() {
        for text in [r#"{"_v":7,"_d":{"a":[1]}}"#, r#" {"_d" : {"a":[1]}, "_v":7 } "#] {
            let record = read(&Bytes::from(text)).unwrap();
            assert_eq!((record.version, &record.data[..]), (7, &br#"{"a":[1]}"#[..]), "{text}");
            assert_eq!(value(&record.data), None);
        }
    }

    #[test]
    fn any_other_value_comes_back_as_it_is() {
        for (text, version) in [
            (r#"{"firstname":"Wolfram"}"#, 0),
            (r#"{"_v":3,"_d":{},"by":"me"}"#, 3),
            (r#"{"_v":3}"#, 3),
            (r#"{"_d":{}}"#, 0),
            (r#"{"_v":"3","_d":{}}"#, 0),
            (r#"{"_v":1.5,"_d":{}}"#, 0),
            (r#"{"_v":3,"_d":{"__dsValue":1}}"#, 3),
            (r#"{"__dsValue":1}"#, 0),
            ("[1]", 0),
            ("[1,2]", 0),
            (r#"[1,{"_v":1}]"#, 0),
            ("\"text\"", 0),
            ("-0", 0),
            ("null", 0),
        ] {
            let record = read(&Bytes::from(text)).unwrap();
            assert_eq!(record.version, version, "{text}");
            assert_eq!(value(&record.data).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(read(&Bytes::from("{")), None);
        assert_eq!(read(&Bytes::from(r#"{"_v":1,"_d":{}"#)), None);
    }

    #[test]
    fn data_that_hold_more_are_a_records_own() {
        for data in
            [r#"{"__dsValue":1,"more":2}"#, r#"{"more":2,"__dsValue":1}"#, r#"{"__dsValues":1}"#, "{}"]
        {
            assert_eq!(value(&Bytes::from(data)), None, "{data}");
        }
    }
}
