//! The engine: takes requests in, keeps their order, makes batches, survives outages, and
//! answers each request exactly once.
//!
//! It is one state machine that [`Engine::poll`] moves on. It does not care which thread calls
//! that: a reactor thread of its own or the host's event loop (see `reactor.rs` and
//! `host_driver.rs`). It makes no batch wait for a timer: while a batch is under way the next
//! one gathers, and goes when there is room.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::admission::Weight;
use super::backend::{Backend, BatchResult, Connection, Description, Notice};
use super::budget::Budget;
use super::bulk::{Address, Bulks};
use super::clock::Clock;
use super::deliveries::Deliveries;
use super::error::{panicked, Error, ErrorCode, Remedy};
use super::groups::{Group, Room};
use super::link::{LinkEvent, Supervisor};
use super::options::EngineOptions;
use super::questions::{Heard, Questions};
use super::queues::{LaneId, Queue};
use super::random::Random;
use super::record::Key;
use super::request::{Body, Delivery, Kind, LogLevel, Operation, Outcome, Reply, Request};
use super::sequencer::{Batch, Placed, Sequencer};
use super::submission::{Ending, Shared, Submitter};
use super::turn::{Turn, Waiter};
use super::watch::{BatchNumber, Sent, Watch};
use crate::sync::atomic::Ordering;

/// Deadlines are looked at no more often than this.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// How long an orderly goodbye to the server may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the driver has to do next.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Poll again at this time even if nothing wakes the engine.
    pub wake_at: Option<Instant>,
    /// The connector has ended: do not poll again.
    pub finished: bool,
    /// There is more to do at once. Look at the sockets and run callbacks, and poll again without
    /// waiting.
    pub more: bool,
}

/// See the module. `T` is the host's ticket.
pub struct Engine<T> {
    shared: Arc<Shared<T>>,
    options: EngineOptions,
    limits: Description,
    supervisor: Supervisor,
    sequencer: Sequencer<Address<T>>,
    bulks: Bulks<T>,
    questions: Questions<T>,
    batches: FuturesUnordered<BoxFuture<'static, Answer>>,
    groups: Vec<Group>,
    /// The group that sends first in the next turn.
    first_group: usize,
    watch: Watch,
    inbox: VecDeque<Request<T>>,
    /// Something was submitted that the engine has not taken in.
    is_behind: bool,
    /// Batches that have come back and whose answers are still to be handed out.
    arrived: VecDeque<Answer>,
    random: Random,
    /// Answers that the statistics have not seen yet: kind, latency, whether it failed.
    tally: Vec<(Kind, Duration, bool)>,
    /// The driver has looked at the sockets since the last turn.
    looked: bool,
    /// Something seemed late then. It is, if that is still so after a look at the sockets.
    doubt: Option<Instant>,
    /// When the driver was to poll again at the latest. Should it be later, it was stopped, or the
    /// clock has jumped.
    wakes_at: Option<Instant>,
    /// The last turn, after which it was to poll again at once.
    hurries_since: Option<Instant>,
    /// What was due by then was dealt with.
    judged: Option<Instant>,
    /// When `close` gives up the operations that are left.
    give_up_at: Option<Instant>,
    /// The host was told of a trouble that is not over.
    outage: bool,
    /// The connection stands, but in an outage that ends only when it has answered something.
    is_unproved: bool,
    goodbye: Option<(BoxFuture<'static, ()>, Instant)>,
    finished: bool,
}

/// A batch that came back.
struct Answer {
    number: BatchNumber,
    result: BatchResult<Reply>,
}

impl<T: Send + 'static> Engine<T> {
    /// An engine that begins to connect when it is first polled, and the handle to submit to it.
    pub fn new(backend: Arc<dyn Backend>, options: EngineOptions) -> (Engine<T>, Submitter<T>) {
        Engine::with(backend, options, Clock::system(), Random::new())
    }

    /// The same for a simulation: with a clock of its own, and with chance that comes from a seed.
    pub fn with_clock(
        backend: Arc<dyn Backend>,
        options: EngineOptions,
        clock: Clock,
        seed: u64,
    ) -> (Engine<T>, Submitter<T>) {
        Engine::with(backend, options, clock, Random::from_seed(seed))
    }

