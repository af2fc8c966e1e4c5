//! HTTP/1.1 for backends that speak it: one server, a few kept-alive connections to it.
//!
//! Requests do all their work when polled; nothing is spawned. Whoever asks drives the
//! connection that the request is on, and [`Client::watch`] those that nobody uses.

mod answer;
mod doubt;
mod kept;
mod origin;
mod wire;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::header::{HeaderValue, HOST};
use hyper::Request;
use tokio::sync::Semaphore;
use tokio::time::sleep;

pub(crate) use self::answer::Answer;
pub(crate) use self::doubt::{Doubt, Underway};
use self::kept::{Broken, Kept};
pub(crate) use self::origin::{parse_url, Origin};
use super::stream;
use super::traffic::Traffic;
use crate::config::wrong;
use crate::core::{Backoff, Error};

/// Pauses between connections that end before they were of use, and how many of them are made:
/// a server that goes away may take one more while it does.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
const EARLY_ENDS: usize = 6;

/// One server and the connections to it. Clones share them.
#[derive(Clone)]
pub(crate) struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    origin: Origin,
    host: HeaderValue,
    /// The longest answer that is taken, in bytes.
    longest: usize,
    /// A permit for each connection that there may be.
    room: Semaphore,
    idle: Mutex<Vec<Kept>>,
    /// Whoever looks after those that are idle.
    watcher: AtomicWaker,
    /// The watcher pauses.
    is_pausing: AtomicBool,
    /// What moves on all of them.
    traffic: Traffic,
}

impl Client {
    /// A client that has no connection yet, and never more than `connections` at a time.
    ///
    /// # Errors
    /// The host is no host name.
    pub fn new(origin: Origin, connections: usize, longest: usize) -> Result<Client, Error> {
        let host = HeaderValue::try_from(origin.authority())
            .map_err(|_| wrong("the host is no host name; give a name or an address"))?;
        let shared = Shared {
            origin,
            host,
            longest,
            room: Semaphore::new(connections.max(1)),
            idle: Mutex::new(Vec::new()),
            watcher: AtomicWaker::new(),
            is_pausing: AtomicBool::new(false),
            traffic: Traffic::default(),
        };
        Ok(Client { shared: Arc::new(shared) })
    }

    /// Sends a request, whose target is a path, and waits for the whole answer. A connection that
    /// the server closed while it was idle is replaced unnoticed, so a request may arrive twice.
    ///
    /// # Errors
    /// `Error::connection` where the server is not there or speaks no HTTP; an answer that is too
    /// long is reported as it is. Whatever status the server answers with is no error here.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, Error> {
        let longest = self.shared.longest;
        self.try_send(request, longest).await.map_err(|broken| broken.into_error(longest))
    }

    /// The same, where an answer of more than `longest` bytes is none: less is to be asked for then.
    ///
    /// # Errors
    /// As with [`Client::send`].
    pub async fn send_for(&self, request: Request<Bytes>, longest: usize) -> Result<Option<Answer>, Error> {
        match self.try_send(request, longest).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Broken::TooLong) => Ok(None),
            Err(broken) => Err(broken.into_error(longest)),
        }
    }

    async fn try_send(&self, mut request: Request<Bytes>, longest: usize) -> Result<Answer, Broken> {
        request.headers_mut().insert(HOST, self.shared.host.clone());
        let _room = self.shared.room.acquire().await;
        if let Some(kept) = poll_fn(|cx| Poll::Ready(self.shared.take(cx))).await {
            let was_idle = kept.was_idle_for_long();
            match self.exchange(kept, request.clone(), longest).await {
                Err(Broken::Closed(_)) if was_idle => {}
                result => return result,
            }
        }
        let fresh = self.shared.dial().await.map_err(Broken::Other)?;
        self.exchange(fresh, request, longest).await
    }

    async fn exchange(
        &self,
        mut kept: Kept,
        request: Request<Bytes>,
        longest: usize,
    ) -> Result<Answer, Broken> {
        let answer = kept.exchange(request, longest).await?;
        if kept.can_be_kept().await {
            self.shared.keep(kept);
        }
        Ok(answer)
    }

    /// Looks after the connections that nobody uses. Servers close them after a while; one is
    /// made anew then, so that a server that went away is noticed though nobody asks it anything.
    ///
    /// It ends with the reason when no new connection can be made.
    pub async fn watch(self) -> Error {
        let mut pauses = Backoff::new(PAUSES.0, PAUSES.1);
        let mut early_ends = 0;
        loop {
            let was_of_use = poll_fn(|cx| self.shared.poll_idle(cx)).await;
            if was_of_use {
                early_ends = 0;
                pauses.reset();
            } else if early_ends == EARLY_ENDS {
                continue;
            } else {
                early_ends += 1;
                self.shared.is_pausing.store(true, Ordering::Relaxed);
                sleep(pauses.next()).await;
                self.shared.is_pausing.store(false, Ordering::Relaxed);
            }
            match self.shared.dial().await {
                Ok(kept) => self.shared.keep(kept),
                Err(error) => return error,
            }
        }
    }

    /// For [`Connection::waits_for_timer`](crate::core::Connection::waits_for_timer).
    pub fn waits_for_timer(&self) -> bool {
        self.shared.is_pausing.load(Ordering::Relaxed)
    }

    /// For [`Connection::moved`](crate::core::Connection::moved).
    pub fn moved(&self) -> u64 {
        self.shared.traffic.total()
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> Result<Kept, Error> {
        let Origin { host, port, tls } = &self.origin;
        let stream = stream::dial(host, *port, tls.as_ref(), &self.traffic).await?;
        Kept::new(stream).await.map_err(|broken| broken.into_error(self.longest))
    }

    /// The connection that was used last, if one is still good.
    fn take(&self, cx: &mut Context<'_>) -> Option<Kept> {
        let mut idle = self.idle();
        while let Some(mut kept) = idle.pop() {
            if kept.poll_alive(cx) {
                return Some(kept);
            }
        }
        None
    }

    fn keep(&self, kept: Kept) {
        self.idle().push(kept);
        self.watcher.wake();
    }

    /// Ready when none is left of the connections that were idle; says whether one of them was of
    /// use, so that another one may be expected to be.
    fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<bool> {
        self.watcher.register(cx.waker());
        let mut idle = self.idle();
        let mut was_of_use = false;
        let before = idle.len();
        idle.retain_mut(|kept| {
            let alive = kept.poll_alive(cx);
            was_of_use |= !alive && kept.has_proved_good();
            alive
        });
        if before > 0 && idle.is_empty() {
            Poll::Ready(was_of_use)
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests;
