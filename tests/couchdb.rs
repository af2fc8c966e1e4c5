//! What is special to CouchDB: documents and queries, revisions and conflicts, logins; and with its
//! own recorded answers where PouchDB Server, which stands in for it, has others.

use std::time::Duration;

use crate::support::{certificates, wait_until, Client, Server, Told};
use deepstream_connector::core::{Error, ErrorCode, Key, Operation, Record, Reply};
use serde_json::{json, Value};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(a_record_is_a_document_that_mango_reaches),
    test!(what_others_wrote_can_be_read),
    test!(the_order_of_calls_settles_conflicts),
    test!(two_writers_of_one_document_both_get_through),
    test!(what_was_acknowledged_is_read_whatever_replication_brought),
    test!(a_delete_takes_every_leaf_away),
    test!(pauses_grow_while_writes_alone_are_refused),
    test!(a_document_at_which_the_server_stumbles_holds_up_no_other),
    test!(a_listing_waits_out_a_server_in_trouble),
    test!(a_listing_passes_over_what_is_no_record_and_names_it),
    test!(large_documents_are_read_a_few_at_a_time),
    test!(a_request_that_is_too_large_is_told_from_a_document_that_is),
    test!(a_database_that_no_ordinary_user_can_make_is_named),
    test!(a_token_is_a_login_and_a_proxy_may_have_the_server_below_a_path),
    test!(a_database_that_goes_is_made_again),
    test!(logins_go_by_password_and_by_cookie),
    test!(a_session_that_ends_is_begun_anew_unnoticed),
    test!(a_user_who_may_not_is_told_so),
    test!(a_deleted_document_comes_back_only_when_it_is_made_again),
    test!(whatever_a_strict_server_refuses_is_not_sent_to_it),
    test!(a_document_that_is_too_large_is_refused_alone_and_with_both_sizes),
    test!(a_server_that_is_asked_too_much_is_waited_for_and_that_is_counted),
    test!(tls_needs_a_certificate_that_is_to_be_trusted),
];

fn open(server: &Server, options: Value) -> Client {
    let mut all = json!({"type": "couchdb", "port": server.port});
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    Client::open(&all.to_string()).unwrap()
}

/// With the login that the stand-in knows.
fn open_as(server: &Server, name: &str, options: Value) -> Client {
    let mut all = json!({"username": name, "password": "secret"});
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    open(server, all)
}

/// One request past the connector.
fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let answer = server.client(&[method, path, &body.to_string()]);
    serde_json::from_str(&answer).unwrap_or(Value::Null)
}

fn document(server: &Server, id: &str) -> Value {
    ask(server, "GET", &format!("/deepstream/{id}"), &json!({}))
}

/// Tells the stand-in what to do.
fn tell(server: &Server, path: &str) -> Value {
    serde_json::from_str(&server.ctl(&["set", path])).unwrap()
}

fn set(key: &str, version: i64, data: &str) -> (Key, Operation) {
    (Key::from(key), Operation::Set(Record { version, data: data.to_owned().into() }))
}

fn retries(client: &Client) -> u64 {
    let statistics: Value = serde_json::from_str(&client.connector.statistics_json()).unwrap();
    statistics["retries"].as_u64().unwrap()
}

