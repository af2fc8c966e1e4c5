//! What a `connector_t` is: one engine, and the way back to the host.

use std::os::raw::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::callback_mode::CallbackMode;
use super::dispatch_thread::Runner;
use super::poll_mode::PollMode;
use super::process::{forked_error, Process};
use super::queue_mode::{End, QueueMode};
use super::ticket::Ticket;
use super::types::{connector_done_callback_t, connector_events_t};
use crate::backends;
use crate::core::{Delivery, Engine, Error, ErrorCode, Key, Operation, Question, Submitter};

pub(super) struct Connector {
    process: Process,
    submitter: Submitter<Ticket>,
    close_timeout: Duration,
    events: connector_events_t,
    closing: Mutex<Closing>,
    freeing: AtomicBool,
    runner: Runner,
    mode: Mode,
}

// SAFETY: all parts but `events`, `closing` and the views in a queue are; of these the pointers are never
// followed here. The header tells the host that its callbacks get them on the thread that dispatches; the
// views point to what lies beside them.
unsafe impl Send for Connector {}
// SAFETY: as for `Send`; `events` never changes, and the others are behind locks.
unsafe impl Sync for Connector {}

/// On whose thread the callbacks run, if there are any.
pub(super) enum Mode {
    Callback(CallbackMode),
    Poll(Box<PollMode>),
    Queue(Box<QueueMode>),
}

/// What is said of a `connector_close` that was interrupted.
pub(super) const INTERRUPTED: &str = "the connector was freed before it had closed in an orderly way";

/// The same of a connector with a completion queue.
const STOPPED: &str = "the connector was stopped before it had closed in an orderly way";

/// How far `connector_close` has come.
enum Closing {
    Open,
    Draining(connector_done_callback_t, *mut c_void),
    Over,
}

/// The callback of `connector_close`, due now.
pub(super) struct Close {
    pub callback: connector_done_callback_t,
    pub userdata: *mut c_void,
    /// `connector_free` came before the accepted work was done.
    pub interrupted: bool,
}

impl Connector {
    /// A connector whose callbacks run on a thread of its own, once that was started
    /// (`dispatch.rs`).
    pub fn threaded(configuration: &[u8], events: connector_events_t) -> Result<Arc<Connector>, Error> {
        let process = Process::current();
        let (backend, options) = backends::open(configuration)?;
        let close_timeout = options.close_timeout;
        let (engine, submitter) = Engine::new(backend, options);
        let mode = Mode::Callback(CallbackMode::new(engine)?);
        Ok(Arc::new(Connector::assemble(process, submitter, close_timeout, events, mode)))
    }

    /// A connector whose callbacks run where the host dispatches.
    pub fn polled(configuration: &[u8], events: connector_events_t) -> Result<Arc<Connector>, Error> {
        let process = Process::current();
        let (backend, options) = backends::open(configuration)?;
        let close_timeout = options.close_timeout;
        let (engine, submitter) = Engine::new(backend, options);
        let mode = Mode::Poll(Box::new(PollMode::new(engine, submitter.clone())?));
        Ok(Arc::new(Connector::assemble(process, submitter, close_timeout, events, mode)))
    }

    /// A connector whose completions the host fetches.
    pub fn queued(configuration: &[u8]) -> Result<Arc<Connector>, Error> {
        let process = Process::current();
        let (backend, options) = backends::open(configuration)?;
        let close_timeout = options.close_timeout;
        let (engine, submitter) = Engine::new(backend, options);
        let mode = Mode::Queue(Box::new(QueueMode::new(engine)?));
        let events = connector_events_t {
            size: size_of::<connector_events_t>(),
            userdata: std::ptr::null_mut(),
            ready: None,
            error: None,
            log: None,
            notification: None,
        };
        Ok(Arc::new(Connector::assemble(process, submitter, close_timeout, events, mode)))
    }

    fn assemble(
        process: Process,
        submitter: Submitter<Ticket>,
        close_timeout: Duration,
        events: connector_events_t,
        mode: Mode,
    ) -> Connector {
        Connector {
            process,
            submitter,
            close_timeout,
            events,
            closing: Mutex::new(Closing::Open),
            freeing: AtomicBool::new(false),
            runner: Runner::new(),
            mode,
        }
    }

