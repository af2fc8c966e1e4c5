//! Drives an engine on a thread of its own.

use std::future::{poll_fn, Future};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::{sleep_until, Instant, Sleep};

use super::signals::without_signals;
use super::waker::QuietWaker;
use crate::core::engine::Engine;
use crate::core::request::Delivery;

/// How long requests that came quietly, from a callback that goes on and on, may wait.
const GLANCE: Duration = Duration::from_millis(1);

/// A running reactor thread. It ends after it has delivered [`Delivery::Closed`].
pub struct Reactor {
    thread: JoinHandle<()>,
}

impl Reactor {
    /// Starts the thread. `deliver` is called on it with everything there is to tell; it must
    /// empty the list, and what it does delays all I/O of this connector.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptors.
    pub fn start<T: Send + 'static>(
        engine: Engine<T>,
        deliver: impl FnMut(&mut Vec<Delivery<T>>) + Send + 'static,
    ) -> io::Result<Reactor> {
        Reactor::start_watching(engine, deliver, || false)
    }

    /// Like [`start`](Self::start), for a host that submits quietly from its callbacks and wakes
    /// the engine when it has run them all. While `is_busy` it may not have done that yet, so
    /// the engine looks for requests every millisecond.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_watching<T: Send + 'static>(
        engine: Engine<T>,
        deliver: impl FnMut(&mut Vec<Delivery<T>>) + Send + 'static,
        is_busy: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<Reactor> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            runtime.block_on(run(engine, deliver, is_busy));
            // Blocking work that hangs, a name look-up say, must not hold the end up.
            runtime.shutdown_background();
        };
        let builder = std::thread::Builder::new().name("ds-reactor".into());
        let thread = without_signals(|| builder.spawn(work))?;
        Ok(Reactor { thread })
    }

    /// Waits until the thread has ended.
    pub fn join(self) {
        // The thread's own panic was reported by the panic hook already.
        drop(self.thread.join());
    }
}

async fn run<T: Send + 'static>(
    mut engine: Engine<T>,
    mut deliver: impl FnMut(&mut Vec<Delivery<T>>),
    is_busy: impl Fn() -> bool,
) {
    let outer = Arc::new(AtomicWaker::new());
    let notified = Arc::clone(&outer);
    let waker = QuietWaker::new(move || notified.wake());
    let mut alarm: Pin<Box<Sleep>> = Box::pin(sleep_until(Instant::now()));
    let mut out = Vec::new();
    poll_fn(|cx| {
        outer.register(cx.waker());
        loop {
            let progress = waker.poll(|cx| engine.poll(cx, &mut out));
            if !out.is_empty() {
                deliver(&mut out);
            }
            if progress.finished {
                return Poll::Ready(());
            }
            let glance = is_busy().then(|| Instant::now() + GLANCE);
            let at = progress.wake_at.map(Instant::from_std).into_iter().chain(glance).min();
            let Some(at) = at else { return Poll::Pending };
            if alarm.deadline() != at {
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}
