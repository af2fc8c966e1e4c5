//! Waiting for another program's lock: briefly between looks, and no longer than is wanted.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// SQLite's locks know no queue: who looks seldom beside a busy writer never finds it free.
const EAGER_PAUSE: Duration = Duration::from_millis(1);
const EAGER_LOOKS: i32 = 500;
const LATER_PAUSE: Duration = Duration::from_millis(5);

/// Tells a connection's threads that nobody waits for them any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

struct Wait {
    patience: Duration,
    stop: Stop,
    began: Instant,
}

thread_local! {
    /// What rules the waiting of this thread's connection: SQLite's handler has no place for it.
    static WAIT: RefCell<Option<Wait>> = const { RefCell::new(None) };
}

/// From now on this thread waits so long for each lock, and not once `stop` is set.
pub(super) fn set(patience: Duration, stop: &Stop) {
    WAIT.set(Some(Wait { patience, stop: stop.clone(), began: Instant::now() }));
}

/// SQLite's busy handler: whether to look at the lock again, for the `looks + 1`st time.
pub(super) fn wait(looks: i32) -> bool {
    WAIT.with_borrow_mut(|wait| {
        let Some(wait) = wait else { return false };
        if looks == 0 {
            wait.began = Instant::now();
        }
        let left = wait.patience.saturating_sub(wait.began.elapsed());
        if left.is_zero() || wait.stop.is_set() {
            return false;
        }
        let pause = if looks < EAGER_LOOKS { EAGER_PAUSE } else { LATER_PAUSE };
        std::thread::sleep(pause.min(left));
        true
    })
}
