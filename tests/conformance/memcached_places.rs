//! memcached: a namespace for each place, on two servers where none is hurt.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::backends::{Place, Server};
use crate::promises::Scope;
use crate::servers::{Proxy, Running};
use crate::stage::object;

/// Room for the largest records of all promises.
const LARGE: &[&str] = &["--", "-I", "128m", "-m", "1024"];
const LARGE_TOO: &[&str] = &["--", "-I", "128m", "-m", "1024", "-t", "2"];

/// A namespace.
pub struct Memcached {
    servers: Vec<Running>,
    proxy: Option<Proxy>,
    namespace: String,
}

impl Memcached {
    pub fn new(scope: Scope) -> Memcached {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let servers = match scope {
            Scope::Server => vec![Running::alone("memcached", LARGE)],
            Scope::Network => vec![Running::shared("memcached", LARGE)],
            _ => [LARGE, LARGE_TOO].map(|options| Running::shared("memcached", options)).into(),
        };
        let proxy = (scope == Scope::Network).then(|| Proxy::start(servers[0].port()));
        let namespace = format!("place{}:", PLACES.fetch_add(1, Ordering::Relaxed));
        Memcached { servers, proxy, namespace }
    }
}

impl Place for Memcached {
    fn options(&self) -> Map<String, Value> {
        let ports: Vec<u16> = match &self.proxy {
            Some(proxy) => vec![proxy.port()],
            None => self.servers.iter().map(Running::port).collect(),
        };
        let locations: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        object(json!({
            "type": "memcached",
            "serverLocation": locations,
            "memcachedOptions": {"namespace": self.namespace},
        }))
    }

    fn server(&self) -> Option<&dyn Server> {
        self.servers[0].hurtable()
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
    }

    fn heal(&self) {
        self.servers.iter().for_each(Running::heal);
        if let Some(proxy) = &self.proxy {
            proxy.tell(&["pass"]);
        }
    }
}
