//! Which table a record is in, how its name is written in SQL, and what stands for its id.
//!
//! Depending on the server's system and settings (`lower_case_table_names`) names of tables are
//! compared without regard to case and even to accents, each is the name of a file, it has at
//! most 64 characters, and some characters are impossible in it. So a collection's table has its
//! name where that consists of lower-case ASCII letters, digits and `_` alone; of all else the
//! table's name has an escape, which begins with `~`:
//!
//! | in the collection | in the table's name |
//! |---|---|
//! | an upper-case ASCII letter, `U` | `~u` |
//! | `~` | `~~` |
//! | any other character, such as `ö` (U+00F6) | `~0f6.` |
//! | more than there is room for | the beginning, `~1` and a part of the SHA-256 of the whole name |
//!
//! Two collections share no table, however the server compares: the escapes can be undone
//! without doubt, and where `~1` is, the hash tells them apart.
//!
//! An index has room for ids of 255 characters. A longer one is stored as `~` and its SHA-256 in
//! hexadecimal digits, and so is one that looks like that; the full key is beside it.

use std::borrow::Cow;
use std::fmt::Write;

use crate::records::hash::sha256;
use crate::records::tables::{self, Spelling};

/// The tables of all collections.
pub(super) type Tables = tables::Tables<Mysql>;

/// The longest name of a table, in characters.
const LONGEST_NAME: usize = 64;

/// How long a name may be as the name of a file, where all but letters, digits and `_` take
/// five bytes: with what servers append it stays below 255.
const LONGEST_FILE_NAME: usize = 200;

/// How much of a hashed name a person can read, and how many hexadecimal digits of its hash there are.
const READABLE: usize = 20;
const HASH_DIGITS: usize = 40;

/// What a hash in the place of an id begins with.
pub(super) const HASHED: &str = "~";

/// The longest id that is stored as it is, in characters.
pub(super) const LONGEST_ID: usize = 255;

/// The way of writing names of MySQL and MariaDB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mysql;

impl Spelling for Mysql {
    fn spell(&self, collection: &str) -> String {
        let name = escaped(collection);
        // ASCII throughout, so that bytes are characters.
        if name.len() <= LONGEST_NAME && file_name_length(&name) <= LONGEST_FILE_NAME {
            return name;
        }
        format!("{}~1{}", &name[..name.len().min(READABLE)], &sha256(collection.as_bytes())[..HASH_DIGITS])
    }

    fn read(&self, table: &str) -> Option<String> {
        let mut rest = table;
        let mut collection = String::with_capacity(table.len());
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            if letter != '~' {
                collection.push(letter);
                continue;
            }
            let escape = rest.chars().next()?;
            rest = &rest[escape.len_utf8()..];
            collection.push(match escape {
                '~' => '~',
                '0' => {
                    let (digits, after) = rest.split_once('.')?;
                    rest = after;
                    char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                }
                'a'..='z' => escape.to_ascii_uppercase(),
                _ => return None,
            });
        }
        Some(collection)
    }

    fn quote(&self, table: &str) -> String {
        format!("`{}`", table.replace('`', "``"))
    }
}

fn escaped(collection: &str) -> String {
    let mut name = String::with_capacity(collection.len());
    for letter in collection.chars() {
        match letter {
            'a'..='z' | '0'..='9' | '_' => name.push(letter),
            'A'..='Z' => name.extend(['~', letter.to_ascii_lowercase()]),
            '~' => name.push_str("~~"),
            // Writing to a string does not fail.
            _ => drop(write!(name, "~0{:x}.", u32::from(letter))),
        }
    }
    name
}

fn file_name_length(name: &str) -> usize {
    name.bytes().map(|byte| if byte.is_ascii_alphanumeric() || byte == b'_' { 1 } else { 5 }).sum()
}

/// What stands for an id in its row: the id itself, or its hash.
pub(super) fn row_of(id: &str) -> Cow<'_, str> {
    if id.chars().nth(LONGEST_ID).is_some() || looks_hashed(id) {
        return Cow::Owned(format!("{HASHED}{}", sha256(id.as_bytes())));
    }
    Cow::Borrowed(id)
}

