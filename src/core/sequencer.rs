//! Order: one lane for each key with unanswered operations, first in, first out.
//!
//! The operation at the front of a lane is the only one that may be in a batch, so everything
//! on one key happens in the order of its submission. Neighbours of one kind that still wait
//! share one turn: the last `set` of several is the one that is stored, and one read answers
//! several callers. The values that it replaced are kept until it is: where it is refused for
//! good, the one before it goes in its place.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::budget::Budget;
use super::error::{Error, ErrorCode};
use super::groups::Room;
use super::queues::{Entry, GroupOf, LaneId, Place, Queue, Queues};
use super::random::{growing, Random};
use super::record::{Key, Record};
use super::request::{Kind, Operation};
use super::timers::Timers;
use super::turn::{Turn, Waiter, SUSPECT_AFTER};

/// A lane is looked at again after this at the earliest, and after so much more for each of those
/// who wait in it: one key with very many deadlines costs others nothing.
const LOOK_PAUSE: Duration = Duration::from_millis(1);
const LOOK_PAUSE_EACH: Duration = Duration::from_nanos(500);

/// With more lanes than this at its best time the memory is given back when all are empty.
const MAX_KEPT_LANES: usize = 1 << 14;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a queue, by the entry of this number.
    Queued(Place),
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
    /// When each lane is to be looked at: a deadline passes, or a pause is over.
    timers: Timers,
}

/// The fronts that go together: lanes, their keys, and for writes the records.
#[derive(Default)]
pub(super) struct Batch {
    pub lanes: Vec<LaneId>,
    pub keys: Vec<Key>,
    pub entries: Vec<(Key, Record)>,
    /// What they all are.
    pub kind: Option<Kind>,
    /// How many bytes of keys and data.
    pub bytes: usize,
    /// How many entries were looked at.
    pub seen: usize,
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
            timers: Timers::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// How many groups of keys there were at the most.
    pub fn groups(&self) -> usize {
        self.queues.groups()
    }

    /// Whether a lane of this group is waiting in a queue.
    pub fn has_queued(&mut self, group: usize, queue: Queue) -> bool {
        self.queues.len(group, queue) > 0 && self.first(group, queue).is_some()
    }

    /// How many suspects may go together: half of those that wait. A network that is to blame for many of them
    /// does not have each wait for all others, and the one that is to blame itself is alone before long.
    pub fn half_of_suspects(&self, group: usize) -> usize {
        (self.queues.least(group, Queue::Suspects) / 2).max(1)
    }

    /// Whether a group has nothing in its queues.
    pub fn is_quiet(&self, group: usize) -> bool {
        self.queues.are_empty(group)
    }

    fn first(&mut self, group: usize, queue: Queue) -> Option<LaneId> {
        let lanes = &self.lanes;
        self.queues.front(group, queue, |entry| counts(lanes, entry))
    }

    /// Puts an operation at the end of its key's lane.
    pub fn push(&mut self, key: Key, operation: Operation, waiter: Waiter<A>) -> Placed {
        let hash = self.hasher.hash_one(&*key);
        let deadline = waiter.deadline;
        let lanes = &self.lanes;
        if let Some(&id) = self.by_key.find(hash, |&id| *lanes[id].key == *key) {
            self.timers.at_latest(id, deadline);
            return self.lanes[id].push(operation, waiter);
        }
        let front = Turn::new(operation, waiter);
        let entry = self.lanes.vacant_entry();
        let id = entry.key();
        let state = State::Queued(self.queues.push(&key, front.queue(), id));
        entry.insert(Lane { key, hash, state, front, rest: VecDeque::new() });
        let lanes = &self.lanes;
        self.by_key.insert_unique(hash, id, |&id| lanes[id].hash);
        self.timers.at_latest(id, deadline);
        Placed::Alone
    }

