//! Deadlines: not too early, not too late, and nothing is sent for nobody.

use deepstream_connector::core::ErrorCode;

use crate::failure::{expect, Checked};
use crate::ledger::{Fate, Ledger, OpId};
use crate::time::{words, Nanos, MILLI};

/// How much later than its deadline somebody may be told, in time that the host was awake.
const GRAIN: Nanos = 8 * MILLI;

/// An operation is sent; `op` is one that waits for it.
pub fn what_has_expired_is_not_sent(
    ledger: &Ledger,
    now: Nanos,
    key: usize,
    kind: usize,
    op: Option<OpId>,
) -> Checked {
    const CHECK: &str = "what_has_expired_is_not_sent";
    expect(op.is_some(), CHECK, || format!("k{key}: nobody waits for what was sent (kind {kind})"))?;
    let late = op.filter(|&op| ledger.ops[op].deadline <= now);
    expect(late.is_none(), CHECK, || format!("k{key}: {late:?} was sent after its deadline"))
}

/// An operation ended.
pub fn nobody_is_too_late_too_early(ledger: &Ledger, now: Nanos, op: OpId) -> Checked {
    let it = &ledger.ops[op];
    let is_timeout = matches!(it.fate, Fate::Failed { code: ErrorCode::Timeout, .. });
    expect(!is_timeout || now >= it.deadline, "nobody_is_too_late_too_early", || {
        format!("{op} timed out, and has time until {}", words(it.deadline))
    })
}

/// A write timed out though its answer was there in time.
pub fn an_answer_that_is_here_is_not_called_late(ledger: &Ledger, op: OpId) -> Checked {
    let it = &ledger.ops[op];
    let is_timeout = matches!(it.fate, Fate::Failed { code: ErrorCode::Timeout, .. });
    let was_there = it.answered_at.filter(|&at| at < it.deadline);
    expect(!is_timeout || was_there.is_none(), "an_answer_that_is_here_is_not_called_late", || {
        format!(
            "{op} timed out, and its answer was there {:?} for {}",
            was_there.map(words),
            words(it.deadline)
        )
    })
}

/// The host has nothing to do, and somebody should have been told.
pub fn a_deadline_is_kept(now: Nanos, earliest: Option<(Nanos, usize)>) -> Checked {
    let late = earliest.filter(|&(deadline, _)| deadline + GRAIN < now);
    expect(late.is_none(), "a_deadline_is_kept", || {
        let (deadline, request) = late.unwrap_or_default();
        format!("request {request} had time until {}", words(deadline))
    })
}
