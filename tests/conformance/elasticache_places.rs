//! Amazon ElastiCache, as far as it can be had here: a Redis with a password over TLS, and two
//! memcached servers behind a stub of the discovery.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::Running;
use crate::conformance::stage::object;
use crate::support::certificates;

static PLACES: AtomicU64 = AtomicU64::new(1);

/// A key prefix on Redis.
pub struct ByRedis {
    server: Running,
    prefix: String,
    password: &'static str,
}

impl ByRedis {
    pub fn new(scope: Scope) -> ByRedis {
        let server = match scope {
            Scope::Server => Running::alone("redis", &["durable", "tls", "password=secret"]),
            Scope::Credentials => Running::alone("redis", &["tls", "password=right"]),
            _ => Running::shared("redis", &["tls", "password=secret"]),
        };
        let prefix = format!("place {}:", PLACES.fetch_add(1, Ordering::Relaxed));
        let password = if scope == Scope::Credentials { WRONG_PASSWORD } else { "secret" };
        ByRedis { server, prefix, password }
    }
}

impl Place for ByRedis {
    fn options(&self) -> Map<String, Value> {
        object(json!({
            "type": "elasticache",
            "primaryEndpoint": format!("127.0.0.1:{}", self.server.port()),
            "password": self.password,
            "tls": {"ca": certificates().join("ca.crt")},
            "keyPrefix": self.prefix,
        }))
    }

    fn server(&self) -> Option<&dyn Server> {
        self.server.hurtable()
    }

    fn accept_credentials(&self) {
        self.server.ctl(&["password", WRONG_PASSWORD]);
        self.server.spend();
    }

    fn heal(&self) {
        self.server.heal();
    }
}

/// A namespace on memcached.
pub struct ByMemcached {
    endpoint: Running,
    nodes: [Running; 2],
    namespace: String,
}

const LARGE: &[&str] = &["--", "-I", "128m", "-m", "1024"];
const LARGE_TOO: &[&str] = &["--", "-I", "128m", "-m", "1024", "-t", "2"];

impl ByMemcached {
    pub fn new() -> ByMemcached {
        static NAMED: OnceLock<()> = OnceLock::new();
        let nodes = [LARGE, LARGE_TOO].map(|options| Running::shared("memcached", options));
        let endpoint = Running::shared("elasticache", &[]);
        NAMED.get_or_init(|| {
            let places = nodes.each_ref().map(|node| format!("127.0.0.1:{}", node.port()));
            endpoint.ctl(&["nodes", &places[0], &places[1]]);
        });
        // The promises of the backend `memcached` are held at the same servers.
        let namespace = format!("elasticache{}:", PLACES.fetch_add(1, Ordering::Relaxed));
        ByMemcached { endpoint, nodes, namespace }
    }
}

impl Place for ByMemcached {
    fn options(&self) -> Map<String, Value> {
        object(json!({
            "type": "elasticache",
            "engine": "memcached",
            "configurationEndpoint": format!("127.0.0.1:{}", self.endpoint.port()),
            "memcachedOptions": {"namespace": self.namespace},
        }))
    }

    fn heal(&self) {
        self.nodes.iter().for_each(Running::heal);
    }
}
