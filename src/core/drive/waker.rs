//! A waker that makes no system call for what happens while the engine is being polled anyway.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use crate::core::engine::Progress;
use crate::sync::atomic::{
    fence, AtomicBool,
    Ordering::{AcqRel, Acquire, Release, SeqCst},
};

/// A request and its answer take two or three.
const MAX_ROUNDS: usize = 8;

/// Remembers wake-ups, and passes them on only while nobody polls.
pub(super) struct QuietWaker<N> {
    woken: AtomicBool,
    polling: AtomicBool,
    notify: N,
}

impl<N: Fn() + Send + Sync + 'static> QuietWaker<N> {
    /// `notify` makes the engine's driver call [`poll`](Self::poll) soon; any thread may call it.
    pub fn new(notify: N) -> Arc<QuietWaker<N>> {
        Arc::new(QuietWaker { woken: AtomicBool::new(false), polling: AtomicBool::new(false), notify })
    }

    /// Says that [`poll`](Self::poll) follows at once: what wakes us until then is seen there, and
    /// needs no notification.
    pub fn will_poll(&self) {
        self.polling.store(true, Release);
    }

    /// Calls `step` once, and again while something woke it meanwhile, but not for longer than a
    /// turn may take: who wakes it all the time must not keep the driver from its sockets.
    pub fn poll(self: &Arc<Self>, mut step: impl FnMut(&mut Context<'_>) -> Progress) -> Progress {
        let waker = Waker::from(Arc::clone(self));
        let mut cx = Context::from_waker(&waker);
        let mut rounds = 0;
        loop {
            self.polling.store(true, Release);
            self.woken.store(false, Release);
            let progress = step(&mut cx);
            self.polling.store(false, Release);
            // A wake-up from another thread either sees `polling` false and notifies, or is
            // seen here.
            fence(SeqCst);
            if progress.more || progress.finished || !self.woken.load(Acquire) {
                return progress;
            }
            rounds += 1;
            if rounds == MAX_ROUNDS {
                return Progress { more: true, ..progress };
            }
        }
    }
}

impl<N: Fn() + Send + Sync + 'static> Wake for QuietWaker<N> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let already = self.woken.swap(true, AcqRel);
        fence(SeqCst);
        if !already && !self.polling.load(Acquire) {
            (self.notify)();
        }
    }
}
