//! Redis Cluster: slots that move, nodes that die, logins and TLS at every node.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::load::under_load;
use crate::support::{certificates, wait_until, Client, Server, Told, PATIENCE};
use deepstream_connector::core::{ErrorCode, Operation, Record, Reply};

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(both_keys_of_a_record_are_in_one_slot),
    test!(bulk_operations_span_slots_in_both_layouts_with_and_without_ttl),
    test!(slots_move_under_load).class(Class::Works),
    test!(a_record_is_found_in_every_state_of_its_move),
    test!(a_cluster_that_is_down_is_waited_for),
    test!(a_bulk_operation_is_at_all_nodes_together),
    test!(a_replica_takes_over_by_command_under_load).class(Class::Works),
    test!(a_primary_dies_under_load).class(Class::Works),
    test!(a_primary_freezes_under_load).class(Class::Works),
    test!(a_node_that_hangs_holds_up_its_own_keys_alone),
    test!(a_primary_that_dies_while_nothing_is_asked_is_replaced),
    test!(a_redirection_to_nowhere_is_forgotten),
    test!(seeds_may_be_dead),
    test!(a_primary_may_be_dead_at_the_start),
    test!(a_single_server_is_no_cluster),
    test!(too_few_replicas_are_an_error_that_says_so),
    test!(every_node_wants_the_login),
    test!(every_node_wants_tls),
];

/// Long enough for a failover on a busy machine.
const PATIENT: &str = r#", "timeout": 60000"#;
const SAFE: &str = r#", "timeout": 60000, "waitReplicas": 1"#;

fn open(server: &Server, options: &str) -> Client {
    let configuration = format!(r#"{{"type": "redis", "nodes": ["127.0.0.1:{}"]{options}}}"#, server.port);
    Client::open(&configuration).unwrap()
}

fn slot(server: &Server, key: &str) -> String {
    server.client(&["CLUSTER", "KEYSLOT", key])
}

fn owner(server: &Server, key: &str) -> String {
    server.ctl(&["owner", &slot(server, key)])
}

/// A name whose record the node has.
fn name_at(server: &Server, node: &str) -> String {
    (0..).map(|number| format!("name{number}")).find(|name| owner(server, name) == node).unwrap()
}

fn both_keys_of_a_record_are_in_one_slot() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, "");
    let names =
        ["plain", "user/1", "a}b", "}", "}{", "{", "{}", "{a}", "{}{b}", "x{y}z", "{a", "_{_}}", "ü{ö}"];
    for (version, name) in (1..).zip(names) {
        client.set(name, version, "{}").unwrap();
        let stored = match name.starts_with('}') {
            true => format!("_{{_}}{name}"),
            false => format!("{{{name}}}"),
        };
        let (version_key, data_key) = (format!("{stored}_v"), format!("{stored}_d"));
        assert_eq!(slot(&server, &version_key), slot(&server, &data_key), "{name}");
        assert_eq!(server.client(&["GET", &version_key]), version.to_string(), "{name}");
    }
    let results = client.many(names.iter().map(|name| ((*name).into(), Operation::Get)).collect());
    for (version, (name, result)) in (1..).zip(names.iter().zip(results)) {
        assert!(matches!(&result, Ok(Reply::Record(Some(record))) if record.version == version), "{name}");
    }
}

