//! memcached, with keys, values and the distribution over servers as the npm client `memcached`
//! has them, which deepstream's own connector uses.
//!
//! One record is one item: `{"version":n,"data":…}`, or `{"_v":n,"_d":…}` in layout V1, with the
//! client flags 2 (JSON). What is sent are meta commands
//! (<https://docs.memcached.org/protocols/meta/>), and after a SASL login the binary protocol
//! (<https://docs.memcached.org/protocols/binary/>), since such a server speaks nothing else.
//! All commands of a batch for one server go together, those for several servers at once.

mod binary;
mod connection;
pub(super) mod hash_ring;
mod items;
pub(super) mod membership_refresh;
mod meta;
mod names;
pub(super) mod options;
mod reply;
mod server_connection;
mod server_pool;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, FutureExt};

use self::connection::MemcachedConnection;
use self::hash_ring::HashRing;
use self::items::Items;
use self::membership_refresh::{Discover, MembershipRefresh};
pub(super) use self::options::OPTIONS;
use self::server_connection::ServerDialer;
use self::server_pool::{CurrentRing, ServerPool};
use crate::config::Settings;
use crate::core::{Backend, Description, Error, Key, Link};
use crate::net::fleet::{Fleet, Node, Timeouts};
use crate::net::pipeline::while_alive;

/// Large enough to keep a server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 512;
const MAX_BATCH_BYTES: usize = 1 << 20;

/// Batches of a kind in a pipeline at once: one is worked on while the next is on its way.
const BATCHES_IN_PIPELINE: usize = 2;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let ring = CurrentRing::new(HashRing::new(&options::servers(settings)?));
    let names: Vec<String> = ring.get().servers().iter().map(Node::to_string).collect();
    Memcached::open(settings, ring, format!("memcached at {}", names.join(", ")), None)
}

/// The same for servers that are discovered; `target` is what is connected to, for messages.
#[cfg(feature = "elasticache")]
pub(super) fn open_discovered(
    settings: &Settings,
    target: String,
    discover: Arc<dyn Discover>,
) -> Result<Arc<dyn Backend>, Error> {
    Memcached::open(settings, CurrentRing::new(HashRing::new(&[])), target, Some(discover))
}

struct Memcached {
    ring: CurrentRing,
    target: String,
    discover: Option<Arc<dyn Discover>>,
    dialer: ServerDialer,
    items: Items,
    timeouts: Timeouts,
    /// Whether the keys of a server that is disconnected go to others.
    failover: bool,
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
            dialer: ServerDialer::from_settings(settings)?,
            items: Items::from_settings(settings),
            timeouts: options::timeouts(settings),
            failover: options::failover(settings),
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
            let nodes = discover.discover(self.ring.get().servers().to_vec()).await?;
            self.ring.set(HashRing::unweighted(nodes));
        }
        let nodes = self.ring.get().servers().to_vec();
        let (fleet, background) = Fleet::start(self.dialer.clone(), nodes, self.timeouts);
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(background);
        while_alive(&mut lifeline, fleet.started().map(Ok)).await?;
        let refresh = self.discover.as_ref().map(|discover| {
            let ring = self.ring.clone();
            MembershipRefresh::new(Arc::clone(discover), ring, fleet.clone(), self.timeouts.connect)
        });
        let schedule = refresh.as_ref().map(MembershipRefresh::schedule);
        if let Some(refresh) = refresh {
            lifeline = Box::pin(select(refresh, lifeline).map(|either| either.factor_first().0));
        }
        let pool = ServerPool { ring: self.ring.clone(), fleet, failover: self.failover };
        let pings = self.dialer.pings().cloned();
        let connection = MemcachedConnection::new(pool, self.items.clone(), schedule, pings);
        Ok(Link { connection: Arc::new(connection), lifeline })
    }

    fn group_of(&self, key: &Key) -> usize {
        self.ring.get().server_of(self.items.names.full(key).as_bytes())
    }
}
