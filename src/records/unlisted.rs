//! Records that a listing has to pass over since they cannot be read. Each is named in the host's log.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::core::{Error, Notice};

/// How many lines wait at most; those beyond are counted in one.
const MOST: usize = 100;

/// How many characters of a key are shown.
const SHOWN: usize = 100;

/// What was passed over and not told yet.
#[derive(Default)]
pub(crate) struct Unlisted {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    untold: usize,
    waker: Option<Waker>,
}

impl Unlisted {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A listing passes over this record.
    pub fn pass(&self, key: &str, error: &Error) {
        let mut state = self.state();
        if state.lines.len() < MOST {
            let shown: String = key.chars().take(SHOWN).collect();
            let rest = if shown.len() < key.len() { "…" } else { "" };
            let line = format!("a listing passes over the record {shown:?}{rest}: {}", error.message());
            state.lines.push_back(line);
        } else {
            state.untold += 1;
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// For [`Connection::poll_notice`](crate::core::Connection::poll_notice).
    pub fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut state = self.state();
        let untold = state.untold;
        let line = match state.lines.pop_front() {
            Some(line) => line,
            None if untold > 0 => {
                state.untold = 0;
                format!("listings pass over {untold} more records that cannot be read")
            }
            None => {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        Poll::Ready(Notice::Warning(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ErrorCode;

    #[test]
    fn each_record_that_is_passed_over_is_named() {
        let unlisted = Unlisted::default();
        let error = Error::new(ErrorCode::Corrupt, "it is none");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(unlisted.poll_notice(&mut cx).is_pending());
        unlisted.pass("a\n\"b", &error);
        unlisted.pass(&"k".repeat(200), &error);
        for _ in 0..MOST {
            unlisted.pass("c", &error);
        }
        let mut lines = Vec::new();
        while let Poll::Ready(Notice::Warning(line)) = unlisted.poll_notice(&mut cx) {
            lines.push(line);
        }
        assert_eq!(lines[0], r#"a listing passes over the record "a\n\"b": it is none"#);
        assert!(lines[1].len() < 200 && lines[1].contains("k\"…"), "{}", lines[1]);
        assert_eq!(
            (lines.len(), &*lines[MOST]),
            (MOST + 1, "listings pass over 2 more records that cannot be read")
        );
    }
}
