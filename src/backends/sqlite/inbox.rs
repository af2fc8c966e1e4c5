//! What waits for a thread, and where its answers go.

use crossbeam_channel::Receiver;
use tokio::sync::oneshot;

use crate::core::BatchResult;

/// Where a batch's results go.
pub(super) type Answer<T> = oneshot::Sender<BatchResult<T>>;

/// What a thread is told.
pub(super) enum Message<W> {
    Work(W),
    /// Nothing comes after it; the sender hears when the file is closed.
    Close(oneshot::Sender<()>),
}

/// What waits for a thread.
pub(super) struct Inbox<W> {
    pub receiver: Receiver<Message<W>>,
    /// Who wants to hear of the end.
    pub farewell: Option<oneshot::Sender<()>>,
}

impl<W> Inbox<W> {
    /// The next work; `None` when the thread is to end.
    pub fn next(&mut self) -> Option<W> {
        match self.receiver.recv().ok()? {
            Message::Work(work) => Some(work),
            Message::Close(done) => {
                self.farewell = Some(done);
                None
            }
        }
    }

    /// Whether the end was asked for, so that there is time for an orderly one.
    pub fn is_closing(&self) -> bool {
        self.farewell.is_some()
    }
}