    /// Takes the next batch from a queue. What nobody waits for at `now` any more is left behind, and
    /// what is another group's by now goes to that.
    pub fn take_batch(&mut self, group: usize, queue: Queue, room: Room, now: Instant) -> Batch {
        let capacity = self.queues.len(group, queue).min(room.records);
        let mut batch = Batch { lanes: Vec::with_capacity(capacity), ..Batch::default() };
        match queue {
            Queue::Kind(Kind::Set) => batch.entries.reserve(capacity),
            _ => batch.keys.reserve(capacity),
        }
        while batch.seen < room.records {
            let Some(id) = self.first(group, queue) else { break };
            let lane = &mut self.lanes[id];
            batch.seen += 1;
            if self.queues.has_moved(&lane.key, group) {
                self.queues.pop(group, queue);
                self.queue(id);
                continue;
            }
            let bytes = batch.bytes + lane.front.operation.bytes(&lane.key);
            // Suspects queue whatever their kinds are.
            let is_another_kind = batch.kind.is_some_and(|kind| kind != lane.front.operation.kind());
            if (bytes > room.bytes || is_another_kind) && !batch.lanes.is_empty() {
                break;
            }
            self.queues.pop(group, queue);
            let deadline = lane.front.deadline();
            if deadline.is_none_or(|deadline| deadline <= now) {
                // The next look at it, which is due, says so.
                lane.state = State::Paused(now);
                continue;
            }
            batch.bytes = bytes;
            batch.kind = Some(lane.front.operation.kind());
            batch.deadline = batch.deadline.max(deadline);
            lane.state = State::InFlight;
            lane.front.sent = true;
            batch.lanes.push(id);
            match &lane.front.operation {
                Operation::Set(record) => batch.entries.push((lane.key.clone(), record.clone())),
                _ => batch.keys.push(lane.key.clone()),
            }
        }
        batch
    }

    /// Ends the front turn of a lane that is in no queue, and lets the next one queue.
    pub fn finish(&mut self, id: LaneId) -> Turn<A> {
        let lane = &mut self.lanes[id];
        let Some(next) = lane.rest.pop_front() else {
            let lane = self.lanes.remove(id);
            if let Ok(entry) = self.by_key.find_entry(lane.hash, |&other| other == id) {
                entry.remove();
            }
            self.shrink();
            return lane.front;
        };
        if lane.rest.is_empty() {
            lane.rest = VecDeque::new();
        }
        let done = std::mem::replace(&mut lane.front, next);
        self.queue(id);
        done
    }

    /// Puts a lane at the end of the queue that its front belongs to.
    fn queue(&mut self, id: LaneId) {
        let lane = &mut self.lanes[id];
        lane.state = State::Queued(self.queues.push(&lane.key, lane.front.queue(), id));
    }

    /// Puts a lane at the head of it, where it was before.
    fn queue_first(&mut self, id: LaneId) {
        let lane = &mut self.lanes[id];
        lane.state = State::Queued(self.queues.push_front(&lane.key, lane.front.queue(), id));
    }

    /// Memory that a burst took is given back.
    fn shrink(&mut self) {
        if self.lanes.is_empty() && self.lanes.capacity() > MAX_KEPT_LANES {
            self.lanes = Slab::new();
            self.by_key = HashTable::new();
            self.queues.clear();
            self.timers.clear();
        }
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
        let waiter = self.lanes[id].front.fall_back()?;
        self.queue(id);
        Some(waiter)
    }

    /// Lets the front of a lane wait and go again later, in its place. Returns false, and ends
    /// its turn, if nobody waits for it any more.
    pub fn pause(&mut self, id: LaneId, now: Instant, cause: Error, random: &mut Random) -> bool {
        let front = &mut self.lanes[id].front;
        if front.waiters.is_empty() {
            self.finish(id);
            return false;
        }
        let least = cause.pause().unwrap_or_default();
        front.cause = Some(Box::new(cause));
        front.refusals = front.refusals.saturating_add(1);
        let pause = growing(front.refusals, random);
        self.rest(id, now + pause.max(least));
        true
    }

    fn rest(&mut self, id: LaneId, until: Instant) {
        self.lanes[id].state = State::Paused(until);
        self.timers.at_latest(id, until);
    }

    /// Puts what was in a batch back into its place: its server passes nothing at the moment.
    /// Returns how many wait on.
    pub fn put_back(&mut self, lanes: &[LaneId], cause: &Error) -> usize {
        self.wait_on(lanes, cause, |sequencer, id| sequencer.queue_first(id))
    }

