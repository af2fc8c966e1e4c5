//! Reads from replicas (`readFrom: replica`): they may lag behind what others write, and yet
//! every read sees what this connector wrote before it.
//!
//! `ROLE` (<https://redis.io/docs/latest/commands/role/>) tells how far a server is in the
//! stream of writes that replicas follow. It goes behind each batch of writes, and the offset is
//! kept for the slots that were written; it goes before each batch of reads at a replica, whose
//! values count only where the replica is that far. A slot whose primary was connected anew
//! since, or is another one, is read at the primary, which renews the offset. What a replica
//! does not have is looked for at the primary too: its slot may be on the move.

use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use redis::Value;

use super::address::Address;
use super::decode::Reply;
use super::wire::{Position, Wire};
use crate::core::Error;
use crate::net::fleet::{Dial, Dialed, Fleet, Node, Timing};
use crate::net::pipeline::{while_alive, Replies};

/// The question how far a server is; it has one reply.
pub(super) const ROLE: &[u8] = b"*1\r\n$4\r\nROLE\r\n";

/// The login at replicas.
pub(super) struct ReaderLogin {
    pub address: Address,
    /// Replicas of a cluster send reads away unless they are told not to (`READONLY`).
    pub is_cluster: bool,
}

impl Dial for ReaderLogin {
    type Session = Wire;

    fn dial(&self, node: &Node) -> BoxFuture<'static, Result<Dialed<Wire>, Error>> {
        let address = self.address.at(&node.host, node.port);
        let is_cluster = self.is_cluster;
        Box::pin(async move {
            let (wire, mut lifeline) = address?.connect().await?;
            if is_cluster {
                let command = redis::cmd("READONLY").get_packed_command();
                while_alive(&mut lifeline, wire.ask(command, 0)).await?;
            }
            Ok((wire, lifeline))
        })
    }
}

/// The replicas, and what they must have before they may answer.
pub(super) struct Readers {
    fleet: Fleet<Wire>,
    marks: Marks,
    /// Takes turns.
    turn: AtomicUsize,
}

/// For each slot that was written, what a replica must have. They outlive connections: a write is
/// to be seen after an outage too.
#[derive(Clone, Default)]
pub(super) struct Marks(Arc<Mutex<HashMap<u16, Mark>>>);

/// Where our last write to a slot is in the stream of its primary.
struct Mark {
    primary: Position,
    offset: i64,
}

/// What a replica answered.
pub(super) struct Answer {
    /// How far it was, or further.
    pub offset: i64,
    /// The replies to the commands.
    pub replies: Replies<Reply>,
}

impl Readers {
    /// Begins to connect. The future does the work.
    pub fn start(
        login: ReaderLogin,
        nodes: impl IntoIterator<Item = Node>,
        timing: Timing,
        marks: Marks,
    ) -> (Readers, impl Future<Output = Error> + Send + 'static) {
        let (fleet, run) = Fleet::start_spare(login, nodes, timing);
        (Readers { fleet, marks, turn: AtomicUsize::new(0) }, run)
    }

    /// Changes which replicas there are.
    pub fn set_nodes(&self, nodes: impl IntoIterator<Item = Node>) {
        self.fleet.set_nodes(nodes);
    }

    /// Whether some replica is away, so that a timer runs until it is tried again.
    pub fn waits_for_timer(&self) -> bool {
        self.fleet.waits_for_timer()
    }

    /// Asks one of some replicas; `None` where none of them can answer now.
    pub async fn ask(&self, nodes: &[Node], commands: &[u8], replies: usize) -> Option<Answer> {
        let standing: Vec<&Node> = nodes.iter().filter(|node| self.fleet.session(node).is_ok()).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let node = standing.get(turn % standing.len().max(1))?;
        let all = [ROLE, commands].concat();
        let answer = self.fleet.run(node, |wire| async move { wire.ask_each(all, 1 + replies).await }).await;
        let mut replies = answer.ok()?;
        let offset = offset(&replies.remove(0))?;
        Some(Answer { offset, replies })
    }

    /// Whether a replica that is so far has all that was written to a slot.
    pub fn is_fresh(&self, slot: u16, primary: &Wire, offset: i64) -> bool {
        self.marks()
            .get(&slot)
            .is_none_or(|mark| mark.primary == *primary.position() && mark.offset <= offset)
    }

