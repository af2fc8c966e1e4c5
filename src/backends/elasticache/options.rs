//! The options of the ElastiCache backend, and what they are to the backend behind it.

use crate::backends::{memcached, redis};
use crate::config::{wrong, OptionKind, OptionSpec, Settings};
use crate::core::Error;
use crate::net::fleet::Node;
use crate::net::{renewal, tls};

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "engine",
        kind: OptionKind::Choice(&["redis", "valkey", "memcached"]),
        default: "redis",
        meaning: "What runs on the cluster's nodes.",
    },
    OptionSpec {
        name: "configurationEndpoint",
        kind: OptionKind::Servers,
        default: "none",
        meaning: "`host:port` of the configuration endpoint: of a memcached cluster, or of a Redis or Valkey one with cluster mode.",
    },
    OptionSpec {
        name: "primaryEndpoint",
        kind: OptionKind::Servers,
        default: "none",
        meaning: "Redis and Valkey without cluster mode: `host:port` of the primary endpoint.",
    },
    OptionSpec {
        name: "readerEndpoint",
        kind: OptionKind::Servers,
        default: "none",
        meaning: "Redis and Valkey without cluster mode: `host:port` of the reader endpoint, for `readFrom`.",
    },
    OptionSpec {
        name: "readFrom",
        kind: OptionKind::Choice(&["primary", "replica"]),
        default: "primary",
        meaning: "Redis and Valkey: `replica` reads from replicas, those of cluster mode or those behind `readerEndpoint`; see the backend `redis`.",
    },
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "Redis and Valkey: the user." },
    OptionSpec {
        name: "password",
        kind: OptionKind::Secret,
        default: "none",
        meaning: "Redis and Valkey: the user's password, or the AUTH token.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "true with a `password`, else false",
        meaning: "Encryption in transit: `true`, or an object: see the TLS options.",
    },
    OptionSpec {
        name: "discoveryInterval",
        kind: OptionKind::Integer(100, 86_400_000),
        default: "60000",
        meaning: "memcached: how often the cluster is asked for its nodes, in milliseconds; every 5 seconds while one is away.",
    },
    OptionSpec { name: "db", kind: OptionKind::Integer(0, i32::MAX as i64), default: "0", meaning: "Redis and Valkey without cluster mode: database number." },
    OptionSpec { name: "keyPrefix", kind: OptionKind::Text, default: "none", meaning: "Redis and Valkey: put before every key." },
    OptionSpec {
        name: "ttl",
        kind: OptionKind::Integer(0, 1 << 40),
        default: "0",
        meaning: "Redis and Valkey: seconds after its last `set` at which a record is gone; 0 is never.",
    },
    OptionSpec {
        name: "layout",
        kind: OptionKind::Choice(&["V1", "V2"]),
        default: "V2; V1 for a classic deepstream server",
        meaning: "As `layout` of the backend `redis` or `memcached`.",
    },
    OptionSpec {
        name: "waitReplicas",
        kind: OptionKind::Integer(0, 1000),
        default: "0",
        meaning: "Redis and Valkey: how many replicas must have a write before it is acknowledged (`WAIT`, once for each batch).",
    },
    OptionSpec {
        name: "waitTimeout",
        kind: OptionKind::Integer(1, 3_600_000),
        default: "1000",
        meaning: "Redis and Valkey: how long one attempt waits for `waitReplicas`, in milliseconds.",
    },
    OptionSpec {
        name: "lifetime",
        kind: OptionKind::Integer(0, 1 << 31),
        default: "0",
        meaning: "memcached: seconds after its last `set` at which a record is gone; 0 is never.",
    },
    OptionSpec {
        name: "failover",
        kind: OptionKind::Flag,
        default: "false",
        meaning: "memcached: whether the keys of a node that is away go to the next one on the ring until it is back.",
    },
    renewal::PING_INTERVAL,
    OptionSpec {
        name: "memcachedOptions",
        kind: OptionKind::Object(memcached::options::CLIENT_OPTIONS),
        default: "none",
        meaning: "memcached: options of the npm client `memcached`.",
    },
];

const REDIS_OPTIONS: &[&str] =
    &["primaryEndpoint", "user", "password", "db", "keyPrefix", "ttl", "waitReplicas", "waitTimeout"];
const MEMCACHED_OPTIONS: &[&str] = &["discoveryInterval", "lifetime", "failover", "memcachedOptions"];

/// The engine on the cluster's nodes, with the options of its backend.
pub(super) enum Engine {
    Redis(Settings),
    /// With the configuration endpoint.
    Memcached(Settings, Node),
}

