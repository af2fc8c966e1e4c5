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
use crate::core::{Error, ErrorCode, Remedy};
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
    tasks: Tasks,
    /// The session of commands and notifications, once one is asked for.
    guest: Arc<tokio::sync::Mutex<Option<Session>>>,
    /// When that is to be used, if it has to be.
    next_guest_ping: Mutex<Option<Instant>>,
}

/// Work in the background.
enum Task {
    /// Of a connection for batches; another one can take its place.
    Worker(Driver),
    /// Of that for commands of the host's own, and for notifications, which are missed without it.
    Guest(Driver),
    /// What is to be done on the side. A failure is that of everything.
    Errand(BoxFuture<'static, Result<(), Error>>),
}

/// What ended in the background.
enum Ended {
    Worker(Error),
    Guest(Error),
    Errand(Result<(), Error>),
}

impl Task {
    fn run(self) -> BoxFuture<'static, Ended> {
        match self {
            Task::Worker(driver) => Box::pin(driver.map(Ended::Worker)),
            Task::Guest(driver) => Box::pin(driver.map(Ended::Guest)),
            Task::Errand(errand) => Box::pin(errand.map(Ended::Errand)),
        }
    }
}

/// The session of commands, for one after the other.
pub(super) type Guest = OwnedMappedMutexGuard<Option<Session>, Session>;

/// A session for one batch, see [`pool::Lease`].
pub(super) struct Lease<'a>(pool::Lease<'a, Source>);

/// Who takes on work in the background. Nobody does where the whole pool is given up; then the
/// work ends with that.
#[derive(Clone)]
struct Tasks(mpsc::UnboundedSender<Task>);

impl Tasks {
    fn add(&self, task: Task) {
        drop(self.0.send(task));
    }
}

/// Makes connections for batches.
struct Source {
    options: Arc<Options>,
    estate: Arc<Estate>,
    tasks: Tasks,
}

#[async_trait]
impl pool::Source for Source {
    type Session = Session;

    async fn open(&self, _: usize) -> Result<Session, Error> {
        match Session::open(&self.options, &self.estate).await {
            Ok((session, driver)) => {
                self.tasks.add(Task::Worker(driver));
                Ok(session)
            }
            Err(error) => {
                // Where there are others, nobody else would tell.
                let line = format!("a further connection could not be made: {}", error.message());
                self.estate.news.warn(line);
                Err(error)
            }
        }
    }
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
        let (sender, receiver) = mpsc::unbounded_channel();
        let tasks = Tasks(sender);
        let source =
            Source { options: Arc::clone(options), estate: Arc::clone(estate), tasks: tasks.clone() };
        let pool = Arc::new(Pool {
            options: Arc::clone(options),
            estate: Arc::clone(estate),
            shapes: Shapes::default(),
            locks: Locks::default(),
            sessions: pool::Pool::new(source, session, options.max, options.idle_timeout)
                .pinging(options.ping_interval),
            tasks,
            guest: Arc::default(),
            next_guest_ping: Mutex::new(options.ping_interval.map(|every| Instant::now() + every)),
        });
        pool.tasks.add(Task::Worker(driver));
        pool.listen_again().await?;
        let keeper = Arc::clone(&pool);
        let keep_open = async move {
            match select(pin!(keeper.sessions.keep_open()), pin!(keeper.keep_guest_open())).await {
                Either::Left((never, _)) | Either::Right((never, _)) => never,
            }
        };
        let work = Work {
            pool: Arc::clone(&pool),
            receiver,
            running: FuturesUnordered::new(),
            workers: 0,
            keep_open: Box::pin(keep_open),
        };
        Ok((pool, Box::pin(work)))
    }

    /// Makes a session for notifications, if there are channels to listen to.
    async fn listen_again(&self) -> Result<(), Error> {
        let mut guest = self.guest.lock().await;
        let channels = self.estate.news.channels();
        if channels.is_empty() || guest.as_ref().is_some_and(|session| !session.client.is_closed()) {
            return Ok(());
        }
        let (session, mut driver) = Session::open(&self.options, &self.estate).await?;
        while_alive(&mut driver, session.listen(&channels, &self.options)).await?;
        self.tasks.add(Task::Guest(driver));
        *guest = Some(session);
        Ok(())
    }

    /// A session for one batch, a new one if none is idle.
    pub async fn lease(&self) -> Result<Lease<'_>, Error> {
        self.sessions.lease().await.map(Lease)
    }

    /// The session of commands, for one after the other.
    pub async fn guest(&self) -> Result<Guest, Error> {
        let mut guest = Arc::clone(&self.guest).lock_owned().await;
        if guest.as_ref().is_none_or(|session| session.client.is_closed()) {
            let (session, mut driver) = Session::open(&self.options, &self.estate).await.map_err(alone)?;
            let channels = self.estate.news.channels();
            if !channels.is_empty() {
                let listening = while_alive(&mut driver, session.listen(&channels, &self.options));
                listening.await.map_err(alone)?;
            }
            self.tasks.add(Task::Guest(driver));
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
            Ok(())
        };
        self.tasks.add(Task::Errand(Box::pin(errand)));
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

/// A failure of the session of commands: that is not the others'. Where it is, they tell themselves.
pub(super) fn alone(error: Error) -> Error {
    match error.remedy() == Remedy::Reconnect || error.code() == ErrorCode::Authentication {
        true => Error::transient(ErrorCode::Unavailable, error.message()),
        false => error,
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

/// The background work of all connections. It ends when the last one for batches is lost.
struct Work {
    pool: Arc<Pool>,
    receiver: mpsc::UnboundedReceiver<Task>,
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// How many of them are for batches.
    workers: usize,
    keep_open: BoxFuture<'static, Infallible>,
}

impl Work {
    /// The session of commands is gone. The next command makes another one; who listens needs it now.
    fn replace_guest(&self, reason: &Error) {
        let news = &self.pool.estate.news;
        if news.channels().is_empty() {
            return;
        }
        news.warn(format!(
            "the connection that notifications come on was lost, and some may be missed: {}",
            reason.message()
        ));
        let pool = Arc::clone(&self.pool);
        self.pool.tasks.add(Task::Errand(Box::pin(async move { pool.listen_again().await })));
    }
}

impl Future for Work {
    type Output = Error;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        let work = self.get_mut();
        loop {
            while let Poll::Ready(Some(task)) = work.receiver.poll_recv(cx) {
                work.workers += usize::from(matches!(task, Task::Worker(_)));
                work.running.push(task.run());
            }
            match work.running.poll_next_unpin(cx) {
                Poll::Ready(Some(Ended::Errand(Ok(())))) => {}
                Poll::Ready(Some(Ended::Errand(Err(error)))) => return Poll::Ready(error),
                Poll::Ready(Some(Ended::Guest(error))) => work.replace_guest(&error),
                Poll::Ready(Some(Ended::Worker(error))) => {
                    work.workers -= 1;
                    // The last of the workers: nobody is left to ask.
                    if work.workers == 0 {
                        return Poll::Ready(error);
                    }
                    // One of several; a new one is made when it is missed.
                    drop(work.pool.sessions.bury(cx));
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        work.pool.sessions.end_spares(Instant::now());
        let Poll::Pending = work.keep_open.poll_unpin(cx);
        Poll::Pending
    }
}
