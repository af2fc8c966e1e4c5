//! The connections of one link: whoever has something to do takes one and gives it back.
//!
//! A connection on which something was given up half-way, or which the server ended while nobody
//! used it, is the end of the link: the engine makes a new one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::wire::Session;
use crate::core::Error;

/// Connections that are logged in.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    idle: Mutex<Vec<Session>>,
    /// One permit for each connection that is idle.
    free: Arc<Semaphore>,
    /// Why the link is of no more use, if it is not.
    loss: Mutex<Option<Error>>,
    /// Wakes whoever watches the idle ones.
    watcher: AtomicWaker,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub fn new(sessions: Vec<Session>) -> Pool {
        Pool(Arc::new(Shared {
            free: Arc::new(Semaphore::new(sessions.len())),
            idle: Mutex::new(sessions),
            loss: Mutex::new(None),
            watcher: AtomicWaker::new(),
        }))
    }

    /// A connection for its taker alone, as soon as one is free, and the duty to give it back.
    pub async fn take(&self) -> Result<(Session, Loan), Error> {
        let gone = || Error::connection("the connection was closed");
        let permit = Arc::clone(&self.0.free).acquire_owned().await.map_err(|_| gone())?;
        let session = locked(&self.0.idle).pop().ok_or_else(gone)?;
        Ok((session, Loan { permit: Some(permit), shared: Arc::clone(&self.0) }))
    }

    /// Ready when the link is of no more use.
    pub fn poll_loss(&self, cx: &mut Context<'_>) -> Poll<Error> {
        self.0.watcher.register(cx.waker());
        if let Some(error) = locked(&self.0.loss).clone() {
            return Poll::Ready(error);
        }
        let disturbed =
            locked(&self.0.idle).iter_mut().find_map(|session| match session.poll_disturbed(cx) {
                Poll::Ready(error) => Some(error),
                Poll::Pending => None,
            });
        disturbed.map_or(Poll::Pending, Poll::Ready)
    }

    /// Says goodbye on all connections.
    pub async fn close(&self) {
        self.0.free.close();
        let mut sessions = std::mem::take(&mut *locked(&self.0.idle));
        for session in &mut sessions {
            session.close().await;
        }
    }
}

/// That a connection is on loan. Where it is not given back the link is of no more use.
pub(super) struct Loan {
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

impl Loan {
    /// Takes the connection back, on which all that was asked is answered.
    pub fn give_back(mut self, session: Session) {
        locked(&self.shared.idle).push(session);
        // After the connection is there.
        drop(self.permit.take());
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.permit.is_some() {
            *locked(&self.shared.loss) =
                Some(Error::connection("a connection was given up in the middle of an answer"));
        }
        // Only who watches it sees when it ends.
        self.shared.watcher.wake();
    }
}
