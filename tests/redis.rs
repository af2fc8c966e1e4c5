//! What is special to Redis: layouts, logins, TLS, expiry, and what the server may answer.

use std::sync::atomic::Ordering;

use crate::support::network;
use crate::support::part::Part;
use crate::support::{certificates, wait_until, Client, Server, Told};
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
    test!(a_former_primary_is_left_for_the_one_behind_its_name),
    test!(a_proxy_that_ends_connections_which_name_themselves_is_no_obstacle),
    test!(reads_do_not_wait_for_a_write_that_waits_for_replicas),
    test!(an_idle_connection_that_the_server_closes_is_no_outage),
    test!(pings_keep_an_idle_connection_open),
    test!(a_write_that_the_network_lost_does_not_come_after_a_later_one),
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
    for _ in 0..100 {
        assert_eq!(client.head("b").unwrap(), None, "what can be read is read");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(client.told.try_iter().all(|told| matches!(told, Told::Log(_))), "one outage is told once");
    server.client(&["REPLICAOF", "NO", "ONE"]);
    receiver.recv_timeout(crate::support::PATIENCE).expect("a callback is missing").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    assert_eq!(client.head("a").unwrap(), Some(2));
}

/// After a failover the name leads to another server.
fn a_former_primary_is_left_for_the_one_behind_its_name() {
    let (former, next) = (Server::start("redis", &[]), Server::start("redis", &[]));
    let name = Name::start(former.port);
    let client = Client::open(&format!(r#"{{"type": "redis", "port": {}}}"#, name.port)).unwrap();
    client.set("a", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    former.client(&["REPLICAOF", "127.0.0.1", &next.port.to_string()]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let record = Record { version: 2, data: "{}".into() };
    client.connector.set("a", record, move |result| sender.send(result).unwrap()).unwrap();
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    name.leads_to(next.port);
    receiver.recv_timeout(crate::support::PATIENCE).expect("a callback is missing").unwrap();
    assert_eq!(next.client(&["GET", "a_v"]), "2");
    assert!(matches!(client.event(), Told::Ready));
}

/// A name that leads to one server or another, and ends the connections of clients that say certain
/// words.
struct Name {
    port: u16,
    to: std::sync::Arc<std::sync::atomic::AtomicU16>,
}

impl Name {
    fn start(to: u16) -> Name {
        Name::refusing(to, "no client says this")
    }

    fn refusing(to: u16, words: &'static str) -> Name {
        use std::io::{Read, Write};
        use std::net::{Shutdown, TcpListener, TcpStream};
        let port = crate::support::free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let to = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(to));
        let target = std::sync::Arc::clone(&to);
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let Ok(mut server) = TcpStream::connect(("127.0.0.1", target.load(Ordering::SeqCst))) else {
                    continue;
                };
                let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut answers, &mut back);
                    let _ = back.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || {
                    let mut bytes = vec![0; 64 << 10];
                    while let Ok(count @ 1..) = client.read(&mut bytes) {
                        let said = &bytes[..count];
                        if said.windows(words.len()).any(|part| part == words.as_bytes())
                            || server.write_all(said).is_err()
                        {
                            break;
                        }
                    }
                    let _ = server.shutdown(Shutdown::Both);
                });
            }
        });
        Name { port, to }
    }

    fn leads_to(&self, port: u16) {
        self.to.store(port, Ordering::SeqCst);
    }
}

/// As twemproxy does.
fn a_proxy_that_ends_connections_which_name_themselves_is_no_obstacle() {
    let server = Server::start("redis", &[]);
    let proxy = Name::refusing(server.port, "CLIENT");
    let client = Client::open(&format!(r#"{{"type": "redis", "port": {}}}"#, proxy.port)).unwrap();
    client.set("a", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    assert_eq!(server.client(&["GET", "a_v"]), "1");
}

fn reads_do_not_wait_for_a_write_that_waits_for_replicas() {
    let server = Server::start("redis", &[]);
    let client = open(&server, r#", "waitReplicas": 1, "waitTimeout": 5000, "timeout": 10000"#);
    server.client(&["MSET", "b_v", "1", "b_d", "{}"]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let record = Record { version: 1, data: "{}".into() };
    client.connector.set("a", record, move |result| drop(sender.send(result))).unwrap();
    let waits = || server.client(&["INFO", "clients"]).contains("blocked_clients:1");
    wait_until("the write waits for replicas", waits);
    let reads = (0..20).map(|_| client.head("b").unwrap()).collect::<Vec<_>>();
    assert!(waits(), "a read waited for the write");
    assert_eq!(reads, [Some(1); 20]);
    assert!(receiver.try_recv().is_err());
}

/// The numbers of our connections, by the server.
fn connections(server: &Server) -> Vec<String> {
    let list = server.client(&["CLIENT", "LIST"]);
    let ours = list.lines().filter(|line| line.contains("name=idle-test "));
    ours.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn an_idle_connection_that_the_server_closes_is_no_outage() {
    let server = Server::start("redis", &[]);
    let client = open(&server, r#", "connectionName": "idle-test""#);
    client.set("a", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    let first = connections(&server);
    server.client(&["CONFIG", "SET", "timeout", "1"]);
    wait_until("the server closed it twice", || {
        let before = connections(&server);
        !before.is_empty() && before != first && {
            wait_until("it is another one", || {
                !connections(&server).is_empty() && connections(&server) != before
            });
            true
        }
    });
    assert_eq!(client.head("a").unwrap(), Some(1));
    server.ctl(&["kill"]);
    let Told::Error { error, fatal: false } = client.event() else { panic!("a crash is an outage") };
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    server.ctl(&["restart"]);
    assert!(matches!(client.event(), Told::Ready));
}

fn pings_keep_an_idle_connection_open() {
    let server = Server::start("redis", &[]);
    let client = open(&server, r#", "connectionName": "idle-test", "pingInterval": 200"#);
    let other = open(&server, r#", "connectionName": "other""#);
    client.set("a", 1, "{}").unwrap();
    other.set("b", 1, "{}").unwrap();
    let ours = connections(&server);
    assert_eq!(ours.len(), 1);
    server.client(&["CONFIG", "SET", "timeout", "1"]);
    let number = || {
        let list = server.client(&["CLIENT", "LIST"]);
        let other = list.lines().find(|line| line.contains("name=other ")).map(str::to_owned);
        other.and_then(|line| line.split(' ').next().map(str::to_owned))
    };
    let first = number();
    wait_until("the server has closed idle ones", || number().is_some_and(|now| Some(now) != first));
    assert_eq!(connections(&server), ours);
    assert_eq!(client.head("a").unwrap(), Some(1));
}

/// Redis in a network that fails.
pub const LOSSY: Part = ("redis in a network that fails", || {
    let configuration = r#"{"type": "redis", "port": PORT, "timeout": 2000}"#;
    network::a_lost_write_does_not_come_after_a_later_one("redis", configuration);
});

fn a_write_that_the_network_lost_does_not_come_after_a_later_one() {
    network::run("redis", LOSSY.0);
}

fn valkey_works_too() {
    let server = Server::start("valkey", &[]);
    let client = open(&server, "");
    client.set("a", 1, "[null]").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "[null]".into())));
    client.delete("a").unwrap();
    assert_eq!(client.get("a").unwrap(), None);
}
