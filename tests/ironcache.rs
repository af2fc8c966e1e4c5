//! IronCache: its items as others see them, limits, a service that is asked too much, tokens, and TLS. The server is
//! our stand-in, `tests/servers/ironcache.js`, since the service cannot be reached from a test.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::load::under_load;
use crate::support::{certificates, wait_until, Client, Server, Told, PATIENCE};
use deepstream_connector::core::{ErrorCode, Operation, Record, Reply};
use serde_json::{json, Value};

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(a_record_is_an_item_of_json_text),
    test!(records_of_others_are_read_in_both_forms),
    test!(numbers_keep_every_digit),
    test!(names_that_a_url_cannot_have_are_stored_in_other_words),
    test!(a_record_that_is_too_large_is_refused_with_both_sizes),
    test!(a_busy_service_is_asked_again_after_a_while),
    test!(a_service_that_stays_busy_is_an_error_at_the_deadline),
    test!(a_service_that_dies_or_hangs_under_load_loses_nothing).class(Class::Works),
    test!(connections_are_kept),
    test!(a_token_that_is_taken_back_is_told_at_once),
    test!(what_is_not_the_service_is_named),
    test!(tls_wants_the_right_authority_and_the_right_name),
    test!(options_that_cannot_be_are_refused),
];

fn configuration(server: &Server, more: Value) -> String {
    let mut options = json!({
        "type": "ironcache", "project_id": "project", "token": "right", "cache": "records",
        "host": "127.0.0.1", "port": server.port, "protocol": "http",
    });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    options.to_string()
}

fn open(server: &Server, more: Value) -> Client {
    Client::open(&configuration(server, more)).unwrap()
}

fn ask(server: &Server, words: &[&str]) -> Value {
    serde_json::from_str(&server.client(words)).unwrap()
}

fn counts(server: &Server) -> Value {
    ask(server, &["GET", "/stub/counts"])
}

fn trouble(server: &Server, what: Value) {
    let what = what.to_string();
    server.client(&["PUT", if what.contains("body") { "/stub/answer" } else { "/stub/trouble" }, &what]);
}

const ITEMS: &str = "/1/projects/project/caches/records/items";

fn a_record_is_an_item_of_json_text() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({"expires_in": 3600}));
    client.set("user/1 ü", 7, r#"{"name":"Ada","n":12345678901234567890.5}"#).unwrap();
    let item = ask(&server, &["GET", &format!("{ITEMS}/user%2F1%20%C3%BC")]);
    assert_eq!(item["value"], r#"{"version":7,"data":{"name":"Ada","n":12345678901234567890.5}}"#);
    assert!(item["expires"].as_str().unwrap() < "9999");
    let found = client.get("user/1 ü").unwrap();
    assert_eq!(found, Some((7, r#"{"name":"Ada","n":12345678901234567890.5}"#.into())));
    let forever = open(&server, json!({}));
    forever.set("b", 1, "{}").unwrap();
    let item = ask(&server, &["GET", &format!("{ITEMS}/b")]);
    assert_eq!(item["expires"], "9999-01-01T00:00:00Z");
}

fn records_of_others_are_read_in_both_forms() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({}));
    for (key, value) in [("v1", r#"{ "_d": [1, 2], "_v": 3 }"#), ("v2", r#"{"data":[1, 2],"version":3}"#)] {
        server.client(&["PUT", &format!("{ITEMS}/{key}"), &json!({ "value": value }).to_string()]);
        assert_eq!(client.get(key).unwrap(), Some((3, "[1, 2]".into())));
        assert_eq!(client.head(key).unwrap(), Some(3));
    }
}

/// The service makes numbers of values that look like some, which a record never does.
fn numbers_keep_every_digit() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({}));
    for number in ["9007199254740993", "0.1000000000000000055511151231257827", "1.0", "-0", "1e400"] {
        client.set("n", i64::MAX, number).unwrap();
        assert_eq!(client.get("n").unwrap(), Some((i64::MAX, number.into())));
    }
    server.client(&["PUT", &format!("{ITEMS}/counter"), r#"{"value": "9007199254740993"}"#]);
    let item = ask(&server, &["GET", &format!("{ITEMS}/counter")]);
    assert!(item["value"].is_number(), "so the stand-in does what the documentation says: {item}");
    let error = client.get("counter").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
}

fn names_that_a_url_cannot_have_are_stored_in_other_words() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({}));
    let long = "long/".repeat(1_000);
    let names = [
        ".",
        "..",
        "~",
        "~h",
        "a\0b",
        "\n",
        "a/../b",
        "?x#y",
        "%2F",
        "__proto__",
        &long,
        "ü".repeat(42).as_str(),
    ]
    .map(str::to_owned);
    for (version, name) in (1..).zip(&names) {
        client.set(name, version, "{}").unwrap();
    }
    for (version, name) in (1..).zip(&names) {
        assert_eq!(client.head(name).unwrap(), Some(version), "{name:?}");
    }
    let stored = ask(&server, &["GET", "/stub/items"]);
    assert_eq!(stored["records"].as_object().unwrap().len(), names.len());
    for name in &names {
        client.delete(name).unwrap();
        assert_eq!(client.head(name).unwrap(), None, "{name:?}");
    }
}

fn a_record_that_is_too_large_is_refused_with_both_sizes() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({}));
    client.set("a", 1, "{}").unwrap();
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let error = client.set("a", 2, &large).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge, "{error}");
    assert!(error.message().contains("1048576") && error.message().contains("1048617"), "{error}");
    assert_eq!(client.head("a").unwrap(), Some(1), "nothing is stored");
}

