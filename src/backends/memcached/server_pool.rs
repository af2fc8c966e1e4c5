//! The servers there are now, the connections to them, and which of them has a key.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::hash_ring::HashRing;
use super::server_connection::ServerConnection;
use crate::net::fleet::Fleet;

/// The hash ring as it is now. Clones share it.
#[derive(Clone)]
pub(super) struct CurrentRing(Arc<RwLock<Arc<HashRing>>>);

impl CurrentRing {
    pub fn new(ring: HashRing) -> CurrentRing {
        CurrentRing(Arc::new(RwLock::new(Arc::new(ring))))
    }

    pub fn get(&self) -> Arc<HashRing> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set(&self, ring: HashRing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }
}

/// See the module.
pub(super) struct ServerPool {
    pub ring: CurrentRing,
    pub fleet: Fleet<ServerConnection>,
    /// Whether the keys of a server that is disconnected go to others.
    pub failover: bool,
}

impl ServerPool {
    /// For each key the index of the server on the ring that has it now.
    pub fn servers_of(&self, ring: &HashRing, keys: &[&str]) -> Vec<usize> {
        if !self.failover {
            return keys.iter().map(|key| ring.server_of(key.as_bytes())).collect();
        }
        let connected: Vec<bool> = {
            let known: BTreeMap<_, _> = self.fleet.nodes().into_iter().collect();
            ring.servers().iter().map(|node| known.get(node) == Some(&true)).collect()
        };
        keys.iter()
            .map(|key| {
                let mut order = ring.failover_order(key.as_bytes());
                order.find(|server| connected[*server]).unwrap_or_else(|| ring.server_of(key.as_bytes()))
            })
            .collect()
    }
}
