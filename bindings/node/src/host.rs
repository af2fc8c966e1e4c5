//! A connector in one JavaScript environment: it turns the engine on the environment's event
//! loop and hands out what comes back.
//!
//! JavaScript may call in at any time while a batch is handed out, so nothing that
//! [`Host::submit`] needs is borrowed then.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use deepstream_connector::backends;
use deepstream_connector::core::{
    Delivery, Engine, Error, ErrorCode, Key, Operation, Outcome, Pollable, Question, Submitter,
};

use crate::cells::deliveries;
use crate::intake::Intake;
use crate::outlet::{Batch, Outlet};
use crate::raw::{Callback, CleanupHook, Env, EnvironmentEnd, Fault, Scope, Value};
use crate::watch::{no_resources, EventLoop, Watch};
use crate::watcher::Watcher;

/// A turn of deliveries ends after so long, with the batch that is being handed out.
const MAX_TURN: Duration = Duration::from_millis(5);

/// A buffer beyond this size is given back to the system after use.
const MAX_SCRATCH: usize = 1 << 20;

/// See the module.
pub struct Host {
    env: Env,
    description: String,
    submitter: Submitter<u32>,
    close_timeout: Duration,
    /// `None` once the connector has ended.
    parts: RefCell<Option<Parts>>,
    /// Until libuv has let go of the handles, too.
    hook: Cell<Option<CleanupHook>>,
    /// Requests that were not accepted, whose callbacks are still to hear it.
    refused: RefCell<VecDeque<Delivery<u32>>>,
    /// The bell rings before the loop looks for events again.
    rung: Cell<bool>,
    /// The bell's turn has used up what a turn of the loop may take, and the loop looks for events next.
    spent: Cell<bool>,
    /// The next turn comes by [`resume`](Self::resume), and none before.
    resting: Cell<bool>,
    /// JavaScript runs because we have called it.
    calling: Cell<bool>,
    /// A turn was not taken, because of that.
    missed: Cell<bool>,
    /// The last batch of all was handed over.
    ended: Cell<bool>,
    /// Operations whose callback has not run yet.
    outstanding: Cell<usize>,
    /// Somebody waits for the connector itself.
    awaited: Cell<bool>,
    /// What the loop was told last about whether to go on for our sake.
    held: Cell<bool>,
    scratch: RefCell<Vec<u8>>,
}

/// What ends with the connector.
struct Parts {
    pollable: RefCell<Pollable<u32>>,
    outlet: RefCell<Outlet>,
    intake: Intake,
    /// See [`Ways::later`].
    later: Option<Callback>,
    /// Made last, because they hold on to the host.
    watch: OnceCell<Watch<Host>>,
}

/// What JavaScript gives for the ways in and out: see [`Intake::new`] and [`Outlet::new`].
pub struct Ways<'s> {
    pub drain: Value<'s>,
    pub deliveries: Value<'s>,
    pub collect: Value<'s>,
    pub submissions: Value<'s>,
    /// Where the event loop is not libuv: has [`Host::resume`] called after the loop has had a turn.
    pub later: Option<Value<'s>>,
}

