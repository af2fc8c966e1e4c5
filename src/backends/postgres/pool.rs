//! The connections behind one connector, and their background work.

use std::convert::Infallible;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, Either};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::FutureExt;
use tokio::sync::{mpsc, OwnedMappedMutexGuard, OwnedMutexGuard};

use super::options::Options;
use super::session::{Driver, Estate, Session};
use super::shape::Shapes;
use crate::core::Error;
use crate::net::pipeline::while_alive;
use crate::net::pool;
use crate::records::locks::Locks;

/// The connections.
pub(super) struct Pool {
    pub options: Arc<Options>,
    pub estate: Arc<Estate>,
    pub shapes: Shapes,
    pub locks: Locks,
    sessions: pool::Pool<Source>,
    drivers: Drivers,
    /// The session of commands and notifications, once one is asked for.
    guest: Arc<tokio::sync::Mutex<Option<Session>>>,
    /// When that is to be used, if it has to be.
    next_guest_ping: Mutex<Option<Instant>>,
}

/// What ended in the background.
enum Ended {
    /// A connection for batches; another one can take its place.
    Worker(Error),
    /// That for commands of the host's own, and for notifications, which are missed without it.
    Guest(Error),
    /// What was left to do of a command that nobody waits for.
    Errand,
}

/// The session of commands, for one after the other.
pub(super) type Guest = OwnedMappedMutexGuard<Option<Session>, Session>;

/// A session for one batch, see [`pool::Lease`].
pub(super) struct Lease<'a>(pool::Lease<'a, Source>);

/// Who takes on the background work of connections.
type Drivers = mpsc::UnboundedSender<BoxFuture<'static, Ended>>;

/// Makes connections for batches.
struct Source {
    options: Arc<Options>,
    estate: Arc<Estate>,
    drivers: Drivers,
}

#[async_trait]
impl pool::Source for Source {
    type Session = Session;

    async fn open(&self, _: usize) -> Result<Session, Error> {
        let (session, driver) = Session::open(&self.options, &self.estate).await?;
        adopt(&self.drivers, driver, Ended::Worker);
        Ok(session)
    }
}

/// Takes on a connection's background work.
fn adopt(drivers: &Drivers, driver: Driver, ended: fn(Error) -> Ended) {
    // Nobody takes it where the whole pool is given up; then it ends with this.
    let _ = drivers.send(Box::pin(driver.map(ended)));
}