fn a_busy_service_is_asked_again_after_a_while() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({}));
    client.set("a", 1, "{}").unwrap();
    for status in [429, 500, 502, 503] {
        trouble(&server, json!({"status": status, "times": 5}));
        assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())), "after {status}");
    }
    assert_eq!(counts(&server)["troubled"], 20);
    trouble(&server, json!({"status": 429, "times": 1, "after": 1}));
    let begin = Instant::now();
    client.set("a", 2, "{}").unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(1), "`retry-after` was not kept: {:?}", begin.elapsed());
    assert!(matches!(client.event(), Told::Ready));
    let quiet = client.told.try_iter().all(|told| matches!(told, Told::Log(..)));
    assert!(quiet, "a busy service is no outage");
}

fn a_service_that_stays_busy_is_an_error_at_the_deadline() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({"timeout": 700}));
    client.set("a", 1, "{}").unwrap();
    trouble(&server, json!({"status": 503, "times": 1_000_000}));
    let (sender, receiver) = channel();
    for key in 0..50 {
        let sender = sender.clone();
        let record = Record { version: 2, data: "{}".into() };
        client.connector.set(&format!("k{key}"), record, move |result| sender.send(result).unwrap()).unwrap();
    }
    for _ in 0..50 {
        let error = receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Timeout, "{error}");
        assert!(error.message().contains("503"), "{error}");
    }
    drop(sender);
    assert!(receiver.recv_timeout(Duration::from_millis(200)).is_err(), "a callback is called twice");
    let asked = counts(&server)["troubled"].as_u64().unwrap();
    assert!(asked < 50 * 30, "50 operations in 0.7 s were tried {asked} times");
}

fn a_service_that_dies_or_hangs_under_load_loses_nothing() {
    let server = Server::start("ironcache", &["durable"]);
    let client = open(&server, json!({"timeout": 60_000}));
    under_load(&client, || {
        server.ctl(&["kill"]);
        server.ctl(&["restart"]);
        server.ctl(&["freeze"]);
        std::thread::sleep(Duration::from_millis(300));
        server.ctl(&["thaw"]);
        trouble(&server, json!({"status": 503, "times": 100}));
    });
}

