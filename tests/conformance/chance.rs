//! Numbers that look random and are the same in each run.

use std::env;

/// SplitMix64, by Sebastiano Vigna.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance { state: seed }
    }

    /// From the seed of this run.
    pub fn of_this_run() -> Chance {
        Chance::new(seed())
    }

    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.draw() % limit as u64).expect("below a usize")
    }

    /// True once in `often` times.
    pub fn once_in(&mut self, often: usize) -> bool {
        self.below(often) == 0
    }
}

/// `CONFORMANCE_SEED`, or always the same.
pub fn seed() -> u64 {
    match env::var("CONFORMANCE_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("CONFORMANCE_SEED={text} is no whole number")),
        Err(_) => 20_261_122,
    }
}