    pub fn events(&self) -> &connector_events_t {
        &self.events
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    pub fn submitter(&self) -> &Submitter<Ticket> {
        &self.submitter
    }

    pub fn callback_mode(&self) -> Option<&CallbackMode> {
        match &self.mode {
            Mode::Callback(mode) => Some(mode),
            Mode::Poll(_) | Mode::Queue(_) => None,
        }
    }

    /// Refuses what has a callback where none is ever called.
    pub fn check_calls_back(&self) -> Result<(), Error> {
        match &self.mode {
            Mode::Callback(_) | Mode::Poll(_) => Ok(()),
            Mode::Queue(_) => Err(Error::new(
                ErrorCode::Unsupported,
                "this connector has a completion queue and calls nothing back; hand operations in by \
                 connector_submit, or make it with connector_create",
            )),
        }
    }

    pub fn queue_mode(&self) -> Result<&QueueMode, Error> {
        match &self.mode {
            Mode::Queue(mode) => Ok(mode),
            Mode::Callback(_) | Mode::Poll(_) => Err(Error::new(
                ErrorCode::Unsupported,
                "this connector has callbacks and no completion queue; make it with connector_create_queued",
            )),
        }
    }

    /// A descriptor that is readable when there is something for the host to do.
    pub fn fd(&self) -> Result<i32, Error> {
        match &self.mode {
            Mode::Queue(mode) => mode.fd(),
            Mode::Callback(_) | Mode::Poll(_) => Ok(self.poll_mode()?.fd()),
        }
    }

    pub fn poll_mode(&self) -> Result<&PollMode, Error> {
        match &self.mode {
            Mode::Poll(mode) => Ok(mode),
            Mode::Callback(_) => Err(Error::new(
                ErrorCode::Unsupported,
                "this connector has a dispatch thread of its own; make it with connector_create_polled",
            )),
            Mode::Queue(_) => Err(Error::new(
                ErrorCode::Unsupported,
                "this connector has a completion queue and nothing to dispatch; fetch by connector_next",
            )),
        }
    }

    /// To be called first for each call of the host.
    pub fn check_process(&self) -> Result<(), Error> {
        if self.process.is_undisturbed() {
            return Ok(());
        }
        if self.process.is_forked() {
            return Err(forked_error());
        }
        // A callback that was running when the process began to exit wants no more of them.
        if !self.runner.is_here() {
            self.process.resume();
        }
        Ok(())
    }

    /// Callbacks submit without waking the engine, which is done once, when they have all run.
    pub fn submit(
        &self,
        key: Key,
        operation: Operation,
        ticket: Ticket,
        timeout_ms: u32,
    ) -> Result<(), Error> {
        let timeout = duration(timeout_ms);
        if self.runner.is_here() {
            return self.submitter.submit_quietly(key, operation, ticket, timeout);
        }
        self.submitter.submit(key, operation, ticket, timeout)
    }

    pub fn submit_many(
        &self,
        operations: Vec<(Key, Operation)>,
        ticket: Ticket,
        timeout_ms: u32,
    ) -> Result<(), Error> {
        let timeout = duration(timeout_ms);
        if self.runner.is_here() {
            return self.submitter.submit_many_quietly(operations, ticket, timeout);
        }
        self.submitter.submit_many(operations, ticket, timeout)
    }

    pub fn ask(&self, question: Question, ticket: Ticket, timeout_ms: u32) -> Result<(), Error> {
        let timeout = duration(timeout_ms);
        if self.runner.is_here() {
            return self.submitter.ask_quietly(question, ticket, timeout);
        }
        self.submitter.ask(question, ticket, timeout)
    }

    /// Stops intake; the callback runs when everything accepted is answered.
    pub fn close(&self, callback: connector_done_callback_t, userdata: *mut c_void) -> Result<(), Error> {
        if callback.is_some() {
            self.check_calls_back()?;
        }
        let mut closing = self.closing();
        match *closing {
            Closing::Open => {
                *closing = Closing::Draining(callback, userdata);
                self.submitter.close(self.close_timeout);
                Ok(())
            }
            Closing::Draining(..) => {
                Err(Error::new(ErrorCode::Closed, "the connector is being closed already; wait for it"))
            }
            Closing::Over => Err(Error::new(ErrorCode::Closed, "the connector has ended already; free it")),
        }
    }

    /// The engine has ended: takes what waits for that.
    pub fn ended(&self) -> Close {
        let interrupted = self.freeing.load(Ordering::Relaxed);
        match std::mem::replace(&mut *self.closing(), Closing::Over) {
            Closing::Draining(callback, userdata) => Close { callback, userdata, interrupted },
            Closing::Open | Closing::Over => {
                Close { callback: None, userdata: std::ptr::null_mut(), interrupted }
            }
        }
    }

    /// The same for the last completion of a queue.
    pub fn end(&self, mode: &QueueMode) -> End {
        let close = self.ended();
        // It is a number that the host gave as a pointer.
        let number = close.userdata.addr() as u64;
        End { number, interrupted: mode.is_stopped().then_some(STOPPED) }
    }

    fn closing(&self) -> MutexGuard<'_, Closing> {
        // Assignments alone happen under it, so a poisoned one is whole.
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails everything that is unanswered with `Closed`; the last callbacks have to run (`dispatch.rs`), then
    /// [`finish_free`](Self::finish_free). False if there is nothing to be done.
    pub fn begin_free(&self) -> bool {
        // A forked child has to leave everything as it is: the parent uses the same sockets.
        if self.process.is_forked() || self.freeing.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.process.resume();
        match &self.mode {
            Mode::Callback(mode) => mode.begin_free(&self.submitter, &self.runner),
            Mode::Poll(mode) => mode.begin_free(&self.runner),
            Mode::Queue(mode) => mode.finish(&self.submitter),
        }
        true
    }

    /// Releases the threads. False in a process that was forked by one of the last callbacks.
    pub fn finish_free(&self) -> bool {
        if self.process.is_forked() {
            return false;
        }
        match &self.mode {
            Mode::Callback(mode) => mode.finish_free(&self.runner),
            Mode::Poll(mode) => mode.finish_free(&self.runner),
            Mode::Queue(_) => {}
        }
        true
    }

    /// The next delivery for the thread that runs callbacks; `None` when it shall stop.
    pub fn next(&self) -> Option<Delivery<Ticket>> {
        match &self.mode {
            Mode::Callback(mode) => mode.next(),
            Mode::Poll(mode) => mode.next(),
            Mode::Queue(_) => None,
        }
    }
}

/// A deadline of the host's; none for 0.
pub(super) fn duration(timeout_ms: u32) -> Option<Duration> {
    (timeout_ms != 0).then(|| Duration::from_millis(timeout_ms.into()))
}
