//! What servers, clusters and proxies answer that are not to be had here, from a stand-in for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use deepstream_connector::core::{ErrorCode, Operation, Record};

use crate::mysql::stand_in::{Manner, StandIn, LONG_PROOF};
use crate::support::{Client, Told};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(errors_that_pass_are_waited_out),
    test!(an_error_that_nobody_knows_is_shown_by_its_number),
    test!(proxies_and_tidb_are_connected_to),
    test!(the_version_is_that_of_who_carries_statements_out),
    test!(fewer_connections_than_there_may_be_are_told_and_do),
    test!(a_password_is_shown_as_it_is_to_nobody_on_the_network),
];

fn open(place: &str) -> Client {
    Client::open(&format!(
        r#"{{"type": "mysql", "user": "u", "password": "hunter2", "database": "d", {place}}}"#
    ))
    .unwrap()
}

fn at(port: u16) -> Client {
    open(&format!(r#""port": {port}"#))
}

/// Refuses the first so many statements that write.
fn refusing(code: u16, times: usize) -> Manner {
    let left = AtomicUsize::new(times);
    let refuse = move |statement: &str| {
        let is_write = statement.starts_with("INSERT");
        let is_left =
            || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        (is_write && is_left()).then_some(code)
    };
    Manner { refuse: Arc::new(refuse), ..Manner::default() }
}

fn errors_that_pass_are_waited_out() {
    // Of Galera, of group replication, of memory for locks, of NDB, of TiDB; a lock; a server that
    // is read-only, and one that is not available.
    for (code, is_outage) in [
        (1180, false),
        (3101, false),
        (1206, false),
        (1297, false),
        (9007, false),
        (1205, false),
        (1290, true),
        (1836, true),
        (1047, true),
        (3168, true),
    ] {
        let server = StandIn::start(refusing(code, 3));
        let client = at(server.port);
        client.set("users/1", 1, "{}").unwrap();
        let tried = server.statements().iter().filter(|statement| statement.starts_with("INSERT")).count();
        assert_eq!(tried, 4, "{code}");
        let errors = client.told.try_iter().filter(|told| matches!(told, Told::Error { .. })).count();
        assert_eq!(errors, usize::from(is_outage), "{code}");
    }
}

fn an_error_that_nobody_knows_is_shown_by_its_number() {
    let server = StandIn::start(refusing(1234, usize::MAX));
    let error = at(server.port).set("users/1", 1, "{}").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend);
    assert!(error.message().contains("error 1234"), "{error}");
    for word in ["secret", "column", "table", "trigger"] {
        assert!(!error.message().contains(word), "{error}");
    }
}

fn proxies_and_tidb_are_connected_to() {
    for (version, without, word) in [
        ("8.0.36", LONG_PROOF, "`new row`"),
        ("8.0.11-TiDB-v7.5.1", LONG_PROOF, "VALUES(id)"),
        ("8.0.11-TiDB-v7.5.1", 0, "VALUES(id)"),
    ] {
        let server = StandIn::start(Manner { version, without, ..Manner::default() });
        let client = at(server.port);
        client.set("users/1", 1, "{}").unwrap();
        assert_eq!(client.get("users/1").unwrap(), None);
        let statements = server.statements();
        assert!(statements.iter().any(|statement| statement.contains(word)), "{version}: {statements:?}");
        assert_eq!(statements[0], "SET NAMES utf8mb4");
    }
}

fn the_version_is_that_of_who_carries_statements_out() {
    let server = StandIn::start(Manner { version: "8.0.11", ..Manner::default() });
    let error = at(server.port).get("users/1").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert!(error.message().contains("MySQL 8.0.11; MySQL 8.0.19 is the oldest"), "{error}");
}

fn fewer_connections_than_there_may_be_are_told_and_do() {
    let server = StandIn::start(Manner { most: 1, ..Manner::default() });
    let client = at(server.port);
    for version in 0..3 {
        let set = Operation::Set(Record { version, data: "{}".into() });
        let both = vec![("users/1".into(), set), ("users/2".into(), Operation::Get)];
        assert!(client.many(both).iter().all(Result::is_ok));
    }
    let words = "no further connection: the server has too many connections";
    let told = client.told.try_iter().filter(|told| matches!(told, Told::Log(line) if line.contains(words)));
    assert_eq!(told.count(), 1);
}

fn a_password_is_shown_as_it_is_to_nobody_on_the_network() {
    let manner = Manner { method: "mysql_clear_password", ..Manner::default() };
    let server = StandIn::start(manner.clone());
    let error = at(server.port).get("users/1").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Authentication);
    assert!(error.message().contains("turn \"tls\" on") && !error.message().contains("hunter2"), "{error}");
    assert!(server.answers().is_empty());
    // Nothing leaves the machine here.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = StandIn::start_at(&path, manner);
    let client = open(&format!(r#""socketPath": "{}""#, path.display()));
    assert_eq!(client.get("users/1").unwrap(), None);
    assert_eq!(server.answers(), [b"hunter2\0"]);
}
