//! Redis and Valkey, in the layouts of deepstream's own connectors.
//!
//! What is sent, for a batch of records (see <https://redis.io/docs/latest/commands/>):
//!
//! | operation | layout V2 | layout V1 |
//! |---|---|---|
//! | get | `MGET name_v name_d …` | `MGET name …` |
//! | head | `MGET name_v …` | `MGET name …` |
//! | set | `MSET name_v version name_d data …` | `MSET name {"_v":version,"_d":data} …` |
//! | set with `ttl` | `MULTI`, `SET … EX ttl` for each, `EXEC` | the same |
//! | delete | `DEL name_v name_d …` | `DEL name …` |
//!
//! When the server refuses a command for many records, each record is sent by itself, so that
//! one bad key (forbidden by an ACL, say) does not fail its neighbours.

mod address;
mod decode;
mod layout;
mod replies;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{select, BoxFuture, Either};
use redis::Value;

use self::address::Address;
use self::decode::Reply;
use self::layout::Layout;
use self::wire::Wire;
use super::network::Stream;
use super::tls;
use crate::config::{OptionKind, OptionSpec, Settings};
use crate::core::{Backend, BatchResult, Connection, Description, Error, Key, Link, Record};

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec { name: "host", kind: OptionKind::Text, default: "127.0.0.1", meaning: "Host name or address." },
    OptionSpec { name: "port", kind: OptionKind::Integer(1, 65535), default: "6379", meaning: "TCP port." },
    OptionSpec { name: "path", kind: OptionKind::Text, default: "none", meaning: "Unix socket, instead of host and port." },
    OptionSpec { name: "username", kind: OptionKind::Text, default: "none", meaning: "ACL user." },
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
];

/// Large enough to keep the server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 512;
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Batches of a kind in the pipeline at once: one is worked on while the next is on its way.
const BATCHES_IN_PIPELINE: usize = 2;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let address = Address::from_settings(settings)?;
    let layout =
        Layout::new(settings.text("layout") == Some("V1"), settings.text("keyPrefix").unwrap_or_default());
    Ok(Arc::new(Redis { address, layout, ttl: settings.integer("ttl") }))
}

struct Redis {
    address: Address,
    layout: Layout,
    ttl: Option<i64>,
}

#[async_trait]
impl Backend for Redis {
    fn describe(&self) -> Description {
        Description {
            target: format!("Redis at {}", self.address.in_words()),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: BATCHES_IN_PIPELINE,
            write_batches: BATCHES_IN_PIPELINE,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        self.greet(self.address.dial().await?).await
    }
}

impl Redis {
    /// Logs in, selects the database, and asks whether the server does answer.
    async fn greet(&self, stream: Stream) -> Result<Link, Error> {
        let (wire, lifeline) = Wire::new(stream);
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(lifeline);
        match select(Box::pin(self.address.log_in(&wire)), &mut lifeline).await {
            Either::Left((result, _)) => result?,
            Either::Right((error, _)) => return Err(error),
        }
        let session = Session { wire, layout: self.layout.clone(), ttl: self.ttl };
        Ok(Link { connection: Arc::new(session), lifeline })
    }
}

/// A connection that is logged in.
struct Session {
    wire: Wire,
    layout: Layout,
    ttl: Option<i64>,
}

impl Session {
    async fn read(&self, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        match self.wire.ask(self.layout.read(keys, head), 0).await? {
            Reply::Strings(values) if values.len() == keys.len() * self.layout.values_per_read(head) => {
                Ok(values)
            }
            _ => Err(replies::unexpected()),
        }
    }

    async fn write(&self, entries: &[(Key, Record)]) -> Result<(), Error> {
        let Some(ttl) = self.ttl else {
            return self.wire.ask(self.layout.write(entries), 0).await.map(drop);
        };
        let transaction = self.layout.write_expiring(entries, ttl);
        // The replies to MULTI and to each command come before the one to EXEC, which counts.
        let skip = 1 + transaction.cmd_iter().count();
        match self.wire.ask(transaction.get_packed_pipeline(), skip).await? {
            Reply::Value(Value::Array(results)) => replies::all_well(results),
            _ => Err(replies::unexpected()),
        }
    }

    async fn remove(&self, keys: &[Key]) -> Result<(), Error> {
        self.wire.ask(self.layout.remove(keys), 0).await.map(drop)
    }
}

/// Whether a command for many records is worth sending again as one for each: the server itself
/// refused it, and would refuse it again as it is.
fn is_refusal(error: &Error) -> bool {
    error.remedy() == crate::core::Remedy::Report
}

/// Carries out `$one` for each item when the server refused them together.
macro_rules! one_by_one {
    ($items:expr, $together:expr, $one:expr) => {
        match $together {
            Err(error) if is_refusal(&error) && $items.len() > 1 => {
                let mut results = Vec::with_capacity($items.len());
                for item in $items {
                    results.push($one(std::slice::from_ref(item)).await);
                }
                Ok(results)
            }
            other => other,
        }
    };
}

#[async_trait]
impl Connection for Session {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        one_by_one!(
            keys,
            self.read(keys, false).await.map(|values| self.layout.records(values)),
            |key| async move {
                self.read(key, false).await.and_then(|values| self.layout.records(values).remove(0))
            }
        )
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        one_by_one!(
            keys,
            self.read(keys, true).await.map(|values| self.layout.versions(values)),
            |key| async move {
                self.read(key, true).await.and_then(|values| self.layout.versions(values).remove(0))
            }
        )
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        one_by_one!(entries, self.write(entries).await.map(|()| vec![Ok(()); entries.len()]), |entry| self
            .write(entry))
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        one_by_one!(keys, self.remove(keys).await.map(|()| vec![Ok(()); keys.len()]), |key| self.remove(key))
    }
}