/// Whether an id in a row is a hash.
pub(super) fn looks_hashed(id: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    id.strip_prefix(HASHED).is_some_and(|digits| digits.len() == 64 && digits.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::tables::Tables as AnyTables;
    use proptest::prelude::*;

    fn tables(default_collection: &str) -> Tables {
        AnyTables::new("/", default_collection, Mysql)
    }

    fn of(key: &str) -> String {
        let tables = tables("default");
        tables.name(tables.place(key).collection)
    }

    #[test]
    fn names_can_be_read_by_a_person() {
        assert_eq!(of("users/1"), "users");
        assert_eq!(of("Users/1"), "~users");
        assert_eq!(of("userProfiles/1"), "user~profiles");
        assert_eq!(of("größe/1"), "gr~0f6.~0df.e");
        assert_eq!(of("a b-c/1"), "a~020.b~02d.c");
        assert_eq!(of("a~b/1"), "a~~b");
        assert_eq!(of("a\0b/1"), "a~00.b");
        assert_eq!(of("/1"), "~2");
        assert_eq!(of("1"), "default");
        assert_eq!(of("default/1"), "~3default");
        assert_eq!(of("Default/1"), "~default");
        let long = of(&format!("{}/1", "long_name_".repeat(10)));
        assert!(long.starts_with("long_name_long_name_~1") && long.len() == 62, "{long}");
    }

    #[test]
    fn long_ids_have_hashes_and_hashes_have_hashes() {
        let longest = "é".repeat(255);
        assert_eq!(row_of(&longest), longest);
        let hash = row_of(&format!("{longest}é")).into_owned();
        assert!(looks_hashed(&hash));
        assert_ne!(row_of(&hash), hash);
        assert_eq!(row_of(""), "");
        assert_eq!(row_of("~"), "~");
    }

    /// Short names over the characters that matter, so that near-collisions are frequent.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            "[aAbB~0123.\0`'\"; _éÉ#@$]{0,6}",
            "(default|DEFAULT|~3default|~2|~1|~0e9.|#mysql50#){1,2}[aA~]?",
            "[aÜ]{20,70}",
            any::<String>(),
        ]
    }

    fn collection() -> impl Strategy<Value = Option<String>> {
        prop_oneof![Just(None), hostile().prop_map(Some), Just(Some("default".into()))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn different_collections_have_tables_that_every_server_takes_for_different(
            one in collection(),
            other in collection(),
            default_collection in prop_oneof![Just("default".to_owned()), hostile()],
        ) {
            let tables = tables(&default_collection);
            let (name, name_of_other) = (tables.name(one.as_deref()), tables.name(other.as_deref()));
            prop_assert_eq!(one == other, name == name_of_other);
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_~.".contains(&byte);
            prop_assert!(name.bytes().all(is_plain), "{}", name);
            prop_assert!((1..=64).contains(&name.len()));
            prop_assert!(file_name_length(&name) <= 240);
            // `~3` and the name of the default table may have to be read as a hash.
            if !name.contains("~1") {
                prop_assert_eq!(tables.collection(&name), Some(one));
            }
        }
    }

    proptest! {
        #[test]
        fn different_ids_are_in_different_rows(one in "[~a-f0-9]{0,3}|.{250,260}", other in any::<String>()) {
            prop_assert_eq!(row_of(&one) == row_of(&other), one == other);
            prop_assert!(row_of(&one).chars().count() <= LONGEST_ID);
        }

        #[test]
        fn a_quoted_name_ends_where_it_should(name in "[a`\"'\\\\ ;]{0,8}") {
            let quoted = Mysql.quote(&name);
            let inner = quoted.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap();
            // Within the quotes every backtick is doubled, which is one in the name.
            prop_assert_eq!(inner.replace("``", ""), name.replace('`', ""));
            prop_assert_eq!(inner.replace("``", "`"), name);
        }
    }
}
