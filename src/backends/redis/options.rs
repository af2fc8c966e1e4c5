//! The options of the Redis backend.

use crate::config::{wrong, OptionKind, OptionSpec, Settings};
use crate::core::Error;
use crate::net::fleet::Node;
use crate::net::{renewal, tls};

/// The port of Redis and Valkey.
pub(in crate::backends) const DEFAULT_PORT: u16 = 6379;

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec { name: "host", kind: OptionKind::Host, default: "127.0.0.1", meaning: "Host name or address." },
    OptionSpec { name: "port", kind: OptionKind::Integer(1, 65535), default: "6379", meaning: "TCP port." },
    OptionSpec { name: "path", kind: OptionKind::Text, default: "none", meaning: "Unix socket, instead of host and port." },
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "ACL user." },
    OptionSpec { name: "password", kind: OptionKind::Secret, default: "none", meaning: "Password of the user, or of the server." },
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
        kind: OptionKind::Integer(0, 1 << 40),
        default: "0",
        meaning: "Seconds after its last `set` at which a record is gone, 0 is never; version and data go together.",
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
        kind: OptionKind::Secret,
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
        kind: OptionKind::Nodes,
        default: "none",
        meaning: "Redis Cluster: some of its nodes, as `host:port`, a list of such texts, or of objects with `host` (127.0.0.1 unless given), `port`, and `username` and `password` if the node has its own; the others are found through them, and have the login in `redisOptions` or beside it, else that of the first node.",
    },
    OptionSpec {
        name: "scaleReads",
        kind: OptionKind::Choice(&["master", "slave", "all"]),
        default: "master",
        meaning: "Redis Cluster: ioredis's `readFrom`, which wins over it. `slave` and `all` read from replicas.",
    },
    OptionSpec {
        name: "maxRedirections",
        kind: OptionKind::Integer(0, 1000),
        default: "16",
        meaning: "Redis Cluster: how often the commands for one record are redirected in a row before they wait a moment.",
    },
    OptionSpec {
        name: "natMap",
        kind: OptionKind::AddressMap,
        default: "none",
        meaning: "Redis Cluster and Sentinel: for each `host:port` that the servers tell, the one to dial, as text or as an object with `host` and `port`.",
    },
    OptionSpec {
        name: "role",
        kind: OptionKind::Choice(&["master", "slave"]),
        default: "master",
        meaning: "Redis Sentinel: with `slave` records are read from replicas, as with `readFrom`; they are written at the primary all the same.",
    },
    OptionSpec {
        name: "connectionName",
        kind: OptionKind::Text,
        default: "none",
        meaning: "The name of the connections in `CLIENT LIST`.",
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
    renewal::PING_INTERVAL,
    unused("serverName", "Taken and not needed: see `name` for Sentinel."),
    unused("family", "Taken and not needed: IPv4 and IPv6 are both tried."),
    unused("keepAlive", "Taken and not needed: connections are kept alive."),
    unused("noDelay", "Taken and not needed: nothing is delayed."),
    unused("commandTimeout", "Taken and not needed: see `timeout`."),
    unused("socketTimeout", "Taken and not needed: see `timeout`."),
    unused("maxRetriesPerRequest", "Taken and not needed: operations wait up to their `timeout`."),
    unused("maxLoadingRetryTime", "Taken and not needed: a server that loads is waited for."),
    unused("enableReadyCheck", "Taken and not needed: a server that loads is waited for."),
    unused("enableOfflineQueue", "Taken and not needed: operations wait up to their `timeout`."),
    unused("autoResendUnfulfilledCommands", "Taken and not needed: see `timeout`."),
    unused("enableAutoPipelining", "Taken and not needed: everything is pipelined."),
    unused("lazyConnect", "Taken and not needed: the connection is made at once."),
    unused("showFriendlyErrorStack", "Taken and not needed: errors name the option and the remedy."),
    unused("sentinelCommandTimeout", "Taken and not needed: see `connectTimeout`."),
    unused("updateSentinels", "Taken and not needed: the sentinels are those in `sentinels`."),
    unused("retryDelayOnFailover", "Taken and not needed: the slots are looked up when a node redirects."),
    unused("retryDelayOnClusterDown", "Taken and not needed: the slots are looked up when a node redirects."),
    unused("retryDelayOnTryAgain", "Taken and not needed: the slots are looked up when a node redirects."),
    unused("retryDelayOnMoved", "Taken and not needed: the slots are looked up when a node redirects."),
    unused("slotsRefreshTimeout", "Taken and not needed: the slots are looked up when a node redirects."),
    unused("slotsRefreshInterval", "Taken and not needed: the slots are looked up when a node redirects."),
];

/// The options inside `redisOptions`.
const NODE_OPTIONS: &[OptionSpec] = &[
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "ACL user." },
    OptionSpec {
        name: "password",
        kind: OptionKind::Secret,
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
    OptionSpec {
        name: "db",
        kind: OptionKind::Integer(0, i32::MAX as i64),
        default: "0",
        meaning: "Database number; a cluster has 0 alone.",
    },
    OptionSpec {
        name: "connectTimeout",
        kind: OptionKind::Integer(1, 86_400_000),
        default: "by `connectTimeout` beside it",
        meaning: "How long one attempt to connect to one node may take, in milliseconds.",
    },
    OptionSpec {
        name: "connectionName",
        kind: OptionKind::Text,
        default: "none",
        meaning: "The name of the connections in `CLIENT LIST`.",
    },
    unused("family", "Taken and not needed: IPv4 and IPv6 are both tried."),
    unused("keepAlive", "Taken and not needed: connections are kept alive."),
    unused("noDelay", "Taken and not needed: nothing is delayed."),
    unused("commandTimeout", "Taken and not needed: see `timeout`."),
    unused("socketTimeout", "Taken and not needed: see `timeout`."),
    unused("maxRetriesPerRequest", "Taken and not needed: operations wait up to their `timeout`."),
    unused("maxLoadingRetryTime", "Taken and not needed: a server that loads is waited for."),
    unused("enableReadyCheck", "Taken and not needed: a server that loads is waited for."),
    unused("enableOfflineQueue", "Taken and not needed: operations wait up to their `timeout`."),
    unused("autoResendUnfulfilledCommands", "Taken and not needed: see `timeout`."),
    unused("enableAutoPipelining", "Taken and not needed: everything is pipelined."),
    unused("lazyConnect", "Taken and not needed: the connection is made at once."),
    unused("showFriendlyErrorStack", "Taken and not needed: errors name the option and the remedy."),
];

