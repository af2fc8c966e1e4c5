//! Pages of all records where they are in tables: table by table, and in each by id.

use serde::{Deserialize, Serialize};

use crate::core::{Error, ErrorCode};

/// Where a page begins.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Cursor {
    /// The table's name.
    pub table: String,
    /// The id after which it begins; without one at the table's beginning.
    pub after: Option<String>,
}

impl Cursor {
    /// The beginning of a table.
    pub fn at(table: String) -> Cursor {
        Cursor { table, after: None }
    }

    /// Reads what `write` made.
    ///
    /// # Errors
    /// `InvalidArgument` for any other text.
    pub fn read(text: &str) -> Result<Cursor, Error> {
        serde_json::from_str(text).map_err(|_| refused())
    }

    /// Reads what `write` made, where all records are in one table: the id after which the page
    /// begins.
    ///
    /// # Errors
    /// `InvalidArgument` for any other text, and for the cursor of another table.
    pub fn read_within(table: &str, text: &str) -> Result<Option<String>, Error> {
        let cursor = Cursor::read(text)?;
        (cursor.table == table).then_some(cursor.after).ok_or_else(refused)
    }

    /// The cursor as text.
    pub fn write(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// What is said of a text that no page came with.
pub(crate) fn refused() -> Error {
    Error::new(
        ErrorCode::InvalidArgument,
        "the cursor is none of this backend; give the one that came with a page, or none for the first page",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for after in [None, Some("\0\"/é😀".to_owned())] {
            let cursor = Cursor { table: "~3\"x".into(), after };
            assert_eq!(Cursor::read(&cursor.write().unwrap()).unwrap(), cursor);
        }
        let after = |table: &str, cursor: &Cursor| Cursor::read_within(table, &cursor.write().unwrap());
        let cursor = Cursor { table: "one".into(), after: Some("7".into()) };
        assert_eq!(after("one", &cursor).unwrap().as_deref(), Some("7"));
        assert_eq!(after("other", &cursor).unwrap_err().code(), ErrorCode::InvalidArgument);
        for bad in ["", "nonsense", "{}", "[]", r#"{"table": 1}"#] {
            assert_eq!(Cursor::read(bad).unwrap_err().code(), ErrorCode::InvalidArgument, "{bad}");
        }
    }
}
