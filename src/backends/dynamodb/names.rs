//! Which table and which hash key a record has.

use std::borrow::Cow;

use crate::config::Settings;
use crate::records::hash::{hexadecimal, sha256};
use crate::records::naming::{split, Place};

/// The longest hash key, in bytes.
const LONGEST_KEY: usize = 2048;

/// The longest name of a table, in characters.
const LONGEST_TABLE: usize = 255;

/// What a hash key begins with that stands for a longer one.
const HASHED: &str = "sha256:";

/// The option `table`, and how keys are distributed.
#[derive(Clone, Debug)]
pub(super) struct Names {
    table: String,
    separator: String,
    per_collection: bool,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot<'a> {
    pub table: Cow<'a, str>,
    /// The hash key.
    pub id: Cow<'a, str>,
    /// What the record's key has before the first separator.
    pub collection: Option<&'a str>,
    /// The record's whole key, where the hash key does not tell it.
    pub full_key: Option<&'a str>,
}

impl Names {
    pub fn from_settings(settings: &Settings) -> Names {
        Names {
            table: settings.text("table").unwrap_or("deepstream").to_owned(),
            separator: settings.text("splitChar").unwrap_or("/").to_owned(),
            per_collection: settings.flag("tablePerCollection").unwrap_or(false),
        }
    }

    /// The table of all records, or of those without a collection.
    pub fn main_table(&self) -> &str {
        &self.table
    }

    pub fn has_many_tables(&self) -> bool {
        self.per_collection
    }

    pub fn slot<'a>(&'a self, key: &'a str) -> Slot<'a> {
        let Place { collection, id } = split(key, &self.separator);
        let (table, id) = match collection {
            Some(collection) if self.per_collection => (Cow::Owned(self.table_of(collection)), id),
            _ => (Cow::Borrowed(self.table.as_str()), key),
        };
        let fits = !id.is_empty() && id.len() <= LONGEST_KEY && !id.starts_with(HASHED);
        if fits {
            return Slot { table, id: Cow::Borrowed(id), collection, full_key: None };
        }
        let id = Cow::Owned(format!("{HASHED}{}", sha256(key.as_bytes())));
        Slot { table, id, collection, full_key: Some(key) }
    }

    /// The record's key, by what its item says.
    pub fn key_of(&self, id: &str, collection: Option<&str>, full_key: Option<&str>) -> String {
        match (full_key, collection) {
            (Some(full_key), _) => full_key.to_owned(),
            (None, Some(collection)) if self.per_collection => format!("{collection}{}{id}", self.separator),
            (None, _) => id.to_owned(),
        }
    }

    /// Whether a table holds records of ours.
    pub fn owns(&self, table: &str) -> bool {
        let rest = table.strip_prefix(&self.table);
        rest.is_some_and(|rest| rest.is_empty() || (self.per_collection && rest.starts_with('-')))
    }

    /// Whether a table may hold keys with a prefix.
    pub fn may_hold(&self, table: &str, prefix: &str) -> bool {
        if !self.owns(table) {
            return false;
        }
        match split(prefix, &self.separator).collection {
            _ if !self.per_collection => true,
            Some(collection) => table == self.table_of(collection),
            // Not all names tell the collection.
            None => {
                let rest = table.strip_prefix(&self.table).and_then(|rest| rest.strip_prefix('-'));
                rest.is_none_or(|rest| rest.starts_with("..") || rest.starts_with(&escaped(prefix)))
            }
        }
    }

    /// What hash keys in a table begin with whose keys begin with a prefix.
    pub fn beginnings_of(&self, table: &str, prefix: &str) -> Option<[String; 2]> {
        let is_whole = !self.per_collection || table == self.table;
        let prefix = match split(prefix, &self.separator) {
            Place { collection: Some(_), id } if !is_whole => id,
            _ if !is_whole => "",
            _ => prefix,
        };
        (!prefix.is_empty()).then(|| [prefix.to_owned(), HASHED.to_owned()])
    }

