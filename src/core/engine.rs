//! The engine: takes requests in, keeps their order, makes batches, survives outages, and
//! answers each request exactly once.
//!
//! It is one state machine that [`Engine::poll`] moves on. It does not care which thread calls
//! that: a reactor thread of its own or the host's event loop (see `reactor.rs` and
//! `host_driver.rs`). It makes no batch wait for a timer: while a batch is under way the next
//! one gathers, and goes when there is room.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::backend::{Backend, BatchResult, Connection, Description, Notice};
use super::bulk::{Address, Bulks};
use super::error::{panicked, Error, ErrorCode, Remedy};
use super::link::{LinkEvent, Supervisor};
use super::options::EngineOptions;
use super::questions::Questions;
use super::queues::LaneId;
use super::record::Key;
use super::request::{Body, Delivery, Kind, LogLevel, Operation, Outcome, Reply, Request};
use super::sequencer::{Batch, Placed, Sequencer, Turn, Waiter};
use super::submission::{Ending, Shared, Submitter};
use super::watch::{BatchNumber, Watch};

/// How long an operation rests before it is tried again on the same connection, unless the
/// backend says for how long.
const TRY_AGAIN_PAUSE: Duration = Duration::from_millis(20);

/// How often deadlines are looked at, at the most.
const DEADLINE_GRAIN: Duration = Duration::from_millis(5);

/// The kinds that change nothing, and those that do.
const READS: [Kind; 2] = [Kind::Get, Kind::Head];
const WRITES: [Kind; 2] = [Kind::Set, Kind::Delete];

/// Troubles that follow each other as fast as this may have one cause.
const ONE_OUTAGE: Duration = Duration::from_secs(5);

/// How long an orderly goodbye to the server may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the driver has to do next.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Poll again at this time even if nothing wakes the engine.
    pub wake_at: Option<Instant>,
    /// The connector has ended: do not poll again.
    pub finished: bool,
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
    /// The places of each group.
    places: Vec<[Places; 2]>,
    watch: Watch,
    inbox: VecDeque<Request<T>>,
    /// Answers that the statistics have not seen yet: kind, latency, whether it failed.
    tally: Vec<(Kind, Duration, bool)>,
    /// No deadline passes before this time.
    earliest_deadline: Option<Instant>,
    /// No paused operation resumes before this time.
    earliest_resume: Option<Instant>,
    /// When `close` gives up the operations that are left.
    give_up_at: Option<Instant>,
    /// When the host was last told of a trouble that is not over.
    outage: Option<Instant>,
    /// The connection stands, but in an outage that ends only when it has answered something.
    is_unproved: bool,
    /// One of several servers is in trouble.
    is_partial: bool,
    goodbye: Option<(BoxFuture<'static, ()>, Instant)>,
    finished: bool,
}

/// Where a group's batches of one class go: those that write, or those that read.
#[derive(Clone, Default)]
struct Places {
    /// How many are taken.
    taken: usize,
    /// The kind that the last batch was of: it lets the other one go first, so that none starves.
    last: Option<Kind>,
}

/// A batch that came back.
struct Answer {
    number: BatchNumber,
    lanes: Vec<LaneId>,
    group: usize,
    is_read: bool,
    result: BatchResult<Reply>,
}

