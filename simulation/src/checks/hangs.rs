//! Silence, not duration.

use crate::failure::{expect, Checked};
use crate::scenario::Setup;
use crate::time::{words, Nanos, MILLI, SECOND};

/// How long silence is borne where nobody counts bytes, or where only a question is under way.
const LONGEST_SILENCE: Nanos = 60 * SECOND;

/// What the host's other work may add.
const GRAIN: Nanos = 50 * MILLI;

/// The engine gives its connection up, on which the longest silence about something was so long.
pub fn a_hang_is_never_false(timeout: Nanos, silence: Option<Nanos>) -> Checked {
    expect(silence.is_some_and(|silence| silence >= timeout), "a_hang_is_never_false", || {
        format!("no server was silent for {}; the longest silence: {:?}", words(timeout), silence.map(words))
    })
}

/// How long a server has been silent about batches, where there are any, and about anything, in time
/// that the host was awake.
pub fn a_hang_is_noticed(setup: &Setup, of_batches: Option<Nanos>, silence: Nanos) -> Checked {
    const CHECK: &str = "a_hang_is_noticed";
    let longest = setup.timeout.max(LONGEST_SILENCE);
    let patience = if setup.counts_bytes { setup.timeout } else { longest };
    let of_batches = of_batches.unwrap_or(0);
    expect(of_batches <= 2 * patience + GRAIN, CHECK, || {
        format!("the server is silent about a batch for {}", words(of_batches))
    })?;
    // Where nobody counts, a question takes as long as it takes.
    expect(!setup.counts_bytes || silence <= 2 * longest + GRAIN, CHECK, || {
        format!("the server is silent for {}", words(silence))
    })
}
