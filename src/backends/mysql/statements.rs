//! Every statement that the server is sent. `table` is a quoted name everywhere; keys, versions
//! and documents are parameters.

use std::fmt::Write;

use crate::records::prefix::Range;

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Mysql,
    MariaDb,
    /// MySQL's, but for what it does not know.
    TiDb,
}

impl Dialect {
    /// How the product is called.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Mysql => "MySQL",
            Dialect::MariaDb => "MariaDB",
            Dialect::TiDb => "TiDB",
        }
    }

    /// Compares code point by code point, trailing spaces included.
    fn exact_collation(self) -> &'static str {
        match self {
            Dialect::Mysql | Dialect::TiDb => "utf8mb4_0900_bin",
            Dialect::MariaDb => "utf8mb4_nopad_bin",
        }
    }

    /// `data` is the document as it came. MariaDB's JSON type is text with a check. MySQL's
    /// would give another text back, so there it is made out of the text, for queries.
    fn document_columns(self) -> &'static str {
        match self {
            Dialect::Mysql | Dialect::TiDb => {
                "data LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin,
                 json JSON GENERATED ALWAYS AS (IF(JSON_VALID(data), data, NULL)) VIRTUAL"
            }
            Dialect::MariaDb => "data JSON",
        }
    }
}

/// Text goes to and fro in UTF-8, whole, whatever the server's `init_connect` has made of what the
/// login asked for.
pub(super) const NAMES: &str = "SET NAMES utf8mb4";

/// Strict, so that nothing is stored shortened, and plain SQL otherwise whatever the server's
/// own settings are. A lock is waited for much shorter than an operation may take, and the session
/// stays however long nothing happens.
pub(super) fn set_up(lock_wait_seconds: u64) -> String {
    format!(
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, \
         innodb_lock_wait_timeout = {lock_wait_seconds}, lock_wait_timeout = {lock_wait_seconds}, \
         wait_timeout = 2147483, net_read_timeout = 600, net_write_timeout = 600"
    )
}

/// Locks on rows that are there, and none on the gaps between them: fewer deadlocks.
pub(super) const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// The largest statement; the version of who carries it out, which a proxy does not tell in its
/// greeting; whether the lock of that name is ours now; and else which connection has it.
pub(super) const INTRODUCTION: &str =
    "SELECT @@max_allowed_packet, VERSION(), GET_LOCK(?, 0), IS_USED_LOCK(?)";

/// The largest statement and the version alone.
pub(super) const LARGEST_PACKET: &str = "SELECT @@max_allowed_packet, VERSION()";

/// Which server it is, and whether it takes no writes.
pub(super) const IDENTITY: &str = "SELECT @@hostname, @@port, @@server_id, @@read_only, @@innodb_read_only";

/// Waits for the lock for so many seconds.
pub(super) const WAIT_FOR_LOCK: &str = "SELECT GET_LOCK(?, 5)";

/// Gives the lock back.
pub(super) const RELEASE_LOCK: &str = "DO RELEASE_LOCK(?)";

pub(super) fn end_connection(number: i64) -> String {
    format!("KILL CONNECTION {number}")
}

pub(super) fn create_table(dialect: Dialect, table: &str) -> String {
    let collation = dialect.exact_collation();
    let documents = dialect.document_columns();
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (
         id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL PRIMARY KEY,
         version BIGINT NOT NULL,
         {documents},
         raw LONGTEXT CHARACTER SET utf8mb4 COLLATE {collation},
         long_key LONGTEXT CHARACTER SET utf8mb4 COLLATE {collation}
         ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC"
    )
}

/// The columns of rows that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// `id`, `version`, `data`: nearly all rows.
    Usual,
    /// `raw` and `long_key` too.
    All,
}

impl Columns {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Columns::Usual => 3,
            Columns::All => 5,
        }
    }
}

