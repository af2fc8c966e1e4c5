//! The books: what was asked for, what was sent, what came back. Checks read them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use deepstream_connector::core::{Applied, Error, ErrorCode};

use crate::scenario::{Kind, Reaction};
use crate::time::Nanos;

/// The number of an operation; that of a set is one less than the version it stores.
pub type OpId = usize;

/// One operation on one key.
pub struct Op {
    pub request: usize,
    pub key: usize,
    pub kind: Kind,
    /// Its place among all operations on its key.
    pub position: usize,
    pub submitted: Nanos,
    pub deadline: Nanos,
    /// How often it was given to a connection.
    pub sent: u32,
    /// How often a connection was lost with it.
    pub losses: u32,
    /// It was given to one, or shared the turn of what was.
    pub is_covered: bool,
    /// A read of its kind and key was part of something of whose parts nobody hears before its end:
    /// which of them a batch is for is not known.
    pub is_doubtful: bool,
    /// The server was told of it, and its answer is in our socket since then.
    pub answered_at: Option<Nanos>,
    /// A read has seen what it wrote.
    pub is_observed: bool,
    pub fate: Fate,
}

/// What became of an operation, as the host was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Open,
    Done,
    Failed { code: ErrorCode, may_be_applied: bool },
}

impl Fate {
    /// What an error says about a write.
    pub fn of_error(error: &Error) -> Fate {
        Fate::Failed { code: error.code(), may_be_applied: error.applied() == Applied::Unknown }
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    One,
    Many,
    Scan { limit: usize },
    Command,
}

/// One request, of any number of operations.
pub struct Request {
    pub subject: Subject,
    pub first: OpId,
    pub count: usize,
    /// What it takes of the limits.
    pub operations: usize,
    pub bytes: usize,
    pub reaction: Option<Reaction>,
    pub is_open: bool,
    /// How often a command was carried out, and whether it was sent.
    pub carried_out: u32,
    pub sent: u32,
    /// It is there to see that all is well again.
    pub is_probe: bool,
}

/// Everything on one key.
#[derive(Default)]
pub struct Lane {
    pub history: Vec<OpId>,
    /// Those whose callers have not heard.
    pub open: VecDeque<OpId>,
    /// The places of acknowledged writes.
    pub acknowledged: BTreeSet<usize>,
    /// What each read saw, by its place: one more than the place of the write, or 0.
    pub reads: BTreeMap<usize, usize>,
    /// What lost connections did after all.
    pub late_sets: Vec<OpId>,
    pub has_late_delete: bool,
    /// How often a connection was lost with something on it in flight; of several that share a turn
    /// each counts.
    pub losses: u32,
}

/// See the module.
pub struct Ledger {
    pub ops: Vec<Op>,
    pub requests: Vec<Request>,
    pub lanes: Vec<Lane>,
    pub open_requests: usize,
    pub open_operations: usize,
    pub open_bytes: usize,
    /// How many operations were open on one key at the most.
    pub most_on_a_key: usize,
    /// How many records were wanted of pages, so far.
    pub scanned: usize,
    /// By node: how many operations are open there.
    pub open_in: Vec<usize>,
    /// … and were at the most.
    pub most_open_in: Vec<usize>,
}

impl Ledger {
    pub fn new(keys: usize, nodes: usize) -> Ledger {
        Ledger {
            ops: Vec::new(),
            requests: Vec::new(),
            lanes: (0..keys).map(|_| Lane::default()).collect(),
            open_requests: 0,
            open_operations: 0,
            open_bytes: 0,
            most_on_a_key: 0,
            scanned: 0,
            open_in: vec![0; nodes],
            most_open_in: vec![0; nodes],
        }
    }

    /// The number of the next request.
    pub fn next_request(&self) -> usize {
        self.requests.len()
    }

    /// Writes an accepted request down; its operations follow by [`enter`](Self::enter).
    pub fn open(&mut self, request: Request) {
        self.open_requests += 1;
        self.open_operations += request.operations;
        self.open_bytes += request.bytes;
        self.requests.push(request);
    }

    /// Writes down an operation of the newest request.
    pub fn enter(&mut self, key: usize, kind: Kind, submitted: Nanos, deadline: Nanos) -> OpId {
        let id = self.ops.len();
        let is_like = |op: &OpId| {
            let other = &self.ops[*op];
            other.kind.number() == kind.number() && self.requests[other.request].subject == Subject::Many
        };
        let is_doubtful = kind.is_read() && self.lanes[key].open.iter().any(is_like);
        let lane = &mut self.lanes[key];
        let position = lane.history.len();
        lane.history.push(id);
        lane.open.push_back(id);
        self.most_on_a_key = self.most_on_a_key.max(lane.open.len());
        // Keys that are at one node stay together, wherever that is.
        let node = key % self.open_in.len();
        self.open_in[node] += 1;
        self.most_open_in[node] = self.most_open_in[node].max(self.open_in[node]);
        self.ops.push(Op {
            request: self.requests.len() - 1,
            key,
            kind,
            position,
            submitted,
            deadline,
            sent: 0,
            losses: 0,
            is_covered: false,
            is_doubtful,
            answered_at: None,
            is_observed: false,
            fate: Fate::Open,
        });
        id
    }

    /// The host was called back.
    pub fn close(&mut self, request: usize) {
        let request = &mut self.requests[request];
        request.is_open = false;
        self.open_requests -= 1;
        self.open_operations -= request.operations;
        self.open_bytes -= request.bytes;
    }

    /// An operation is sent: for itself and its neighbours of the same kind, a set for those before
    /// it alone. Gives out all of them.
    pub fn cover(&mut self, op: OpId) -> Vec<OpId> {
        let (key, kind) = (self.ops[op].key, self.ops[op].kind.number());
        let open = &self.lanes[key].open;
        let Some(place) = open.iter().position(|&other| other == op) else { return Vec::new() };
        let is_of_kind = |other: &&OpId| self.ops[**other].kind.number() == kind;
        let before = open.range(..place).rev().take_while(is_of_kind);
        let behind = open.range(place..).take_while(is_of_kind);
        let count = if matches!(self.ops[op].kind, Kind::Set { .. }) { 1 } else { usize::MAX };
        let covered: Vec<OpId> = before.chain(behind.take(count)).copied().collect();
        for &op in &covered {
            self.ops[op].is_covered = true;
        }
        covered
    }

    /// The caller of an operation has heard.
    pub fn settle(&mut self, op: OpId, fate: Fate) {
        let lane = &mut self.lanes[self.ops[op].key];
        if lane.open.front() == Some(&op) {
            lane.open.pop_front();
        } else {
            lane.open.retain(|&other| other != op);
        }
        let node = self.ops[op].key % self.open_in.len();
        self.open_in[node] -= 1;
        self.ops[op].fate = fate;
    }

    /// The set that stored a version.
    pub fn set_of_version(&self, version: i64) -> Option<OpId> {
        let op = usize::try_from(version).ok()?.checked_sub(1)?;
        (op < self.ops.len()).then_some(op)
    }
}

/// The version that a set stores.
pub fn version_of(op: OpId) -> i64 {
    op as i64 + 1
}
