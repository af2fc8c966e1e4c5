//! Growing, jittered pauses between attempts.

use std::time::Duration;

use super::random::Random;

/// Doubles from the first pause to the longest. Each pause is shortened by a random part of up
/// to half, so that many clients of one server do not come back in step.
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    random: Random,
}

impl Backoff {
    #[cfg_attr(not(feature = "fleet"), allow(dead_code))]
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff::with(first, longest, Random::new())
    }

    /// The same with a given source of chance.
    pub fn with(first: Duration, longest: Duration, random: Random) -> Backoff {
        let longest = longest.max(first);
        Backoff { first, longest, next: first, random }
    }

    /// The next pause.
    pub fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        self.jitter(pause)
    }

    /// The longest pause, for what waiting does not mend.
    pub fn longest(&mut self) -> Duration {
        self.jitter(self.longest)
    }

    /// Begins with the first pause again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    fn jitter(&mut self, pause: Duration) -> Duration {
        pause - pause.mul_f64(self.random.below(1024) as f64 / 2048.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_start_again() {
        let (first, longest) = (Duration::from_millis(50), Duration::from_millis(400));
        let mut backoff = Backoff::new(first, longest);
        for expected in [50, 100, 200, 400, 400] {
            let pause = backoff.next();
            let expected = Duration::from_millis(expected);
            assert!(pause <= expected && pause >= expected / 2, "{pause:?} for {expected:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= first);
    }
}
