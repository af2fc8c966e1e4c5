//! Silence, not duration.

use crate::failure::{expect, Checked};
use crate::scenario::Setup;
use crate::time::{words, Nanos, MILLI, SECOND};

/// How long silence is borne where nobody counts bytes, or where only a question is under way.
const LONGEST_SILENCE: Nanos = 60 * SECOND;

/// The engine gives its connection up. Of each link: how much is unanswered, and when something
/// last moved on it.
pub fn a_hang_is_never_false(
    now: Nanos,
    timeout: Nanos,
    mut links: impl Iterator<Item = (usize, Nanos)>,
) -> Checked {
    let hangs = links.any(|(unanswered, last_move)| unanswered > 0 && now - last_move >= timeout);
    expect(hangs, "a_hang_is_never_false", || {
        format!("no server was silent for {} while something was unanswered", words(timeout))
    })
}

/// How long a server has been silent about so many batches and questions, in time that the host
/// was awake.
pub fn a_hang_is_noticed(setup: &Setup, batches: usize, questions: usize, silence: Nanos) -> Checked {
    let patience = match (batches, setup.counts_bytes) {
        (1.., true) => setup.timeout,
        _ => setup.timeout.max(LONGEST_SILENCE),
    };
    // Where nobody counts, a question takes as long as it takes.
    let is_watched = batches > 0 || (questions > 0 && setup.counts_bytes);
    let most = 2 * patience + 50 * MILLI;
    expect(!is_watched || silence <= most, "a_hang_is_noticed", || {
        format!("the server is silent about {batches} batches and {questions} questions for {}", words(silence))
    })
}
