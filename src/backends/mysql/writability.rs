//! Whether the server takes writes. One that is read-only, as a replica is, goes on serving reads;
//! writes ask it again after pauses that grow, one batch at a time, and the host hears of one outage.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failure;
use crate::core::{Backoff, Error, Notice};

/// The first and the longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// See the module.
#[derive(Default)]
pub(super) struct Writability(Mutex<State>);

#[derive(Default)]
struct State {
    refused: Option<Refused>,
    news: VecDeque<Notice>,
}

/// It has refused a write, and taken none since.
struct Refused {
    /// Nothing is asked before this time.
    until: Instant,
    pauses: Backoff,
}

impl Writability {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a batch may write now. Where the server was read-only, it is the only one for a while.
    ///
    /// # Errors
    /// It is too early; says when it is not.
    pub fn ask(&self) -> Result<(), Error> {
        let mut state = self.state();
        let Some(refused) = &mut state.refused else { return Ok(()) };
        let now = Instant::now();
        if now < refused.until {
            return Err(failure::read_only().after(refused.until - now));
        }
        refused.until = now + refused.pauses.next();
        Ok(())
    }

    /// The server was asked and is read-only.
    pub fn refused(&self) {
        let mut state = self.state();
        if state.refused.is_none() {
            let mut pauses = Backoff::new(PAUSES.0, PAUSES.1);
            state.refused = Some(Refused { until: Instant::now() + pauses.next(), pauses });
            state.news.push_back(Notice::Trouble(failure::read_only()));
        }
    }

    /// The server has taken a write.
    pub fn wrote(&self) {
        let mut state = self.state();
        if state.refused.take().is_some() {
            state.news.push_back(Notice::Restored);
        }
    }

    /// What the host has to hear.
    pub fn news(&self) -> Option<Notice> {
        self.state().news.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_server_is_one_trouble_and_is_asked_by_one_batch_at_a_time() {
        let writability = Writability::default();
        assert!(writability.ask().is_ok() && writability.ask().is_ok());
        for _ in 0..3 {
            writability.refused();
        }
        assert!(matches!(writability.news(), Some(Notice::Trouble(_))));
        assert!(writability.news().is_none());
        let early = writability.ask().unwrap_err();
        assert!(early.pause().is_some_and(|pause| pause <= PAUSES.0), "{early:?}");
        writability.state().refused.as_mut().unwrap().until = Instant::now();
        assert!(writability.ask().is_ok());
        assert!(writability.ask().is_err(), "a second one beside it");
        writability.wrote();
        writability.wrote();
        assert!(matches!(writability.news(), Some(Notice::Restored)));
        assert!(writability.news().is_none());
        assert!(writability.ask().is_ok() && writability.ask().is_ok());
    }
}
