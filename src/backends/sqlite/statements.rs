//! Every statement that SQLite is sent. `table` is a quoted name everywhere.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::records::prefix::Range;

/// WAL lets readers and the writer go on beside each other. The answer is the mode that holds
/// from now on.
pub(super) const JOURNAL_MODE: &str = "PRAGMA journal_mode = WAL";

/// More than SQLite's defaults of 1000 pages between checkpoints and 2 MB of cache, for keys in
/// no order: measured to save a quarter of the time. The -wal file grows to about 16 MB, the
/// cache to 16 MB at most.
pub(super) const MEASURED: &str = "PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16000";

/// A file in UTF-16 would not give all text back as it came.
pub(super) const ENCODING: &str = "PRAGMA encoding";

/// On macOS alone, where a plain fsync does not reach the disk.
pub(super) const FULL_FSYNC: &str = "PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON";

pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";
pub(super) const BEGIN_READ: &str = "BEGIN";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";

/// At the end: everything into the database file itself.
pub(super) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// `level` is one of the words of the option `synchronous`.
pub(super) fn synchronous(level: &str) -> String {
    format!("PRAGMA synchronous = {level}")
}

/// With row numbers of SQLite's own: WITHOUT ROWID is measured to be three times slower for
/// keys in no order, and to double the file for records of 2 kB.
pub(super) fn create_table(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS main.{table}
         (id TEXT PRIMARY KEY, version INTEGER NOT NULL, data TEXT NOT NULL)"
    )
}

pub(super) fn set(table: &str) -> String {
    format!(
        "INSERT INTO main.{table} (id, version, data) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, data = excluded.data"
    )
}

pub(super) fn delete(table: &str) -> String {
    format!("DELETE FROM main.{table} WHERE id = ?1")
}

pub(super) fn get(table: &str) -> String {
    format!("SELECT version, data FROM main.{table} WHERE id = ?1")
}

pub(super) fn head(table: &str) -> String {
    format!("SELECT version FROM main.{table} WHERE id = ?1")
}

/// The first table after the one of that name.
pub(super) const NEXT_TABLE: &str =
    "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name > ?1 ORDER BY name LIMIT 1";

/// The records of a table with ids in a range. No key leads to another id than text.
pub(super) fn page(table: &str, range: &Range) -> String {
    format!(
        "SELECT version, data, id FROM main.{table}
         WHERE typeof(id) = 'text' AND {} ORDER BY id LIMIT ?",
        range.condition("id")
    )
}

/// Whether a table, or a view, of this name is in the file. Some names, such as `json_each`,
/// mean a function of SQLite's own as long as there is no table.
pub(super) const TABLE_EXISTS: &str =
    "SELECT 1 FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";

/// JSON text that is known to be UTF-8.
pub(super) struct Document<'a>(pub &'a [u8]);

impl ToSql for Document<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}
