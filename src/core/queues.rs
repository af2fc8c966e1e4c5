//! Where lanes wait for a batch: a queue for each group of keys and each kind of operation.

use std::collections::VecDeque;

use super::record::Key;
use super::request::Kind;

/// A lane's place in the sequencer; it stays valid as long as the lane has a turn in a batch.
pub(super) type LaneId = usize;

/// Says which group a key is in; see [`Backend::group_of`](super::Backend::group_of).
pub(super) type GroupOf = Box<dyn Fn(&Key) -> usize + Send>;

/// More groups than this share.
const MAX_GROUPS: usize = 256;

/// The queues of all groups. A group comes into being with its first lane.
pub(super) struct Queues {
    groups: Vec<[VecDeque<LaneId>; 4]>,
    group_of: GroupOf,
}

impl Queues {
    pub fn new(group_of: GroupOf) -> Queues {
        Queues { groups: vec![Default::default()], group_of }
    }

    /// Puts a lane at the end of its queue.
    pub fn push(&mut self, key: &Key, kind: Kind, id: LaneId) {
        let group = self.group_of(key);
        if group >= self.groups.len() {
            self.groups.resize_with(group + 1, Default::default);
        }
        self.groups[group][kind as usize].push_back(id);
    }

    /// The group of a key at this moment.
    pub fn group_of(&self, key: &Key) -> usize {
        (self.group_of)(key) % MAX_GROUPS
    }

    /// How many groups there were at the most.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Whether a lane of this group and kind is waiting.
    pub fn has(&self, group: usize, kind: Kind) -> bool {
        !self.groups[group][kind as usize].is_empty()
    }

    pub fn queue(&mut self, group: usize, kind: Kind) -> &mut VecDeque<LaneId> {
        &mut self.groups[group][kind as usize]
    }

    /// Takes any lane off.
    pub fn pop(&mut self) -> Option<LaneId> {
        self.groups.iter_mut().flatten().find_map(VecDeque::pop_front)
    }

    /// Drops the lanes that are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(LaneId, Kind) -> bool) {
        for group in &mut self.groups {
            for kind in Kind::ALL {
                group[kind as usize].retain(|&id| keep(id, kind));
            }
        }
    }

    pub fn clear(&mut self) {
        self.groups.iter_mut().flatten().for_each(VecDeque::clear);
    }
}
