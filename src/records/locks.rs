//! Tables in which a lock of somebody else's was met a moment ago. Who writes there waits for no
//! lock, so that one row that is locked does not hold up the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a table is remembered.
const KEPT: Duration = Duration::from_secs(10);

/// The tables, by their plain names.
#[derive(Default)]
pub(crate) struct Locks(Mutex<HashMap<String, Instant>>);

impl Locks {
    /// A lock was met in a table.
    pub fn met(&self, table: &str) {
        let now = Instant::now();
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|_, met| now.duration_since(*met) < KEPT);
        tables.insert(table.to_owned(), now);
    }

    /// Whether one was met in it a moment ago.
    pub fn is_recent(&self, table: &str) -> bool {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get(table).is_some_and(|met| met.elapsed() < KEPT)
    }
}