fn a_record_is_a_document_that_mango_reaches() {
    let server = Server::start("couchdb", &[]);
    let client = open(&server, json!({}));
    client.set("users/ada", 7, r#"{"name":"Ada","born":1815,"_rev":"x"}"#).unwrap();
    client.set("users/kay", 1, r#"{"name":"Kay","born":1940}"#).unwrap();
    client.set("_design/x", i64::MAX, "[1e400]").unwrap();
    let stored = document(&server, "users%2Fada");
    let expected = json!({
        "_id": "users/ada",
        "_rev": stored["_rev"],
        "version": 7,
        "collection": "users",
        "data": {"name": "Ada", "born": 1815, "_rev": "x"},
    });
    assert_eq!(stored, expected);
    let stored = document(&server, "%3A_design%2Fx");
    assert_eq!((&stored["version"], &stored["json"]), (&json!("9223372036854775807"), &json!("[1e400]")));
    let selector = json!({"collection": "users", "data.born": {"$lt": 1900}});
    let found = ask(
        &server,
        "POST",
        "/deepstream/_find",
        &json!({"selector": selector, "fields": ["_id", "data.name"]}),
    );
    assert_eq!(found["docs"], json!([{"_id": "users/ada", "data": {"name": "Ada"}}]));
}

fn what_others_wrote_can_be_read() {
    let server = Server::start("couchdb", &[]);
    let client = open(&server, json!({}));
    client.set("warm", 1, "{}").unwrap();
    ask(&server, "PUT", "/deepstream/theirs", &json!({"version": 3, "data": [null], "more": true}));
    assert_eq!(client.get("theirs").unwrap(), Some((3, "[null]".into())));
    assert_eq!(client.head("theirs").unwrap(), Some(3));
    ask(&server, "PUT", "/deepstream/none", &json!({"name": "Ada"}));
    assert_eq!(client.get("none").unwrap_err().code(), ErrorCode::Corrupt);
    // It can be replaced.
    client.set("none", 1, "{}").unwrap();
    assert_eq!(client.get("none").unwrap(), Some((1, "{}".into())));
}

fn the_order_of_calls_settles_conflicts() {
    let server = Server::start("couchdb", &[]);
    let client = open(&server, json!({}));
    client.set("a", 1, "[1]").unwrap();
    let others_write = |content: Value| {
        let mut content = content;
        content["_rev"] = document(&server, "a")["_rev"].clone();
        ask(&server, "PUT", "/deepstream/a", &content);
    };
    others_write(json!({"version": 50, "data": ["theirs"]}));
    client.set("a", 2, "[2]").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((2, "[2]".into())));
    assert!(retries(&client) >= 1);
    others_write(json!({"version": 51, "data": ["theirs"]}));
    client.delete("a").unwrap();
    assert_eq!(client.get("a").unwrap(), None);
    client.set("a", 3, "[3]").unwrap();
    others_write(json!({"_deleted": true}));
    client.set("a", 4, "[4]").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((4, "[4]".into())));
    // Where all is as it was left, no write needs a second try.
    let before = retries(&client);
    for version in 5..20 {
        client.set("a", version, "[]").unwrap();
    }
    assert_eq!(retries(&client), before);
}

fn two_writers_of_one_document_both_get_through() {
    let server = Server::start("couchdb", &[]);
    let options = json!({"timeout": 60_000});
    let mut clients = [open(&server, options.clone()), open(&server, options)];
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(move || {
                for version in 1..=30 {
                    client.set("shared", version, "{}").unwrap();
                    if version % 7 == 0 {
                        client.delete("shared").unwrap();
                    }
                }
            });
        }
    });
    let versions = clients.each_ref().map(|client| client.head("shared").unwrap());
    assert_eq!(versions[0], versions[1]);
}

/// Leaves that replication brings, each after so many revisions; the last number tells them apart.
fn replicate(server: &Server, id: &str, leaves: &[(usize, usize)]) {
    let docs: Vec<Value> = leaves
        .iter()
        .map(|&(length, which)| {
            let ids: Vec<String> = (1..=length).rev().map(|number| format!("{number:016x}{which:016x}")).collect();
            let revisions = json!({"start": length, "ids": ids});
            json!({"_id": id, "_revisions": revisions, "_rev": format!("{length}-{}", ids[0]), "version": 90 + which, "data": ["theirs"]})
        })
        .collect();
    ask(server, "POST", "/deepstream/_bulk_docs", &json!({"new_edits": false, "docs": docs}));
}

fn what_was_acknowledged_is_read_whatever_replication_brought() {
    let server = Server::start("couchdb", &[]);
    let client = open(&server, json!({}));
    // One that is known here, and then has another leaf that goes before ours.
    client.set("known", 1, "[1]").unwrap();
    replicate(&server, "known", &[(7, 1)]);
    client.set("known", 2, "[2]").unwrap();
    assert_eq!(client.get("known").unwrap(), Some((2, "[2]".into())));
    // What was ours is no leaf of its own.
    assert_eq!(document(&server, "known?conflicts=true")["_conflicts"], Value::Null);
    // One with two leaves of which nothing is known.
    replicate(&server, "new", &[(1, 1), (1, 2)]);
    assert_eq!(client.head("new").unwrap(), Some(92));
    client.set("new", 3, "[3]").unwrap();
    assert_eq!(client.get("new").unwrap(), Some((3, "[3]".into())));
    // Where all is as it was left, no write needs a second try.
    let before = retries(&client);
    for version in 5..20 {
        client.set("known", version, "[]").unwrap();
        client.set("new", version, "[]").unwrap();
    }
    assert_eq!(retries(&client), before);
}

