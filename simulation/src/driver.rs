//! The event loop, in virtual time. It polls the engine only when something woke it, when
//! `wake_at` says so, or when the engine has more to do: so a wake-up that is lost is found.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Instant;

use deepstream_connector::core::{Clock, Deliveries, Engine, EngineOptions, LogLevel};

use crate::failure::{expect, Failure};
use crate::host::Host;
use crate::scenario::{Action, Fault, Kind, Reaction, Scenario, Setup, Submission, Wanted, What};
use crate::time::{duration, Nanos, HOUR, MICRO, SECOND};
use crate::world::Place;

/// What a turn costs, whatever happens in it.
const TURN_COSTS: Nanos = 2 * MICRO;

/// So many turns may come to nothing, one after the other.
const IDLE_TURNS: u32 = 100;

/// How a scenario ended.
pub struct Outcome {
    pub failure: Option<Failure>,
    pub trace: Vec<String>,
    pub simulated: Nanos,
    pub faults: u64,
}

/// Runs a scenario from its beginning to its end, or until a check fails.
pub fn run(scenario: &Scenario, is_traced: bool) -> Outcome {
    let mut driver = Driver::new(scenario, is_traced);
    while driver.goes_on() {
        driver.step();
    }
    driver.finish()
}

/// Remembers that somebody woke it.
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the scenario has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The host does what the script says, and things go wrong.
    Script,
    /// All is well since then, and what is open ends.
    Well(Nanos),
    /// The connector ends.
    Ending,
}

struct Driver<'a> {
    scenario: &'a Scenario,
    place: Place,
    clock: Clock,
    start: Instant,
    engine: Engine<usize>,
    deliveries: Deliveries<usize>,
    host: Host,
    bell: Arc<Bell>,
    waker: Waker,
    wake_at: Option<Nanos>,
    /// The engine has more to do.
    more: bool,
    is_finished: bool,
    /// The next thing that the host does.
    next: usize,
    /// When the last of what goes wrong is over.
    well_at: Nanos,
    phase: Phase,
    idle_turns: u32,
}

