//! Amazon ElastiCache: its endpoints, and nodes that come and go. The nodes are real; the
//! discovery of memcached's is a stub.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::{certificates, wait_until, Client, Server, Told, PATIENCE};
use deepstream_connector::core::{Error, ErrorCode, Operation, Record, Reply};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(nodes_are_added_and_removed_without_a_restart),
    test!(operations_go_on_while_nodes_come_and_go),
    test!(the_known_nodes_do_without_the_endpoint),
    test!(an_endpoint_that_is_absent_is_waited_for),
    test!(a_node_that_is_replaced_is_given_up),
    test!(a_server_without_discovery_is_a_clear_error),
    test!(discovery_and_nodes_have_tls),
    test!(redis_has_a_token_or_a_user_over_tls),
    test!(cluster_mode_is_found_by_its_configuration_endpoint),
    test!(reads_go_to_the_reader_endpoint),
];

fn ca() -> String {
    format!(r#", "tls": {{"ca": "{}"}}"#, certificates().join("ca.crt").display())
}

fn memcached(endpoint: &Server, options: &str) -> Client {
    let place = format!("127.0.0.1:{}", endpoint.port);
    let options = format!(r#""engine": "memcached", "discoveryInterval": 100{options}"#);
    Client::open(&format!(r#"{{"type": "elasticache", "configurationEndpoint": "{place}", {options}}}"#))
        .unwrap()
}

fn nodes<const COUNT: usize>(variants: &[&str]) -> [Server; COUNT] {
    std::array::from_fn(|_| Server::start("memcached", variants))
}

fn name(endpoint: &Server, nodes: &[&Server]) {
    let places: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    endpoint.ctl(&["nodes".to_owned()].iter().chain(&places).map(String::as_str).collect::<Vec<_>>());
}

/// Sets so many records; all must succeed.
fn fill(client: &Client, count: usize, version: i64) {
    let set = |number: usize| {
        let record = Record { version, data: format!("[{number}]").into() };
        (format!("record/{number}").as_str().into(), Operation::Set(record))
    };
    let results = client.many((0..count).map(set).collect());
    assert!(results.iter().all(Result::is_ok), "{:?}", results.iter().find(|result| result.is_err()));
}

/// How many of those records a node has.
fn count_at(node: &Server, count: usize) -> usize {
    let lines: Vec<String> = (0..count).map(|number| format!("mg record/{number}")).collect();
    node.client(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        .lines()
        .filter(|line| *line == "HD")
        .count()
}

fn connections(node: &Server) -> usize {
    let answer = node.client(&["stats"]);
    let line = answer.lines().find(|line| line.starts_with("STAT curr_connections ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn assert_no_trouble(client: &Client) {
    while let Ok(told) = client.told.try_recv() {
        assert!(!matches!(told, Told::Error { .. }), "{told:?}");
    }
}

fn nodes_are_added_and_removed_without_a_restart() {
    let nodes = nodes(&[]);
    let [first, second, third] = &nodes;
    let endpoint = Server::start("elasticache", &[]);
    name(&endpoint, &[first, second]);
    let client = memcached(&endpoint, r#", "timeout": 30000"#);
    let idle = connections(third);
    fill(&client, 300, 1);
    let (at_first, at_second) = (count_at(first, 300), count_at(second, 300));
    assert!(at_first > 60 && at_second > 60 && at_first + at_second == 300, "{at_first} and {at_second}");

    name(&endpoint, &[first, second, third]);
    wait_until("the new node is found", || connections(third) > idle);
    fill(&client, 300, 2);
    assert!(count_at(third, 300) > 40, "the new node has its share");

    let connected = connections(second);
    name(&endpoint, &[first, third]);
    wait_until("the old node is left", || connections(second) < connected);
    second.ctl(&["kill"]);
    fill(&client, 300, 3);
    let results = client
        .many((0..300).map(|number| (format!("record/{number}").as_str().into(), Operation::Head)).collect());
    assert!(results.iter().all(|result| matches!(result, Ok(Reply::Version(Some(3))))));
    assert_no_trouble(&client);
}

fn operations_go_on_while_nodes_come_and_go() {
    let nodes = nodes(&[]);
    let [first, second, third] = &nodes;
    let endpoint = Server::start("elasticache", &[]);
    name(&endpoint, &[first]);
    let client = memcached(&endpoint, r#", "timeout": 30000"#);
    let (sender, receiver) = channel::<Result<(), Error>>();
    let mut sent = 0;
    for round in [&[first, second][..], &[second, third], &[third], &[first, second, third]] {
        name(&endpoint, round);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(400) {
            for number in 0..50 {
                let sender = sender.clone();
                let record = Record { version: sent, data: "{}".into() };
                let done = move |result| sender.send(result).unwrap();
                client.connector.set(&format!("record/{number}"), record, done).unwrap();
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    for number in 0..sent {
        let result = receiver.recv_timeout(PATIENCE);
        result.unwrap_or_else(|_| panic!("callback {number} of {sent} is missing")).unwrap();
    }
}

fn the_known_nodes_do_without_the_endpoint() {
    let nodes = nodes(&[]);
    let [first, second] = &nodes;
    let endpoint = Server::start("elasticache", &[]);
    name(&endpoint, &[first]);
    let client = memcached(&endpoint, "");
    fill(&client, 20, 1);
    endpoint.ctl(&["freeze"]);
    std::thread::sleep(Duration::from_millis(500));
    fill(&client, 20, 2);
    endpoint.ctl(&["kill"]);
    std::thread::sleep(Duration::from_millis(500));
    fill(&client, 20, 3);
    assert_no_trouble(&client);
    let idle = connections(second);
    endpoint.ctl(&["restart"]);
    name(&endpoint, &[first, second]);
    wait_until("it is asked again", || connections(second) > idle);
}

fn an_endpoint_that_is_absent_is_waited_for() {
    let nodes = nodes(&[]);
    let [node] = &nodes;
    let endpoint = Server::start("elasticache", &[]);
    name(&endpoint, &[node]);
    endpoint.ctl(&["kill"]);
    let client = memcached(&endpoint, r#", "timeout": 30000"#);
    let (sender, receiver) = channel();
    client.connector.get("a", move |result| sender.send(result).unwrap()).unwrap();
    assert!(receiver.recv_timeout(Duration::from_millis(300)).is_err());
    endpoint.ctl(&["restart"]);
    assert_eq!(receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap(), None);
}

fn a_node_that_is_replaced_is_given_up() {
    let nodes = nodes(&[]);
    let [first, second, third] = &nodes;
    let endpoint = Server::start("elasticache", &[]);
    name(&endpoint, &[first, second]);
    let client = memcached(&endpoint, r#", "timeout": 30000"#);
    fill(&client, 50, 1);
    assert!(matches!(client.event(), Told::Ready));
    second.ctl(&["kill"]);
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    name(&endpoint, &[first, third]);
    fill(&client, 50, 2);
    assert!(matches!(client.event(), Told::Ready));
    assert!(count_at(third, 50) > 0);
}

fn a_server_without_discovery_is_a_clear_error() {
    let server = Server::start("memcached", &[]);
    let error = memcached(&server, "").get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("\"configurationEndpoint\""), "{error}");
}

fn discovery_and_nodes_have_tls() {
    let nodes = nodes(&["tls"]);
    let [first, second] = &nodes;
    let endpoint = Server::start("elasticache", &["tls"]);
    // By their names, which the certificates hold.
    let places = [first, second].map(|node| format!("localhost:{}", node.port));
    endpoint.ctl(&["nodes", &places[0], &places[1]]);
    fill(&memcached(&endpoint, &ca()), 100, 1);
    let other = format!(r#", "tls": {{"ca": "{}"}}"#, certificates().join("other-ca.crt").display());
    let error = memcached(&endpoint, &other).get("a").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("tls.ca"), "{error}");
    let plain = memcached(&endpoint, r#", "timeout": 700"#).get("a").unwrap_err();
    assert_eq!(plain.code(), ErrorCode::Timeout, "without TLS there is no fallback: {plain}");
}

fn redis(server: &Server, endpoint: &str, options: &str) -> Client {
    let place = format!("localhost:{}", server.port);
    Client::open(&format!(r#"{{"type": "elasticache", "{endpoint}": "{place}"{options}}}"#)).unwrap()
}

fn redis_has_a_token_or_a_user_over_tls() {
    let ca = ca();
    for (variants, good, bad) in [
        (&["tls", "password=right"][..], r#""password": "right""#, r#""password": "hunter2""#),
        (
            &["tls", "acl"],
            r#""username": "connector", "password": "secret""#,
            r#""username": "connector", "password": "hunter2""#,
        ),
    ] {
        let server = Server::start("redis", variants);
        let client = redis(&server, "primaryEndpoint", &format!("{ca}, {good}"));
        client.set("a", 1, "{}").unwrap();
        assert_eq!(server.client(&["GET", "a_v"]), "1");
        let error = redis(&server, "primaryEndpoint", &format!("{ca}, {bad}")).get("a").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
        assert!(!error.message().contains("hunter2"), "{error}");
        // A password goes over TLS without being told to, and so to a certificate of nobody we know.
        let error = redis(&server, "primaryEndpoint", &format!(", {good}")).get("a").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains("tls.ca"), "{error}");
    }
}

fn cluster_mode_is_found_by_its_configuration_endpoint() {
    let host_names =
        ["--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname"];
    let variants = [&["tls", "password=secret", "--"][..], &host_names].concat();
    let server = Server::start("redis-cluster", &variants);
    let options = format!(r#", "engine": "valkey", "timeout": 60000, "password": "secret"{}"#, ca());
    let client = redis(&server, "configurationEndpoint", &options);
    fill(&client, 300, 1);
    server.ctl(&["kill-node", "0"]);
    fill(&client, 300, 2);
    assert_eq!(client.head("record/7").unwrap(), Some(2));
}

fn reads_go_to_the_reader_endpoint() {
    let primary = Server::start("redis", &["tls", "password=secret"]);
    let of = ["--replicaof", "127.0.0.1", &primary.port.to_string()];
    let variants = [&["tls", "password=secret", "--"][..], &of].concat();
    let reader = Server::start("redis", &variants);
    wait_until("the replica follows", || {
        reader.client(&["INFO", "replication"]).contains("master_link_status:up")
    });
    let replica = format!(r#", "readerEndpoint": "localhost:{}", "readFrom": "replica""#, reader.port);
    let client = redis(&primary, "primaryEndpoint", &format!(r#"{replica}, "password": "secret"{}"#, ca()));
    for version in 1..=20 {
        client.set("a", version, "{}").unwrap();
        assert_eq!(client.head("a").unwrap(), Some(version), "a read sees this connector's writes");
    }
    let reads = || {
        let answer = reader.client(&["INFO", "commandstats"]);
        answer.lines().filter(|line| line.starts_with("cmdstat_mget:")).count()
    };
    wait_until("the replica is read", || {
        client.get("a").unwrap();
        reads() > 0
    });
    reader.ctl(&["kill"]);
    for _ in 0..20 {
        assert_eq!(client.head("a").unwrap(), Some(20), "without a replica the primary is read");
    }
}
