//! How records become items.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::names::{self, Names, Stored};
use super::options;
use crate::config::Settings;
use crate::core::{Error, ErrorCode, Record};
use crate::records::envelope::{self, Form};

/// The longest exptime that is relative; the server takes a larger one for a Unix time.
const MAX_RELATIVE_EXPTIME: u64 = 30 * 24 * 60 * 60;

/// How records become items.
#[derive(Clone)]
pub(super) struct Items {
    pub names: Names,
    form: Form,
    /// Seconds; 0 is for ever.
    lifetime: u64,
}

impl Items {
    pub fn from_settings(settings: &Settings) -> Items {
        Items {
            names: options::names(settings),
            form: if settings.text("layout") == Some("V1") { Form::V1 } else { Form::V2 },
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
        let is_ambiguous = match self.names.stored(full) {
            Stored::Digest(_) => true,
            Stored::Plain(key) => names::looks_like_digest(key),
            Stored::Escaped(_) => false,
        };
        envelope::write(self.form, record, is_ambiguous.then_some(full))
    }

    /// The record in an item's value; `None` where it is another one's.
    pub fn record(&self, full: &str, value: &Bytes) -> Result<Option<Record>, Error> {
        let (record, name) = envelope::read_named(value).ok_or_else(|| {
            Error::new(
                ErrorCode::Corrupt,
                "what memcached holds under this key is not {\"version\": n, \"data\": …}",
            )
        })?;
        Ok(name.is_none_or(|name| name == full).then_some(record))
    }
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
        let items = Items { names: Names::new(String::new(), None), form: Form::V2, lifetime: 0 };
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
}
