//! Which table SQL backends put a record into: each collection has one of its own.
//!
//! What a database takes for the same name, or not for a name at all, differs; so each has its
//! own way of writing a collection's name, in which `~` begins an escape. Common to all is:
//!
//! | the collection | its table |
//! |---|---|
//! | of keys without a separator | the name that the option `defaultTable` gives |
//! | one with exactly that name | `~3` and the name |
//! | nothing at all | `~2` |

use super::naming::{split, Place};
use super::prefix;
use crate::config::{wrong, OptionKind, OptionSpec, Settings};
use crate::core::Error;

const DEFAULT_SPLIT_CHAR: &str = "/";
const DEFAULT_TABLE: &str = "default";

/// What ends the collection.
pub(crate) const SPLIT_CHAR: OptionSpec = OptionSpec {
    name: "splitChar",
    kind: OptionKind::Text,
    default: DEFAULT_SPLIT_CHAR,
    meaning: "What ends the collection, and so the table, in a key: `users/1` is the row `1` of `users`. One or more characters.",
};

/// Where keys without a collection are.
pub(crate) const TABLE_OF_THE_REST: OptionSpec = OptionSpec {
    name: "defaultTable",
    kind: OptionKind::Text,
    default: DEFAULT_TABLE,
    meaning: "The table of keys without `splitChar`.",
};

/// How a database wants a collection's name to be written: what is special to it alone.
pub(crate) trait Spelling {
    /// The name of the table of a collection that is not empty. Different collections have
    /// different tables, in the eyes of the database, and none begins with `~2` or `~3`.
    fn spell(&self, collection: &str) -> String;

    /// The collection that `spell` would give a table of this name, as far as it can be told;
    /// for other names anything.
    fn read(&self, table: &str) -> Option<String>;

    /// A table's name as an identifier in SQL: the one function that quotes names.
    fn quote(&self, table: &str) -> String;
}

/// The options that say which table is whose.
#[derive(Clone, Debug)]
pub(crate) struct Tables<S> {
    /// `splitChar`, not empty.
    separator: String,
    /// `defaultTable`, not empty: the collection of keys that have none.
    default_collection: String,
    spelling: S,
}

impl<S: Spelling> Tables<S> {
    /// Reads the options [`SPLIT_CHAR`] and [`TABLE_OF_THE_REST`].
    pub fn from_settings(settings: &Settings, spelling: S) -> Result<Tables<S>, Error> {
        Ok(Tables {
            separator: not_empty(settings, &SPLIT_CHAR)?,
            default_collection: not_empty(settings, &TABLE_OF_THE_REST)?,
            spelling,
        })
    }

    /// Where a key's record is: the key is split at the first separator.
    pub fn place<'a>(&self, key: &'a str) -> Place<'a> {
        split(key, &self.separator)
    }

    /// The key of a record; `None` where no key leads to that place.
    pub fn key(&self, place: Place<'_>) -> Option<String> {
        let key = match place.collection {
            Some(collection) => format!("{collection}{}{}", self.separator, place.id),
            None => place.id.to_owned(),
        };
        (!key.is_empty() && self.place(&key) == place).then_some(key)
    }

    /// The name of a collection's table, as the database lists it.
    pub fn name(&self, collection: Option<&str>) -> String {
        match collection {
            None => self.spelled(&self.default_collection),
            Some(name) if name == self.default_collection => format!("~3{}", self.spelled(name)),
            Some(name) => self.spelled(name),
        }
    }

    /// The table of a collection, quoted for SQL.
    pub fn table(&self, collection: Option<&str>) -> String {
        self.quoted(&self.name(collection))
    }

    /// A table by its name, quoted for SQL.
    pub fn quoted(&self, name: &str) -> String {
        self.spelling.quote(name)
    }

    /// The collection whose table has this name: `None` where no collection has, or where that
    /// cannot be told from the name.
    pub fn collection(&self, table: &str) -> Option<Option<String>> {
        let collection = if table == self.name(None) {
            None
        } else {
            Some(match table.strip_prefix("~3") {
                Some(_) => self.default_collection.clone(),
                None if table == "~2" => String::new(),
                None => self.spelling.read(table)?,
            })
        };
        (self.name(collection.as_deref()) == table).then_some(collection)
    }

    /// What the ids of a collection begin with whose keys begin with `prefix`; `None` where there is
    /// no such key.
    pub fn prefix_of_ids<'a>(&self, prefix: &'a str, collection: Option<&str>) -> Option<&'a str> {
        prefix::of_ids(prefix, collection, &self.separator)
    }

    fn spelled(&self, collection: &str) -> String {
        match collection {
            "" => "~2".into(),
            other => self.spelling.spell(other),
        }
    }

    #[cfg(test)]
    pub fn new(separator: &str, default_collection: &str, spelling: S) -> Tables<S> {
        Tables { separator: separator.into(), default_collection: default_collection.into(), spelling }
    }
}

fn not_empty(settings: &Settings, option: &OptionSpec) -> Result<String, Error> {
    let OptionSpec { name, default, .. } = option;
    match settings.text(name) {
        Some("") => Err(wrong(format!("the option \"{name}\" is empty; leave it out for \"{default}\""))),
        text => Ok(text.unwrap_or(default).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A database that knows no difference between names.
    struct Plain;

    impl Spelling for Plain {
        fn spell(&self, collection: &str) -> String {
            collection.replace('~', "~~")
        }

        fn read(&self, table: &str) -> Option<String> {
            Some(table.replace("~~", "~"))
        }

        fn quote(&self, table: &str) -> String {
            format!("\"{table}\"")
        }
    }

    #[test]
    fn a_row_that_no_key_leads_to_has_none() {
        let tables = Tables::new("/", "default", Plain);
        assert_eq!(tables.key(Place { collection: None, id: "by/hand" }), None);
        assert_eq!(tables.key(Place { collection: Some("a/b"), id: "1" }), None);
        assert_eq!(tables.key(Place { collection: None, id: "" }), None);
        assert_eq!(tables.key(Place { collection: Some(""), id: "" }), Some("/".into()));
        assert_eq!(tables.collection("a~b"), None);
    }

    proptest! {
        #[test]
        fn the_key_can_be_had_back(key in "[ab/:é]{1,8}", separator in "[/:é]{1,3}") {
            let tables = Tables::new(&separator, "a", Plain);
            let place = tables.place(&key);
            prop_assert_eq!(tables.key(place), Some(key.clone()));
            let table = tables.name(place.collection);
            prop_assert_eq!(tables.collection(&table), Some(place.collection.map(str::to_owned)));
        }
    }
}
