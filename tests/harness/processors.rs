//! How busy the machine's processors are.

use std::fs;

/// The share of their time that is taken when nothing is left for another test.
const BUSY: f64 = 0.9;

/// What was read of them last.
#[derive(Debug, Default)]
pub struct Processors(Option<Ticks>);

/// Of all processors together, since the machine was started.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    all: u64,
    /// Idle, or given to what has the lowest priority, such as compilers beside the tests.
    free: u64,
}

impl Processors {
    /// Whether they had no time left since this was last called. Never, where the system does not say.
    pub fn are_busy(&mut self) -> bool {
        fs::read_to_string("/proc/stat").is_ok_and(|text| self.were_busy_until(&text))
    }

    /// The same, by the text of `/proc/stat`.
    pub fn were_busy_until(&mut self, text: &str) -> bool {
        let now = Ticks::of(text);
        let before = std::mem::replace(&mut self.0, now);
        let (Some(before), Some(now)) = (before, now) else { return false };
        let all = now.all.saturating_sub(before.all);
        let taken = all.saturating_sub(now.free.saturating_sub(before.free));
        all > 0 && taken as f64 > BUSY * all as f64
    }
}

impl Ticks {
    /// As proc(5) has them in the first line.
    fn of(text: &str) -> Option<Ticks> {
        let counts = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        // What guests use is in the first two already.
        let counts: Vec<u64> = counts.take(8).map_while(|count| count.parse().ok()).collect();
        let [_, nice, _, idle, waiting, ..] = counts[..] else { return None };
        Some(Ticks { all: counts.iter().sum(), free: nice + idle + waiting })
    }
}
