//! Callbacks on the host's own thread, whenever it dispatches.
//!
//! A host that only watches the file descriptor must not miss anything, so it is readable
//! whenever something is left to be done: requests that come from outside of a dispatch wake the
//! engine; those that callbacks submit are sent at the end of the dispatch at the latest; and a
//! dispatch that leaves callbacks behind makes it readable again.

use std::os::fd::RawFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use super::callback_mode::no_thread;
use super::dispatch_thread::Runner;
use super::ticket::Ticket;
use crate::core::{without_signals, Deliveries, Delivery, Engine, Error, Pollable, Submitter};

pub(super) struct PollMode {
    state: Mutex<State>,
    /// A dispatch has ended.
    idle: Condvar,
    fd: RawFd,
}

struct State {
    /// Absent once the connector is being freed.
    pollable: Option<Pollable<Ticket>>,
    /// What the host had still to hear then.
    rest: Option<Deliveries<Ticket>>,
    submitter: Submitter<Ticket>,
}

impl State {
    fn turn(&mut self) {
        if let Some(pollable) = &mut self.pollable {
            where_it_can_run(|| pollable.turn());
        }
    }

    /// Sends what callbacks have submitted.
    fn flush(&mut self) {
        if let (Some(pollable), true) = (&mut self.pollable, self.submitter.is_unannounced()) {
            where_it_can_run(|| pollable.flush());
        }
    }

    fn next(&mut self) -> Option<Delivery<Ticket>> {
        match &mut self.pollable {
            Some(pollable) => {
                if pollable.is_empty() && self.submitter.is_unannounced() {
                    where_it_can_run(|| pollable.flush());
                }
                pollable.next()
            }
            None => self.rest.as_mut()?.next(),
        }
    }

    fn finish(&mut self) {
        if let Some(pollable) = self.pollable.take() {
            let submitter = &self.submitter;
            self.rest = Some(where_it_can_run(|| pollable.finish(submitter)));
        }
    }

    fn rearm_if_left(&self) {
        if let Some(pollable) = self.pollable.as_ref().filter(|pollable| !pollable.is_empty()) {
            pollable.rearm();
        }
    }
}

/// Drives the engine on this thread, or on another where this one cannot: when the main thread
/// exits, the runtime's thread-local state is gone before exit handlers and the destructors of
/// static objects run, which may well free a connector.
fn where_it_can_run<R: Send>(drive: impl FnOnce() -> R + Send) -> R {
    if !Handle::try_current().is_err_and(|error| error.is_thread_local_destroyed()) {
        return drive();
    }
    std::thread::scope(|scope| without_signals(|| scope.spawn(drive)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl PollMode {
    pub fn new(engine: Engine<Ticket>, submitter: Submitter<Ticket>) -> Result<PollMode, Error> {
        let mut pollable = Pollable::new(engine, submitter.clone()).map_err(no_thread)?;
        let fd = pollable.poll_fd();
        // Begins to connect: nothing else would make the descriptor readable.
        where_it_can_run(|| pollable.flush());
        let state = State { pollable: Some(pollable), rest: None, submitter };
        state.rearm_if_left();
        Ok(PollMode { state: Mutex::new(state), idle: Condvar::new(), fd })
    }

    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// Begins a dispatch on this thread; false if one is under way, here or elsewhere.
    pub fn begin_dispatch(&self, runner: &Runner) -> bool {
        let mut state = self.state();
        if runner.is_anywhere() || state.pollable.is_none() {
            return false;
        }
        state.turn();
        runner.begin();
        true
    }

    pub fn next(&self) -> Option<Delivery<Ticket>> {
        self.state().next()
    }

    pub fn end_dispatch(&self, runner: &Runner) {
        let mut state = self.state();
        state.flush();
        state.rearm_if_left();
        runner.end();
        self.idle.notify_all();
    }

    /// Waits for a dispatch on another thread, then ends the engine on this one.
    pub fn begin_free(&self, runner: &Runner) {
        let state = self.state();
        let mut state = self
            .idle
            .wait_while(state, |_| runner.is_anywhere() && !runner.is_here())
            .unwrap_or_else(PoisonError::into_inner);
        state.finish();
        runner.begin();
    }

    pub fn finish_free(&self, runner: &Runner) {
        // A dispatch that is still on this thread's stack finds nothing left and ends.
        let state = self.state();
        runner.end();
        self.idle.notify_all();
        drop(state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The engine catches its own panics, and lists of deliveries are whole at any moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
