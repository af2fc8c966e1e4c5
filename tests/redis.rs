//! What is special to Redis: layouts, logins, TLS, expiry, and what the server may answer.

use crate::support::{certificates, Client, Server, Told};
use deepstream_connector::core::{ErrorCode, Operation, Record, Reply};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(layout_v2_is_that_of_the_official_connector),
    test!(layout_v1_is_that_of_the_classic_connector),
    test!(what_is_no_record_is_corrupt_and_harms_nobody_else),
    test!(what_is_not_json_is_corrupt_in_every_layout),
    test!(half_a_record_is_none_for_get_and_head),
    test!(a_refusal_at_the_login_that_passes_is_waited_for),
    test!(a_server_that_quotes_a_command_is_not_quoted),
    test!(version_and_data_expire_together),
    test!(one_forbidden_key_does_not_fail_its_neighbours),
    test!(a_wrong_password_is_a_clear_error_without_the_password),
    test!(a_database_that_is_not_there_is_named),
    test!(tls_wants_the_right_authority_and_the_right_name),
    test!(a_bad_certificate_is_refused_and_named),
    test!(a_client_certificate_is_shown_where_it_is_asked_for),
    test!(a_full_server_says_so),
    test!(a_server_that_loads_is_waited_for),
    test!(a_former_primary_is_left),
    test!(valkey_works_too),
];

