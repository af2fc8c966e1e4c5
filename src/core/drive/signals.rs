//! Signals are the host's: none of our threads takes one.
//!
//! A host that blocks a signal to wait for it, with `sigwait` or a `signalfd`, would be ended by
//! it through a thread of ours; and one whose client library writes to a closed socket by `SIGPIPE`.

/// Calls `start`, which starts a thread: that inherits a mask of blocked signals.
pub(crate) fn without_signals<R>(start: impl FnOnce() -> R) -> R {
    let before = block();
    let result = start();
    restore(before);
    result
}

/// Has this thread, which is ours, take no signals any more.
#[cfg(target_os = "linux")]
pub(super) fn refuse_signals() {
    block();
}

#[cfg(unix)]
use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// Blocks all signals but those of faults of the thread itself, for which the standard library
/// and crash reporters have handlers. Returns what was blocked before.
#[cfg(unix)]
fn block() -> Option<SigSet> {
    let mut signals = SigSet::all();
    for fault in [
        Signal::SIGABRT,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGSEGV,
        Signal::SIGSYS,
        Signal::SIGTRAP,
    ] {
        signals.remove(fault);
    }
    // It fails for no arguments that can be given here.
    signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok()
}

#[cfg(unix)]
fn restore(before: Option<SigSet>) {
    if let Some(before) = before {
        let _ = before.thread_set_mask();
    }
}

#[cfg(not(unix))]
fn block() {}

#[cfg(not(unix))]
fn restore(_: ()) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The signals that this thread blocks, as the kernel says.
    fn blocked() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    }

    fn bit(signal: Signal) -> u64 {
        1 << (signal as i32 - 1)
    }

    #[test]
    fn threads_of_ours_take_no_signals_of_the_host() {
        let before = blocked();
        let theirs = without_signals(|| std::thread::spawn(blocked)).join().unwrap();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD, Signal::SIGPIPE, Signal::SIGUSR1] {
            assert!(theirs & bit(signal) != 0, "{signal} is not blocked");
        }
        assert!(theirs & bit(Signal::SIGSEGV) == 0, "a fault must reach its handler");
        assert_eq!(blocked(), before);
        let theirs = std::thread::spawn(|| {
            refuse_signals();
            blocked()
        });
        assert!(theirs.join().unwrap() & bit(Signal::SIGTERM) != 0);
    }
}
