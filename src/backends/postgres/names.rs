//! Which table and which row a record is in. `;` begins an escape in both, since deepstream's own
//! connectors strip it from names:
//!
//! | in the key | in the table's name, or in `id` |
//! |---|---|
//! | `;` | `;;` |
//! | NUL | `;0` |
//! | no collection's name at all (`/1`) | `;e` |
//! | a collection that has the name of `defaultTable` | `;d` and the name |
//! | a collection whose name ends like a primary key's index, `_pkey` | the name and `;k` |
//! | a collection whose table's name would have more than 63 bytes | its beginning, `;h` and a hash |
//! | an `id` that an index cannot hold | all such records are in the table `;long`, under a hash |
//!
//! The escapes can be undone without doubt, hashes by what stands beside them: the collection in
//! the table's comment, the whole key in the column `key` of `;long`.

use std::borrow::Cow;

use crate::records::hash::sha256;
use crate::records::{naming, prefix};

/// The longest name in PostgreSQL, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 63;

/// The longest `id` of a row: an index of PostgreSQL takes 2,704 bytes at most.
const MAX_ID_BYTES: usize = 2_600;

/// The table of records whose `id` is too long for an index.
pub(super) const LONG_TABLE: &str = ";long";

/// How many hexadecimal digits of a hash stand in a table's name.
const HASH_DIGITS: usize = 40;

/// The options that say which table is whose.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// `splitChar`, not empty.
    pub separator: String,
    /// `defaultTable`, not empty: the table of keys that have no collection.
    pub default_table: String,
    /// `table.prefix`: what the tables of collections begin with.
    pub prefix: String,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row<'a> {
    pub id: Cow<'a, str>,
    /// The whole key, where `id` is a hash of it; NUL is escaped.
    pub key: Option<Cow<'a, str>>,
}

/// A table, as far as the key says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Home<'a> {
    /// That of a collection; `None` is that of keys without one.
    Collection(Option<&'a str>),
    /// [`LONG_TABLE`].
    Long,
}

impl Names {
    /// Where a key's record is.
    pub fn place<'a>(&self, key: &'a str) -> (Home<'a>, Row<'a>) {
        let place = naming::split(key, &self.separator);
        let id = escaped(place.id);
        if id.len() <= MAX_ID_BYTES {
            return (Home::Collection(place.collection), Row { id, key: None });
        }
        (Home::Long, Row { id: sha256(key.as_bytes()).into(), key: Some(escaped(key)) })
    }

    /// The name of a table, as PostgreSQL lists it.
    pub fn table(&self, home: Home<'_>) -> String {
        match home {
            Home::Long => LONG_TABLE.to_owned(),
            Home::Collection(collection) => fitted(&self.whole_name(collection)),
        }
    }

    /// What a new table's comment must say, where its name does not say it all: the name that
    /// would have been too long.
    pub fn comment(&self, home: Home<'_>) -> Option<String> {
        let Home::Collection(collection) = home else { return None };
        let whole = self.whole_name(collection);
        (whole.len() > MAX_NAME_BYTES).then_some(whole)
    }

    /// The key of a row in a table of [`Names::table`]: `None` where it is not one of ours.
    /// `comment` is the table's, `key` the column of that name.
    pub fn key(&self, table: &str, comment: Option<&str>, row: &Row<'_>) -> Option<String> {
        if table == LONG_TABLE {
            return unescaped(row.key.as_deref()?);
        }
        let collection = self.collection(table, comment)?;
        let id = unescaped(&row.id)?;
        Some(match collection {
            Some(collection) => format!("{collection}{}{id}", self.separator),
            None => id,
        })
    }

    /// What begins with a prefix in a table of [`Names::table`] if the key does: the column `key` of
    /// [`LONG_TABLE`], elsewhere `id`; `None` where there is no such key. `comment` is the table's.
    pub fn prefix_of_ids<'a>(
        &self,
        table: &str,
        comment: Option<&str>,
        prefix: &'a str,
    ) -> Option<Cow<'a, str>> {
        if table == LONG_TABLE || prefix.is_empty() {
            return Some(escaped(prefix));
        }
        let collection = self.collection(table, comment)?;
        prefix::of_ids(prefix, collection.as_deref(), &self.separator).map(escaped)
    }

    /// The collection of a table; outer `None` where it is not one of ours.
    fn collection(&self, table: &str, comment: Option<&str>) -> Option<Option<String>> {
        if table == LONG_TABLE {
            return None;
        }
        if self.table(Home::Collection(None)) == table {
            return Some(None);
        }
        let whole = if is_shortened(table) { comment? } else { table };
        let name = whole.strip_suffix(";k").filter(|name| is_like_an_index(name)).unwrap_or(whole);
        let name = match name.strip_prefix(";d") {
            Some(name) => unescaped(name)?,
            None if name == ";e" => String::new(),
            None => unescaped(name)?,
        };
        let collection = name.strip_prefix(&self.prefix)?.to_owned();
        // Only if it is the one that this would be written to.
        (self.table(Home::Collection(Some(&collection))) == table).then_some(Some(collection))
    }

    fn whole_name(&self, collection: Option<&str>) -> String {
        let mut name = match collection {
            None => escaped(&self.default_table).into_owned(),
            Some(collection) => {
                let name = format!("{}{collection}", self.prefix);
                match escaped(&name) {
                    empty if empty.is_empty() => ";e".to_owned(),
                    same if name == self.default_table => format!(";d{same}"),
                    other => other.into_owned(),
                }
            }
        };
        // The index of a table's primary key is a relation as well, and has such a name.
        if is_like_an_index(&name) {
            name.push_str(";k");
        }
        name
    }
}

