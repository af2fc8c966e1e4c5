//! Asks real servers what the pages say that a person can ask, after a connector has stored the
//! same few records in each.

use std::path::Path;
use std::process::Command;

use deepstream_connector::core::{Key, Operation, Record};
use rusqlite::types::ValueRef;
use serde_json::{json, Value};

use super::pages::{self, Block};
use super::programs::{assert_printed, output};
use crate::support::{wait_until, Client, Server, ROOT};

/// What is stored before anything is asked.
const RECORDS: [(&str, &str); 4] = [
    ("users/1", r#"{"name":"Ada","age":36}"#),
    ("users/2", r#"{"name":"Grace","age":85}"#),
    ("users/3", r#"{"name":"Kim","age":12}"#),
    ("bikes/1", r#"{"colour":"red"}"#),
];

/// Where blocks with the first of their words are run: see the test of each.
pub const PLACES: [&str; 11] = [
    "sqlite",
    "mysql",
    "mariadb",
    "postgres",
    "redis",
    "memcached",
    "ironcache",
    "cassandra",
    "mongodb",
    "couchdb",
    "dynamodb",
];

/// The blocks for a place; there are some.
fn blocks_for(place: &str) -> Vec<Block> {
    let blocks: Vec<Block> = pages::blocks()
        .into_iter()
        .filter(|block| block.words.first().is_some_and(|word| word == place))
        .collect();
    assert!(!blocks.is_empty(), "no page asks {place}");
    blocks
}

fn open(configuration: &Value) -> Client {
    Client::open(&configuration.to_string()).unwrap_or_else(|error| panic!("{configuration}: {error}"))
}

/// Stores the records whose keys begin so.
fn store(configuration: &Value, collection: &str) {
    let client = open(configuration);
    let records = RECORDS.iter().filter(|(key, _)| key.starts_with(collection));
    let sets = records
        .map(|(key, data)| (Key::from(*key), Operation::Set(Record { version: 1, data: (*data).into() })));
    for result in client.many(sets.collect()) {
        result.expect("a record is stored");
    }
    client.connector.shut_down();
}

/// Starts a server, stores all records by a connector at its port, and has each block asked. A
/// server that is missing is said to be.
fn ask_each(recipe: &'static str, configuration: fn(u16) -> Value, ask: fn(&Server, &Block) -> String) {
    let blocks = blocks_for(recipe);
    let server = Server::start(recipe, &[]);
    store(&configuration(server.port), "");
    for block in &blocks {
        assert_printed(block, &ask(&server, block));
    }
}

/// Has a shell carry out a block, with what its reader has to fill in.
fn shell(script: &str) -> String {
    output(Command::new("sh").args(["-ec", script]).current_dir(ROOT))
}

pub fn sqlite() {
    let folder = tempfile::tempdir().expect("the system has room for a folder");
    let path = folder.path().join("records.sqlite");
    store(&json!({"type": "sqlite", "path": path}), "");
    let file = rusqlite::Connection::open(&path).expect("it is there");
    for block in blocks_for("sqlite") {
        let mut printed = String::new();
        for statement in block.text.split(';').filter(|statement| !statement.trim().is_empty()) {
            printed += &rows(&file, statement).unwrap_or_else(|error| panic!("{}: {error}", block.place()));
        }
        assert_printed(&block, &printed);
    }
}

/// The rows as SQLite's own program prints them.
fn rows(file: &rusqlite::Connection, statement: &str) -> rusqlite::Result<String> {
    let mut statement = file.prepare(statement)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut printed = String::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| match row.get_ref_unwrap(column) {
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        });
        printed += &values.collect::<Vec<_>>().join("|");
        printed.push('\n');
    }
    Ok(printed)
}

fn in_sql(product: &str, port: u16) -> Value {
    json!({"type": product, "port": port, "user": "connector", "password": "secret", "database": "records"})
}

pub fn mysql() {
    ask_each("mysql", |port| in_sql("mysql", port), |server, block| server.client_with_input(&block.text));
}

pub fn mariadb() {
    ask_each(
        "mariadb",
        |port| in_sql("mariadb", port),
        |server, block| server.client_with_input(&block.text),
    );
}

pub fn postgres() {
    let blocks = blocks_for("postgres");
    let server = Server::start("postgres", &[]);
    let mut configuration = in_sql("postgres", server.port);
    configuration["host"] = json!("127.0.0.1");
    store(&configuration, "users/");
    // How a table is made is decided when it is made.
    configuration["useJsonb"] = json!(true);
    store(&configuration, "bikes/");
    for block in &blocks {
        assert_printed(block, &server.client_with_input(&block.text));
    }
}

pub fn redis() {
    ask_each(
        "redis",
        |port| json!({"type": "redis", "port": port}),
        |server, block| shell(&block.text.replace("redis-cli", &format!("redis-cli -p {}", server.port))),
    );
}

pub fn memcached() {
    ask_each(
        "memcached",
        |port| json!({"type": "memcached", "serverLocation": format!("127.0.0.1:{port}")}),
        |server, block| shell(&block.text.replace("10.0.0.1:11211", &format!("127.0.0.1:{}", server.port))),
    );
}

pub fn ironcache() {
    ask_each(
        "ironcache",
        |port| {
            json!({
                "type": "ironcache", "project_id": "project", "token": "right", "cache": "records",
                "host": "127.0.0.1", "port": port, "protocol": "http",
            })
        },
        |server, block| {
            let address = format!("http://127.0.0.1:{}", server.port);
            let script = block.text.replace("https://cache-aws-us-east-1.iron.io", &address);
            shell(&script.replace("TOKEN", "right").replace("PROJECT", "project"))
        },
    );
}

pub fn couchdb() {
    ask_each(
        "couchdb",
        |port| json!({"type": "couchdb", "port": port, "database": "records"}),
        |server, block| shell(&format!("COUCH=http://127.0.0.1:{}\n{}", server.port, block.text)),
    );
}

pub fn dynamodb() {
    ask_each(
        "dynamodb",
        |port| {
            json!({
                "type": "dynamodb", "endpoint": format!("http://127.0.0.1:{port}"), "createTable": true,
                "accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "right",
            })
        },
        |server, block| {
            let question = json!({"Statement": block.text.trim()}).to_string();
            let answer: Value = serde_json::from_str(&server.client(&["ExecuteStatement", &question]))
                .expect("the answer is JSON");
            let items = answer["Items"].as_array().expect("there is a list of items");
            items.iter().map(|item| format!("{item}\n")).collect()
        },
    );
}

pub fn mongodb() {
    ask_each(
        "mongodb",
        |port| json!({"type": "mongodb", "connectionString": format!("mongodb://127.0.0.1:{port}")}),
        |server, block| {
            let shell = Path::new(ROOT).join("tests/docs/mongodb-shell.js");
            output(Command::new("node").arg(shell).arg(server.port.to_string()).arg(&block.text))
        },
    );
}

/// The page's own statement makes the table; those whose second word is `columns` are for records
/// that were stored with that option.
pub fn cassandra() {
    let (with_columns, plain): (Vec<Block>, Vec<Block>) = blocks_for("cassandra")
        .into_iter()
        .partition(|block| block.words.get(1).is_some_and(|word| word == "columns"));
    let (making, asking): (Vec<Block>, Vec<Block>) =
        plain.into_iter().partition(|block| block.text.starts_with("CREATE TABLE"));
    assert!(!with_columns.is_empty() && !making.is_empty(), "the page of cassandra lacks something");
    let server = Server::start("cassandra", &[]);
    let mut configuration = json!({"type": "cassandra", "port": server.port});
    server.client(&["CREATE KEYSPACE deepstream WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"]);
    making.iter().for_each(|block| drop(cql(&server, block)));
    store(&configuration, "");
    for block in &asking {
        let printed = cql(&server, block);
        // What makes something prints nothing.
        if block.text.contains("SELECT") {
            assert_printed(block, &printed);
        }
    }
    configuration["columns"] = json!("name,age");
    store(&configuration, "");
    for block in &with_columns {
        assert_printed(block, &cql(&server, block));
    }
}

/// Carries out the statements of a block, and waits for each index that they make.
fn cql(server: &Server, block: &Block) -> String {
    let mut printed = String::new();
    for statement in block.text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let rows = server.client(&[&statement]);
        if !rows.is_empty() {
            printed += &format!("{rows}\n");
        }
        if statement.starts_with("CREATE INDEX") {
            wait_until("the index is built", || {
                let all = server.client(&[
                    "SELECT is_queryable FROM system_views.sai_column_indexes WHERE keyspace_name = 'deepstream'",
                ]);
                !all.is_empty() && all.lines().all(|line| line == "true")
            });
        }
    }
    printed
}
