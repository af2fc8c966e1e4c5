//! Nothing starves: not a kind of operation behind another one, not a key behind others.

use std::collections::BTreeMap;

use crate::failure::{expect, Checked};
use crate::ledger::{Fate, Ledger, OpId};
use crate::time::{words, Nanos, MILLI};

/// So many batches of the other kind of its class may go before an operation that could.
const OVERTAKEN: u32 = 2;

/// So many batches of younger operations of its own kind may go before an operation.
const PASSED: u32 = 4;

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
    /// since when the engine knows them, and whether they were there when they were submitted.
    waiting: [BTreeMap<OpId, (u64, bool)>; 4],
    /// By kind: who waits longest, and how many batches of its kind went without it.
    eldest: [Option<(OpId, u32)>; 4],
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

    /// An operation is at the front of its lane; it may have been there from its submission on.
    pub fn enters(&mut self, (group, kind): (usize, usize), op: OpId, is_new: bool, open_bytes: usize) {
        let known = self.turn + 2 + (open_bytes / TURN_BYTES) as u64;
        self.groups[group].waiting[kind].insert(op, (known, is_new));
    }

    /// It was sent, or has ended.
    pub fn leaves(&mut self, group: usize, kind: usize, op: OpId) {
        self.groups[group].waiting[kind].remove(&op);
    }

    /// Another connection: nothing has gone there yet.
    pub fn restart(&mut self) {
        for group in &mut self.groups {
            group.runs = Default::default();
            group.eldest = Default::default();
        }
    }

    /// Something of a kind went of which it is not known whether it had a turn of its own.
    pub fn begin_run(&mut self, group: usize, kind: usize) {
        self.groups[group].runs[kind / 2] = (kind, 0);
    }

    /// Those of a group and kind who could go.
    pub fn waiting(&self, group: usize, kind: usize) -> impl Iterator<Item = OpId> + '_ {
        self.groups[group].waiting[kind].keys().copied()
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
    let could_go = |(&op, &(known, _)): (&OpId, &(u64, bool))| {
        let it = &ledger.ops[op];
        let may_go = known < turn && it.deadline > now && it.fate == Fate::Open;
        // It may share the turn of something that goes alone.
        let is_known = ledger.lanes[it.key].losses == 0 && !busy.contains(&it.key);
        (may_go && is_known).then_some(op)
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

/// A batch of a kind is sent to a group, with these operations in it.
pub fn who_waits_longest_goes_first(
    ledger: &Ledger,
    rotation: &mut Rotation,
    (group, kind): (usize, usize),
    sent: &[OpId],
    now: Nanos,
) -> Checked {
    let turn = rotation.turn;
    let group = &mut rotation.groups[group];
    // What waited behind another operation has come to the end of a queue that we do not know.
    let could_go = |(&op, &(known, is_new)): (&OpId, &(u64, bool))| {
        let it = &ledger.ops[op];
        (is_new && known < turn && it.deadline > now && it.fate == Fate::Open).then_some(op)
    };
    let eldest = group.waiting[kind].iter().find_map(could_go);
    let before = group.eldest[kind].filter(|&(op, _)| Some(op) == eldest).map_or(0, |(_, count)| count);
    // What shares the turn of an older one, or waited behind another one, has that one's place.
    let is_new = |op: &OpId| group.waiting[kind].get(op).is_some_and(|&(_, is_new)| is_new);
    let are_younger = eldest.is_some_and(|eldest| sent.iter().all(|op| *op > eldest && is_new(op)));
    let passed = before + u32::from(are_younger);
    group.eldest[kind] = eldest.map(|op| (op, passed));
    expect(eldest.is_none() || passed <= PASSED, "who_waits_longest_goes_first", || {
        format!("{passed} younger batches of kind {kind} went before {eldest:?}, which has waited longest")
    })
}

/// The engine has nothing to do, and this could go: so many batches of its class are under way.
pub fn what_could_go_has_gone(waits: Option<OpId>, under_way: usize, most: usize) -> Checked {
    expect(waits.is_none() || under_way >= most, "what_could_go_has_gone", || {
        format!("{waits:?} waits, and {under_way} batches of its class are under way, where {most} may be")
    })
}

/// A batch of so many is sent while so many are under way; one of all these was in flight at two
/// losses of the connection, as `waiting` others may have been that have no answer.
pub fn what_was_lost_twice_goes_apart(
    suspect: Option<OpId>,
    sent: usize,
    others: usize,
    waiting: usize,
) -> Checked {
    expect(suspect.is_none(), "what_was_lost_twice_goes_apart", || {
        format!("{suspect:?} is one of {sent} that are sent beside {others}, while {waiting} may be suspects")
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
