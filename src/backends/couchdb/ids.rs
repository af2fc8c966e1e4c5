//! Which `_id` a record's document has.

use std::borrow::Cow;

use crate::records::hash::sha256;

/// The longest `_id` that stands for itself, in bytes.
const LONGEST: usize = 512;

/// What an `_id` begins with that stands for a longer key.
const HASHED: &str = "sha256:";

/// What is put before a key that would begin with something else of meaning.
const ESCAPE: char = ':';

/// A document's `_id`, and the record's key beside it where the `_id` does not tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id<'a> {
    pub id: Cow<'a, str>,
    pub full_key: Option<&'a str>,
}

/// CouchDB keeps ids that begin with `_` to itself. Those, and what would be taken for one of the
/// forms here, have a colon before them; a longer key is its SHA-256.
pub(super) fn id_of(key: &str) -> Id<'_> {
    if key.len() > LONGEST {
        let id = Cow::Owned(format!("{HASHED}{}", sha256(key.as_bytes())));
        return Id { id, full_key: Some(key) };
    }
    let id = match key.starts_with(['_', ESCAPE]) || key.starts_with(HASHED) {
        true => Cow::Owned(format!("{ESCAPE}{key}")),
        false => Cow::Borrowed(key),
    };
    Id { id, full_key: None }
}

/// The record's key, by what its document says; `None` where the document is no record's.
pub(super) fn key_of<'a>(id: &'a str, full_key: Option<&'a str>) -> Option<&'a str> {
    match id.strip_prefix(ESCAPE) {
        Some(key) => Some(key),
        None if id.starts_with(HASHED) => full_key,
        None => (!id.starts_with('_')).then_some(id),
    }
}

/// What the `_id`s begin with whose keys may begin with a prefix, in the order of their bytes.
pub(super) fn beginnings_of(prefix: &str) -> Vec<String> {
    if prefix.is_empty() {
        return vec![String::new()];
    }
    let mut beginnings = vec![format!("{ESCAPE}{prefix}")];
    // Keys that begin so are escaped all.
    if !(prefix.starts_with(['_', ESCAPE]) || prefix.starts_with(HASHED)) {
        beginnings.push(prefix.to_owned());
    }
    if !HASHED.starts_with(prefix) {
        beginnings.push(HASHED.to_owned());
    }
    beginnings.sort_unstable();
    beginnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_ids_where_couchdb_lets_them() {
        for (key, id) in [
            ("users/1", "users/1"),
            ("_design/a", ":_design/a"),
            ("_", ":_"),
            (":a", "::a"),
            ("sha256:00", ":sha256:00"),
        ] {
            assert_eq!((&*id_of(key).id, id_of(key).full_key), (id, None), "{key}");
        }
        let long = "k".repeat(LONGEST + 1);
        let id = id_of(&long);
        assert_eq!((id.id.len(), id.full_key), (HASHED.len() + 64, Some(&*long)));
        assert_eq!(key_of("_design/a", None), None);
    }

    proptest! {
        #[test]
        fn the_key_can_be_had_back(key in "(sha256:|[_:a-c/é]){1,6}|k{510,515}") {
            let id = id_of(&key);
            prop_assert_eq!(key_of(&id.id, id.full_key), Some(&*key));
        }

        #[test]
        fn keys_with_a_prefix_have_such_ids(key in "(sha256:|[_:a-cs/é]){1,6}|s?k{510,515}", length in 0usize..9) {
            let length = (0..=length.min(key.len())).rev().find(|&at| key.is_char_boundary(at)).unwrap();
            let beginnings = beginnings_of(&key[..length]);
            let id = id_of(&key).id;
            prop_assert!(beginnings.iter().any(|beginning| id.starts_with(beginning)), "{} {:?}", id, beginnings);
            // None is a part of another one, which would list its records twice.
            for (place, one) in beginnings.iter().enumerate() {
                prop_assert!(beginnings[..place].iter().all(|other| !one.starts_with(other.as_str())));
            }
        }

        #[test]
        fn different_keys_have_different_ids(a in "(sha256:|[_:ab]){1,4}", b in "(sha256:|[_:ab]){1,4}") {
            prop_assume!(a != b);
            prop_assert_ne!(id_of(&a).id, id_of(&b).id);
        }
    }
}