    /// The connection was lost with this in a batch. What met that twice is a suspect: it goes
    /// with suspects alone, half of them at a time, and then after pauses that grow, so that others have their
    /// turn meanwhile.
    pub fn lost(&mut self, lanes: &[LaneId], cause: &Error, now: Instant, random: &mut Random) -> usize {
        self.wait_on(lanes, cause, |sequencer, id| {
            let front = &mut sequencer.lanes[id].front;
            front.losses = front.losses.saturating_add(1);
            match front.losses.saturating_sub(SUSPECT_AFTER) {
                0 => sequencer.queue_first(id),
                times => sequencer.rest(id, now + growing(times, random)),
            }
        })
    }

    fn wait_on(
        &mut self,
        lanes: &[LaneId],
        cause: &Error,
        mut wait: impl FnMut(&mut Sequencer<A>, LaneId),
    ) -> usize {
        let cause = Box::new(cause.clone());
        let mut count = 0;
        // The first one is put at the head last.
        for &id in lanes.iter().rev() {
            let front = &mut self.lanes[id].front;
            if front.waiters.is_empty() {
                // Its callers were told of its failure; somebody else may have written since.
                self.finish(id);
                continue;
            }
            front.cause = Some(cause.clone());
            count += 1;
            wait(self, id);
        }
        count
    }

    /// Looks at the lanes whose time had come at `now`: pauses that are over end, and everyone
    /// whose deadline has passed is given to `expired`, with the group of the key, and why the last
    /// attempt failed, its own or that of the turn it waits for. Turns that nobody waits for any
    /// more are dropped unless they are in a batch.
    pub fn look(
        &mut self,
        now: Instant,
        budget: &mut Budget,
        mut expired: impl FnMut(usize, Waiter<A>, &Turn<A>, Option<&Error>),
    ) {
        while budget.is_left() {
            let Some(id) = self.timers.pop_due(now) else { return };
            budget.spend(1, 0);
            // The number may be that of a lane that is no more.
            let Some(lane) = self.lanes.get_mut(id) else { continue };
            let group = self.queues.group_of(&lane.key);
            let mut seen = 0;
            let mut empty = false;
            let mut look_at = |turn: &mut Turn<A>, before: Option<&Error>| {
                seen += turn.waiters.len();
                if turn.is_late(now) {
                    turn.expire(now, |waiter, turn| {
                        budget.spend(1, 0);
                        expired(group, waiter, turn, turn.cause.as_deref().or(before));
                    });
                }
                empty |= turn.waiters.is_empty();
            };
            look_at(&mut lane.front, None);
            let before = lane.front.cause.as_deref();
            lane.rest.iter_mut().for_each(|turn| look_at(turn, before));
            if empty {
                lane.rest.retain(|turn| !turn.waiters.is_empty());
            }
            let is_over = matches!(lane.state, State::Paused(until) if until <= now);
            if lane.front.waiters.is_empty() && lane.state != State::InFlight {
                if let State::Queued(_) = lane.state {
                    self.leave_queue();
                }
                self.finish(id);
            } else if is_over {
                self.queue(id);
            }
            self.look_again(id, now, seen);
        }
    }

    /// Sets the time of the next look at a lane, if there is one.
    fn look_again(&mut self, id: LaneId, now: Instant, seen: usize) {
        let Some(lane) = self.lanes.get(id) else { return };
        let turns = std::iter::once(&lane.front).chain(&lane.rest);
        let deadline = turns.flat_map(|turn| &turn.waiters).map(|waiter| waiter.deadline).min();
        let pause = LOOK_PAUSE + LOOK_PAUSE_EACH * u32::try_from(seen).unwrap_or(u32::MAX);
        let mut next = deadline.map(|deadline| deadline.max(now + pause));
        if let State::Paused(until) = lane.state {
            next = next.into_iter().chain([until]).min();
        }
        if let Some(next) = next {
            self.timers.at_latest(id, next);
        }
    }

    /// The entry of a lane that is in a queue counts no more.
    fn leave_queue(&mut self) {
        if self.queues.left() {
            let lanes = &self.lanes;
            self.queues.retain(|entry| counts(lanes, entry));
        }
    }

    /// When there is something to look at.
    pub fn next_look(&mut self) -> Option<Instant> {
        self.timers.next()
    }

