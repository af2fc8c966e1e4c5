//! Where the timestamps of writes come from.
//!
//! Cassandra keeps, of all writes to one row, the one with the highest timestamp, in whatever
//! order they arrive; of a write and a delete with equal ones the delete. So the order of calls
//! is the order of writes if and only if each write has a higher timestamp than those before it:
//! also when the system's clock stands still between two calls or is set back, and also when an
//! earlier attempt arrives after its repetition. And since other programs write too, with clocks
//! of their own, what they wrote is to be topped once it was read.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, which is what Cassandra's own clients and coordinators use.
type Microseconds = i64;

/// How far in the future a timestamp that was read may be and still be topped: a day. One that
/// is further away was never a time, and would spoil all that follow it.
const BELIEVABLE: Microseconds = 24 * 3600 * 1_000_000;

/// A hybrid logical clock: the time, except that it never gives the same or an earlier one
/// again, and that it is moved forward by what was read.
pub(super) struct Timestamps<Clock = fn() -> Microseconds> {
    clock: Clock,
    last: AtomicI64,
}

/// The source for all connectors of this process: what one of them is told after another was
/// answered comes after it.
pub(super) static OF_THIS_PROCESS: Timestamps = Timestamps::new(system_clock);

fn system_clock() -> Microseconds {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Microseconds::try_from(now.as_micros()).unwrap_or(Microseconds::MAX)
}

impl<Clock: Fn() -> Microseconds> Timestamps<Clock> {
    pub const fn new(clock: Clock) -> Timestamps<Clock> {
        Timestamps { clock, last: AtomicI64::new(0) }
    }

    /// A timestamp higher than all before it, and than all that were seen.
    pub fn next(&self) -> Microseconds {
        let now = (self.clock)();
        let after = |last: Microseconds| Some(now.max(last.saturating_add(1)));
        match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after) {
            Ok(last) | Err(last) => now.max(last.saturating_add(1)),
        }
    }

    /// Takes notice of the timestamp of a record that somebody wrote.
    pub fn seen(&self, timestamp: Microseconds) {
        // Nearly always it is in the past, and the clock need not be read.
        if timestamp > self.last.load(Ordering::Relaxed)
            && timestamp <= (self.clock)().saturating_add(BELIEVABLE)
        {
            self.last.fetch_max(timestamp, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::Cell;

    #[test]
    fn a_clock_that_stands_still_gives_higher_timestamps_nevertheless() {
        let timestamps = Timestamps::new(|| 1_000);
        assert_eq!([timestamps.next(), timestamps.next(), timestamps.next()], [1_000, 1_001, 1_002]);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_higher_timestamps_nevertheless() {
        let clock = Cell::new(5_000);
        let timestamps = Timestamps::new(|| clock.get());
        assert_eq!(timestamps.next(), 5_000);
        clock.set(10);
        assert_eq!([timestamps.next(), timestamps.next()], [5_001, 5_002]);
        clock.set(9_000);
        assert_eq!(timestamps.next(), 9_000);
    }

    #[test]
    fn what_was_read_is_topped() {
        let timestamps = Timestamps::new(|| 1_000);
        timestamps.seen(400);
        assert_eq!(timestamps.next(), 1_000);
        timestamps.seen(70_000);
        timestamps.seen(60_000);
        assert_eq!([timestamps.next(), timestamps.next()], [70_001, 70_002]);
    }

    #[test]
    fn what_is_no_time_is_not_followed() {
        let timestamps = Timestamps::new(|| 1_000);
        timestamps.seen(1_000 + BELIEVABLE + 1);
        timestamps.seen(Microseconds::MAX);
        assert_eq!(timestamps.next(), 1_000);
        timestamps.seen(1_000 + BELIEVABLE);
        assert_eq!(timestamps.next(), 1_000 + BELIEVABLE + 1);
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let timestamps = Timestamps::new(|| Microseconds::MAX);
        assert_eq!([timestamps.next(), timestamps.next()], [Microseconds::MAX; 2]);
        timestamps.seen(Microseconds::MAX);
    }

    #[test]
    fn no_two_threads_get_the_same() {
        let timestamps = Timestamps::new(|| 7);
        let mut all: Vec<Microseconds> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).map(|_| timestamps.next()).collect::<Vec<_>>()))
                .collect();
            let lists = threads.into_iter().map(|thread| thread.join().unwrap());
            lists.inspect(|list| assert!(list.is_sorted())).flatten().collect()
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4_000);
    }
}