impl<'a> Driver<'a> {
    fn new(scenario: &'a Scenario, is_traced: bool) -> Driver<'a> {
        let setup = &scenario.setup;
        let keys = (0..setup.keys).map(|key| format!("k{key}").into()).collect();
        let place = Place::new(setup, keys, is_traced);
        let clock = Clock::by_hand();
        let start = clock.now();
        let backend = Arc::new(place.clone());
        let (engine, submitter) = Engine::with_clock(backend, options(setup), clock.clone(), setup.seed);
        let deliveries = engine.deliveries();
        let host = Host::new(place.clone(), submitter);
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        let mut well_at = 0;
        let mut stands = 0;
        for step in &scenario.steps {
            match step.action {
                Action::Fault(fault) => {
                    place.world().plan(step.at, fault);
                    // Whoever was refused waits longest before it tries again.
                    let pause = match fault {
                        Fault::Refusal { .. } => setup.reconnect_max_delay + setup.connect_timeout,
                        _ => 0,
                    };
                    well_at = well_at.max(step.at + fault.lasts() + pause);
                }
                Action::Jump(by) => stands += by,
                _ => {}
            }
        }
        Driver {
            scenario,
            place,
            clock,
            start,
            engine,
            deliveries,
            host,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            wake_at: None,
            more: false,
            is_finished: false,
            next: 0,
            well_at: well_at + stands,
            phase: Phase::Script,
            idle_turns: 0,
        }
    }

    fn now(&self) -> Nanos {
        self.clock.now().duration_since(self.start).as_nanos() as Nanos
    }

    fn goes_on(&self) -> bool {
        let is_over = self.is_finished && self.deliveries.is_empty();
        !is_over && self.place.world().failure.is_none()
    }

    /// Time passes, in which the host may see to its sockets, or may not.
    fn pass(&mut self, by: Nanos, is_awake: bool) {
        self.clock.advance(duration(by));
        let mut world = self.place.world();
        if is_awake {
            world.awake += by;
        }
        let now = world.now;
        world.catch_up(now + by);
    }

    fn step(&mut self) {
        let now = self.now();
        let is_due = self.wake_at.is_some_and(|at| at <= now);
        let is_woken = self.bell.0.load(Ordering::Relaxed);
        let has_io = self.place.world().has_io();
        let wants_poll = !self.is_finished && (is_woken || is_due || self.more);
        let step_at = self.scenario.steps.get(self.next).map(|step| step.at);
        if wants_poll || has_io || !self.deliveries.is_empty() || step_at.is_some_and(|at| at <= now) {
            return self.turn();
        }
        self.host.is_idle();
        let event = self.place.world().next_event();
        let wake_at = self.wake_at.filter(|_| !self.is_finished);
        self.next_phase(now, step_at);
        if self.bell.0.load(Ordering::Relaxed) {
            return;
        }
        match [step_at, event, wake_at].into_iter().flatten().min() {
            Some(at) => self.pass(at - now, true),
            // Nothing will ever happen: somebody has forgotten something.
            None => self.pass(SECOND, true),
        }
    }

    /// One turn of the host's loop.
    fn turn(&mut self) {
        let has_io = self.place.world().has_io();
        self.place.world().look();
        self.engine.looked();
        let mut did_something = has_io | self.poll();
        for _ in 0..self.scenario.setup.turn_deliveries {
            let Some(delivery) = self.deliveries.next() else { break };
            did_something = true;
            let takes = self.scenario.setup.delivery_takes;
            if let Some(reaction) = self.host.hear(delivery) {
                self.react(reaction);
            }
            self.pass(takes, takes <= MICRO);
        }
        did_something |= self.act();
        if self.scenario.setup.flushes && self.bell.0.load(Ordering::Relaxed) {
            did_something |= self.poll();
        }
        self.idle_turns = if did_something { 0 } else { self.idle_turns + 1 };
        let checked = expect(self.idle_turns <= IDLE_TURNS, "no_turn_is_for_nothing", || {
            format!("{} turns in a row did nothing; wake_at {:?}", self.idle_turns, self.wake_at)
        });
        self.place.world().check(checked);
    }

    /// Polls the engine if it wants that. Returns whether anything came of it.
    fn poll(&mut self) -> bool {
        let now = self.now();
        let is_due = self.wake_at.is_some_and(|at| at <= now);
        if self.is_finished || !(self.bell.0.swap(false, Ordering::Relaxed) || is_due || self.more) {
            return false;
        }
        {
            let mut world = self.place.world();
            world.rotation.turned();
            world.rotation.is_full =
                self.host.bytes_in_flight() > self.scenario.setup.max_bytes_in_flight / 2;
        }
        let was_empty = self.deliveries.is_empty();
        let mut cx = Context::from_waker(&self.waker);
        let progress = self.engine.poll(&mut cx, &mut self.deliveries);
        let work = std::mem::take(&mut self.place.world().work);
        let wake_at = progress.wake_at.map(|at| at.saturating_duration_since(self.start).as_nanos() as Nanos);
        let has_moved = wake_at != self.wake_at;
        self.wake_at = wake_at;
        self.more = progress.more;
        self.is_finished = progress.finished;
        self.pass(TURN_COSTS + work, true);
        work > 0 || was_empty != self.deliveries.is_empty() || has_moved || progress.finished
    }

    /// The host does what is due. Returns whether it did anything.
    fn act(&mut self) -> bool {
        let mut did_something = false;
        while let Some(step) = self.scenario.steps.get(self.next).filter(|step| step.at <= self.now()) {
            self.next += 1;
            did_something = true;
            match &step.action {
                Action::Submit(submission) => self.host.submit(submission, false),
                Action::Stop(lasts) => self.stop(*lasts),
                Action::Jump(by) => self.jump(*by),
                Action::Close(grace) => self.host.close(*grace),
                Action::Cancel => self.host.cancel(),
                // The world has it already.
                Action::Fault(_) => {}
            }
        }
        did_something
    }

    fn react(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::Submit(submission) => self.host.submit(&submission, false),
            Reaction::Work(lasts) => self.stop(lasts),
            Reaction::Close(grace) => self.host.close(grace),
            Reaction::Cancel => self.host.cancel(),
        }
    }

