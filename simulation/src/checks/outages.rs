//! One outage, one `error`, one `ready`.

use crate::failure::{expect, Checked};
use crate::ledger::OpId;
use crate::time::{words, Nanos};

/// `ready` is told after an outage. Somebody may have waited for this connection since before it
/// stood.
pub fn an_outage_ends_with_an_answer(has_answered: bool, waits: Option<OpId>) -> Checked {
    expect(has_answered || waits.is_none(), "an_outage_ends_with_an_answer", || {
        format!("`ready` is told, nothing was answered yet, and {waits:?} waits")
    })
}

/// What the host was told of the connection.
#[derive(Default)]
pub struct Told {
    is_ready: bool,
    is_outage: bool,
    is_refused: bool,
    since: Nanos,
}

impl Told {
    /// `ready` was told.
    pub fn one_ready_after_an_outage(&mut self, now: Nanos) -> Checked {
        let is_news = !self.is_ready || self.is_outage || self.is_refused;
        let since = self.since;
        *self = Told { is_ready: true, since: now, ..Told::default() };
        expect(is_news, "one_ready_after_an_outage", || {
            format!("`ready` again, after that of {}", words(since))
        })
    }

    /// `error` was told.
    pub fn one_error_for_an_outage(&mut self, now: Nanos, is_fatal: bool) -> Checked {
        let is_known = if is_fatal { self.is_refused } else { self.is_outage };
        let since = self.since;
        self.since = now;
        if is_fatal {
            self.is_refused = true;
        } else {
            self.is_outage = true;
        }
        expect(!is_known, "one_error_for_an_outage", || {
            format!("`error` again, after that of {}", words(since))
        })
    }

    /// The host was told of an outage that is not over.
    pub fn is_outage(&self) -> bool {
        self.is_outage
    }

    /// The connection is as it should be, as far as the host was told.
    pub fn is_well(&self) -> bool {
        self.is_ready && !self.is_outage && !self.is_refused
    }

    /// Since when the server refuses the host, as far as it was told.
    pub fn is_refused_since(&self) -> Option<Nanos> {
        self.is_refused.then_some(self.since)
    }

    /// All is well for so long, and nothing is left to do.
    pub fn an_outage_ends(&self, is_ready: bool, idle: Nanos, most: Nanos) -> Checked {
        let is_well = self.is_well() && is_ready;
        expect(is_well || idle <= most, "an_outage_ends", || {
            format!(
                "all is well for {}; the host was told so: {}, the connector says so: {is_ready}",
                words(idle),
                self.is_well()
            )
        })
    }
}
