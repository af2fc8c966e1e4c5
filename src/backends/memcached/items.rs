//! How records become items.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::names::{self, Names, Stored};
use super::options;
use crate::config::Settings;
use crate::core::{Error, ErrorCode, Record};
use crate::records::classic;
use crate::records::envelope::{self, Form};

/// The longest exptime that is relative; the server takes a larger one for a Unix time.
const MAX_RELATIVE_EXPTIME: u64 = 30 * 24 * 60 * 60;

/// How records become items.
#[derive(Clone)]
pub(super) struct Items {
    pub names: Names,
    form: Form,
    /// In layout V1 a value may be any of JSON's.
    has_values: bool,
    /// Seconds; 0 is for ever.
    lifetime: u64,
}

impl Items {
    pub fn from_settings(settings: &Settings) -> Items {
        Items {
            names: options::names(settings),
            form: if settings.text("layout") == Some("V1") { Form::V1 } else { Form::V2 },
            has_values: settings.text("layout") == Some("V1") && classic::has_values(settings),
            lifetime: settings
                .integer("lifetime")
                .and_then(|lifetime| u64::try_from(lifetime).ok())
                .unwrap_or(0),
        }
    }

    /// The exptime of what is stored now.
    pub fn exptime(&self) -> u32 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        exptime_at(now, self.lifetime)
    }

    /// The value of a record's item.
    pub fn value(&self, full: &str, record: &Record) -> Vec<u8> {
        // What is not told apart by the key is by the value.
        let is_ambiguous = self.is_ambiguous(full);
        let value = if self.has_values && !is_ambiguous { classic::value(&record.data) } else { None };
        value.map_or_else(|| envelope::write(self.form, record, is_ambiguous.then_some(full)), Vec::from)
    }

    /// Whether another name may have the same key.
    fn is_ambiguous(&self, full: &str) -> bool {
        match self.names.stored(full) {
            Stored::Digest(_) => true,
            Stored::Plain(key) => names::looks_like_digest(key),
            Stored::Escaped(_) => false,
        }
    }

    /// The record in an item's value; `None` where it is another one's.
    pub fn record(&self, full: &str, value: &Bytes) -> Result<Option<Record>, Error> {
        if self.has_values {
            return self.record_or_value(full, value);
        }
        let (record, name) = envelope::read_named(value).ok_or_else(|| {
            corrupt("what memcached holds under this key is not {\"version\": n, \"data\": …}")
        })?;
        Ok(name.is_none_or(|name| name == full).then_some(record))
    }

    /// The same where the value may be any of JSON's.
    fn record_or_value(&self, full: &str, value: &Bytes) -> Result<Option<Record>, Error> {
        if self.is_ambiguous(full) {
            if let Some((record, Some(name))) = envelope::read_named(value) {
                return Ok((name == full).then_some(record));
            }
        }
        let record = classic::read(value);
        record.map(Some).ok_or_else(|| corrupt("what memcached holds under this key is not JSON"))
    }
}

fn corrupt(what: &'static str) -> Error {
    Error::new(ErrorCode::Corrupt, what)
}

fn exptime_at(now: u64, lifetime: u64) -> u32 {
    let time = if lifetime > MAX_RELATIVE_EXPTIME { now.saturating_add(lifetime) } else { lifetime };
    // memcached reads a signed number, so that the end of time is in 2038.
    u32::try_from(time).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_lifetime_is_a_unix_time() {
        assert_eq!(exptime_at(1_800_000_000, 0), 0);
        assert_eq!(exptime_at(1_800_000_000, 2_592_000), 2_592_000);
        assert_eq!(exptime_at(1_800_000_000, 2_592_001), 1_802_592_001);
        assert_eq!(exptime_at(1_800_000_000, 1 << 31), i32::MAX as u32);
    }

    #[test]
    fn a_name_and_the_name_that_is_its_digest_are_told_apart() {
        let items =
            Items { names: Names::new(String::new(), None), form: Form::V2, has_values: false, lifetime: 0 };
        let record = Record { version: 1, data: "{}".into() };
        let (long, short) = ("a".repeat(251), "21f5b107cda33036590a19419afd7fb6");
        assert_eq!(&*items.names.stored(&long), &*items.names.stored(short));
        let value = Bytes::from(items.value(&long, &record));
        assert_eq!(items.record(short, &value).unwrap(), None);
        assert_eq!(items.record(&long, &value).unwrap(), Some(record.clone()));
        // deepstream's own connector does not say whose it is.
        let theirs = Bytes::from_static(b"{\"version\":1,\"data\":{}}");
        assert_eq!(items.record(&long, &theirs).unwrap(), Some(record.clone()));
        let value = Bytes::from(items.value(short, &record));
        assert_eq!(items.record(&long, &value).unwrap(), None);
        assert_eq!(items.record(short, &value).unwrap(), Some(record.clone()));
        assert_eq!(items.value("plain", &record), theirs);
    }

    #[test]
    fn a_classic_value_is_stored_as_its_text_unless_another_name_may_have_its_key() {
        let names = Names::new(String::new(), None);
        let items = Items { names, form: Form::V1, has_values: true, lifetime: 0 };
        let (long, short) = ("a".repeat(251), "21f5b107cda33036590a19419afd7fb6");
        for text in
            [r#"{"firstname":"Wolfram"}"#, r#"{"_v":1,"_d":{},"key":"x"}"#, "null", r#"{"_v":1,"_d":[]}"#]
        {
            let record = classic::read(&Bytes::from(text)).unwrap();
            assert_eq!(items.value("plain", &record), text.as_bytes());
            assert_eq!(items.record("plain", &Bytes::from(text)).unwrap(), Some(record.clone()));
            let value = Bytes::from(items.value(&long, &record));
            assert_eq!(items.record(&long, &value).unwrap(), Some(record.clone()));
            assert_eq!(items.record(short, &value).unwrap(), None);
        }
        assert!(items.record("plain", &Bytes::from_static(b"{")).is_err());
    }
}
