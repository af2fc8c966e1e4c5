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
mod items;
pub(super) mod membership;
mod meta;
mod names;
pub(super) mod options;
mod reply;
mod ring;
mod servers;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, FutureExt};

use self::connection::MemcachedConnection;
use self::items::Items;
use self::membership::{Discover, Membership};
pub(super) use self::options::OPTIONS;
use self::ring::Ring;
use self::servers::{CurrentRing, Servers};
use self::session::Login;
use crate::config::Settings;
use crate::core::{Backend, Description, Error, Key, Link};
use crate::net::fleet::{Fleet, Node, Timing};
use crate::net::pipeline::while_alive;

/// Large enough to keep a server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 512;
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Batches of a kind in a pipeline at once: one is worked on while the next is on its way.
const BATCHES_IN_PIPELINE: usize = 2;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let ring = CurrentRing::new(Ring::new(&options::servers(settings)?));
    let names: Vec<String> = ring.get().nodes().iter().map(Node::to_string).collect();
    Memcached::open(settings, ring, format!("memcached at {}", names.join(", ")), None)
}

/// The same for servers that somebody else knows; `target` is what is connected to, for
/// messages.
#[cfg(feature = "elasticache")]
pub(super) fn open_discovered(
    settings: &Settings,
    target: String,
    discover: Arc<dyn Discover>,
) -> Result<Arc<dyn Backend>, Error> {
    Memcached::open(settings, CurrentRing::new(Ring::new(&[])), target, Some(discover))
}

struct Memcached {
    ring: CurrentRing,
    target: String,
    discover: Option<Arc<dyn Discover>>,
    login: Login,
    items: Items,
    timing: Timing,
    /// Whether the keys of a server that is away go to others.
    moves: bool,
}

impl Memcached {
    fn open(
        settings: &Settings,
        ring: CurrentRing,
        target: String,
        discover: Option<Arc<dyn Discover>>,
    ) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(Memcached {
            ring,
            target,
            discover,
            login: Login::from_settings(settings)?,
            items: Items::from_settings(settings),
            timing: options::timing(settings),
            moves: options::moves(settings),
        }))
    }
}

#[async_trait]
impl Backend for Memcached {
    fn describe(&self) -> Description {
        Description {
            target: self.target.clone(),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: BATCHES_IN_PIPELINE,
            write_batches: BATCHES_IN_PIPELINE,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        if let Some(discover) = &self.discover {
            let nodes = discover.discover(self.ring.get().nodes().to_vec()).await?;
            self.ring.set(membership::ring_of(nodes));
        }
        let nodes = self.ring.get().nodes().to_vec();
        let (fleet, run) = Fleet::start(self.login.clone(), nodes, self.timing);
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(run);
        while_alive(&mut lifeline, async {
            fleet.settled().await;
            Ok(())
        })
        .await?;
        let membership = self.discover.as_ref().map(|discover| {
            let ring = self.ring.clone();
            Membership::new(Arc::clone(discover), ring, fleet.clone(), self.timing.connect)
        });
        let pace = membership.as_ref().map(Membership::pace);
        if let Some(membership) = membership {
            lifeline = Box::pin(select(membership, lifeline).map(|either| either.factor_first().0));
        }
        let servers = Servers { ring: self.ring.clone(), fleet, moves: self.moves };
        let connection = MemcachedConnection::new(servers, self.items.clone(), pace);
        Ok(Link { connection: Arc::new(connection), lifeline })
    }

    fn group_of(&self, key: &Key) -> usize {
        self.ring.get().home(self.items.names.full(key).as_bytes())
    }
}
