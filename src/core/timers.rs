//! When something with a number is to be looked at. Setting the time again costs nothing as long
//! as an earlier look is due anyway, so the usual deadline, which is never reached, is free; an
//! earlier one costs a step in a heap. Each number has one time that counts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// See the module.
#[derive(Default)]
pub(super) struct Timers {
    /// With some that count no more.
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    /// The time that counts, by number.
    at: Vec<Option<Instant>>,
    set: usize,
}

/// So many that count no more are borne.
const MAX_STALE: usize = 64;

impl Timers {
    pub fn new() -> Timers {
        Timers::default()
    }

    /// Has a number looked at then, or earlier.
    pub fn at_latest(&mut self, number: usize, time: Instant) {
        if number >= self.at.len() {
            self.at.resize(number + 1, None);
        }
        let at = &mut self.at[number];
        if at.is_some_and(|at| at <= time) {
            return;
        }
        self.set += usize::from(at.is_none());
        *at = Some(time);
        self.heap.push(Reverse((time, number)));
        if self.heap.len() > 2 * self.set + MAX_STALE {
            self.compact();
        }
    }

    /// The next time at which there is something to look at.
    pub fn next(&mut self) -> Option<Instant> {
        self.prune();
        self.heap.peek().map(|&Reverse((time, _))| time)
    }

    /// A number whose time has come; it has none any more.
    pub fn pop_due(&mut self, now: Instant) -> Option<usize> {
        self.prune();
        let &Reverse((time, number)) = self.heap.peek()?;
        if time > now {
            return None;
        }
        self.heap.pop();
        self.at[number] = None;
        self.set -= 1;
        Some(number)
    }

    /// Forgets everything, memory included.
    pub fn clear(&mut self) {
        *self = Timers::default();
    }

    fn prune(&mut self) {
        while let Some(&Reverse((time, number))) = self.heap.peek() {
            if self.at[number] == Some(time) {
                return;
            }
            self.heap.pop();
        }
    }

    fn compact(&mut self) {
        let at = &self.at;
        self.heap.retain(|&Reverse((time, number))| at[number] == Some(time));
        self.heap.shrink_to(2 * self.set + MAX_STALE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    #[test]
    fn the_earliest_time_counts_and_counts_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new();
        timers.at_latest(1, at(10));
        timers.at_latest(1, at(20));
        timers.at_latest(2, at(15));
        timers.at_latest(1, at(5));
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.pop_due(at(30)), Some(1));
        assert_eq!(timers.pop_due(at(30)), Some(2));
        assert_eq!((timers.pop_due(at(30)), timers.next()), (None, None));
    }

    #[test]
    fn what_counts_no_more_does_not_pile_up() {
        let start = Instant::now();
        let hour = Duration::from_secs(3_600);
        let mut timers = Timers::new();
        for round in 0..10_000 {
            let now = start + Duration::from_millis(round);
            timers.at_latest(1, now + hour);
            timers.at_latest(1, now);
            assert_eq!(timers.pop_due(now), Some(1));
        }
        assert!(timers.heap.len() <= 2 * MAX_STALE && timers.heap.capacity() <= 4 * MAX_STALE);
    }
}