/// Finds out what the options ask for.
///
/// # Errors
/// No endpoint, two of them, or an option that is not of this engine.
pub(super) fn engine(settings: &Settings) -> Result<Engine, Error> {
    let is_memcached = settings.text("engine") == Some("memcached");
    let (engine, others) =
        if is_memcached { ("memcached", REDIS_OPTIONS) } else { ("redis", MEMCACHED_OPTIONS) };
    if let Some(name) = others.iter().find(|name| settings.has(name)) {
        return Err(wrong(format!(
            "the option \"{name}\" is not of the engine {engine}; leave it out, or give another \"engine\""
        )));
    }
    let configuration = endpoint(settings, "configurationEndpoint", engine)?;
    let primary = endpoint(settings, "primaryEndpoint", engine)?;
    let reader = endpoint(settings, "readerEndpoint", engine)?;
    match (configuration, primary) {
        (Some(endpoint), None) if is_memcached => Ok(Engine::Memcached(settings.clone(), endpoint)),
        (Some(_), None) if reader.is_some() => Err(wrong(
            "the options \"configurationEndpoint\" (cluster mode) and \"readerEndpoint\" exclude each other; leave one of them out",
        )),
        (Some(endpoint), None) => {
            Ok(Engine::Redis(protected(settings)?.having("nodes", vec![endpoint.to_string()])))
        }
        (None, Some(Node { host, port })) => {
            let single = protected(settings)?.having("host", host).having("port", port);
            match (reader, settings.text("readFrom") == Some("replica")) {
                (Some(reader), true) => Ok(Engine::Redis(single.having("replicas", vec![reader.to_string()]))),
                (None, false) => Ok(Engine::Redis(single)),
                (Some(_), false) => Err(wrong(
                    "the option \"readerEndpoint\" needs \"readFrom\": \"replica\" beside it; give that too, or leave it out",
                )),
                (None, true) => Err(wrong(
                    "the option \"readFrom\" is \"replica\", but nobody says where the replicas are; give \"readerEndpoint\"",
                )),
            }
        }
        (Some(_), Some(_)) => Err(wrong(
            "the options \"configurationEndpoint\" (cluster mode) and \"primaryEndpoint\" exclude each other; leave one of them out",
        )),
        (None, None) if is_memcached => {
            Err(wrong("the option \"configurationEndpoint\" is missing; give the memcached cluster's"))
        }
        (None, None) => Err(wrong(
            "give the option \"configurationEndpoint\" (cluster mode), or \"primaryEndpoint\" (without it)",
        )),
    }
}

fn endpoint(settings: &Settings, name: &str, engine: &str) -> Result<Option<Node>, Error> {
    let default_port = match engine {
        "memcached" => memcached::hash_ring::DEFAULT_PORT,
        _ => redis::options::DEFAULT_PORT,
    };
    let mut servers = settings.servers(name);
    match (servers.pop(), servers.pop()) {
        (Some(server), None) => {
            Ok(Some(Node { host: server.host, port: server.port.unwrap_or(default_port) }))
        }
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(wrong(format!(
            "the option \"{name}\" names several servers; a cluster has one such endpoint"
        ))),
    }
}

/// With TLS where there is a password, since ElastiCache takes none without it.
fn protected(settings: &Settings) -> Result<Settings, Error> {
    match (settings.has("password"), settings.flag("tls")) {
        (true, Some(false)) => Err(wrong(
            "ElastiCache takes a \"password\" over TLS alone; leave the option \"tls\" out, or the password",
        )),
        (true, _) if !settings.has("tls") => Ok(settings.having("tls", true)),
        _ => Ok(settings.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;

    fn engine_of(options: Value) -> Result<Engine, Error> {
        let Value::Object(options) = options else { panic!("it is an object") };
        engine(&Settings::check(options, "elasticache", OPTIONS)?)
    }

    fn refusal(options: Value) -> String {
        engine_of(options).err().unwrap().message().to_owned()
    }

    #[test]
    fn an_endpoint_is_the_place_of_a_backend() {
        let Ok(Engine::Redis(inner)) =
            engine_of(json!({"primaryEndpoint": "master.c.cache.amazonaws.com:6380"}))
        else {
            panic!("it is Redis")
        };
        assert_eq!(
            (inner.text("host"), inner.integer("port")),
            (Some("master.c.cache.amazonaws.com"), Some(6380))
        );
        assert!(!inner.has("tls"));
        let reader = json!({"primaryEndpoint": "p", "readerEndpoint": "r", "readFrom": "replica"});
        let Ok(Engine::Redis(inner)) = engine_of(reader) else { panic!("it is Redis") };
        assert_eq!(inner.servers("replicas")[0].host, "r");
        let Ok(Engine::Redis(inner)) =
            engine_of(json!({"engine": "valkey", "configurationEndpoint": "clustercfg.c", "password": "x"}))
        else {
            panic!("it is Redis")
        };
        assert_eq!(inner.servers("nodes")[0].port, Some(6379));
        assert_eq!(inner.flag("tls"), Some(true), "a password goes over TLS alone");
        let Ok(Engine::Memcached(_, endpoint)) =
            engine_of(json!({"engine": "memcached", "configurationEndpoint": "c.cfg"}))
        else {
            panic!("it is memcached")
        };
        assert_eq!(endpoint, Node { host: "c.cfg".into(), port: 11211 });
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        assert!(refusal(json!({})).contains("\"configurationEndpoint\""));
        assert!(refusal(json!({"engine": "memcached"})).contains("\"configurationEndpoint\""));
        assert!(refusal(json!({"configurationEndpoint": "a", "primaryEndpoint": "b"})).contains("exclude"));
        assert!(refusal(json!({"configurationEndpoint": "a", "readerEndpoint": "b"})).contains("exclude"));
        assert!(refusal(json!({"primaryEndpoint": "a", "readerEndpoint": "b"})).contains("\"readFrom\""));
        assert!(
            refusal(json!({"primaryEndpoint": "a", "readFrom": "replica"})).contains("\"readerEndpoint\"")
        );
        assert!(refusal(json!({"primaryEndpoint": "a,b"})).contains("several"));
        assert!(refusal(json!({"primaryEndpoint": "a", "lifetime": 7})).contains("\"lifetime\""));
        let password = json!({"engine": "memcached", "configurationEndpoint": "a", "password": "hunter2"});
        assert!(refusal(password.clone()).contains("\"password\"") && !refusal(password).contains("hunter2"));
        let plain = json!({"primaryEndpoint": "a", "password": "hunter2", "tls": false});
        assert!(refusal(plain).contains("\"tls\""));
    }
}