fn connections_are_kept() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({"connections": 3}));
    client.set("a", 1, "{}").unwrap();
    let before = counts(&server);
    let gets = (0..300).map(|index| (format!("k{index}").as_str().into(), Operation::Get)).collect();
    assert!(client.many(gets).iter().all(|result| matches!(result, Ok(Reply::Record(None)))));
    let after = counts(&server);
    let grown = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
    assert_eq!(grown("requests"), 300);
    // Two more of ours, and the one that asks for the counts.
    assert!(grown("connections") <= 3, "{} connections for 300 requests", grown("connections"));
}

fn a_token_that_is_taken_back_is_told_at_once() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({"reconnectMaxDelay": 50}));
    client.set("a", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    server.ctl(&["token", "another"]);
    let error = client.set("a", 2, "{}").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
    assert!(error.message().contains("\"token\"") && !error.message().contains("right"), "{error}");
    wait_until("it is told", || {
        client.told.try_iter().any(|told| matches!(told, Told::Error { fatal: true, .. }))
    });
    server.ctl(&["token", "right"]);
    wait_until("it is taken again", || client.set("a", 3, "{}").is_ok());
}

fn what_is_not_the_service_is_named() {
    let server = Server::start("ironcache", &[]);
    let client = open(&server, json!({"timeout": 1_000}));
    client.set("a", 1, "{}").unwrap();
    trouble(&server, json!({"status": 200, "times": 1, "body": "<html>welcome</html>"}));
    // Once; the engine connects again and asks again.
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
    trouble(&server, json!({"status": 418, "times": 1}));
    let error = client.get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend);
    assert!(error.message().contains("418"), "{error}");
    let elsewhere = open(&server, json!({"project_id": "another"}));
    let error = elsewhere.set("a", 1, "{}").unwrap_err();
    assert!(error.message().contains("\"project_id\""), "{error}");
}

fn tls_wants_the_right_authority_and_the_right_name() {
    let server = Server::start("ironcache", &["tls"]);
    let ca = |name: &str| certificates().join(name).display().to_string();
    let with = |tls: Value| open(&server, json!({"protocol": "https", "timeout": 3_000, "tls": tls}));
    let client = with(json!({"ca": ca("ca.crt")}));
    client.set("a", 1, "{}").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
    for (tls, word) in [
        (json!({"ca": ca("other-ca.crt")}), "tls.ca"),
        (json!({"ca": ca("ca.crt"), "serverName": "example.org"}), "tls.serverName"),
    ] {
        let error = with(tls).get("a").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    let plain = open(&server, json!({"timeout": 500}));
    assert_eq!(plain.get("a").unwrap_err().code(), ErrorCode::Timeout, "there is no fallback from TLS");
}

fn options_that_cannot_be_are_refused() {
    let refusal = |options: Value| {
        let mut all = json!({"type": "ironcache"});
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let refused = Client::open(&all.to_string()).err();
        refused.unwrap_or_else(|| panic!("{all} was taken")).message().to_owned()
    };
    assert!(refusal(json!({"token": "t"})).contains("\"project_id\""));
    assert!(refusal(json!({"project_id": "p"})).contains("\"token\""));
    let message = refusal(json!({"project_id": "p", "token": "hunter2\n"}));
    assert!(message.contains("\"token\"") && !message.contains("hunter2"), "{message}");
    assert!(refusal(json!({"project_id": "p", "token": "t", "cache": ".."})).contains("\"cache\""));
    let known = |more: Value| {
        let mut all = json!({"project_id": "p", "token": "t"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        refusal(all)
    };
    assert!(known(json!({"cache": "long".repeat(1_000)})).contains("\"cache\""));
    assert!(known(json!({"tls": false})).contains("\"protocol\""));
    assert!(known(json!({"tls": true, "protocol": "http"})).contains("\"protocol\""));
    assert!(refusal(json!({"expires_in": 2_592_001})).contains("2592000"));
    assert!(refusal(json!({"host": "two words", "project_id": "p", "token": "t"})).contains("host"));
    assert!(refusal(json!({"projectId": "p"})).contains("did you mean \"project_id\"?"));
}
