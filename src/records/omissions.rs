//! What listings leave out: a page has no place for the error of one record, and must not stop at
//! it. Each that is left out is named in the log.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::core::{Error, Notice};

/// The most records that wait to be named.
const KEPT: usize = 100;

/// The most characters of a key that are shown.
const SHOWN: usize = 80;

/// Records that were left out and are not named yet.
#[derive(Default)]
pub(crate) struct Omissions(Mutex<State>);

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    /// How many more there are.
    others: usize,
    waker: Option<Waker>,
}

impl Omissions {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record with this key is left out, since reading it gives this error.
    pub fn add(&self, key: &str, error: &Error) {
        let mut state = self.lock();
        if state.lines.len() < KEPT {
            let shown: String = key.chars().take(SHOWN).collect();
            let shown = if shown.len() < key.len() { format!("{shown}…") } else { shown };
            state.lines.push_back(format!("a listing left out {shown:?}: {}", error.message()));
        } else {
            state.others += 1;
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// For [`Connection::poll_notice`](crate::core::Connection::poll_notice).
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut state = self.lock();
        if let Some(line) = state.lines.pop_front() {
            return Poll::Ready(Notice::Warning(line));
        }
        match std::mem::take(&mut state.others) {
            0 => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            others => Poll::Ready(Notice::Warning(format!("a listing left out {others} more records"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ErrorCode;

    #[test]
    fn each_record_is_named_up_to_a_number_of_them() {
        let omissions = Omissions::default();
        let error = Error::new(ErrorCode::Corrupt, "it is no record");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(omissions.poll(&mut cx).is_pending());
        omissions.add("users/\"1\"", &error);
        omissions.add(&"k".repeat(90), &error);
        (0..KEPT).for_each(|_| omissions.add("another", &error));
        let mut lines = Vec::new();
        while let Poll::Ready(Notice::Warning(line)) = omissions.poll(&mut cx) {
            lines.push(line);
        }
        assert_eq!(lines[0], r#"a listing left out "users/\"1\"": it is no record"#);
        assert_eq!(lines[1], format!("a listing left out \"{}…\": it is no record", "k".repeat(80)));
        assert_eq!(lines.len(), KEPT + 1);
        assert_eq!(lines[KEPT], "a listing left out 2 more records");
    }
}