impl Host {
    /// Makes a connector, which begins to connect at the end of this turn of the loop.
    ///
    /// # Errors
    /// The configuration is wrong, or the system gives no thread or file descriptor.
    pub fn open(scope: &Scope, configuration: &[u8], ways: &Ways<'_>) -> Result<Rc<Host>, Fault> {
        let (backend, options) = backends::open(configuration)?;
        let description = backend.describe().target;
        let close_timeout = options.close_timeout;
        let env = scope.env();
        let is_libuv = ways.later.is_none();
        let event_loop = EventLoop::of(env, is_libuv)?;
        let outlet = Outlet::new(scope, ways.drain, ways.deliveries)?;
        let intake = Intake::new(scope, ways.collect, ways.submissions)?;
        let later = ways.later.map(|later| Callback::new(scope, later)).transpose()?;
        let (engine, submitter) = Engine::new(backend, options);
        let pollable = event_loop.pollable(engine, submitter.clone()).map_err(no_resources)?;
        let fd = pollable.poll_fd();
        let parts = Parts {
            pollable: RefCell::new(pollable),
            outlet: RefCell::new(outlet),
            intake,
            later,
            watch: OnceCell::new(),
        };
        let host = Rc::new(Host {
            env,
            description,
            submitter,
            close_timeout,
            parts: RefCell::new(Some(parts)),
            hook: Cell::new(None),
            refused: RefCell::new(VecDeque::new()),
            rung: Cell::new(false),
            spent: Cell::new(false),
            resting: Cell::new(false),
            calling: Cell::new(false),
            missed: Cell::new(false),
            ended: Cell::new(false),
            outstanding: Cell::new(0),
            awaited: Cell::new(false),
            held: Cell::new(false),
            scratch: RefCell::new(Vec::new()),
        });
        let watch = Watch::open(scope, event_loop, fd, Rc::clone(&host)).inspect_err(|_| host.shut())?;
        host.with_parts(|parts| parts.watch.set(watch).ok());
        if is_libuv {
            let hook = CleanupHook::new(env, &host).inspect_err(|_| host.shut())?;
            host.hook.set(Some(hook));
        }
        host.ring();
        Ok(host)
    }

    /// What is connected to, in words.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Counters and latencies as JSON.
    pub fn statistics_json(&self) -> String {
        self.submitter.statistics_json()
    }

    /// Lends a buffer for text.
    pub fn with_scratch<R>(&self, body: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let mut scratch = self.scratch.borrow_mut();
        let result = body(&mut scratch);
        if scratch.capacity() > MAX_SCRATCH {
            *scratch = Vec::new();
        }
        result
    }

    fn with_parts<R>(&self, body: impl FnOnce(&Parts) -> R) -> Option<R> {
        self.parts.borrow().as_ref().map(body)
    }

    fn with_watch(&self, body: impl FnOnce(&Watch<Host>)) {
        self.with_parts(|parts| parts.watch.get().map(body));
    }

    /// Submits an operation; its number comes back with the answer, also if it is refused. `timeout`
    /// replaces the connector's own.
    pub fn submit(&self, id: u32, key: Result<Key, Error>, operation: Operation, timeout: Option<Duration>) {
        let accepted = key.and_then(|key| self.submitter.submit_quietly(key, operation, id, timeout));
        self.submitted(id, accepted);
    }

    /// The same for many keys with one answer.
    pub fn submit_many(
        &self,
        id: u32,
        operations: Result<Vec<(Key, Operation)>, Error>,
        timeout: Option<Duration>,
    ) {
        let accepted =
            operations.and_then(|operations| self.submitter.submit_many_quietly(operations, id, timeout));
        self.submitted(id, accepted);
    }

    /// Asks something that is of no one key.
    pub fn ask(&self, id: u32, question: Result<Question, Error>, timeout: Option<Duration>) {
        let accepted = question.and_then(|question| self.submitter.ask_quietly(question, id, timeout));
        self.submitted(id, accepted);
    }

    /// Submits requests that have gathered, unless their texts cannot be told apart.
    pub fn submit_gathered(&self, count: usize, text: &Bytes) -> bool {
        let gathered = self.with_parts(|parts| parts.intake.take(count, text));
        let Some(Some(requests)) = gathered else { return false };
        self.outstanding.set(self.outstanding.get() + requests.len());
        self.submitter.submit_each_quietly(requests, |id, error| self.refuse(id, error));
        self.hold();
        self.ring();
        true
    }

    fn submitted(&self, id: u32, accepted: Result<(), Error>) {
        if let Err(error) = accepted {
            self.refuse(id, error);
        }
        self.outstanding.set(self.outstanding.get() + 1);
        self.hold();
        self.ring();
        // The bell rings, and the loop goes on for the sake of this one: others may gather.
        self.with_parts(|parts| parts.intake.open());
    }