fn bulk_operations_span_slots_in_both_layouts_with_and_without_ttl() {
    let server = Server::start("redis-cluster", &[]);
    let keys: Vec<String> = (0..500).map(|number| format!("bulk/{number}")).collect();
    let each = |make: &dyn Fn(i64) -> Operation| {
        keys.iter().zip(1..).map(|(key, version)| (key.as_str().into(), make(version))).collect()
    };
    for (layout, ttl) in [("V1", ""), ("V2", ""), ("V1", r#", "ttl": 100"#), ("V2", r#", "ttl": 100"#)] {
        let client = open(&server, &format!(r#", "layout": "{layout}", "keyPrefix": "{layout}:"{ttl}"#));
        let set = |version| Operation::Set(Record { version, data: format!("[{version}]").into() });
        assert!(client.many(each(&set)).iter().all(Result::is_ok));
        for (version, result) in (1..).zip(client.many(each(&|_| Operation::Get))) {
            let Ok(Reply::Record(Some(record))) = result else { panic!("{result:?}") };
            assert_eq!((record.version, record.data), (version, format!("[{version}]").into()));
        }
        assert_eq!(client.head("bulk/7").unwrap(), Some(8));
        assert!(client.many(each(&|_| Operation::Delete)).iter().all(Result::is_ok));
        assert!(client
            .many(each(&|_| Operation::Head))
            .iter()
            .all(|r| matches!(r, Ok(Reply::Version(None)))));
    }
}

fn slots_move_under_load() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, PATIENT);
    under_load(&client, || {
        for (from, to) in [("0", "1"), ("1", "2")] {
            server.ctl(&["reshard", from, to, "300"]);
        }
    });
}

/// The slot of a record on its way: its node sends us on (`ASK`), between its two keys nobody
/// can answer (`TRYAGAIN`), and at the end it is the other's (`MOVED`).
fn a_record_is_found_in_every_state_of_its_move() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, PATIENT);
    let (from, to) = ("0", "1");
    let name = name_at(&server, from);
    let slot = slot(&server, &name);
    let ids = [from, to].map(|node| server.ctl(&["node", node, "CLUSTER", "MYID"]));
    let set_slot = |node: &str, words: &[&str]| {
        server.ctl(&[&["node", node, "CLUSTER", "SETSLOT", &slot], words].concat());
    };
    let to_port = server.ctl(&["port", to]);
    let migrate = |key: &str| {
        let answer = server.ctl(&["node", from, "MIGRATE", "127.0.0.1", &to_port, key, "0", "5000"]);
        assert_eq!(answer, "OK");
    };
    client.set(&name, 1, "[1]").unwrap();
    set_slot(to, &["IMPORTING", &ids[0]]);
    set_slot(from, &["MIGRATING", &ids[1]]);
    assert_eq!(client.get(&name).unwrap(), Some((1, "[1]".into())), "before its keys moved");

    migrate(&format!("{{{name}}}_v"));
    let (sender, receiver) = channel();
    client.connector.get(&name, move |result| sender.send(result).unwrap()).unwrap();
    let half_moved = receiver.recv_timeout(Duration::from_millis(300));
    assert!(half_moved.is_err(), "a record of which half has moved was answered: {half_moved:?}");
    migrate(&format!("{{{name}}}_d"));
    let record = receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap().unwrap();
    assert_eq!(record.version, 1, "between the moves of its keys");

    client.set(&name, 2, "[2]").unwrap();
    assert_eq!(client.get(&name).unwrap(), Some((2, "[2]".into())), "before the slot is the other's");
    set_slot(to, &["NODE", &ids[1]]);
    set_slot(from, &["NODE", &ids[1]]);
    client.set(&name, 3, "[3]").unwrap();
    assert_eq!(client.get(&name).unwrap(), Some((3, "[3]".into())), "after the slot is the other's");
}

/// A node without all slots answers `CLUSTERDOWN`.
fn a_cluster_that_is_down_is_waited_for() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, PATIENT);
    let name = name_at(&server, "0");
    let slot = slot(&server, &name);
    client.set(&name, 1, "{}").unwrap();
    assert_eq!(server.ctl(&["node", "0", "CLUSTER", "DELSLOTS", &slot]), "OK");
    let answer = server.ctl(&["node", "0", "GET", &format!("{{{name}}}_v")]);
    assert!(answer.starts_with("CLUSTERDOWN"), "{answer}");
    let (sender, receiver) = channel();
    let record = Record { version: 2, data: "{}".into() };
    client.connector.set(&name, record, move |result| sender.send(result).unwrap()).unwrap();
    let early = receiver.recv_timeout(Duration::from_millis(300));
    assert!(early.is_err(), "a cluster that is down answered: {early:?}");
    assert_eq!(server.ctl(&["node", "0", "CLUSTER", "ADDSLOTS", &slot]), "OK");
    receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
    assert_eq!(client.get(&name).unwrap(), Some((2, "{}".into())));
}

/// Each node is a second away, and has one batch under way while the others have theirs.
fn a_bulk_operation_is_at_all_nodes_together() {
    let server = Server::start("redis-cluster", &[]);
    let nodes = ["0", "1", "2"];
    let names = nodes.map(|node| name_at(&server, node));
    let proxies = nodes.map(|node| {
        let target = format!("127.0.0.1:{}", server.ctl(&["port", node]));
        let proxy = Server::start("proxy", &["--", "--target", &target]);
        let port = proxy.port.to_string();
        assert_eq!(server.ctl(&["node", node, "CONFIG", "SET", "cluster-announce-port", &port]), "OK");
        proxy
    });
    wait_until("all nodes know of the proxies", || {
        let slots = nodes.map(|node| server.ctl(&["node", node, "CLUSTER", "SLOTS"]));
        let knows = |slots: &String, port: u16| slots.lines().any(|line| line == port.to_string());
        slots.iter().all(|slots| proxies.iter().all(|proxy| knows(slots, proxy.port)))
    });
    let client = open(&server, PATIENT);
    let get = || client.many(names.iter().map(|name| (name.as_str().into(), Operation::Get)).collect());
    assert!(get().iter().all(Result::is_ok));
    for proxy in &proxies {
        proxy.ctl(&["set", "latency", "1000"]);
    }
    let begin = Instant::now();
    assert!(get().iter().all(Result::is_ok));
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1), "the nodes were not a second away: {took:?}");
    assert!(took < Duration::from_millis(2_500), "the nodes were asked one after the other: {took:?}");
}

