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
use super::way_out::Sender;
use crate::core::engine::Engine;

/// How long requests that came quietly, from a callback that goes on and on, may wait.
const GLANCE: Duration = Duration::from_millis(1);

/// A running reactor thread. It ends after it has delivered [`Delivery::Closed`](crate::core::Delivery::Closed).
pub struct Reactor {
    thread: JoinHandle<()>,
}

impl Reactor {
    /// Starts the thread, which puts everything there is to tell into `sender`. With `glances` it
    /// is for a host that submits quietly from its callbacks and wakes the engine when it has run
    /// them all: while they may be running, the engine looks for requests every millisecond.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptors.
    pub(super) fn start<T: Send + 'static>(
        engine: Engine<T>,
        sender: Sender<T>,
        glances: bool,
    ) -> io::Result<Reactor> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || {
            runtime.block_on(run(engine, sender, glances));
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

async fn run<T: Send + 'static>(mut engine: Engine<T>, sender: Sender<T>, glances: bool) {
    let outer = Arc::new(AtomicWaker::new());
    let notified = Arc::clone(&outer);
    let waker = QuietWaker::new(move || notified.wake());
    let mut alarm: Pin<Box<Sleep>> = Box::pin(sleep_until(Instant::now()));
    let mut out = engine.deliveries();
    poll_fn(|cx| {
        outer.register(cx.waker());
        // Tokio looks at its sockets between any two polls of this future.
        engine.looked();
        let progress = waker.poll(|cx| engine.poll(cx, &mut out));
        if !out.is_empty() {
            sender.send(&mut out);
        }
        if progress.finished {
            return Poll::Ready(());
        }
        let glance = (glances && sender.is_busy()).then(|| Instant::now() + GLANCE);
        let at = progress.wake_at.map(Instant::from_std).into_iter().chain(glance).min();
        let mut again = progress.more;
        if let Some(at) = at {
            if alarm.deadline() != at {
                alarm.as_mut().reset(at);
            }
            again |= alarm.as_mut().poll(cx).is_ready();
        }
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}
