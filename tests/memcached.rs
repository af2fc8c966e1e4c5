//! What is special to memcached: the layout, logins, TLS, and one of several servers that goes.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::load::under_load;
use crate::support::network;
use crate::support::part::Part;
use crate::support::{certificates, wait_until, Client, Server, Told, PATIENCE};
use deepstream_connector::core::{ErrorCode, Key, Operation, Record, Reply};

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(layout_v2_is_that_of_the_official_connector),
    test!(layout_v1_is_that_of_the_classic_connector),
    test!(what_is_no_record_is_corrupt_and_harms_nobody_else),
    test!(names_that_are_no_keys_are_escaped_or_digested),
    test!(a_lifetime_may_be_longer_than_thirty_days),
    test!(an_item_over_the_limit_names_both_sizes_and_harms_nobody_else),
    test!(a_wrong_login_is_a_clear_error_without_the_password),
    test!(a_password_is_not_told_to_a_server_that_asks_for_none),
    test!(half_a_login_is_refused_when_the_connector_is_made),
    test!(tls_wants_the_right_authority_and_the_right_name),
    test!(a_client_certificate_is_shown_where_it_is_asked_for),
    test!(a_crash_is_one_outage_and_takes_the_records),
    test!(idle_connections_that_the_server_closes_are_no_outage),
    test!(pings_keep_idle_connections_open),
    test!(a_write_that_the_network_lost_does_not_come_after_a_later_one),
    test!(the_keys_of_a_dead_server_wait_while_the_others_go_on),
    test!(a_dead_server_of_two_costs_its_own_keys_alone).class(Class::Works),
    test!(with_failover_the_keys_of_a_dead_server_move_and_come_back),
    test!(one_server_that_hangs_does_not_hold_up_the_others),
    test!(one_server_that_talks_nonsense_does_not_spoil_the_others),
    test!(a_slow_transfer_is_progress),
    test!(servers_that_go_and_come_back_under_load_lose_nothing).class(Class::Works),
];

