//! Order: one lane for each key with unanswered operations, first in, first out.
//!
//! The operation at the front of a lane is the only one that may be in a batch, so everything
//! on one key happens in the order of its submission. Neighbours of one kind that still wait
//! share one turn: the last `set` of several is the one that is stored, and one read answers
//! several callers. The values that it replaced are kept until it is: where it is refused for
//! good, the one before it goes in its place.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Instant;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use smallvec::SmallVec;

use super::error::{Error, ErrorCode};
use super::queues::{GroupOf, LaneId, Queues};
use super::record::{Key, Record};
use super::request::{Kind, Operation};

/// Somebody who waits for an operation. `A` says where the answer goes.
#[derive(Debug)]
pub(super) struct Waiter<A> {
    pub address: A,
    pub submitted: Instant,
    pub deadline: Instant,
}

/// One turn of a lane: an operation and all who wait for it.
#[derive(Debug)]
pub(super) struct Turn<A> {
    pub operation: Operation,
    pub waiters: SmallVec<[Waiter<A>; 1]>,
    /// The records of all waiters but the last, in a turn that sets.
    replaced: Vec<Record>,
    /// It was given to a connection at least once, so it may have been carried out.
    pub sent: bool,
    /// Why the last attempt failed.
    pub cause: Option<Box<Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the queue of its front's kind.
    Queued,
    /// Its front is in a batch.
    InFlight,
    /// Its front may be tried again at this time.
    Paused(Instant),
}

struct Lane<A> {
    key: Key,
    hash: u64,
    state: State,
    front: Turn<A>,
    rest: VecDeque<Turn<A>>,
}

/// The lanes, and the queues of those whose front may go.
pub(super) struct Sequencer<A> {
    lanes: Slab<Lane<A>>,
    by_key: HashTable<LaneId>,
    hasher: DefaultHashBuilder,
    queues: Queues,
    paused: usize,
}

/// The fronts that go together: lanes, their keys, and for writes the records.
#[derive(Default)]
pub(super) struct Batch {
    pub lanes: Vec<LaneId>,
    pub keys: Vec<Key>,
    pub entries: Vec<(Key, Record)>,
    /// When the last of those who wait for it gives up.
    pub deadline: Option<Instant>,
}

/// Whether a new operation found company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It has a turn of its own.
    Alone,
    /// It shares the turn of a neighbour of its kind.
    Coalesced,
}

