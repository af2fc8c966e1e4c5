//! Which table a record is in, and how its name is written in SQL.
//!
//! SQLite takes `Users` and `users` for the same table, reserves names that begin with
//! `sqlite_`, and knows no NUL in a name. A collection's table has its name, except that `~`
//! begins an escape:
//!
//! | in the collection | in the table's name |
//! |---|---|
//! | an upper-case ASCII letter, `U` | `~u` |
//! | `~` | `~~` |
//! | NUL | `~0` |
//! | `sqlite_` at the beginning | `~1sqlite_` |
//! | nothing at all | `~2` |
//! | exactly the name of `defaultTable` | `~3` and the name |
//!
//! So no two collections share a table, however SQLite compares: the escapes can be undone
//! without doubt (a digit from 1 to 3 after `~` stands only at the beginning), and no name has
//! an upper-case ASCII letter, the only kind that SQLite folds.

use crate::records::tables::{self, Spelling};

/// The tables of all collections.
pub(super) type Tables = tables::Tables<Sqlite>;

/// SQLite's way of writing names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sqlite;

impl Spelling for Sqlite {
    fn spell(&self, collection: &str) -> String {
        escaped(collection)
    }

    fn read(&self, table: &str) -> Option<String> {
        let mut letters = table.strip_prefix("~1").unwrap_or(table).chars();
        let mut collection = String::with_capacity(table.len());
        while let Some(letter) = letters.next() {
            collection.push(match letter {
                '~' => match letters.next()? {
                    '~' => '~',
                    '0' => '\0',
                    other => other.to_ascii_uppercase(),
                },
                other => other,
            });
        }
        Some(collection)
    }

    fn quote(&self, table: &str) -> String {
        quoted(table)
    }
}

fn escaped(collection: &str) -> String {
    let mut name = String::with_capacity(collection.len());
    if collection.starts_with("sqlite_") {
        name.push_str("~1");
    }
    for letter in collection.chars() {
        match letter {
            'A'..='Z' => name.extend(['~', letter.to_ascii_lowercase()]),
            '~' => name.push_str("~~"),
            '\0' => name.push_str("~0"),
            _ => name.push(letter),
        }
    }
    name
}

/// A name as an SQL identifier. The name has no NUL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;

    fn tables(default_collection: &str) -> Tables {
        Tables::new("/", default_collection, Sqlite)
    }

    fn of(key: &str) -> String {
        let tables = tables("default");
        tables.name(tables.place(key).collection)
    }

    #[test]
    fn names_can_be_read_by_a_person() {
        assert_eq!(of("users/1"), "users");
        assert_eq!(of("Users/1"), "~users");
        assert_eq!(of("größe ÄÖ/1"), "größe ÄÖ");
        assert_eq!(of("a~b/1"), "a~~b");
        assert_eq!(of("a\0b/1"), "a~0b");
        assert_eq!(of("sqlite_master/1"), "~1sqlite_master");
        assert_eq!(of("SQLite_master/1"), "~s~q~lite_master");
        assert_eq!(of("/1"), "~2");
        assert_eq!(of("1"), "default");
        assert_eq!(of("default/1"), "~3default");
        assert_eq!(of("Default/1"), "~default");
        assert_eq!(tables("").name(None), "~2");
    }

    /// Short names over the characters that matter, so that near-collisions are frequent.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            "[aAsS~0123\0\"'; _é]{0,5}",
            "(sqlite_|SQLITE_|sQlite_|~1sqlite_|sqlite|default|DEFAULT|~3default|~2){1,2}[aA~]?",
            any::<String>(),
        ]
    }

    fn collection() -> impl Strategy<Value = Option<String>> {
        prop_oneof![Just(None), hostile().prop_map(Some), Just(Some("default".into()))]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn different_collections_have_tables_that_sqlite_takes_for_different(
            one in collection(),
            other in collection(),
            default_collection in prop_oneof![Just("default".to_owned()), hostile()],
        ) {
            let tables = tables(&default_collection);
            let (name, name_of_other) = (tables.name(one.as_deref()), tables.name(other.as_deref()));
            prop_assert_eq!(one == other, name.eq_ignore_ascii_case(&name_of_other));
            prop_assert!(!name.is_empty() && !name.contains('\0'));
            prop_assert!(!name.to_ascii_lowercase().starts_with("sqlite_"));
            prop_assert_eq!(tables.collection(&name), Some(one));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn a_quoted_name_is_one_name_to_sqlite(collection in hostile()) {
            let name = escaped(&collection);
            let database = Connection::open_in_memory().unwrap();
            database.execute_batch(&format!("CREATE TABLE {} (a)", quoted(&name))).unwrap();
            let found: Vec<String> = database
                .prepare("SELECT name FROM sqlite_schema").unwrap()
                .query_map([], |row| row.get(0)).unwrap()
                .collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(found, [name]);
        }
    }

    #[test]
    fn sqlite_takes_the_longest_name_there_can_be() {
        let longest = "\"A".repeat(32 * 1024);
        let table = tables("default").table(Some(&longest));
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(&format!("CREATE TABLE {table} (a); DROP TABLE {table}")).unwrap();
    }
}
