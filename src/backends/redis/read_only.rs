//! A primary that has become a replica behind the name that leads to it: reads go on there, writes wait,
//! and the name is looked up again and again until it leads to a primary.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::connection_info::ConnectionInfo;
use super::replies;
use super::role::{is_primary, ROLE};
use crate::core::{Backoff, Error, ErrorCode, Notice};
use crate::net::pipeline::while_alive;
use crate::net::traffic::Traffic;

/// Whether a server takes writes. Clones share it.
#[derive(Clone, Default)]
pub(super) struct ReadOnly {
    is_so: Arc<watch::Sender<bool>>,
    notices: Arc<Mutex<Notices>>,
}

#[derive(Default)]
struct Notices {
    next: Option<Notice>,
    waker: Option<Waker>,
}

/// How to look for the primary.
#[derive(Clone, Copy)]
pub(super) struct Pauses {
    pub attempt: Duration,
    pub delays: (Duration, Duration),
}

impl ReadOnly {
    /// A write was carried out.
    pub fn accepted(&self) {
        self.change(false, || Notice::Restored);
    }

    /// A write failed. Where the server refused it as a replica, that is told once, and passes.
    pub fn refused(&self, error: Error) -> Error {
        if !replies::is_read_only(&error) {
            return error;
        }
        self.change(true, || Notice::Trouble(error.clone()));
        Error::transient(ErrorCode::Unavailable, error.message().to_owned())
    }

    fn change(&self, is_so: bool, notice: impl FnOnce() -> Notice) {
        if *self.is_so.borrow() == is_so {
            return;
        }
        self.is_so.send_replace(is_so);
        let mut notices = self.notices();
        notices.next = Some(notice());
        if let Some(waker) = notices.waker.take() {
            waker.wake();
        }
    }

    /// For [`Connection::poll_notice`](crate::core::Connection::poll_notice).
    pub fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut notices = self.notices();
        match notices.next.take() {
            Some(notice) => Poll::Ready(notice),
            None => {
                notices.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether it is looked for another server, by the runtime's timers.
    pub fn waits_for_timer(&self) -> bool {
        *self.is_so.borrow()
    }

    /// Ends when the server takes no writes and the same address leads to one that does.
    pub async fn until_replaced(self, info: ConnectionInfo, pauses: Pauses) -> Error {
        let mut is_so = self.is_so.subscribe();
        loop {
            if is_so.wait_for(|is_so| *is_so).await.is_err() {
                return std::future::pending().await;
            }
            let mut backoff = Backoff::new(pauses.delays.0, pauses.delays.1);
            while *self.is_so.borrow() {
                sleep(backoff.next()).await;
                if let Ok(Ok(true)) = timeout(pauses.attempt, leads_to_a_primary(&info)).await {
                    return Error::connection(
                        "the server has become a read-only replica, and another one is the primary",
                    );
                }
            }
        }
    }

    fn notices(&self) -> MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn leads_to_a_primary(info: &ConnectionInfo) -> Result<bool, Error> {
    let (connection, mut lifeline) = info.for_reads().connect(&Traffic::default()).await?;
    let role = while_alive(&mut lifeline, connection.send(ROLE.to_vec(), 0)).await;
    match role {
        Ok(role) => Ok(is_primary(&role)),
        // A user without permission to ask.
        Err(error) if replies::is_forbidden(&error) => Ok(true),
        Err(error) => Err(error),
    }
}
