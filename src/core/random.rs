//! Chance for pauses that many clients must not take in step. Good for nothing else.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A stream of numbers: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Other numbers each time.
    pub fn new() -> Random {
        Random::from_seed(RandomState::new().hash_one(0))
    }

    /// The same numbers for the same seed.
    pub fn from_seed(seed: u64) -> Random {
        Random { state: seed }
    }

    /// Another stream, which depends on this one alone.
    pub fn fork(&mut self) -> Random {
        Random::from_seed(self.next())
    }

    /// A number below `bound`, which is not 0 and small beside 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// The first and the longest pause of what was refused for a while.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How long to rest after so many refusals; shortened by a random part of up to half.
pub(super) fn growing(refusals: u8, random: &mut Random) -> Duration {
    let pause = (PAUSES.0 * (1 << refusals.saturating_sub(1).min(6))).min(PAUSES.1);
    pause - pause.mul_f64(random.below(1024) as f64 / 2048.0)
}
