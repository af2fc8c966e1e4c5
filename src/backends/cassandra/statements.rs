//! Every statement that Cassandra is sent. `table` is a quoted name with its keyspace.

use std::fmt::Write;

/// One row is one partition, so that each record has its own place in the cluster.
pub(super) fn create_table(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (collection text, id text, key text, version bigint, data text, \
         PRIMARY KEY ((collection, id)))"
    )
}

/// `replicas` are the datacentres with the number of replicas in each.
pub(super) fn create_keyspace(keyspace: &str, replicas: &[(String, u32)]) -> String {
    let mut map = String::from("'class': 'NetworkTopologyStrategy'");
    for (datacentre, count) in replicas {
        // Writing to text does not fail.
        let _ = write!(map, ", '{}': {count}", datacentre.replace('\'', "''"));
    }
    format!("CREATE KEYSPACE IF NOT EXISTS {} WITH replication = {{{map}}}", quoted(keyspace))
}

pub(super) const KEYSPACE_EXISTS: &str =
    "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";

/// None where there is no table.
pub(super) const COLUMNS: &str =
    "SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?";

/// What a table must have to be one for records.
pub(super) const OUR_COLUMNS: &[&str] = &["collection", "id", "key", "version", "data"];

/// Also tells when the version was written, for whoever writes next.
pub(super) fn get(table: &str) -> String {
    format!("SELECT version, data, WRITETIME(version) FROM {table} WHERE collection = ? AND id = ?")
}

pub(super) fn head(table: &str) -> String {
    format!("SELECT version, WRITETIME(version) FROM {table} WHERE collection = ? AND id = ?")
}

/// No column of ours is set to null, which would leave a tombstone each time.
pub(super) fn set(table: &str, columns: &[String], ttl: i64) -> String {
    let (names, marks) = further(columns);
    format!(
        "INSERT INTO {table} (collection, id, version, data{names}) VALUES (?, ?, ?, ?{marks}) \
         USING TIMESTAMP ?{}",
        and_ttl(ttl)
    )
}

/// For a key that the other columns do not hold.
pub(super) fn set_long(table: &str, columns: &[String], ttl: i64) -> String {
    let (names, marks) = further(columns);
    format!(
        "INSERT INTO {table} (collection, id, version, data, key{names}) VALUES (?, ?, ?, ?, ?{marks}) \
         USING TIMESTAMP ?{}",
        and_ttl(ttl)
    )
}

/// The columns of the option `columns`, and a mark for each.
fn further(columns: &[String]) -> (String, String) {
    let names = columns.iter().map(|name| format!(", {}", quoted(name))).collect();
    (names, ", ?".repeat(columns.len()))
}

pub(super) fn delete(table: &str) -> String {
    format!("DELETE FROM {table} USING TIMESTAMP ? WHERE collection = ? AND id = ?")
}

/// In the order of tokens, which is the same for everybody.
pub(super) fn scan(table: &str) -> String {
    format!("SELECT collection, id, key, version, data FROM {table}")
}

/// 0 is for ever.
fn and_ttl(ttl: i64) -> String {
    match ttl {
        0 => String::new(),
        seconds => format!(" AND TTL {seconds}"),
    }
}

/// A name as a CQL identifier, in upper and lower case as it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_quotes() {
        assert_eq!(quoted(r#"a"; DROP TABLE "b"#), r#""a""; DROP TABLE ""b""#);
        let keyspace = create_keyspace("k", &[("d'c".into(), 3), ("e".into(), 1)]);
        assert!(keyspace.ends_with("{'class': 'NetworkTopologyStrategy', 'd''c': 3, 'e': 1}"), "{keyspace}");
    }

    #[test]
    fn each_further_column_has_a_mark() {
        let statement = set("t", &["name".into(), "Age".into()], 0);
        assert!(statement.contains(r#"data, "name", "Age") VALUES (?, ?, ?, ?, ?, ?) USING"#), "{statement}");
    }

    #[test]
    fn a_ttl_is_in_the_statement_where_there_is_one() {
        assert!(set("t", &[], 60).ends_with("USING TIMESTAMP ? AND TTL 60"));
        assert!(set_long("t", &[], 0).ends_with("USING TIMESTAMP ?"));
    }
}