fn open(server: &Server, options: &str) -> Client {
    Client::open(&format!(r#"{{"type": "redis", "port": {}{options}}}"#, server.port)).unwrap()
}

/// Whatever a connector says about itself until its first operation is answered.
fn first_error(client: &Client) -> deepstream_connector::core::Error {
    client.get("anything").unwrap_err()
}

fn layout_v2_is_that_of_the_official_connector() {
    let server = Server::start("redis", &[]);
    let client = open(&server, "");
    client.set("user/1", 7, r#"{"name":"Ada"}"#).unwrap();
    assert_eq!(server.client(&["GET", "user/1_v"]), "7");
    assert_eq!(server.client(&["GET", "user/1_d"]), r#"{"name":"Ada"}"#);
    server.client(&["MSET", "theirs_v", "3", "theirs_d", "[1,2]"]);
    assert_eq!(client.get("theirs").unwrap(), Some((3, "[1,2]".into())));
    assert_eq!(client.head("theirs").unwrap(), Some(3));
    client.delete("theirs").unwrap();
    assert_eq!(server.client(&["DBSIZE"]), "2");
}

fn layout_v1_is_that_of_the_classic_connector() {
    let server = Server::start("redis", &[]);
    let client = open(&server, r#", "layout": "V1", "keyPrefix": "app:""#);
    client.set("user/1", 7, r#"{"name":"Ada"}"#).unwrap();
    assert_eq!(server.client(&["GET", "app:user/1"]), r#"{"_v":7,"_d":{"name":"Ada"}}"#);
    server.client(&["SET", "app:theirs", r#"{ "_d": [1, 2], "extra": 1, "_v": 3 }"#]);
    assert_eq!(client.get("theirs").unwrap(), Some((3, "[1, 2]".into())));
    assert_eq!(client.head("theirs").unwrap(), Some(3));
    server.client(&["SET", "app:broken", "nonsense"]);
    assert_eq!(client.get("broken").unwrap_err().code(), ErrorCode::Corrupt);
}

fn what_is_no_record_is_corrupt_and_harms_nobody_else() {
    let server = Server::start("redis", &[]);
    let client = open(&server, "");
    client.set("good", 1, "{}").unwrap();
    server.client(&["MSET", "bad_v", "seven", "bad_d", "{}"]);
    let results = client.many(vec![("bad".into(), Operation::Get), ("good".into(), Operation::Get)]);
    assert_eq!(results[0].as_ref().unwrap_err().code(), ErrorCode::Corrupt);
    assert!(matches!(&results[1], Ok(Reply::Record(Some(record))) if record.version == 1));
}

fn what_is_not_json_is_corrupt_in_every_layout() {
    let server = Server::start("redis", &[]);
    let v2 = open(&server, "");
    let v1 = open(&server, r#", "layout": "V1""#);
    v2.set("good", 1, "{}").unwrap();
    v1.set("good", 1, "{}").unwrap();
    server.client(&["MSET", "bad_v", "7", "bad_d", "hunter2", "bad", r#"{"_v":7,"_d":hunter2}"#]);
    for client in [v1, v2] {
        let results = client.many(vec![("bad".into(), Operation::Get), ("good".into(), Operation::Get)]);
        let error = results[0].as_ref().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
        assert!(!error.message().contains("hunter2"), "{error}");
        assert!(matches!(&results[1], Ok(Reply::Record(Some(record))) if record.version == 1));
    }
}

fn half_a_record_is_none_for_get_and_head() {
    let server = Server::start("redis", &[]);
    let client = open(&server, "");
    for key in ["whole", "no version", "no data"] {
        client.set(key, 5, "{}").unwrap();
    }
    server.client(&["DEL", "no version_v", "no data_d"]);
    for (key, version) in [("whole", Some(5)), ("no version", None), ("no data", None)] {
        assert_eq!(client.get(key).unwrap().map(|record| record.0), version, "{key}");
        assert_eq!(client.head(key).unwrap(), version, "{key}");
    }
}

fn a_refusal_at_the_login_that_passes_is_waited_for() {
    let server = Server::start("redis", &["password=right"]);
    server.client(&["CONFIG", "SET", "busy-reply-threshold", "1"]);
    std::thread::scope(|scope| {
        let until = "local t = redis.call('TIME')[1] + 2 while redis.call('TIME')[1] + 0 < t do end return 1";
        let script = scope.spawn(|| server.client(&["EVAL", until, "0"]));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let client = open(&server, r#", "password": "right", "db": 1"#);
        client.set("a", 1, "{}").unwrap();
        script.join().unwrap();
    });
}

fn a_server_that_quotes_a_command_is_not_quoted() {
    let server = Server::start("redis", &["--", "--rename-command", "MSET", ""]);
    let error = open(&server, "").set("hunter2", 1, r#""hunter2""#).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend);
    assert!(error.message().contains("ERR") && !error.message().contains("hunter2"), "{error}");
}

fn version_and_data_expire_together() {
    let server = Server::start("redis", &[]);
    for layout in ["V1", "V2"] {
        let client =
            open(&server, &format!(r#", "ttl": 100, "layout": "{layout}", "keyPrefix": "{layout}:""#));
        client.set("a", 1, "{}").unwrap();
        assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
    }
    let keys = ["V1:a", "V2:a_v", "V2:a_d"];
    for key in keys {
        let ttl: i64 = server.client(&["TTL", key]).parse().unwrap();
        assert!((98..=100).contains(&ttl), "{key} lives {ttl} s");
    }
    assert_eq!(server.client(&["EXPIRETIME", "V2:a_v"]), server.client(&["EXPIRETIME", "V2:a_d"]));
    open(&server, r#", "keyPrefix": "V2:""#).set("a", 2, "{}").unwrap();
    assert_eq!(server.client(&["TTL", "V2:a_v"]), "-1", "a set without ttl lives for ever");
}

fn one_forbidden_key_does_not_fail_its_neighbours() {
    let server = Server::start("redis", &["acl"]);
    server.client(&["ACL", "SETUSER", "half", "on", ">secret", "+@all", "~open*"]);
    let client = open(&server, r#", "username": "half", "password": "secret""#);
    let record = || Operation::Set(Record { version: 1, data: "{}".into() });
    let results = client.many(vec![
        ("open1".into(), record()),
        ("closed".into(), record()),
        ("open2".into(), record()),
    ]);
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend);
    assert!(error.message().contains("NOPERM"), "{error}");
    let results = client.many(vec![("open1".into(), Operation::Get), ("closed".into(), Operation::Get)]);
    assert!(results[0].is_ok() && results[1].is_err(), "{results:?}");
    let expiring = open(&server, r#", "username": "half", "password": "secret", "ttl": 100"#);
    let results = expiring.many(vec![("open1".into(), record()), ("closed".into(), record())]);
    assert!(results[0].is_ok() && results[1].is_err(), "{results:?}");
}

fn a_wrong_password_is_a_clear_error_without_the_password() {
    let server = Server::start("redis", &["password=right"]);
    for options in [r#", "password": "hunter2""#, "", r#", "username": "nobody", "password": "hunter2""#] {
        let client = open(&server, options);
        let error = first_error(&client);
        assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
        assert!(error.message().contains("\"password\"") && !error.message().contains("hunter2"), "{error}");
        assert!(matches!(client.event(), Told::Error { fatal: true, .. }));
    }
    let client =
        Client::open(&format!(r#"{{"type": "redis", "url": "redis://:right@127.0.0.1:{}/5"}}"#, server.port));
    client.unwrap().set("a", 1, "{}").unwrap();
    assert_eq!(server.client(&["-n", "5", "DBSIZE"]), "2");
}

fn a_database_that_is_not_there_is_named() {
    let server = Server::start("redis", &[]);
    let error = first_error(&open(&server, r#", "db": 99"#));
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.message().contains("\"db\""), "{error}");
}

fn tls_wants_the_right_authority_and_the_right_name() {
    let server = Server::start("redis", &["tls"]);
    let folder = certificates();
    let path = |name: &str| folder.join(name).display().to_string();
    let client = open(&server, &format!(r#", "tls": {{"ca": "{}"}}"#, path("ca.crt")));
    client.set("a", 1, "{}").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));

    let pem = std::fs::read_to_string(path("ca.crt")).unwrap();
    let by_url = format!(
        r#"{{"type": "redis", "url": "rediss://localhost:{}", "tls": {{"ca": {}}}}}"#,
        server.port,
        serde_json::to_string(&pem).unwrap()
    );
    assert_eq!(Client::open(&by_url).unwrap().head("a").unwrap(), Some(1));

    for (options, word) in [
        (format!(r#", "tls": {{"ca": "{}"}}"#, path("other-ca.crt")), "tls.ca"),
        (
            format!(r#", "tls": {{"ca": "{}", "serverName": "example.org"}}"#, path("ca.crt")),
            "tls.serverName",
        ),
    ] {
        let client = open(&server, &options);
        let error = first_error(&client);
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    let anyone = open(&server, r#", "tls": {"rejectUnauthorized": false}"#);
    assert_eq!(anyone.head("a").unwrap(), Some(1));
    // Without TLS there is no fallback and no answer.
    let plain = open(&server, r#", "timeout": 500"#);
    assert_eq!(first_error(&plain).code(), ErrorCode::Timeout);
}

fn a_bad_certificate_is_refused_and_named() {
    let ca = certificates().join("ca.crt").display().to_string();
    for (certificate, reason) in [("expired", "xpired"), ("wrong-host", "name"), ("untrusted", "ssuer")] {
        let server = Server::start("redis", &["tls", &format!("tls-certificate={certificate}")]);
        let error = first_error(&open(&server, &format!(r#", "tls": {{"ca": "{ca}"}}"#)));
        assert_eq!(error.code(), ErrorCode::Configuration, "{certificate}: {error}");
        assert!(error.message().contains(reason), "{certificate}: {error}");
    }
}

fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let server = Server::start("redis", &["tls-client-auth"]);
    let folder = certificates();
    let path = |name: &str| folder.join(name).display().to_string();
    let (ca, cert, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let with = open(&server, &format!(r#", "tls": {{"ca": "{ca}", "cert": "{cert}", "key": "{key}"}}"#));
    with.set("a", 1, "{}").unwrap();
    let without = open(&server, &format!(r#", "timeout": 700, "tls": {{"ca": "{ca}"}}"#));
    let error = first_error(&without);
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("client certificate"), "{error}");
    let half = Client::open(&format!(r#"{{"type": "redis", "tls": {{"cert": "{cert}"}}}}"#)).err().unwrap();
    assert!(half.message().contains("\"tls.key\""), "{half}");
}

fn a_full_server_says_so() {
    let server = Server::start("redis", &[]);
    let client = open(&server, "");
    client.set("a", 1, "{}").unwrap();
    server.client(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = client.set("b", 1, "{}").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend);
    assert!(error.message().contains("OOM"), "{error}");
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
}

fn a_server_that_loads_is_waited_for() {
    let server = Server::start("redis", &[]);
    let client = open(&server, "");
    client.set("a", 1, "{}").unwrap();
    server.client(&["DEBUG", "POPULATE", "500", "filler", "10"]);
    server.client(&["CONFIG", "SET", "key-load-delay", "1000"]);
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| server.client(&["DEBUG", "RELOAD"]));
        // Sent while it loads; Redis answers LOADING to what it reads in the meantime.
        for version in 2..20 {
            client.set("a", version, "{}").unwrap();
            assert_eq!(client.head("a").unwrap(), Some(version));
        }
        reload.join().unwrap();
    });
}

fn a_former_primary_is_left() {
    let server = Server::start("redis", &[]);
    let client = open(&server, "");
    client.set("a", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    server.client(&["REPLICAOF", "127.0.0.1", "1"]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let record = Record { version: 2, data: "{}".into() };
    client.connector.set("a", record, move |result| sender.send(result).unwrap()).unwrap();
    let Told::Error { error, fatal: false } = client.event() else { panic!("no outage was told") };
    assert!(error.message().contains("replica"), "{error}");
    server.client(&["REPLICAOF", "NO", "ONE"]);
    receiver.recv_timeout(crate::support::PATIENCE).expect("a callback is missing").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(2));
}

fn valkey_works_too() {
    let server = Server::start("valkey", &[]);
    let client = open(&server, "");
    client.set("a", 1, "[null]").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "[null]".into())));
    client.delete("a").unwrap();
    assert_eq!(client.get("a").unwrap(), None);
}
