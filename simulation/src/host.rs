//! The host: submits, is called back, and does things then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use deepstream_connector::core::{
    Applied, Delivery, Error, Key, Listing, Operation, Outcome, Page, Question, Record, Reply, Submitter,
};
use serde_json::Value;

use crate::checks::{deadlines, endings, isolation, limits, order, outages::Told};
use crate::failure::{expect, Checked};
use crate::ledger::{version_of, Fate, OpId, Request, Subject};
use crate::scenario::{Kind, Reaction, Submission, Wanted, What};
use crate::time::{duration, words, Nanos, SECOND};
use crate::world::{data, Place, World};

/// How long the connector says goodbye to its server at most, and some more.
const GOODBYE: Nanos = SECOND + SECOND / 5;

/// See the module.
pub struct Host {
    place: Place,
    submitter: Submitter<usize>,
    told: Told,
    has_ended: bool,
    /// Since when, in time that we were awake, it is to end, and how long that may take.
    ending: Option<(Nanos, Nanos)>,
    /// When somebody must have been told.
    deadlines: BinaryHeap<Reverse<(Nanos, usize)>>,
    /// When a request was last called back.
    pub last_progress: Nanos,
}

impl Host {
    pub fn new(place: Place, submitter: Submitter<usize>) -> Host {
        Host {
            place,
            submitter,
            told: Told::default(),
            has_ended: false,
            ending: None,
            deadlines: BinaryHeap::new(),
            last_progress: 0,
        }
    }

    /// Submits a request.
    pub fn submit(&mut self, submission: &Submission, is_probe: bool) {
        let request = self.place.world().ledger.next_request();
        let timeout = submission.timeout.map(duration);
        let mut bytes = 0;
        let (subject, wanted) = match &submission.what {
            What::One(wanted) => (Subject::One, std::slice::from_ref(wanted)),
            What::Many(list) => (Subject::Many, list.as_slice()),
            What::Scan { limit } => (Subject::Scan { limit: *limit }, &[][..]),
            What::Command => (Subject::Command, &[][..]),
        };
        let mut entries = self.entries(wanted, &mut bytes);
        let result = match subject {
            Subject::One => {
                let (key, operation) = entries.remove(0);
                self.submitter.submit(key, operation, request, timeout)
            }
            Subject::Many => self.submitter.submit_many(entries, request, timeout),
            Subject::Scan { limit } => self.submitter.ask(a_page(limit), request, timeout),
            Subject::Command => {
                let command = Question::Command { name: "echo".into(), arguments: request.into() };
                self.submitter.ask(command, request, timeout)
            }
        };
        let operations = if matches!(subject, Subject::Many) { wanted.len() } else { 1 };
        let taken = if result.is_ok() { bytes } else { 0 };
        let before = self.submitter.bytes_in_flight() - taken;
        let mut world = self.place.world();
        let refusal = result.err().map(|error| error.code());
        let checked = if world.is_closing {
            endings::nothing_is_accepted_after_close(refusal)
        } else {
            limits::admission_is_exact(&world.setup, &world.ledger, (operations, bytes), before, refusal)
        };
        world.check(checked);
        let now = world.now;
        world.trace.say(now, || match refusal {
            None => format!("request {request}: {}", describe(submission)),
            Some(code) => format!("refused with {code:?}: {}", describe(submission)),
        });
        if refusal.is_some() {
            return;
        }
        let deadline = now + submission.timeout.unwrap_or(world.setup.timeout);
        self.deadlines.push(Reverse((deadline, request)));
        if let Subject::Scan { limit } = subject {
            world.ledger.scanned += limit;
        }
        let first = world.ledger.ops.len();
        let reaction = submission.reaction.clone();
        world.ledger.open(Request {
            subject,
            first,
            count: wanted.len(),
            operations,
            bytes,
            reaction,
            is_open: true,
            carried_out: 0,
            sent: 0,
            is_probe,
        });
        for wanted in wanted {
            let is_first = world.ledger.lanes[wanted.key].open.is_empty();
            let op = world.ledger.enter(wanted.key, wanted.kind, now, deadline);
            if is_first {
                let is_new = !world.busy_keys().contains(&wanted.key);
                world.may_go(op, is_new);
            }
        }
    }

