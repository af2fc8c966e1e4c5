//! Cassandra: a key prefix for each place, in one table of a server that nearly all share.
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
    /// A user of this place alone, whose password is not what the connector is told.
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
        if let Some(user) = &user {
            let role =
                format!("CREATE ROLE {user} WITH PASSWORD = 'right' AND LOGIN = true AND SUPERUSER = true");
            server.client_with_input(&role);
        }
        Cassandra { server, proxy, prefix: format!("place {number}:"), user }
    }
}

impl Place for Cassandra {
    fn options(&self) -> Map<String, Value> {
        let port = self.proxy.as_ref().map_or(self.server.port(), Proxy::port);
        let mut options = object(json!({
            "type": "cassandra", "port": port, "keyspace": "conformance", "replication": 1, "keyPrefix": self.prefix,
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
        self.server.client_with_input(&format!("ALTER ROLE {user} WITH PASSWORD = '{WRONG_PASSWORD}'"));
    }

    fn heal(&self) {
        self.server.heal();
        if let Some(proxy) = &self.proxy {
            Server::thaw(proxy);
            proxy.tell(&["pass"]);
        }
    }
}
