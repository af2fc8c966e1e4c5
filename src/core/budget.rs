//! What one turn of the engine may take. After it sockets are looked at and callbacks run before
//! the engine goes on, however much there is to do.

use std::time::{Duration, Instant};

use super::clock::Clock;

/// Operations taken in, answered, given up or looked at.
const OPERATIONS: usize = 2048;

/// Bytes of keys and data that come in or go out.
const BYTES: usize = 8 << 20;

/// Time; it is looked at seldom, and one batch may take longer.
const TIME: Duration = Duration::from_millis(2);

/// So many steps are made between two looks at the clock.
const STEPS: usize = 64;

/// What is left of a turn.
pub(super) struct Budget {
    operations: usize,
    bytes: usize,
    until: Instant,
    clock: Clock,
    /// The next look at the clock is due when there are so many operations left.
    look_at: usize,
}

impl Budget {
    pub fn new(clock: &Clock, now: Instant) -> Budget {
        Budget {
            operations: OPERATIONS,
            bytes: BYTES,
            until: now + TIME,
            clock: clock.clone(),
            look_at: OPERATIONS - STEPS,
        }
    }

    /// Takes something off.
    pub fn spend(&mut self, operations: usize, bytes: usize) {
        self.operations = self.operations.saturating_sub(operations);
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.operations <= self.look_at {
            self.look_at = self.operations.saturating_sub(STEPS);
            if self.clock.now() >= self.until {
                self.operations = 0;
            }
        }
    }

    /// Whether the turn may go on.
    pub fn is_left(&self) -> bool {
        self.operations > 0 && self.bytes > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_by_operations_by_bytes_and_by_time() {
        let clock = Clock::by_hand();
        let mut budget = Budget::new(&clock, clock.now());
        budget.spend(OPERATIONS - 1, 0);
        assert!(budget.is_left());
        budget.spend(1, 0);
        assert!(!budget.is_left());
        let mut budget = Budget::new(&clock, clock.now());
        budget.spend(1, BYTES);
        assert!(!budget.is_left());
        let mut budget = Budget::new(&clock, clock.now());
        clock.advance(TIME);
        let steps = (0..OPERATIONS).take_while(|_| {
            budget.spend(1, 0);
            budget.is_left()
        });
        assert_eq!(steps.count(), STEPS - 1);
    }
}