    /// As the engine wants them, and how many bytes they have.
    fn entries(&self, wanted: &[Wanted], bytes: &mut usize) -> Vec<(Key, Operation)> {
        let world = self.place.world();
        let first = world.ledger.ops.len();
        let entry = |(number, wanted): (usize, &Wanted)| {
            let key = world.key(wanted.key);
            *bytes += key.len();
            let operation = match wanted.kind {
                Kind::Get => Operation::Get,
                Kind::Head => Operation::Head,
                Kind::Delete => Operation::Delete,
                Kind::Set { bytes: size, .. } => {
                    *bytes += size;
                    Operation::Set(Record { version: version_of(first + number), data: data(size) })
                }
            };
            (key, operation)
        };
        wanted.iter().enumerate().map(entry).collect()
    }

    /// Asks the connector to end within a time.
    pub fn close(&mut self, grace: Nanos) {
        self.end_by(grace, "close");
        self.submitter.close(duration(grace));
    }

    /// Asks the connector to end at once.
    pub fn cancel(&mut self) {
        self.end_by(0, "cancel");
        self.submitter.cancel();
    }

    fn end_by(&mut self, grace: Nanos, word: &str) {
        let mut world = self.place.world();
        let now = world.now;
        world.trace.say(now, || format!("the host calls {word}, within {}", words(grace)));
        world.is_closing = true;
        let awake = world.awake;
        // A later `close` does not give more time than the first.
        self.ending.get_or_insert((awake, grace + GOODBYE));
        if word == "cancel" {
            self.ending = Some((awake, GOODBYE));
        }
    }

    /// Is told something. Returns what it does then.
    pub fn hear(&mut self, delivery: Delivery<usize>) -> Option<Reaction> {
        let mut guard = self.place.world();
        let world = &mut *guard;
        let now = world.now;
        match delivery {
            Delivery::Completion(request, outcome) => {
                let checked =
                    endings::each_request_is_called_back_once(&world.ledger, request, self.has_ended);
                let is_wrong = checked.is_err();
                world.check(checked);
                if is_wrong {
                    return None;
                }
                self.last_progress = now;
                world.trace.say(now, || format!("request {request} ends: {}", outcome_words(&outcome)));
                world.ledger.close(request);
                world.complete(request, outcome);
                let (in_flight, bytes) = (self.submitter.in_flight(), self.submitter.bytes_in_flight());
                let checked = limits::in_flight_is_what_was_not_called_back(&world.ledger, in_flight, bytes);
                world.check(checked);
                let largest = world.setup.largest + 8;
                world.check(limits::answers_are_bounded(&world.setup, &world.ledger, largest, bytes));
                return world.ledger.requests[request].reaction.take();
            }
            Delivery::Ready => {
                world.trace.say(now, || "the host is told: ready".into());
                world.check_proof(self.told.is_outage());
                let checked = self.told.one_ready_after_an_outage(now);
                world.check(checked);
                world.is_told_ready = true;
                world.disturb_all(0);
            }
            Delivery::Failure { error, fatal } => {
                world.trace.say(now, || format!("the host is told: error {error} (fatal: {fatal})"));
                let checked = self.told.one_error_for_an_outage(now, fatal);
                world.check(checked);
            }
            Delivery::Closed => {
                world.trace.say(now, || "the host is told: closed".into());
                let checked = endings::the_end_is_the_last(&world.ledger, self.has_ended, world.is_closing);
                world.check(checked);
                self.has_ended = true;
            }
            Delivery::Log(_, line) => world.trace.say(now, || format!("log: {line}")),
            Delivery::Notification(..) => {}
        }
        None
    }

    /// The host has nothing to do: whoever should have been told by now has been.
    pub fn is_idle(&mut self) {
        let mut guard = self.place.world();
        let world = &mut *guard;
        while let Some(&Reverse((_, request))) = self.deadlines.peek() {
            if world.ledger.requests[request].is_open {
                break;
            }
            self.deadlines.pop();
        }
        let earliest = self.deadlines.peek().map(|&Reverse(earliest)| earliest);
        let checked = deadlines::a_deadline_is_kept(world.now, earliest);
        world.check(checked);
        world.check_hangs();
        world.check_returns();
        world.check_work();
        if let (Some((since, most)), false) = (self.ending, self.has_ended) {
            let checked = endings::an_end_comes_in_time(world.awake - since, most);
            world.check(checked);
        }
    }

