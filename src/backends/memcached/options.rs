//! The options of the memcached backend.

use std::time::Duration;

use super::hash_ring::{WeightedServer, DEFAULT_PORT};
use super::names::Names;
use crate::config::{OptionKind, OptionSpec, Settings};
use crate::core::Error;
use crate::net::fleet::{Node, Timeouts};
use crate::net::{renewal, tls};

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "serverLocation",
        kind: OptionKind::Servers,
        default: "127.0.0.1:11211",
        meaning: "The servers: `host:port`, several separated by commas, a list of such texts or of objects with `host` and `port`, or an object that gives each `host:port` a weight.",
    },
    OptionSpec {
        name: "lifetime",
        kind: OptionKind::Integer(0, 1 << 31),
        default: "0",
        meaning: "Seconds after its last `set` at which a record is gone; 0 is never, and more than 30 days work too. (deepstream's own connector has 60000 where nothing is given.)",
    },
    OptionSpec {
        name: "layout",
        kind: OptionKind::Choice(&["V1", "V2"]),
        default: "V2; V1 for a classic deepstream server",
        meaning: "How records are written: `V2` is `{\"version\":n,\"data\":…}`, `V1` is `{\"_v\":n,\"_d\":…}`. Both are read.",
    },
    OptionSpec {
        name: "failover",
        kind: OptionKind::Flag,
        default: "false",
        meaning: "Whether the keys of a server that is away go to the next server on the ring until it is back; else their operations wait for it, up to their deadline.",
    },
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "User." },
    OptionSpec { name: "password", kind: OptionKind::Secret, default: "none", meaning: "Password of the user." },
    OptionSpec {
        name: "authentication",
        kind: OptionKind::Choice(&["ascii", "sasl"]),
        default: "ascii",
        meaning: "How `user` and `password` are shown: `ascii` for a server with `-Y`, `sasl` (PLAIN) for one with `-S`.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "false",
        meaning: "`true`, or an object: see the TLS options.",
    },
    renewal::PING_INTERVAL,
    OptionSpec {
        name: "memcachedOptions",
        kind: OptionKind::Object(CLIENT_OPTIONS),
        default: "none",
        meaning: "Options of the npm client `memcached`.",
    },
];

/// The options inside `memcachedOptions`, by the names that the npm client has.
pub(in crate::backends) const CLIENT_OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "namespace",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Put before every key.",
    },
    OptionSpec {
        name: "timeout",
        kind: OptionKind::Integer(1, 86_400_000),
        default: "by `connectTimeout`",
        meaning: "How long one attempt to connect to one server may take, in milliseconds.",
    },
    OptionSpec {
        name: "remove",
        kind: OptionKind::Flag,
        default: "false",
        meaning: "The same as `failover`.",
    },
    unused("failOverServers", "Taken and not needed: with `failover` the other servers take over."),
    OptionSpec {
        name: "algorithm",
        kind: OptionKind::Choice(&["md5"]),
        default: "md5",
        meaning: "How the place of a key on the ring is computed.",
    },
    OptionSpec {
        name: "compatibility",
        kind: OptionKind::Choice(&["ketama"]),
        default: "ketama",
        meaning: "How the ring is made.",
    },
    OptionSpec {
        name: "maxKeySize",
        kind: OptionKind::Integer(1, 250),
        default: "250",
        meaning: "A key with more characters, or with more than 250 bytes, is stored as its md5.",
    },
    OptionSpec {
        name: "keyCompression",
        kind: OptionKind::Flag,
        default: "true",
        meaning: "Taken and not needed: without the md5 a longer key could not be stored.",
    },
    unused("maxExpiration", "Taken and not needed: a longer `lifetime` works."),
    unused("maxValue", "Taken and not needed: the servers say how large an item may be."),
    unused("poolSize", "Taken and not needed: one connection to each server carries everything."),
    unused("maxQueueSize", "Taken and not needed: see `maxInFlight`."),
    unused("idle", "Taken and not needed: a connection is kept."),
    unused("retries", TRIED_AGAIN),
    unused("factor", TRIED_AGAIN),
    unused("minTimeout", TRIED_AGAIN),
    unused("maxTimeout", TRIED_AGAIN),
    unused("randomize", TRIED_AGAIN),
    unused("retry", TRIED_AGAIN),
    unused("reconnect", TRIED_AGAIN),
    unused("failures", TRIED_AGAIN),
    unused("failuresTimeout", TRIED_AGAIN),
    unused("redundancy", "Taken and not needed: the npm client writes records once, whatever it says."),
    unused("debug", "Taken and not needed: see `logLevel`."),
];

/// An option of the npm client's that is taken and does nothing.
const fn unused(name: &'static str, meaning: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Unused, default: "none", meaning }
}

const TRIED_AGAIN: &str =
    "Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations.";

/// The servers, with their weights.
pub(super) fn servers(settings: &Settings) -> Result<Vec<WeightedServer>, Error> {
    let mut servers = settings.servers("serverLocation");
    if servers.is_empty() {
        servers.extend(crate::config::Server::parse("127.0.0.1"));
    }
    Ok(servers
        .into_iter()
        .map(|server| WeightedServer {
            weight: server.weight.unwrap_or(1),
            node: Node { host: server.host, port: server.port.unwrap_or(DEFAULT_PORT) },
        })
        .collect())
}

/// The timeouts of each server.
pub(super) fn timeouts(settings: &Settings) -> Timeouts {
    let mut timeouts = Timeouts::from_options(&settings.engine());
    let timeout = settings.object("memcachedOptions").and_then(|inner| inner.milliseconds("timeout"));
    timeouts.connect = timeouts.connect.min(timeout.unwrap_or(Duration::MAX));
    timeouts
}

/// Whether the keys of a server that is disconnected go to others.
pub(super) fn failover(settings: &Settings) -> bool {
    let inner = settings.object("memcachedOptions").and_then(|inner| inner.flag("remove"));
    settings.flag("failover").or(inner).unwrap_or(false)
}

/// How keys are made from names.
pub(super) fn names(settings: &Settings) -> Names {
    let inner = settings.object("memcachedOptions");
    let namespace = inner.as_ref().and_then(|inner| inner.text("namespace")).unwrap_or_default();
    let max_key_size = inner.as_ref().and_then(|inner| inner.count("maxKeySize"));
    Names::new(namespace.to_owned(), max_key_size)
}
