//! Writes of which nobody knows whether they were carried out, and the time to let them be.
//!
//! HTTP has no way to call a request back. A server that hung has some in its buffers, and does
//! them when it goes on, at the same time as those that come on new connections.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a server that answers again is given time to finish what it was asked before: at
/// least, and at most where it was slow to answer.
const TIME: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(2);

/// Whether there are such writes. It belongs to the backend, since it outlives connections.
#[derive(Default)]
pub(crate) struct Doubt {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    None,
    Some,
    /// The server answers again, and has until then.
    SettledAt(Instant),
}

/// A write under way; see [`Underway::answered`].
pub(crate) struct Underway<'a> {
    doubt: &'a Doubt,
    is_answered: bool,
}

impl Doubt {
    /// A write is sent. It is in doubt unless its answer is told of.
    pub fn sent(&self) -> Underway<'_> {
        Underway { doubt: self, is_answered: false }
    }

    /// Gives the server time, once it answers on a new connection, where something is in doubt.
    /// `took` is how long it needed to answer. An attempt to connect that is shorter leaves the
    /// rest to the next one.
    pub async fn settle(&self, took: Duration) {
        let until = match *self.state() {
            State::None => return,
            State::Some => Instant::now() + (took * 4).clamp(TIME, LONGEST),
            State::SettledAt(until) => until,
        };
        *self.state() = State::SettledAt(until);
        tokio::time::sleep_until(until.into()).await;
        *self.state() = State::None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Underway<'_> {
    /// The server said what became of it.
    pub fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            *self.doubt.state() = State::Some;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn only_what_is_in_doubt_is_given_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let doubt = Doubt::default();
        let settles = || {
            let begin = Instant::now();
            runtime.block_on(doubt.settle(Duration::ZERO));
            begin.elapsed()
        };
        doubt.sent().answered();
        assert!(settles() < TIME);
        drop(doubt.sent());
        doubt.sent().answered();
        assert!(settles() >= TIME);
        assert!(settles() < TIME);
        // In several attempts.
        drop(doubt.sent());
        let begin = Instant::now();
        let attempt =
            || runtime.block_on(async { tokio::time::timeout(TIME / 3, doubt.settle(Duration::ZERO)).await });
        while attempt().is_err() {}
        assert!(begin.elapsed() >= TIME);
        assert!(settles() < TIME);
    }
}