    /// All is well since then. Returns whether nothing is left to do.
    pub fn goes_on(&self, since: Nanos) -> bool {
        let mut guard = self.place.world();
        let world = &mut *guard;
        let setup = &world.setup;
        let most = 2 * setup.timeout + setup.connect_timeout + 2 * setup.reconnect_max_delay + 5 * SECOND;
        let idle = world.now - since.max(self.last_progress).max(world.last_move);
        let open = world.ledger.open_requests;
        world.check(endings::what_can_go_on_does(open, idle, most));
        if open > 0 {
            return false;
        }
        let (in_flight, bytes) = (self.submitter.in_flight(), self.submitter.bytes_in_flight());
        let checked = limits::in_flight_is_what_was_not_called_back(&world.ledger, in_flight, bytes);
        world.check(checked);
        world.check(self.told.an_outage_ends(self.submitter.is_ready(), idle, most));
        self.told.is_well()
    }

    /// Since when the host knows that the server refuses it, if it was not told otherwise.
    pub fn is_refused_since(&self) -> Option<Nanos> {
        self.told.is_refused_since()
    }

    /// Bytes in flight, for whoever wants to know whether reads are held back.
    pub fn bytes_in_flight(&self) -> usize {
        self.submitter.bytes_in_flight()
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }
}

impl World {
    /// An operation is at the front of its lane, since its submission or since now.
    fn may_go(&mut self, op: OpId, is_new: bool) {
        let it = &self.ledger.ops[op];
        if it.is_doubtful || self.ledger.requests[it.request].subject == Subject::Many {
            // Nobody is told when it ends.
            return;
        }
        let (key, kind) = (self.ledger.ops[op].key, self.ledger.ops[op].kind.number());
        let group = self.group_of(key);
        let open_bytes = self.ledger.open_bytes;
        self.rotation.enters((group, kind), op, is_new, open_bytes);
    }

    /// A request is called back.
    fn complete(&mut self, request: usize, outcome: Outcome) {
        let (subject, first, count, is_probe) = {
            let request = &self.ledger.requests[request];
            (request.subject, request.first, request.count, request.is_probe)
        };
        match (subject, outcome) {
            (Subject::One, Outcome::One(result)) => {
                let is_well = !is_probe || result.is_ok() || self.is_closing;
                self.check(expect(is_well, "all_is_well_again", || {
                    format!("request {request} was submitted when all was well: {result:?}")
                }));
                self.settle(first, result, true);
            }
            (Subject::Many, Outcome::Many(results)) if results.len() == count => {
                for (op, result) in (first..).zip(results) {
                    self.settle(op, result, false);
                }
            }
            (Subject::Scan { limit }, Outcome::One(result)) => {
                if let Ok(reply) = result {
                    let checked = self.page_is_true(limit, &reply);
                    self.check(checked);
                }
            }
            (Subject::Command, Outcome::One(result)) => self.command_ended(request, result),
            (_, outcome) => self.check(expect(false, "an_answer_is_of_its_kind", || format!("{outcome:?}"))),
        }
    }

    /// An operation has ended.
    fn settle(&mut self, op: OpId, result: Result<Reply, Error>, is_alone: bool) {
        let (now, key, kind) = (self.now, self.ledger.ops[op].key, self.ledger.ops[op].kind);
        let group = self.group_of(key);
        self.rotation.leaves(group, kind.number(), op);
        let fate = result.as_ref().map_or_else(Fate::of_error, |_| Fate::Done);
        let was_first = self.ledger.lanes[key].open.front() == Some(&op);
        self.ledger.settle(op, fate);
        if let Some(&next) = self.ledger.lanes[key].open.front().filter(|_| was_first) {
            if !self.ledger.ops[next].is_covered {
                self.may_go(next, false);
            }
        }
        let checked = match (kind, &result) {
            (Kind::Get, Ok(Reply::Record(record))) => self.record_is_whole(record.as_ref()).and_then(|()| {
                let seen = record.as_ref().map(|record| record.version);
                order::a_read_sees_the_last_write(&mut self.ledger, op, seen)
            }),
            (Kind::Head, Ok(Reply::Version(seen))) => {
                order::a_read_sees_the_last_write(&mut self.ledger, op, *seen)
            }
            (Kind::Set { .. } | Kind::Delete, Ok(Reply::Done)) => {
                order::an_acknowledged_write_is_seen(&mut self.ledger, op)
            }
            (_, Ok(reply)) => expect(false, "an_answer_is_of_its_kind", || format!("{op}: {reply:?}")),
            (_, Err(_)) => {
                // Which of several removals was sent is not told by what the server is asked.
                let is_known = kind != Kind::Delete;
                order::what_was_not_applied_is_not_seen(&self.ledger, op, is_known)
            }
        };
        self.check(checked);
        if result.is_ok() {
            self.check(order::operations_on_a_key_end_in_order(&self.ledger, op));
        }
        self.check(deadlines::nobody_is_too_late_too_early(&self.ledger, now, op));
        self.check(deadlines::an_answer_that_is_here_is_not_called_late(&self.ledger, op));
        let is_quick_to_listen = self.setup.is_quick_to_listen();
        // What waits behind a poison on its own key waits for that.
        let lane = &self.ledger.lanes[key];
        let is_poisoned = lane.history.iter().any(|&op| self.ledger.ops[op].kind.is_poison());
        if let Some(since) = self.is_quiet_since(group) {
            if is_alone && is_quick_to_listen && !is_poisoned && !self.is_closing {
                let checked = isolation::a_living_server_is_quick(&self.setup, &self.ledger, now, since, op);
                self.check(checked);
            }
        }
    }

