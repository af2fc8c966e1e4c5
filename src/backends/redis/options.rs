//! The options of the Redis backend.

use crate::config::{wrong, OptionKind, OptionSpec, Settings};
use crate::core::Error;
use crate::net::fleet::Node;
use crate::net::tls;

/// The port of Redis and Valkey.
pub(in crate::backends) const DEFAULT_PORT: u16 = 6379;

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec { name: "host", kind: OptionKind::Host, default: "127.0.0.1", meaning: "Host name or address." },
    OptionSpec { name: "port", kind: OptionKind::Integer(1, 65535), default: "6379", meaning: "TCP port." },
    OptionSpec { name: "path", kind: OptionKind::Text, default: "none", meaning: "Unix socket, instead of host and port." },
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "ACL user." },
    OptionSpec { name: "password", kind: OptionKind::Text, default: "none", meaning: "Password of the user, or of the server." },
    OptionSpec { name: "db", kind: OptionKind::Integer(0, i32::MAX as i64), default: "0", meaning: "Database number." },
    OptionSpec {
        name: "url",
        kind: OptionKind::Text,
        default: "none",
        meaning: "`redis://user:password@host:port/db`, `rediss://…` for TLS, or `unix:///path?db=0`; options beside it win over its parts.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "false",
        meaning: "`true`, or an object: see the TLS options.",
    },
    OptionSpec { name: "keyPrefix", kind: OptionKind::Text, default: "none", meaning: "Put before every key." },
    OptionSpec {
        name: "ttl",
        kind: OptionKind::Integer(1, 1 << 40),
        default: "none",
        meaning: "Seconds after its last `set` at which a record is gone; version and data go together.",
    },
    OptionSpec {
        name: "layout",
        kind: OptionKind::Choice(&["V1", "V2"]),
        default: "V2; V1 for a classic deepstream server",
        meaning: "`V2` is the layout of `@deepstream/cache-redis`, `V1` that of `deepstream.io-cache-redis`.",
    },
    OptionSpec {
        name: "sentinels",
        kind: OptionKind::Servers,
        default: "none",
        meaning: "Redis Sentinel: the sentinels, as `host:port`, a list of such texts, or of objects with `host` and `port`; port 26379 unless given.",
    },
    OptionSpec {
        name: "name",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Redis Sentinel: the name under which the sentinels know the primary, such as `mymaster`.",
    },
    OptionSpec {
        name: "sentinelUser",
        kind: OptionKind::Text,
        default: "none",
        meaning: "ACL user at the sentinels.",
    },
    OptionSpec {
        name: "sentinelPassword",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Password of that user, or of the sentinels.",
    },
    OptionSpec {
        name: "sentinelTLS",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "as `tls`",
        meaning: "TLS to the sentinels, where it is not that to the servers: `true`, `false`, or an object like `tls`.",
    },
    OptionSpec {
        name: "nodes",
        kind: OptionKind::Servers,
        default: "none",
        meaning: "Redis Cluster: some of its nodes, as `host:port`, a list of such texts, or of objects with `host` and `port`; the others are found through them.",
    },
    OptionSpec {
        name: "redisOptions",
        kind: OptionKind::Object(NODE_OPTIONS),
        default: "none",
        meaning: "Redis Cluster: login and TLS of all nodes, in an object as ioredis has it; they may as well stand beside it.",
    },
    OptionSpec {
        name: "readFrom",
        kind: OptionKind::Choice(&["primary", "replica"]),
        default: "primary",
        meaning: "`replica` reads from replicas while one answers, those that a cluster or a primary of Sentinel names, or those in `replicas`; what others wrote a moment ago may be missing there, what this connector wrote is not.",
    },
    OptionSpec {
        name: "replicas",
        kind: OptionKind::Servers,
        default: "none",
        meaning: "Replicas of a single server for `readFrom`, as `host:port`, a list of such texts, or of objects with `host` and `port`; or the one address behind which they are.",
    },
    OptionSpec {
        name: "waitReplicas",
        kind: OptionKind::Integer(0, 1000),
        default: "0",
        meaning: "How many replicas must have a write before it is acknowledged (`WAIT`, once for each batch).",
    },
    OptionSpec {
        name: "waitTimeout",
        kind: OptionKind::Integer(1, 3_600_000),
        default: "1000",
        meaning: "How long one attempt waits for `waitReplicas`, in milliseconds; the write is tried again until its deadline.",
    },
];

