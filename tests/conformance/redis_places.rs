//! Redis in all its forms: a key prefix for each place.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::backends::{Place, Server, WRONG_PASSWORD};
use crate::promises::Scope;
use crate::servers::{Proxy, Running};
use crate::stage::object;

/// How the servers stand to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
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

/// A key prefix.
pub struct Redis {
    form: Form,
    server: Running,
    proxy: Option<Proxy>,
    prefix: String,
    password: Option<&'static str>,
}

impl Redis {
    pub fn new(form: Form, scope: Scope) -> Redis {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let server = match scope {
            // With a failover in between, an outage would be two.
            Scope::Server | Scope::Crash if form == Form::Sentinel => {
                Running::alone(form.recipe(), &["durable", "patient"])
            }
            Scope::Server | Scope::Crash => Running::alone(form.recipe(), &["durable"]),
            Scope::Credentials => Running::alone(form.recipe(), &["password=right"]),
            _ => Running::shared(form.recipe(), &[]),
        };
        let proxy = (scope == Scope::Network).then(|| Proxy::start(server.port()));
        let password = (scope == Scope::Credentials).then_some(WRONG_PASSWORD);
        let prefix = format!("place {}:", PLACES.fetch_add(1, Ordering::Relaxed));
        Redis { form, server, proxy, prefix, password }
    }
}

impl Place for Redis {
    fn options(&self) -> Map<String, Value> {
        let port = self.proxy.as_ref().map_or(self.server.port(), Proxy::port);
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
        self.server.hurtable()
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
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
        let answer = self.server.client_with_input(&commands);
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
