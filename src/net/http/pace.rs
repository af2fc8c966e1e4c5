//! Growing pauses for a server that is asked too much.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::Backoff;

const FIRST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_secs(5);

/// How long operations rest, the longer the more often in a row the server asked for it. The
/// engine does the resting: see [`Error::after`](crate::core::Error::after).
pub(crate) struct Pace {
    backoff: Mutex<Backoff>,
}

impl Pace {
    pub fn new() -> Pace {
        Pace { backoff: Mutex::new(Backoff::new(FIRST, LONGEST)) }
    }

    fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server is asked too much: how long to leave it alone, at least as long as it asks.
    pub fn slower(&self, asked: Option<Duration>) -> Duration {
        let own = self.backoff().next();
        asked.map_or(own, |asked| asked.max(own))
    }

    /// The server served all it was asked for.
    pub fn well(&self) {
        self.backoff().reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_all_is_well() {
        let pace = Pace::new();
        assert!(pace.slower(None) <= FIRST);
        let third = (0..4).map(|_| pace.slower(None)).last().unwrap();
        assert!(third >= FIRST * 4, "{third:?}");
        assert_eq!(pace.slower(Some(Duration::from_secs(30))), Duration::from_secs(30));
        pace.well();
        assert!(pace.slower(None) <= FIRST);
    }
}