    /// Slots were written at their primary, which then gave this answer to [`ROLE`].
    pub fn wrote(&self, slots: impl Iterator<Item = u16>, primary: &Wire, role: Option<Reply>) {
        let offset = position(primary, role);
        let mut marks = self.marks();
        marks.extend(slots.map(|slot| (slot, Mark { primary: primary.position().clone(), offset })));
    }

    /// Slots were read at their primary, which then gave this answer to [`ROLE`].
    pub fn read(&self, slots: impl Iterator<Item = u16>, primary: &Wire, role: Option<Reply>) {
        let offset = position(primary, role);
        let mut marks = self.marks();
        for slot in slots {
            if let Entry::Occupied(mut mark) = marks.entry(slot) {
                if mark.get().primary != *primary.position() {
                    mark.insert(Mark { primary: primary.position().clone(), offset });
                }
            }
        }
    }

    fn marks(&self) -> MutexGuard<'_, HashMap<u16, Mark>> {
        self.marks.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a primary is. One that does not say is further than any replica can be.
fn position(primary: &Wire, role: Option<Reply>) -> i64 {
    match role.as_ref().and_then(offset) {
        Some(offset) => primary.position().advance(offset),
        None => i64::MAX,
    }
}

/// How far a server is by its answer to [`ROLE`]; `None` for a replica without its primary.
fn offset(role: &Reply) -> Option<i64> {
    let Reply::Value(Value::Array(parts)) = role else { return None };
    match parts.as_slice() {
        [Value::BulkString(role), Value::Int(offset), _] if role == b"master" => Some(*offset),
        [Value::BulkString(role), _, _, Value::BulkString(state), Value::Int(offset)]
            if role == b"slave" && state == b"connected" =>
        {
            Some(*offset)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::decode::Decoder;
    use super::*;

    fn reply(text: &str) -> Reply {
        Decoder::default().next(&mut BytesMut::from(text)).unwrap().unwrap()
    }

    fn primary_at(offset: i64) -> Option<Reply> {
        Some(reply(&format!("*3\r\n$6\r\nmaster\r\n:{offset}\r\n*0\r\n")))
    }

    fn wire() -> Wire {
        Wire::new(tokio::io::empty()).0
    }

    fn readers() -> Readers {
        let login = ReaderLogin { address: Address::for_tests(), is_cluster: false };
        let short = std::time::Duration::from_millis(1);
        let timing = Timing { connect: short, patience: short, pauses: (short, short) };
        Readers::start(login, [], timing, Marks::default()).0
    }

    #[test]
    fn a_replica_counts_while_it_follows() {
        let replica = |state: &str| {
            reply(&format!("*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n${}\r\n{state}\r\n:70\r\n", state.len()))
        };
        assert_eq!(offset(&replica("connected")), Some(70));
        assert_eq!(offset(&replica("sync")), None);
        assert_eq!(offset(&primary_at(7).unwrap()), Some(7));
        assert_eq!(offset(&reply("-NOPERM no\r\n")), None);
        assert_eq!(offset(&reply("*2\r\n$8\r\nsentinel\r\n*0\r\n")), None);
    }

    #[test]
    fn a_slot_that_was_written_needs_a_replica_that_is_as_far() {
        let (readers, primary) = (readers(), wire());
        assert!(readers.is_fresh(1, &primary, 0), "nothing was written");
        readers.wrote([1].into_iter(), &primary, primary_at(10));
        assert!(!readers.is_fresh(1, &primary, 9) && readers.is_fresh(1, &primary, 10));
        assert!(readers.is_fresh(2, &primary, 0), "another slot");
        // An answer that is looked at late.
        readers.wrote([1].into_iter(), &primary, primary_at(8));
        assert!(!readers.is_fresh(1, &primary, 9));
        readers.wrote([1].into_iter(), &primary, Some(reply("-NOPERM no\r\n")));
        assert!(!readers.is_fresh(1, &primary, i64::MAX - 1), "nobody knows how far the primary is");
    }

    #[test]
    fn another_primary_is_asked_first() {
        let (readers, former, primary) = (readers(), wire(), wire());
        readers.wrote([1].into_iter(), &former, primary_at(10));
        assert!(!readers.is_fresh(1, &primary, 99));
        readers.read([1, 2].into_iter(), &primary, primary_at(20));
        assert!(!readers.is_fresh(1, &primary, 19) && readers.is_fresh(1, &primary, 20));
        assert!(readers.is_fresh(2, &primary, 0), "what was only read needs nothing");
    }
}
