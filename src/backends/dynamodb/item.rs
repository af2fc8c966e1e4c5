//! A record as an item: its attributes, their sizes, and the way back.
//!
//! | attribute | type | holds |
//! |---|---|---|
//! | `ds_key` | S | the hash key: the record's key, or what is left of it in a table per collection |
//! | `ds_version` | N | the version |
//! | `ds_data` | any | the document |
//! | `ds_json` | S | the document as JSON text, instead of `ds_data`, where no attribute can hold it |
//! | `ds_collection` | S | what the record's key has before the first separator |
//! | `ds_full_key` | S | the record's key, where `ds_key` does not tell it |

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::attributes;
use super::moment::Moment;
use super::names::{Names, Slot};
use crate::core::document::Writer;
use crate::core::{Error, ErrorCode, Record};

pub(super) const KEY: &str = "ds_key";
pub(super) const VERSION: &str = "ds_version";
pub(super) const FULL_KEY: &str = "ds_full_key";
const DATA: &str = "ds_data";
const JSON: &str = "ds_json";
const COLLECTION: &str = "ds_collection";

/// The most bytes of an item, names and values together.
const LARGEST: usize = 400 * 1024;

/// When an item is to go, and the attribute that says so.
#[derive(Clone, Debug)]
pub(super) struct Expiry {
    pub attribute: String,
    pub seconds: u64,
}

/// Writes a record as the value of `Item`.
///
/// # Errors
/// It is larger than DynamoDB takes.
pub(super) fn write(slot: &Slot<'_>, record: &Record, expiry: Option<&Expiry>) -> Result<Vec<u8>, Error> {
    let mut size = KEY.len() + slot.id.len();
    let mut item = Writer::with_capacity(2 * record.data.len() + 256);
    item.object_start();
    write_text(&mut item, KEY, &slot.id);
    let mut number = itoa::Buffer::new();
    size += write_number(&mut item, VERSION, number.format(record.version));
    for (name, value) in [(COLLECTION, slot.collection), (FULL_KEY, slot.full_key)] {
        if let Some(value) = value {
            size += name.len() + value.len();
            write_text(&mut item, name, value);
        }
    }
    if let Some(Expiry { attribute, seconds }) = expiry {
        let expires = Moment::now().0.saturating_add(*seconds);
        size += write_number(&mut item, attribute, number.format(expires));
    }
    let as_json = size + JSON.len() + record.data.len();
    let before = item.clone();
    item.name(DATA);
    match attributes::encode(&record.data, &mut item) {
        Some(data) if size + DATA.len() + data <= LARGEST => {}
        _ if as_json <= LARGEST => {
            item = before;
            // All data that reach a backend are UTF-8.
            write_text(&mut item, JSON, std::str::from_utf8(&record.data).unwrap_or_default());
        }
        native => {
            let size = native.map_or(as_json, |data| as_json.min(size + DATA.len() + data));
            return Err(too_large(size));
        }
    }
    item.object_end();
    Ok(item.finish())
}

pub(super) fn too_large(size: usize) -> Error {
    Error::new(
        ErrorCode::TooLarge,
        format!("the record takes {size} bytes with its key, and an item of DynamoDB at most {LARGEST}; split it up"),
    )
}

fn write_text(item: &mut Writer, name: &str, value: &str) {
    item.name(name);
    item.object_start();
    item.raw_name("S");
    item.text(value);
    item.object_end();
}

fn write_number(item: &mut Writer, name: &str, digits: &str) -> usize {
    item.name(name);
    item.object_start();
    item.raw_name("N");
    item.raw_text(digits);
    item.object_end();
    name.len() + digits.len().div_ceil(2) + 1
}