    fn record_is_whole(&self, record: Option<&Record>) -> Checked {
        let Some(record) = record else { return Ok(()) };
        let size = self.ledger.set_of_version(record.version).map(|op| self.ledger.ops[op].kind);
        let is_whole = matches!(size, Some(Kind::Set { bytes, .. }) if bytes == record.data.len());
        expect(is_whole, "a_record_comes_back_as_it_was", || {
            format!("version {} has {} bytes, and was {size:?}", record.version, record.data.len())
        })
    }

    fn page_is_true(&self, limit: usize, reply: &Reply) -> Checked {
        const CHECK: &str = "a_page_holds_what_was_written";
        let Reply::Page(page) = reply else {
            return expect(false, CHECK, || format!("{reply:?} is no page"));
        };
        let Page { records, next } = &**page;
        let is_full = records.len() <= limit && (next.is_none() || records.len() == limit);
        expect(is_full, CHECK, || format!("{} records, where {limit} are wanted", records.len()))?;
        for (key, record) in records {
            self.record_is_whole(Some(record))?;
            let write = self.ledger.set_of_version(record.version);
            let is_right = write.is_some_and(|op| *self.key(self.ledger.ops[op].key) == **key);
            expect(is_right, CHECK, || format!("{key} has version {}", record.version))?;
        }
        Ok(())
    }

    fn command_ended(&mut self, request: usize, result: Result<Reply, Error>) {
        let is_unsent = result.as_ref().err().is_some_and(|error| error.applied() == Applied::No);
        let is_done = match &result {
            Ok(Reply::Answer(Value::Number(number))) => number.as_u64() == Some(request as u64),
            Ok(reply) => {
                let words = format!("{reply:?}");
                return self.check(expect(false, "an_answer_is_of_its_kind", || words));
            }
            Err(_) => false,
        };
        self.check(endings::a_command_is_carried_out_once(&self.ledger, request, is_done, is_unsent));
    }
}

fn describe(submission: &Submission) -> String {
    let what = match &submission.what {
        What::One(wanted) => wanted_words(wanted),
        What::Many(list) => list.iter().map(wanted_words).collect::<Vec<_>>().join(", "),
        What::Scan { limit } => format!("scan of {limit}"),
        What::Command => "command".into(),
    };
    match submission.timeout {
        Some(timeout) => format!("{what} (timeout {})", words(timeout)),
        None => what,
    }
}

fn wanted_words(wanted: &Wanted) -> String {
    let Wanted { key, kind } = wanted;
    match kind {
        Kind::Set { bytes, is_poison: true } => format!("set k{key} of {bytes} bytes, poison"),
        Kind::Set { bytes, .. } => format!("set k{key} of {bytes} bytes"),
        kind => format!("{} k{key}", kind.name()),
    }
}

fn outcome_words(outcome: &Outcome) -> String {
    let one = |result: &Result<Reply, Error>| match result {
        Ok(Reply::Record(record)) => format!("version {:?}", record.as_ref().map(|record| record.version)),
        Ok(Reply::Version(version)) => format!("version {version:?}"),
        Ok(Reply::Page(page)) => format!("{} records", page.records.len()),
        Ok(Reply::Done | Reply::Answer(_)) => "done".into(),
        Err(error) => error.to_string(),
    };
    match outcome {
        Outcome::One(result) => one(result),
        Outcome::Many(results) => results.iter().map(one).collect::<Vec<_>>().join("; "),
    }
}

/// The first page.
fn a_page(limit: usize) -> Question {
    Question::Scan(Listing { prefix: String::new(), cursor: None, limit })
}