    /// DynamoDB allows letters, digits and `_ - .`; all else, and the dot, is written as a dot and
    /// two hexadecimal digits for each byte. What is too long then is a hash, after two dots.
    fn table_of(&self, collection: &str) -> String {
        let mut name = format!("{}-{}", self.table, escaped(collection));
        if name.len() > LONGEST_TABLE {
            name = format!("{}-..{}", self.table, sha256(collection.as_bytes()));
        }
        name
    }
}

fn escaped(collection: &str) -> String {
    let mut name = String::with_capacity(collection.len());
    for byte in collection.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            _ => {
                name.push('.');
                name.push_str(&hexadecimal(&[byte]));
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(per_collection: bool) -> Names {
        Names { table: "records".into(), separator: "/".into(), per_collection }
    }

    #[test]
    fn one_table_has_whole_keys() {
        let names = names(false);
        let slot = names.slot("users/1");
        assert_eq!((&*slot.table, &*slot.id, slot.collection), ("records", "users/1", Some("users")));
        let slot = names.slot("config");
        assert_eq!((&*slot.table, &*slot.id, slot.collection), ("records", "config", None));
    }

    #[test]
    fn many_tables_have_names_that_dynamodb_takes() {
        let names = names(true);
        for (key, table, id) in [
            ("users/1", "records-users", "1"),
            ("user_profiles/1/2", "records-user_profiles", "1/2"),
            ("a.b c/1", "records-a.2eb.20c", "1"),
            ("é/1", "records-.c3.a9", "1"),
            ("/1", "records-", "1"),
            ("config", "records", "config"),
        ] {
            let slot = names.slot(key);
            assert_eq!((&*slot.table, &*slot.id), (table, id), "{key}");
        }
        let long = format!("{}/1", "x".repeat(300));
        let slot = names.slot(&long);
        assert!(slot.table.starts_with("records-..") && slot.table.len() <= LONGEST_TABLE);
        // What cannot be a hash key is one by its hash.
        let slot = names.slot("users/");
        assert!(slot.id.starts_with(HASHED));
        assert_eq!(slot.full_key, Some("users/"));
    }

    #[test]
    fn long_keys_are_hashed_and_so_is_what_looks_like_one() {
        let names = names(false);
        let long = "k".repeat(LONGEST_KEY + 1);
        let slot = names.slot(&long);
        assert_eq!((slot.id.len(), slot.full_key), (HASHED.len() + 64, Some(long.as_str())));
        let disguised = slot.id.to_string();
        assert_ne!(names.slot(&disguised).id, disguised);
        assert_eq!(names.slot(&"k".repeat(LONGEST_KEY)).full_key, None);
    }

    #[test]
    fn tables_of_others_are_told_apart() {
        assert!(names(true).owns("records-users") && names(true).owns("records"));
        assert!(!names(true).owns("recordsusers") && !names(true).owns("other"));
        assert!(names(false).owns("records") && !names(false).owns("records-users"));
    }

    proptest! {
        #[test]
        fn the_key_can_be_had_back(key in "[a-c/.é_-]{1,8}", per_collection in any::<bool>()) {
            let names = names(per_collection);
            let slot = names.slot(&key);
            prop_assert!(names.owns(&slot.table));
            prop_assert_eq!(names.key_of(&slot.id, slot.collection, slot.full_key), key.clone());
        }

        #[test]
        fn keys_with_a_prefix_are_found(
            key in "[a-c/.é_-]{1,8}|a/b{2049}|b{260}/c",
            length in 0usize..12,
            per_collection in any::<bool>(),
        ) {
            let length = (0..=length.min(key.len())).rev().find(|&at| key.is_char_boundary(at)).unwrap();
            let (names, prefix) = (names(per_collection), &key[..length]);
            let slot = names.slot(&key);
            prop_assert!(names.may_hold(&slot.table, prefix));
            let beginnings = names.beginnings_of(&slot.table, prefix);
            prop_assert!(beginnings.is_none_or(|some| some.iter().any(|one| slot.id.starts_with(one.as_str()))));
        }

        #[test]
        fn different_keys_have_different_slots(a in "[a-b/.2e_-]{1,6}", b in "[a-b/.2e_-]{1,6}") {
            prop_assume!(a != b);
            let names = names(true);
            let (a, b) = (names.slot(&a), names.slot(&b));
            prop_assert!((a.table, a.id) != (b.table, b.id));
        }
    }
}
