//! Nothing starves: not a kind of operation behind another one, not a key behind others.

use std::collections::BTreeMap;

use crate::failure::{expect, Checked};
use crate::ledger::{Fate, Ledger, OpId};
use crate::time::{words, Nanos, MILLI};

/// So many batches of the other kind of its class may go before an operation that could.
const OVERTAKEN: u32 = 2;

/// So much is taken in by one turn.
const TURN_BYTES: usize = 8 << 20;

/// Who could go, and what went.
pub struct Rotation {
    groups: Vec<Group>,
    turn: u64,
    /// Reads are held back since there is no room for their answers.
    pub is_full: bool,
}

#[derive(Default)]
struct Group {
    /// By kind: the operations at the front of their lanes that were never sent, with the turn
    /// since when the engine knows them.
    waiting: [BTreeMap<OpId, u64>; 4],
    /// By class: the last kind, and how many of it went while the other one waited.
    runs: [(usize, u32); 2],
}

impl Rotation {
    pub fn new(groups: usize) -> Rotation {
        Rotation { groups: (0..groups).map(|_| Group::default()).collect(), turn: 0, is_full: false }
    }

    /// The engine has had a turn.
    pub fn turned(&mut self) {
        self.turn += 1;
    }

    /// An operation is at the front of its lane.
    pub fn enters(&mut self, group: usize, kind: usize, op: OpId, open_bytes: usize) {
        let known = self.turn + 2 + (open_bytes / TURN_BYTES) as u64;
        self.groups[group].waiting[kind].insert(op, known);
    }

    /// It was sent, or has ended.
    pub fn leaves(&mut self, group: usize, kind: usize, op: OpId) {
        self.groups[group].waiting[kind].remove(&op);
    }

    /// Another connection: nothing has gone there yet.
    pub fn restart(&mut self) {
        self.groups.iter_mut().for_each(|group| group.runs = Default::default());
    }

    /// Keys are elsewhere.
    pub fn forget(&mut self) {
        self.groups.iter_mut().for_each(|group| *group = Group::default());
    }
}

/// A batch of a kind is sent to a group, while some keys are in other batches.
pub fn nothing_is_overtaken(
    ledger: &Ledger,
    rotation: &mut Rotation,
    (group, kind): (usize, usize),
    busy: &[usize],
    now: Nanos,
) -> Checked {
    let (turn, is_full) = (rotation.turn, rotation.is_full);
    let group = &mut rotation.groups[group];
    let other = kind ^ 1;
    let could_go = |(&op, &known): (&OpId, &u64)| {
        let it = &ledger.ops[op];
        let may_go = known < turn && it.deadline > now && it.fate == Fate::Open;
        (may_go && !busy.contains(&it.key)).then_some(op)
    };
    let waiting = group.waiting[other].iter().find_map(could_go).filter(|_| !(is_full && other == 0));
    let run = &mut group.runs[kind / 2];
    *run = match (waiting, run.0 == kind) {
        (Some(_), true) => (kind, run.1 + 1),
        (Some(_), false) => (kind, 1),
        (None, _) => (kind, 0),
    };
    let count = run.1;
    expect(count <= OVERTAKEN, "nothing_is_overtaken", || {
        format!(
            "{count} batches of kind {kind} went one after the other, and {waiting:?} of kind {other} waits"
        )
    })
}

/// A batch of so many is sent while so many are under way; one of all these was in flight at two
/// losses of the connection.
pub fn what_was_lost_twice_goes_alone(suspect: Option<OpId>, sent: usize, others: usize) -> Checked {
    expect(suspect.is_none(), "what_was_lost_twice_goes_alone", || {
        format!("{suspect:?} is one of {sent} that are sent beside {others}")
    })
}

/// So many batches may find out together that a server refuses, and so many more while pauses are
/// short; then there is one in each pause.
const REFUSALS: u64 = 24;

/// The shortest of the pauses once they have grown.
const PAUSE: Nanos = 400 * MILLI;

/// A server has refused so many batches, and nothing else, for so long.
pub fn a_server_that_refuses_is_left_alone(refusals: u64, lasts: Nanos) -> Checked {
    let most = REFUSALS + lasts / PAUSE;
    expect(refusals <= most, "a_server_that_refuses_is_left_alone", || {
        format!("it was asked {refusals} times within {}, {most} at most", words(lasts))
    })
}
