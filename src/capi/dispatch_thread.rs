//! A thread that may end by foreign unwinding, which [`std::thread`] would answer with an abort.

use std::io;
use std::os::raw::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::core::without_signals;

/// What such a thread does.
pub(super) type Body = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;

extern "C" {
    // The libc crate's declaration denies that the thread may end by unwinding.
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        body: Body,
        argument: *mut c_void,
    ) -> c_int;
}

/// A running thread. It has to be joined or left.
pub(super) struct DispatchThread {
    thread: libc::pthread_t,
}

impl DispatchThread {
    /// # Errors
    /// The system gives no thread; `body` was not called.
    ///
    /// # Safety
    /// `body` may be called with `argument` on another thread.
    pub unsafe fn start(body: Body, argument: *mut c_void) -> io::Result<DispatchThread> {
        let mut thread: libc::pthread_t = 0;
        let create = || {
            // SAFETY: the attributes may be NULL; the body's part is this function's contract.
            unsafe { pthread_create(&mut thread, std::ptr::null(), body, argument) }
        };
        match without_signals(create) {
            0 => {
                #[cfg(target_os = "linux")]
                // SAFETY: the thread is not joined yet, and the name has less than 16 bytes.
                unsafe {
                    libc::pthread_setname_np(thread, c"ds-dispatch".as_ptr());
                }
                Ok(DispatchThread { thread })
            }
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// Waits until the thread has ended.
    pub fn join(self) {
        // SAFETY: started by `start`, neither joined nor detached before, as that takes `self`.
        unsafe { libc::pthread_join(self.thread, std::ptr::null_mut()) };
    }

    /// Lets it end by itself, for the thread that cannot wait for its own end.
    pub fn leave(self) {
        left::add(self);
    }
}

/// Releases those threads that were left and have ended, waiting for each so long.
pub(super) fn release_left(patience: Duration) {
    left::release(patience);
}

/// Threads that were left. They are not detached, because a thread that still ends while its
/// process does looks like a leak to leak checkers.
#[cfg(target_os = "linux")]
mod left {
    use std::os::raw::{c_int, c_void};
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::super::process::forks;
    use super::DispatchThread;

    extern "C" {
        fn pthread_timedjoin_np(
            thread: libc::pthread_t,
            result: *mut *mut c_void,
            until: *const libc::timespec,
        ) -> c_int;
    }

    /// With the number of forks at that time: a child does not have its parent's threads.
    static LEFT: Mutex<Vec<(DispatchThread, u32)>> = Mutex::new(Vec::new());

    pub fn add(thread: DispatchThread) {
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).push((thread, forks()));
    }

    pub fn release(patience: Duration) {
        // Whoever holds it, perhaps in a process that was forked meanwhile, is not waited for.
        let Ok(mut left) = LEFT.try_lock() else { return };
        let threads = std::mem::take(&mut *left);
        let living = threads.into_iter().filter(|(_, when)| *when == forks());
        left.extend(living.filter_map(|(thread, when)| Some((join_within(thread, patience)?, when))));
    }

    /// Gives the thread back if it has not ended then.
    fn join_within(thread: DispatchThread, patience: Duration) -> Option<DispatchThread> {
        let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + patience;
        let until = libc::timespec {
            tv_sec: libc::time_t::try_from(until.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: until.subsec_nanos().into(),
        };
        // SAFETY: started by `start`, neither joined nor detached before, as both take it; it is
        // joined only if the call says so.
        let code = unsafe { pthread_timedjoin_np(thread.thread, std::ptr::null_mut(), &until) };
        (code != 0).then_some(thread)
    }
}

/// Elsewhere they are detached.
#[cfg(not(target_os = "linux"))]
mod left {
    use super::DispatchThread;

    pub fn add(thread: DispatchThread) {
        // SAFETY: started by `start`, neither joined nor detached before, as both take it.
        unsafe { libc::pthread_detach(thread.thread) };
    }

    pub fn release(_: std::time::Duration) {}
}

/// The thread that runs a connector's callbacks at this moment, if any.
pub(super) struct Runner {
    token: AtomicUsize,
}

impl Runner {
    pub fn new() -> Runner {
        Runner { token: AtomicUsize::new(0) }
    }

    /// This thread runs callbacks from now on.
    pub fn begin(&self) {
        self.token.store(this_thread(), Ordering::Relaxed);
    }

    /// Nobody does any more.
    pub fn end(&self) {
        self.token.store(0, Ordering::Relaxed);
    }

    /// Whether anybody does.
    pub fn is_anywhere(&self) -> bool {
        self.token.load(Ordering::Relaxed) != 0
    }

    /// Whether this thread does. No other thread can make that true or false meanwhile, so it
    /// needs no order among threads.
    pub fn is_here(&self) -> bool {
        self.token.load(Ordering::Relaxed) == this_thread()
    }
}

/// A number that no other living thread has.
fn this_thread() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| std::ptr::from_ref(place).addr())
}
