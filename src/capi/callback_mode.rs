//! Callbacks on a dispatch thread of the connector's own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dispatch_thread::{DispatchThread, Runner};
use super::ticket::Ticket;
use crate::core::{Delivery, Engine, Error, ErrorCode, Outbox, Reactor, Submitter};

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

    /// Starts the dispatch thread. Held by a lock meanwhile: a callback of the new thread may let another one free
    /// the connector. Where there is no thread, the engine ends at once.
    pub fn start(
        &self,
        submitter: &Submitter<Ticket>,
        start: impl FnOnce() -> std::io::Result<DispatchThread>,
    ) -> Result<(), Error> {
        let mut threads = self.threads();
        match start() {
            Ok(thread) => {
                threads.dispatcher = Some(thread);
                Ok(())
            }
            Err(error) => {
                submitter.cancel();
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

    /// Waits until the dispatch thread has run the last callback, unless this is that thread.
    pub fn begin_free(&self, submitter: &Submitter<Ticket>, runner: &Runner) {
        submitter.cancel();
        if !runner.is_here() {
            // Not in the `if let`, which would hold the lock as long as the thread lives.
            let dispatcher = self.threads().dispatcher.take();
            if let Some(dispatcher) = dispatcher {
                dispatcher.join();
            }
        }
    }

    pub fn finish_free(&self, _: &Runner) {
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

pub(super) fn no_thread(error: std::io::Error) -> Error {
    Error::new(ErrorCode::Unavailable, format!("the system gives no thread or file descriptor: {error}"))
}
