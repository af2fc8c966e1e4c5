//! Which row a record is in.
//!
//! | key | `collection` | `id` | `key` |
//! |---|---|---|---|
//! | `users/1` | `users` | `1` | |
//! | `settings`, without a separator | nothing | `settings` | |
//! | `/1`, with nothing before it | nothing | `/1` | |
//! | longer than Cassandra's 65,535 bytes for the key of a partition | the separator | SHA-256 of the key, in hex | the key |
//!
//! No two keys share a row: a collection never holds the separator, and of the two kinds of keys
//! without a collection one begins with the separator and the other one does not hold it.

use std::borrow::Cow;

use crate::records::hash::sha256;
use crate::records::naming;

/// The most bytes of a partition's key.
const MAX_PARTITION_KEY: usize = 65_535;

/// What each of its parts costs besides its own bytes: its length and an end.
const PART: usize = 3;

/// The options that say which row is whose.
#[derive(Debug)]
pub(super) struct Rows {
    /// `splitChar`, not empty.
    pub separator: String,
    /// `keyPrefix`.
    pub prefix: String,
}

/// The columns of a record's primary key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub collection: &'a str,
    pub id: Cow<'a, str>,
    /// The whole key, where the other two do not hold it.
    pub long_key: Option<&'a str>,
}

impl Rows {
    /// A key as it is stored, with `keyPrefix`.
    pub fn full<'a>(&self, key: &'a str) -> Cow<'a, str> {
        match self.prefix.as_str() {
            "" => Cow::Borrowed(key),
            prefix => Cow::Owned(format!("{prefix}{key}")),
        }
    }

    /// The row of a key that has its prefix.
    pub fn place<'a>(&'a self, key: &'a str) -> Place<'a> {
        let place = naming::split(key, &self.separator);
        let collection = place.collection.unwrap_or_default();
        let id = if collection.is_empty() { key } else { place.id };
        if collection.len() + id.len() + 2 * PART > MAX_PARTITION_KEY {
            return Place {
                collection: &self.separator,
                id: Cow::Owned(sha256(key.as_bytes())),
                long_key: Some(key),
            };
        }
        Place { collection, id: Cow::Borrowed(id), long_key: None }
    }

    /// The key of a row, as the host knows it; `None` for a row of another prefix, or of another
    /// program.
    pub fn key(&self, collection: &str, id: &str, long_key: Option<&str>) -> Option<String> {
        let full = match long_key {
            Some(key) => Cow::Borrowed(key),
            None if collection.is_empty() => Cow::Borrowed(id),
            None => Cow::Owned(format!("{collection}{}{id}", self.separator)),
        };
        let is_its_place = {
            let place = self.place(&full);
            (place.collection, &*place.id) == (collection, id)
        };
        is_its_place.then(|| full.strip_prefix(self.prefix.as_str()).map(str::to_owned)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(separator: &str, prefix: &str) -> Rows {
        Rows { separator: separator.into(), prefix: prefix.into() }
    }

    fn of(key: &str) -> (String, String) {
        let rows = rows("/", "");
        let place = rows.place(key);
        assert_eq!(place.long_key, None);
        (place.collection.to_owned(), place.id.into_owned())
    }

    #[test]
    fn places_can_be_read_by_a_person() {
        let place = |collection: &str, id: &str| (collection.to_owned(), id.to_owned());
        assert_eq!(of("users/1"), place("users", "1"));
        assert_eq!(of("users/1/2"), place("users", "1/2"));
        assert_eq!(of("users/"), place("users", ""));
        assert_eq!(of("users"), place("", "users"));
        assert_eq!(of("/users"), place("", "/users"));
        assert_eq!(of("/"), place("", "/"));
    }

    #[test]
    fn keys_that_do_not_fit_are_found_by_their_digest() {
        let rows = rows("/", "");
        for (key, fits) in [
            ("k".repeat(65_529), true),
            ("k".repeat(65_530), false),
            (format!("users/{}", "k".repeat(65_524)), true),
            (format!("users/{}", "k".repeat(65_525)), false),
            (format!("{}/1", "k".repeat(65_534)), false),
        ] {
            let place = rows.place(&key);
            assert_eq!(place.long_key.is_none(), fits, "{} bytes", key.len());
            assert_eq!(rows.key(place.collection, &place.id, place.long_key).as_ref(), Some(&key));
            if !fits {
                assert_eq!((place.collection, place.id.len()), ("/", 64));
            }
        }
    }

    #[test]
    fn rows_of_another_prefix_are_none_of_ours() {
        let ours = rows("/", "app:");
        assert_eq!(ours.full("users/1"), "app:users/1");
        assert_eq!(ours.key("app:users", "1", None).as_deref(), Some("users/1"));
        assert_eq!(ours.key("", "app:users", None).as_deref(), Some("users"));
        assert_eq!(ours.key("users", "1", None), None);
    }

    #[test]
    fn rows_that_no_key_leads_to_are_none_of_ours() {
        let ours = rows("/", "");
        assert_eq!(ours.key("a/b", "c", None), None);
        assert_eq!(ours.key("/", "c", Some("d")), None);
        assert_eq!(ours.key("a", "b", Some("a/b")).as_deref(), Some("a/b"));
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof!["[ab/:é\0]{0,8}", "[/:]{1,5}[a/]{0,3}", any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn every_key_has_a_row_of_its_own(
            one in hostile(),
            other in hostile(),
            separator in "[/:é]{1,3}",
            prefix in prop_oneof![Just(String::new()), hostile()],
        ) {
            let rows = rows(&separator, &prefix);
            let (full, full_of_other) = (rows.full(&one), rows.full(&other));
            let (place, place_of_other) = (rows.place(&full), rows.place(&full_of_other));
            prop_assert_eq!(one == other, place == place_of_other);
            let key = rows.key(place.collection, &place.id, place.long_key);
            prop_assert_eq!(key, Some(one.clone()));
        }
    }
}