fn is_like_an_index(name: &str) -> bool {
    name.trim_end_matches(|letter: char| letter.is_ascii_digit()).ends_with("_pkey")
}

fn fitted(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let mut end = MAX_NAME_BYTES - HASH_DIGITS - ";h".len();
    // Neither half a character nor half an escape.
    while !name.is_char_boundary(end) || name[..end].ends_with(';') {
        end -= 1;
    }
    format!("{};h{}", &name[..end], &sha256(name.as_bytes())[..HASH_DIGITS])
}

fn is_shortened(table: &str) -> bool {
    let Some(at) = table.len().checked_sub(HASH_DIGITS + ";h".len()) else { return false };
    // An escaped `;` before an `h` is doubled.
    table.get(at..).is_some_and(|end| end.starts_with(";h")) && !table[..at].ends_with(';')
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b';' | 0)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(';', ";;").replace('\0', ";0"))
}

fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            ';' => match letters.next()? {
                ';' => ';',
                '0' => '\0',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(default_table: &str, prefix: &str) -> Names {
        Names { separator: "/".into(), default_table: default_table.into(), prefix: prefix.into() }
    }

    fn table(key: &str) -> String {
        let names = names("default", "");
        names.table(names.place(key).0)
    }

    #[test]
    fn names_can_be_read_by_a_person() {
        assert_eq!(table("users/1"), "users");
        assert_eq!(table("Users/1"), "Users");
        assert_eq!(table("größe/1"), "größe");
        assert_eq!(table("a\"b/1"), "a\"b");
        assert_eq!(table("a;b/1"), "a;;b");
        assert_eq!(table("a\0b/1"), "a;0b");
        assert_eq!(table("/1"), ";e");
        assert_eq!(table("1"), "default");
        assert_eq!(table("default/1"), ";ddefault");
        assert_eq!(table("users_pkey/1"), "users_pkey;k");
        assert_eq!(table("users_pkey12/1"), "users_pkey12;k");
        let (_, row) = names("default", "").place("a/b;\0");
        assert_eq!((row.id.as_ref(), row.key), ("b;;;0", None));
        let with_prefix = names("default", "ds_");
        assert_eq!(with_prefix.table(Home::Collection(Some("users"))), "ds_users");
        assert_eq!(with_prefix.table(Home::Collection(Some(""))), "ds_");
        assert_eq!(with_prefix.table(Home::Collection(None)), "default");
    }

    #[test]
    fn a_long_name_keeps_its_beginning() {
        let long = table(&format!("{}/1", "a".repeat(64)));
        assert!(long.starts_with("aaaaaaaaaaaaaaaaaaaaa;h"), "{long}");
        assert_eq!(long.len(), MAX_NAME_BYTES);
        assert_eq!(table(&format!("{}/1", "a".repeat(63))), "a".repeat(63));
    }

    #[test]
    fn a_long_id_is_a_hash_with_the_key_beside_it() {
        let names = names("default", "");
        let key = format!("users/{}", "k".repeat(MAX_ID_BYTES + 1));
        let (home, row) = names.place(&key);
        assert_eq!((home, row.id.len(), row.key.as_deref()), (Home::Long, 64, Some(key.as_str())));
        let shorter = &key[..key.len() - 1];
        assert_eq!(names.place(shorter).0, Home::Collection(Some("users")));
    }

    /// Short names over the characters that matter, and long ones, so that near-collisions are
    /// frequent.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a;0dehk\0\"_é]{0,4}",
            "(default|;ddefault|users|;h|;k|_pkey|;long|;e|p_){1,3}[0-9;]?",
            "[aé;\0]{20,40}",
            "(a{21}|b{30}|é{12})[ab;]{20,60}(;h|;k|_pkey)?",
            any::<String>(),
        ]
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![
            hostile(),
            (hostile(), hostile()).prop_map(|(collection, id)| format!("{collection}/{id}")),
            (hostile(), MAX_ID_BYTES - 2..MAX_ID_BYTES + 3)
                .prop_map(|(collection, length)| format!("{collection}/{}", "k".repeat(length))),
        ]
    }

    fn all_names() -> impl Strategy<Value = Names> {
        let default_table = prop_oneof![Just("default".to_owned()), "[a;p]{1,2}(_pkey)?", "a{70}"];
        (default_table, prop_oneof![Just(String::new()), "(p_|a|;)"])
            .prop_map(|(default_table, prefix)| names(&default_table, &prefix))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn different_keys_are_different_rows(names in all_names(), one in key(), other in key()) {
            let ((home, row), (other_home, other_row)) = (names.place(&one), names.place(&other));
            let (table, other_table) = (names.table(home), names.table(other_home));
            prop_assert_eq!(one == other, (&table, &row) == (&other_table, &other_row));
            prop_assert!(!table.is_empty() && table.len() <= MAX_NAME_BYTES && !table.contains('\0'));
            prop_assert!(row.id.len() <= MAX_ID_BYTES && !row.id.contains('\0'));
            // No table has the name that PostgreSQL gives to an index.
            let end = table.trim_end_matches(|letter: char| letter.is_ascii_digit());
            prop_assert!(!end.ends_with("_pkey"), "{}", table);
        }

        #[test]
        fn the_key_can_be_had_back(names in all_names(), key in key()) {
            let (home, row) = names.place(&key);
            let (table, comment) = (names.table(home), names.comment(home));
            prop_assert_eq!(names.key(&table, comment.as_deref(), &row), Some(key));
        }
    }
}