impl<A> Sequencer<A> {
    pub fn new(group_of: GroupOf) -> Sequencer<A> {
        Sequencer {
            lanes: Slab::new(),
            by_key: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            queues: Queues::new(group_of),
            paused: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many groups of keys there were at the most.
    pub fn groups(&self) -> usize {
        self.queues.groups()
    }

    /// Whether a lane of this group and kind is waiting for a batch.
    pub fn has_queued(&self, group: usize, kind: Kind) -> bool {
        self.queues.has(group, kind)
    }

    /// Puts an operation at the end of its key's lane.
    pub fn push(&mut self, key: Key, operation: Operation, waiter: Waiter<A>) -> Placed {
        let hash = self.hasher.hash_one(&*key);
        let lanes = &self.lanes;
        if let Some(&id) = self.by_key.find(hash, |&id| *lanes[id].key == *key) {
            return self.lanes[id].push(operation, waiter);
        }
        let kind = operation.kind();
        let front = Turn::new(operation, waiter);
        let id = self.lanes.insert(Lane { key, hash, state: State::Queued, front, rest: VecDeque::new() });
        let lanes = &self.lanes;
        self.by_key.insert_unique(hash, id, |&id| lanes[id].hash);
        self.queues.push(&lanes[id].key, kind, id);
        Placed::Alone
    }

    /// Takes the next batch of one group and kind, of at most so many records and bytes.
    pub fn take_batch(&mut self, group: usize, kind: Kind, max_records: usize, max_bytes: usize) -> Batch {
        let queue = self.queues.queue(group, kind);
        let capacity = queue.len().min(max_records);
        let mut batch = Batch { lanes: Vec::with_capacity(capacity), ..Batch::default() };
        match kind {
            Kind::Set => batch.entries.reserve(capacity),
            _ => batch.keys.reserve(capacity),
        }
        let mut bytes = 0;
        while batch.lanes.len() < max_records {
            let Some(&id) = queue.front() else { break };
            let lane = &mut self.lanes[id];
            bytes += lane.key.len();
            if let Operation::Set(record) = &lane.front.operation {
                bytes += record.data.len();
            }
            if bytes > max_bytes && !batch.lanes.is_empty() {
                break;
            }
            queue.pop_front();
            lane.state = State::InFlight;
            lane.front.sent = true;
            batch.deadline =
                lane.front.waiters.iter().map(|waiter| waiter.deadline).chain(batch.deadline).max();
            batch.lanes.push(id);
            match &lane.front.operation {
                Operation::Set(record) => batch.entries.push((lane.key.clone(), record.clone())),
                _ => batch.keys.push(lane.key.clone()),
            }
        }
        batch
    }

    /// Ends the front turn of a lane whose batch was answered, and lets the next one queue.
    pub fn finish(&mut self, id: LaneId) -> Turn<A> {
        let lane = &mut self.lanes[id];
        let Some(next) = lane.rest.pop_front() else {
            let lane = self.lanes.remove(id);
            if let Ok(entry) = self.by_key.find_entry(lane.hash, |&other| other == id) {
                entry.remove();
            }
            return lane.front;
        };
        let done = std::mem::replace(&mut lane.front, next);
        lane.state = State::Queued;
        self.queues.push(&lane.key, lane.front.operation.kind(), id);
        done
    }

    /// What is said to those whose operation at the front of a lane was refused. The refusal tells
    /// nothing of earlier attempts, nor does a panic of its own one.
    pub fn refused(&self, id: LaneId, error: Error) -> Error {
        let front = &self.lanes[id].front;
        if front.cause.is_some() || error.code() == ErrorCode::Panic {
            return front.unanswered(error);
        }
        error
    }

    /// The front of a lane was refused for good. If it had replaced an earlier value, whoever
    /// gave the refused one is returned, and the earlier one queues in its place.
    pub fn fall_back(&mut self, id: LaneId) -> Option<Waiter<A>> {
        let lane = &mut self.lanes[id];
        let waiter = match lane.front.replaced.pop() {
            Some(record) => {
                lane.front.operation = Operation::Set(record);
                lane.front.waiters.pop()
            }
            None => None,
        }?;
        lane.front.sent = false;
        lane.front.cause = None;
        lane.state = State::Queued;
        self.queues.push(&lane.key, lane.front.operation.kind(), id);
        Some(waiter)
    }

    /// Lets the front of a lane wait and go again later, in its place. Returns false, and ends
    /// its turn, if nobody waits for it any more.
    pub fn pause(&mut self, id: LaneId, until: Instant, cause: Error) -> bool {
        let lane = &mut self.lanes[id];
        if lane.front.waiters.is_empty() {
            self.finish(id);
            return false;
        }
        lane.state = State::Paused(until);
        lane.front.cause = Some(Box::new(cause));
        self.paused += 1;
        true
    }

    /// Queues the paused lanes whose time has come; says when the next one's does.
    pub fn resume_paused(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        if self.paused == 0 {
            return next;
        }
        for (id, lane) in &mut self.lanes {
            match lane.state {
                State::Paused(until) if until <= now => {
                    lane.state = State::Queued;
                    self.queues.push(&lane.key, lane.front.operation.kind(), id);
                    self.paused -= 1;
                }
                State::Paused(until) => next = Some(next.map_or(until, |other: Instant| other.min(until))),
                _ => {}
            }
        }
        next
    }

    /// After the connection was lost: what was in a batch queues again, unless nobody waits for
    /// it any more. Returns how many.
    pub fn requeue_in_flight(&mut self, cause: &Error) -> usize {
        let in_flight: Vec<LaneId> =
            self.lanes.iter().filter(|(_, lane)| lane.state == State::InFlight).map(|(id, _)| id).collect();
        let mut count = 0;
        for id in in_flight {
            let lane = &mut self.lanes[id];
            if lane.front.waiters.is_empty() {
                // Its callers were told of its failure; somebody else may have written since.
                self.finish(id);
                continue;
            }
            lane.state = State::Queued;
            lane.front.cause = Some(Box::new(cause.clone()));
            self.queues.push(&lane.key, lane.front.operation.kind(), id);
            count += 1;
        }
        count
    }

    /// Gives everyone whose deadline has passed to `expired`, with the group of the key; drops
    /// turns that nobody waits for any more unless they are in a batch, and returns the earliest
    /// deadline left.
    pub fn expire(
        &mut self,
        now: Instant,
        mut expired: impl FnMut(usize, Waiter<A>, &Turn<A>),
    ) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        let ids: Vec<LaneId> = self.lanes.iter().map(|(id, _)| id).collect();
        let mut dropped = false;
        for id in ids {
            let lane = &mut self.lanes[id];
            let mut empty = false;
            for turn in std::iter::once(&mut lane.front).chain(&mut lane.rest) {
                if turn.is_late(now) {
                    let group = self.queues.group_of(&lane.key);
                    turn.expire(now, |waiter, turn| expired(group, waiter, turn));
                }
                earliest = turn.waiters.iter().map(|waiter| waiter.deadline).chain(earliest).min();
                empty |= turn.waiters.is_empty();
            }
            if empty {
                lane.rest.retain(|turn| !turn.waiters.is_empty());
                if lane.front.waiters.is_empty() && lane.state != State::InFlight {
                    dropped = true;
                    self.drop_front(id);
                }
            }
        }
        if dropped {
            self.rebuild_queues();
        }
        earliest
    }

    /// Ends every lane, whatever its state; for the end of the connector.
    pub fn drain(&mut self, mut each: impl FnMut(Turn<A>)) {
        for lane in self.lanes.drain() {
            each(lane.front);
            lane.rest.into_iter().for_each(&mut each);
        }
        self.by_key.clear();
        self.queues.clear();
        self.paused = 0;
    }

    /// Ends the turns that wait for a connection, for a server that refuses us.
    pub fn drain_queued(&mut self, mut each: impl FnMut(Turn<A>)) {
        // Taking a front off may queue the lane again, for another kind.
        while let Some(id) = self.queues.pop() {
            each(self.finish(id));
        }
    }

    fn drop_front(&mut self, id: LaneId) {
        if matches!(self.lanes[id].state, State::Paused(_)) {
            self.paused -= 1;
        }
        self.finish(id);
    }

    /// Makes the queues anew after lanes were removed from their middle.
    fn rebuild_queues(&mut self) {
        let lanes = &self.lanes;
        let mut seen = vec![false; lanes.capacity()];
        self.queues.retain(|id, kind| {
            let keep = lanes.get(id).is_some_and(|lane| {
                lane.state == State::Queued && lane.front.operation.kind() == kind && !seen[id]
            });
            if keep {
                seen[id] = true;
            }
            keep
        });
    }
}

impl<A> Turn<A> {
    fn new(operation: Operation, waiter: Waiter<A>) -> Turn<A> {
        let mut waiters = SmallVec::new();
        waiters.push(waiter);
        Turn { operation, waiters, replaced: Vec::new(), sent: false, cause: None }
    }