impl pool::Session for Session {
    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<Error> {
        // Its driver has ended with the reason.
        match self.client.is_closed() {
            true => Poll::Ready(Error::connection("the connection was closed")),
            false => Poll::Pending,
        }
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(Session::ping(self))
    }
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
        let source =
            Source { options: Arc::clone(options), estate: Arc::clone(estate), drivers: drivers.clone() };
        let pool = Arc::new(Pool {
            options: Arc::clone(options),
            estate: Arc::clone(estate),
            shapes: Shapes::default(),
            locks: Locks::default(),
            sessions: pool::Pool::new(source, session, options.max, options.idle_timeout)
                .pinging(options.ping_interval),
            drivers,
            guest: Arc::default(),
            next_guest_ping: Mutex::new(options.ping_interval.map(|every| Instant::now() + every)),
        });
        adopt(&pool.drivers, driver, Ended::Worker);
        let channels = estate.news.channels();
        if !channels.is_empty() {
            let (session, mut driver) = Session::open(options, estate).await?;
            while_alive(&mut driver, session.listen(&channels, options)).await?;
            adopt(&pool.drivers, driver, Ended::Guest);
            *pool.guest.lock().await = Some(session);
        }
        let keeper = Arc::clone(&pool);
        let keep_open = async move {
            match select(pin!(keeper.sessions.keep_open()), pin!(keeper.keep_guest_open())).await {
                Either::Left((never, _)) | Either::Right((never, _)) => never,
            }
        };
        let keep_open = Box::pin(keep_open);
        let work = Work { pool: Arc::clone(&pool), receiver, drivers: FuturesUnordered::new(), keep_open };
        Ok((pool, Box::pin(work)))
    }

    /// A session for one batch, a new one if none is idle.
    pub async fn lease(&self) -> Result<Lease<'_>, Error> {
        self.sessions.lease().await.map(Lease)
    }

    /// The session of commands, for one after the other.
    pub async fn guest(&self) -> Result<Guest, Error> {
        let mut guest = Arc::clone(&self.guest).lock_owned().await;
        if guest.as_ref().is_none_or(|session| session.client.is_closed()) {
            let (session, driver) = Session::open(&self.options, &self.estate).await?;
            adopt(&self.drivers, driver, Ended::Guest);
            *guest = Some(session);
        }
        OwnedMutexGuard::try_map(guest, Option::as_mut)
            .map_err(|_| Error::connection("the connection was closed"))
    }

    /// Cancels what the session of commands is doing. The next command comes when that has ended.
    pub fn cancel(self: &Arc<Pool>, guest: Guest) {
        let pool = Arc::clone(self);
        let errand = async move {
            if let Ok(lease) = pool.lease().await {
                if lease.session().cancel(&guest).await.is_ok() {
                    lease.done();
                }
                // Answered behind all that was sent before; a failure is the session's end.
                let _ = guest.client.batch_execute("").await;
            }
            Ended::Errand
        };
        // Nobody takes it where everything is given up.
        let _ = self.drivers.send(Box::pin(errand));
    }

    /// Uses the session of commands from time to time, where that is asked for.
    async fn keep_guest_open(&self) -> Infallible {
        loop {
            poll_fn(|_| match self.next_guest_ping().is_some_and(|next| next <= Instant::now()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            *self.next_guest_ping.lock().unwrap_or_else(PoisonError::into_inner) =
                self.options.ping_interval.map(|every| Instant::now() + every);
            // One that is taken is in use.
            if let Ok(mut guest) = self.guest.try_lock() {
                if let Some(session) = guest.as_mut() {
                    // A failure is the session's end, which its driver tells.
                    let _ = session.ping().await;
                }
            }
        }
    }

    fn next_guest_ping(&self) -> Option<Instant> {
        *self.next_guest_ping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the lifeline has something to do.
    pub fn wake_at(&self) -> Option<Instant> {
        [self.sessions.next_end(), self.sessions.next_ping(), self.next_guest_ping()]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Lease<'_> {
    /// Everything that was sent is answered, and no transaction is open.
    pub fn done(self) {
        self.0.session().wrote();
        self.0.done();
    }

    pub fn session(&self) -> &Session {
        self.0.session()
    }
}

/// The background work of all connections. It ends when the last one is lost, or the one that
/// listens.
struct Work {
    pool: Arc<Pool>,
    receiver: mpsc::UnboundedReceiver<BoxFuture<'static, Ended>>,
    drivers: FuturesUnordered<BoxFuture<'static, Ended>>,
    keep_open: BoxFuture<'static, Infallible>,
}

impl Future for Work {
    type Output = Error;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        let work = self.get_mut();
        loop {
            while let Poll::Ready(Some(driver)) = work.receiver.poll_recv(cx) {
                work.drivers.push(driver);
            }
            match work.drivers.poll_next_unpin(cx) {
                Poll::Ready(Some(Ended::Errand)) => {}
                Poll::Ready(Some(Ended::Guest(error))) => return Poll::Ready(error),
                // The last of the workers: nobody is left to ask.
                Poll::Ready(Some(Ended::Worker(error))) if work.drivers.is_empty() => {
                    return Poll::Ready(error)
                }
                // One of several; a new one is made when it is missed.
                Poll::Ready(Some(Ended::Worker(_))) => drop(work.pool.sessions.bury(cx)),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        work.pool.sessions.end_spares(Instant::now());
        let Poll::Pending = work.keep_open.poll_unpin(cx);
        Poll::Pending
    }
}