    fn refuse(&self, id: u32, error: Error) {
        self.refused.borrow_mut().push_back(Delivery::Completion(id, Outcome::One(Err(error))));
    }

    /// Stops intake; what was accepted may finish. JavaScript hears when that is done.
    pub fn close(&self) {
        self.submitter.close(self.close_timeout);
        self.ring();
    }

    /// Whether the process is to stay even without an operation under way.
    pub fn await_connector(&self, awaited: bool) {
        self.awaited.set(awaited);
        self.hold();
    }

    /// Has [`rung`](Watcher::rung) called at the end of this turn of the loop.
    fn ring(&self) {
        if !self.rung.replace(true) {
            self.with_watch(Watch::ring);
        }
    }

    /// Keeps the loop running as long as anybody waits for us.
    fn hold(&self) {
        let wanted = self.outstanding.get() > 0 || self.awaited.get();
        if self.held.replace(wanted) != wanted {
            self.with_watch(|watch| watch.hold(wanted));
        }
    }

    /// One turn: the engine first, then JavaScript. `events` is whether the engine has to ask
    /// the system for news.
    fn turn(&self, events: bool) {
        if self.calling.get() {
            // What we have called runs the event loop itself; it comes first.
            self.missed.set(true);
            return;
        }
        if events && self.spent.take() {
            // The bell has been rung for what is left; others are first.
            return self.drive(true);
        }
        let mut room = deliveries::MAX;
        let until = Instant::now() + MAX_TURN;
        let mut look = events;
        let mut is_over;
        loop {
            if !events {
                self.rung.set(false);
            }
            self.collect();
            self.drive(look);
            look = false;
            room -= self.deliver(room, until);
            // What callbacks submit goes out with this turn when the bell has rung, because the
            // loop will wait next; else with what the rest of this turn submits.
            is_over = room == 0 || Instant::now() >= until;
            if is_over || events || !self.rung.get() {
                break;
            }
        }
        if is_over || self.outstanding.get() == 0 {
            // What has gathered meanwhile counts, or the loop might end without it.
            self.collect();
        }
        if self.ended.get() && !self.has_deliveries() {
            // The last callbacks may have asked for more, which is refused.
            self.collect();
            if !self.has_deliveries() {
                return self.shut();
            }
        }
        let is_left = self.has_deliveries() | self.missed.take();
        if (is_left || is_over) && self.rest() {
            return;
        }
        if is_left {
            self.ring();
        }
        self.spent.set(is_left && !events);
        if !self.rung.get() {
            self.with_watch(Watch::hush);
        }
    }

    /// Lets the loop have a turn before the next of ours, where that takes more than to ring: other
    /// loops than libuv answer the bell as long as it is rung.
    fn rest(&self) -> bool {
        let rests = self.with_parts(|parts| {
            let Some(later) = &parts.later else { return false };
            let _calling = Calling::begin(&self.calling);
            // It fails only while the environment is being stopped.
            self.env.in_scope(|scope| later.call(scope, &[]).is_ok())
        });
        let rests = rests.unwrap_or(false);
        if rests {
            self.rung.set(true);
            self.resting.set(true);
        }
        rests
    }

    /// The turn after a rest.
    pub fn resume(&self) {
        self.resting.set(false);
        self.turn(false);
    }

    /// Takes in what has gathered in JavaScript.
    fn collect(&self) {
        self.with_parts(|Parts { intake, .. }| {
            if intake.close() {
                let _calling = Calling::begin(&self.calling);
                self.env.in_scope(|scope| intake.collect(scope));
            }
        });
    }

    fn drive(&self, events: bool) {
        self.with_parts(|parts| {
            let mut pollable = parts.pollable.borrow_mut();
            if events {
                pollable.turn();
            } else {
                pollable.flush();
            }
        });
    }

