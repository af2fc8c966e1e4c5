//! The connections of one link: whoever has something to do takes one and gives it back.
//!
//! A connection on which something was given up half-way is the end of the link, and the next
//! link sees to it that it has ended at the server, too. One that the server ended while nobody
//! used it is replaced alone, unless it was the last.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, Either};

use super::server::{Opened, Server};
use super::statements::Dialect;
use super::wire::Session;
use crate::core::{Error, Remedy};
use crate::net::pool::{self, Pool};

/// Connections that are logged in.
pub(super) struct Sessions {
    server: Arc<Server>,
    pool: Pool<Arc<Server>>,
    /// Why the link is of no more use, if it is not.
    loss: Mutex<Option<Error>>,
}

impl pool::Session for Session {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.poll_disturbed(cx)
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(Session::ping(self))
    }
}

#[async_trait]
impl pool::Source for Arc<Server> {
    type Session = Session;

    async fn open(&self, slot: usize) -> Result<Session, Error> {
        Ok(Server::open(self, slot).await?.session)
    }
}

impl Sessions {
    /// The first of at most so many connections, whose it is, and the largest packet that it may
    /// send.
    /// Idle ones are used at least every `ping_interval`.
    pub async fn open(
        server: &Arc<Server>,
        most: usize,
        ping_interval: Option<Duration>,
    ) -> Result<(Sessions, Dialect, usize), Error> {
        let Opened { session, dialect, largest_packet } = server.open_first().await?;
        let pool = Pool::new(Arc::clone(server), session, most, None).pinging(ping_interval);
        let sessions = Sessions { server: Arc::clone(server), pool, loss: Mutex::new(None) };
        Ok((sessions, dialect, largest_packet))
    }

    /// Takes a connection for some work, and gives it back unless it is of no more use.
    pub async fn with<R>(
        &self,
        work: impl AsyncFnOnce(&mut Session) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut lease = self.pool.lease().await?;
        let loan = Loan { sessions: self, number: Some(self.server.lend(lease.slot())) };
        let result = work(lease.session_mut()).await;
        if !matches!(&result, Err(error) if error.remedy() == Remedy::Reconnect) {
            loan.settle();
            lease.done();
        }
        result
    }

    /// Ready when the link is of no more use.
    fn poll_loss(&self, cx: &mut Context<'_>) -> Poll<Error> {
        self.pool.watch(cx);
        if let Some(error) = self.loss.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Poll::Ready(error);
        }
        self.pool.bury(cx)
    }

    /// The background work: it ends when the link is of no more use.
    pub async fn watch(self: Arc<Sessions>) -> Error {
        let loss = poll_fn(|cx| self.poll_loss(cx));
        match select(loss, pin!(self.pool.keep_open())).await {
            Either::Left((error, _)) => error,
            Either::Right((never, _)) => match never {},
        }
    }

    /// When the background work has something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        self.pool.next_ping()
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Why there are fewer connections than there may be, once for each time.
    pub fn shortage(&self) -> Option<String> {
        let (error, count) = self.pool.shortage()?;
        Some(format!(
            "no further connection: {}; the {count} that there are do all the work",
            error.message()
        ))
    }

    /// What moved on all connections to the server.
    pub fn moved(&self) -> u64 {
        self.server.traffic.total()
    }

    /// Says goodbye on all connections.
    pub async fn close(&self) {
        for mut session in self.pool.close() {
            session.close().await;
        }
    }
}

/// That a connection may be in the middle of something. Where it is not settled the link is of
/// no more use.
struct Loan<'a> {
    sessions: &'a Sessions,
    number: Option<u64>,
}

impl Loan<'_> {
    fn settle(mut self) {
        if let Some(number) = self.number.take() {
            self.sessions.server.settle(number);
        }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if self.number.is_some() {
            *self.sessions.loss.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Error::connection("a connection was given up in the middle of an answer"));
        }
    }
}