    fn with(
        backend: Arc<dyn Backend>,
        options: EngineOptions,
        clock: Clock,
        mut random: Random,
    ) -> (Engine<T>, Submitter<T>) {
        let now = clock.now();
        let shared = Arc::new(Shared::new(&options, clock));
        let grouping = Arc::clone(&backend);
        let engine = Engine {
            shared: Arc::clone(&shared),
            limits: backend.describe(),
            supervisor: Supervisor::new(backend, &options, random.fork(), now),
            watch: Watch::new(options.timeout),
            sequencer: Sequencer::new(Box::new(move |key| grouping.group_of(key))),
            bulks: Bulks::new(),
            questions: Questions::new(options.timeout),
            batches: FuturesUnordered::new(),
            groups: Vec::new(),
            first_group: 0,
            inbox: VecDeque::new(),
            is_behind: false,
            arrived: VecDeque::new(),
            random,
            tally: Vec::new(),
            looked: false,
            doubt: None,
            wakes_at: None,
            hurries_since: None,
            judged: None,
            give_up_at: None,
            outage: false,
            is_unproved: false,
            goodbye: None,
            finished: false,
            options,
        };
        (engine, Submitter::new(shared))
    }

    /// A list for what the engine has to tell.
    pub fn deliveries(&self) -> Deliveries<T> {
        Deliveries::new(Arc::clone(&self.shared.admission))
    }

    /// One more handle to submit to it.
    pub(super) fn submitter(&self) -> Submitter<T> {
        Submitter::new(Arc::clone(&self.shared))
    }

    /// The driver has looked at the sockets since the last poll. Nothing is called late or dead
    /// without such a look after its time had come: its answer may be in a socket already.
    pub fn looked(&mut self) {
        self.looked = true;
    }

    /// Does what can be done now, within a turn's budget. `cx`'s waker is woken when there is
    /// more to do. A tokio runtime with I/O and time must be entered. What the host has to hear is
    /// appended to `out`.
    ///
    /// A panic in here is a bug, and yet every accepted request is answered: it fails with
    /// `Panic`, and the engine ends.
    pub fn poll(&mut self, cx: &mut Context<'_>, out: &mut Deliveries<T>) -> Progress {
        self.shared.admission.waker.register(cx.waker());
        let now = self.shared.clock.now();
        if let Some(asleep) = self.wakes_at.take().and_then(|at| now.checked_duration_since(at)) {
            self.watch.postpone(asleep);
        }
        if let Some(since) = self.hurries_since.take() {
            self.watch.was_left_alone(now.saturating_duration_since(since));
        }
        let advanced = std::panic::catch_unwind(AssertUnwindSafe(|| self.advance(cx, now, out)));
        let more = advanced.unwrap_or_else(|_| {
            if !self.finished {
                out.push(Delivery::Failure { error: panicked(), fatal: true });
                self.end(panicked(), now, out);
            }
            false
        });
        self.looked = false;
        self.keep_statistics();
        if self.finished {
            return Progress { wake_at: None, finished: true, more: false };
        }
        let wake_at = self.wake_at(now);
        if more || wake_at.is_some_and(|at| at <= now) {
            self.hurries_since = Some(now);
        } else {
            self.wakes_at = wake_at;
        }
        Progress { wake_at, finished: false, more }
    }

    /// Returns whether there is more to do at once.
    fn advance(&mut self, cx: &mut Context<'_>, now: Instant, out: &mut Deliveries<T>) -> bool {
        if self.finished {
            return false;
        }
        let mut budget = Budget::new(&self.shared.clock, now);
        let ending = self.take_in(&mut budget, out);
        if ending == Ending::Cancelled {
            self.end(closed("the connector was closed before the operation finished"), now, out);
            return false;
        }
        let mut judged = if self.looked { self.doubt.take() } else { None };
        self.tend_link(cx, now, judged, &mut budget, out);
        loop {
            self.collect_answers(cx, now, &mut budget, out);
            // What is here is not late; so whatever is here comes first.
            let is_lost = match judged {
                Some(late) if budget.is_left() => {
                    judged = None;
                    self.judge(late, now, &mut budget, out)
                }
                _ => false,
            };
            if self.supervisor.is_broken() {
                self.tend_link(cx, now, judged, &mut budget, out);
            }
            let sent = self.send_batches(now, &mut budget);
            if !sent && !is_lost {
                break;
            }
            if !budget.is_left() {
                self.begin_batches(cx);
                break;
            }
        }
        if self.is_unproved && self.is_idle() {
            // Nobody waits for a proof any more.
            self.proved_good(out);
        }
        if let Ending::Draining(until) = ending {
            self.drain(cx, now, until, out);
        }
        self.doubt = self.doubt.or(judged);
        if self.doubt.is_none() && self.is_due(now) {
            self.doubt = Some(now);
        }
        self.is_behind || !budget.is_left() || self.doubt.is_some() || !self.arrived.is_empty()
    }

