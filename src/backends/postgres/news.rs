//! What the server tells those who listen, and what a person should know of what happened.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::core::Notice;

/// More than this many that nobody takes, and the oldest are lost.
const KEPT: usize = 100_000;

/// Notifications that came, and the channels that are listened to.
#[derive(Default)]
pub(super) struct News(Mutex<State>);

#[derive(Default)]
struct State {
    channels: BTreeSet<String>,
    waiting: VecDeque<Notice>,
    waker: Option<Waker>,
}

impl News {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One came.
    pub fn tell(&self, channel: &str, payload: &str) {
        self.put(Notice::Notification { channel: channel.to_owned(), payload: payload.to_owned() });
    }

    /// Something for the host's log that may do harm; in one sentence.
    pub fn warn(&self, line: String) {
        self.put(Notice::Warning(line));
    }

    fn put(&self, notice: Notice) {
        let mut state = self.lock();
        if state.waiting.len() >= KEPT {
            state.waiting.pop_front();
        }
        state.waiting.push_back(notice);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// The next one.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut state = self.lock();
        match state.waiting.pop_front() {
            Some(news) => Poll::Ready(news),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The channels that are listened to.
    pub fn channels(&self) -> Vec<String> {
        self.lock().channels.iter().cloned().collect()
    }

    pub fn add(&self, channel: &str) {
        self.lock().channels.insert(channel.to_owned());
    }

    pub fn remove(&self, channel: &str) {
        self.lock().channels.remove(channel);
    }
}