/// An item, or any object of one level, as it was read.
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        struct Collect;

        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(5);
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(rename = "S", borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Number<'a> {
    #[serde(rename = "N", borrow)]
    digits: Cow<'a, str>,
}

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let value: Text<'a> = serde_json::from_str(self.get(name)?.get()).ok()?;
        Some(value.text)
    }

    fn integer<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        let value: Number<'a> = serde_json::from_str(self.get(name)?.get()).ok()?;
        value.digits.parse().ok()
    }

    /// DynamoDB removes what has expired some time later.
    pub fn has_expired(&self, expiry: Option<&Expiry>) -> bool {
        let expires = expiry.and_then(|expiry| self.integer::<u64>(&expiry.attribute));
        expires.is_some_and(|expires| Moment::now().0 >= expires)
    }

    /// # Errors
    /// There is none.
    pub fn version(&self) -> Result<i64, Error> {
        self.integer(VERSION).ok_or_else(|| corrupt("ds_version is no whole number of 64 bits"))
    }

    /// # Errors
    /// It is none of ours.
    pub fn record(&self) -> Result<Record, Error> {
        let version = self.version()?;
        if let Some(text) = self.text(JSON) {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            let data = is_json.then(|| Bytes::from(text.into_owned().into_bytes()));
            let data = data.ok_or_else(|| corrupt("ds_json holds no JSON"))?;
            return Ok(Record { version, data });
        }
        let data = self.get(DATA).and_then(|value| attributes::decode(value.get()));
        let data = data.ok_or_else(|| corrupt("it has neither ds_data nor ds_json"))?;
        Ok(Record { version, data: data.into() })
    }

    /// The key of the record, where there is one.
    pub fn key(&self, names: &Names) -> Option<String> {
        let id = self.text(KEY)?;
        Some(names.key_of(&id, self.text(COLLECTION).as_deref(), self.text(FULL_KEY).as_deref()))
    }
}

fn corrupt(why: &str) -> Error {
    Error::new(ErrorCode::Corrupt, format!("the item under this key is no record: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{parse, Settings};

    fn names() -> Names {
        Names::from_settings(&Settings::check(parse(b"{}").unwrap(), "test", &[]).unwrap())
    }

    fn written(key: &str, data: &str) -> Result<String, Error> {
        let names = names();
        let record = Record { version: -7, data: Bytes::copy_from_slice(data.as_bytes()) };
        write(&names.slot(key), &record, None).map(|item| String::from_utf8(item).unwrap())
    }

    #[test]
    fn a_record_is_an_item_and_back() {
        let text = written("users/\"1\"", r#"{"name":"Ada"}"#).unwrap();
        assert_eq!(
            text,
            r#"{"ds_key":{"S":"users/\"1\""},"ds_version":{"N":"-7"},"ds_collection":{"S":"users"},"ds_data":{"M":{"name":{"S":"Ada"}}}}"#
        );
        let item: Members<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(item.record().unwrap().version, -7);
        assert_eq!(item.record().unwrap().data, r#"{"name":"Ada"}"#);
        assert_eq!(item.key(&names()).unwrap(), "users/\"1\"");
    }

    #[test]
    fn what_no_attribute_can_hold_is_json() {
        for data in [r#"[1e400]"#, r#""\ud800""#, r#"{"":1}"#, "-0"] {
            let text = written("a", data).unwrap();
            assert!(text.contains(r#""ds_json":{"S":"#) && !text.contains("ds_data"), "{text}");
            let item: Members<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(item.record().unwrap().data, data);
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_refused_with_both_sizes() {
        let most = LARGEST - "ds_keya".len() - "ds_version".len() - 2 - "ds_data".len() - 1;
        assert!(written("a", &format!("\"{}\"", "x".repeat(most))).is_ok());
        let error = written("a", &format!("\"{}\"", "x".repeat(most + 1))).unwrap_err();
        assert_eq!(error.code(), ErrorCode::TooLarge);
        assert!(error.message().contains("409601") && error.message().contains("409600"), "{error}");
    }

    #[test]
    fn an_item_of_others_is_corrupt() {
        for text in [
            "{}",
            r#"{"ds_version":{"S":"1"}}"#,
            r#"{"ds_version":{"N":"1"}}"#,
            r#"{"ds_version":{"N":"1"},"ds_data":7}"#,
            r#"{"ds_version":{"N":"1"},"ds_json":{"S":"{"}}"#,
            r#"{"ds_version":{"N":"1.5"},"ds_json":{"S":"1"}}"#,
        ] {
            let item: Members<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(item.record().unwrap_err().code(), ErrorCode::Corrupt, "{text}");
        }
    }

    #[test]
    fn an_item_that_has_expired_is_seen() {
        let expiry = Expiry { attribute: "gone".into(), seconds: 60 };
        let item = |expires: u64| format!(r#"{{"gone":{{"N":"{expires}"}}}}"#);
        let is_gone =
            |text: &str| serde_json::from_str::<Members<'_>>(text).unwrap().has_expired(Some(&expiry));
        assert!(is_gone(&item(1_000_000)));
        assert!(!is_gone(&item(Moment::now().0 + 60)));
        assert!(!is_gone("{}"));
    }
}