    /// What was made a batch is begun in this turn, or it might be late by the next one.
    fn begin_batches(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(answer)) = self.batches.poll_next_unpin(cx) {
            self.arrived.push_back(answer);
        }
    }

    /// Takes in what was submitted, as far as the turn's budget goes; tells how to go on.
    fn take_in(&mut self, budget: &mut Budget, out: &mut Deliveries<T>) -> Ending {
        loop {
            // The rest of an earlier turn comes first, and what came since is taken when that is done.
            let takes_all = self.inbox.is_empty();
            let ending = self.shared.take_requests(&mut self.inbox);
            if ending == Ending::Cancelled {
                return ending;
            }
            while budget.is_left() {
                let Some(request) = self.inbox.pop_front() else { break };
                budget.spend(request.weight.operations.max(1), request.weight.bytes);
                self.accept(request, out);
            }
            self.is_behind = !takes_all || !self.inbox.is_empty();
            if takes_all || !budget.is_left() {
                return ending;
            }
        }
    }

    /// Gives a request's operations their places.
    fn accept(&mut self, request: Request<T>, out: &mut Deliveries<T>) {
        let Request { ticket, submitted, deadline, weight, body } = request;
        match body {
            Body::One(key, operation) => {
                let address = Address::One { ticket, bytes: weight.bytes };
                self.place(key, operation, Waiter { address, submitted, deadline });
            }
            Body::Many(entries) => {
                let Some(bulk) = self.bulks.open(ticket, weight, out) else { return };
                for (position, (key, operation)) in entries.into_iter().enumerate() {
                    let address = Address::Part { bulk, position };
                    self.place(key, operation, Waiter { address, submitted, deadline });
                }
            }
            Body::Ask(question) => self.questions.push(ticket, question, deadline),
        }
    }

    fn place(&mut self, key: Key, operation: Operation, waiter: Waiter<Address<T>>) {
        if self.sequencer.push(key, operation, waiter) == Placed::Coalesced {
            self.shared.statistics().coalesced();
        }
    }

    /// Moves the connection on, and tells the host what became of it.
    fn tend_link(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        judged: Option<Instant>,
        budget: &mut Budget,
        out: &mut Deliveries<T>,
    ) {
        while budget.is_left() {
            let Some(event) = self.supervisor.poll(cx, now, judged) else { break };
            budget.spend(1, 0);
            match event {
                LinkEvent::Up => {
                    self.shared.statistics().connected();
                    self.log(LogLevel::Info, format!("connected to {}", self.limits.target), out);
                    for remark in std::mem::take(&mut self.options.remarks) {
                        self.log(LogLevel::Info, remark, out);
                    }
                    let is_awaited = !self.is_idle();
                    self.is_unproved = true;
                    if !self.outage || !is_awaited {
                        self.proved_good(out);
                    }
                }
                LinkEvent::Lost(error) => {
                    // An answer may have come before the end, and it counts.
                    while self.collect_answers(cx, now, &mut Budget::new(&self.shared.clock, now), out) {}
                    self.lost(&error, now, out);
                }
                LinkEvent::Noticed(Notice::Trouble(error)) => {
                    let line = format!("{}: {}", self.limits.target, error.message());
                    self.log(LogLevel::Warn, line, out);
                    // More of the same outage until all servers are back.
                    if !self.outage {
                        self.begin_outage(error, out);
                    }
                }
                LinkEvent::Noticed(Notice::Notification { channel, payload }) => {
                    out.push(Delivery::Notification(channel, payload));
                }
                LinkEvent::Noticed(Notice::Remark(words)) => {
                    self.log(LogLevel::Info, format!("{}: {words}", self.limits.target), out);
                }
                LinkEvent::Noticed(Notice::Warning(words)) => {
                    self.log(LogLevel::Warn, format!("{}: {words}", self.limits.target), out);
                }
                LinkEvent::Noticed(Notice::Recovery(words)) => {
                    self.log(LogLevel::Info, format!("{}: {words}", self.limits.target), out);
                    self.groups.iter_mut().for_each(Group::is_back);
                }
                LinkEvent::Noticed(Notice::Restored) => {
                    self.groups.iter_mut().for_each(Group::is_back);
                    // An outage of the whole connection ends when that has proved good.
                    if !self.is_unproved && std::mem::take(&mut self.outage) {
                        self.log(LogLevel::Info, format!("all is well with {}", self.limits.target), out);
                        out.push(Delivery::Ready);
                    }
                }
                LinkEvent::Refused { error, news } => {
                    if news {
                        self.log(LogLevel::Error, error.message().to_owned(), out);
                        out.push(Delivery::Failure { error: error.clone(), fatal: true });
                    }
                }
                LinkEvent::Absent { error, news } => {
                    let level = if news { LogLevel::Warn } else { LogLevel::Debug };
                    let line = format!("waiting for {}: {}", self.limits.target, error.message());
                    self.log(level, line, out);
                    if news && !self.outage {
                        self.begin_outage(error, out);
                    }
                }
            }
        }
        if let Some(error) = self.supervisor.refusal().cloned() {
            let mut refused = Vec::new();
            self.sequencer.drain_queued(budget, |turn| refused.push(turn));
            self.fail(refused, &error, now, out);
            let refused = self.questions.fail(&error, false);
            self.fail_questions(refused, out);
        }
    }

    fn begin_outage(&mut self, error: Error, out: &mut Deliveries<T>) {
        self.outage = true;
        out.push(Delivery::Failure { error, fatal: false });
    }

    /// The connection is of use: the end of an outage.
    fn proved_good(&mut self, out: &mut Deliveries<T>) {
        if std::mem::take(&mut self.is_unproved) {
            self.outage = false;
            self.shared.ready.store(true, Ordering::Release);
            out.push(Delivery::Ready);
        }
    }

    fn fail_questions(&self, failed: Vec<(T, Error)>, out: &mut Deliveries<T>) {
        for (ticket, error) in failed {
            self.answer_question(ticket, Err(error), out);
        }
    }

    fn answer_question(&self, ticket: T, result: Result<Reply, Error>, out: &mut Deliveries<T>) {
        let bytes = result.as_ref().map_or(0, Reply::bytes);
        out.hold(bytes);
        out.complete(ticket, Outcome::One(result), Weight { operations: 1, bytes });
    }

    /// The connection broke: its batches are sent again on the next one, in their places.
    fn lost(&mut self, error: &Error, now: Instant, out: &mut Deliveries<T>) {
        self.shared.ready.store(false, Ordering::Release);
        self.batches = FuturesUnordered::new();
        self.groups.iter_mut().for_each(Group::lost);
        let requeued = self.sequencer.lost(&self.watch.clear(), error, now, &mut self.random);
        let uncertain = self.questions.lost(error);
        self.fail_questions(uncertain, out);
        // Statistics in a block of its own: the lock is not held while we log.
        {
            let mut statistics = self.shared.statistics();
            statistics.lost();
            statistics.retried(requeued);
        }
        let line = format!(
            "lost {}: {}; {requeued} operations will be sent again",
            self.limits.target,
            error.message()
        );
        self.log(LogLevel::Warn, line, out);
        // Servers that go one after the other are one outage, and so are connections that have
        // answered nothing.
        if !self.is_unproved && !self.outage {
            out.push(Delivery::Failure { error: error.clone(), fatal: false });
        }
        self.outage = true;
        self.is_unproved = false;
    }

    /// Sends batches while there is room and something to send. Returns whether any went.
    fn send_batches(&mut self, now: Instant, budget: &mut Budget) -> bool {
        let Some(connection) = self.supervisor.connection() else { return false };
        while self.groups.len() < self.sequencer.groups() {
            self.groups.push(Group::new(self.random.fork()));
        }
        let asked = self.questions.send(now, &connection, budget);
        self.watch.asked(now, asked, &|group| connection.moved(group));
        let mut sent = asked > 0;
        let groups = self.groups.len();
        // Each turn begins with another one, so that none starves where a turn is too short.
        self.first_group = (self.first_group + 1) % groups.max(1);
        for group in (self.first_group..groups).chain(0..self.first_group) {
            if self.sequencer.is_quiet(group) || self.groups[group].rests(now) {
                continue;
            }
            sent |= self.send_suspect(&connection, group, now, budget);
            // Reads and writes in turns, as long as there is room for either.
            let mut others = false;
            loop {
                let [first, second] = self.groups[group].class_order();
                let went = self.send_class(&connection, group, first, now, budget)
                    | self.send_class(&connection, group, second, now, budget);
                others |= went;
                if !went || !budget.is_left() {
                    break;
                }
            }
            if others {
                self.groups[group].others_went();
            }
            sent |= others;
        }
        sent
    }

    /// Sends operations that are to go apart from others, if there are any and nothing else is under way.
    fn send_suspect(
        &mut self,
        connection: &Arc<dyn Connection>,
        group: usize,
        now: Instant,
        budget: &mut Budget,
    ) -> bool {
        if !self.groups[group].is_idle() {
            return false;
        }
        let mut others = Kind::ALL.into_iter().map(Queue::Kind);
        if !self.groups[group].suspect_is_next()
            && others.any(|queue| self.sequencer.has_queued(group, queue))
        {
            return false;
        }
        if !self.sequencer.has_queued(group, Queue::Suspects) {
            return false;
        }
        let records = self.sequencer.half_of_suspects(group).min(self.limits.max_batch_records);
        let room = Room { records, bytes: self.limits.max_batch_bytes };
        self.send(connection, group, Queue::Suspects, room, now, budget)
    }

    /// Sends a group's next batch of reads or of writes, if there is one and room for it.
    fn send_class(
        &mut self,
        connection: &Arc<dyn Connection>,
        group: usize,
        is_read: bool,
        now: Instant,
        budget: &mut Budget,
    ) -> bool {
        if self.sequencer.has_queued(group, Queue::Suspects) && self.groups[group].suspect_is_next() {
            // It waits until all that is under way has come back.
            return false;
        }
        let order = self.groups[group].order(is_read);
        let Some(kind) = order.into_iter().find(|&kind| self.sequencer.has_queued(group, Queue::Kind(kind)))
        else {
            return false;
        };
        let Some(room) = self.groups[group].room(is_read, &self.limits) else { return false };
        if kind == Kind::Get && !self.shared.admission.may_read() {
            return false;
        }
        self.send(connection, group, Queue::Kind(kind), room, now, budget)
    }

    fn send(
        &mut self,
        connection: &Arc<dyn Connection>,
        group: usize,
        queue: Queue,
        room: Room,
        now: Instant,
        budget: &mut Budget,
    ) -> bool {
        let mut batch = self.sequencer.take_batch(group, queue, room, now);
        budget.spend(1 + batch.seen, batch.bytes);
        // None if all of them are too late, or another group's by now.
        let Some(kind) = batch.kind else { return true };
        self.shared.statistics().batch_sent(batch.lanes.len());
        let lanes = std::mem::take(&mut batch.lanes);
        let class = (group, kind.is_read());
        let moved = |group| connection.moved(group);
        let number = self.watch.sent(now, class, lanes, batch.deadline, &moved);
        self.groups[group].sent(number, kind, queue == Queue::Suspects);
        self.batches.push(Box::pin(run(Arc::clone(connection), kind, number, batch)));
        true
    }

    /// Hands out what came back. Returns whether anything did, so that there may be room again.
    fn collect_answers(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        budget: &mut Budget,
        out: &mut Deliveries<T>,
    ) -> bool {
        let mut any = false;
        while budget.is_left() {
            let next = match self.arrived.pop_front() {
                Some(answer) => Poll::Ready(Some(answer)),
                None => self.batches.poll_next_unpin(cx),
            };
            let Poll::Ready(Some(answer)) = next else { break };
            any = true;
            self.settle(answer, now, budget, out);
        }
        let mut broken = None;
        while budget.is_left() {
            let reply = self.questions.poll(cx, now, &mut self.random, &mut broken);
            let Poll::Ready(reply) = reply else { break };
            any = true;
            budget.spend(1, 0);
            self.watch.replied(now);
            match reply {
                Heard::Answered(ticket, result) => {
                    if !result.as_ref().is_err_and(|error| error.remedy() == Remedy::TryAgain) {
                        self.proved_good(out);
                    }
                    self.answer_question(ticket, result, out);
                }
                Heard::Late => self.proved_good(out),
                Heard::Refused => {}
            }
        }
        if let Some(error) = broken {
            any = true;
            self.supervisor.lose(error);
        }
        any
    }

    fn settle(&mut self, answer: Answer, now: Instant, budget: &mut Budget, out: &mut Deliveries<T>) {
        // What was lost with its connection does not come back.
        let Some(sent) = self.watch.answered(now, answer.number) else { return };
        self.groups[sent.group].came_back(sent.is_read);
        let Sent { group, lanes, .. } = sent;
        let results = match answer.result {
            Ok(results) if results.len() == lanes.len() => results,
            Ok(results) => {
                let text = format!(
                    "the backend gave {} results for {} keys; this is a bug",
                    results.len(),
                    lanes.len()
                );
                vec![Err(Error::new(ErrorCode::Panic, text)); lanes.len()]
            }
            Err(error) => vec![Err(error); lanes.len()],
        };
        let mut broken = None;
        let mut refusal = None;
        // Those with which a connection was lost, and those that have not met that.
        let (mut lost, mut refused) = (Vec::new(), Vec::new());
        let (mut answers, mut bytes) = (0, 0);
        for (lane, result) in lanes.iter().copied().zip(results) {
            match result {
                // Also where the server wants us to log in again.
                Err(error)
                    if error.remedy() == Remedy::Reconnect || error.code() == ErrorCode::Authentication =>
                {
                    lost.push(lane);
                    broken = Some(error);
                }
                Err(error) if error.remedy() == Remedy::TryAgain && error.is_of_server() => {
                    if error.was_in_flight() { &mut lost } else { &mut refused }.push(lane);
                    refusal = Some(error);
                }
                Err(error) if error.remedy() == Remedy::TryAgain => {
                    if self.sequencer.pause(lane, now, error, &mut self.random) {
                        self.shared.statistics().retried(1);
                    }
                }
                result => {
                    answers += 1;
                    bytes += result.as_ref().map_or(0, Reply::bytes);
                    self.settle_one(lane, result, now, out);
                }
            }
        }
        budget.spend(lanes.len(), bytes);
        if answers > 0 {
            self.groups[group].prove(answer.number);
            if sent.is_read {
                self.groups[group].answered(answers, bytes);
            }
        }
        if let Some(error) = broken.as_ref().or(refusal.as_ref()) {
            let waiting = self.sequencer.put_back(&refused, error)
                + self.sequencer.lost(&lost, error, now, &mut self.random);
            self.shared.statistics().retried(waiting);
        }
        match (broken, refusal) {
            (Some(error), _) => self.supervisor.lose(error),
            (None, Some(error)) => self.groups[group].refuse(answer.number, now, error),
            (None, None) => self.supervisor.proved_good(),
        }
    }

    fn settle_one(
        &mut self,
        lane: LaneId,
        result: Result<Reply, Error>,
        now: Instant,
        out: &mut Deliveries<T>,
    ) {
        self.proved_good(out);
        match result {
            Err(error) => {
                let error = self.sequencer.refused(lane, error);
                match self.sequencer.fall_back(lane) {
                    Some(refused) => self.answer_one(refused, Kind::Set, Err(error), now, out),
                    None => self.finish(lane, Err(error), now, out),
                }
            }
            result => self.finish(lane, result, now, out),
        }
    }

    fn finish(&mut self, lane: LaneId, result: Result<Reply, Error>, now: Instant, out: &mut Deliveries<T>) {
        let turn = self.sequencer.finish(lane);
        self.answer(turn, result, now, out);
    }

    /// Answers turns that end without an answer of the server's.
    fn fail(&mut self, turns: Vec<Turn<Address<T>>>, error: &Error, now: Instant, out: &mut Deliveries<T>) {
        for turn in turns {
            let error = turn.unanswered(error.clone());
            self.answer(turn, Err(error), now, out);
        }
    }

    /// Answers everyone who waits for a turn.
    fn answer(
        &mut self,
        turn: Turn<Address<T>>,
        result: Result<Reply, Error>,
        now: Instant,
        out: &mut Deliveries<T>,
    ) {
        let kind = turn.operation.kind();
        let mut waiters = turn.waiters.into_iter();
        let Some(mut waiter) = waiters.next() else { return };
        // The last one gets the result itself, the others copies of it.
        for next in waiters {
            self.answer_one(std::mem::replace(&mut waiter, next), kind, result.clone(), now, out);
        }
        self.answer_one(waiter, kind, result, now, out);
    }

    fn answer_one(
        &mut self,
        waiter: Waiter<Address<T>>,
        kind: Kind,
        result: Result<Reply, Error>,
        now: Instant,
        out: &mut Deliveries<T>,
    ) {
        self.tally.push((kind, now.saturating_duration_since(waiter.submitted), result.is_err()));
        self.bulks.deliver(waiter.address, result, out);
    }

    /// Writes down what was answered since the last time.
    fn keep_statistics(&mut self) {
        if !self.tally.is_empty() {
            let mut statistics = self.shared.statistics();
            for (kind, latency, failed) in self.tally.drain(..) {
                statistics.answered(kind, latency, failed);
            }
        }
    }

    /// Whether anything seems late.
    fn is_due(&mut self, now: Instant) -> bool {
        let look = self.next_look().into_iter().chain(self.watch.due()).min();
        look.is_some_and(|at| at <= now) || self.supervisor.is_late(now)
    }

    /// When deadlines are looked at again.
    fn next_look(&mut self) -> Option<Instant> {
        let look = self.sequencer.next_look().into_iter().chain(self.questions.next_look()).min()?;
        Some(self.judged.map_or(look, |judged| look.max(judged + LOOK_PAUSE)))
    }

    /// Deals with what was due at `late`, since when the sockets were looked at: deadlines, pauses
    /// that are over, and a server that does not answer. Returns whether the connection is given up.
    fn judge(&mut self, late: Instant, now: Instant, budget: &mut Budget, out: &mut Deliveries<T>) -> bool {
        // Whose time has passed is told so before what hung is sent once more.
        self.expire(late, now, budget, out);
        if !budget.is_left() {
            return false;
        }
        self.judged = Some(late);
        let connection = self.supervisor.connection();
        let hangs =
            connection.is_some_and(|connection| self.watch.hangs(late, &|group| connection.moved(group)));
        if hangs {
            self.supervisor.lose(Error::connection("the server does not answer"));
        }
        self.watch.given_up(self.questions.give_up(late));
        hangs
    }

    /// Fails those whose deadline had passed at `late`.
    fn expire(&mut self, late: Instant, now: Instant, budget: &mut Budget, out: &mut Deliveries<T>) {
        let mut expired = Vec::new();
        let (target, trouble) = (&self.limits.target, self.supervisor.trouble());
        self.sequencer.look(late, budget, |group, waiter, turn, cause| {
            self.watch.missed(group);
            let of_group = || self.groups.get(group).and_then(Group::trouble);
            let cause = trouble.or(cause).or_else(of_group);
            expired.push((waiter, turn.operation.kind(), too_late(target, cause, turn)));
        });
        let unanswered = self.questions.expire(late, target, trouble, budget);
        if !unanswered.is_empty() {
            self.watch.missed(0);
        }
        self.fail_questions(unanswered, out);
        for (waiter, kind, error) in expired {
            self.answer_one(waiter, kind, Err(error), now, out);
        }
    }

    /// Whether there is nothing to do.
    fn is_idle(&self) -> bool {
        !self.is_behind && self.sequencer.is_empty() && self.questions.is_empty()
    }

    /// Ends when all accepted work is done, or when the time for it is over.
    fn drain(&mut self, cx: &mut Context<'_>, now: Instant, until: Instant, out: &mut Deliveries<T>) {
        if !self.is_idle() {
            if now < until {
                self.give_up_at = Some(until);
                return;
            }
            let text = "the connector was closed, and closeTimeout passed before the operation finished";
            return self.end(closed(text), now, out);
        }
        self.give_up_at = None;
        let (goodbye, patience) = self.goodbye.get_or_insert_with(|| {
            let farewell: BoxFuture<'static, ()> = match self.supervisor.connection() {
                Some(connection) => Box::pin(async move { connection.close().await }),
                None => Box::pin(async {}),
            };
            (farewell, now + GOODBYE)
        });
        if now >= *patience || goodbye.poll_unpin(cx).is_ready() {
            self.end(closed("the connector was closed"), now, out);
        }
    }

    /// Answers everything that is left with `error` and ends.
    fn end(&mut self, error: Error, now: Instant, out: &mut Deliveries<T>) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.shared.shut();
        self.shared.ready.store(false, Ordering::Release);
        // Twice: what a panic left half-way, then what came since.
        for _ in 0..2 {
            while let Some(request) = self.inbox.pop_front() {
                self.accept(request, out);
            }
            self.shared.take_requests(&mut self.inbox);
        }
        let mut turns = Vec::new();
        self.sequencer.drain(|turn| turns.push(turn));
        self.fail(turns, &error, now, out);
        let unanswered = self.questions.fail(&error, true);
        self.fail_questions(unanswered, out);
        self.bulks.fail_rest(&error, out);
        out.push(Delivery::Closed);
        // Last, and each by itself: what belongs to the backend may panic when it is dropped,
        // and that concerns nobody any more.
        let batches = std::mem::take(&mut self.batches);
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(batches)));
        let questions = self.questions.take_under_way();
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(questions)));
        let goodbye = self.goodbye.take();
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(goodbye)));
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| self.supervisor.end()));
    }

    /// Whether the host's own thread may drive it; see [`Description::host_driven`].
    pub fn may_be_host_driven(&self) -> bool {
        self.limits.host_driven && self.options.reactor_thread != Some(true)
    }

    /// Whether a client library may have timers running that somebody has to look at.
    pub(super) fn waits_for_library(&self) -> bool {
        !self.batches.is_empty() || self.questions.is_under_way() || self.supervisor.waits_for_timer()
    }

    fn wake_at(&mut self, now: Instant) -> Option<Instant> {
        let goodbye = self.goodbye.as_ref().map(|(_, until)| *until);
        let look = self.next_look();
        let rest = self.groups.iter().filter_map(Group::rests_until).filter(|&until| until > now).min();
        [look, rest, self.watch.due(), self.supervisor.wake_at(), self.give_up_at, goodbye]
            .into_iter()
            .flatten()
            .min()
    }

    fn log(&self, level: LogLevel, line: String, out: &mut Deliveries<T>) {
        if level >= self.options.log_level {
            out.push(Delivery::Log(level, line));
        }
    }
}

