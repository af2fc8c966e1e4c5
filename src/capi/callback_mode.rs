//! Callbacks on a dispatch thread of the connector's own.

use std::os::raw::c_void;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::convert;
use super::deliver::deliver;
use super::dispatch_thread::DispatchThread;
use super::handle::Connector;
use super::panic::{guard, guard_value};
use super::ticket::Ticket;
use crate::core::{Delivery, Engine, Error, ErrorCode, Outbox, Reactor, Wake};

pub(super) struct CallbackMode {
    outbox: Arc<Outbox<Ticket>>,
    threads: Mutex<Threads>,
}

struct Threads {
    reactor: Option<Reactor>,
    dispatcher: Option<DispatchThread>,
}

impl CallbackMode {
    pub fn new(engine: Engine<Ticket>) -> Result<CallbackMode, Error> {
        let (outbox, reactor) = Outbox::start(engine).map_err(no_thread)?;
        Ok(CallbackMode { outbox, threads: Mutex::new(Threads { reactor: Some(reactor), dispatcher: None }) })
    }

    /// Starts the dispatch thread, which holds a share of the connector until it ends.
    pub fn start_dispatching(&self, connector: &Arc<Connector>) -> Result<(), Error> {
        let argument = convert::thread_argument(Arc::clone(connector));
        // Held meanwhile: a callback of the new thread may let another one free the connector.
        let mut threads = self.threads();
        // SAFETY: `dispatch` takes what `thread_argument` gives, and takes it once.
        match unsafe { DispatchThread::start(dispatch, argument) } {
            Ok(thread) => {
                threads.dispatcher = Some(thread);
                Ok(())
            }
            Err(error) => {
                // SAFETY: the thread that should have taken it does not exist.
                drop(unsafe { convert::take_connector(argument.cast()) });
                connector.submitter().cancel();
                if let Some(reactor) = threads.reactor.take() {
                    reactor.join();
                }
                Err(no_thread(error))
            }
        }
    }

    pub fn next(&self) -> Option<Delivery<Ticket>> {
        self.outbox.next()
    }

    pub fn submitted_quietly(&self, wake: Wake) {
        self.outbox.submitted_quietly(wake);
    }

    /// Waits until the dispatch thread has run the last callback, unless this is that thread.
    pub fn begin_free(&self, connector: &Connector) {
        connector.submitter().cancel();
        if !connector.runner().is_here() {
            // Not in the `if let`, which would hold the lock as long as the thread lives.
            let dispatcher = self.threads().dispatcher.take();
            if let Some(dispatcher) = dispatcher {
                dispatcher.join();
            }
        }
    }

    pub fn finish_free(&self, _: &Connector) {
        let (reactor, dispatcher) = {
            let mut threads = self.threads();
            (threads.reactor.take(), threads.dispatcher.take())
        };
        // It has delivered the end already, and waits for nothing.
        if let Some(reactor) = reactor {
            reactor.join();
        }
        // Only the dispatch thread itself still finds it here.
        if let Some(dispatcher) = dispatcher {
            dispatcher.leave();
        }
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        // Assignments alone happen under it, so a poisoned one is whole.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

pub(super) fn no_thread(error: std::io::Error) -> Error {
    Error::new(ErrorCode::Unavailable, format!("the system gives no thread or file descriptor: {error}"))
}
