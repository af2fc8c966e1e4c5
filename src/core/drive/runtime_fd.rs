//! The epoll instance of a tokio runtime, which tokio does not hand out.
//!
//! `/proc/self/fdinfo` says which descriptors an epoll instance watches (`proc_pid_fdinfo(5)`), but
//! only by their numbers, and an entry outlives a number that was closed while a duplicate lives:
//! a foreign instance may list the number of ours. So a candidate has to prove itself: it is
//! readable when we make our descriptor readable, and is not once the runtime has looked.

use std::fs;
use std::future::{poll_fn, Future};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::pin;
use std::task::Poll;

use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::runtime::Runtime;

/// So often a candidate has to prove itself: events of its own may make a foreign one readable.
const PROOFS: usize = 3;

/// The epoll instance of a runtime that watches `wake_fd`, which is an eventfd.
pub(super) fn find_runtime_fd(runtime: &Runtime, wake_fd: &OwnedFd) -> io::Result<RawFd> {
    let witness = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let number = wake_fd.as_raw_fd();
    // It was made just before that one, so it is mostly among the numbers right below.
    let near = (number.saturating_sub(16)..number).rev();
    let is_ours =
        |candidate: &RawFd| watches(*candidate, number) && is_proved(*candidate, runtime, wake_fd, &witness);
    if let Some(found) = near.into_iter().find(is_ours) {
        return Ok(found);
    }
    let entries = fs::read_dir("/proc/self/fdinfo")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.into_iter().find(is_ours).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "the runtime's epoll instance is not in /proc/self/fdinfo")
    })
}

/// Whether a descriptor is an epoll instance with an entry for this number.
fn watches(candidate: RawFd, number: RawFd) -> bool {
    // It may be closed by another thread at any time.
    let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{candidate}")) else { return false };
    let targets = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
    targets.filter_map(|rest| rest.split_whitespace().next()).any(|target| target.parse() == Ok(number))
}

fn is_proved(candidate: RawFd, runtime: &Runtime, wake_fd: &OwnedFd, witness: &Runtime) -> bool {
    look(runtime);
    (0..PROOFS).all(|_| {
        let before = is_readable(candidate, witness);
        signal(wake_fd);
        let signalled = is_readable(candidate, witness);
        look(runtime);
        !before && signalled && !is_readable(candidate, witness)
    })
}

/// Whether a descriptor of any kind is readable at this moment, by another runtime's opinion.
fn is_readable(fd: RawFd, witness: &Runtime) -> bool {
    let entered = witness.enter();
    let watched = watch(fd);
    drop(entered);
    let Ok(watched) = watched else { return false };
    look(witness);
    witness.block_on(async {
        let mut ready = pin!(watched.readable());
        poll_fn(|cx| Poll::Ready(ready.as_mut().poll(cx).is_ready())).await
    })
}

/// Has a runtime look at its sockets and timers once, without waiting.
pub(super) fn look(runtime: &Runtime) {
    // A future that wakes itself does that, and leaves no wake-up behind.
    let mut looked = false;
    runtime.block_on(poll_fn(|cx| {
        if std::mem::replace(&mut looked, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
}

/// Makes an eventfd readable.
pub(super) fn signal(wake_fd: &OwnedFd) {
    // It fails only when the counter is full, and then it is readable already.
    let _ = rustix::io::write(wake_fd, &1u64.to_ne_bytes());
}

/// Has the runtime watch a descriptor. The successor of this call is unsafe because it trusts
/// the descriptor to stay open; one that is owned does, and one that is not is let go at once.
#[allow(deprecated)]
pub(super) fn watch<F: AsRawFd>(fd: F) -> io::Result<AsyncFd<F>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Arc;

    use rustix::event::{epoll, eventfd, EventfdFlags};

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap()
    }

    fn wake_fd() -> Arc<OwnedFd> {
        Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap())
    }

    /// A foreign instance keeps the entry of a number that was closed, since a duplicate lives, and the number is ours then.
    #[test]
    fn a_foreign_instance_with_our_number_is_not_taken_for_ours() {
        let foreign = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let theirs = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        let number = theirs.as_raw_fd();
        epoll::add(&foreign, &theirs, epoll::EventData::new_u64(1), epoll::EventFlags::IN).unwrap();
        let _duplicate = rustix::io::dup(&theirs).unwrap();
        let runtime = runtime();
        drop(theirs);
        // Takes the number, unless another test's thread was faster.
        let wake = wake_fd();
        let entered = runtime.enter();
        let watched = watch(Arc::clone(&wake)).unwrap();
        drop(entered);
        let found = find_runtime_fd(&runtime, &wake).unwrap();
        assert_ne!(found, foreign.as_raw_fd());
        if wake.as_raw_fd() == number {
            assert!(watches(foreign.as_raw_fd(), number), "it lists our number, and that is no proof");
            let witness = self::runtime();
            assert!(!is_proved(foreign.as_raw_fd(), &runtime, &wake, &witness));
        }
        drop(watched);
    }

    #[test]
    fn the_runtimes_own_instance_is_found() {
        let (first, second) = (runtime(), runtime());
        let (wake, other) = (wake_fd(), wake_fd());
        let entered = first.enter();
        let watched = watch(Arc::clone(&wake)).unwrap();
        drop(entered);
        let entered = second.enter();
        let watched_too = watch(Arc::clone(&other)).unwrap();
        drop(entered);
        let found = find_runtime_fd(&first, &wake).unwrap();
        assert_ne!(found, find_runtime_fd(&second, &other).unwrap());
        assert!(find_runtime_fd(&second, &wake).is_err(), "it does not watch that one");
        drop((watched, watched_too));
    }
}
