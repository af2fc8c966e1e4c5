//! Where a key's record is: in which collection, with which `ds_key`.
//!
//! `users/1` is `1` in the collection `users`. A key without the separator is in the default
//! collection, and so is, under its whole name, one whose collection MongoDB could not hold or
//! that names the default collection itself. So no two keys meet: in the default collection
//! those of the first kind have no separator, and those of the second have one.

use crate::records::prefix;

/// The longest name of a collection: MongoDB has 255 bytes for it, a dot, and the name of a
/// database, which has 63.
const MAX_NAME_BYTES: usize = 190;

/// The options that say which record is where.
#[derive(Debug)]
pub(super) struct Collections {
    /// `splitChar`, not empty; without one all records are in the default collection.
    pub separator: Option<String>,
    /// `defaultCollection`.
    pub default: String,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub collection: &'a str,
    /// The value of `ds_key`.
    pub id: &'a str,
}

impl Collections {
    pub fn place<'a>(&'a self, key: &'a str) -> Place<'a> {
        if let Some(separator) = &self.separator {
            if let Some((collection, _)) = key.split_once(separator.as_str()) {
                if is_name(collection) && collection != self.default {
                    // The npm packages leave out one character, however long the separator.
                    let first = separator.chars().next().map_or(0, char::len_utf8);
                    return Place { collection, id: &key[collection.len() + first..] };
                }
            }
        }
        Place { collection: &self.default, id: key }
    }

    /// What `ds_key` begins with in a collection if the key begins with `prefix`; `None` where there
    /// is no such key.
    pub fn prefix_of_ids<'a>(&self, collection: &str, prefix: &'a str) -> Option<&'a str> {
        if collection == self.default {
            // Whole keys.
            return Some(prefix);
        }
        let first = self.separator.as_ref()?.chars().next()?;
        prefix::of_ids(prefix, Some(collection), first.encode_utf8(&mut [0; 4]))
    }

    /// The key of a document, if it is where that key's record would be.
    pub fn key(&self, collection: &str, id: &str) -> Option<String> {
        let key = match &self.separator {
            Some(separator) if collection != self.default => {
                format!("{collection}{}{id}", separator.chars().next()?)
            }
            _ => id.to_owned(),
        };
        (self.place(&key) == Place { collection, id } && !key.is_empty()).then_some(key)
    }
}

/// Whether MongoDB takes this for the name of a collection of ours.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.contains(['$', '\0'])
        && !name.contains("..")
        && !name.starts_with(['.'])
        && !name.ends_with('.')
        && !name.starts_with("system.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collections(separator: Option<&str>) -> Collections {
        Collections { separator: separator.map(str::to_owned), default: "docs".into() }
    }

    fn place<'a>(collections: &'a Collections, key: &'a str) -> (&'a str, &'a str) {
        let Place { collection, id } = collections.place(key);
        (collection, id)
    }

    #[test]
    fn the_first_separator_counts() {
        let by_slash = collections(Some("/"));
        assert_eq!(place(&by_slash, "users/1"), ("users", "1"));
        assert_eq!(place(&by_slash, "users/1/2"), ("users", "1/2"));
        assert_eq!(place(&by_slash, "users/"), ("users", ""));
        assert_eq!(place(&by_slash, "users"), ("docs", "users"));
        assert_eq!(place(&collections(None), "users/1"), ("docs", "users/1"));
    }

    #[test]
    fn what_is_no_collection_is_in_the_default_one_under_its_whole_key() {
        let by_slash = collections(Some("/"));
        let long = format!("{}/1", "c".repeat(191));
        for key in ["/1", "a$b/1", "a\0b/1", ".a/1", "a./1", "a..b/1", "system.users/1", "docs/1", &long] {
            assert_eq!(place(&by_slash, key), ("docs", key));
        }
    }

    #[test]
    fn a_longer_separator_is_cut_as_the_npm_packages_do() {
        assert_eq!(place(&collections(Some("::")), "users::1"), ("users", ":1"));
        assert_eq!(place(&collections(Some("éa")), "uséa1"), ("us", "a1"));
    }

    proptest! {
        #[test]
        fn a_place_belongs_to_one_key(
            key in "[ab/:.$é]{1,8}|docs[/:]{1,2}[ab]?",
            separator in proptest::option::of("[/:é]{1,3}"),
        ) {
            let collections = collections(separator.as_deref());
            let (collection, id) = place(&collections, &key);
            prop_assert_eq!(collections.key(collection, id), Some(key.clone()));
        }
    }
}
