//! Order: one lane for each key with unanswered operations, first in, first out.
//!
//! The operation at the front of a lane is the only one that may be in a batch, so everything
//! on one key happens in the order of its submission. Neighbours of one kind that still wait
//! share one turn: the last `set` of several is the one that is stored, and one read answers
//! several callers.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Instant;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use smallvec::SmallVec;

use super::error::Error;
use super::record::{Key, Record};
use super::request::{Kind, Operation};

/// A lane's place; it stays valid as long as the lane has a turn in a batch.
pub(super) type LaneId = usize;

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
    /// It was given to a connection at least once, so it may have been carried out.
    pub sent: bool,
    /// Why the last attempt failed.
    pub cause: Option<Error>,
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
    queues: [VecDeque<LaneId>; 4],
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
    pub fn new() -> Sequencer<A> {
        Sequencer {
            lanes: Slab::new(),
            by_key: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            queues: Default::default(),
            paused: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether a lane of this kind is waiting for a batch.
    pub fn has_queued(&self, kind: Kind) -> bool {
        !self.queues[kind as usize].is_empty()
    }

    /// Puts an operation at the end of its key's lane.
    pub fn push(&mut self, key: Key, operation: Operation, waiter: Waiter<A>) -> Placed {
        let hash = self.hasher.hash_one(&*key);
        let lanes = &self.lanes;
        if let Some(&id) = self.by_key.find(hash, |&id| *lanes[id].key == *key) {
            return self.lanes[id].push(operation, waiter);
        }
        let kind = operation.kind();
        let mut waiters = SmallVec::new();
        waiters.push(waiter);
        let front = Turn { operation, waiters, sent: false, cause: None };
        let id = self.lanes.insert(Lane { key, hash, state: State::Queued, front, rest: VecDeque::new() });
        let lanes = &self.lanes;
        self.by_key.insert_unique(hash, id, |&id| lanes[id].hash);
        self.queues[kind as usize].push_back(id);
        Placed::Alone
    }

    /// Takes the next batch of one kind, of at most so many records and bytes.
    pub fn take_batch(&mut self, kind: Kind, max_records: usize, max_bytes: usize) -> Batch {
        let queue = &mut self.queues[kind as usize];
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
        self.queues[lane.front.operation.kind() as usize].push_back(id);
        done
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
        lane.front.cause = Some(cause);
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
                    self.queues[lane.front.operation.kind() as usize].push_back(id);
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
            lane.front.cause = Some(cause.clone());
            self.queues[lane.front.operation.kind() as usize].push_back(id);
            count += 1;
        }
        count
    }

    /// Gives everyone whose deadline has passed to `expired`, drops turns that nobody waits for
    /// any more unless they are in a batch, and returns the earliest deadline left.
    pub fn expire(&mut self, now: Instant, mut expired: impl FnMut(Waiter<A>, &Turn<A>)) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        let ids: Vec<LaneId> = self.lanes.iter().map(|(id, _)| id).collect();
        let mut dropped = false;
        for id in ids {
            let lane = &mut self.lanes[id];
            let mut empty = false;
            for turn in std::iter::once(&mut lane.front).chain(&mut lane.rest) {
                if turn.waiters.iter().any(|waiter| waiter.deadline <= now) {
                    for waiter in std::mem::take(&mut turn.waiters) {
                        if waiter.deadline <= now {
                            expired(waiter, turn);
                        } else {
                            turn.waiters.push(waiter);
                        }
                    }
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
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.paused = 0;
    }

    /// Ends the turns that wait for a connection, for a server that refuses us.
    pub fn drain_queued(&mut self, mut each: impl FnMut(Turn<A>)) {
        // Taking a front off may queue the lane again, for another kind.
        while let Some(id) = self.queues.iter_mut().find_map(VecDeque::pop_front) {
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
        for kind in Kind::ALL {
            self.queues[kind as usize].retain(|&id| {
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
}

impl<A> Turn<A> {
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
                last.operation = operation;
                last.waiters.push(waiter);
                return Placed::Coalesced;
            }
        }
        let mut waiters = SmallVec::new();
        waiters.push(waiter);
        self.rest.push_back(Turn { operation, waiters, sent: false, cause: None });
        Placed::Alone
    }
}
