//! Reads from replicas (`readFrom`): what others wrote may come late, what we wrote does not.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::load::under_load;
use crate::support::{wait_until, Client, Server, Told};

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(what_we_wrote_is_read_though_the_replica_lacks_it),
    test!(what_we_wrote_is_read_after_an_outage_too),
    test!(a_replica_that_became_a_primary_is_not_read),
    test!(a_primary_that_is_called_a_replica_is_not_read),
    test!(what_others_wrote_may_be_older_but_never_missing),
    test!(without_replicas_the_primary_answers),
    test!(a_replica_that_hangs_is_left),
    test!(a_user_who_may_not_ask_how_far_a_server_is_reads_at_the_primary),
    test!(a_clusters_replicas_are_read_from_under_load_and_while_slots_move).class(Class::Works),
    test!(a_clusters_replica_is_believed_when_it_is_as_far_as_our_last_write),
    test!(a_primary_dies_under_load_and_every_read_sees_the_writes_before_it).class(Class::Works),
    test!(sentinels_replicas_are_read_from_and_followed_through_a_failover).class(Class::Works),
    test!(replicas_that_nobody_can_find_are_refused),
];

/// A replica that gets everything by way of a proxy, which can hold it back.
struct Pair {
    primary: Server,
    replica: Server,
    between: Server,
}