    fn stop(&mut self, lasts: Nanos) {
        {
            let mut world = self.place.world();
            let now = world.now;
            world.trace.say(now, || format!("the host stands still for {}", crate::time::words(lasts)));
            world.disturb_all(lasts);
            world.faults += 1;
        }
        self.pass(lasts, false);
        self.place.world().disturb_all(SECOND);
    }

    fn jump(&mut self, by: Nanos) {
        self.clock.advance(duration(by));
        let late = self.wake_at.map_or(0, |at| self.now().saturating_sub(at)).min(by);
        let mut world = self.place.world();
        let now = world.now;
        world.trace.say(now, || format!("the clock jumps by {}", crate::time::words(by)));
        world.faults += 1;
        world.jump(by, late);
        world.disturb_all(SECOND);
    }

    /// The host has nothing to do at the moment.
    fn next_phase(&mut self, now: Nanos, step_at: Option<Nanos>) {
        let is_closing = self.place.world().is_closing;
        match self.phase {
            _ if is_closing => {
                self.phase = Phase::Ending;
            }
            // What is refused is told so at once; nobody asks until that is over.
            Phase::Script if step_at.is_none() && now >= self.well_at && !self.is_still_refused(now) => {
                self.place.world().heal();
                self.phase = Phase::Well(now);
                self.probe();
            }
            // The world may be quiet until then.
            Phase::Script if step_at.is_none() && now < self.well_at => {
                let event = self.place.world().next_event().into_iter().chain(self.wake_at).min();
                if event.is_none_or(|at| at > self.well_at) {
                    self.pass(self.well_at - now, true);
                }
            }
            Phase::Script | Phase::Ending => {}
            Phase::Well(since) => {
                if self.host.goes_on(since) {
                    self.host.close(SECOND);
                }
            }
        }
    }

    /// Whether the host was refused, and may not know yet that this is over.
    fn is_still_refused(&self, now: Nanos) -> bool {
        let setup = &self.scenario.setup;
        let most = 2 * (setup.reconnect_max_delay + setup.connect_timeout) + SECOND;
        // Whoever stood still has yet to try again.
        let stood_still = self.place.world().disturbed_at;
        let since = self.host.is_refused_since().map(|since| since.max(self.well_at).max(stood_still));
        since.is_some_and(|since| now < since + most)
    }

    /// Asks something of every server.
    fn probe(&mut self) {
        for key in 0..self.scenario.setup.nodes {
            for kind in [Kind::Set { bytes: 2, is_poison: false }, Kind::Get] {
                let what = What::One(Wanted { key, kind });
                self.host.submit(&Submission { what, timeout: Some(HOUR), reaction: None }, true);
            }
        }
    }

    fn finish(self) -> Outcome {
        let simulated = self.now();
        let Driver { place, engine, deliveries, host, .. } = self;
        let has_ended = host.has_ended();
        drop((engine, deliveries, host));
        let mut world = place.world();
        world.check(expect(has_ended, "an_end_is_told", || "it ended, and the host was not told".into()));
        Outcome {
            failure: world.failure.take(),
            trace: std::mem::take(&mut world.trace).into_lines(),
            simulated,
            faults: world.faults,
        }
    }
}

fn options(setup: &Setup) -> EngineOptions {
    EngineOptions {
        timeout: duration(setup.timeout),
        connect_timeout: duration(setup.connect_timeout),
        reconnect_delay: duration(setup.reconnect_delay),
        reconnect_max_delay: duration(setup.reconnect_max_delay),
        max_in_flight: setup.max_in_flight,
        max_bytes_in_flight: setup.max_bytes_in_flight,
        log_level: LogLevel::Debug,
        ..EngineOptions::default()
    }
}
