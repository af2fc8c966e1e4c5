//! The servers there are now, and which of them has a key.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::ring::Ring;
use super::session::Session;
use crate::net::fleet::Fleet;

/// The ring as it is now. Clones share it.
#[derive(Clone)]
pub(super) struct CurrentRing(Arc<RwLock<Arc<Ring>>>);

impl CurrentRing {
    pub fn new(ring: Ring) -> CurrentRing {
        CurrentRing(Arc::new(RwLock::new(Arc::new(ring))))
    }

    pub fn get(&self) -> Arc<Ring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set(&self, ring: Ring) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
    }
}

/// The servers and who has which keys.
pub(super) struct Servers {
    pub ring: CurrentRing,
    pub fleet: Fleet<Session>,
    /// Whether the keys of a server that is away go to others.
    pub moves: bool,
}

impl Servers {
    /// For each key the number of the server on the ring that has it now.
    pub fn places(&self, ring: &Ring, keys: &[&str]) -> Vec<usize> {
        if !self.moves {
            return keys.iter().map(|key| ring.home(key.as_bytes())).collect();
        }
        let standing: Vec<bool> = {
            let known: BTreeMap<_, _> = self.fleet.nodes().into_iter().collect();
            ring.nodes().iter().map(|node| known.get(node) == Some(&true)).collect()
        };
        keys.iter()
            .map(|key| {
                let mut route = ring.route(key.as_bytes());
                route.find(|number| standing[*number]).unwrap_or_else(|| ring.home(key.as_bytes()))
            })
            .collect()
    }
}