    /// Whether JavaScript has anything still to hear.
    fn has_deliveries(&self) -> bool {
        let waits = self.with_parts(|Parts { outlet, pollable, .. }| {
            outlet.borrow().has_rest() || !pollable.borrow().is_empty()
        });
        !self.refused.borrow().is_empty() || waits.unwrap_or(false)
    }

    /// Hands out at most `room` deliveries, and no more after `until`; returns how many.
    fn deliver(&self, room: usize, until: Instant) -> usize {
        let mut delivered = 0;
        while delivered < room && self.has_deliveries() {
            delivered += self.env.in_scope(|scope| self.deliver_batch(scope, room - delivered));
            if Instant::now() >= until {
                break;
            }
        }
        delivered
    }

    /// What is beside the cells in the batch that is being handed out; see [`Outlet::next_extra`].
    pub fn next_extra<'s>(&self, scope: &'s Scope) -> Result<Value<'s>, Fault> {
        let next = self.with_parts(|parts| parts.outlet.borrow().next_extra(scope));
        match next {
            Some(Ok(value)) => Ok(value),
            _ => {
                Err(Error::new(ErrorCode::TooLarge, "it is longer than a string of JavaScript can be").into())
            }
        }
    }

    fn deliver_batch(&self, scope: &Scope, room: usize) -> usize {
        let batch = self.with_parts(|Parts { outlet, pollable, .. }| {
            let batch = self.next_batch(&mut outlet.borrow_mut(), pollable, room);
            let _calling = Calling::begin(&self.calling);
            // It fails only while the environment is being stopped; nobody misses the batch.
            let _ = outlet.borrow().hand_over(scope, &batch);
            batch
        });
        // Nobody is left to hear it.
        let Some(batch) = batch else { return self.refused.take().len() };
        self.outstanding.set(self.outstanding.get() - batch.completions);
        if batch.closed {
            self.ended.set(true);
            self.awaited.set(false);
        }
        self.hold();
        batch.deliveries
    }

    fn next_batch(&self, outlet: &mut Outlet, pollable: &RefCell<Pollable<u32>>, room: usize) -> Batch {
        let mut refused = self.refused.borrow_mut();
        let mut pollable = pollable.borrow_mut();
        outlet.write(&mut std::iter::from_fn(|| refused.pop_front().or_else(|| pollable.next())), room)
    }

    /// Lets go of the loop, then ends the engine, then lets go of JavaScript.
    fn shut(&self) {
        let Some((outlet, intake, later)) = self.stop() else { return };
        outlet.delete(self.env);
        intake.delete(self.env);
        if let Some(later) = later {
            later.delete(self.env);
        }
    }

    /// Lets go of the loop, then ends the engine. What is left is JavaScript's.
    fn stop(&self) -> Option<(Outlet, Intake, Option<Callback>)> {
        let parts = self.parts.take()?;
        if let Some(watch) = parts.watch.into_inner() {
            watch.close();
        }
        // What is left nobody hears.
        drop(parts.pollable.into_inner().finish(&self.submitter));
        Some((parts.outlet.into_inner(), parts.intake, parts.later))
    }
}

/// JavaScript runs because we have called it, until this is dropped.
struct Calling<'a>(&'a Cell<bool>);

impl<'a> Calling<'a> {
    fn begin(flag: &'a Cell<bool>) -> Calling<'a> {
        flag.set(true);
        Calling(flag)
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Watcher for Host {
    fn readable(&self) {
        self.env.guard(|| self.turn(true));
    }

    fn rung(&self) {
        if !self.resting.get() {
            self.env.guard(|| self.turn(false));
        }
    }

    fn abandoned(&self) {
        drop(self.stop());
    }

    fn closed(&self) {
        drop(self.hook.take());
    }
}

impl EnvironmentEnd for Host {
    fn environment_ends(&self) {
        self.shut();
    }
}
