//! What there is between the engine and the servers: sessions, one link of each to every node,
//! and what is exchanged on them.

use std::collections::VecDeque;
use std::task::Waker;

use deepstream_connector::core::{Error, Notice, Page};
use serde_json::Value;

use crate::ledger::OpId;
use crate::scenario::Kind;
use crate::time::Nanos;

/// The engine's connection.
pub struct Session {
    pub links: Vec<Link>,
    pub opened_at: Nanos,
    /// The engine has seen an answer on it that was more than a refusal of everything.
    pub has_answered: bool,
    /// Why it ended, as the engine can see.
    pub lost: Option<Error>,
    /// The engine has let go of it, or it has ended.
    pub is_over: bool,
    /// Wakes who waits for its end, and for news of its nodes: all of one task.
    pub waker: Option<Waker>,
    pub notices: VecDeque<Notice>,
    /// The engine was told in an answer that it ended.
    pub has_failed: bool,
    /// Some of its nodes are away, and the host was told.
    pub is_degraded: bool,
}

impl Session {
    pub fn new(links: Vec<Link>, now: Nanos) -> Session {
        Session {
            links,
            opened_at: now,
            has_answered: false,
            lost: None,
            is_over: false,
            waker: None,
            notices: VecDeque::new(),
            has_failed: false,
            is_degraded: false,
        }
    }
}

/// How a link to a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Up,
    Away,
}

/// A connection to one node.
pub struct Link {
    pub state: LinkState,
    /// The server has ended it, which we have not seen yet.
    pub is_cut: bool,
    /// Tells it from earlier ones.
    pub generation: u64,
    /// Bytes that moved, and those of them that we have seen.
    pub moved: u64,
    pub seen: u64,
    pub last_move: Nanos,
    /// When we last saw that any had moved.
    pub seen_at: Nanos,
    /// How long we had to see to it since then.
    pub awake_at_last_move: Nanos,
    pub unanswered: usize,
    /// Until when bytes are on their way, out and in.
    pub out_free: Nanos,
    pub in_free: Nanos,
    /// When the server has what was sent last.
    pub last_receipt: Nanos,
    /// The pause before it is dialed again.
    pub pause: Nanos,
}

impl Link {
    pub fn new(generation: u64, now: Nanos, awake: Nanos) -> Link {
        Link {
            state: LinkState::Up,
            is_cut: false,
            generation,
            moved: 0,
            seen: 0,
            last_move: now,
            seen_at: now,
            awake_at_last_move: awake,
            unanswered: 0,
            out_free: now,
            in_free: now,
            last_receipt: now,
            pause: 0,
        }
    }
}

/// What is exchanged.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A batch of one kind: the operation, its key, and what it does.
    Batch {
        kind: usize,
        items: Vec<Item>,
    },
    Scan {
        cursor: usize,
        limit: usize,
    },
    Command {
        request: usize,
    },
}

/// One operation in a batch.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub key: usize,
    pub kind: Kind,
    /// The set that gave the value.
    pub op: Option<OpId>,
}

/// A record as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub op: OpId,
    pub bytes: usize,
}

/// What a server says.
#[derive(Clone, Debug)]
pub enum Reply {
    Batch(Vec<Result<Option<Stored>, Error>>),
    Page(Page),
    Value(Value),
    Failed(Error),
}

/// A question and its answer on their way.
pub struct Exchange {
    pub session: usize,
    pub node: usize,
    pub sent_at: Nanos,
    /// How long the host had been there to see to its sockets until then.
    pub awake_at_sending: Nanos,
    pub ask: Ask,
    /// The operations that it is for, as far as is known.
    pub covers: Vec<OpId>,
    /// The engine waits for it.
    pub is_awaited: bool,
    /// The server has carried it out, or never will.
    pub is_executed: bool,
    /// It was lost with its connection.
    pub is_dead: bool,
    /// The answer is in our socket, or seen.
    pub has_arrived: bool,
    pub reply: Option<Reply>,
    /// The reply may be taken.
    pub is_visible: bool,
    pub waker: Option<Waker>,
}
