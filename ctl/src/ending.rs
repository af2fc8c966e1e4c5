//! What has to be done before the program ends, by itself or by a signal.

use std::collections::BTreeMap;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

type Task = Box<dyn FnOnce() + Send>;

static TASKS: Mutex<BTreeMap<u64, Task>> = Mutex::new(BTreeMap::new());

fn tasks() -> MutexGuard<'static, BTreeMap<u64, Task>> {
    TASKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries its task out when it is dropped, or when a signal ends the program before.
pub struct AtEnd(u64);

/// Has something done at the end, whatever the end is.
pub fn at_end(task: impl FnOnce() + Send + 'static) -> AtEnd {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    tasks().insert(number, Box::new(task));
    AtEnd(number)
}

impl AtEnd {
    /// There is nothing to be done any more.
    pub fn forget(self) {
        tasks().remove(&self.0);
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        let task = tasks().remove(&self.0);
        if let Some(task) = task {
            task();
        }
    }
}

/// Ends the program in order when a signal comes, with 128 and its number. To be called before there is another thread.
pub fn watch_signals() {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    if signals.thread_block().is_err() {
        return;
    }
    let wait = move || {
        if let Ok(signal) = signals.wait() {
            // Held to the end, so that nothing begins meanwhile that would have to be undone.
            let mut tasks = tasks();
            while let Some((_, task)) = tasks.pop_last() {
                task();
            }
            process::exit(128 + signal as i32);
        }
    };
    if thread::Builder::new().name("signals".into()).spawn(wait).is_err() {
        // Then they end it as ever.
        let _ = signals.thread_unblock();
    }
}
