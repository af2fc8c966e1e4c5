//! The sessions behind one connector: made as batches need them, each for one batch at a time.
//!
//! One that ends while nobody uses it is dropped alone; one more that cannot be made leaves its
//! batch to the others. Where that is asked for, those that nobody uses are kept open.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::core::Error;

/// How long the pool stays smaller after one session more could not be made.
const SMALLER_FOR: Duration = Duration::from_secs(10);

/// What a pool has to know of its sessions.
pub(crate) trait Session {
    /// Whether the connection has ended, while nobody uses the session.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Error>;

    /// Asks the server for something that means nothing, so that the connection is no idle one.
    fn ping(&mut self) -> BoxFuture<'_, Result<(), Error>>;
}

/// Where sessions come from.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    type Session: Session + Send;

    /// Makes a session for a slot, which no other session of the pool has.
    async fn open(&self, slot: usize) -> Result<Self::Session, Error>;
}

/// The sessions.
pub(crate) struct Pool<S: Source> {
    source: S,
    idle_timeout: Option<Duration>,
    /// How often an idle session is used.
    ping_interval: Option<Duration>,
    permits: Semaphore,
    state: Mutex<State<S::Session>>,
    /// Who looks after the idle ones, if somebody does by [`Pool::watch`].
    watcher: AtomicWaker,
}

struct State<S> {
    /// The one that was used last is at the end.
    idle: Vec<Idle<S>>,
    /// Which numbers sessions have, idle or not.
    slots: Vec<bool>,
    /// How many fewer than there are slots there may be at the moment, and since when.
    fewer: usize,
    fewer_since: Option<Instant>,
    /// Why; until one more is made it is the same shortage, and told once.
    shortage: Option<Shortage>,
}

enum Shortage {
    New(Error),
    Told,
}

struct Idle<S> {
    since: Instant,
    last_used: Instant,
    slot: usize,
    session: S,
}

impl<S> State<S> {
    fn open(&self) -> usize {
        self.slots.iter().filter(|is_taken| **is_taken).count()
    }

    fn take_slot(&mut self) -> Option<usize> {
        let slot = self.slots.iter().position(|is_taken| !is_taken)?;
        self.slots[slot] = true;
        Some(slot)
    }
}

/// A session that nobody else uses. It goes back by `done`; otherwise it is dropped, and the
/// connection with it, since nobody knows what state it is in.
pub(crate) struct Lease<'a, S: Source> {
    pool: &'a Pool<S>,
    slot: usize,
    session: Option<S::Session>,
    permit: Option<SemaphorePermit<'a>>,
}

impl<S: Source> Pool<S> {
    /// A pool of at most `max` sessions with its first one, whose slot is 0. Those that nobody
    /// used for `idle_timeout` are closed, but for one.
    pub fn new(source: S, first: S::Session, max: usize, idle_timeout: Option<Duration>) -> Pool<S> {
        let max = max.max(1);
        let now = Instant::now();
        let idle = vec![Idle { since: now, last_used: now, slot: 0, session: first }];
        let slots = (0..max).map(|slot| slot == 0).collect();
        Pool {
            source,
            idle_timeout,
            ping_interval: None,
            permits: Semaphore::new(max),
            state: Mutex::new(State { idle, slots, fewer: 0, fewer_since: None, shortage: None }),
            watcher: AtomicWaker::new(),
        }
    }

