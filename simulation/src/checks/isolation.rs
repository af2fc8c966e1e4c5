//! What goes wrong at one server costs its own keys alone, and what goes well is quick.

use deepstream_connector::core::ErrorCode;

use crate::failure::{expect, Checked};
use crate::ledger::{Fate, Ledger, OpId};
use crate::scenario::Setup;
use crate::time::{words, Nanos, MILLI, SECOND};

/// What a host with several things to do may add.
const SLACK: Nanos = 20 * MILLI;

/// How long an operation may take at a server with which nothing is wrong, behind so many others.
pub fn longest(setup: &Setup, ahead: usize) -> Nanos {
    let round = 2 * (setup.latency + setup.spread);
    let transfer = (setup.largest as u64 + 1_000) * SECOND / setup.bandwidth;
    // The other kind takes turns with it.
    2 * (ahead as u64 + 3) * (round + 3 * transfer) + SLACK
}

/// An operation ended at a server with which nothing has been wrong since then.
pub fn a_living_server_is_quick(
    setup: &Setup,
    ledger: &Ledger,
    now: Nanos,
    since: Nanos,
    op: OpId,
) -> Checked {
    let it = &ledger.ops[op];
    let ahead = ledger.most_open_in[it.key % ledger.most_open_in.len()];
    let most = longest(setup, ahead);
    let since = since.max(it.submitted);
    let took = now - since;
    expect(took <= most, "a_living_server_is_quick", || {
        format!("{op} on k{} took {}, {} at most", it.key, words(took), words(most))
    })?;
    let had_time = it.deadline.saturating_sub(since) > most;
    let failed = matches!(it.fate, Fate::Failed { code: ErrorCode::Timeout, .. });
    expect(!(had_time && failed), "a_living_server_is_quick", || {
        format!("{op} on k{} had {} and ended with {:?}", it.key, words(it.deadline - since), it.fate)
    })
}

/// A server is back since then, the host has nothing to do, and somebody waits to be sent.
pub fn a_server_that_is_back_is_asked(now: Nanos, since: Nanos, waits: Option<OpId>) -> Checked {
    expect(waits.is_none(), "a_server_that_is_back_is_asked", || {
        format!("it is back for {}, and {waits:?} was not sent", words(now - since))
    })
}