    /// The error of a turn that ends without an answer.
    pub fn unanswered(&self, error: Error) -> Error {
        if self.sent && !self.operation.kind().is_read() {
            return error.maybe_applied();
        }
        error
    }

    /// Lets a later operation share this turn.
    fn take(&mut self, operation: Operation, waiter: Waiter<A>) {
        if let Operation::Set(record) = std::mem::replace(&mut self.operation, operation) {
            self.replaced.push(record);
        }
        self.waiters.push(waiter);
    }

    /// Whether anybody's deadline has passed.
    fn is_late(&self, now: Instant) -> bool {
        self.waiters.iter().any(|waiter| waiter.deadline <= now)
    }

    fn expire(&mut self, now: Instant, mut expired: impl FnMut(Waiter<A>, &Turn<A>)) {
        let waiters = std::mem::take(&mut self.waiters);
        let late = waiters.iter().take_while(|waiter| waiter.deadline <= now).count();
        for waiter in waiters {
            if waiter.deadline <= now {
                expired(waiter, self);
            } else {
                self.waiters.push(waiter);
            }
        }
        // In a turn that sets, the first to come are the first to give up.
        self.replaced.drain(..late.min(self.replaced.len()));
    }

    /// Whether a later operation may share this turn. A write takes the place of what waits
    /// here, so it must not give up before those do whom it then answers; and what was sent is
    /// to be sent again as it was.
    fn takes(&self, operation: &Operation, waiter: &Waiter<A>) -> bool {
        let kind = operation.kind();
        // By this very rule the last to come is the last to give up.
        let stays = self.waiters.last().is_none_or(|other| other.deadline <= waiter.deadline);
        kind == self.operation.kind() && (kind.is_read() || (!self.sent && stays))
    }
}

impl<A> Lane<A> {
    fn push(&mut self, operation: Operation, waiter: Waiter<A>) -> Placed {
        let front_is_busy = self.state == State::InFlight;
        let last = match self.rest.back_mut() {
            Some(last) => Some(last),
            None if front_is_busy => None,
            None => Some(&mut self.front),
        };
        if let Some(last) = last {
            if last.takes(&operation, &waiter) {
                last.take(operation, waiter);
                return Placed::Coalesced;
            }
        }
        self.rest.push_back(Turn::new(operation, waiter));
        Placed::Alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    /// A sequencer whose waiters are numbers, with one clock.
    struct Bench {
        sequencer: Sequencer<u32>,
        start: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                sequencer: Sequencer::new(Box::new(|key| usize::from(key.starts_with('2')))),
                start: Instant::now(),
            }
        }

