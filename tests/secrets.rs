//! No secret comes out, whatever is configured and whatever a server says: every option of every
//! backend is given marked values, and stand-in servers quote all that they could have been told.
//! All that comes out is searched for the marks.

pub mod rotation;
mod stand_in;

use std::sync::mpsc::{channel, Sender};
use std::thread;
use std::time::Duration;

use deepstream_connector::backends::{self, ENTRIES};
use deepstream_connector::config::{OptionKind, OptionSpec};
use deepstream_connector::core::{Error, LogLevel, Record};
use deepstream_connector::{Connector, Events};
use serde_json::{json, Map, Value};

use crate::harness::{test, Class, Test};
use crate::support::PATIENCE;
use stand_in::StandIn;

/// Every test.
pub const TESTS: &[Test] = &[
    test!(no_value_of_an_option_that_may_hold_a_secret_comes_out),
    test!(nothing_that_a_server_quotes_comes_out).class(Class::Works),
];

/// What must be in nothing that comes out.
const MARK: &str = "hunter2";

/// A record's data.
const DATA: &str = r#"{"secret": "hunter2-of-the-data"}"#;

/// Options that say where something is, or what it is called: their values may be shown.
const NAMES: &[&str] = &[
    "user",
    "host",
    "socketPath",
    "database",
    "keyspace",
    "schema",
    "table",
    "path",
    "role",
    "name",
    "prefix",
    "region",
    "port",
];

/// Backends without a server.
const EMBEDDED: &[&str] = &["memory", "sqlite"];

/// What each backend needs at least, with secrets where it takes some.
fn least(backend: &str, port: u16) -> Value {
    let host = format!("127.0.0.1:{port}");
    let mut options = match backend {
        "redis" => json!({"host": "127.0.0.1", "port": port, "user": "ada", "password": "hunter2-of-ada"}),
        "memcached" => json!({"serverLocation": host, "user": "ada", "password": "hunter2-of-ada"}),
        "elasticache" => {
            json!({"primaryEndpoint": host, "user": "ada", "password": "hunter2-of-ada", "tls": {"rejectUnauthorized": false}})
        }
        "ironcache" => {
            json!({"host": "127.0.0.1", "port": port, "protocol": "http", "project_id": "p", "token": "hunter2-of-ada", "cache": "c"})
        }
        "postgres" | "mysql" | "mariadb" => {
            json!({"host": "127.0.0.1", "port": port, "user": "ada", "password": "hunter2-of-ada", "database": "d"})
        }
        "couchdb" => {
            json!({"url": format!("http://{host}"), "user": "ada", "password": "hunter2-of-ada", "database": "d"})
        }
        "mongodb" => {
            json!({"url": format!("mongodb://ada:hunter2-of-ada@{host}/d?serverSelectionTimeoutMS=200")})
        }
        "cassandra" => {
            json!({"contactPoints": ["127.0.0.1"], "port": port, "keyspace": "d", "user": "ada", "password": "hunter2-of-ada", "localDataCenter": "dc"})
        }
        "dynamodb" => json!({
            "endpoint": format!("http://{host}"), "region": "r", "table": "records",
            "accessKeyId": "ada", "secretAccessKey": "hunter2-of-ada", "sessionToken": "hunter2-of-a-session",
        }),
        "sqlite" => json!({"path": ":memory:"}),
        _ => json!({}),
    };
    options["type"] = json!(backend);
    options
}

/// Values of all kinds, right ones and wrong ones.
fn values() -> Vec<Value> {
    let url = "scheme://ada:hunter2@127.0.0.1:1/0?password=hunter2";
    vec![
        json!(url),
        json!(format!("redis{}", &url[6..])),
        json!("hunter2 and more"),
        json!("h,ada:hunter2@h:1"),
        json!(["hunter2@h", url]),
        json!([{"host": url, "password": "hunter2 and more"}]),
        json!({"a:1": url, "ada:hunter2@h": 1}),
        json!({"file": "/hunter2/file", "more": "hunter2"}),
        json!({"command": "hunter2 and more"}),
        json!({"command": ["/hunter2"], "every": "hunter2"}),
        json!("-----BEGIN hunter2-----"),
        json!({url: url}),
    ]
}

fn is_free_of_marks(what: &str, text: &str) {
    assert!(!text.contains(MARK), "{what}: {text}");
    // As the header of HTTP has it.
    for encoded in ["aHVudGVyMi1vZi1hZGE", "YWRhOmh1bnRlcjI"] {
        assert!(!text.contains(encoded), "{what}: {text}");
    }
}