fn a_replica_takes_over_by_command_under_load() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, SAFE);
    under_load(&client, || {
        let replica = server.ctl(&["replica", "0"]);
        server.ctl(&["node", &replica, "CLUSTER", "FAILOVER"]);
        wait_until("the replica is the primary", || server.role(&replica).starts_with("master"));
    });
}

fn a_primary_dies_under_load() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, SAFE);
    assert!(matches!(client.event(), Told::Ready));
    under_load(&client, || {
        let replica = server.ctl(&["replica", "0"]);
        server.ctl(&["kill-node", "0"]);
        wait_until("the replica is the primary", || server.role(&replica).starts_with("master"));
        // Else nobody could have its writes besides it.
        server.ctl(&["start-node", "0"]);
    });
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    assert!(matches!(client.event(), Told::Ready));
    while let Ok(told) = client.told.try_recv() {
        assert!(matches!(told, Told::Log(..)), "one outage was told again: {told:?}");
    }
}

fn a_primary_freezes_under_load() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, r#", "timeout": 60000, "waitReplicas": 1, "connectTimeout": 1000"#);
    under_load(&client, || {
        let replica = server.ctl(&["replica", "1"]);
        server.ctl(&["freeze-node", "1"]);
        wait_until("the replica is the primary", || server.role(&replica).starts_with("master"));
        server.ctl(&["thaw-node", "1"]);
        wait_until("the former primary is a replica", || server.role("1").starts_with("slave"));
    });
}

fn a_node_that_hangs_holds_up_its_own_keys_alone() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, PATIENT);
    let names = ["0", "1", "2"].map(|node| name_at(&server, node));
    for name in &names {
        client.set(name, 1, "{}").unwrap();
    }
    server.ctl(&["freeze-node", "0"]);
    let (sender, receiver) = channel();
    for (node, name) in names.iter().enumerate() {
        let sender = sender.clone();
        let record = Record { version: 2, data: "{}".into() };
        client.connector.set(name, record, move |result| sender.send((node, result)).unwrap()).unwrap();
    }
    let order: Vec<usize> = (0..3)
        .map(|_| {
            let (node, result) = receiver.recv_timeout(PATIENCE).expect("a callback is missing");
            result.unwrap_or_else(|error| panic!("{node}: {error}"));
            node
        })
        .collect();
    assert_eq!(order[2], 0, "{order:?}");
}

fn a_primary_that_dies_while_nothing_is_asked_is_replaced() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, "");
    client.set("a", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    server.ctl(&["kill-node", &owner(&server, "a")]);
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    assert!(matches!(client.event(), Told::Ready), "its replica has taken over");
}

