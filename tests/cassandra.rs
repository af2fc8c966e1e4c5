//! What is special to Cassandra: the table as a person sees it, keyspaces, consistency, timestamps,
//! limits, logins, TLS, and a server that dies or hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::load::under_load;
use crate::support::{pool, wait_until, Client, Server, Told};
use deepstream_connector::core::{Error, ErrorCode, Operation, Record, Reply};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(a_person_can_query_the_table),
    test!(members_of_documents_are_in_columns_of_their_own),
    test!(a_keyspace_is_made_only_if_asked),
    test!(a_table_that_has_no_records_is_refused),
    test!(a_table_that_is_dropped_is_made_again),
    test!(a_ttl_is_the_servers),
    test!(what_a_fast_clock_wrote_is_topped_once_it_was_read),
    test!(connectors_in_turns_write_in_the_order_of_calls),
    test!(a_record_that_is_too_large_names_both_sizes),
    test!(a_key_that_is_too_long_for_a_partition_is_kept_beside_it),
    test!(what_is_no_record_is_corrupt_and_harms_nobody_else),
    test!(too_few_replicas_are_waited_for),
    test!(a_datacentre_that_is_not_there_names_those_that_are),
    test!(a_prefix_keeps_deployments_apart_in_one_table),
    test!(logins_are_refused_without_the_password_and_rights_are_named),
    test!(a_server_that_dies_is_waited_for_and_loses_nothing),
];

/// The server of all tests that do no harm to it, each in a keyspace of its own.
fn shared() -> Arc<Server> {
    pool::shared("cassandra", &[])
}

fn open(server: &Server, keyspace: &str, options: &str) -> Client {
    let configuration = format!(
        r#"{{"type": "cassandra", "port": {}, "keyspace": "{keyspace}", "replication": 1,
            "connectTimeout": 30000{options}}}"#,
        server.port
    );
    Client::open(&configuration).unwrap()
}

/// What the first operation says.
fn first_error(client: &Client) -> Error {
    client.get("anything").unwrap_err()
}

fn set(key: &str) -> (deepstream_connector::core::Key, Operation) {
    (key.into(), Operation::Set(Record { version: 1, data: "{}".into() }))
}

fn wait_for_index(server: &Server, keyspace: &str, index: &str) {
    let question = format!(
        "SELECT is_queryable FROM system_views.sai_column_indexes WHERE keyspace_name = '{keyspace}' AND index_name = '{index}'"
    );
    wait_until("the index is built", || server.client(&[&question]) == "true");
}