fn a_delete_takes_every_leaf_away() {
    let server = Server::start("couchdb", &[]);
    let client = open(&server, json!({}));
    client.set("a", 1, "[1]").unwrap();
    replicate(&server, "a", &[(1, 1), (2, 2), (4, 3)]);
    client.delete("a").unwrap();
    assert_eq!(client.get("a").unwrap(), None);
    assert_eq!(document(&server, "a")["error"], "not_found");
    client.set("a", 2, "[2]").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((2, "[2]".into())));
    assert_eq!(document(&server, "a?conflicts=true")["_conflicts"], Value::Null);
}

fn pauses_grow_while_writes_alone_are_refused() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({"timeout": 3_000}));
    client.set("a", 1, "{}").unwrap();
    for status in [503, 500] {
        let before = tell(&server, "report")["refused"].as_u64().unwrap();
        tell(&server, &format!("status/{status}/1000000/_bulk_docs"));
        assert_eq!(client.set("a", 2, "{}").unwrap_err().code(), ErrorCode::Timeout);
        let refused = tell(&server, "status/200/0")["refused"].as_u64().unwrap() - before;
        // 20, 40, 80 ms and so on up to a second, each at least half of that; the look-ups between
        // them succeed.
        assert!((4..=12).contains(&refused), "{refused} requests were refused with {status}");
    }
    client.set("a", 3, "{}").unwrap();
}

fn a_document_at_which_the_server_stumbles_holds_up_no_other() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({"timeout": 5_000}));
    client.set("warm", 1, "{}").unwrap();
    tell(&server, "trip/bad");
    let keys = || (0..60).map(|index| if index == 40 { "bad".to_owned() } else { format!("k{index}") });
    let all = |operation: &dyn Fn() -> Operation| {
        client.many(keys().map(|key| (Key::from(key), operation())).collect())
    };
    let record = || Record { version: 1, data: "{}".into() };
    let operations: [&dyn Fn() -> Operation; 3] =
        [&|| Operation::Set(record()), &|| Operation::Get, &|| Operation::Delete];
    for operation in operations {
        for (key, result) in keys().zip(all(operation)) {
            match result {
                Err(error) => {
                    assert_eq!((key.as_str(), error.code()), ("bad", ErrorCode::Timeout), "{error}")
                }
                Ok(_) => assert_ne!(key, "bad"),
            }
        }
    }
}

fn a_listing_waits_out_a_server_in_trouble() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({"timeout": 30_000}));
    client.set("a", 1, "{}").unwrap();
    for status in [429, 500, 502, 503, 504] {
        tell(&server, &format!("status/{status}/2"));
        assert_eq!(client.list(10).len(), 1, "{status}");
    }
}

fn a_listing_passes_over_what_is_no_record_and_names_it() {
    let server = Server::start("couchdb", &[]);
    let client = open(&server, json!({}));
    for index in 0..10 {
        client.set(&format!("k{index}"), 1, "{}").unwrap();
    }
    ask(&server, "PUT", "/deepstream/k3x", &json!({"name": "Ada"}));
    for limit in [1, 3, 100] {
        let keys: Vec<String> = client.list(limit).iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(keys, (0..10).map(|index| format!("k{index}")).collect::<Vec<_>>());
        client.line_with("\"k3x\"");
    }
}

fn large_documents_are_read_a_few_at_a_time() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({"timeout": 60_000}));
    let large = format!("\"{}\"", "x".repeat(7_900_000));
    let key = |index: usize| Key::from(format!("large/{index}"));
    for index in 0..8 {
        client.set(&key(index), 1, &large).unwrap();
    }
    // With one that has seen none of them.
    let client = open_as(&server, "admin", json!({"timeout": 60_000}));
    client.head("none").unwrap();
    for operation in [Operation::Head, Operation::Get] {
        let before = tell(&server, "report")["requests"].as_u64().unwrap();
        let replies = client.many((0..8).map(|index| (key(index), operation.clone())).collect());
        for reply in replies {
            match reply {
                Ok(Reply::Record(Some(record))) => assert_eq!(record.data.len(), large.len()),
                Ok(Reply::Version(version)) => assert_eq!(version, Some(1)),
                other => panic!("{other:?}"),
            }
        }
        let requests = tell(&server, "report")["requests"].as_u64().unwrap() - before;
        assert!(requests >= 4, "{requests} requests for 63 MB");
    }
    assert_eq!(client.list(8).len(), 8);
}

