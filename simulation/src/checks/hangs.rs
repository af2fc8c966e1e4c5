//! Silence, not duration.

use crate::failure::{expect, Checked};
use crate::scenario::Setup;
use crate::time::{words, Nanos, MILLI, SECOND};

/// How long silence is borne where nobody counts bytes, or where only a question is under way.
const LONGEST_SILENCE: Nanos = 60 * SECOND;

/// The engine gives its connection up, on which the longest silence about something was so long.
pub fn a_hang_is_never_false(timeout: Nanos, silence: Option<Nanos>) -> Checked {
    expect(silence.is_some_and(|silence| silence >= timeout), "a_hang_is_never_false", || {
        format!("no server was silent for {}; the longest silence: {:?}", words(timeout), silence.map(words))
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
        format!(
            "the server is silent about {batches} batches and {questions} questions for {}",
            words(silence)
        )
    })
}
