//! Virtual time: nanoseconds since the world began.

use std::time::Duration;

/// A time, or how long something takes.
pub type Nanos = u64;

pub const MICRO: Nanos = 1_000;
pub const MILLI: Nanos = 1_000 * MICRO;
pub const SECOND: Nanos = 1_000 * MILLI;
pub const HOUR: Nanos = 3_600 * SECOND;

/// For the engine's options and its clock.
pub fn duration(nanos: Nanos) -> Duration {
    Duration::from_nanos(nanos)
}

/// In words that a person can compare.
pub fn words(nanos: Nanos) -> String {
    format!("{}.{:06} s", nanos / SECOND, nanos % SECOND / MICRO)
}
