//! memcached, with keys, values and placement as the npm client `memcached` has them, which
//! deepstream's own connector uses.
//!
//! One record is one item: `{"version":n,"data":…}`, or `{"_v":n,"_d":…}` in layout V1, with the
//! flags 2 (JSON). What is sent is the meta protocol
//! (<https://docs.memcached.org/protocols/meta/>), and after a SASL login the binary protocol
//! (<https://docs.memcached.org/protocols/binary/>), since such a server speaks nothing else.
//! All commands of a batch for one server go together, those for several servers at once.

mod binary;
mod connection;
mod meta;
mod names;
mod options;
mod reply;
mod ring;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use self::connection::{Items, MemcachedConnection, Servers};
pub(super) use self::options::OPTIONS;
use self::ring::Ring;
use self::session::Login;
use super::fleet::{Fleet, Node, Timing};
use super::pipeline::while_alive;
use crate::config::Settings;
use crate::core::{Backend, Description, Error, Key, Link};

/// Large enough to keep a server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 512;
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Batches of a kind in a pipeline at once: one is worked on while the next is on its way.
const BATCHES_IN_PIPELINE: usize = 2;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let servers = options::servers(settings)?;
    Ok(Arc::new(Memcached {
        ring: Arc::new(Ring::new(&servers)),
        login: Login::from_settings(settings)?,
        items: Items::from_settings(settings),
        timing: options::timing(settings),
        moves: options::moves(settings),
    }))
}

struct Memcached {
    ring: Arc<Ring>,
    login: Login,
    items: Items,
    timing: Timing,
    /// Whether the keys of a server that is away go to others.
    moves: bool,
}

#[async_trait]
impl Backend for Memcached {
    fn describe(&self) -> Description {
        let names: Vec<String> = self.ring.nodes().iter().map(Node::to_string).collect();
        Description {
            target: format!("memcached at {}", names.join(", ")),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: BATCHES_IN_PIPELINE,
            write_batches: BATCHES_IN_PIPELINE,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let (fleet, run) = Fleet::start(self.login.clone(), self.ring.nodes().to_vec(), self.timing);
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(run);
        while_alive(&mut lifeline, async {
            fleet.settled().await;
            Ok(())
        })
        .await?;
        let servers = Servers { ring: Arc::clone(&self.ring), fleet, moves: self.moves };
        let connection = MemcachedConnection::new(servers, self.items.clone());
        Ok(Link { connection: Arc::new(connection), lifeline })
    }

    fn group_of(&self, key: &Key) -> usize {
        self.ring.home(&self.items.names.full(key))
    }
}
