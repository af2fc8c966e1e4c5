//! Cassandra: a key prefix for each place, in one table of a server that nearly all share; a table
//! for those that list all there is.
//!
//! A Cassandra takes seconds to start. So where a promise hurts its server, it hurts a proxy of
//! its own in front of the shared one: a proxy that refuses connections and resets those there
//! are is a server that died, one that stands still a server that stands still. Where what was
//! acknowledged must survive, a real server is killed.
//!
//! `DSC_TEST_CASSANDRA=host:port` names a node of another cluster, for the promises that hurt
//! nobody: a keyspace `conformance` is made there.

use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;
use crate::support::ROOT;

/// A key prefix.
pub struct Cassandra {
    /// None where the environment names a cluster.
    server: Option<Running>,
    proxy: Option<Proxy>,
    prefix: String,
    table: String,
    /// A user of this place alone, whom Cassandra does not know until it shall accept the
    /// credentials.
    user: Option<String>,
}

const TABLE: &str = "records";

impl Cassandra {
    pub fn new(scope: Scope) -> Cassandra {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let server = match scope {
            Scope::Crash => Some(Running::alone("cassandra", &["durable"])),
            Scope::Credentials => Some(Running::shared("cassandra", &["password"])),
            Scope::Server | Scope::Network => Some(Running::shared("cassandra", &[])),
            _ if elsewhere().is_some() => None,
            _ => Some(Running::shared("cassandra", &[])),
        };
        let proxy = match &server {
            Some(server) if matches!(scope, Scope::Server | Scope::Network) => {
                Some(Proxy::start(server.port()))
            }
            _ => None,
        };
        // One that another run has not left in a cluster that outlives it.
        let (run, user) =
            (std::process::id(), (scope == Scope::Credentials).then(|| format!("user{number}")));
        let table = match scope {
            Scope::Listed => format!("listed_{run}_{number}"),
            _ => TABLE.into(),
        };
        Cassandra { server, proxy, prefix: format!("run {run} place {number}:"), table, user }
    }

    fn server(&self) -> &Running {
        self.server.as_ref().expect("the suite asks this of servers of its own alone")
    }
}

/// The cluster that the environment names.
fn elsewhere() -> Option<String> {
    env::var("DSC_TEST_CASSANDRA").ok().filter(|address| !address.is_empty())
}

impl Place for Cassandra {
    fn options(&self) -> Map<String, Value> {
        let mut options = object(json!({
            "type": "cassandra", "keyspace": "conformance", "replication": 1,
            "table": self.table, "keyPrefix": self.prefix,
        }));
        let port = self.proxy.as_ref().map(Proxy::port).or(self.server.as_ref().map(Running::port));
        match port {
            Some(port) => options.insert("port".into(), json!(port)),
            None => options.insert("contactPoints".into(), json!(elsewhere())),
        };
        if let Some(user) = &self.user {
            options.extend(object(json!({"username": user, "password": WRONG_PASSWORD})));
        }
        options
    }

    fn server(&self) -> Option<&dyn Server> {
        let proxy = self.proxy.as_ref().map(|proxy| proxy as &dyn Server);
        proxy.or_else(|| self.server.as_ref().and_then(Running::hurtable))
    }

    fn spoil_network(&self, words: &[&str]) {
        let proxy = self.proxy.as_ref().expect("the suite gives it to those who ask");
        match words {
            // Each connection begins with more than other databases' do.
            ["limit", _] => proxy.tell(&["limit", "12000"]),
            words => proxy.tell(words),
        }
    }

    fn stored_versions(&self, keys: &[String]) -> Vec<Option<i64>> {
        // Keys of the promises that look past the connectors have no collection. There is a row
        // for each question, also where there is no record.
        let question = |key: &String| {
            format!(
                "SELECT COUNT(version), MAX(version) FROM conformance.records WHERE collection = '' AND id = '{}{key}'\n",
                self.prefix
            )
        };
        let answer = self.server().client_with_input(&keys.iter().map(question).collect::<String>());
        let versions: Vec<_> = answer.lines().map(|line| line.split('\t').nth(1)?.parse().ok()).collect();
        assert_eq!(versions.len(), keys.len(), "{answer}");
        versions
    }

    fn soon(&self) -> u64 {
        3_000
    }

    fn soon_done(&self) -> usize {
        200
    }

    fn accept_credentials(&self) {
        let user = self.user.as_ref().expect("the suite gives it to those who ask");
        // A password could be changed only seconds after it was given.
        self.server().client_with_input(&format!(
            "CREATE ROLE {user} WITH PASSWORD = '{WRONG_PASSWORD}' AND LOGIN = true AND SUPERUSER = true"
        ));
    }

    fn heal(&self) {
        if let Some(server) = &self.server {
            server.heal();
        }
        if let Some(proxy) = &self.proxy {
            Server::thaw(proxy);
            proxy.tell(&["pass"]);
        }
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        if self.table == TABLE {
            return;
        }
        // Each table costs the server memory.
        let statement = format!("DROP TABLE IF EXISTS conformance.{}", self.table);
        match (&self.server, elsewhere()) {
            (Some(server), _) => drop(server.client_with_input(&statement)),
            (None, Some(address)) => {
                let (host, port) = address.rsplit_once(':').expect("DSC_TEST_CASSANDRA is host:port");
                let client = format!("{ROOT}/tests/servers/cassandra/cql.js");
                let ended =
                    Command::new("node").args([&client, port, &statement]).env("CQL_HOST", host).status();
                assert!(ended.is_ok_and(|status| status.success()), "{} stays behind", self.table);
            }
            (None, None) => {}
        }
    }
}
