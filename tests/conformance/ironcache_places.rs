//! IronCache, or rather our stand-in for it: a cache for each place.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;

/// A cache.
pub struct IronCache {
    server: Running,
    proxy: Option<Proxy>,
    cache: String,
    token: &'static str,
}

impl IronCache {
    pub fn new(scope: Scope) -> IronCache {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let server = match scope {
            Scope::Server => Running::alone("ironcache", &["durable"]),
            Scope::Credentials => Running::alone("ironcache", &[]),
            _ => Running::shared("ironcache", &[]),
        };
        let proxy = (scope == Scope::Network).then(|| Proxy::start(server.port()));
        let token = if scope == Scope::Credentials { WRONG_PASSWORD } else { "right" };
        let cache = format!("place {}", PLACES.fetch_add(1, Ordering::Relaxed));
        IronCache { server, proxy, cache, token }
    }
}

impl Place for IronCache {
    fn options(&self) -> Map<String, Value> {
        object(json!({
            "type": "ironcache",
            "project_id": "project",
            "token": self.token,
            "cache": self.cache,
            "protocol": "http",
            "host": "127.0.0.1",
            "port": self.proxy.as_ref().map_or(self.server.port(), Proxy::port),
        }))
    }

    fn server(&self) -> Option<&dyn Server> {
        self.server.hurtable()
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
    }

    fn credentials(&self) -> &'static str {
        "token"
    }

    fn soon(&self) -> u64 {
        3_000
    }

    /// One request each, to a server in Node.js.
    fn soon_done(&self) -> usize {
        50
    }

    fn misses_idle_connections(&self) -> bool {
        false
    }

    fn accept_credentials(&self) {
        self.server.ctl(&["token", WRONG_PASSWORD]);
        self.server.spend();
    }

    fn heal(&self) {
        self.server.heal();
        if let Some(proxy) = &self.proxy {
            proxy.tell(&["pass"]);
        }
    }
}