    /// The same pool, with sessions that are used at least so often.
    pub fn pinging(self, every: Option<Duration>) -> Pool<S> {
        Pool { ping_interval: every, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State<S::Session>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session for one batch, a new one if none is idle.
    ///
    /// # Errors
    /// The source's, where there are no other sessions to wait for; the pool is closed.
    pub async fn lease(&self) -> Result<Lease<'_, S>, Error> {
        let closed = || Error::connection("the connection was closed");
        loop {
            self.grow_again();
            let permit = self.permits.acquire().await.map_err(|_| closed())?;
            if let Some((slot, session)) = poll_fn(|cx| Poll::Ready(self.take_idle(cx))).await {
                return Ok(Lease { pool: self, slot, session: Some(session), permit: Some(permit) });
            }
            let slot = self.state().take_slot().ok_or_else(closed)?;
            let mut lease = Lease { pool: self, slot, session: None, permit: Some(permit) };
            match self.source.open(slot).await {
                Ok(session) => {
                    self.state().shortage = None;
                    lease.session = Some(session);
                    return Ok(lease);
                }
                Err(error) => {
                    let permit = lease.permit.take();
                    drop(lease);
                    let mut state = self.state();
                    if state.open() == 0 {
                        return Err(error);
                    }
                    // The others will do.
                    state.shortage.get_or_insert(Shortage::New(error));
                    state.fewer += 1;
                    state.fewer_since = Some(Instant::now());
                    permit.into_iter().for_each(SemaphorePermit::forget);
                }
            }
        }
    }

    fn take_idle(&self, cx: &mut Context<'_>) -> Option<(usize, S::Session)> {
        let mut state = self.state();
        while let Some(Idle { slot, mut session, .. }) = state.idle.pop() {
            if session.poll_end(cx).is_pending() {
                return Some((slot, session));
            }
            state.slots[slot] = false;
        }
        None
    }

    fn grow_again(&self) {
        let mut state = self.state();
        if state.fewer_since.is_some_and(|since| since.elapsed() >= SMALLER_FOR) {
            state.fewer_since = None;
            self.permits.add_permits(std::mem::take(&mut state.fewer));
        }
    }

    /// Drops idle sessions whose connections have ended. Ready with the reason where no session
    /// is left, idle or not.
    pub fn bury(&self, cx: &mut Context<'_>) -> Poll<Error> {
        let mut state = self.state();
        let mut reason = None;
        let State { idle, slots, .. } = &mut *state;
        idle.retain_mut(|one| match one.session.poll_end(cx) {
            Poll::Pending => true,
            Poll::Ready(error) => {
                slots[one.slot] = false;
                reason = Some(error);
                false
            }
        });
        match reason {
            Some(reason) if state.open() == 0 => Poll::Ready(reason),
            _ => Poll::Pending,
        }
    }

    /// Why no further session could be made, and how many there are; once until one more is made.
    pub fn shortage(&self) -> Option<(Error, usize)> {
        let mut state = self.state();
        let open = state.open();
        match state.shortage.as_mut().map(|shortage| std::mem::replace(shortage, Shortage::Told)) {
            Some(Shortage::New(error)) => Some((error, open)),
            _ => None,
        }
    }

    /// Wakes `cx` whenever a session becomes idle, or is dropped by who used it.
    pub fn watch(&self, cx: &mut Context<'_>) {
        self.watcher.register(cx.waker());
    }

    /// When the session that is idle for longest, and is not the only one, has been so for long
    /// enough.
    pub fn next_end(&self) -> Option<Instant> {
        let timeout = self.idle_timeout?;
        let state = self.state();
        (state.open() > 1).then(|| state.idle.first().map(|one| one.since + timeout)).flatten()
    }

    /// Drops sessions whose time has come.
    pub fn end_spares(&self, now: Instant) {
        while self.next_end().is_some_and(|end| end <= now) {
            let mut state = self.state();
            let spare = state.idle.remove(0);
            state.slots[spare.slot] = false;
            drop(state);
            drop(spare);
        }
    }

    /// When an idle session is to be used, if nobody uses it until then.
    pub fn next_ping(&self) -> Option<Instant> {
        let every = self.ping_interval?;
        let next = self.state().idle.iter().map(|one| one.last_used + every).min()?;
        // The pool may be smaller for a time than what is idle.
        Some(next.max(Instant::now() + Duration::from_millis(5)))
    }

    /// Uses idle sessions when their time has come. It never ends, and has to be polled at
    /// [`Pool::next_ping`].
    pub async fn keep_open(&self) -> Infallible {
        loop {
            let is_due = |_: &mut Context<'_>| match self.take_due(Instant::now()) {
                Some(due) => Poll::Ready(due),
                None => Poll::Pending,
            };
            let (Idle { since, slot, mut session, .. }, permit) = poll_fn(is_due).await;
            // Dropped before the answer comes, it is dropped with its slot.
            let mut lease = Lease { pool: self, slot, session: None, permit: Some(permit) };
            if session.ping().await.is_ok() {
                lease.session = Some(session);
                lease.idle_since(since);
            }
        }
    }

    fn take_due(&self, now: Instant) -> Option<(Idle<S::Session>, SemaphorePermit<'_>)> {
        let every = self.ping_interval?;
        let mut state = self.state();
        let place = state.idle.iter().position(|one| one.last_used + every <= now)?;
        let permit = self.permits.try_acquire().ok()?;
        Some((state.idle.remove(place), permit))
    }

    /// Ends the pool: nobody gets a session any more. Returns those that are idle.
    pub fn close(&self) -> Vec<S::Session> {
        self.permits.close();
        std::mem::take(&mut self.state().idle).into_iter().map(|one| one.session).collect()
    }
}