/// Stores so many rows. A row that is there already is replaced if it is the one with this id;
/// if somebody's own unique index finds it, `version` becomes NULL, which is refused.
pub(super) fn set(dialect: Dialect, table: &str, columns: Columns, rows: usize) -> String {
    let (names, row) = match columns {
        Columns::Usual => ("id, version, data", "(?,?,?)"),
        Columns::All => ("id, version, data, raw, long_key", "(?,?,?,?,?)"),
    };
    let (alias, [id, version, data, new_raw]) = match dialect {
        // No table of ours has this name, since a space in a collection's name is escaped.
        Dialect::Mysql => {
            (" AS `new row`", ["`new row`.id", "`new row`.version", "`new row`.data", "`new row`.raw"])
        }
        Dialect::MariaDb | Dialect::TiDb => {
            ("", ["VALUES(id)", "VALUES(version)", "VALUES(data)", "VALUES(raw)"])
        }
    };
    let raw = if columns == Columns::All { new_raw } else { "NULL" };
    let values = listed(row, rows);
    format!(
        "INSERT INTO {table} ({names}) VALUES {values}{alias} ON DUPLICATE KEY UPDATE \
         version = IF({table}.id = {id}, {version}, NULL), data = {data}, raw = {raw}"
    )
}

pub(super) fn get(table: &str, rows: usize) -> String {
    format!("SELECT id, version, data, raw FROM {table} WHERE id IN ({})", listed("?", rows))
}

pub(super) fn head(table: &str, rows: usize) -> String {
    format!("SELECT id, version FROM {table} WHERE id IN ({})", listed("?", rows))
}

pub(super) fn delete(table: &str, rows: usize) -> String {
    format!("DELETE FROM {table} WHERE id IN ({})", listed("?", rows))
}

/// Which of some rows there are, as far as transactions that have ended tell.
pub(super) fn present(table: &str, rows: usize) -> String {
    format!("SELECT id FROM {table} WHERE id IN ({})", listed("?", rows))
}

/// Which of some rows nobody has locked.
pub(super) fn free(table: &str, rows: usize) -> String {
    format!("{} FOR UPDATE SKIP LOCKED", present(table, rows))
}

/// The next statement sees rows that others have put in and not committed yet.
pub(super) const SEE_UNCOMMITTED: &str = "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED";

/// The first table of records after the one of that name, in an order that tells all names apart.
pub(super) const NEXT_TABLE: &str = "SELECT table_name FROM information_schema.columns
     WHERE table_schema = DATABASE() AND column_name IN ('id', 'version', 'data', 'raw', 'long_key')
     AND CAST(table_name AS BINARY) > ? GROUP BY table_name HAVING COUNT(*) = 5
     ORDER BY CAST(table_name AS BINARY) LIMIT 1";

/// The records of a table with ids in any of these ranges.
pub(super) fn page(table: &str, ranges: &[Range]) -> String {
    let ranges: Vec<String> = ranges.iter().map(|range| range.condition("id")).collect();
    format!(
        "SELECT id, version, data, raw, long_key FROM {table} WHERE {} ORDER BY id LIMIT ?",
        ranges.join(" OR ")
    )
}

fn listed(item: &str, count: usize) -> String {
    let mut list = String::with_capacity(count * (item.len() + 1));
    for index in 0..count {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(list, "{comma}{item}");
    }
    list
}

/// How many rows a statement has that is to carry `rows`: few sizes, so that most statements are
/// prepared already. What is too much is filled up with a row that is there anyway.
pub(super) fn size_class(rows: usize) -> usize {
    match rows {
        0..=8 => rows,
        _ => {
            // Four sizes between one power of two and the next.
            let step = (rows.next_power_of_two() / 8).max(1);
            rows.div_ceil(step) * step
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_at_most_a_quarter_larger_than_it_must_be() {
        for rows in 1..5_000 {
            let class = size_class(rows);
            assert!(class >= rows && class * 4 <= rows * 5 + 4, "{rows} rows in a statement for {class}");
            assert_eq!(size_class(class), class);
        }
        let classes: std::collections::HashSet<usize> = (1..=1024).map(size_class).collect();
        assert!(classes.len() < 40, "{} sizes", classes.len());
    }

    #[test]
    fn there_is_a_parameter_for_every_value() {
        for dialect in [Dialect::Mysql, Dialect::MariaDb, Dialect::TiDb] {
            for columns in [Columns::Usual, Columns::All] {
                let text = set(dialect, "`t`", columns, 7);
                assert_eq!(text.matches('?').count(), 7 * columns.count(), "{text}");
            }
        }
        assert_eq!(free("`t`", 3).matches('?').count(), 3);
        assert_eq!(get("`t`", 3).matches('?').count(), 3);
    }
}