fn a_request_that_is_too_large_is_told_from_a_document_that_is() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({}));
    client.set("warm", 1, "{}").unwrap();
    tell(&server, "largest/100000");
    let large = format!("\"{}\"", "x".repeat(200_000));
    let results = client.many(vec![set("a", 1, "1"), set("b", 1, &large)]);
    assert!(results[0].is_ok());
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
    assert!(error.message().contains("max_http_request_size"), "{error}");
}

fn a_database_that_no_ordinary_user_can_make_is_named() {
    let server = Server::start("couchdb-stub", &[]);
    for auth in ["basic", "cookie"] {
        let options = json!({"database": "other", "auth": auth});
        let error = open_as(&server, "reader", options).get("a").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
        let words = ["\"other\" is not there", "no administrator"];
        assert!(words.iter().all(|words| error.message().contains(words)), "{error}");
    }
}

fn a_token_is_a_login_and_a_proxy_may_have_the_server_below_a_path() {
    let server = Server::start("couchdb-stub", &[]);
    let url = format!("http://127.0.0.1:{}/couch/records", server.port);
    let connect = |more: Value| {
        let mut all = json!({"type": "couchdb", "url": url});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Client::open(&all.to_string()).unwrap()
    };
    connect(json!({"jwt": "header.payload.signature"})).set("a", 1, "{}").unwrap();
    let error = connect(json!({"jwt": "header.payload.hunter2"})).get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Authentication);
    assert!(error.message().contains("\"jwt\"") && !error.message().contains("hunter2"), "{error}");
    let by_cookie = json!({"user": "admin", "password": "secret", "auth": "cookie"});
    assert_eq!(connect(by_cookie).head("a").unwrap(), Some(1));
}

fn a_database_that_goes_is_made_again() {
    let server = Server::start("couchdb", &[]);
    let client = open(&server, json!({"database": "some/where", "reconnectDelay": 5}));
    client.set("a", 1, "{}").unwrap();
    assert_eq!(ask(&server, "DELETE", "/some%2Fwhere", &json!({}))["ok"], true);
    client.set("a", 2, "{}").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(2));
}

fn logins_go_by_password_and_by_cookie() {
    let server = Server::start("couchdb-stub", &[]);
    for auth in ["basic", "cookie"] {
        let client = open_as(&server, "admin", json!({"auth": auth}));
        client.set(auth, 1, "{}").unwrap();
        assert_eq!(client.head(auth).unwrap(), Some(1));
        let client = open(
            &server,
            json!({"auth": auth, "username": "admin", "password": "hunter2", "reconnectMaxDelay": 50}),
        );
        let error = client.get("a").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Authentication);
        assert!(error.message().contains("\"password\""), "{error}");
        let Told::Error { error: told, fatal: true } = client.event() else { panic!("it must be fatal") };
        assert!(!format!("{error} {told}").contains("hunter2"));
    }
    assert_eq!(open(&server, json!({})).get("a").unwrap_err().code(), ErrorCode::Authentication);
    // In a URL.
    let url = format!("http://admin:secret@127.0.0.1:{}/deepstream", server.port);
    let client = Client::open(&json!({"type": "couchdb", "url": url}).to_string()).unwrap();
    assert_eq!(client.head("basic").unwrap(), Some(1));
}

fn a_session_that_ends_is_begun_anew_unnoticed() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({"auth": "cookie"}));
    for version in 1..=3 {
        client.set("a", version, "{}").unwrap();
        tell(&server, "expire");
        let gets = (0..600).map(|index| (Key::from(format!("k{index}")), Operation::Get)).collect();
        assert!(client.many(gets).iter().all(Result::is_ok));
    }
    let statistics: Value = serde_json::from_str(&client.connector.statistics_json()).unwrap();
    assert_eq!(statistics["outages"], 0);
    let sessions = tell(&server, "report")["sessions"].as_u64().unwrap();
    // One for each end, and no more than two requests saw it at the same time.
    assert!((4..=8).contains(&sessions), "{sessions} sessions");
}

