//! A connection that the server closes while nothing is asked of it is no outage: a new one is made at
//! once, and the host hears nothing of it. Only where that fails is it told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::{OptionKind, OptionSpec, Settings};
use crate::core::{
    Backend, BatchResult, Connection, Description, Error, Key, Link, Listing, Notice, Page, Record,
};

/// A connection that ends sooner than this is no idle one: a server that closes each at once would
/// be asked without an end.
pub(crate) const SHORTEST_LIFE: Duration = Duration::from_millis(500);

/// The option of how often an idle connection is used, in milliseconds.
pub(crate) const PING_INTERVAL: OptionSpec = OptionSpec {
    name: "pingInterval",
    kind: OptionKind::Integer(0, 86_400_000),
    default: "0",
    meaning: "After how many milliseconds without a command each connection is used to keep it open, where the server or something on the way closes idle ones; 0 is never. One that is closed all the same is made anew when that is noticed, and is no outage.",
};

/// What the option says.
pub(crate) fn ping_interval(settings: &Settings) -> Option<Duration> {
    settings.milliseconds(PING_INTERVAL.name).filter(|every| !every.is_zero())
}

/// A backend whose idle connections may be made anew.
pub(crate) trait Renewable: Backend {
    /// Whether the host has to hear that a connection ended, although nothing was asked.
    fn is_missed(&self) -> bool {
        false
    }
}

/// The same backend, with idle connections that are made anew.
pub(crate) struct Renewing<B> {
    backend: Arc<B>,
    connect_timeout: Duration,
}

impl<B: Renewable> Renewing<B> {
    /// An attempt to make a connection anew may take so long.
    pub fn new(backend: B, connect_timeout: Duration) -> Renewing<B> {
        Renewing { backend: Arc::new(backend), connect_timeout }
    }
}

#[async_trait]
impl<B: Renewable + 'static> Backend for Renewing<B> {
    fn describe(&self) -> Description {
        self.backend.describe()
    }

    fn group_of(&self, key: &Key) -> usize {
        self.backend.group_of(key)
    }

    async fn connect(&self) -> Result<Link, Error> {
        let Link { connection, lifeline } = self.backend.connect().await?;
        let renewed = Arc::new(Renewed {
            current: watch::Sender::new(Some(connection)),
            under_way: AtomicUsize::new(0),
            moved: Mutex::default(),
            remark: Mutex::default(),
        });
        let lifeline = renew(Arc::clone(&self.backend), Arc::clone(&renewed), lifeline, self.connect_timeout);
        Ok(Link { connection: renewed, lifeline: Box::pin(lifeline) })
    }
}

/// The background work of one connection after the other.
async fn renew<B: Renewable>(
    backend: Arc<B>,
    renewed: Arc<Renewed>,
    mut lifeline: BoxFuture<'static, Error>,
    connect_timeout: Duration,
) -> Error {
    let mut is_first = true;
    loop {
        let since = Instant::now();
        let error = lifeline.await;
        let is_idle = renewed.under_way.load(Ordering::Relaxed) == 0;
        if !is_idle || since.elapsed() < SHORTEST_LIFE || backend.is_missed() {
            return error;
        }
        renewed.take();
        match timeout(connect_timeout, backend.connect()).await {
            Ok(Ok(link)) => {
                renewed.current.send_replace(Some(link.connection));
                lifeline = link.lifeline;
            }
            Ok(Err(_)) | Err(_) => return error,
        }
        if std::mem::take(&mut is_first) {
            *lock(&renewed.remark) = Some(format!(
                "a connection that nobody used has ended ({}), and a new one was made, now and whenever that happens; \"pingInterval\" keeps it open",
                error.message()
            ));
        }
    }
}

/// One connection after the other, as one.
struct Renewed {
    /// `None` while a new one is made.
    current: watch::Sender<Option<Arc<dyn Connection>>>,
    /// How much the connection is asked at the moment.
    under_way: AtomicUsize,
    /// What moved on the connections before, and what was last heard of it.
    moved: Mutex<(u64, Option<u64>)>,
    /// Something for the log.
    remark: Mutex<Option<String>>,
}

/// That something is asked.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Renewed {
    fn get(&self) -> Option<Arc<dyn Connection>> {
        self.current.borrow().clone()
    }

    /// From now on there is none.
    fn take(&self) {
        self.current.send_replace(None);
        let mut moved = lock(&self.moved);
        moved.0 += moved.1.take().unwrap_or_default();
    }

    /// The connection, once there is one, and that something is asked of it.
    async fn ask(&self) -> Result<(Arc<dyn Connection>, UnderWay<'_>), Error> {
        let current = self.get();
        let current = match current {
            Some(current) => current,
            None => {
                let mut next = self.current.subscribe();
                let next = next.wait_for(Option::is_some).await.map(|next| next.clone());
                next.ok().flatten().ok_or_else(|| Error::connection("the connection was closed"))?
            }
        };
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Ok((current, UnderWay(&self.under_way)))
    }
}

#[async_trait]
impl Connection for Renewed {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        let (connection, _under_way) = self.ask().await?;
        connection.get_many(keys).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        let (connection, _under_way) = self.ask().await?;
        connection.head_many(keys).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let (connection, _under_way) = self.ask().await?;
        connection.set_many(entries).await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let (connection, _under_way) = self.ask().await?;
        connection.delete_many(keys).await
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        let (connection, _under_way) = self.ask().await?;
        connection.scan(listing).await
    }

    async fn command(&self, name: &str, arguments: &Value) -> Result<Value, Error> {
        let (connection, _under_way) = self.ask().await?;
        connection.command(name, arguments).await
    }

    async fn close(&self) {
        if let Some(connection) = self.get() {
            connection.close().await;
        }
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        if let Some(remark) = lock(&self.remark).take() {
            return Poll::Ready(Notice::Remark(remark));
        }
        self.get().map_or(Poll::Pending, |connection| connection.poll_notice(cx))
    }

    fn waits_for_timer(&self) -> bool {
        self.get().is_none_or(|connection| connection.waits_for_timer())
    }

    fn moved(&self, group: usize) -> Option<u64> {
        let now = self.get().and_then(|connection| connection.moved(group));
        let mut moved = lock(&self.moved);
        moved.1 = now.or(moved.1);
        now.map(|now| now + moved.0)
    }

    fn wake_at(&self) -> Option<Instant> {
        self.get().and_then(|connection| connection.wake_at())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