        fn at(&self, milliseconds: u64) -> Instant {
            self.start + Duration::from_millis(milliseconds)
        }

        fn push(&mut self, key: &str, operation: Operation, address: u32, deadline: u64) -> Placed {
            let waiter = Waiter { address, submitted: self.start, deadline: self.at(deadline) };
            self.sequencer.push(key.into(), operation, waiter)
        }

        fn set(&mut self, key: &str, address: u32) -> Placed {
            self.push(key, set(address), address, 1000)
        }

        fn get(&mut self, key: &str, address: u32) -> Placed {
            self.push(key, Operation::Get, address, 1000)
        }

        fn take(&mut self, kind: Kind) -> Batch {
            self.sequencer.take_batch(0, kind, 100, usize::MAX)
        }

        /// Ends the turns of a batch; who waited for them.
        fn finish(&mut self, batch: Batch) -> Vec<u32> {
            let ids = batch.lanes.into_iter();
            ids.flat_map(|id| self.sequencer.finish(id).waiters).map(|waiter| waiter.address).collect()
        }

        /// Who is expired at this time, and whether their turn was sent.
        fn expire(&mut self, milliseconds: u64) -> Vec<(u32, bool)> {
            let mut expired = Vec::new();
            let now = self.at(milliseconds);
            self.sequencer.expire(now, |_, waiter, turn| expired.push((waiter.address, turn.sent)));
            expired.sort_unstable();
            expired
        }
    }

    fn set(version: u32) -> Operation {
        Operation::Set(Record { version: version.into(), data: "{}".into() })
    }

    fn versions(batch: &Batch) -> Vec<(&str, i64)> {
        batch.entries.iter().map(|(key, record)| (&**key, record.version)).collect()
    }

    fn loss() -> Error {
        Error::connection("lost")
    }

    #[test]
    fn a_batch_holds_keys_of_one_group() {
        let mut bench = Bench::new();
        bench.set("a", 1);
        bench.set("2a", 2);
        bench.set("b", 3);
        assert_eq!(bench.sequencer.groups(), 2);
        let other = bench.sequencer.take_batch(1, Kind::Set, 100, usize::MAX);
        assert_eq!(versions(&other), [("2a", 2)]);
        bench.set("2a", 4);
        assert_eq!(versions(&bench.take(Kind::Set)), [("a", 1), ("b", 3)]);
        assert!(!bench.sequencer.has_queued(1, Kind::Set));
        assert_eq!(bench.finish(other), [2]);
        assert!(bench.sequencer.has_queued(1, Kind::Set));
    }

