//! Runs callbacks: on the dispatch thread, or on the host's thread that dispatches or frees.

use std::os::raw::c_void;
use std::ptr;
use std::sync::Arc;

use super::convert;
use super::deliver::deliver;
use super::dispatch_thread::DispatchThread;
use super::handle::Connector;
use super::panic::{guard, guard_value};
use crate::core::Error;

/// Starts the dispatch thread of a connector that has one; it holds a share of the connector until it ends.
pub(super) fn start_dispatching(connector: &Arc<Connector>) -> Result<(), Error> {
    let Some(mode) = connector.callback_mode() else { return Ok(()) };
    mode.start(connector.submitter(), || {
        let argument = convert::thread_argument(Arc::clone(connector));
        // SAFETY: `dispatch` takes what `thread_argument` gives, and takes it once.
        unsafe { DispatchThread::start(dispatch, argument) }.inspect_err(|_| {
            // SAFETY: the thread that should have taken it does not exist.
            drop(unsafe { convert::take_connector(argument.cast()) });
        })
    })
}

/// The dispatch thread. It may unwind: see [`capi`](super).
unsafe extern "C-unwind" fn dispatch(argument: *mut c_void) -> *mut c_void {
    // SAFETY: this thread was given a share of the connector, which it takes back at its end.
    let Ok(connector) = (unsafe { convert::connector(argument.cast()) }) else { return ptr::null_mut() };
    connector.runner().begin();
    while let Some(delivery) = guard_value(|| connector.next()) {
        connector.process().enter_callback();
        deliver(connector, delivery);
        if connector.process().is_forked() {
            // This is the child, whose only thread was made by a fork in that callback.
            return ptr::null_mut();
        }
        connector.process().leave_callback();
    }
    connector.runner().end();
    guard(|| {
        // SAFETY: the share that this thread was given; it is not used any more.
        drop(unsafe { convert::take_connector(argument.cast()) });
        Ok(())
    });
    ptr::null_mut()
}

/// Runs at most `limit` callbacks on this thread. It may unwind: see [`capi`](super).
pub(super) fn pump(connector: &Connector, limit: usize) {
    for _ in 0..limit {
        let Some(delivery) = guard_value(|| connector.next()) else { return };
        deliver(connector, delivery);
        if connector.process().is_forked() {
            return;
        }
    }
}