/// A node that has all slots and no records, and sends who reads first to a node that is not there.
fn node_with_a_wrong_redirection() -> u16 {
    let (port, nowhere) = (crate::support::free_port(), crate::support::free_port());
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let is_first = Arc::new(AtomicBool::new(true));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let is_first = Arc::clone(&is_first);
            std::thread::spawn(move || {
                let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
                let mut client = client;
                while let Some(head) = lines.next() {
                    let parts: usize = head.trim_start_matches('*').parse().unwrap();
                    // The length of each, and it.
                    let words: Vec<String> = lines.by_ref().take(2 * parts).collect();
                    let slots = "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n";
                    let answer = match (words[1].as_str(), words.get(3).map(String::as_str)) {
                        ("CLUSTER", Some("SLOTS")) => format!("{slots}:{port}\r\n"),
                        ("CLUSTER", _) => "$16\r\ncluster_state:ok\r\n".to_owned(),
                        ("MGET", _) if is_first.swap(false, Ordering::SeqCst) => {
                            format!("-ASK 7 127.0.0.1:{nowhere}\r\n")
                        }
                        ("MGET", _) => "*1\r\n$-1\r\n".to_owned(),
                        _ => "+OK\r\n".to_owned(),
                    };
                    if client.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn a_redirection_to_nowhere_is_forgotten() {
    let port = node_with_a_wrong_redirection();
    let configuration = format!(r#"{{"type": "redis", "nodes": ["127.0.0.1:{port}"], "layout": "V1"}}"#);
    let client = Client::open(&configuration).unwrap();
    assert!(matches!(client.event(), Told::Ready));
    assert_eq!(client.get("a").unwrap(), None);
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }), "that node is not there");
    assert!(matches!(client.event(), Told::Ready), "nobody needs it");
}

fn seeds_may_be_dead() {
    let server = Server::start("redis-cluster", &[]);
    let text =
        format!(r#"{{"type": "redis", "nodes": "127.0.0.1:1,127.0.0.1:{}"}}"#, server.ctl(&["port", "4"]));
    let client = Client::open(&text).unwrap();
    client.set("a", 1, "{}").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
}

fn a_primary_may_be_dead_at_the_start() {
    let server = Server::start("redis-cluster", &[]);
    let names = ["0", "1", "2"].map(|node| name_at(&server, node));
    let text =
        format!(r#"{{"type": "redis", "nodes": "127.0.0.1:{}"{PATIENT}}}"#, server.ctl(&["port", "1"]));
    server.ctl(&["kill-node", "0"]);
    let client = Client::open(&text).unwrap();
    for name in &names {
        client.set(name, 1, "{}").unwrap();
        assert_eq!(client.get(name).unwrap(), Some((1, "{}".into())));
    }
}

fn a_single_server_is_no_cluster() {
    let server = Server::start("redis", &[]);
    let error = open(&server, "").get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("\"nodes\""), "{error}");
}

fn too_few_replicas_are_an_error_that_says_so() {
    let server = Server::start("redis-cluster", &[]);
    let client = open(&server, r#", "timeout": 1500, "waitReplicas": 3, "waitTimeout": 100"#);
    let error = client.set("a", 1, "{}").unwrap_err();
    assert!(error.message().contains("\"waitReplicas\""), "{error}");
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())), "the primary has it");
}

fn every_node_wants_the_login() {
    let server = Server::start("redis-cluster", &["acl"]);
    let login =
        |word: &str| format!(r#", "redisOptions": {{"username": "connector", "password": "{word}"}}"#);
    let client = open(&server, &login("secret"));
    let keys = || (0..50).map(|number| format!("k{number}"));
    let set = || Operation::Set(Record { version: 1, data: "{}".into() });
    let results = client.many(keys().map(|key| (key.as_str().into(), set())).collect());
    assert!(results.iter().all(Result::is_ok), "{results:?}");

    let refused = open(&server, &login("hunter2"));
    let error = refused.get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
    assert!(error.message().contains("\"password\"") && !error.message().contains("hunter2"), "{error}");

    let reader = open(&server, r#", "username": "reader", "password": "secret""#);
    let error = reader.set("a", 1, "{}").unwrap_err();
    assert!(error.message().contains("NOPERM"), "{error}");
    let twice = Client::open(
        r#"{"type": "redis", "nodes": "h", "password": "a", "redisOptions": {"password": "b"}}"#,
    );
    assert!(twice.err().unwrap().message().contains("\"redisOptions\""));
}

fn every_node_wants_tls() {
    let server = Server::start("redis-cluster", &["tls-client-auth"]);
    let folder = certificates();
    let path = |name: &str| folder.join(name).display().to_string();
    let (cert, key) = (path("client.crt"), path("client.key"));
    let tls = |ca: &str, more: &str| {
        format!(
            r#", "redisOptions": {{"tls": {{"ca": "{}", "cert": "{cert}", "key": "{key}"{more}}}}}"#,
            path(ca)
        )
    };
    let client = open(&server, &tls("ca.crt", ""));
    for number in 0..50 {
        client.set(&format!("k{number}"), 1, "{}").unwrap();
    }
    for (options, word) in [
        (tls("other-ca.crt", ""), "tls.ca"),
        (tls("ca.crt", r#", "serverName": "example.org""#), "tls.serverName"),
    ] {
        let error = open(&server, &options).get("a").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    let without = format!(r#", "timeout": 5000, "redisOptions": {{"tls": {{"ca": "{}"}}}}"#, path("ca.crt"));
    let error = open(&server, &without).get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("client certificate"), "{error}");
    let plain = open(&server, r#", "timeout": 500"#);
    assert_eq!(plain.get("a").unwrap_err().code(), ErrorCode::Timeout, "there is no fallback to plain");
}
