//! The options there are, their names those of deepstream's own connectors, of node-postgres and of
//! libpq.

use super::security::SSL_MODES;
use crate::config::{OptionKind, OptionSpec};
use crate::net::{renewal, tls};

const TABLE: &[OptionSpec] = &[
    OptionSpec {
        name: "defaultName",
        kind: OptionKind::Text,
        default: "default",
        meaning: "Another name of `defaultTable`.",
    },
    OptionSpec {
        name: "prefix",
        kind: OptionKind::Text,
        default: "none",
        meaning: "What the names of all collections' tables begin with.",
    },
];

const NOTIFICATIONS: &[OptionSpec] = &[
    event("CREATE_TABLE", "A table was made."),
    event("DESTROY_TABLE", "An emptied table was dropped; see `dropEmptyTables`."),
    event(
        "INSERT",
        "A record was stored that was not there. By a trigger of the table, as are the next two.",
    ),
    event("UPDATE", "A record was replaced."),
    event("DELETE", "A record was deleted."),
];

const fn event(name: &'static str, meaning: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Flag, default: "false", meaning }
}

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "host",
        kind: OptionKind::Hosts,
        default: "`PGHOST`, or localhost",
        meaning: "Host name or address, several of them separated by commas, or the folder of a Unix socket. Of several the first one counts that takes writes.",
    },
    OptionSpec {
        name: "port",
        kind: OptionKind::Text,
        default: "`PGPORT`, or 5432",
        meaning: "TCP port, or one for each host.",
    },
    OptionSpec {
        name: "user",
        kind: OptionKind::Text,
        default: "`PGUSER`, or the system's user",
        meaning: "The role that logs in.",
    },
    OptionSpec {
        name: "password",
        kind: OptionKind::Secret,
        default: "`PGPASSWORD`, or by `.pgpass`",
        meaning: "Its password: SCRAM, with channel binding where there is TLS, MD5, or plain, as the server asks.",
    },
    OptionSpec {
        name: "database",
        kind: OptionKind::Text,
        default: "`PGDATABASE`, or as `user`",
        meaning: "The database; it must exist.",
    },
    OptionSpec {
        name: "url",
        kind: OptionKind::Text,
        default: "none",
        meaning: "`postgresql://user:password@host:port/database?sslmode=…`, or libpq's words and values; options beside it win over its parts, and its parts over the environment.",
    },
    OptionSpec {
        name: "sslmode",
        kind: OptionKind::Choice(SSL_MODES),
        default: "`PGSSLMODE`, or disable",
        meaning: "Whether there is TLS and what is checked, as libpq has it: with `verify-full` authority and host name, with `verify-ca` the authority, with `require` nothing (but as `verify-ca` if an authority is given); `prefer` and `allow` may end without TLS. `no-verify` is TLS in which nothing is checked, even if an authority is given.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "false",
        meaning: "`true`, or an object with the TLS options, as node-postgres has it: TLS as with `verify-full`, unless `sslmode` says something else.",
    },
    OptionSpec {
        name: "schema",
        kind: OptionKind::Text,
        default: "ds",
        meaning: "The schema of all tables; it is made if there is none.",
    },
    OptionSpec {
        name: "splitChar",
        kind: OptionKind::Text,
        default: "/",
        meaning: "What ends the collection, and so the table, in a key: `users/1` is the row `1` of `users`. One or more characters.",
    },
    OptionSpec {
        name: "defaultTable",
        kind: OptionKind::Text,
        default: "default",
        meaning: "The table of keys without `splitChar`.",
    },
    OptionSpec {
        name: "table",
        kind: OptionKind::Object(TABLE),
        default: "none",
        meaning: "Names of tables, as deepstream.io-storage-postgres has it.",
    },
    OptionSpec {
        name: "layout",
        kind: OptionKind::Choice(&["V1", "V2"]),
        default: "V2; V1 for a classic deepstream server",
        meaning: "How tables are made that are not there: as `@deepstream/storage-postgres` does it, or as `deepstream.io-storage-postgres` did. Tables that are there are read and written as they are.",
    },
    OptionSpec {
        name: "useJsonb",
        kind: OptionKind::Flag,
        default: "false",
        meaning: "Whether new tables have `val` as `jsonb`, and not as `text`.",
    },
    OptionSpec {
        name: "bigintVersions",
        kind: OptionKind::Flag,
        default: "false",
        meaning: "Whether versions may be beyond 2,147,483,647: new tables get a `bigint` column, and an `int` column of others is widened when such a version comes. Deepstream's own connector reads a `bigint` as text.",
    },
    OptionSpec {
        name: "role",
        kind: OptionKind::Text,
        default: "as `user`",
        meaning: "The owner of new tables.",
    },
    OptionSpec {
        name: "dropEmptyTables",
        kind: OptionKind::Flag,
        default: "false",
        meaning: "Whether a table is dropped when its last record is deleted.",
    },
    OptionSpec {
        name: "notifications",
        kind: OptionKind::Object(NOTIFICATIONS),
        default: "none",
        meaning: "What is told to those who `LISTEN` to a channel of the schema's name.",
    },
    OptionSpec {
        name: "maxConnections",
        kind: OptionKind::Integer(1, 1000),
        default: "10",
        meaning: "The most connections; they are made as they are needed. One more is made for commands and notifications.",
    },
    OptionSpec {
        name: "idleTimeoutMillis",
        kind: OptionKind::Integer(0, 86_400_000),
        default: "30000",
        meaning: "How long a connection beyond the first stays when nothing needs it, in milliseconds; 0 is for ever.",
    },
    renewal::PING_INTERVAL,
    OptionSpec {
        name: "application_name",
        kind: OptionKind::Text,
        default: "`PGAPPNAME`, or deepstream-connector",
        meaning: "What `pg_stat_activity` and the server's log call it.",
    },
    OptionSpec {
        name: "statement_timeout",
        kind: OptionKind::Integer(0, 86_400_000),
        default: "the server's",
        meaning: "How long one statement may take in the server, in milliseconds; operations try again until their deadline.",
    },
    OptionSpec {
        name: "lock_timeout",
        kind: OptionKind::Integer(0, 86_400_000),
        default: "an eighth of `timeout`, from 100 to 500",
        meaning: "How long a statement waits for a lock that somebody else holds, in milliseconds; operations try again until their deadline, the locked ones alone. 0 leaves it to the server.",
    },
    OptionSpec {
        name: "preparedStatements",
        kind: OptionKind::Flag,
        default: "true; false with `?pgbouncer=true` in the `url`",
        meaning: "`false` behind a pooler that gives each transaction another session: nothing is prepared, and nothing is set in a session.",
    },
    OptionSpec {
        name: "idle_in_transaction_session_timeout",
        kind: OptionKind::Integer(0, 86_400_000),
        default: "the server's",
        meaning: "How long the server lets a transaction be idle, in milliseconds: a `query` that says `BEGIN` begins one.",
    },
    OptionSpec {
        name: "options",
        kind: OptionKind::Text,
        default: "`PGOPTIONS`, or none",
        meaning: "Settings of the server's for the session, as `-c name=value`.",
    },
    OptionSpec {
        name: "terminateSessions",
        kind: OptionKind::Flag,
        default: "true",
        meaning: "Whether a session of ours that broke while it wrote is ended in the server, so that it writes nothing later. For that each session has a number behind `application_name`, by which it is told from those of others, behind a pooler as well. With `false` there is no number, and nothing is ended or cancelled.",
    },
    OptionSpec {
        name: "writeInterval",
        kind: OptionKind::Unused,
        default: "none",
        meaning: "Of deepstream's own connector, and without effect: nothing is written later than at once.",
    },
    OptionSpec {
        name: "connectionTimeoutMillis",
        kind: OptionKind::Unused,
        default: "none",
        meaning: "Of node-postgres, and without effect: see `connectTimeout`.",
    },
    OptionSpec {
        name: "query_timeout",
        kind: OptionKind::Unused,
        default: "none",
        meaning: "Of node-postgres, and without effect: see `timeout`.",
    },
    OptionSpec {
        name: "keepAlive",
        kind: OptionKind::Unused,
        default: "true",
        meaning: "Of node-postgres, and without effect: TCP keepalive is always on.",
    },
    OptionSpec {
        name: "keepAliveInitialDelayMillis",
        kind: OptionKind::Unused,
        default: "none",
        meaning: "The same.",
    },
    OptionSpec {
        name: "min",
        kind: OptionKind::Unused,
        default: "1",
        meaning: "Of node-postgres, and without effect: one connection stays.",
    },
    OptionSpec {
        name: "maxLifetimeSeconds",
        kind: OptionKind::Unused,
        default: "none",
        meaning: "Of node-postgres, and without effect: a connection stays as long as it is good.",
    },
    OptionSpec {
        name: "maxUses",
        kind: OptionKind::Unused,
        default: "none",
        meaning: "The same.",
    },
    OptionSpec {
        name: "allowExitOnIdle",
        kind: OptionKind::Unused,
        default: "false",
        meaning: "Of node-postgres, and without effect: `close` ends the connections.",
    },
    OptionSpec {
        name: "client_encoding",
        kind: OptionKind::Unused,
        default: "UTF8",
        meaning: "Of node-postgres, and without effect: it is UTF-8.",
    },
    OptionSpec {
        name: "enableChannelBinding",
        kind: OptionKind::Unused,
        default: "true",
        meaning: "Of node-postgres, and without effect: channel binding is used where there is TLS; see `channel_binding` in the `url`.",
    },
];