    /// Ends every lane, whatever its state; for the end of the connector.
    pub fn drain(&mut self, mut each: impl FnMut(Turn<A>)) {
        for lane in self.lanes.drain() {
            each(lane.front);
            lane.rest.into_iter().for_each(&mut each);
        }
        self.by_key.clear();
        self.queues.clear();
        self.timers.clear();
    }

    /// Ends turns that wait for a connection, for a server that refuses us.
    pub fn drain_queued(&mut self, budget: &mut Budget, mut each: impl FnMut(Turn<A>)) {
        while budget.is_left() {
            // Taking a front off may queue the lane again, for another kind.
            let Some((group, queue, id)) = self.any_queued() else { return };
            self.queues.pop(group, queue);
            budget.spend(1, 0);
            each(self.finish(id));
        }
    }

    fn any_queued(&mut self) -> Option<(usize, Queue, LaneId)> {
        let places = (0..self.queues.groups()).flat_map(|group| Queue::ALL.map(|queue| (group, queue)));
        places.into_iter().find_map(|(group, queue)| Some((group, queue, self.first(group, queue)?)))
    }
}

/// Whether an entry of a queue is that of a lane which is in it.
fn counts<A>(lanes: &Slab<Lane<A>>, entry: Entry) -> bool {
    lanes.get(entry.id).is_some_and(|lane| lane.state == State::Queued(entry.place))
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

    use super::super::clock::Clock;

    /// A sequencer whose waiters are numbers, with one clock.
    struct Bench {
        sequencer: Sequencer<u32>,
        start: Instant,
        random: Random,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                sequencer: Sequencer::new(Box::new(|key| usize::from(key.starts_with('2')))),
                start: Instant::now(),
                random: Random::from_seed(1),
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
            self.take_at_most(kind, 100, usize::MAX)
        }

        fn take_at_most(&mut self, kind: Kind, records: usize, bytes: usize) -> Batch {
            self.sequencer.take_batch(0, Queue::Kind(kind), Room { records, bytes }, self.start)
        }

        fn take_suspect(&mut self) -> Batch {
            let room = Room { records: 1, bytes: usize::MAX };
            self.sequencer.take_batch(0, Queue::Suspects, room, self.start)
        }

        fn has(&mut self, kind: Kind) -> bool {
            self.sequencer.has_queued(0, Queue::Kind(kind))
        }

        /// The connection is lost with a batch; how many wait on.
        fn lose(&mut self, batch: &Batch) -> usize {
            self.sequencer.lost(&batch.lanes, &loss(), self.start, &mut self.random)
        }

        fn pause(&mut self, lane: LaneId) -> bool {
            let passing = Error::transient(ErrorCode::Backend, "locked");
            self.sequencer.pause(lane, self.start, passing, &mut self.random)
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
            let clock = Clock::by_hand();
            let mut budget = Budget::new(&clock, clock.now());
            self.sequencer
                .look(now, &mut budget, |_, waiter, turn, _| expired.push((waiter.address, turn.sent)));
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
        let other = bench.sequencer.take_batch(
            1,
            Queue::Kind(Kind::Set),
            Room { records: 9, bytes: 99 },
            bench.start,
        );
        assert_eq!(versions(&other), [("2a", 2)]);
        bench.set("2a", 4);
        assert_eq!(versions(&bench.take(Kind::Set)), [("a", 1), ("b", 3)]);
        assert!(!bench.sequencer.has_queued(1, Queue::Kind(Kind::Set)));
        assert_eq!(bench.finish(other), [2]);
        assert!(bench.sequencer.has_queued(1, Queue::Kind(Kind::Set)));
    }

    #[test]
    fn a_lane_is_in_one_batch_at_a_time() {
        let mut bench = Bench::new();
        bench.set("a", 1);
        bench.get("a", 2);
        bench.set("a", 3);
        bench.set("b", 4);
        assert!(!bench.has(Kind::Get));
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 1), ("b", 4)]);
        assert!(!bench.has(Kind::Get) && !bench.has(Kind::Set));
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
            assert!(!bench.has(Kind::Get));
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
        assert_eq!(bench.take_at_most(Kind::Set, 100, 6).lanes.len(), 2);
        assert_eq!(bench.take_at_most(Kind::Set, 100, 1).lanes.len(), 1);
        assert_eq!(bench.take_at_most(Kind::Set, 100, 1).lanes.len(), 1);
        for (address, key) in (1..).zip(["e", "f", "g"]) {
            bench.get(key, address);
        }
        assert_eq!(bench.take_at_most(Kind::Get, 2, usize::MAX).lanes.len(), 2);
        assert_eq!(bench.take_at_most(Kind::Get, 2, usize::MAX).lanes.len(), 1);
    }

    #[test]
    fn what_was_under_way_goes_first_again() {
        let mut bench = Bench::new();
        bench.set("a", 1);
        let lost = bench.take(Kind::Set);
        bench.set("a", 2);
        bench.get("a", 3);
        assert_eq!(bench.lose(&lost), 1);
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
        let sets = bench.take(Kind::Set);
        bench.lose(&sets);
        assert_eq!(bench.set("a", 2), Placed::Alone);
        assert_eq!(bench.expire(2000), [(1, true), (2, false)]);
        assert!(bench.sequencer.is_empty());
        assert!(!bench.has(Kind::Set));
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
        assert!(!bench.has(Kind::Get));
        assert!(!bench.pause(sets.lanes[1]));
        assert_eq!(bench.sequencer.put_back(&sets.lanes[..1], &loss()), 0);
        assert!(!bench.has(Kind::Set));
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
        assert!(bench.pause(sets.lanes[0]));
        assert!(!bench.has(Kind::Get));
        assert!(bench.expire(9).is_empty());
        assert!(!bench.has(Kind::Set), "a pause is at least half as long as it may be");
        assert!(bench.expire(20).is_empty());
        let sets = bench.take(Kind::Set);
        assert_eq!(bench.finish(sets), [1]);
        assert!(bench.has(Kind::Get));
    }

    #[test]
    fn what_a_server_refuses_for_a_while_keeps_its_order() {
        let mut bench = Bench::new();
        for (address, key) in (1..).zip(["a", "b", "c", "d"]) {
            bench.set(key, address);
        }
        let sets = bench.take_at_most(Kind::Set, 3, usize::MAX);
        assert_eq!(bench.sequencer.put_back(&sets.lanes, &loss()), 3);
        let sets = bench.take(Kind::Set);
        assert_eq!(versions(&sets), [("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
    }

    #[test]
    fn what_was_lost_twice_goes_alone_and_then_after_pauses() {
        let mut bench = Bench::new();
        for (address, key) in (1..).zip(["a", "b"]) {
            bench.set(key, address);
        }
        for _ in 0..SUSPECT_AFTER {
            assert!(bench.take_suspect().lanes.is_empty());
            let sets = bench.take(Kind::Set);
            assert_eq!(versions(&sets), [("a", 1), ("b", 2)]);
            assert_eq!(bench.lose(&sets), 2);
        }
        bench.set("c", 3);
        assert_eq!(versions(&bench.take(Kind::Set)), [("c", 3)]);
        let suspect = bench.take_suspect();
        assert_eq!(versions(&suspect), [("a", 1)]);
        assert_eq!(bench.lose(&suspect), 1);
        let other = bench.take_suspect();
        assert_eq!(versions(&other), [("b", 2)]);
        assert_eq!(bench.finish(other), [2]);
        assert!(!bench.sequencer.has_queued(0, Queue::Suspects), "it rests");
        bench.expire(20);
        assert_eq!(versions(&bench.take_suspect()), [("a", 1)]);
    }

    #[test]
    fn half_of_what_was_lost_twice_goes_together() {
        let mut bench = Bench::new();
        for (address, key) in (1..).zip(["a", "b", "c", "d"]) {
            bench.set(key, address);
        }
        for _ in 0..SUSPECT_AFTER {
            let sets = bench.take(Kind::Set);
            assert_eq!(bench.lose(&sets), 4);
        }
        let records = bench.sequencer.half_of_suspects(0);
        assert_eq!(records, 2);
        let room = Room { records, bytes: usize::MAX };
        let suspects = bench.sequencer.take_batch(0, Queue::Suspects, room, bench.start);
        assert_eq!(versions(&suspects), [("a", 1), ("b", 2)]);
        assert_eq!(bench.finish(suspects), [1, 2]);
        assert_eq!(bench.sequencer.half_of_suspects(0), 1);
    }

    #[test]
    fn suspects_of_one_kind_go_together() {
        let mut bench = Bench::new();
        bench.push("a", set(1), 1, 100);
        bench.push("b", Operation::Delete, 2, 100);
        for _ in 0..SUSPECT_AFTER {
            let (sets, deletes) = (bench.take(Kind::Set), bench.take(Kind::Delete));
            bench.lose(&sets);
            bench.lose(&deletes);
        }
        let room = Room { records: 2, bytes: usize::MAX };
        let first = bench.sequencer.take_batch(0, Queue::Suspects, room, bench.start);
        assert_eq!(first.lanes.len(), 1);
        let second = bench.sequencer.take_batch(0, Queue::Suspects, room, bench.start);
        assert_eq!(second.lanes.len(), 1);
        assert_ne!(first.kind, second.kind);
    }

    #[test]
    fn a_batch_is_of_the_kind_of_what_was_taken() {
        let mut bench = Bench::new();
        bench.push("a", set(1), 1, 100);
        bench.push("b", Operation::Delete, 2, 1000);
        for _ in 0..SUSPECT_AFTER {
            let (sets, deletes) = (bench.take(Kind::Set), bench.take(Kind::Delete));
            bench.lose(&sets);
            bench.lose(&deletes);
        }
        let now = bench.at(200);
        let room = Room { records: 1, bytes: 100 };
        let suspect = bench.sequencer.take_batch(0, Queue::Suspects, room, now);
        assert_eq!((suspect.kind, &suspect.keys), (Some(Kind::Delete), &vec![Key::from("b")]));
    }

    #[test]
    fn what_is_too_late_is_left_behind() {
        let mut bench = Bench::new();
        bench.push("a", set(1), 1, 100);
        bench.push("b", set(2), 2, 200);
        let now = bench.at(150);
        let room = Room { records: 10, bytes: 100 };
        let sets = bench.sequencer.take_batch(0, Queue::Kind(Kind::Set), room, now);
        assert_eq!(versions(&sets), [("b", 2)]);
        assert_eq!(bench.expire(150), [(1, false)]);
        assert_eq!(bench.finish(sets), [2]);
        assert!(bench.sequencer.is_empty());
    }

    #[test]
    fn memory_is_given_back_after_a_burst() {
        let mut bench = Bench::new();
        for address in 0..2 * MAX_KEPT_LANES as u32 {
            bench.set(&format!("key{address}"), address);
        }
        while bench.has(Kind::Set) {
            let sets = bench.take(Kind::Set);
            bench.finish(sets);
        }
        assert!(bench.sequencer.is_empty());
        assert!(bench.sequencer.lanes.capacity() <= MAX_KEPT_LANES);
        assert_eq!(bench.sequencer.next_look(), None);
    }

    #[test]
    fn a_batch_looks_at_no_more_than_it_may_take() {
        let mut bench = Bench::new();
        for (key, address) in [("a", 1), ("b", 2), ("c", 3)] {
            bench.push(key, set(1), address, 100);
        }
        let room = Room { records: 2, bytes: usize::MAX };
        let later = bench.start + Duration::from_millis(200);
        let batch = bench.sequencer.take_batch(0, Queue::Kind(Kind::Set), room, later);
        assert_eq!((batch.seen, batch.lanes.len()), (2, 0));
        assert!(bench.has(Kind::Set));
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
        let later = Error::transient(ErrorCode::Backend, "locked").after(Duration::from_millis(500));
        assert!(bench.sequencer.pause(sets.lanes[1], bench.start, later, &mut bench.random));
        assert_eq!(bench.expire(200), [(2, false), (4, true)]);
        // What was behind the paused one goes at once.
        assert_eq!(bench.take(Kind::Get).keys, [Key::from("b")]);
        bench.sequencer.finish(sets.lanes[0]);
        assert!(!bench.has(Kind::Delete));
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
        let clock = Clock::by_hand();
        bench.sequencer.drain_queued(&mut Budget::new(&clock, clock.now()), note);
        assert_eq!(refused, [3, 4, 5]);
        assert_eq!(bench.finish(sets), [1]);
        let mut rest = Vec::new();
        bench.sequencer.drain(|turn| rest.extend(turn.waiters.iter().map(|waiter| waiter.address)));
        assert_eq!(rest, [2]);
        assert!(bench.sequencer.is_empty());
    }
}
