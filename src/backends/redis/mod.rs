//! Redis and Valkey, in the layouts of deepstream's own connectors.
//!
//! What is sent, for a batch of records (see <https://redis.io/docs/latest/commands/>):
//!
//! | operation | layout V2 | layout V1 |
//! |---|---|---|
//! | get | `MGET name_v name_d …` | `MGET name …` |
//! | head | `MGET name_v …`, and `EXISTS name_d` for each | `MGET name …` |
//! | set | `MSET name_v version name_d data …` | `MSET name {"_v":version,"_d":data} …` |
//! | set with `ttl` | `MULTI`, `SET … EX ttl` for each, `EXEC` | the same |
//! | delete | `DEL name_v name_d …` | `DEL name …` |
//!
//! Reads may go to replicas first; see `replica_reads.rs`.
//!
//! In a cluster each record goes by itself, since a command may not span slots; see `cluster/`.
//!
//! When the server refuses a command for many records, each record is sent by itself, so that
//! one bad key (forbidden by an ACL, say) does not fail its neighbours.

mod acknowledgement;
mod batching;
mod cluster;
mod connection;
mod connection_info;
mod decode;
mod layout;
mod multiplexed_connection;
pub(super) mod options;
mod read_only;
mod replica_reads;
mod replicas;
mod replies;
mod role;
mod sentinel;
mod standalone;
mod storage_options;
mod trailing_commands;

use std::sync::Arc;

pub(super) use self::options::OPTIONS;
use self::standalone::Standalone;
use crate::config::Settings;
use crate::core::{Backend, Error};
use crate::net::renewal::Renewing;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    if settings.has("nodes") {
        return cluster::open(settings);
    }
    if settings.has("sentinels") {
        return sentinel::open(settings);
    }
    options::check_standalone(settings)?;
    let standalone = Standalone::from_settings(settings)?;
    Ok(Arc::new(Renewing::new(standalone, settings.engine().connect_timeout)))
}
