//! What the engine takes for the time: the system's, or one that is set by hand, in which a
//! simulated hour takes no longer than what happens in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A source of time. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    by_hand: Option<Arc<ByHand>>,
}

#[derive(Debug)]
struct ByHand {
    start: Instant,
    /// Nanoseconds since the start.
    passed: AtomicU64,
}

impl Clock {
    /// The system's monotonic clock.
    pub fn system() -> Clock {
        Clock { by_hand: None }
    }

    /// A clock that stands still until it is advanced.
    pub fn by_hand() -> Clock {
        Clock { by_hand: Some(Arc::new(ByHand { start: Instant::now(), passed: AtomicU64::new(0) })) }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        match &self.by_hand {
            None => Instant::now(),
            Some(by_hand) => by_hand.start + Duration::from_nanos(by_hand.passed.load(Ordering::Relaxed)),
        }
    }

    /// Moves a clock on that is set by hand; the system's does not mind.
    pub fn advance(&self, by: Duration) {
        if let Some(by_hand) = &self.by_hand {
            let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            by_hand.passed.fetch_add(by, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_by_hand_moves_by_hand_alone() {
        let clock = Clock::by_hand();
        let start = clock.now();
        let other = clock.clone();
        assert_eq!(other.now(), start);
        other.advance(Duration::from_secs(3_600));
        assert_eq!(clock.now(), start + Duration::from_secs(3_600));
    }
}
