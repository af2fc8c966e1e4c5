//! Cassandra: a key prefix for each place, in one table of a server that nearly all share; a table
//! for those that list all there is.
//!
//! A Cassandra takes seconds to start. So where a promise hurts its server, it hurts a proxy of
//! its own in front of the shared one: a proxy that refuses connections and resets those there
//! are is a server that died, one that stands still a server that stands still. Where what was
//! acknowledged must survive, a real server is killed.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::backends::{Place, Server, WRONG_PASSWORD};
use crate::promises::Scope;
use crate::servers::{Proxy, Running};
use crate::stage::object;

/// A key prefix.
pub struct Cassandra {
    server: Running,
    proxy: Option<Proxy>,
    prefix: String,
    table: String,
    /// A user of this place alone, whom Cassandra does not know until it shall accept the credentials.
    user: Option<String>,
}

impl Cassandra {
    pub fn new(scope: Scope) -> Cassandra {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let server = match scope {
            Scope::Crash => Running::alone("cassandra", &[]),
            Scope::Credentials => Running::shared("cassandra", &["password"]),
            _ => Running::shared("cassandra", &[]),
        };
        let proxy = matches!(scope, Scope::Server | Scope::Network).then(|| Proxy::start(server.port()));
        let user = (scope == Scope::Credentials).then(|| format!("user{number}"));
        let table = match scope {
            Scope::Listed => format!("listed{number}"),
            _ => "records".into(),
        };
        Cassandra { server, proxy, prefix: format!("place {number}:"), table, user }
    }
}

impl Place for Cassandra {
    fn options(&self) -> Map<String, Value> {
        let port = self.proxy.as_ref().map_or(self.server.port(), Proxy::port);
        let mut options = object(json!({
            "type": "cassandra", "port": port, "keyspace": "conformance", "replication": 1,
            "table": self.table, "keyPrefix": self.prefix,
        }));
        if let Some(user) = &self.user {
            options.extend(object(json!({"username": user, "password": WRONG_PASSWORD})));
        }
        options
    }

    fn server(&self) -> Option<&dyn Server> {
        self.proxy.as_ref().map(|proxy| proxy as &dyn Server).or_else(|| self.server.hurtable())
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
        // Keys of the promises that look past the connectors have no collection.
        let questions: String = keys
            .iter()
            .map(|key| {
                format!(
                    "SELECT COUNT(version), MAX(version) FROM conformance.records WHERE collection = '' AND id = '{}{key}'\n",
                    self.prefix
                )
            })
            .collect();
        let answer = self.server.client_with_input(&questions);
        let versions: Vec<_> = answer.lines().map(|line| line.split('\t').nth(1)?.parse().ok()).collect();
        assert_eq!(versions.len(), keys.len(), "{answer}");
        versions
    }

    fn accept_credentials(&self) {
        let user = self.user.as_ref().expect("the suite gives it to those who ask");
        // A password could be changed only seconds after it was given.
        self.server.client_with_input(&format!(
            "CREATE ROLE {user} WITH PASSWORD = '{WRONG_PASSWORD}' AND LOGIN = true AND SUPERUSER = true"
        ));
    }

    fn heal(&self) {
        self.server.heal();
        if let Some(proxy) = &self.proxy {
            Server::thaw(proxy);
            proxy.tell(&["pass"]);
        }
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        // Each table costs the server memory.
        if self.table != "records" {
            self.server.client_with_input(&format!("DROP TABLE IF EXISTS conformance.{}", self.table));
        }
    }
}