fn a_user_who_may_not_is_told_so() {
    let server = Server::start("couchdb-stub", &[]);
    open_as(&server, "admin", json!({})).set("a", 1, "{}").unwrap();
    let error = open_as(&server, "reader", json!({})).get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Authentication);
    assert!(error.message().contains("read the database \"deepstream\""), "{error}");
    let error = open_as(&server, "reader", json!({"database": "other"})).get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
}

fn a_deleted_document_comes_back_only_when_it_is_made_again() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({}));
    for version in 1..=3 {
        client.set("a", version, "[]").unwrap();
        client.delete("a").unwrap();
        client.delete("a").unwrap();
        assert_eq!(client.get("a").unwrap(), None);
    }
    // By one who knows nothing of it yet, too.
    let other = open_as(&server, "admin", json!({}));
    other.delete("a").unwrap();
    other.set("a", 4, "[4]").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((4, "[4]".into())));
    other.delete("a").unwrap();
    client.set("a", 5, "[5]").unwrap();
    assert_eq!(other.get("a").unwrap(), Some((5, "[5]".into())));
}

fn whatever_a_strict_server_refuses_is_not_sent_to_it() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({}));
    for (key, data) in
        [("_x", r#"{"_x":1}"#), ("surrogate", r#""\ud800""#), ("name", r#"{"\udc00":1}"#), ("_local/x", "1")]
    {
        client.set(key, 1, data).unwrap();
        assert_eq!(client.get(key).unwrap(), Some((1, data.into())), "{key}");
    }
}

fn a_document_that_is_too_large_is_refused_alone_and_with_both_sizes() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({}));
    client.set("warm", 1, "{}").unwrap();
    // Together, so that they are one batch.
    let large = format!("\"{}\"", "x".repeat(8_100_000));
    let results = client.many(vec![set("a", 1, "1"), set("b", 1, &large), set("c", 1, "3")]);
    assert!(results[0].is_ok() && results[2].is_ok());
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
    assert!(error.message().contains("8000000") && error.message().contains("81000"), "{error}");
    assert_eq!(client.get("c").unwrap(), Some((1, "3".into())));
}

fn a_server_that_is_asked_too_much_is_waited_for_and_that_is_counted() {
    let server = Server::start("couchdb-stub", &[]);
    let client = open_as(&server, "admin", json!({"timeout": 30_000}));
    client.set("a", 1, "{}").unwrap();
    assert_eq!(retries(&client), 0);
    tell(&server, "status/429/4");
    let begin = std::time::Instant::now();
    client.set("a", 2, "{}").unwrap();
    // 20, 40, 80 and 160 ms, each at least half of that.
    assert!(begin.elapsed() >= Duration::from_millis(150), "it took {:?}", begin.elapsed());
    assert_eq!(retries(&client), 4);
    for status in [500, 503] {
        tell(&server, &format!("status/{status}/2"));
        assert_eq!(client.get("a").unwrap(), Some((2, "{}".into())));
    }
    assert_eq!(retries(&client), 8);
}

fn tls_needs_a_certificate_that_is_to_be_trusted() {
    let server = Server::start("couchdb-stub", &["tls"]);
    let ca = certificates().join("ca.crt");
    let connect = |server: &Server, tls: Value| -> Result<(), Error> {
        open_as(server, "admin", json!({"host": "localhost", "tls": tls})).set("a", 1, "{}")
    };
    connect(&server, json!({"ca": ca})).unwrap();
    let other = certificates().join("other-ca.crt");
    assert_eq!(connect(&server, json!({"ca": other})).unwrap_err().code(), ErrorCode::Configuration);
    for certificate in ["wrong-host", "expired", "untrusted"] {
        let variant = format!("tls-certificate={certificate}");
        let server = Server::start("couchdb-stub", &[&variant]);
        let error = connect(&server, json!({"ca": ca})).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Configuration, "{certificate}: {error}");
    }
    // Nothing goes unprotected to a server that wants TLS.
    let plain = open_as(&server, "admin", json!({"timeout": 500}));
    assert_eq!(plain.get("a").unwrap_err().code(), ErrorCode::Timeout);
    wait_until("it has tried", || !plain.connector.is_ready());
}
