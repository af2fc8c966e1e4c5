//! What is known of documents' revisions, so that most writes need no look first.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// How many documents' revisions are kept; each takes about 150 bytes.
const MOST: NonZeroUsize = NonZeroUsize::new(100_000).expect("it is not zero");

/// What a write has to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    /// This one.
    Is(String),
    /// None, since there is no document.
    Absent,
}

/// Revisions as they were last seen. Others may have written since; CouchDB says so then.
pub(super) struct Revisions {
    known: Mutex<LruCache<String, Revision>>,
}

impl Revisions {
    pub fn new() -> Revisions {
        Revisions { known: Mutex::new(LruCache::new(MOST)) }
    }

    fn known(&self) -> MutexGuard<'_, LruCache<String, Revision>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, id: &str) -> Option<Revision> {
        self.known().get(id).cloned()
    }

    pub fn learn(&self, id: &str, revision: Revision) {
        let mut known = self.known();
        match known.get_mut(id) {
            Some(old) => *old = revision,
            None => drop(known.put(id.to_owned(), revision)),
        }
    }

    pub fn forget(&self, id: &str) {
        self.known().pop(id);
    }
}