impl Pair {
    fn start() -> Pair {
        let primary = Server::start("redis", &[]);
        let replica = Server::start("redis", &["--", "--repl-diskless-sync-delay", "0"]);
        let target = format!("127.0.0.1:{}", primary.port);
        let between = Server::start("proxy", &["--", "--target", &target]);
        primary.client(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
        replica.client(&["REPLICAOF", "127.0.0.1", &between.port.to_string()]);
        let pair = Pair { primary, replica, between };
        pair.wait_for_the_link();
        pair
    }

    fn wait_for_the_link(&self) {
        wait_until("the replica follows", || self.replica.client(&["ROLE"]).contains("connected"));
    }

    fn open(&self) -> Client {
        let text = format!(
            r#"{{"type": "redis", "port": {}, "readFrom": "replica", "replicas": "127.0.0.1:{}"}}"#,
            self.primary.port, self.replica.port
        );
        let client = Client::open(&text).unwrap();
        client.set("first", 1, "{}").unwrap();
        client.set("second", 1, "{}").unwrap();
        wait_until("the replica is read from", || {
            let before = reads(&self.replica);
            client.get("first").unwrap();
            reads(&self.replica) > before && self.is_level()
        });
        client
    }

    /// Whether the replica has all that the primary has.
    fn is_level(&self) -> bool {
        self.primary.client(&["DBSIZE"]) == self.replica.client(&["DBSIZE"])
    }

    fn hold_back(&self, milliseconds: u32) {
        self.between.ctl(&["set", "latency", &milliseconds.to_string()]);
    }
}

/// How many commands a server has read records by.
fn reads(server: &Server) -> u64 {
    calls(&server.client(&["INFO", "commandstats"]))
}

fn calls(statistics: &str) -> u64 {
    let line = statistics.lines().find_map(|line| line.strip_prefix("cmdstat_mget:calls="));
    line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

fn what_we_wrote_is_read_though_the_replica_lacks_it() {
    let pair = Pair::start();
    let client = pair.open();
    pair.hold_back(1_000);
    for version in 2..20 {
        client.set("first", version, "[]").unwrap();
        assert_eq!(client.get("first").unwrap(), Some((version, "[]".into())));
        assert_eq!(client.head("first").unwrap(), Some(version));
    }
    // What has not changed is read there nevertheless.
    let before = reads(&pair.primary);
    for _ in 0..10 {
        assert_eq!(client.get("second").unwrap(), Some((1, "{}".into())));
    }
    assert_eq!(reads(&pair.primary), before);
    client.delete("first").unwrap();
    assert_eq!(client.get("first").unwrap(), None);
}

fn what_we_wrote_is_read_after_an_outage_too() {
    let pair = Pair::start();
    let client = pair.open();
    assert!(matches!(client.event(), Told::Ready));
    pair.hold_back(2_000);
    client.set("first", 2, "{}").unwrap();
    pair.primary.client(&["CLIENT", "KILL", "TYPE", "normal"]);
    for _ in 0..5 {
        assert_eq!(client.head("first").unwrap(), Some(2));
        // The replica is connected to by and by.
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn a_replica_that_became_a_primary_is_not_read() {
    let pair = Pair::start();
    let client = pair.open();
    pair.replica.client(&["REPLICAOF", "NO", "ONE"]);
    pair.replica.client(&["MSET", "second_v", "9", "second_d", "[]"]);
    pair.primary.client(&["MSET", "second_v", "2", "second_d", "{}"]);
    for _ in 0..50 {
        assert_eq!(client.get("second").unwrap(), Some((2, "{}".into())));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn a_primary_that_is_called_a_replica_is_not_read() {
    let (primary, other) = (Server::start("redis", &[]), Server::start("redis", &[]));
    other.client(&["MSET", "a_v", "9", "a_d", "[]"]);
    let text = format!(
        r#"{{"type": "redis", "port": {}, "readFrom": "replica", "replicas": "127.0.0.1:{}"}}"#,
        primary.port, other.port
    );
    let client = Client::open(&text).unwrap();
    primary.client(&["MSET", "a_v", "2", "a_d", "{}"]);
    for _ in 0..50 {
        assert_eq!(client.get("a").unwrap(), Some((2, "{}".into())));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn what_others_wrote_may_be_older_but_never_missing() {
    let pair = Pair::start();
    let client = pair.open();
    pair.hold_back(2_000);
    pair.primary.client(&["MSET", "first_v", "2", "first_d", "{}", "new_v", "1", "new_d", "{}"]);
    assert_eq!(client.head("first").unwrap(), Some(1), "this is what the option is about");
    assert_eq!(client.head("new").unwrap(), Some(1));
    wait_until("the replica has it", || client.head("first").unwrap() == Some(2));
}

fn without_replicas_the_primary_answers() {
    let pair = Pair::start();
    let client = pair.open();
    pair.replica.ctl(&["kill"]);
    for version in 2..5 {
        assert_eq!(client.get("first").unwrap(), Some((version - 1, "{}".into())));
        client.set("first", version, "{}").unwrap();
    }
    // A replica without its primary is not believed.
    pair.replica.ctl(&["restart"]);
    assert_eq!(client.get("first").unwrap(), Some((4, "{}".into())));
    pair.replica.client(&["REPLICAOF", "127.0.0.1", &pair.between.port.to_string()]);
    pair.wait_for_the_link();
    wait_until("the replica is read from again", || {
        let before = reads(&pair.replica);
        assert_eq!(client.get("first").unwrap(), Some((4, "{}".into())));
        reads(&pair.replica) > before
    });
    assert!(matches!(client.event(), Told::Ready));
    let quiet = client.told.try_iter().all(|told| matches!(told, Told::Log(..)));
    assert!(quiet, "a replica that is away is no outage");
}

fn a_replica_that_hangs_is_left() {
    let pair = Pair::start();
    let client = pair.open();
    pair.replica.ctl(&["freeze"]);
    for _ in 0..3 {
        assert_eq!(client.get("first").unwrap(), Some((1, "{}".into())));
    }
    pair.replica.ctl(&["thaw"]);
}

fn a_user_who_may_not_ask_how_far_a_server_is_reads_at_the_primary() {
    let pair = Pair::start();
    for server in [&pair.primary, &pair.replica] {
        server.client(&["ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@all", "-role"]);
    }
    let text = format!(
        r#"{{"type": "redis", "username": "plain", "password": "secret", "port": {}, "readFrom": "replica", "replicas": ["127.0.0.1:{}"]}}"#,
        pair.primary.port, pair.replica.port
    );
    let client = Client::open(&text).unwrap();
    pair.hold_back(1_000);
    for version in 1..10 {
        client.set("a", version, "{}").unwrap();
        assert_eq!(client.get("a").unwrap(), Some((version, "{}".into())));
    }
}

fn open_cluster(server: &Server, options: &str) -> Client {
    let text = format!(
        r#"{{"type": "redis", "nodes": "127.0.0.1:{}", "readFrom": "replica", "timeout": 60000{options}}}"#,
        server.port
    );
    Client::open(&text).unwrap()
}

fn reads_of(server: &Server, nodes: &[&str]) -> u64 {
    let asked = nodes.iter().filter_map(|node| server.attempt(&["node", node, "INFO", "commandstats"]));
    asked.map(|statistics| calls(&statistics)).sum()
}

fn a_clusters_replicas_are_read_from_under_load_and_while_slots_move() {
    let server = Server::start("redis-cluster", &[]);
    let client = open_cluster(&server, "");
    let replicas = ["0", "1", "2"].map(|node| server.ctl(&["replica", node]));
    under_load(&client, || {
        server.ctl(&["reshard", "0", "1", "300"]);
    });
    let replicas = replicas.each_ref().map(String::as_str);
    assert!(reads_of(&server, &replicas) > 0, "nobody read from them");
}

/// Two nodes that say what they are told to say: real ones of a cluster lag behind for too short a time.
struct Puppet {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The answer to `ROLE`.
    role: String,
    /// The answer to `CLUSTER SLOTS`.
    slots: String,
    /// What each `MGET` brings.
    values: [&'static str; 2],
    reads: usize,
}

impl Puppet {
    fn start() -> Puppet {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        // It ends with this process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Puppet { port, state }
    }

    fn says(&self, role: String, values: [&'static str; 2]) {
        let mut state = self.state.lock().unwrap();
        (state.role, state.values) = (role, values);
    }

    fn reads(&self) -> usize {
        self.state.lock().unwrap().reads
    }
}

/// Answers commands until the connection ends.
fn serve(stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let mut stream = stream;
    loop {
        let count: usize = lines.next()?.strip_prefix('*')?.parse().ok()?;
        // Of each argument its length and itself.
        let words: Vec<String> = lines.by_ref().take(2 * count).skip(1).step_by(2).collect();
        let mut state = state.lock().unwrap();
        let answer = match words.first()?.as_str() {
            "CLUSTER" => state.slots.clone(),
            "ROLE" => state.role.clone(),
            "MGET" => {
                state.reads += 1;
                let count = words.len() - 1;
                let texts = state.values.map(|text| format!("${}\r\n{text}\r\n", text.len()));
                format!("*{count}\r\n{}", texts[..count].concat())
            }
            "EXISTS" => ":1\r\n".to_owned(),
            _ => "+OK\r\n".to_owned(),
        };
        drop(state);
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn primary_at(offset: u32) -> String {
    format!("*3\r\n$6\r\nmaster\r\n:{offset}\r\n*0\r\n")
}

fn replica_at(offset: u32) -> String {
    format!("*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:{offset}\r\n")
}

fn a_clusters_replica_is_believed_when_it_is_as_far_as_our_last_write() {
    let (primary, replica) = (Puppet::start(), Puppet::start());
    let place = |puppet: &Puppet| format!("*2\r\n$9\r\n127.0.0.1\r\n:{}\r\n", puppet.port);
    let slots = format!("*1\r\n*4\r\n:0\r\n:16383\r\n{}{}", place(&primary), place(&replica));
    for puppet in [&primary, &replica] {
        puppet.state.lock().unwrap().slots.clone_from(&slots);
    }
    primary.says(primary_at(10), ["2", "{}"]);
    replica.says(replica_at(5), ["1", "{}"]);
    let text =
        format!(r#"{{"type": "redis", "nodes": "127.0.0.1:{}", "readFrom": "replica"}}"#, primary.port);
    let client = Client::open(&text).unwrap();
    wait_until("the replica is read from", || client.head("a").unwrap() == Some(1));
    client.set("a", 2, "{}").unwrap();
    let before = replica.reads();
    assert_eq!(client.get("a").unwrap(), Some((2, "{}".into())), "the replica lacks the write");
    assert!(replica.reads() > before);
    assert_eq!(client.head("b").unwrap(), Some(1), "another slot");
    replica.says(replica_at(10), ["2", "{}"]);
    let before = primary.reads();
    assert_eq!(client.get("a").unwrap(), Some((2, "{}".into())));
    assert_eq!(primary.reads(), before, "the replica has the write");
}

fn a_primary_dies_under_load_and_every_read_sees_the_writes_before_it() {
    let server = Server::start("redis-cluster", &[]);
    let client = open_cluster(&server, r#", "waitReplicas": 1"#);
    under_load(&client, || {
        let replica = server.ctl(&["replica", "0"]);
        server.ctl(&["kill-node", "0"]);
        wait_until("the replica is the primary", || server.role(&replica).starts_with("master"));
        server.ctl(&["start-node", "0"]);
    });
}

fn sentinels_replicas_are_read_from_and_followed_through_a_failover() {
    let server = Server::start("redis-sentinel", &[]);
    let text = format!(
        r#"{{"type": "redis", "sentinels": "127.0.0.1:{}", "name": "records", "readFrom": "replica", "timeout": 60000, "waitReplicas": 1}}"#,
        server.port
    );
    let client = Client::open(&text).unwrap();
    client.set("a", 1, "{}").unwrap();
    let primary = server.ctl(&["primary"]);
    let replicas: Vec<&str> = ["3", "4", "5"].into_iter().filter(|node| *node != primary).collect();
    wait_until("both replicas are read from", || {
        client.get("a").unwrap();
        replicas.iter().all(|node| reads_of(&server, &[node]) > 0)
    });
    under_load(&client, || {
        server.ctl(&["kill-node", &primary]);
        wait_until("there is another primary", || {
            let now = server.ctl(&["primary"]);
            now != primary && server.role(&now).starts_with("master")
        });
        server.ctl(&["start-node", &primary]);
    });
    wait_until("the former primary is read from", || {
        client.set("a", 2, "{}").unwrap();
        client.get("a").unwrap();
        reads_of(&server, &[&primary]) > 0
    });
}

fn replicas_that_nobody_can_find_are_refused() {
    let refusal = |options: &str| {
        let text = format!(r#"{{"type": "redis", {options}}}"#);
        Client::open(&text).err().unwrap_or_else(|| panic!("{text} was taken")).message().to_owned()
    };
    assert!(refusal(r#""readFrom": "replica""#).contains("\"replicas\""));
    assert!(refusal(r#""replicas": "a", "sentinels": "b", "name": "m""#).contains("exclude each other"));
    assert!(refusal(r#""readFrom": "replicas""#).contains("did you mean \"replica\"?"));
    assert!(refusal(r#""replicas": "a", "nodes": "b""#).contains("exclude each other"));
    assert!(refusal(r#""replicas": {"a": 2}"#).contains("weights"));
}
