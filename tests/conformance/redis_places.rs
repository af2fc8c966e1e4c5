//! Redis in all its forms: a key prefix for each place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;

/// How the servers stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Single,
    Cluster,
    Sentinel,
}

impl Form {
    fn recipe(self) -> &'static str {
        match self {
            Form::Single => "redis",
            Form::Cluster => "redis-cluster",
            Form::Sentinel => "redis-sentinel",
        }
    }

    fn address(self, port: u16) -> Value {
        match self {
            Form::Single => json!({"port": port}),
            Form::Cluster => json!({"nodes": [format!("127.0.0.1:{port}")]}),
            Form::Sentinel => json!({"sentinels": [format!("127.0.0.1:{port}")], "name": "records"}),
        }
    }

    /// The name of a record's version in layout V2.
    fn version_name(self, prefix: &str, key: &str) -> String {
        match self {
            Form::Single | Form::Sentinel => format!("{prefix}{key}_v"),
            Form::Cluster => format!("{prefix}{{{key}}}_v"),
        }
    }
}

/// Servers, and proxies before those that connectors talk to, if the network is to be spoiled.
struct Site {
    server: Running,
    proxies: Vec<Proxy>,
}

/// Those with proxies, since servers that announce their addresses have to be told of them.
static PROXIED: Mutex<Vec<(Form, Arc<Site>)>> = Mutex::new(Vec::new());

/// Ends those of a backend.
pub fn end(backend: &str) {
    let mut all = PROXIED.lock().unwrap_or_else(PoisonError::into_inner);
    let ended: Vec<_> = all.extract_if(.., |(form, _)| form.recipe() == backend).collect();
    // That takes its time.
    drop(all);
    drop(ended);
}

impl Site {
    fn without_proxies(server: Running) -> Arc<Site> {
        Arc::new(Site { server, proxies: Vec::new() })
    }

    /// One that nobody else uses meanwhile.
    fn with_proxies(form: Form) -> Arc<Site> {
        let free = |(other, site): &&(Form, Arc<Site>)| *other == form && Arc::strong_count(site) == 1;
        let all = PROXIED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, site)) = all.iter().find(free) {
            // A promise that was broken may have left them as they were.
            site.proxies.iter().for_each(|proxy| proxy.tell(&["pass"]));
            return Arc::clone(site);
        }
        drop(all);
        let site = Arc::new(match form {
            Form::Single => {
                let server = Running::shared(form.recipe(), &[]);
                Site { proxies: vec![Proxy::start(server.port())], server }
            }
            Form::Cluster => proxied_cluster(),
            Form::Sentinel => proxied_sentinels(),
        });
        PROXIED.lock().unwrap_or_else(PoisonError::into_inner).push((form, Arc::clone(&site)));
        site
    }
}

/// Primaries that announce the ports of proxies, to each other as well.
fn proxied_cluster() -> Site {
    let server = Running::alone(Form::Cluster.recipe(), &[]);
    let primaries = ["0", "1", "2"];
    let proxies = primaries.map(|node| Proxy::start(port_of(&server, node)));
    for (node, proxy) in primaries.iter().zip(&proxies) {
        let port = proxy.port().to_string();
        assert_eq!(server.ctl(&["node", node, "CONFIG", "SET", "cluster-announce-port", &port]), "OK");
    }
    let ports: Vec<String> = proxies.iter().map(|proxy| proxy.port().to_string()).collect();
    wait_until("all nodes know of the proxies", || {
        primaries.iter().all(|node| {
            let slots = server.ctl(&["node", node, "CLUSTER", "SLOTS"]);
            ports.iter().all(|port| slots.lines().any(|line| line == port))
        })
    });
    Site { server, proxies: proxies.into() }
}

/// A sentinel behind a proxy that knows the primary behind another one.
fn proxied_sentinels() -> Site {
    let server = Running::alone(Form::Sentinel.recipe(), &["patient"]);
    let proxies = ["0", "3"].map(|node| Proxy::start(port_of(&server, node)));
    let primary = proxies[1].port().to_string();
    for words in [
        &["REMOVE", "records"][..],
        &["MONITOR", "records", "127.0.0.1", &primary, "2"],
        &["SET", "records", "down-after-milliseconds", "600000"],
    ] {
        assert_eq!(server.ctl(&[&["node", "0", "SENTINEL"], words].concat()), "OK");
    }
    Site { server, proxies: proxies.into() }
}

fn port_of(server: &Running, node: &str) -> u16 {
    server.ctl(&["port", node]).parse().expect("a port is a number")
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A key prefix.
pub struct Redis {
    form: Form,
    site: Arc<Site>,
    prefix: String,
    password: Option<&'static str>,
}

impl Redis {
    pub fn new(form: Form, scope: Scope) -> Redis {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let alone = |variants| Site::without_proxies(Running::alone(form.recipe(), variants));
        let site = match scope {
            // With a failover in between, an outage would be two.
            Scope::Server | Scope::Crash if form == Form::Sentinel => alone(&["durable", "patient"]),
            Scope::Server | Scope::Crash => alone(&["durable"]),
            Scope::Credentials => alone(&["password=right"]),
            Scope::Network => Site::with_proxies(form),
            _ => Site::without_proxies(Running::shared(form.recipe(), &[])),
        };
        let password = (scope == Scope::Credentials).then_some(WRONG_PASSWORD);
        let prefix = format!("place {}:", PLACES.fetch_add(1, Ordering::Relaxed));
        Redis { form, site, prefix, password }
    }
}

impl Place for Redis {
    fn options(&self) -> Map<String, Value> {
        let port = self.site.proxies.first().map_or(self.site.server.port(), Proxy::port);
        let mut options = object(json!({"type": "redis", "keyPrefix": self.prefix}));
        options.extend(object(self.form.address(port)));
        if let Some(password) = self.password {
            options.insert("password".into(), json!(password));
            if self.form == Form::Sentinel {
                options.insert("sentinelPassword".into(), json!("right"));
            }
        }
        options
    }

    fn server(&self) -> Option<&dyn Server> {
        self.site.server.hurtable()
    }

    fn spoil_network(&self, words: &[&str]) {
        assert!(!self.site.proxies.is_empty(), "the suite gives them to those who ask");
        self.site.proxies.iter().for_each(|proxy| proxy.tell(words));
    }

    fn stored_versions(&self, keys: &[String]) -> Vec<Option<i64>> {
        // The version by itself in layout V2, and the whole record in V1: hosts differ in theirs.
        let commands: String = keys
            .iter()
            .map(|key| {
                let (v2, v1) = (self.form.version_name(&self.prefix, key), format!("{}{key}", self.prefix));
                format!("GET \"{v2}\"\nGET \"{v1}\"\n")
            })
            .collect();
        // One line each, an empty one where there is nothing.
        let answer = self.site.server.client_with_input(&commands);
        let lines: Vec<&str> = answer.trim_end_matches('\n').split('\n').collect();
        let version = |index: usize| {
            let v2 = lines.get(2 * index)?;
            let v1 = lines.get(2 * index + 1).copied().unwrap_or_default();
            let enveloped = || v1.strip_prefix("{\"_v\":")?.split(',').next()?.parse().ok();
            v2.parse().ok().or_else(enveloped)
        };
        (0..keys.len()).map(version).collect()
    }

    fn accept_credentials(&self) {
        self.site.server.ctl(&["password", WRONG_PASSWORD]);
        self.site.server.spend();
    }

    fn heal(&self) {
        self.site.server.heal();
        self.site.proxies.iter().for_each(|proxy| proxy.tell(&["pass"]));
    }
}
