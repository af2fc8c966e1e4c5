//! Drives an engine on the host's own thread, so that a request crosses no thread at all.
//!
//! The host watches one file descriptor with whatever event loop it has and calls
//! [`HostDriver::turn`] when it is readable. The descriptor is the epoll instance of the
//! engine's own tokio runtime, which `runtime_fd.rs` finds. Two descriptors are watched besides the
//! engine's sockets: an eventfd by which other threads wake the engine, and a timerfd for its
//! deadlines.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{eventfd, EventfdFlags};
use rustix::time::{
    timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;

use super::runtime_fd::{find_runtime_fd, look, signal, watch};
use super::signals::refuse_signals;
use super::waker::QuietWaker;
use crate::core::deliveries::Deliveries;
use crate::core::engine::{Engine, Progress};

/// How often a client library's own timers are looked at while the engine has work.
const LIBRARY_TIMER_TICK: Duration = Duration::from_millis(100);

/// How long the engine may be polled again in a turn, because something woke it meanwhile.
const ROUNDS_TIME: Duration = Duration::from_millis(2);

type Notify = Box<dyn Fn() + Send + Sync>;

/// An engine and all that is needed to drive it from an event loop. It may move between
/// threads, but only one may turn it at a time.
pub struct HostDriver<T> {
    // Fields are dropped in this order: the engine's sockets before their runtime.
    engine: Engine<T>,
    wake_fd: AsyncFd<Arc<OwnedFd>>,
    timer: AsyncFd<OwnedFd>,
    runtime: Option<Runtime>,
    waker: Arc<QuietWaker<Notify>>,
    poll_fd: RawFd,
    armed: Option<Instant>,
    finished: bool,
}

impl<T: Send + 'static> HostDriver<T> {
    /// Makes the runtime and finds its descriptor.
    ///
    /// # Errors
    /// No file descriptors are left, or `/proc` is not there; use a [`Reactor`](super::Reactor)
    /// then. The engine is given back.
    pub fn new(engine: Engine<T>) -> Result<HostDriver<T>, Box<Engine<T>>> {
        match Parts::new() {
            Ok(Parts { runtime, wake_fd, timer, poll_fd }) => {
                let notified = Arc::clone(wake_fd.get_ref());
                let notify: Notify = Box::new(move || signal(&notified));
                Ok(HostDriver {
                    engine,
                    wake_fd,
                    timer,
                    runtime: Some(runtime),
                    waker: QuietWaker::new(notify),
                    poll_fd,
                    armed: None,
                    finished: false,
                })
            }
            Err(_) => Err(Box::new(engine)),
        }
    }

    /// Readable when [`turn`](Self::turn) has something to do. It belongs to the driver: watch
    /// it, do not read or close it.
    pub fn poll_fd(&self) -> RawFd {
        self.poll_fd
    }

    /// Makes the descriptor readable until the next [`turn`](Self::turn).
    pub fn rearm(&self) {
        signal(self.wake_fd.get_ref());
    }

    /// Takes in what the system has for the engine, then does what can be done in a turn. Never
    /// blocks. What the host has to hear is appended to `out`.
    pub fn turn(&mut self, out: &mut Deliveries<T>) {
        // Also after the end: news that nobody takes would keep the descriptor readable.
        if let Some(runtime) = &self.runtime {
            // The sockets' news wakes the engine, which is polled below anyway.
            self.waker.will_poll();
            look(runtime);
            self.engine.looked();
        }
        self.flush(out);
    }

    /// Does what can be done without asking the system for news: for the end of a turn of the
    /// host's loop, after requests were submitted. Otherwise like [`turn`](Self::turn).
    pub fn flush(&mut self, out: &mut Deliveries<T>) {
        let (Some(runtime), false) = (&self.runtime, self.finished) else { return };
        let entered = runtime.enter();
        let engine = &mut self.engine;
        let mut until = None;
        let progress = self.waker.poll(|cx| {
            let progress = engine.poll(cx, out);
            let now = Instant::now();
            let until = *until.get_or_insert(now + ROUNDS_TIME);
            Progress { more: progress.more || now > until, ..progress }
        });
        drop(entered);
        self.finished = progress.finished;
        if progress.more {
            // The host's loop has a turn first.
            self.rearm();
        } else {
            self.arm(progress.wake_at);
        }
    }

    /// Sets the timer, seldom: it may go off too early, never too late.
    fn arm(&mut self, wake_at: Option<Instant>) {
        let now = Instant::now();
        let tick = self.engine.waits_for_library().then(|| now + LIBRARY_TIMER_TICK);
        let Some(wake_at) = wake_at.into_iter().chain(tick).min() else { return };
        if self.armed.is_some_and(|armed| armed > now && armed <= wake_at) {
            return;
        }
        let pause = wake_at.saturating_duration_since(now).max(Duration::from_micros(1));
        let value = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(pause.subsec_nanos()),
            },
        };
        // The arguments are in range by construction, so this cannot fail.
        let _ = timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &value);
        self.armed = Some(now + pause);
    }
}

impl<T> Drop for HostDriver<T> {
    fn drop(&mut self) {
        // Blocking work that hangs, a name look-up say, must not hold the host up.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Parts {
    runtime: Runtime,
    wake_fd: AsyncFd<Arc<OwnedFd>>,
    timer: AsyncFd<OwnedFd>,
    poll_fd: RawFd,
}

impl Parts {
    fn new() -> io::Result<Parts> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        // Of its threads for look-ups; the host's own thread is none of them.
        let runtime = builder.enable_all().on_thread_start(refuse_signals).build()?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let entered = runtime.enter();
        let wake_fd = watch(wake)?;
        let timer = watch(timer)?;
        drop(entered);
        let poll_fd = find_runtime_fd(&runtime, wake_fd.get_ref())?;
        Ok(Parts { runtime, wake_fd, timer, poll_fd })
    }
}