    #[test]
    fn a_lane_is_in_one_batch_at_a_time() {
        let mut bench = Bench::new();
        bench.set("a", 1);
        bench.get("a", 2);
        bench.set("a", 3);
        bench.set("b", 4);
        assert!(!bench.sequencer.has_queued(0, Kind::Get));
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 1), ("b", 4)]);
        assert!(!bench.sequencer.has_queued(0, Kind::Get) && !bench.sequencer.has_queued(0, Kind::Set));
        assert_eq!(bench.finish(sets), [1, 4]);
        let gets = bench.take(Kind::Get);
        assert_eq!(gets.keys, [Key::from("a")]);
        assert_eq!(bench.finish(gets), [2]);
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 3)]);
        assert_eq!(bench.finish(sets), [3]);
        assert!(bench.sequencer.is_empty());
    }

    #[test]
    fn neighbours_of_a_kind_share_a_turn_unless_it_is_under_way() {
        let mut bench = Bench::new();
        assert_eq!(bench.set("a", 1), Placed::Alone);
        assert_eq!(bench.set("a", 2), Placed::Coalesced);
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 2)]);
        assert_eq!(bench.set("a", 3), Placed::Alone);
        assert_eq!(bench.set("a", 4), Placed::Coalesced);
        assert_eq!(bench.get("a", 5), Placed::Alone);
        assert_eq!(bench.get("a", 6), Placed::Coalesced);
        assert_eq!(bench.set("a", 7), Placed::Alone);
        assert_eq!(bench.finish(sets), [1, 2]);
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 4)]);
        assert_eq!(bench.finish(sets), [3, 4]);
        let gets = bench.take(Kind::Get);
        assert_eq!(bench.finish(gets), [5, 6]);
    }

    #[test]
    fn a_refused_value_does_not_cost_those_that_it_replaced() {
        let mut bench = Bench::new();
        for address in 1..=3 {
            bench.set("a", address);
        }
        bench.get("a", 4);
        for refused in [3, 2] {
            let sets = bench.take(Kind::Set);
            assert_eq!(versions(&sets), [("a", refused)]);
            let waiter = bench.sequencer.fall_back(sets.lanes[0]).map(|waiter| i64::from(waiter.address));
            assert_eq!(waiter, Some(refused));
            assert!(!bench.sequencer.has_queued(0, Kind::Get));
        }
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 1)]);
        assert!(bench.sequencer.fall_back(sets.lanes[0]).is_none());
        assert_eq!(bench.finish(sets), [1]);
        let gets = bench.take(Kind::Get);
        assert_eq!(bench.finish(gets), [4]);
        assert!(bench.sequencer.is_empty());
    }

    #[test]
    fn nothing_falls_back_to_a_value_that_nobody_waits_for() {
        let mut bench = Bench::new();
        bench.push("a", set(1), 1, 100);
        bench.push("a", set(2), 2, 500);
        bench.push("a", set(3), 3, 500);
        let sets = bench.take(Kind::Set);
        assert_eq!(bench.expire(200), [(1, true)]);
        assert_eq!(bench.sequencer.fall_back(sets.lanes[0]).map(|waiter| waiter.address), Some(3));
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 2)]);
        assert!(bench.sequencer.fall_back(sets.lanes[0]).is_none());
        assert_eq!(bench.expire(600), [(2, true)]);
        assert!(bench.sequencer.fall_back(sets.lanes[0]).is_none());
        assert!(bench.finish(sets).is_empty());
    }

    #[test]
    fn a_write_does_not_replace_one_that_waits_longer() {
        let mut bench = Bench::new();
        bench.push("a", set(1), 1, 500);
        assert_eq!(bench.push("a", set(2), 2, 600), Placed::Coalesced);
        assert_eq!(bench.push("a", set(3), 3, 100), Placed::Alone);
        assert_eq!(bench.push("b", Operation::Get, 4, 500), Placed::Alone);
        assert_eq!(bench.push("b", Operation::Get, 5, 100), Placed::Coalesced);
        assert_eq!(bench.expire(200), [(3, false), (5, false)]);
        assert_eq!(versions(&bench.take(Kind::Set)), [("a", 2)]);
        assert!(bench.take(Kind::Set).lanes.is_empty());
    }

    #[test]
    fn batches_are_bounded_and_a_large_record_goes_alone() {
        let mut bench = Bench::new();
        for (address, key) in (1..).zip(["a", "b", "c", "d"]) {
            bench.set(key, address);
        }
        // Three bytes each, with the key.
        assert_eq!(bench.sequencer.take_batch(0, Kind::Set, 100, 6).lanes.len(), 2);
        assert_eq!(bench.sequencer.take_batch(0, Kind::Set, 100, 1).lanes.len(), 1);
        assert_eq!(bench.sequencer.take_batch(0, Kind::Set, 100, 1).lanes.len(), 1);
        for (address, key) in (1..).zip(["e", "f", "g"]) {
            bench.get(key, address);
        }
        assert_eq!(bench.sequencer.take_batch(0, Kind::Get, 2, usize::MAX).lanes.len(), 2);
        assert_eq!(bench.sequencer.take_batch(0, Kind::Get, 2, usize::MAX).lanes.len(), 1);
    }

    #[test]
    fn what_was_under_way_goes_first_again() {
        let mut bench = Bench::new();
        bench.set("a", 1);
        let lost = bench.take(Kind::Set);
        bench.set("a", 2);
        bench.get("a", 3);
        drop(lost);
        assert_eq!(bench.sequencer.requeue_in_flight(&loss()), 1);
        assert_eq!(bench.set("b", 4), Placed::Alone);
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 1), ("b", 4)]);
        assert_eq!(bench.finish(sets), [1, 4]);
        assert_eq!(versions(&bench.take(Kind::Set)), [("a", 2)]);
    }

    #[test]
    fn what_is_to_be_sent_again_keeps_its_value() {
        let mut bench = Bench::new();
        bench.set("a", 1);
        bench.take(Kind::Set);
        bench.sequencer.requeue_in_flight(&loss());
        assert_eq!(bench.set("a", 2), Placed::Alone);
        assert_eq!(bench.expire(2000), [(1, true), (2, false)]);
        assert!(bench.sequencer.is_empty());
        assert!(!bench.sequencer.has_queued(0, Kind::Set));
    }

    #[test]
    fn what_nobody_waits_for_stays_under_way_and_is_not_repeated() {
        let mut bench = Bench::new();
        bench.push("a", set(1), 1, 100);
        bench.push("a", Operation::Get, 2, 1000);
        bench.push("b", set(3), 3, 100);
        let sets = bench.take(Kind::Set);
        assert_eq!(bench.expire(200), [(1, true), (3, true)]);
        // The order holds as long as it may still be carried out.
        assert!(!bench.sequencer.has_queued(0, Kind::Get));
        let until = bench.at(300);
        let passing = Error::transient(ErrorCode::Backend, "loading");
        assert!(!bench.sequencer.pause(sets.lanes[1], until, passing));
        assert_eq!(bench.sequencer.requeue_in_flight(&loss()), 0);
        assert!(!bench.sequencer.has_queued(0, Kind::Set));
        let gets = bench.take(Kind::Get);
        assert_eq!(bench.finish(gets), [2]);
        assert!(bench.sequencer.is_empty());
    }

    #[test]
    fn a_paused_turn_keeps_its_place() {
        let mut bench = Bench::new();
        bench.set("a", 1);
        bench.get("a", 2);
        let sets = bench.take(Kind::Set);
        let until = bench.at(20);
        let passing = Error::transient(ErrorCode::Backend, "loading");
        assert!(bench.sequencer.pause(sets.lanes[0], until, passing));
        assert!(!bench.sequencer.has_queued(0, Kind::Get));
        let early = bench.at(10);
        assert_eq!(bench.sequencer.resume_paused(early), Some(until));
        assert!(!bench.sequencer.has_queued(0, Kind::Set));
        assert_eq!(bench.sequencer.resume_paused(until), None);
        let sets = bench.take(Kind::Set);
        assert_eq!(bench.finish(sets), [1]);
        assert!(bench.sequencer.has_queued(0, Kind::Get));
    }

    #[test]
    fn turns_expire_from_the_middle_and_from_a_pause() {
        let mut bench = Bench::new();
        bench.push("a", set(1), 1, 1000);
        bench.push("a", Operation::Delete, 2, 100);
        bench.push("a", Operation::Get, 3, 1000);
        bench.push("b", set(4), 4, 100);
        bench.push("b", Operation::Get, 5, 1000);
        let sets = bench.take(Kind::Set);
        let until = bench.at(500);
        let passing = Error::transient(ErrorCode::Backend, "loading");
        bench.sequencer.pause(sets.lanes[1], until, passing);
        assert_eq!(bench.expire(200), [(2, false), (4, true)]);
        // What was behind the paused one goes at once.
        assert_eq!(bench.take(Kind::Get).keys, [Key::from("b")]);
        assert_eq!(bench.sequencer.resume_paused(until), None);
        bench.sequencer.finish(sets.lanes[0]);
        assert!(!bench.sequencer.has_queued(0, Kind::Delete));
        assert_eq!(bench.take(Kind::Get).keys, [Key::from("a")]);
    }

    #[test]
    fn refusing_what_is_queued_leaves_what_is_under_way() {
        let mut bench = Bench::new();
        bench.set("a", 1);
        let sets = bench.take(Kind::Set);
        bench.get("a", 2);
        bench.set("b", 3);
        bench.get("b", 4);
        bench.set("b", 5);
        let mut refused = Vec::new();
        let note = |turn: Turn<u32>| refused.extend(turn.waiters.iter().map(|waiter| waiter.address));
        bench.sequencer.drain_queued(note);
        assert_eq!(refused, [3, 4, 5]);
        assert_eq!(bench.finish(sets), [1]);
        let mut rest = Vec::new();
        bench.sequencer.drain(|turn| rest.extend(turn.waiters.iter().map(|waiter| waiter.address)));
        assert_eq!(rest, [2]);
        assert!(bench.sequencer.is_empty());
    }
}