impl<T: Send + 'static> Engine<T> {
    /// An engine that begins to connect when it is first polled, and the handle to submit to it.
    pub fn new(backend: Arc<dyn Backend>, options: EngineOptions) -> (Engine<T>, Submitter<T>) {
        let shared = Arc::new(Shared::new(&options));
        let grouping = Arc::clone(&backend);
        let engine = Engine {
            shared: Arc::clone(&shared),
            limits: backend.describe(),
            supervisor: Supervisor::new(backend, &options),
            watch: Watch::new(options.timeout),
            sequencer: Sequencer::new(Box::new(move |key| grouping.group_of(key))),
            bulks: Bulks::new(),
            questions: Questions::new(options.timeout),
            batches: FuturesUnordered::new(),
            places: Vec::new(),
            inbox: VecDeque::new(),
            tally: Vec::new(),
            earliest_deadline: None,
            earliest_resume: None,
            give_up_at: None,
            outage: None,
            is_unproved: false,
            is_partial: false,
            goodbye: None,
            finished: false,
            options,
        };
        (engine, Submitter::new(shared))
    }

    /// One more handle to submit to it.
    pub(super) fn submitter(&self) -> Submitter<T> {
        Submitter::new(Arc::clone(&self.shared))
    }

    /// Does all that can be done now. `cx`'s waker is woken when there is more to do. A tokio
    /// runtime with I/O and time must be entered. What the host has to hear is appended to
    /// `out`.
    ///
    /// A panic in here is a bug, and yet every accepted request is answered: it fails with
    /// `Panic`, and the engine ends.
    pub fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<Delivery<T>>) -> Progress {
        self.shared.waker.register(cx.waker());
        let advanced = std::panic::catch_unwind(AssertUnwindSafe(|| self.advance(cx, out)));
        if advanced.is_err() && !self.finished {
            out.push(Delivery::Failure { error: panicked(), fatal: true });
            self.end(panicked(), out);
        }
        self.keep_statistics();
        if self.finished {
            return Progress { wake_at: None, finished: true };
        }
        Progress { wake_at: self.wake_at(), finished: false }
    }

    fn advance(&mut self, cx: &mut Context<'_>, out: &mut Vec<Delivery<T>>) {
        if self.finished {
            return;
        }
        let ending = self.shared.take_requests(&mut self.inbox);
        while let Some(request) = self.inbox.pop_front() {
            self.accept(request, out);
        }
        if ending == Ending::Cancelled {
            return self.end(closed("the connector was closed before the operation finished"), out);
        }
        loop {
            let now = Instant::now();
            self.tend_link(cx, now, out);
            let answered = self.collect_answers(cx, out);
            // What has expired is not sent, though an answer that is here is still one.
            if self.earliest_deadline.is_some_and(|at| at <= now) {
                self.expire(now, out);
            }
            let sent = self.send_batches(now);
            if !sent && !answered {
                break;
            }
        }
        self.look_at_the_clock(out);
        if self.is_unproved && self.sequencer.is_empty() && self.questions.is_empty() {
            // Nobody waits for a proof any more.
            self.proved_good(out);
        }
        if let Ending::Draining(until) = ending {
            self.drain(cx, until, out);
        }
    }

    /// Gives a request's operations their places.
    fn accept(&mut self, request: Request<T>, out: &mut Vec<Delivery<T>>) {
        let Request { ticket, submitted, deadline, body } = request;
        self.earliest_deadline = Some(self.earliest_deadline.map_or(deadline, |other| other.min(deadline)));
        match body {
            Body::One(key, operation) => {
                self.place(key, operation, Waiter { address: Address::One(ticket), submitted, deadline });
            }
            Body::Many(entries) => {
                let Some(bulk) = self.bulks.open(ticket, entries.len(), out) else { return };
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
    fn tend_link(&mut self, cx: &mut Context<'_>, now: Instant, out: &mut Vec<Delivery<T>>) {
        while let Some(event) = self.supervisor.poll(cx, now) {
            match event {
                LinkEvent::Up => {
                    self.shared.statistics().connected();
                    self.log(LogLevel::Info, format!("connected to {}", self.limits.target), out);
                    let is_awaited = !self.sequencer.is_empty() || !self.questions.is_empty();
                    self.is_unproved = true;
                    if self.outage.is_none() || !is_awaited {
                        self.proved_good(out);
                    }
                }
                LinkEvent::Lost(error) => self.lost(&error, now, out),
                LinkEvent::Noticed(Notice::Trouble(error)) => {
                    let line = format!("{}: {}", self.limits.target, error.message());
                    self.log(LogLevel::Warn, line, out);
                    self.is_partial = true;
                    // More of the same outage until all servers are back.
                    if self.outage.is_none() {
                        self.begin_outage(error, now, out);
                    }
                }
                LinkEvent::Noticed(Notice::Notification { channel, payload }) => {
                    out.push(Delivery::Notification(channel, payload));
                }
                LinkEvent::Noticed(Notice::Recovery(words) | Notice::Remark(words)) => {
                    self.log(LogLevel::Info, format!("{}: {words}", self.limits.target), out);
                }
                LinkEvent::Noticed(Notice::Restored) => {
                    self.is_partial = false;
                    // An outage of the whole connection ends when that has proved good.
                    if !self.is_unproved && self.outage.take().is_some() {
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
                    if news && self.outage.is_none() {
                        self.begin_outage(error, now, out);
                    }
                }
            }
        }
        if let Some(error) = self.supervisor.refusal().cloned() {
            let mut refused = Vec::new();
            self.sequencer.drain_queued(|turn| refused.push(turn));
            self.fail(refused, &error, out);
            let refused = self.questions.fail(&error, false);
            self.fail_questions(refused, out);
        }
    }

    fn begin_outage(&mut self, error: Error, now: Instant, out: &mut Vec<Delivery<T>>) {
        self.outage = Some(now);
        out.push(Delivery::Failure { error, fatal: false });
    }

    /// The connection is of use: the end of an outage, unless one of its servers still is away.
    fn proved_good(&mut self, out: &mut Vec<Delivery<T>>) {
        if std::mem::take(&mut self.is_unproved) {
            if !self.is_partial {
                self.outage = None;
            }
            self.shared.ready.store(true, Ordering::Release);
            out.push(Delivery::Ready);
        }
    }

    fn fail_questions(&self, failed: Vec<(T, Error)>, out: &mut Vec<Delivery<T>>) {
        for (ticket, error) in failed {
            self.answer_question(ticket, Err(error), out);
        }
    }

    fn answer_question(&self, ticket: T, result: Result<Reply, Error>, out: &mut Vec<Delivery<T>>) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        out.push(Delivery::Completion(ticket, Outcome::One(result)));
    }

    /// The connection broke: its batches are sent again on the next one, in their places.
    fn lost(&mut self, error: &Error, now: Instant, out: &mut Vec<Delivery<T>>) {
        self.shared.ready.store(false, Ordering::Release);
        self.batches = FuturesUnordered::new();
        self.places.clear();
        self.watch.clear();
        let requeued = self.sequencer.requeue_in_flight(error);
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
        let is_told =
            self.is_unproved || self.outage.is_some_and(|told| now.duration_since(told) < ONE_OUTAGE);
        if !is_told {
            out.push(Delivery::Failure { error: error.clone(), fatal: false });
        }
        self.outage = Some(now);
        self.is_unproved = false;
        self.is_partial = false;
    }

    /// Sends batches while there is room and something to send. Returns whether any went.
    fn send_batches(&mut self, now: Instant) -> bool {
        let Some(connection) = self.supervisor.connection() else { return false };
        self.places.resize_with(self.sequencer.groups(), Default::default);
        let asked = self.questions.send(now, &connection);
        self.watch.asked(now, asked);
        let mut sent = asked > 0;
        for group in 0..self.places.len() {
            // Reads and writes in turns, as long as there is room for either.
            while self.send_one(&connection, group, READS, now)
                | self.send_one(&connection, group, WRITES, now)
            {
                sent = true;
            }
        }
        sent
    }

    /// Sends a group's next batch of a class, if there is one and room for it.
    fn send_one(
        &mut self,
        connection: &Arc<dyn Connection>,
        group: usize,
        class: [Kind; 2],
        now: Instant,
    ) -> bool {
        let [first, second] = class;
        let places = &mut self.places[group][usize::from(first.is_read())];
        let order = if places.last == Some(first) { [second, first] } else { [first, second] };
        let Some(kind) = order.into_iter().find(|&kind| self.sequencer.has_queued(group, kind)) else {
            return false;
        };
        let room = if kind.is_read() { self.limits.read_batches } else { self.limits.write_batches };
        if places.taken >= room {
            return false;
        }
        places.taken += 1;
        places.last = Some(kind);
        let (records, bytes) = (self.limits.max_batch_records, self.limits.max_batch_bytes);
        let batch = self.sequencer.take_batch(group, kind, records, bytes);
        self.shared.statistics().batch_sent(batch.lanes.len());
        let number = self.watch.sent(now, group, batch.deadline);
        self.batches.push(Box::pin(run(Arc::clone(connection), group, kind, number, batch)));
        true
    }

    /// Hands out what came back. Returns whether anything did, so that there may be room again.
    fn collect_answers(&mut self, cx: &mut Context<'_>, out: &mut Vec<Delivery<T>>) -> bool {
        let mut any = false;
        while let Poll::Ready(Some(answer)) = self.batches.poll_next_unpin(cx) {
            any = true;
            self.places[answer.group][usize::from(answer.is_read)].taken -= 1;
            let now = Instant::now();
            self.watch.answered(now, answer.number);
            self.settle(answer, now, out);
        }
        let mut broken = None;
        while let Poll::Ready(reply) = self.questions.poll(cx, &mut broken) {
            any = true;
            self.watch.replied(Instant::now());
            self.proved_good(out);
            if let Some((ticket, result)) = reply {
                self.answer_question(ticket, result, out);
            }
        }
        if let Some(error) = broken {
            any = true;
            self.supervisor.lose(error);
        }
        any
    }

    fn settle(&mut self, answer: Answer, now: Instant, out: &mut Vec<Delivery<T>>) {
        let Answer { lanes, result, .. } = answer;
        let mut broken = None;
        match result {
            Ok(results) if results.len() == lanes.len() => {
                for (lane, result) in lanes.into_iter().zip(results) {
                    self.settle_one(lane, result, now, &mut broken, out);
                }
            }
            Ok(results) => {
                let error = Error::new(
                    ErrorCode::Panic,
                    format!(
                        "the backend gave {} results for {} keys; this is a bug",
                        results.len(),
                        lanes.len()
                    ),
                );
                for lane in lanes {
                    self.settle_one(lane, Err(error.clone()), now, &mut broken, out);
                }
            }
            Err(error) => {
                for lane in lanes {
                    self.settle_one(lane, Err(error.clone()), now, &mut broken, out);
                }
            }
        }
        match broken {
            Some(error) => self.supervisor.lose(error),
            None => self.supervisor.proved_good(),
        }
    }

    fn settle_one(
        &mut self,
        lane: LaneId,
        result: Result<Reply, Error>,
        now: Instant,
        broken: &mut Option<Error>,
        out: &mut Vec<Delivery<T>>,
    ) {
        match result {
            Err(error) if error.remedy() == Remedy::TryAgain => {
                let until = now + error.pause().unwrap_or(TRY_AGAIN_PAUSE);
                if self.sequencer.pause(lane, until, error) {
                    self.earliest_resume = Some(self.earliest_resume.map_or(until, |other| other.min(until)));
                    self.shared.statistics().retried(1);
                }
            }
            // The lane stays in flight; losing the connection queues it again.
            // So it does where the server wants us to log in again.
            Err(error)
                if error.remedy() == Remedy::Reconnect || error.code() == ErrorCode::Authentication =>
            {
                *broken = Some(error);
            }
            Err(error) => {
                self.proved_good(out);
                let error = self.sequencer.refused(lane, error);
                match self.sequencer.fall_back(lane) {
                    Some(refused) => self.answer_one(refused, Kind::Set, Err(error), now, out),
                    None => self.finish(lane, Err(error), now, out),
                }
            }
            result => {
                self.proved_good(out);
                self.finish(lane, result, now, out);
            }
        }
    }

    fn finish(
        &mut self,
        lane: LaneId,
        result: Result<Reply, Error>,
        now: Instant,
        out: &mut Vec<Delivery<T>>,
    ) {
        let turn = self.sequencer.finish(lane);
        self.answer(turn, result, now, out);
    }

    /// Answers turns that end without an answer of the server's.
    fn fail(&mut self, turns: Vec<Turn<Address<T>>>, error: &Error, out: &mut Vec<Delivery<T>>) {
        let now = Instant::now();
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
        out: &mut Vec<Delivery<T>>,
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
        out: &mut Vec<Delivery<T>>,
    ) {
        self.tally.push((kind, now.saturating_duration_since(waiter.submitted), result.is_err()));
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
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

    /// Deadlines, pauses, and a connection that does not answer.
    fn look_at_the_clock(&mut self, out: &mut Vec<Delivery<T>>) {
        let now = Instant::now();
        if self.earliest_resume.is_some_and(|at| at <= now) {
            self.earliest_resume = self.sequencer.resume_paused(now);
            self.shared.waker.wake();
        }
        if self.earliest_deadline.is_some_and(|at| at <= now) {
            self.expire(now, out);
        }
        if self.watch.due().is_some_and(|due| due <= now) {
            // Whose time has passed is told so before what hung is sent once more.
            self.expire(now, out);
            // Not again until the loss is dealt with.
            self.watch.clear();
            self.supervisor.lose(Error::connection("the server does not answer"));
            self.shared.waker.wake();
        }
        self.watch.given_up(self.questions.give_up(now));
    }

    /// Fails those whose deadline has passed.
    fn expire(&mut self, now: Instant, out: &mut Vec<Delivery<T>>) {
        let mut expired = Vec::new();
        let (target, trouble) = (&self.limits.target, self.supervisor.trouble());
        let next = self.sequencer.expire(now, |group, waiter, turn| {
            self.watch.missed(group);
            expired.push((waiter, turn.operation.kind(), too_late(target, trouble, turn)))
        });
        let (unanswered, next_question) = self.questions.expire(now, target, trouble);
        if !unanswered.is_empty() {
            self.watch.missed(0);
        }
        self.earliest_deadline =
            next.into_iter().chain(next_question).min().map(|at| at.max(now + DEADLINE_GRAIN));
        self.fail_questions(unanswered, out);
        for (waiter, kind, error) in expired {
            self.answer_one(waiter, kind, Err(error), now, out);
        }
    }

    /// Ends when all accepted work is done, or when the time for it is over.
    fn drain(&mut self, cx: &mut Context<'_>, until: Instant, out: &mut Vec<Delivery<T>>) {
        let now = Instant::now();
        if !self.sequencer.is_empty() || !self.questions.is_empty() {
            if now < until {
                self.give_up_at = Some(until);
                return;
            }
            return self.end(
                closed("the connector was closed, and closeTimeout passed before the operation finished"),
                out,
            );
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
            self.end(closed("the connector was closed"), out);
        }
    }

    /// Answers everything that is left with `error` and ends.
    fn end(&mut self, error: Error, out: &mut Vec<Delivery<T>>) {
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
        self.fail(turns, &error, out);
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

    fn wake_at(&self) -> Option<Instant> {
        let goodbye = self.goodbye.as_ref().map(|(_, until)| *until);
        [
            self.earliest_deadline,
            self.earliest_resume,
            self.watch.due(),
            self.supervisor.wake_at(),
            self.give_up_at,
            goodbye,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn log(&self, level: LogLevel, line: String, out: &mut Vec<Delivery<T>>) {
        if level >= self.options.log_level {
            out.push(Delivery::Log(level, line));
        }
    }
}

/// Carries out a batch. A panic of the backend fails the batch, not the engine.
async fn run(
    connection: Arc<dyn Connection>,
    group: usize,
    kind: Kind,
    number: BatchNumber,
    batch: Batch,
) -> Answer {
    let Batch { lanes, keys, entries, .. } = batch;
    let work = AssertUnwindSafe(async {
        match kind {
            Kind::Get => replies(connection.get_many(&keys).await, Reply::Record),
            Kind::Head => replies(connection.head_many(&keys).await, Reply::Version),
            Kind::Set => replies(connection.set_many(&entries).await, |()| Reply::Done),
            Kind::Delete => replies(connection.delete_many(&keys).await, |()| Reply::Done),
        }
    });
    let result = work.catch_unwind().await.unwrap_or_else(|_| Err(panicked()));
    Answer { number, lanes, group, is_read: kind.is_read(), result }
}

fn replies<R>(result: BatchResult<R>, wrap: impl Fn(R) -> Reply) -> BatchResult<Reply> {
    result.map(|results| results.into_iter().map(|one| one.map(&wrap)).collect())
}

fn closed(message: &str) -> Error {
    Error::new(ErrorCode::Closed, message)
}

fn too_late<A>(target: &str, trouble: Option<&Error>, turn: &Turn<A>) -> Error {
    let fate = match (&turn.operation, turn.sent) {
        (Operation::Get | Operation::Head, _) => "",
        (_, true) => "; it was sent and may have been applied",
        (_, false) => "; it was not sent",
    };
    let cause =
        trouble.or(turn.cause.as_deref()).map(|error| format!(" ({})", error.message())).unwrap_or_default();
    turn.unanswered(Error::new(
        ErrorCode::Timeout,
        format!("no answer from {target} within the operation's timeout{fate}{cause}"),
    ))
}

impl<T> Drop for Engine<T> {
    fn drop(&mut self) {
        // Whoever still holds a submitter must not wait for an engine that is gone.
        self.shared.shut();
    }
}
