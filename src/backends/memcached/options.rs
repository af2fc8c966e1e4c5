//! The options of the memcached backend.

use std::time::Duration;

use super::ring::Place;
use crate::backends::fleet::{Node, Timing};
use crate::backends::tls;
use crate::config::{OptionKind, OptionSpec, Settings};
use crate::core::Error;

/// memcached's own.
pub(super) const DEFAULT_PORT: u16 = 11_211;

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
        meaning: "Seconds after its last `set` at which a record is gone; 0 is never. More than 30 days work too.",
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
        meaning: "Whether the keys of a server that is away go to the next server on the ring until it is back; else their operations wait for it until their deadline.",
    },
    OptionSpec { name: "username", kind: OptionKind::Text, default: "none", meaning: "User." },
    OptionSpec { name: "password", kind: OptionKind::Text, default: "none", meaning: "Password of the user." },
    OptionSpec {
        name: "authentication",
        kind: OptionKind::Choice(&["ascii", "sasl"]),
        default: "ascii",
        meaning: "How `username` and `password` are shown: `ascii` for a server with `-Y`, `sasl` (PLAIN) for one with `-S`.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "false",
        meaning: "`true`, or an object: see the TLS options.",
    },
    OptionSpec {
        name: "memcachedOptions",
        kind: OptionKind::Object(CLIENT_OPTIONS),
        default: "none",
        meaning: "Options of the npm client `memcached`.",
    },
];

/// The options inside `memcachedOptions`, by the names that the npm client has.
const CLIENT_OPTIONS: &[OptionSpec] = &[
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
    OptionSpec {
        name: "poolSize",
        kind: OptionKind::Integer(1, 1 << 20),
        default: "none",
        meaning: "Taken and not needed: one connection to each server carries everything.",
    },
    OptionSpec {
        name: "retries",
        kind: OptionKind::Integer(0, 1 << 20),
        default: "none",
        meaning: TRIED_AGAIN,
    },
    OptionSpec {
        name: "retry",
        kind: OptionKind::Integer(0, 1 << 40),
        default: "none",
        meaning: TRIED_AGAIN,
    },
    OptionSpec {
        name: "reconnect",
        kind: OptionKind::Integer(0, 1 << 40),
        default: "none",
        meaning: TRIED_AGAIN,
    },
    OptionSpec {
        name: "failures",
        kind: OptionKind::Integer(0, 1 << 20),
        default: "none",
        meaning: TRIED_AGAIN,
    },
    OptionSpec {
        name: "idle",
        kind: OptionKind::Integer(0, 1 << 40),
        default: "none",
        meaning: "Taken and not needed: a connection is kept.",
    },
    OptionSpec {
        name: "maxValue",
        kind: OptionKind::Integer(1, 1 << 40),
        default: "none",
        meaning: "Taken and not needed: the servers say how large an item may be.",
    },
];

const TRIED_AGAIN: &str =
    "Taken and not needed: see `reconnectDelay` and `reconnectMaxDelay`, and `timeout` for operations.";

/// The servers, with their weights and their names on the ring.
pub(super) fn servers(settings: &Settings) -> Result<Vec<Place>, Error> {
    let mut servers = settings.servers("serverLocation");
    if servers.is_empty() {
        servers.extend(crate::config::Server::parse("127.0.0.1"));
    }
    Ok(servers
        .into_iter()
        .map(|server| Place {
            weight: server.weight.unwrap_or(1),
            node: Node { host: server.host, port: server.port.unwrap_or(DEFAULT_PORT) },
        })
        .collect())
}

/// How long things may take.
pub(super) fn timing(settings: &Settings) -> Timing {
    let mut timing = Timing::from_options(&settings.engine());
    let own = settings.object("memcachedOptions").and_then(|inner| inner.milliseconds("timeout"));
    timing.connect = timing.connect.min(own.unwrap_or(Duration::MAX));
    timing
}

/// Whether the keys of a server that is away go to others.
pub(super) fn moves(settings: &Settings) -> bool {
    let inner = settings.object("memcachedOptions").and_then(|inner| inner.flag("remove"));
    settings.flag("failover").or(inner).unwrap_or(false)
}

/// What stands before every key.
pub(super) fn namespace(settings: &Settings) -> String {
    let inner = settings.object("memcachedOptions");
    inner.and_then(|inner| inner.text("namespace").map(str::to_owned)).unwrap_or_default()
}
