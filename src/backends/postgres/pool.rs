//! The connections behind one connector: made as batches need them, each for one batch at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, MappedMutexGuard, MutexGuard, Semaphore, SemaphorePermit};

use super::options::Options;
use super::session::{Driver, Estate, Session};
use super::shape::Shapes;
use crate::core::Error;
use crate::net::pipeline::while_alive;

/// How long the pool stays smaller after a connection more could not be made.
const SMALLER_FOR: Duration = Duration::from_secs(10);

/// The connections.
pub(super) struct Pool {
    pub options: Arc<Options>,
    pub estate: Arc<Estate>,
    pub shapes: Shapes,
    permits: Semaphore,
    state: Mutex<State>,
    drivers: mpsc::UnboundedSender<(Driver, Role)>,
    /// The session of commands and notifications, once one is asked for.
    guest: tokio::sync::Mutex<Option<Session>>,
}

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// For batches; another one can take its place.
    Worker,
    /// For commands of the host's own, and for notifications, which are missed without it.
    Guest,
}

#[derive(Default)]
struct State {
    /// The one that was used last is at the end.
    idle: Vec<(Instant, Session)>,
    /// How many there are, idle or not.
    open: usize,
    /// How many fewer than `max` there may be at the moment, and since when.
    fewer: usize,
    fewer_since: Option<Instant>,
}

/// A session that nobody else uses. It goes back by `done`; otherwise it is dropped, and the
/// connection with it, since nobody knows what state it is in.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    session: Option<Session>,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    /// A pool with its first connection. The future is the background work of all of them.
    pub async fn open(
        options: &Arc<Options>,
        estate: &Arc<Estate>,
    ) -> Result<(Arc<Pool>, BoxFuture<'static, Error>), Error> {
        let (session, mut driver) = Session::open(options, estate).await?;
        while_alive(&mut driver, session.fence()).await?;
        let (drivers, receiver) = mpsc::unbounded_channel();
        let pool = Arc::new(Pool {
            options: Arc::clone(options),
            estate: Arc::clone(estate),
            shapes: Shapes::default(),
            permits: Semaphore::new(options.max),
            state: Mutex::new(State { idle: vec![(Instant::now(), session)], open: 1, ..State::default() }),
            drivers,
            guest: tokio::sync::Mutex::new(None),
        });
        pool.adopt(driver, Role::Worker);
        let channels = estate.news.channels();
        if !channels.is_empty() {
            let (session, mut driver) = Session::open(options, estate).await?;
            while_alive(&mut driver, session.listen(&channels, options)).await?;
            pool.adopt(driver, Role::Guest);
            *pool.guest.lock().await = Some(session);
        }
        let work = Work { pool: Arc::clone(&pool), receiver, drivers: FuturesUnordered::new() };
        Ok((pool, Box::pin(work)))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes on a connection's background work.
    pub fn adopt(&self, driver: Driver, role: Role) {
        // Nobody takes it where the whole pool is given up; then it ends with this.
        let _ = self.drivers.send((driver, role));
    }

    /// A session for one batch, a new one if none is idle.
    pub async fn lease(&self) -> Result<Lease<'_>, Error> {
        loop {
            self.grow_again();
            let permit = self.permits.acquire().await.map_err(|_| Error::connection("the pool is closed"))?;
            if let Some(session) = self.take_idle() {
                return Ok(Lease { pool: self, session: Some(session), _permit: permit });
            }
            self.state().open += 1;
            match Session::open(&self.options, &self.estate).await {
                Ok((session, driver)) => {
                    self.adopt(driver, Role::Worker);
                    return Ok(Lease { pool: self, session: Some(session), _permit: permit });
                }
                Err(error) => {
                    let mut state = self.state();
                    state.open -= 1;
                    if state.open == 0 {
                        return Err(error);
                    }
                    // The others will do.
                    state.fewer += 1;
                    state.fewer_since = Some(Instant::now());
                    permit.forget();
                }
            }
        }
    }

    /// The session of commands, for one after the other.
    pub async fn guest(&self) -> Result<MappedMutexGuard<'_, Session>, Error> {
        let mut guest = self.guest.lock().await;
        if guest.as_ref().is_none_or(|session| session.client.is_closed()) {
            let (session, driver) = Session::open(&self.options, &self.estate).await?;
            self.adopt(driver, Role::Guest);
            *guest = Some(session);
        }
        MutexGuard::try_map(guest, Option::as_mut).map_err(|_| Error::connection("the connection was closed"))
    }

    fn take_idle(&self) -> Option<Session> {
        let mut state = self.state();
        while let Some((_, session)) = state.idle.pop() {
            if !session.client.is_closed() {
                return Some(session);
            }
            state.open -= 1;
        }
        None
    }

    /// Idle sessions whose connections have ended are none.
    fn bury_dead(&self) {
        let mut state = self.state();
        let before = state.idle.len();
        state.idle.retain(|(_, session)| !session.client.is_closed());
        state.open -= before - state.idle.len();
    }

    fn grow_again(&self) {
        let mut state = self.state();
        if state.fewer_since.is_some_and(|since| since.elapsed() >= SMALLER_FOR) {
            state.fewer_since = None;
            self.permits.add_permits(std::mem::take(&mut state.fewer));
        }
    }

    /// When the lifeline has something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        self.next_end()
    }

    /// When the spare connection that is idle for longest has been so for long enough.
    fn next_end(&self) -> Option<Instant> {
        let timeout = self.options.idle_timeout?;
        let state = self.state();
        (state.open > 1).then(|| state.idle.first().map(|(since, _)| *since + timeout)).flatten()
    }

    /// Closes spare connections whose time has come.
    fn end_spares(&self, now: Instant) {
        while self.next_end().is_some_and(|end| end <= now) {
            let mut state = self.state();
            let (_, spare) = state.idle.remove(0);
            state.open -= 1;
            drop(state);
            drop(spare);
        }
    }
}

impl Lease<'_> {
    /// Everything that was sent is answered, and no transaction is open.
    pub fn done(mut self) {
        if let Some(session) = self.session.take() {
            session.wrote();
            self.pool.state().idle.push((Instant::now(), session));
        }
    }

    pub fn session(&self) -> &Session {
        self.session.as_ref().expect("it is there until `done`")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.session.is_some() {
            self.pool.state().open -= 1;
        }
    }
}

/// The background work of all connections. It ends when the last one is lost, or the one that
/// listens.
struct Work {
    pool: Arc<Pool>,
    receiver: mpsc::UnboundedReceiver<(Driver, Role)>,
    drivers: FuturesUnordered<BoxFuture<'static, (Error, Role)>>,
}

impl Future for Work {
    type Output = Error;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        let work = self.get_mut();
        loop {
            while let Poll::Ready(Some((driver, role))) = work.receiver.poll_recv(cx) {
                work.drivers.push(Box::pin(async move { (driver.await, role) }));
            }
            match work.drivers.poll_next_unpin(cx) {
                Poll::Ready(Some((error, Role::Guest))) => return Poll::Ready(error),
                // The last of the workers: nobody is left to ask.
                Poll::Ready(Some((error, Role::Worker))) if work.drivers.is_empty() => {
                    return Poll::Ready(error)
                }
                Poll::Ready(Some(_)) => work.pool.bury_dead(),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        work.pool.end_spares(Instant::now());
        Poll::Pending
    }
}