impl<S: Source> Lease<'_, S> {
    /// Everything that was sent is answered, and no transaction is open.
    pub fn done(self) {
        self.idle_since(Instant::now());
    }

    /// It goes back, and has done no work since.
    fn idle_since(mut self, since: Instant) {
        if let Some(session) = self.session.take() {
            let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
            let place = state.idle.partition_point(|one| one.since <= since);
            state.idle.insert(place, Idle { since, last_used: Instant::now(), slot: self.slot, session });
            // The slot stays its own.
            self.slot = usize::MAX;
        }
    }

    /// The number of the session among those of its pool.
    pub fn slot(&self) -> usize {
        self.slot
    }

    pub fn session(&self) -> &S::Session {
        self.session.as_ref().expect("it is there until `done`")
    }

    pub fn session_mut(&mut self) -> &mut S::Session {
        self.session.as_mut().expect("it is there until `done`")
    }
}

impl<S: Source> Drop for Lease<'_, S> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(is_taken) = state.slots.get_mut(self.slot) {
            *is_taken = false;
        }
        drop(state);
        self.pool.watcher.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::{pin, Pin};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::Arc;
    use std::task::Waker;

    use tokio::runtime::{Builder, Runtime};

    /// A session that ends when its flag is set.
    struct MadeUp {
        slot: usize,
        has_ended: Arc<AtomicBool>,
        pings: Arc<AtomicUsize>,
    }

    impl Session for MadeUp {
        fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<Error> {
            match self.has_ended.load(Ordering::Relaxed) {
                true => Poll::Ready(Error::connection(format!("session {} has ended", self.slot))),
                false => Poll::Pending,
            }
        }

        fn ping(&mut self) -> BoxFuture<'_, Result<(), Error>> {
            self.pings.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) })
        }
    }

    /// A server that takes so many sessions at a time, and counts those that were ever made.
    #[derive(Default)]
    struct Server {
        room: AtomicUsize,
        made: AtomicUsize,
        pings: Arc<AtomicUsize>,
        flags: Mutex<Vec<Arc<AtomicBool>>>,
    }

    impl Server {
        fn of(room: usize) -> Arc<Server> {
            Arc::new(Server { room: room.into(), ..Server::default() })
        }

        fn make(&self, slot: usize) -> Result<MadeUp, Error> {
            let mut flags = self.flags.lock().unwrap();
            flags.retain(|flag| Arc::strong_count(flag) > 1);
            if flags.len() >= self.room.load(Ordering::Relaxed) {
                return Err(Error::connection("too many connections"));
            }
            self.made.fetch_add(1, Ordering::Relaxed);
            let flag = Arc::new(AtomicBool::new(false));
            flags.push(Arc::clone(&flag));
            Ok(MadeUp { slot, has_ended: flag, pings: Arc::clone(&self.pings) })
        }

        fn pool(self: &Arc<Server>, max: usize, idle_timeout: Option<Duration>) -> Pool<Arc<Server>> {
            Pool::new(Arc::clone(self), self.make(0).unwrap(), max, idle_timeout)
        }

        fn made(&self) -> usize {
            self.made.load(Ordering::Relaxed)
        }
    }

    #[async_trait]
    impl Source for Arc<Server> {
        type Session = MadeUp;

        async fn open(&self, slot: usize) -> Result<MadeUp, Error> {
            self.make(slot)
        }
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    fn bury(pool: &Pool<Arc<Server>>) -> Poll<Error> {
        pool.bury(&mut Context::from_waker(Waker::noop()))
    }

    fn waits<R>(work: Pin<&mut impl Future<Output = R>>) -> bool {
        work.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[test]
    fn idle_sessions_are_used_so_often_and_grow_no_younger() {
        let every = Duration::from_millis(20);
        runtime().block_on(async {
            let server = Server::of(9);
            let pool = server.pool(2, Some(every * 3)).pinging(Some(every));
            let first = pool.lease().await.unwrap();
            pool.lease().await.unwrap().done();
            let mut keeper = pin!(pool.keep_open());
            assert!(waits(keeper.as_mut()));
            assert!(pool.next_ping().is_some_and(|next| next > Instant::now()));
            std::thread::sleep(every);
            assert!(waits(keeper.as_mut()));
            assert_eq!(server.pings.load(Ordering::Relaxed), 1, "the other one is busy");
            first.done();
            std::thread::sleep(every * 2);
            pool.end_spares(Instant::now());
            assert_eq!(pool.state().open(), 1, "a use that means nothing is none");
            assert!(waits(keeper.as_mut()));
            assert_eq!(server.pings.load(Ordering::Relaxed), 2);
        });
    }

    #[test]
    fn sessions_are_made_as_they_are_needed_and_used_again() {
        runtime().block_on(async {
            let server = Server::of(9);
            let pool = server.pool(3, None);
            for _ in 0..5 {
                pool.lease().await.unwrap().done();
            }
            assert_eq!(server.made(), 1);
            let leases = [pool.lease().await, pool.lease().await, pool.lease().await];
            let mut slots = leases.map(|lease| {
                let lease = lease.unwrap();
                assert_eq!(lease.slot(), lease.session().slot);
                let slot = lease.slot();
                lease.done();
                slot
            });
            slots.sort_unstable();
            assert_eq!(slots, [0, 1, 2]);
            assert_eq!(server.made(), 3);
        });
    }

    #[test]
    fn a_batch_waits_where_there_are_as_many_as_there_may_be() {
        runtime().block_on(async {
            let server = Server::of(9);
            let pool = server.pool(1, None);
            let held = pool.lease().await.unwrap();
            let next = pool.lease();
            let mut next = pin!(next);
            assert!(waits(next.as_mut()));
            held.done();
            next.await.unwrap().done();
            assert_eq!(server.made(), 1);
        });
    }

    #[test]
    fn a_session_that_ended_is_dropped_alone() {
        runtime().block_on(async {
            let server = Server::of(9);
            let pool = server.pool(2, None);
            let (one, other) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
            one.done();
            other.done();
            server.flags.lock().unwrap()[0].store(true, Ordering::Relaxed);
            assert!(bury(&pool).is_pending());
            let lease = pool.lease().await.unwrap();
            assert_eq!((lease.slot(), server.made()), (1, 2));
            // Its slot is free again.
            let more = pool.lease().await.unwrap();
            assert_eq!((more.slot(), server.made()), (0, 3));
        });
    }

    #[test]
    fn the_last_one_that_ends_is_told() {
        let server = Server::of(9);
        let pool = server.pool(2, None);
        assert!(bury(&pool).is_pending());
        server.flags.lock().unwrap()[0].store(true, Ordering::Relaxed);
        let Poll::Ready(error) = bury(&pool) else { panic!("it is not told") };
        assert_eq!(error.message(), "session 0 has ended");
    }

    #[test]
    fn one_more_that_cannot_be_made_leaves_its_batch_to_the_others() {
        runtime().block_on(async {
            let server = Server::of(1);
            let pool = server.pool(20, None);
            let held = pool.lease().await.unwrap();
            let next = pool.lease();
            let mut next = pin!(next);
            assert!(waits(next.as_mut()));
            let told = pool.shortage().map(|(error, open)| (error.message().to_owned(), open));
            assert_eq!(told, Some(("too many connections".to_owned(), 1)));
            held.done();
            next.await.unwrap().done();
            assert_eq!(server.made(), 1);
            // It is the same shortage until one more is made.
            pool.state().fewer_since = Instant::now().checked_sub(SMALLER_FOR);
            let held = pool.lease().await.unwrap();
            let next = pool.lease();
            let mut next = pin!(next);
            assert!(waits(next.as_mut()) && pool.shortage().is_none());
            held.done();
            next.await.unwrap().done();
            server.room.store(2, Ordering::Relaxed);
            pool.state().fewer_since = Instant::now().checked_sub(SMALLER_FOR);
            let both = [pool.lease().await, pool.lease().await];
            assert_eq!((both.len(), server.made()), (2, 2));
            assert!(pool.state().shortage.is_none());
        });
    }

    #[test]
    fn where_none_is_left_the_failure_is_told() {
        runtime().block_on(async {
            let server = Server::of(1);
            let pool = server.pool(2, None);
            // What was given up in the middle is not used again.
            drop(pool.lease().await.unwrap());
            pool.lease().await.unwrap().done();
            assert_eq!(server.made(), 2);
            drop(pool.lease().await.unwrap());
            server.room.store(0, Ordering::Relaxed);
            let refused = pool.lease().await.err().map(|error| error.message().to_owned());
            assert_eq!(refused.as_deref(), Some("too many connections"));
        });
    }

    #[test]
    fn spare_sessions_end_when_nobody_needs_them() {
        runtime().block_on(async {
            let server = Server::of(9);
            let pool = server.pool(3, Some(Duration::from_secs(10)));
            assert_eq!(pool.next_end(), None);
            let (one, other) = (pool.lease().await.unwrap(), pool.lease().await.unwrap());
            one.done();
            other.done();
            let end = pool.next_end().unwrap();
            pool.end_spares(Instant::now());
            assert_eq!(pool.state().open(), 2);
            pool.end_spares(end + Duration::from_secs(1));
            assert_eq!(pool.state().open(), 1);
            assert_eq!(pool.next_end(), None);
        });
    }

    #[test]
    fn nobody_gets_a_session_of_a_closed_pool() {
        runtime().block_on(async {
            let server = Server::of(9);
            let pool = server.pool(3, None);
            assert_eq!(pool.close().len(), 1);
            assert!(pool.lease().await.is_err());
        });
    }
}
