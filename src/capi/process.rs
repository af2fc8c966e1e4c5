//! What a process does that threads do not survive: it forks, and it exits.
//!
//! In a forked child a connector has no threads any more and shares its sockets with the parent,
//! so nothing of it may be touched. When a process exits, its static objects are destroyed while
//! our threads still run, so no callback may start then.

use std::cell::Cell;
use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, Once, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::dispatch_thread::release_left;
use super::fork_mark;
use crate::core::{Error, ErrorCode};

/// Changes with every fork, in the child, and when the process begins to exit: one look tells
/// that neither has happened.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// See [`forks`].
static FORKS: AtomicU32 = AtomicU32::new(0);

/// How many dispatch threads are in a callback.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// Dispatch threads wait here while the process exits.
static EXITING: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// How long an exit waits for callbacks that are running already.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);

thread_local!(static IN_CALLBACK: Cell<bool> = const { Cell::new(false) });

extern "C" {
    fn atexit(handler: extern "C" fn()) -> c_int;
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> c_int;
}

/// The handler of a `fork`; other forks run none, see [`look_for_fork`].
extern "C" fn forked() {
    if !fork_mark::exists() || fork_mark::is_fresh_child() {
        count_fork();
    }
}

/// Notices a fork however it was made.
fn look_for_fork() {
    if fork_mark::is_fresh_child() {
        count_fork();
    }
}

fn count_fork() {
    FORKS.fetch_add(1, Ordering::SeqCst);
    EPOCH.fetch_add(1, Ordering::SeqCst);
    // The threads that were counted are not in this process.
    BUSY.store(0, Ordering::SeqCst);
}

extern "C" fn exiting() {
    EPOCH.fetch_add(1, Ordering::SeqCst);
    // An exit from inside a callback does not wait for that one.
    let own = usize::from(IN_CALLBACK.get());
    let patience = Instant::now() + EXIT_PATIENCE;
    while BUSY.load(Ordering::SeqCst) > own && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    release_left(patience.saturating_duration_since(Instant::now()));
}

/// How many forks this process is away from its first ancestor with this library.
pub(super) fn forks() -> u32 {
    look_for_fork();
    FORKS.load(Ordering::SeqCst)
}

/// The runtime asks the standard library for the main thread's handle, which never releases it
/// and remembers it by a pointer into its middle: leak checkers report that as possibly lost. It
/// is not once there is an ordinary reference, too.
fn keep_main_thread() {
    static MAIN: OnceLock<Thread> = OnceLock::new();
    #[cfg(target_os = "linux")]
    // SAFETY: these calls have no conditions.
    if unsafe { libc::gettid() == libc::getpid() } {
        MAIN.get_or_init(std::thread::current);
    }
}

/// A connector's tie to the process that made it.
pub(super) struct Process {
    epoch: u32,
    forks: u32,
    /// The host uses the connector although the process exits.
    resumed: AtomicBool,
}

impl Process {
    /// This process, as it is now.
    pub fn current() -> Process {
        static HANDLERS: Once = Once::new();
        HANDLERS.call_once(|| {
            // SAFETY: both handlers are functions without arguments that touch only atomics and
            // the clock. The shared library is never unloaded (`build.rs`), so they stay.
            // Without memory for them there is nothing to be done, as for a host that had
            // exited or forked before.
            unsafe {
                pthread_atfork(None, None, Some(forked));
                atexit(exiting);
            }
        });
        keep_main_thread();
        fork_mark::exists();
        release_left(Duration::ZERO);
        // In this order: to look for a fork may change the epoch.
        let forks = forks();
        Process { epoch: EPOCH.load(Ordering::SeqCst), forks, resumed: AtomicBool::new(false) }
    }

    /// Whether neither a fork nor an exit has happened; three loads at most.
    pub fn is_undisturbed(&self) -> bool {
        look_for_fork();
        EPOCH.load(Ordering::SeqCst) == self.epoch
    }

    /// Whether the calling process is a fork of the connector's.
    pub fn is_forked(&self) -> bool {
        !self.is_undisturbed() && forks() != self.forks
    }

    /// The host uses the connector: its callbacks are wanted even though the process may be
    /// exiting.
    pub fn resume(&self) {
        if !self.is_undisturbed() && !self.resumed.swap(true, Ordering::SeqCst) {
            drop(EXITING.0.lock().unwrap_or_else(PoisonError::into_inner));
            EXITING.1.notify_all();
        }
    }

    /// To be called by a dispatch thread before each callback: waits while the process exits.
    pub fn enter_callback(&self) {
        loop {
            // Counted before the look, as the exit looks at the count after the change.
            BUSY.fetch_add(1, Ordering::SeqCst);
            if self.is_undisturbed() || self.is_wanted() {
                return IN_CALLBACK.set(true);
            }
            BUSY.fetch_sub(1, Ordering::SeqCst);
            let guard = EXITING.0.lock().unwrap_or_else(PoisonError::into_inner);
            drop(EXITING.1.wait_while(guard, |()| !self.is_wanted()));
        }
    }

    fn is_wanted(&self) -> bool {
        self.resumed.load(Ordering::SeqCst)
    }

    /// To be called after each, except in a forked child.
    pub fn leave_callback(&self) {
        IN_CALLBACK.set(false);
        BUSY.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The error of every call in a forked child.
pub(super) fn forked_error() -> Error {
    Error::new(
        ErrorCode::Forked,
        "this process is a fork of the one that made the connector; make a connector of its own",
    )
}
