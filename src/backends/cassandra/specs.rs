//! The options of the Cassandra backend, declared: by the names that users of the
//! `cassandra-driver` of Node.js know.

use crate::config::{OptionKind, OptionSpec};
use crate::net::tls;

/// Twenty years, Cassandra's own limit.
const LONGEST_TTL: i64 = 630_720_000;

/// `ANY` acknowledges what nobody can read yet, and is therefore not among them.
const FOR_READS: &[&str] = &["ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "LOCAL_ONE"];
const FOR_WRITES: &[&str] =
    &["ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "LOCAL_ONE"];

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "contactPoints",
        kind: OptionKind::Servers,
        default: "127.0.0.1",
        meaning: "Some nodes of the cluster, through which the others are found: `host:port`, several separated by commas, a list of such texts, or of objects with `host` and `port`.",
    },
    OptionSpec {
        name: "port",
        kind: OptionKind::Integer(1, 65_535),
        default: "9042",
        meaning: "TCP port of the nodes.",
    },
    OptionSpec {
        name: "protocolOptions",
        kind: OptionKind::Object(PROTOCOL_OPTIONS),
        default: "none",
        meaning: "The port, where `cassandra-driver` has it.",
    },
    OptionSpec {
        name: "localDataCenter",
        kind: OptionKind::Text,
        default: "none",
        meaning: "The datacentre whose nodes alone are asked; without it those of all are, which needs a `consistency` other than `LOCAL_…` where there are several.",
    },
    OptionSpec {
        name: "keyspace",
        kind: OptionKind::Text,
        default: "deepstream",
        meaning: "The keyspace of the table, in upper and lower case as it is.",
    },
    OptionSpec {
        name: "replication",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Makes the keyspace where there is none, with so many replicas in each datacentre: a number, such as `3`, or a number for each, such as `dc1:3,dc2:2`.",
    },
    OptionSpec {
        name: "table",
        kind: OptionKind::Text,
        default: "records",
        meaning: "The table with the records; it is made where there is none.",
    },
    OptionSpec {
        name: "splitChar",
        kind: OptionKind::Text,
        default: "/",
        meaning: "What ends the collection in a key: `users/1` is in the collection `users` with the id `1`. One or more characters.",
    },
    OptionSpec {
        name: "keyPrefix",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Put before every key, so that several deployments can share a table; tables are dear in Cassandra.",
    },
    OptionSpec {
        name: "columns",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Members of the documents, such as `name,age`, that are also written to columns of these names, for CQL to find records by; the table must have the columns.",
    },
    OptionSpec {
        name: "consistency",
        kind: OptionKind::Choice(FOR_READS),
        default: "LOCAL_QUORUM",
        meaning: "How many replicas answer for the database, for reads and writes.",
    },
    OptionSpec {
        name: "readConsistency",
        kind: OptionKind::Choice(FOR_READS),
        default: "as `consistency`",
        meaning: "The same for reads alone.",
    },
    OptionSpec {
        name: "writeConsistency",
        kind: OptionKind::Choice(FOR_WRITES),
        default: "as `consistency`",
        meaning: "The same for writes alone.",
    },
    OptionSpec {
        name: "ttl",
        kind: OptionKind::Integer(0, LONGEST_TTL),
        default: "0",
        meaning: "Seconds after its last `set` at which a record is gone, by Cassandra's own `TTL`; 0 is never.",
    },
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "User." },
    OptionSpec { name: "password", kind: OptionKind::Text, default: "none", meaning: "Password of the user." },
    OptionSpec {
        name: "credentials",
        kind: OptionKind::Object(CREDENTIALS),
        default: "none",
        meaning: "User and password, where `cassandra-driver` has them.",
    },
    OptionSpec {
        name: "tls",
        kind: TLS,
        default: "false",
        meaning: "`true`, or an object: see the TLS options. Needs the cargo feature `cassandra-tls`.",
    },
    OptionSpec {
        name: "queryOptions",
        kind: OptionKind::Object(QUERY_OPTIONS),
        default: "none",
        meaning: "The consistency, where `cassandra-driver` has it.",
    },
    OptionSpec {
        name: "compression",
        kind: OptionKind::Choice(&["none", "lz4", "snappy"]),
        default: "none",
        meaning: "How what goes between us and the nodes is compressed.",
    },
    OptionSpec {
        name: "cloud",
        kind: OptionKind::Object(CLOUD),
        default: "none",
        meaning: "Refused: a secure connect bundle is not read.",
    },
    OptionSpec {
        name: "heartBeatInterval",
        kind: OptionKind::Integer(100, 3_600_000),
        default: "2000",
        meaning: "Milliseconds after which a silent connection is asked for a sign of life; one that gives none for a quarter of `timeout` more, at least 3 and at most 15 seconds, is given up.",
    },
    OptionSpec {
        name: "speculativeDelay",
        kind: OptionKind::Integer(0, 3_600_000),
        default: "0",
        meaning: "Milliseconds after which an unanswered operation is sent to one more node as well, and the first answer counts; 0 is never.",
    },
];

/// Without the feature too, so that the message can name it.
const TLS: OptionKind = OptionKind::FlagOrObject(tls::OPTIONS);

const PROTOCOL_OPTIONS: &[OptionSpec] = &[OptionSpec {
    name: "port",
    kind: OptionKind::Integer(1, 65_535),
    default: "9042",
    meaning: "TCP port of the nodes.",
}];

const CREDENTIALS: &[OptionSpec] = &[
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "User." },
    OptionSpec {
        name: "password",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Password of the user.",
    },
];

const QUERY_OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "consistency",
        kind: OptionKind::Integer(0, 10),
        default: "6",
        meaning: "As in `types.consistencies`: 6 is `LOCAL_QUORUM`.",
    },
    unused("fetchSize", "Taken and not needed: a page is as large as is asked for."),
    unused("prepare", "Taken and not needed: everything is prepared."),
    unused("isIdempotent", "Taken and not needed: everything is idempotent."),
    unused("autoPage", "Taken and not needed: pages are asked for one by one."),
    unused("captureStackTrace", "Taken and not needed: errors name the option and the remedy."),
    unused("retryOnTimeout", "Taken and not needed: operations are tried again until their `timeout`."),
    unused("serialConsistency", "Taken and not needed: no transaction is lightweight."),
    unused("traceQuery", "Taken and not needed: nothing is traced."),
];

const CLOUD: &[OptionSpec] = &[OptionSpec {
    name: "secureConnectBundle",
    kind: OptionKind::Text,
    default: "none",
    meaning: "The file of the bundle.",
}];

/// An option of cassandra-driver's that is taken and does nothing.
const fn unused(name: &'static str, meaning: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Unused, default: "none", meaning }
}