fn a_person_can_query_the_table() {
    let server = &*shared();
    let client = open(server, "person", "");
    client.set("users/1", 7, r#"{"name":"Ada"}"#).unwrap();
    client.set("users/2", 1, r#"{"name":"Grace"}"#).unwrap();
    client.set("settings", 3, "[1,2]").unwrap();
    let ask = |question: &str| server.client(&[question]);
    assert_eq!(
        ask("SELECT version, data FROM person.records WHERE collection = 'users' AND id = '1'"),
        "7\t{\"name\":\"Ada\"}"
    );
    assert_eq!(ask("SELECT version FROM person.records WHERE collection = '' AND id = 'settings'"), "3");
    ask("CREATE INDEX by_collection ON person.records (collection) USING 'sai'");
    wait_for_index(server, "person", "by_collection");
    assert_eq!(ask("SELECT id FROM person.records WHERE collection = 'users'").lines().count(), 2);
    ask("INSERT INTO person.records (collection, id, version, data) VALUES ('users', '3', 5, '{ \"by\": \"hand\" }')");
    assert_eq!(client.get("users/3").unwrap(), Some((5, r#"{ "by": "hand" }"#.into())));
    assert_eq!(client.head("users/3").unwrap(), Some(5));
    client.delete("users/3").unwrap();
    assert_eq!(ask("SELECT COUNT(*) FROM person.records"), "3");
}

fn members_of_documents_are_in_columns_of_their_own() {
    let server = &*shared();
    let with = || open(server, "columns", r#", "columns": "name, Age,ok""#);
    let error = first_error(&with());
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    let (_, remedy) = error.message().split_once("you want: ").unwrap();
    server.client(&[
        remedy,
        "ALTER TABLE columns.records ADD \"Age\" bigint",
        "ALTER TABLE columns.records ADD ok boolean",
        "CREATE INDEX by_age ON columns.records (\"Age\") USING 'sai'",
    ]);
    let client = with();
    let ada = r#"{"name":"Ada","Age":36,"ok":true,"more":{"name":"x"}}"#;
    client.set("users/1", 1, ada).unwrap();
    client.set("users/2", 1, r#"{"name":["Grace"],"Age":"old"}"#).unwrap();
    assert_eq!(client.get("users/1").unwrap(), Some((1, ada.into())));
    let ask = |question: &str| server.client(&[question]);
    let columns = "SELECT name, \"Age\", ok FROM columns.records WHERE collection = 'users' AND id";
    assert_eq!(ask(&format!("{columns} = '1'")), "Ada\t36\ttrue");
    assert_eq!(ask(&format!("{columns} = '2'")), "\t\t");
    wait_for_index(server, "columns", "by_age");
    assert_eq!(ask("SELECT id FROM columns.records WHERE \"Age\" > 30"), "1");
    // Nothing stays behind of what a document has no more.
    client.set("users/1", 2, r#"{"name":"Ada"}"#).unwrap();
    assert_eq!(ask(&format!("{columns} = '1'")), "Ada\t\t");
    let long = format!("long/{}", "k".repeat(65_530));
    client.set(&long, 3, r#"{"Age":7}"#).unwrap();
    assert_eq!(client.get(&long).unwrap(), Some((3, r#"{"Age":7}"#.into())));
    ask("ALTER TABLE columns.records ADD bytes blob");
    let error = first_error(&open(server, "columns", r#", "columns": "bytes""#));
    assert!(error.message().contains("bigint"), "{error}");
}

fn a_keyspace_is_made_only_if_asked() {
    let server = &*shared();
    let bare = |options: &str| {
        Client::open(&format!(
            r#"{{"type": "cassandra", "port": {}, "keyspace": "asked"{options}}}"#,
            server.port
        ))
        .unwrap()
    };
    let refused = bare("");
    let error = first_error(&refused);
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("\"asked\"") && error.message().contains("\"replication\""), "{error}");
    assert!(matches!(refused.event(), Told::Error { fatal: true, .. }));

    bare(r#", "replication": "datacenter1:1", "table": "other""#).set("a", 1, "{}").unwrap();
    let kept = server
        .client(&["SELECT JSON replication FROM system_schema.keyspaces WHERE keyspace_name = 'asked'"]);
    assert!(kept.contains("NetworkTopologyStrategy") && kept.contains(r#""datacenter1": "1""#), "{kept}");
    // Once it is there, nobody needs to say how it was made.
    bare("").set("a", 1, "{}").unwrap();
}

fn a_table_that_has_no_records_is_refused() {
    let server = &*shared();
    open(server, "tables", "").set("a", 1, "{}").unwrap();
    for columns in [
        "a text PRIMARY KEY",
        "collection text, id text, key text, version int, data text, PRIMARY KEY ((collection, id))",
        "collection text, id text, key text, version bigint, data text, PRIMARY KEY (collection, id)",
    ] {
        server.client(&[
            "DROP TABLE IF EXISTS tables.theirs",
            &format!("CREATE TABLE tables.theirs ({columns})"),
        ]);
        let error = first_error(&open(server, "tables", r#", "table": "theirs""#));
        assert_eq!(error.code(), ErrorCode::Configuration, "{columns}: {error}");
        assert!(error.message().contains("\"theirs\"") && error.message().contains("\"table\""), "{error}");
    }
}

fn a_table_that_is_dropped_is_made_again() {
    let server = &*shared();
    let client = open(server, "dropped", "");
    client.set("a", 1, "{}").unwrap();
    server.client(&["DROP TABLE dropped.records"]);
    client.set("a", 2, "{}").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((2, "{}".into())));
}

fn a_ttl_is_the_servers() {
    let server = &*shared();
    let client = open(server, "lives", r#", "ttl": 1000"#);
    client.set("a/1", 1, "{}").unwrap();
    let ttl = server.client(&["SELECT TTL(version), TTL(data) FROM lives.records"]);
    let (version, data) = ttl.split_once('\t').unwrap();
    assert_eq!(version, data);
    assert!((900..=1000).contains(&version.parse::<i64>().unwrap()), "{ttl}");

    let brief = open(server, "lives", r#", "ttl": 1"#);
    brief.set("b", 1, "{}").unwrap();
    wait_until("the record is gone", || brief.get("b").unwrap().is_none());
    open(server, "lives", "").set("c", 1, "{}").unwrap();
    assert_eq!(
        server.client(&["SELECT TTL(version) FROM lives.records WHERE collection = '' AND id = 'c'"]),
        ""
    );
}

fn what_a_fast_clock_wrote_is_topped_once_it_was_read() {
    let server = &*shared();
    let client = open(server, "clocks", "");
    client.set("other", 1, "{}").unwrap();
    let ahead = now() + 20_000_000;
    for (key, number) in [("a", 0), ("b", 1), ("c", 2)] {
        server.client(&[&format!(
            "INSERT INTO clocks.records (collection, id, version, data) VALUES ('', '{key}', 9, '{{}}') USING TIMESTAMP {}",
            ahead + number * 1_000_000
        )]);
    }
    assert_eq!(client.get("a").unwrap(), Some((9, "{}".into())));
    client.set("a", 10, "[1]").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((10, "[1]".into())));
    assert_eq!(client.head("b").unwrap(), Some(9));
    client.delete("b").unwrap();
    assert_eq!(client.get("b").unwrap(), None);
    assert_eq!(client.get("c").unwrap(), Some((9, "{}".into())));
    open(server, "clocks", "").set("c", 0, "[2]").unwrap();
    assert_eq!(client.get("c").unwrap(), Some((0, "[2]".into())), "one clock for all connectors");
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap()
}

fn connectors_in_turns_write_in_the_order_of_calls() {
    let server = &*shared();
    let clients = [open(server, "turns", ""), open(server, "turns", "")];
    for version in 0..100 {
        let writer = &clients[usize::from(version % 2 == 1)];
        writer.set("a", version, "{}").unwrap();
        if version % 10 == 9 {
            clients[0].delete("a").unwrap();
            assert_eq!(clients[1].get("a").unwrap(), None, "after version {version}");
        } else {
            assert_eq!(clients[0].head("a").unwrap(), Some(version));
        }
    }
}

fn a_record_that_is_too_large_names_both_sizes() {
    let server = &*shared();
    let client = open(server, "sizes", "");
    let data = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let largest = (16 << 20) - (4 << 10) - "big".len();
    client.set("big", 1, &data(largest)).unwrap();
    assert_eq!(client.get("big").unwrap().map(|(_, data)| data.len()), Some(largest));
    let error = client.set("big", 2, &data(largest + 1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge, "{error}");
    let (given, possible) = ((largest + 4).to_string(), (largest + 3).to_string());
    assert!(error.message().contains(&given) && error.message().contains(&possible), "{error}");
    assert_eq!(client.head("big").unwrap(), Some(1));
}

fn a_key_that_is_too_long_for_a_partition_is_kept_beside_it() {
    let server = &*shared();
    let client = open(server, "keys", "");
    let long = format!("users/{}", "k".repeat(65_530));
    client.set(&long, 4, "[]").unwrap();
    client.set("users/1", 5, "[]").unwrap();
    assert_eq!(client.get(&long).unwrap(), Some((4, "[]".into())));
    assert_eq!(
        server.client(&["SELECT key, version FROM keys.records WHERE collection = '/' AND id = 'x'"]),
        ""
    );
    let stored = server.client(&["SELECT collection, version, key FROM keys.records"]);
    assert!(stored.contains(&format!("/\t4\t{long}")) && stored.contains("users\t5\t"), "{}", stored.len());
    client.delete(&long).unwrap();
    assert_eq!(client.get(&long).unwrap(), None);
}

fn what_is_no_record_is_corrupt_and_harms_nobody_else() {
    let server = &*shared();
    let client = open(server, "corrupt", "");
    client.set("good", 1, "{}").unwrap();
    server.client(&[
        "INSERT INTO corrupt.records (collection, id, version) VALUES ('', 'dataless', 1)",
        "INSERT INTO corrupt.records (collection, id, data) VALUES ('', 'versionless', '{}')",
        "INSERT INTO corrupt.records (collection, id, version, data) VALUES ('', 'broken', 1, '{')",
    ]);
    let keys = ["dataless", "good", "versionless", "broken"];
    let results = client.many(keys.iter().map(|key| ((*key).into(), Operation::Get)).collect());
    for (key, result) in keys.iter().zip(results) {
        match result {
            Ok(Reply::Record(Some(record))) => assert_eq!((*key, record.version), ("good", 1)),
            other => assert_eq!(other.unwrap_err().code(), ErrorCode::Corrupt, "{key}"),
        }
    }
    let listed = client.list(10);
    assert_eq!(listed.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["good"]);
    for key in ["dataless", "versionless", "broken"] {
        let is_named =
            |told: Told| matches!(told, Told::Log(line) if line.contains(&format!("left out \"{key}\"")));
        while !is_named(client.told.recv_timeout(crate::support::PATIENCE).expect(key)) {}
        // In whatever order.
        client.list(10);
    }
    client.set("broken", 2, "[]").unwrap();
    assert_eq!(client.get("broken").unwrap(), Some((2, "[]".into())));
}

fn too_few_replicas_are_waited_for() {
    let server = &*shared();
    // One node cannot be two of three replicas, and Cassandra itself says so.
    let three = open(server, "three", r#", "timeout": 1500"#);
    three.set("a", 1, "{}").unwrap();
    alter_replication(server, 3);
    let error = wait_for_error(&three);
    assert_eq!(error.code(), ErrorCode::Timeout, "{error}");
    assert!(error.message().contains("1 of the 2 replicas"), "{error}");
    let patient = open(server, "three", r#", "timeout": 30000"#);
    let (sender, receiver) = std::sync::mpsc::channel();
    let record = Record { version: 2, data: "{}".into() };
    patient.connector.set("a", record, move |result| sender.send(result).unwrap()).unwrap();
    assert!(receiver.recv_timeout(Duration::from_millis(700)).is_err(), "there was nobody to answer");
    // Whoever is content with less is served meanwhile.
    let content = open(server, "three", r#", "consistency": "ONE""#);
    content.set("b", 1, "{}").unwrap();
    assert_eq!(content.get("b").unwrap(), Some((1, "{}".into())));
    alter_replication(server, 1);
    receiver.recv_timeout(crate::support::PATIENCE).expect("a callback is missing").unwrap();
    assert_eq!(patient.head("a").unwrap(), Some(2));
}

fn alter_replication(server: &Server, replicas: u32) {
    server.client(&[&format!(
        "ALTER KEYSPACE three WITH replication = {{'class': 'NetworkTopologyStrategy', 'datacenter1': {replicas}}}"
    )]);
}

/// The change of a keyspace reaches requests a little later.
fn wait_for_error(client: &Client) -> Error {
    let begin = Instant::now();
    loop {
        match client.set("a", 1, "{}") {
            Err(error) => return error,
            Ok(()) => assert!(begin.elapsed() < crate::support::PATIENCE, "nothing failed"),
        }
    }
}

fn a_datacentre_that_is_not_there_names_those_that_are() {
    let server = &*shared();
    let error = first_error(&open(server, "centres", r#", "localDataCenter": "moon""#));
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("\"moon\"") && error.message().contains("datacenter1"), "{error}");
    open(server, "centres", r#", "localDataCenter": "datacenter1""#).set("a", 1, "{}").unwrap();
}

fn a_prefix_keeps_deployments_apart_in_one_table() {
    let server = &*shared();
    let (one, other) = (open(server, "parts", r#", "keyPrefix": "one-""#), open(server, "parts", ""));
    one.set("users/1", 1, "{}").unwrap();
    other.set("users/1", 2, "{}").unwrap();
    assert_eq!((one.head("users/1").unwrap(), other.head("users/1").unwrap()), (Some(1), Some(2)));
    assert_eq!(
        server.client(&["SELECT id FROM parts.records WHERE collection = 'one-users' AND id = '1'"]),
        "1"
    );
}

fn logins_are_refused_without_the_password_and_rights_are_named() {
    let server = Server::start("cassandra", &["password"]);
    for login in [
        r#", "username": "cassandra", "password": "hunter2""#,
        r#", "username": "nobody", "password": "hunter2""#,
        "",
    ] {
        let client = open(&server, "logins", login);
        let error = first_error(&client);
        assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
        assert!(error.message().contains("\"password\"") && !error.message().contains("hunter2"), "{error}");
        assert!(matches!(client.event(), Told::Error { fatal: true, .. }));
    }
    let admin =
        open(&server, "logins", r#", "credentials": {"username": "cassandra", "password": "cassandra"}"#);
    admin.set("a", 1, "{}").unwrap();
    server.client(&[
        "CREATE ROLE reader WITH PASSWORD = 'secret' AND LOGIN = true",
        "GRANT SELECT ON KEYSPACE logins TO reader",
    ]);
    let login = r#", "username": "reader", "password": "secret""#;
    let reader = open(&server, "logins", login);
    let results = reader.many(vec![set("b"), ("a".into(), Operation::Get)]);
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend, "{error}");
    assert!(error.message().contains("MODIFY") && error.message().contains("\"user\""), "{error}");
    assert!(results[1].is_ok(), "{results:?}");
    server.client(&["GRANT MODIFY ON KEYSPACE logins TO reader"]);
    reader.set("b", 1, "{}").unwrap();
    let error = first_error(&open(&server, "logins", &format!(r#"{login}, "table": "more""#)));
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("CREATE"), "{error}");
}

fn a_server_that_dies_is_waited_for_and_loses_nothing() {
    let server = Server::start("cassandra", &["durable"]);
    let client = open(&server, "dies", r#", "timeout": 90000"#);
    under_load(&client, || {
        server.ctl(&["kill"]);
        server.ctl(&["restart"]);
    });
    assert!(matches!(client.event(), Told::Ready));
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    assert!(matches!(client.event(), Told::Ready));

    // A node that hangs answers nobody; that is noticed although nobody asks it anything.
    server.ctl(&["freeze"]);
    let began = Instant::now();
    let Told::Error { error, fatal: false } = client.event() else { panic!("no outage was told") };
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    assert!(began.elapsed() > Duration::from_secs(1), "a server may be silent for a while");
    server.ctl(&["thaw"]);
    client.set("a", 2, "{}").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(2));
}

#[cfg(feature = "cassandra-tls")]
pub mod tls {
    use super::*;
    use crate::support::certificates;

    /// Every test.
    pub const TESTS: &[Test] = &[
        test!(tls_wants_the_right_authority_and_the_right_name),
        test!(bad_certificates_are_refused),
        test!(a_client_certificate_is_shown_where_it_is_asked_for),
    ];

    fn path(name: &str) -> String {
        certificates().join(name).display().to_string()
    }

    fn refused(server: &Server, options: &str, word: &str) {
        let error = first_error(&open(server, "tls", options));
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains(word), "{error}");
    }

    fn tls_wants_the_right_authority_and_the_right_name() {
        let server = Server::start("cassandra", &["tls"]);
        let (ca, other_ca) = (path("ca.crt"), path("other-ca.crt"));
        // The certificate holds the address.
        let client = open(&server, "tls", &format!(r#", "tls": {{"ca": "{ca}"}}"#));
        client.set("a", 1, "{}").unwrap();
        let by_name = format!(r#", "sslOptions": {{"ca": "{ca}", "servername": "localhost"}}"#);
        assert_eq!(open(&server, "tls", &by_name).head("a").unwrap(), Some(1));
        refused(&server, &format!(r#", "tls": {{"ca": "{other_ca}"}}"#), "tls.ca");
        refused(
            &server,
            &format!(r#", "tls": {{"ca": "{ca}", "serverName": "example.org"}}"#),
            "tls.serverName",
        );
        let anyone = open(&server, "tls", r#", "tls": {"rejectUnauthorized": false}"#);
        assert_eq!(anyone.head("a").unwrap(), Some(1));
        // Without TLS there is no fallback and no answer.
        let plain = open(&server, "tls", r#", "timeout": 800"#);
        assert_eq!(first_error(&plain).code(), ErrorCode::Timeout);
    }

    fn bad_certificates_are_refused() {
        let ca = path("ca.crt");
        let server = Server::start("cassandra", &["tls", "tls-certificate=wrong-host"]);
        refused(&server, &format!(r#", "tls": {{"ca": "{ca}"}}"#), "not to be trusted");
        let by_name = format!(r#", "tls": {{"ca": "{ca}", "serverName": "elsewhere.example"}}"#);
        open(&server, "tls", &by_name).set("a", 1, "{}").unwrap();
    }

    fn a_client_certificate_is_shown_where_it_is_asked_for() {
        let server = Server::start("cassandra", &["tls-client-auth"]);
        let (ca, cert, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
        let with = format!(r#", "tls": {{"ca": "{ca}", "cert": "{cert}", "key": "{key}"}}"#);
        open(&server, "tls", &with).set("a", 1, "{}").unwrap();
        let without = open(&server, "tls", &format!(r#", "timeout": 2000, "tls": {{"ca": "{ca}"}}"#));
        let error = first_error(&without);
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains("client certificate"), "{error}");
    }
}
