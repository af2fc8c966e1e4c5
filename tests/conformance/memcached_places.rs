//! memcached: a namespace for each place, on two servers where none is hurt.
//!
//! What a crash leaves of memcached's records is nothing, so the promises about crashes are not
//! for it; where a server goes and comes back with what it had, it ends of its own accord and
//! keeps its memory in a file.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;

/// The language between connector and server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Meta,
    /// After a SASL login, the binary one.
    Sasl,
}

type Variants = &'static [&'static str];

/// Room for the largest records of all promises, with another number of threads so that there
/// are two servers.
const LARGE: [Variants; 2] =
    [&["--", "-I", "128m", "-m", "1024"], &["--", "-I", "128m", "-m", "1024", "-t", "2"]];
const LARGE_SASL: [Variants; 2] =
    [&["sasl", "--", "-I", "128m", "-m", "1024"], &["sasl", "--", "-I", "128m", "-m", "1024", "-t", "2"]];

/// A namespace.
pub struct Memcached {
    protocol: Protocol,
    servers: Vec<Running>,
    proxy: Option<Proxy>,
    namespace: String,
    password: &'static str,
}

impl Memcached {
    pub fn new(protocol: Protocol, scope: Scope) -> Memcached {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let sasl = protocol == Protocol::Sasl;
        let servers = match scope {
            Scope::Server => vec![Running::alone("memcached", &["kept", "--", "-I", "16m", "-m", "64"])],
            Scope::Network => vec![Running::shared("memcached", LARGE[0])],
            Scope::Credentials => {
                vec![Running::alone("memcached", if sasl { &["sasl"] } else { &["ascii"] })]
            }
            _ => {
                let variants = if sasl { LARGE_SASL } else { LARGE };
                variants.map(|variants| Running::shared("memcached", variants)).into()
            }
        };
        let proxy = (scope == Scope::Network).then(|| Proxy::start(servers[0].port()));
        let namespace = format!("place{}:", PLACES.fetch_add(1, Ordering::Relaxed));
        let password = match (scope, protocol) {
            (Scope::Credentials, _) => WRONG_PASSWORD,
            (_, Protocol::Sasl) => "secret",
            (_, Protocol::Meta) => "",
        };
        Memcached { protocol, servers, proxy, namespace, password }
    }
}

impl Place for Memcached {
    fn options(&self) -> Map<String, Value> {
        let ports: Vec<u16> = match &self.proxy {
            Some(proxy) => vec![proxy.port()],
            None => self.servers.iter().map(Running::port).collect(),
        };
        let locations: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut options = object(json!({
            "type": "memcached",
            "serverLocation": locations,
            "memcachedOptions": {"namespace": self.namespace},
        }));
        if !self.password.is_empty() {
            options.extend(object(json!({"username": "connector", "password": self.password})));
        }
        if self.protocol == Protocol::Sasl {
            options.insert("authentication".into(), json!("sasl"));
        }
        options
    }

    fn server(&self) -> Option<&dyn Server> {
        self.servers[0].hurtable().map(|_| self as &dyn Server)
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
    }

    fn accept_credentials(&self) {
        self.servers[0].ctl(&["password", WRONG_PASSWORD]);
        self.servers[0].spend();
    }

    fn heal(&self) {
        self.servers.iter().for_each(Running::heal);
        if let Some(proxy) = &self.proxy {
            proxy.tell(&["pass"]);
        }
    }
}

impl Server for Memcached {
    fn freeze(&self) {
        self.servers[0].freeze();
    }

    fn thaw(&self) {
        self.servers[0].thaw();
    }

    fn kill(&self) {
        self.servers[0].end_by("end");
    }

    fn restart(&self) {
        self.servers[0].restart();
    }
}