/// Carries out a batch. A panic of the backend fails the batch, not the engine.
async fn run(connection: Arc<dyn Connection>, kind: Kind, number: BatchNumber, batch: Batch) -> Answer {
    let Batch { keys, entries, .. } = batch;
    let work = AssertUnwindSafe(async {
        match kind {
            Kind::Get => replies(connection.get_many(&keys).await, Reply::Record),
            Kind::Head => replies(connection.head_many(&keys).await, Reply::Version),
            Kind::Set => replies(connection.set_many(&entries).await, |()| Reply::Done),
            Kind::Delete => replies(connection.delete_many(&keys).await, |()| Reply::Done),
        }
    });
    let result = work.catch_unwind().await.unwrap_or_else(|_| Err(panicked()));
    Answer { number, result }
}

fn replies<R>(result: BatchResult<R>, wrap: impl Fn(R) -> Reply) -> BatchResult<Reply> {
    result.map(|results| results.into_iter().map(|one| one.map(&wrap)).collect())
}

fn closed(message: &str) -> Error {
    Error::new(ErrorCode::Closed, message)
}

fn too_late<A>(target: &str, cause: Option<&Error>, turn: &Turn<A>) -> Error {
    let fate = match (&turn.operation, turn.sent) {
        (Operation::Get | Operation::Head, _) => "",
        (_, true) => "; it was sent and may have been applied",
        (_, false) => "; it was not sent",
    };
    let losses = match turn.losses {
        0 | 1 => String::new(),
        times => format!("; the connection was lost {times} times with it"),
    };
    let cause = cause.map(|error| format!(" ({})", error.message())).unwrap_or_default();
    turn.unanswered(Error::new(
        ErrorCode::Timeout,
        format!("no answer from {target} within the operation's timeout{fate}{losses}{cause}"),
    ))
}

impl<T> Drop for Engine<T> {
    fn drop(&mut self) {
        // Whoever still holds a submitter must not wait for an engine that is gone.
        self.shared.shut();
    }
}
