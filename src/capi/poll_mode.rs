//! Callbacks on the host's own thread, whenever it dispatches.
//!
//! A host that only watches the file descriptor must not miss anything, so it is readable
//! whenever something is left to be done: requests that come from outside of a dispatch wake the
//! engine; those that callbacks submit are sent at the end of the dispatch at the latest; and a
//! dispatch that leaves callbacks behind makes it readable again.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use super::callback_mode::no_thread;
use super::dispatch_thread::Runner;
use super::ticket::Ticket;
use crate::core::{without_signals, Delivery, Engine, Error, Pollable, Submitter, Wake};

pub(super) struct PollMode {
    state: Mutex<State>,
    /// A dispatch has ended.
    idle: Condvar,
    fd: RawFd,
    /// Callbacks have submitted what the engine was not woken for.
    unsent: AtomicBool,
}

struct State {
    /// Absent once the connector is being freed.
    pollable: Option<Pollable<Ticket>>,
    queue: VecDeque<Delivery<Ticket>>,
    arrivals: Vec<Delivery<Ticket>>,
}

impl State {
    fn queue_arrivals(&mut self) {
        self.queue.extend(self.arrivals.drain(..));
    }

    fn turn(&mut self) {
        if let Some(pollable) = &mut self.pollable {
            where_it_can_run(|| pollable.turn(&mut self.arrivals));
        }
        self.queue_arrivals();
    }

    fn flush(&mut self) {
        if let Some(pollable) = &mut self.pollable {
            where_it_can_run(|| pollable.flush(&mut self.arrivals));
        }
        self.queue_arrivals();
    }

    fn finish(&mut self, submitter: &Submitter<Ticket>) {
        if let Some(mut pollable) = self.pollable.take() {
            where_it_can_run(|| {
                pollable.finish(submitter, &mut self.arrivals);
                drop(pollable);
            });
        }
        self.queue_arrivals();
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
        let pollable = Pollable::new(engine, submitter).map_err(no_thread)?;
        let fd = pollable.poll_fd();
        let mut state = State { pollable: Some(pollable), queue: VecDeque::new(), arrivals: Vec::new() };
        // Begins to connect: nothing else would make the descriptor readable.
        state.flush();
        rearm_if_left(&state);
        Ok(PollMode { state: Mutex::new(state), idle: Condvar::new(), fd, unsent: AtomicBool::new(false) })
    }

    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// To be called after each submission by a callback.
    pub fn submitted_quietly(&self, wake: Wake) {
        // Whoever gets `Pending` comes after somebody who either wakes or did this.
        if wake == Wake::Needed {
            self.unsent.store(true, Ordering::Relaxed);
        }
    }

    /// Begins a dispatch on this thread; false if one is under way, here or elsewhere.
    pub fn begin_dispatch(&self, runner: &Runner) -> bool {
        let mut state = self.state();
        if runner.is_anywhere() {
            return false;
        }
        if state.pollable.is_none() {
            return false;
        }
        state.turn();
        runner.begin();
        true
    }

    pub fn next(&self) -> Option<Delivery<Ticket>> {
        let mut state = self.state();
        if state.queue.is_empty() && self.unsent.swap(false, Ordering::Relaxed) {
            state.flush();
        }
        state.queue.pop_front()
    }

    pub fn end_dispatch(&self, runner: &Runner) {
        let mut state = self.state();
        if self.unsent.swap(false, Ordering::Relaxed) {
            state.flush();
        }
        rearm_if_left(&state);
        runner.end();
        self.idle.notify_all();
    }

    /// Waits for a dispatch on another thread, then ends the engine on this one.
    pub fn begin_free(&self, submitter: &Submitter<Ticket>, runner: &Runner) {
        let state = self.state();
        let mut state = self
            .idle
            .wait_while(state, |_| runner.is_anywhere() && !runner.is_here())
            .unwrap_or_else(PoisonError::into_inner);
        state.finish(submitter);
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

fn rearm_if_left(state: &State) {
    if let (Some(pollable), false) = (&state.pollable, state.queue.is_empty()) {
        pollable.rearm();
    }
}
