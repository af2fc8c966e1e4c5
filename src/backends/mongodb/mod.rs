//! Records in MongoDB, each a document for a person to query: `db.users.find({age: {$gt: 30}})`.
//!
//! `collections.rs` says where a key's record is, `layout.rs` which fields are whose,
//! `commands.rs` has everything that the server is asked. Documents are made and read byte by
//! byte (`bson.rs`, `encode.rs`, `decode.rs`), since the driver's own ways recurse. `client.rs`
//! keeps the driver, `lane.rs` sees that a write that was given up never undoes a later one.

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{OptionKind, OptionSpec, Settings};
use crate::core::{Backend, Description, Error, Key, Link};

mod bson;
mod client;
mod collections;
mod commands;
mod connection;
mod decode;
mod driver;
mod encode;
mod failure;
mod index;
mod lane;
mod layout;
mod number;
mod options;
mod read;
mod scan;
#[cfg(test)]
mod tests;
mod topology;
mod write;

use client::Client;
use options::Options;

const MAX_BATCH_RECORDS: usize = 1000;
const MAX_BATCH_BYTES: usize = 8 << 20;

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "url",
        kind: OptionKind::Text,
        default: "–",
        meaning: "`mongodb://user:password@host:27017,…/database?options` or `mongodb+srv://…`, with the options of MongoDB's drivers. `compressors`, `zlibCompressionLevel`, `socketTimeoutMS`, `waitQueueTimeoutMS`, `useNewUrlParser` and `useUnifiedTopology` are ignored: nothing is compressed, and `timeout` is the deadline.",
    },
    OptionSpec {
        name: "database",
        kind: OptionKind::Text,
        default: "that of `url`, or test",
        meaning: "The database.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(TLS),
        default: "as `url` says",
        meaning: "TLS: `true`, `false`, or an object; it wins over what `url` says.",
    },
    OptionSpec {
        name: "maxConnections",
        kind: OptionKind::Integer(1, 10_000),
        default: "`maxPoolSize` of `url`, or 10",
        meaning: "How many connections there are at most to each server.",
    },
    OptionSpec {
        name: "maxPoolSize",
        kind: OptionKind::Integer(1, 10_000),
        default: "none",
        meaning: "The same, as npm's `mongodb` calls it.",
    },
    OptionSpec {
        name: "poolSize",
        kind: OptionKind::Integer(1, 10_000),
        default: "none",
        meaning: "The same, as older ones of it call it.",
    },
    OptionSpec {
        name: "defaultCollection",
        kind: OptionKind::Text,
        default: "deepstream_docs",
        meaning: "The collection of keys without `splitChar`, and of those whose collection cannot have its name in MongoDB.",
    },
    OptionSpec {
        name: "splitChar",
        kind: OptionKind::Text,
        default: "/; none with layout `V1`",
        meaning: "What ends the collection in a key: `users/1` is the document with the `ds_key` `1` in `users`. One or more characters; of more than one, all but the first stay in `ds_key`, as in the npm packages.",
    },
    OptionSpec {
        name: "layout",
        kind: OptionKind::Choice(&["V1", "V2"]),
        default: "V2; V1 for a classic deepstream server",
        meaning: "What is written: `V2` is the layout of `@deepstream/storage-mongodb`, `V1` that of `deepstream.io-storage-mongodb`. Both are read.",
    },
    unused("useNewUrlParser", "Taken and not needed: there is one parser."),
    unused("useUnifiedTopology", "Taken and not needed: there is one topology."),
    unused("socketTimeoutMS", "Taken and not needed: see `timeout`."),
    unused("serverSelectionTimeoutMS", "Taken and not needed: see `timeout`."),
    unused("waitQueueTimeoutMS", "Taken and not needed: see `timeout`."),
    unused("connectTimeoutMS", "Taken without effect: see `connectTimeout`."),
    unused("autoReconnect", "Taken and not needed: connections are made again."),
    unused("reconnectTries", "Taken and not needed: connections are made again."),
    unused("reconnectInterval", "Taken and not needed: see `reconnectDelay`."),
    unused("bufferMaxEntries", "Taken and not needed: see `maxInFlight`."),
    unused("keepAlive", "Taken and not needed: connections are kept alive."),
    unused("compressors", "Taken without effect: nothing is compressed."),
];

/// The options inside `tls`. The driver reads files alone.
const TLS: &[OptionSpec] = &[
    OptionSpec {
        name: "ca",
        kind: OptionKind::Text,
        default: "Mozilla's",
        meaning: "Certificate authorities to trust: the path of a PEM file.",
    },
    OptionSpec {
        name: "cert",
        kind: OptionKind::Text,
        default: "none",
        meaning: "The client's certificate chain and its private key: the path of one PEM file with both.",
    },
    OptionSpec {
        name: "key",
        kind: OptionKind::Text,
        default: "none",
        meaning: "The same path as `cert`, where it is given.",
    },
    OptionSpec {
        name: "rejectUnauthorized",
        kind: OptionKind::Flag,
        default: "true",
        meaning: "`false` accepts any certificate, and with it anybody who can intercept the connection.",
    },
    unused("minVersion", "Taken without effect: TLSv1.2 is the oldest."),
    unused(
        "passphrase",
        "Taken and not needed for a key that is not encrypted; an encrypted one is refused.",
    ),
];

/// An option that is taken and does nothing.
const fn unused(name: &'static str, meaning: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Unused, default: "none", meaning }
}

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let options = Arc::new(Options::from_settings(settings)?);
    Ok(Arc::new(Mongodb { client: Client::new(options) }))
}

struct Mongodb {
    client: Client,
}

#[async_trait]
impl Backend for Mongodb {
    fn describe(&self) -> Description {
        Description {
            target: self.client.options().target.clone(),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: 2,
            // The next one gathers meanwhile; and a lane carries one at a time.
            write_batches: 1,
            // The driver spawns tasks.
            host_driven: false,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        self.client.connect().await
    }

    fn group_of(&self, key: &Key) -> usize {
        lane::of(self.client.options().collections.place(key).collection)
    }
}