fn no_value_of_an_option_that_may_hold_a_secret_comes_out() {
    let mut refused = 0;
    for entry in ENTRIES {
        let mut paths = Vec::new();
        collect(entry.options, &mut Vec::new(), &mut paths);
        for path in paths {
            for value in values() {
                let mut options = least(entry.name, 1);
                let what = format!("{} {path:?}", entry.name);
                put(options.as_object_mut().unwrap(), &path, value);
                let configuration = options.to_string();
                match backends::open(configuration.as_bytes()) {
                    Err(error) => {
                        refused += 1;
                        is_free_of_marks(&what, error.message());
                    }
                    Ok((backend, options)) => {
                        if !path.last().is_some_and(|name| NAMES.contains(name)) {
                            is_free_of_marks(&what, &backend.describe().target);
                            is_free_of_marks(&what, &format!("{options:?}"));
                        }
                    }
                }
            }
        }
    }
    assert!(refused > 1_000, "{refused} values were refused");
}

/// The paths of all options, and of those inside others.
fn collect(specs: &[OptionSpec], above: &mut Vec<&'static str>, paths: &mut Vec<Vec<&'static str>>) {
    for spec in specs {
        above.push(spec.name);
        paths.push(above.clone());
        if let OptionKind::Object(inner) | OptionKind::FlagOrObject(inner) = spec.kind {
            collect(inner, above, paths);
        }
        above.pop();
    }
}

fn put(options: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [name] => drop(options.insert((*name).to_owned(), value)),
        [name, rest @ ..] => {
            let inner = options.entry(*name).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            put(inner.as_object_mut().unwrap(), rest, value);
        }
        [] => {}
    }
}

fn nothing_that_a_server_quotes_comes_out() {
    let backends: Vec<_> = ENTRIES.iter().filter(|entry| !EMBEDDED.contains(&entry.name)).collect();
    thread::scope(|scope| {
        let running: Vec<_> = backends
            .iter()
            .map(|entry| entry.name)
            .map(|name| (name, scope.spawn(move || hear(name))))
            .collect();
        for (name, running) in running {
            let heard = running.join().unwrap_or_else(|_| panic!("{name} lets something out"));
            assert!(heard > 0, "{name} was told nothing");
        }
    });
}

/// Lets a backend hear everything; returns how many lines and errors came out.
fn hear(backend: &str) -> usize {
    let mut heard = 0;
    for words in stand_in::words_for(backend) {
        let server = StandIn::start(words.clone());
        let mut options = least(backend, server.port);
        for (name, value) in
            [("timeout", 400), ("connectTimeout", 200), ("reconnectDelay", 20), ("closeTimeout", 0)]
        {
            options[name] = json!(value);
        }
        options["logLevel"] = json!("debug");
        for line in come_out(&options) {
            is_free_of_marks(&format!("{backend} after {}", words.name), &line);
            heard += 1;
        }
    }
    heard
}

/// All that comes out of a connector that is asked for everything.
fn come_out(options: &Value) -> Vec<String> {
    struct Listener(Sender<String>);
    impl Events for Listener {
        fn error(&mut self, error: Error, _: bool) {
            let _ = self.0.send(format!("{error:?}"));
        }

        fn log(&mut self, _: LogLevel, line: &str) {
            let _ = self.0.send(line.to_owned());
        }
    }
    let (sender, lines) = channel();
    let connector = match Connector::open(&options.to_string(), Listener(sender.clone())) {
        Ok(connector) => connector,
        Err(error) => panic!("it is not opened: {error}"),
    };
    let (told, answers) = channel();
    let key = "users/1";
    let tell = || {
        let (told, sender) = (told.clone(), sender.clone());
        move |error: Option<Error>| {
            if let Some(error) = error {
                let _ = sender.send(format!("{error:?}"));
            }
            let _ = told.send(());
        }
    };
    let mut asked = 0;
    for _ in 0..2 {
        let record = Record { version: 1, data: DATA.into() };
        let (set, get, head, delete, scan, command) = (tell(), tell(), tell(), tell(), tell(), tell());
        connector.set(key, record, move |result| set(result.err())).unwrap();
        connector.get(key, move |result| get(result.err())).unwrap();
        connector.head(key, move |result| head(result.err())).unwrap();
        connector.delete("users/2", move |result| delete(result.err())).unwrap();
        connector.scan(None, 10, move |result| scan(result.err())).unwrap();
        connector.command("query", json!({"text": "SELECT 1"}), move |result| command(result.err())).unwrap();
        asked += 6;
    }
    (0..asked).for_each(|_| answers.recv_timeout(PATIENCE).expect("a callback is missing"));
    let statistics = connector.statistics_json();
    drop(connector);
    drop(sender);
    lines.try_iter().chain([statistics]).collect()
}

/// For the stand-ins: what a server may have been told.
const ALL_SECRETS: &str = "hunter2-of-ada hunter2-of-a-session hunter2-of-the-data";

const SHORT: Duration = Duration::from_millis(300);
