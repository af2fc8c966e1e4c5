//! Where lanes wait for a batch: a queue for each group of keys and each kind of operation, and
//! one for those that are to go alone.
//!
//! A lane that leaves a queue from its middle leaves its entry behind: each time a lane queues it
//! gets a number, and only the entry with that number counts.

use std::collections::VecDeque;

use super::record::Key;
use super::request::Kind;

/// A lane's place in the sequencer; it stays valid as long as the lane has a turn in a batch.
pub(super) type LaneId = usize;

/// Says which group a key is in; see [`Backend::group_of`](super::Backend::group_of).
pub(super) type GroupOf = Box<dyn Fn(&Key) -> usize + Send>;

/// More groups than this share.
const MAX_GROUPS: usize = 256;

/// So many entries that count no more are borne, and so much memory is kept for new ones.
const MAX_STALE: usize = 1 << 14;

/// Which entry of a lane counts.
pub(super) type Place = u64;

/// An entry of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub id: LaneId,
    pub place: Place,
}

/// Which queue of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// For batches of this kind.
    Kind(Kind),
    /// For operations that go alone, since the connection was lost with them again and again.
    Suspects,
}

impl Queue {
    pub const ALL: [Queue; 5] = [
        Queue::Kind(Kind::Get),
        Queue::Kind(Kind::Head),
        Queue::Kind(Kind::Set),
        Queue::Kind(Kind::Delete),
        Queue::Suspects,
    ];

    fn index(self) -> usize {
        match self {
            Queue::Kind(kind) => kind as usize,
            Queue::Suspects => Queue::ALL.len() - 1,
        }
    }
}

/// The queues of all groups. A group comes into being with its first lane.
pub(super) struct Queues {
    groups: Vec<[VecDeque<Entry>; Queue::ALL.len()]>,
    group_of: GroupOf,
    next: Place,
    entries: usize,
    stale: usize,
}

impl Queues {
    pub fn new(group_of: GroupOf) -> Queues {
        Queues { groups: vec![Default::default()], group_of, next: 0, entries: 0, stale: 0 }
    }

    /// Puts a lane at the end of its queue; what is returned tells this entry from others.
    pub fn push(&mut self, key: &Key, queue: Queue, id: LaneId) -> Place {
        let entry = self.entry(id);
        self.queue_of(key, queue).push_back(entry);
        entry.place
    }

    /// Puts a lane at the head of its queue: it was there before.
    pub fn push_front(&mut self, key: &Key, queue: Queue, id: LaneId) -> Place {
        let entry = self.entry(id);
        self.queue_of(key, queue).push_front(entry);
        entry.place
    }

    fn entry(&mut self, id: LaneId) -> Entry {
        self.next += 1;
        self.entries += 1;
        Entry { id, place: self.next }
    }

    fn queue_of(&mut self, key: &Key, queue: Queue) -> &mut VecDeque<Entry> {
        let group = self.group_of(key);
        if group >= self.groups.len() {
            self.groups.resize_with(group + 1, Default::default);
        }
        &mut self.groups[group][queue.index()]
    }

    /// The group of a key at this moment.
    pub fn group_of(&self, key: &Key) -> usize {
        (self.group_of)(key) % MAX_GROUPS
    }

    /// Whether a key that queued in a group is another one's by now: the nodes share the keys anew.
    pub fn has_moved(&self, key: &Key, group: usize) -> bool {
        self.groups.len() > 1 && self.group_of(key) != group
    }

    /// How many groups there were at the most.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The first entry of a queue that counts.
    pub fn front(
        &mut self,
        group: usize,
        queue: Queue,
        mut counts: impl FnMut(Entry) -> bool,
    ) -> Option<LaneId> {
        let queue = self.groups.get_mut(group)?.get_mut(queue.index())?;
        while let Some(&entry) = queue.front() {
            if counts(entry) {
                return Some(entry.id);
            }
            queue.pop_front();
            self.entries -= 1;
            self.stale -= 1;
        }
        if queue.capacity() > MAX_STALE {
            *queue = VecDeque::new();
        }
        None
    }

    /// Takes off what [`front`](Self::front) has shown.
    pub fn pop(&mut self, group: usize, queue: Queue) {
        self.groups[group][queue.index()].pop_front();
        self.entries -= 1;
    }

    /// Whether a group has nothing in its queues at all.
    pub fn are_empty(&self, group: usize) -> bool {
        self.groups[group].iter().all(VecDeque::is_empty)
    }

    /// How many entries a queue has, those that count no more included.
    pub fn len(&self, group: usize, queue: Queue) -> usize {
        self.groups[group][queue.index()].len()
    }

    /// How many of them count, at least.
    pub fn least(&self, group: usize, queue: Queue) -> usize {
        self.len(group, queue).saturating_sub(self.stale)
    }

    /// An entry somewhere counts no more. Returns whether there are too many of that kind, which
    /// [`retain`](Self::retain) drops.
    pub fn left(&mut self) -> bool {
        self.stale += 1;
        self.stale > MAX_STALE && 2 * self.stale > self.entries
    }

    /// Drops the entries that do not count.
    pub fn retain(&mut self, mut counts: impl FnMut(Entry) -> bool) {
        for queue in self.groups.iter_mut().flatten() {
            queue.retain(|&entry| counts(entry));
            queue.shrink_to(MAX_STALE.max(2 * queue.len()));
        }
        self.entries -= self.stale;
        self.stale = 0;
    }

    pub fn clear(&mut self) {
        self.groups.iter_mut().flatten().for_each(|queue| *queue = VecDeque::new());
        self.entries = 0;
        self.stale = 0;
    }
}
