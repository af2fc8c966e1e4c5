//! MySQL and MariaDB: a database for each place.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::backends::{Place, Server, WRONG_PASSWORD};
use crate::promises::Scope;
use crate::servers::{Proxy, Running};
use crate::stage::object;

/// A database.
pub struct Mysql {
    product: &'static str,
    server: Running,
    proxy: Option<Proxy>,
    database: String,
    password: &'static str,
}

impl Mysql {
    /// `product` is the type of the connector and the recipe of its server.
    pub fn new(product: &'static str, scope: Scope) -> Mysql {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let server = match scope {
            Scope::Server | Scope::Crash => Running::alone(product, &[]),
            Scope::Credentials => Running::alone(product, &["password=right"]),
            _ => Running::shared(product, &[]),
        };
        let proxy = (scope == Scope::Network).then(|| Proxy::start(server.port()));
        let password = if scope == Scope::Credentials { WRONG_PASSWORD } else { "secret" };
        let database = format!("records_{}", PLACES.fetch_add(1, Ordering::Relaxed));
        server.client_with_input(&format!("CREATE DATABASE {database};"));
        Mysql { product, server, proxy, database, password }
    }
}

impl Place for Mysql {
    fn options(&self) -> Map<String, Value> {
        object(json!({
            "type": self.product,
            "port": self.proxy.as_ref().map_or(self.server.port(), Proxy::port),
            "user": "connector",
            "password": self.password,
            "database": self.database,
        }))
    }

    fn server(&self) -> Option<&dyn Server> {
        self.server.hurtable()
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
    }

    fn stored_versions(&self, keys: &[String]) -> Vec<Option<i64>> {
        let query = format!("SELECT version, id FROM {}.`default`;", self.database);
        let answer = self.server.client_with_input(&query);
        let stored: HashMap<&str, i64> = answer
            .lines()
            .filter_map(|line| {
                let (version, id) = line.split_once('\t')?;
                Some((id, version.parse().ok()?))
            })
            .collect();
        keys.iter().map(|key| stored.get(key.as_str()).copied()).collect()
    }

    fn accept_credentials(&self) {
        self.server.ctl(&["password", WRONG_PASSWORD]);
        self.server.spend();
    }

    fn heal(&self) {
        self.server.heal();
        if let Some(proxy) = &self.proxy {
            proxy.tell(&["pass"]);
        }
    }
}

impl Drop for Mysql {
    fn drop(&mut self) {
        self.server.heal();
        self.server.client_with_input(&format!("DROP DATABASE {};", self.database));
    }
}
