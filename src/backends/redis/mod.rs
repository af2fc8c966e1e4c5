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
//! Reads may go to replicas first; see `readers.rs`.
//!
//! In a cluster each record goes by itself, since a command may not span slots; see `cluster/`.
//!
//! When the server refuses a command for many records, each record is sent by itself, so that
//! one bad key (forbidden by an ACL, say) does not fail its neighbours.

mod acknowledgement;
mod address;
mod cluster;
mod decode;
mod layout;
mod options;
mod readers;
mod replicas;
mod replies;
mod sentinel;
mod single;
mod wire;

use std::sync::Arc;

use self::acknowledgement::Acknowledgement;
use self::layout::Layout;
pub(super) use self::options::OPTIONS;
use crate::config::Settings;
use crate::core::{Backend, Error};

/// Large enough to keep the server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 512;
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Batches of a kind in the pipeline at once: one is worked on while the next is on its way.
const BATCHES_IN_PIPELINE: usize = 2;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    if settings.has("nodes") {
        return cluster::open(settings);
    }
    if settings.has("sentinels") {
        return sentinel::open(settings);
    }
    options::only_single(settings)?;
    Ok(Arc::new(single::Redis::from_settings(settings)?))
}

/// How records are stored, wherever the servers are.
#[derive(Clone)]
struct Plan {
    layout: Layout,
    /// Seconds after which records are gone.
    ttl: Option<i64>,
    /// What a write's acknowledgement needs besides the server's own.
    acknowledgement: Option<Acknowledgement>,
}

impl Plan {
    fn from_settings(settings: &Settings, layout: Layout) -> Plan {
        Plan {
            layout,
            ttl: settings.integer("ttl"),
            acknowledgement: Acknowledgement::from_settings(settings),
        }
    }
}
