//! Cassandra with three nodes: one that dies or hangs is no outage, too few are waited for.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::load::under_load;
use crate::support::{Client, Server, Told};
use deepstream_connector::core::Record;

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    // Three more Java machines beside those of other tests would starve each other.
    test!(a_node_that_is_away_is_no_outage_and_too_few_are_waited_for).class(Class::Alone),
];

fn open(server: &Server, options: &str) -> Client {
    let configuration = format!(
        r#"{{"type": "cassandra", "port": {}, "keyspace": "cluster", "replication": 3, "timeout": 90000,
            "connectTimeout": 30000, "localDataCenter": "datacenter1"{options}}}"#,
        server.port
    );
    Client::open(&configuration).unwrap()
}

/// Stores something that all nodes must have.
fn wait_for_all_nodes(server: &Server) {
    open(server, r#", "consistency": "ALL""#).set("all", 1, "{}").unwrap();
}

fn assert_no_outage(client: &Client) {
    for told in client.told.try_iter() {
        assert!(matches!(told, Told::Log(..) | Told::Ready), "{told:?}");
    }
}

fn a_node_that_is_away_is_no_outage_and_too_few_are_waited_for() {
    let server = Server::start("cassandra-cluster", &["durable"]);
    let client = open(&server, "");
    client.set("a", 1, "{}").unwrap();

    under_load(&client, || {
        server.ctl(&["kill-node", "1"]);
    });
    assert_no_outage(&client);
    server.ctl(&["start-node", "1"]);
    wait_for_all_nodes(&server);

    // A node that hangs holds nobody up who asks another one after a while.
    let impatient = open(&server, r#", "speculativeDelay": 100"#);
    assert_eq!(impatient.head("a").unwrap(), Some(1));
    server.ctl(&["freeze-node", "2"]);
    let began = Instant::now();
    for version in 2..32 {
        impatient.set("a", version, "{}").unwrap();
        assert_eq!(impatient.head("a").unwrap(), Some(version));
    }
    println!("60 operations beside a node that hangs took {:?}", began.elapsed());
    under_load(&client, || {});
    assert_no_outage(&client);
    assert_no_outage(&impatient);

    // One of three replicas is too few, and Cassandra knows it when it has missed them long enough.
    server.ctl(&["kill-node", "1"]);
    let (sender, receiver) = channel();
    let record = Record { version: 99, data: "{}".into() };
    client.connector.set("a", record, move |result| sender.send(result).unwrap()).unwrap();
    assert!(receiver.recv_timeout(Duration::from_secs(2)).is_err(), "one replica answered for two");
    server.ctl(&["thaw-node", "2"]);
    receiver.recv_timeout(3 * crate::support::PATIENCE).expect("a callback is missing").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(99));
    assert_no_outage(&client);
}
