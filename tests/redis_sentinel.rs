//! Redis Sentinel: primaries that change, sentinels that are away, logins and TLS at both.

use crate::support::load::under_load;
use crate::support::{certificates, wait_until, Client, Server, Told};
use deepstream_connector::core::{Error, ErrorCode};

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(the_primary_dies_under_load).class(Class::Works),
    test!(the_primary_freezes_under_load_and_is_not_written_to_when_it_thaws).class(Class::Works),
    test!(a_replica_takes_over_by_command_under_load).class(Class::Works),
    test!(a_switch_is_followed_without_any_write),
    test!(one_sentinel_that_answers_is_enough),
    test!(a_name_that_the_sentinels_do_not_know_is_an_error),
    test!(sentinels_and_servers_have_logins_of_their_own),
    test!(sentinels_and_servers_want_tls),
    test!(options_that_contradict_each_other_are_refused),
];

/// Long enough for a failover on a busy machine, and no acknowledged write may be lost in it.
const SAFE: &str = r#", "timeout": 60000, "waitReplicas": 1"#;

fn configuration(server: &Server, options: &str) -> String {
    let sentinels = ["0", "1", "2"].map(|node| format!("\"127.0.0.1:{}\"", server.ctl(&["port", node])));
    format!(r#"{{"type": "redis", "sentinels": [{}], "name": "records"{options}}}"#, sentinels.join(", "))
}

fn open(server: &Server, options: &str) -> Client {
    Client::open(&configuration(server, options)).unwrap()
}

fn wait_for_another_primary(server: &Server, former: &str) {
    wait_until("there is another primary", || {
        let primary = server.ctl(&["primary"]);
        primary != former && server.role(&primary).starts_with("master")
    });
}

fn assert_told_once(client: &Client) {
    assert!(matches!(client.event(), Told::Ready));
    let Told::Error { error, fatal: false } = client.event() else { panic!("no outage was told") };
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    assert!(matches!(client.event(), Told::Ready));
    while let Ok(told) = client.told.try_recv() {
        assert!(matches!(told, Told::Log(..)), "one outage was told again: {told:?}");
    }
}

fn the_primary_dies_under_load() {
    let server = Server::start("redis-sentinel", &[]);
    let client = open(&server, SAFE);
    under_load(&client, || {
        let primary = server.ctl(&["primary"]);
        server.ctl(&["kill-node", &primary]);
        wait_for_another_primary(&server, &primary);
        server.ctl(&["start-node", &primary]);
        wait_until("the former primary is a replica", || server.role(&primary).starts_with("slave"));
    });
    assert_told_once(&client);
}

fn the_primary_freezes_under_load_and_is_not_written_to_when_it_thaws() {
    let server = Server::start("redis-sentinel", &[]);
    let client = open(&server, r#", "timeout": 60000, "waitReplicas": 1, "connectTimeout": 2000"#);
    under_load(&client, || {
        let primary = server.ctl(&["primary"]);
        server.ctl(&["freeze-node", &primary]);
        wait_for_another_primary(&server, &primary);
        server.ctl(&["thaw-node", &primary]);
        wait_until("the former primary is a replica", || server.role(&primary).starts_with("slave"));
    });
    assert_told_once(&client);
}

fn a_replica_takes_over_by_command_under_load() {
    let server = Server::start("redis-sentinel", &[]);
    let client = open(&server, SAFE);
    under_load(&client, || {
        let primary = server.ctl(&["primary"]);
        assert_eq!(server.ctl(&["node", "1", "SENTINEL", "FAILOVER", "records"]), "OK");
        wait_for_another_primary(&server, &primary);
    });
    assert_told_once(&client);
}

/// As long as nothing is written the former primary does not refuse us: the sentinels' word ends
/// the connection.
fn a_switch_is_followed_without_any_write() {
    let server = Server::start("redis-sentinel", &[]);
    let client = open(&server, "");
    client.set("a", 1, "{}").unwrap();
    let primary = server.ctl(&["primary"]);
    server.ctl(&["node", "0", "SENTINEL", "FAILOVER", "records"]);
    wait_for_another_primary(&server, &primary);
    assert!(matches!(client.event(), Told::Ready));
    let Told::Error { error, .. } = client.event() else { panic!("no switch was told") };
    assert!(error.message().contains("the sentinels replace the primary"), "{error}");
    assert!(matches!(client.event(), Told::Ready));
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
}

fn one_sentinel_that_answers_is_enough() {
    let server = Server::start("redis-sentinel", &[]);
    server.ctl(&["kill-node", "0"]);
    server.ctl(&["freeze-node", "1"]);
    let client = open(&server, "");
    client.set("a", 1, "{}").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
    server.ctl(&["thaw-node", "1"]);
}

fn error_of(client: &Client) -> Error {
    client.get("anything").unwrap_err()
}

fn a_name_that_the_sentinels_do_not_know_is_an_error() {
    let server = Server::start("redis-sentinel", &[]);
    let text = configuration(&server, "").replace("records", "nobody");
    let error = error_of(&Client::open(&text).unwrap());
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("\"name\""), "{error}");
}

fn sentinels_and_servers_have_logins_of_their_own() {
    let server = Server::start("redis-sentinel", &["acl"]);
    let login = |watcher: &str, user: &str| {
        format!(
            r#", "sentinelUsername": "watcher", "sentinelPassword": "{watcher}", "username": "connector", "password": "{user}""#
        )
    };
    let client = open(&server, &login("secret", "secret"));
    client.set("a", 1, "{}").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
    for (options, word) in
        [(login("hunter2", "secret"), "\"sentinelPassword\""), (login("secret", "hunter2"), "\"password\"")]
    {
        let error = error_of(&open(&server, &options));
        assert_eq!(error.code(), ErrorCode::Authentication, "{error}");
        assert!(error.message().contains(word) && !error.message().contains("hunter2"), "{error}");
    }
}

fn sentinels_and_servers_want_tls() {
    let server = Server::start("redis-sentinel", &["tls-client-auth"]);
    let folder = certificates();
    let path = |name: &str| folder.join(name).display().to_string();
    let tls = |ca: &str| {
        format!(
            r#"{{"ca": "{}", "cert": "{}", "key": "{}"}}"#,
            path(ca),
            path("client.crt"),
            path("client.key")
        )
    };
    let client = open(&server, &format!(r#", "tls": {}"#, tls("ca.crt")));
    client.set("a", 1, "{}").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
    for (servers, sentinels) in [("other-ca.crt", "ca.crt"), ("ca.crt", "other-ca.crt")] {
        let options = format!(r#", "tls": {}, "sentinelTLS": {}"#, tls(servers), tls(sentinels));
        let error = error_of(&open(&server, &options));
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains("tls.ca"), "{error}");
    }
    let without = format!(r#", "timeout": 5000, "tls": {{"ca": "{}"}}"#, path("ca.crt"));
    let error = error_of(&open(&server, &without));
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("client certificate"), "{error}");
    let half = open(&server, &format!(r#", "timeout": 700, "tls": {}, "sentinelTLS": false"#, tls("ca.crt")));
    assert_eq!(error_of(&half).code(), ErrorCode::Timeout, "there is no fallback to plain, nor from it");
}

fn options_that_contradict_each_other_are_refused() {
    let refusal = |options: &str| {
        let text = format!(r#"{{"type": "redis", {options}}}"#);
        Client::open(&text).err().unwrap_or_else(|| panic!("{text} was taken")).message().to_owned()
    };
    assert!(refusal(r#""sentinels": "a""#).contains("\"name\""));
    assert!(refusal(r#""sentinels": "a", "name": "m", "host": "b""#).contains("\"host\""));
    assert!(refusal(r#""sentinels": "a", "name": "m", "nodes": "b""#).contains("exclude each other"));
    assert!(refusal(r#""sentinels": {"a:1": 2}, "name": "m""#).contains("weights"));
    assert!(refusal(r#""sentinels": [], "name": "m""#).contains("\"sentinels\""));
    assert!(refusal(r#""name": "m""#).contains("\"sentinels\""));
    assert!(refusal(r#""redisOptions": {}"#).contains("\"nodes\""));
    assert!(refusal(r#""nodes": "a", "sentinelPassword": "hunter2""#).contains("\"sentinels\""));
    assert!(refusal(r#""sentinel": "a""#).contains("did you mean \"sentinels\"?"));
}