/// The options inside `redisOptions`.
const NODE_OPTIONS: &[OptionSpec] = &[
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "ACL user." },
    OptionSpec {
        name: "password",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Password of the user, or of the servers.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "false",
        meaning: "`true`, or an object: see the TLS options.",
    },
    OptionSpec {
        name: "keyPrefix",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Put before every key.",
    },
];

const CLUSTER_OPTIONS: &[&str] = &["redisOptions"];
const SENTINEL_OPTIONS: &[&str] = &["name", "sentinelUser", "sentinelPassword", "sentinelTLS"];
const STANDALONE_OPTIONS: &[&str] = &["host", "port", "path", "url", "replicas"];

/// The addresses in an option that takes no weights; `what` they are, for the message.
pub(super) fn nodes(
    settings: &Settings,
    name: &str,
    what: &str,
    default_port: u16,
) -> Result<Vec<Node>, Error> {
    settings
        .servers(name)
        .into_iter()
        .map(|server| match server.weight {
            Some(_) => Err(wrong(format!("{what} have no weights; give \"{name}\" as a list"))),
            None => Ok(Node { host: server.host, port: server.port.unwrap_or(default_port) }),
        })
        .collect()
}

/// Refuses options that contradict another one.
fn refuse(settings: &Settings, names: &[&str], how: &str) -> Result<(), Error> {
    match names.iter().find(|name| settings.has(name)) {
        Some(name) => Err(wrong(format!("the option \"{name}\" {how}; leave one of them out"))),
        None => Ok(()),
    }
}

/// Refuses options that mean nothing without another one, which is absent.
fn need(settings: &Settings, names: &[&str], beside: &str) -> Result<(), Error> {
    match names.iter().find(|name| settings.has(name)) {
        Some(name) => Err(wrong(format!(
            "the option \"{name}\" needs \"{beside}\" beside it; give that too, or leave it out"
        ))),
        None => Ok(()),
    }
}

/// Refuses options of a cluster or of sentinels.
pub(super) fn check_standalone(settings: &Settings) -> Result<(), Error> {
    need(settings, CLUSTER_OPTIONS, "nodes")?;
    need(settings, SENTINEL_OPTIONS, "sentinels")?;
    if reads_from_replicas(settings) && !settings.has("replicas") {
        return Err(wrong("the option \"readFrom\" is \"replica\", but nobody says where the replicas of a single server are; give \"replicas\", or \"sentinels\", or \"nodes\" of a cluster"));
    }
    Ok(())
}

/// Whether reads go to replicas.
pub(super) fn reads_from_replicas(settings: &Settings) -> bool {
    settings.text("readFrom") == Some("replica")
}

/// Refuses options of a cluster or of a standalone server.
pub(super) fn check_sentinel(settings: &Settings) -> Result<(), Error> {
    need(settings, CLUSTER_OPTIONS, "nodes")?;
    refuse(settings, STANDALONE_OPTIONS, "and \"sentinels\" exclude each other")
}

/// The options of the connections to the sentinels, by the names that a server's have.
pub(super) fn for_sentinels(settings: &Settings) -> Settings {
    let tls = if settings.has("sentinelTLS") { "sentinelTLS" } else { "tls" };
    settings.renamed(&[("sentinelUser", "user"), ("sentinelPassword", "password"), (tls, "tls")])
}

/// One set of options from `redisOptions` and what stands beside it.
///
/// # Errors
/// An option that a cluster cannot have, or that is given twice.
pub(super) fn for_cluster(settings: &Settings) -> Result<Settings, Error> {
    refuse(settings, STANDALONE_OPTIONS, "and \"nodes\" exclude each other")?;
    refuse(settings, &["sentinels"], "and \"nodes\" exclude each other")?;
    need(settings, SENTINEL_OPTIONS, "sentinels")?;
    if settings.integer("db").is_some_and(|db| db != 0) {
        return Err(wrong("a Redis Cluster has the database 0 alone; leave the option \"db\" out"));
    }
    let Some(inner) = settings.object("redisOptions") else { return Ok(settings.clone()) };
    settings.with(&inner).map_err(|name| {
        wrong(format!(
            "the option \"{name}\" stands at the top and in \"redisOptions\"; leave one of them out"
        ))
    })
}