/// An option of ioredis's that is taken and does nothing.
const fn unused(name: &'static str, meaning: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Unused, default: "none", meaning }
}

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
    let is_replica = |name: &str, primary: &str| settings.text(name).map(|word| word != primary);
    is_replica("readFrom", "primary")
        .or_else(|| is_replica("scaleReads", "master").filter(|_| settings.has("nodes")))
        .or_else(|| is_replica("role", "master").filter(|_| settings.has("sentinels")))
        .unwrap_or(false)
}

/// Refuses options of a cluster or of a standalone server.
pub(super) fn check_sentinel(settings: &Settings) -> Result<(), Error> {
    need(settings, CLUSTER_OPTIONS, "nodes")?;
    refuse(settings, STANDALONE_OPTIONS, "and \"sentinels\" exclude each other")
}

/// The options of the connections to the sentinels, by the names that a server's have.
pub(super) fn for_sentinels(settings: &Settings) -> Settings {
    let tls = if settings.has("sentinelTLS") { "sentinelTLS" } else { "tls" };
    settings.renamed(&[
        ("sentinelUser", "user"),
        ("sentinelPassword", "password"),
        (tls, "tls"),
        ("connectTimeout", "connectTimeout"),
    ])
}

/// How often commands are redirected in a row.
pub(super) fn max_redirections(settings: &Settings) -> usize {
    settings.count("maxRedirections").unwrap_or(16)
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

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;

    fn opened(options: &str) -> Result<Settings, Error> {
        let settings = Settings::check(crate::config::parse(options.as_bytes())?, "redis", OPTIONS)?;
        open(&settings).map(|_| settings)
    }

    #[test]
    fn configurations_of_deepstream_and_ioredis_start() {
        for options in [
            r#"{"host": "cache", "port": 6379}"#,
            r#"{"host": "cache", "port": "6379", "password": "", "username": ""}"#,
            r#"{"host": "", "port": 6379, "serverName": "cache"}"#,
            r#"{"nodes": [{"port": 7000, "password": "x"}, {"port": 7001, "password": "x"}], "maxRedirections": 16}"#,
            r#"{"nodes": [{"host": "a", "port": 1}], "scaleReads": "slave", "redisOptions": {"password": "x"}}"#,
            r#"{"nodes": [{"host": "a"}], "redisOptions": {"db": 0, "username": "u", "password": "x",
                "connectTimeout": 100, "tls": {"minVersion": "TLSv1.3"}, "family": 6, "keepAlive": 1}}"#,
            r#"{"sentinels": [{"host": "a", "port": 26379}], "name": "mymaster", "role": "slave"}"#,
            r#"{"nodes": "a:1", "natMap": {"10.0.0.1:1": {"host": "a", "port": 1}}}"#,
            r#"{"host": "a", "ttl": 0, "family": 4, "keepAlive": 30000, "connectionName": "deepstream"}"#,
            r#"{"host": "a", "maxRetriesPerRequest": null, "enableReadyCheck": true, "lazyConnect": false,
                "commandTimeout": 500}"#,
            r#"{"host": "a", "maxRetriesPerRequest": 3, "tls": {"passphrase": "x"}}"#,
            r#"{"url": "redis://:x@a:1/0?family=6&tls=true"}"#,
        ] {
            assert!(opened(options).is_ok(), "{options}: {}", opened(options).unwrap_err());
        }
        for options in [
            r#"{"maxRedirection": 1}"#,
            r#"{"scaleReads": "slaves"}"#,
            r#"{"tls": {"minVersion": "SSLv3"}}"#,
            r#"{"sentinels": [{"host": "a", "password": "x"}], "name": "m"}"#,
        ] {
            assert!(opened(options).is_err(), "{options}");
        }
    }

    #[test]
    fn reads_go_to_replicas_by_each_clients_word() {
        for (options, replica) in [
            (r#"{"nodes": "a", "scaleReads": "all"}"#, true),
            (r#"{"nodes": "a", "scaleReads": "master"}"#, false),
            (r#"{"nodes": "a", "scaleReads": "slave", "readFrom": "primary"}"#, false),
            (r#"{"sentinels": "a", "name": "m", "role": "slave"}"#, true),
            (r#"{"host": "a", "scaleReads": "slave"}"#, false),
        ] {
            assert_eq!(reads_from_replicas(&opened(options).unwrap()), replica, "{options}");
        }
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let settings = opened(r#"{"nodes": "a", "redisOptions": {"keepAlive": 1}, "lazyConnect": true}"#);
        let remarks = settings.unwrap().engine().remarks;
        assert!(remarks.iter().any(|line| line.contains("\"lazyConnect\"")), "{remarks:?}");
        assert!(remarks.iter().any(|line| line.contains("\"redisOptions.keepAlive\"")), "{remarks:?}");
    }
}