fn open_at(servers: &[&Server], options: &str) -> Client {
    let places: Vec<String> = servers.iter().map(|server| format!("\"127.0.0.1:{}\"", server.port)).collect();
    let places = places.join(", ");
    Client::open(&format!(r#"{{"type": "memcached", "serverLocation": [{places}]{options}}}"#)).unwrap()
}

fn open(server: &Server, options: &str) -> Client {
    open_at(&[server], options)
}

/// Whatever a connector says about itself until its first operation is answered.
fn first_error(client: &Client) -> deepstream_connector::core::Error {
    client.get("anything").unwrap_err()
}

fn record(version: i64) -> Record {
    Record { version, data: format!("[{version}]").into() }
}

/// One name at each of some servers, with a namespace where the options have it.
fn names_at(servers: &[&Server], options: &str) -> Vec<String> {
    let client = open_at(servers, options);
    let prefix = if options.contains("namespace") { "2" } else { "" };
    let names: Vec<String> = (0..200).map(|number| format!("name{number}")).collect();
    let sets = names.iter().map(|name| (name.as_str().into(), Operation::Set(record(0)))).collect();
    assert!(client.many(sets).iter().all(Result::is_ok));
    let is_at = |server: &Server, name: &String| server.client(&[&format!("mg {prefix}{name}")]) == "HD";
    servers.iter().map(|server| names.iter().find(|name| is_at(server, name)).unwrap().clone()).collect()
}

fn layout_v2_is_that_of_the_official_connector() {
    let server = Server::start("memcached", &[]);
    let client = open(&server, r#", "memcachedOptions": {"namespace": "app:"}"#);
    client.set("user/1", 7, r#"{"name":"Ada"}"#).unwrap();
    assert_eq!(
        server.client(&["get app:user/1"]),
        "VALUE app:user/1 2 35\n{\"version\":7,\"data\":{\"name\":\"Ada\"}}\nEND"
    );
    server.client(&["set app:theirs 2 0 26", r#"{"version":3,"data":[1,2]}"#]);
    assert_eq!(client.get("theirs").unwrap(), Some((3, "[1,2]".into())));
    assert_eq!(client.head("theirs").unwrap(), Some(3));
    client.delete("theirs").unwrap();
    assert_eq!(server.client(&["get app:theirs"]), "END");
}

fn layout_v1_is_that_of_the_classic_connector() {
    let server = Server::start("memcached", &[]);
    let client = open(&server, r#", "layout": "V1""#);
    client.set("user/1", 7, r#"{"name":"Ada"}"#).unwrap();
    assert_eq!(
        server.client(&["get user/1"]),
        "VALUE user/1 2 28\n{\"_v\":7,\"_d\":{\"name\":\"Ada\"}}\nEND"
    );
    server.client(&["set theirs 2 0 18", r#"{"_d":[1],"_v":3} "#]);
    assert_eq!(client.get("theirs").unwrap(), Some((3, "[1]".into())));
    // After a change of the layout, what was written before it is still there.
    assert_eq!(open(&server, "").get("user/1").unwrap(), Some((7, r#"{"name":"Ada"}"#.into())));
}

fn what_is_no_record_is_corrupt_and_harms_nobody_else() {
    let server = Server::start("memcached", &[]);
    let client = open(&server, "");
    client.set("good", 1, "{}").unwrap();
    for bad in ["nonsense", r#"{"version":1,"data":nonsense}"#, r#"{"_v":1,"_d":nonsense}"#] {
        server.client(&[&format!("set bad 0 0 {}", bad.len()), bad]);
        let results = client.many(vec![("bad".into(), Operation::Get), ("good".into(), Operation::Get)]);
        assert_eq!(results[0].as_ref().unwrap_err().code(), ErrorCode::Corrupt);
        assert!(!results[0].as_ref().unwrap_err().message().contains("nonsense"));
        assert!(matches!(&results[1], Ok(Reply::Record(Some(record))) if record.version == 1));
    }
}

fn names_that_are_no_keys_are_escaped_or_digested() {
    let server = Server::start("memcached", &[]);
    let client = open(&server, "");
    let (long, digest) = ("a".repeat(251), "21f5b107cda33036590a19419afd7fb6");
    for (version, name) in (1..).zip(["a b", "a%20b", "line\nbreak", "\u{0}\u{7f}", &long, digest]) {
        client.set(name, version, "{}").unwrap();
        assert_eq!(client.head(name).unwrap(), Some(version), "{name:?}");
    }
    assert_eq!(client.head("a b").unwrap(), Some(1));
    assert_eq!(server.client(&["mg a%20b v"]), "VA 23\n{\"version\":2,\"data\":{}}");
    // The name that is the long one's digest took its place, and is not taken for it.
    assert_eq!(client.get(&long).unwrap(), None);
    client.set(&long, 9, "{}").unwrap();
    assert_eq!(client.get(digest).unwrap(), None);
    assert_eq!(client.head(&long).unwrap(), Some(9));
}

fn a_lifetime_may_be_longer_than_thirty_days() {
    let server = Server::start("memcached", &[]);
    // Past thirty days the end is a Unix time, which memcached counts from the second of its own start, by a clock that
    // ticks once a second: it may say two seconds more.
    for (name, lifetime, ahead) in [("short", 100, 0), ("long", 40 * 24 * 60 * 60, 2)] {
        open(&server, &format!(r#", "lifetime": {lifetime}"#)).set(name, 1, "{}").unwrap();
        let left = server.client(&[&format!("mg {name} t")]);
        let left: i64 = left.strip_prefix("HD t").unwrap().parse().unwrap();
        assert!((lifetime - 5..=lifetime + ahead).contains(&left), "{name} lives {left} s");
    }
    open(&server, "").set("short", 2, "{}").unwrap();
    assert_eq!(server.client(&["mg short t"]), "HD t-1", "a set without lifetime lives for ever");
}

fn an_item_over_the_limit_names_both_sizes_and_harms_nobody_else() {
    let plain = Server::start("memcached", &["--", "-I", "2m"]);
    let sasl = Server::start("memcached", &["sasl"]);
    let login = r#", "username": "connector", "password": "secret", "authentication": "sasl""#;
    for (server, options, limit) in [(&plain, "", 2 << 20), (&sasl, login, 1 << 20)] {
        let client = open(server, options);
        client.set("large", 1, "{}").unwrap();
        let large = Record { version: 2, data: format!("\"{}\"", "x".repeat(limit)).into() };
        let results = client.many(vec![
            ("a".into(), Operation::Set(record(1))),
            ("large".into(), Operation::Set(large)),
            ("b".into(), Operation::Set(record(1))),
        ]);
        assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
        let error = results[1].as_ref().unwrap_err();
        assert_eq!(error.code(), ErrorCode::TooLarge, "{error}");
        assert!(error.message().contains(&format!("takes {} bytes", limit + 23)), "{error}");
        assert!(error.message().contains(&format!("limit is {limit} bytes")), "{error}");
        assert_eq!(client.get("large").unwrap(), None, "neither it nor what was there before");
        assert_eq!(client.head("b").unwrap(), Some(1));
    }
}

fn a_wrong_login_is_a_clear_error_without_the_password() {
    for protocol in ["ascii", "sasl"] {
        let server = Server::start("memcached", &[protocol]);
        let login = |username: &str, password: &str| {
            let words = format!(r#", "username": "{username}", "password": "{password}""#);
            open(&server, &format!(r#"{words}, "authentication": "{protocol}""#))
        };
        for (username, password) in [("connector", "hunter2"), ("nobody", "secret")] {
            let client = login(username, password);
            let error = first_error(&client);
            assert_eq!(error.code(), ErrorCode::Authentication, "{protocol}: {error}");
            assert!(
                error.message().contains("\"password\"") && !error.message().contains("hunter2"),
                "{error}"
            );
            assert!(matches!(client.event(), Told::Error { fatal: true, .. }));
        }
        let client = login("connector", "secret");
        client.set("a", 1, "[null]").unwrap();
        assert_eq!(client.get("a").unwrap(), Some((1, "[null]".into())));
        client.delete("a").unwrap();
        assert_eq!(client.head("a").unwrap(), None);
    }
    let server = Server::start("memcached", &["ascii"]);
    assert_eq!(first_error(&open(&server, "")).code(), ErrorCode::Authentication);
}

fn a_password_is_not_told_to_a_server_that_asks_for_none() {
    let server = Server::start("memcached", &[]);
    for protocol in ["ascii", "sasl"] {
        let options = r#", "username": "me", "password": "hunter2", "authentication""#;
        let error = first_error(&open(&server, &format!("{options}: \"{protocol}\"")));
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains("\"user\""), "{error}");
    }
    assert_eq!(server.client(&["get auth"]), "END");
}

fn half_a_login_is_refused_when_the_connector_is_made() {
    for (options, word) in [
        (r#""username": "me""#, "\"password\""),
        (r#""password": "hunter2""#, "\"user\""),
        (r#""authentication": "sasl""#, "\"user\""),
        (r#""username": "me", "password": "hunter2 and more""#, "spaces"),
        (r#""serverLocation": {"a:1": 0}"#, "weight"),
        (r#""memcachedOptions": {"namepsace": "x"}"#, "memcachedOptions.namespace"),
        (r#""memcachedOptions": {"algorithm": "crc32"}"#, "md5"),
    ] {
        let error = Client::open(&format!(r#"{{"type": "memcached", {options}}}"#)).err().unwrap();
        assert_eq!(error.code(), ErrorCode::Configuration);
        assert!(error.message().contains(word) && !error.message().contains("hunter2"), "{error}");
    }
}

fn tls_wants_the_right_authority_and_the_right_name() {
    let server = Server::start("memcached", &["tls"]);
    let folder = certificates();
    let path = |name: &str| folder.join(name).display().to_string();
    let good = format!(r#", "tls": {{"ca": "{}"}}"#, path("ca.crt"));
    let client = open(&server, &good);
    client.set("a", 1, "{}").unwrap();
    assert_eq!(client.get("a").unwrap(), Some((1, "{}".into())));
    for (options, word) in [
        (format!(r#", "tls": {{"ca": "{}"}}"#, path("other-ca.crt")), "tls.ca"),
        (
            format!(r#", "tls": {{"ca": "{}", "serverName": "example.org"}}"#, path("ca.crt")),
            "tls.serverName",
        ),
    ] {
        let error = first_error(&open(&server, &options));
        assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
    // Without TLS there is no fallback and no answer.
    assert_eq!(first_error(&open(&server, r#", "timeout": 500"#)).code(), ErrorCode::Timeout);
    for certificate in ["wrong-host", "expired"] {
        let shows = format!("tls-certificate={certificate}");
        let server = Server::start("memcached", &["tls", &shows]);
        let error = first_error(&open(&server, &good));
        assert_eq!(error.code(), ErrorCode::Configuration, "{certificate}: {error}");
    }
    let server = Server::start("memcached", &["tls", "sasl"]);
    let login = r#", "username": "connector", "password": "secret", "authentication": "sasl""#;
    open(&server, &format!("{good}{login}")).set("a", 1, "{}").unwrap();
}

fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let server = Server::start("memcached", &["tls-client-auth"]);
    let folder = certificates();
    let path = |name: &str| folder.join(name).display().to_string();
    let (ca, cert, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let with = open(&server, &format!(r#", "tls": {{"ca": "{ca}", "cert": "{cert}", "key": "{key}"}}"#));
    with.set("a", 1, "{}").unwrap();
    let error = first_error(&open(&server, &format!(r#", "timeout": 2000, "tls": {{"ca": "{ca}"}}"#)));
    assert_eq!(error.code(), ErrorCode::Configuration, "{error}");
    assert!(error.message().contains("client certificate"), "{error}");
}

fn a_crash_is_one_outage_and_takes_the_records() {
    let server = Server::start("memcached", &[]);
    let client = open(&server, r#", "timeout": 30000"#);
    client.set("a", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    server.ctl(&["kill"]);
    let (sender, receiver) = channel();
    client.connector.get("a", move |result| sender.send(result).unwrap()).unwrap();
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    server.ctl(&["restart"]);
    assert!(matches!(client.event(), Told::Ready));
    assert_eq!(receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap(), None);
    client.set("a", 2, "{}").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(2));
}

/// How many idle connections a server has closed.
fn idle_kicks(server: &Server) -> usize {
    let stats = server.client(&["stats"]);
    let kicks = stats.lines().find_map(|line| line.strip_prefix("STAT idle_kicks "));
    kicks.expect(&stats).parse().unwrap()
}

fn idle_connections_that_the_server_closes_are_no_outage() {
    let closing = Server::start("memcached", &["--", "-o", "idle_timeout=1"]);
    let other = Server::start("memcached", &[]);
    for servers in [&[&closing][..], &[&closing, &other]] {
        let names = names_at(servers, "");
        let client = open_at(servers, "");
        client.set(&names[0], 1, "{}").unwrap();
        let before = idle_kicks(&closing);
        wait_until("two idle connections were closed", || idle_kicks(&closing) >= before + 2);
        assert_eq!(client.head(&names[0]).unwrap(), Some(1));
        assert!(client.told.try_iter().all(|told| !matches!(told, Told::Error { .. })));
    }
}

fn pings_keep_idle_connections_open() {
    let server = Server::start("memcached", &["--", "-o", "idle_timeout=1"]);
    let client = open(&server, r#", "pingInterval": 200"#);
    client.set("a", 1, "{}").unwrap();
    let mut idle = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(std::io::Read::read(&mut idle, &mut [0]).unwrap(), 0, "the server closes idle ones");
    assert_eq!(idle_kicks(&server), 1);
    assert_eq!(client.head("a").unwrap(), Some(1));
}

/// memcached in a network that fails.
pub const LOSSY: Part = ("memcached in a network that fails", || {
    let configuration = r#"{"type": "memcached", "serverLocation": "127.0.0.1:PORT", "timeout": 4000}"#;
    network::a_lost_write_does_not_come_after_a_later_one("memcached", configuration);
});

fn a_write_that_the_network_lost_does_not_come_after_a_later_one() {
    network::run("memcached", LOSSY.0);
}

fn the_keys_of_a_dead_server_wait_while_the_others_go_on() {
    let servers: [Server; 3] = std::array::from_fn(|_| Server::start("memcached", &["kept"]));
    let [first, second, third] = &servers;
    let all = [first, second, third];
    let names = names_at(&all, "");
    let client = open_at(&all, r#", "timeout": 30000"#);
    client.set(&names[1], 1, "[1]").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    second.ctl(&["end"]);
    let Told::Error { error, fatal: false } = client.event() else { panic!("nobody told of the death") };
    assert!(error.message().contains(&format!("127.0.0.1:{}", second.port)), "{error}");
    let (sender, receiver) = channel();
    client.connector.set(&names[1], record(2), move |result| sender.send(result).unwrap()).unwrap();
    for version in 1..50 {
        client.set(&names[0], version, "{}").unwrap();
        assert_eq!(client.head(&names[2]).unwrap(), Some(0));
    }
    assert!(receiver.try_recv().is_err(), "a write was acknowledged by a server that is dead");
    let short = open_at(&all, r#", "timeout": 800"#);
    assert!(matches!(short.event(), Told::Ready));
    let error = short.get(&names[1]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Timeout);
    assert!(error.message().contains("away"), "{error}");
    second.ctl(&["restart"]);
    receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    assert_eq!(client.head(&names[1]).unwrap(), Some(2));
}

fn a_dead_server_of_two_costs_its_own_keys_alone() {
    const KEYS: usize = 100_000;
    let servers: [Server; 2] = std::array::from_fn(|_| Server::start("memcached", &[]));
    let [living, dying] = &servers;
    let client = open_at(&[living, dying], r#", "timeout": 120000"#);
    let all = |version: i64| {
        let (sender, receiver) = channel();
        for number in 0..KEYS {
            let sender = sender.clone();
            let callback = move |result| drop(sender.send(result));
            client.connector.set(&format!("name{number}"), record(version), callback).unwrap();
        }
        receiver
    };
    let stored = all(0);
    for _ in 0..KEYS {
        stored.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
    }
    let items = living.client(&["stats"]);
    let items = items.lines().find_map(|line| line.strip_prefix("STAT curr_items ")).unwrap();
    let at_living: usize = items.trim().parse().unwrap();
    assert!((KEYS / 4..KEYS * 3 / 4).contains(&at_living), "{at_living} of {KEYS}");
    assert!(matches!(client.event(), Told::Ready));
    dying.ctl(&["kill"]);
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    let stored = all(1);
    // Each has its turn at the living server within a patience of the one before, though as many wait for the dead one.
    for number in 0..at_living {
        let Ok(result) = stored.recv_timeout(PATIENCE) else { panic!("{number} of {at_living} were stored") };
        result.unwrap();
    }
    let asked: serde_json::Value = serde_json::from_str(&client.connector.statistics_json()).unwrap();
    let waiting = asked["inFlight"].as_u64().unwrap();
    assert_eq!(waiting, (KEYS - at_living) as u64, "the others wait");
    let retries = asked["retries"].as_u64().unwrap();
    assert!(retries < KEYS as u64, "{retries} were sent in vain");
}

fn with_failover_the_keys_of_a_dead_server_move_and_come_back() {
    let servers: [Server; 3] = std::array::from_fn(|_| Server::start("memcached", &[]));
    let [first, second, third] = &servers;
    let all = [first, second, third];
    // What moved in one outage is still there in the next, so each has a name of its own.
    let names = [&names_at(&all, "")[1], &names_at(&all, r#", "memcachedOptions": {"namespace": "2"}"#)[1]];
    let options = [r#", "failover": true"#, r#", "memcachedOptions": {"remove": true, "namespace": "2"}"#];
    for ((name, prefix), option) in names.into_iter().zip(["", "2"]).zip(options) {
        let client = open_at(&all, option);
        client.set(name, 1, "{}").unwrap();
        assert!(matches!(client.event(), Told::Ready));
        second.ctl(&["kill"]);
        assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
        assert_eq!(client.get(name).unwrap(), None, "a dead server's records are gone");
        client.set(name, 2, "{}").unwrap();
        assert_eq!(client.head(name).unwrap(), Some(2));
        let holds = |server: &&Server| server.client(&[&format!("mg {prefix}{name}")]) == "HD";
        assert_eq!([first, third].iter().filter(|server| holds(server)).count(), 1);
        second.ctl(&["restart"]);
        assert!(matches!(client.event(), Told::Ready));
        client.set(name, 3, "{}").unwrap();
        assert!(holds(&second), "its keys come back with it");
    }
}

fn one_server_that_hangs_does_not_hold_up_the_others() {
    let servers: [Server; 2] = std::array::from_fn(|_| Server::start("memcached", &[]));
    let [first, second] = &servers;
    let names = names_at(&[first, second], "");
    let client = open_at(&[first, second], r#", "timeout": 20000"#);
    client.set(&names[1], 1, "{}").unwrap();
    second.ctl(&["freeze"]);
    let (sender, receiver) = channel();
    client.connector.set(&names[1], record(2), move |result| sender.send(result).unwrap()).unwrap();
    for version in 1..200 {
        client.set(&names[0], version, "{}").unwrap();
    }
    assert!(receiver.try_recv().is_err());
    second.ctl(&["thaw"]);
    receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
    assert_eq!(client.head(&names[1]).unwrap(), Some(2));
}

fn one_server_that_talks_nonsense_does_not_spoil_the_others() {
    let servers: [Server; 2] = std::array::from_fn(|_| Server::start("memcached", &[]));
    let [first, second] = &servers;
    let target = format!("127.0.0.1:{}", second.port);
    let proxy = Server::start("proxy", &["--", "--target", &target]);
    let all = [first, &proxy];
    let client = open_at(&all, r#", "timeout": 20000"#);
    let is_at_first = |name: &String| {
        client.set(name, 1, "{}").unwrap();
        first.client(&[&format!("mg {name}")]) == "HD"
    };
    let (near, far): (Vec<String>, Vec<String>) =
        (0..20).map(|number| format!("name{number}")).partition(is_at_first);
    for spoiled in [&["garbage"][..], &["blackhole"], &["reset"], &["latency", "50"]] {
        proxy.ctl(&[&["set"], spoiled].concat());
        let (sender, receiver) = channel();
        for name in &far {
            let sender = sender.clone();
            client.connector.set(name, record(2), move |result| sender.send(result).unwrap()).unwrap();
        }
        for name in &near {
            client.set(name, 3, "{}").unwrap();
        }
        proxy.ctl(&["set", "pass"]);
        for _ in &far {
            receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
        }
    }
}

fn a_slow_transfer_is_progress() {
    const RECORDS: usize = 60;
    let server = Server::start("memcached", &[]);
    let data = format!("\"{}\"", "x".repeat(500_000));
    let near = open(&server, "");
    let names: Vec<Key> = (0..RECORDS).map(|number| format!("name{number}").into()).collect();
    for name in &names {
        near.set(name, 1, &data).unwrap();
    }
    let target = format!("127.0.0.1:{}", server.port);
    let proxy = Server::start("proxy", &["--", "--target", &target]);
    let far = open(&proxy, r#", "timeout": 30000"#);
    far.head("nothing").unwrap();
    assert!(matches!(far.event(), Told::Ready));
    // All of them take three seconds, and a server may be silent for two.
    proxy.ctl(&["set", "bandwidth", "10000000"]);
    let begin = Instant::now();
    let results = far.many(names.iter().map(|name| (name.clone(), Operation::Get)).collect());
    for result in &results {
        let Ok(Reply::Record(Some(record))) = result else { panic!("a record is missing: {result:?}") };
        assert_eq!(record.data.len(), data.len());
    }
    assert!(begin.elapsed() >= Duration::from_millis(2_500), "the way was not slow: {:?}", begin.elapsed());
    let told: Vec<Told> = far.told.try_iter().filter(|told| !matches!(told, Told::Log(_))).collect();
    assert!(told.is_empty(), "{told:?}");
}

fn servers_that_go_and_come_back_under_load_lose_nothing() {
    let servers: [Server; 3] = std::array::from_fn(|_| Server::start("memcached", &["kept"]));
    let [first, second, third] = &servers;
    let client = open_at(&[first, second, third], r#", "timeout": 60000"#);
    under_load(&client, || {
        second.ctl(&["end"]);
        std::thread::sleep(Duration::from_millis(200));
        second.ctl(&["restart"]);
        wait_until("it is back", || second.ctl(&["client", "mn"]).is_empty());
        third.ctl(&["freeze"]);
        std::thread::sleep(Duration::from_millis(300));
        third.ctl(&["thaw"]);
    });
}
