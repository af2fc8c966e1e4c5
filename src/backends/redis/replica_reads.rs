//! Read preference `replica` (`readFrom`): replicas lag behind what others write, and yet every
//! read sees what this connector wrote before it.
//!
//! `ROLE` tells a server's replication offset. It goes behind each batch of writes, and the
//! offset is kept for the slots that were written; it goes before each batch of reads at a
//! replica, whose values count only where the replica's offset is no lower. A slot whose primary
//! was reconnected since, or is another one after a failover, is read at the primary, which renews
//! the offset. What a replica does not have is read at the primary too: its slot may be migrating.

use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::connection_info::ConnectionInfo;
use super::decode::Reply;
use super::multiplexed_connection::{MultiplexedConnection, ReplicationOffset};
use super::role::{replica_of, replication_id, replication_offset, ReplicaOf, INFO_REPLICATION, ROLE};
use crate::core::Error;
use crate::net::fleet::{Dial, Dialed, Fleet, Node, Timeouts};
use crate::net::pipeline::{while_alive, Replies};
use crate::net::traffic::Traffic;

/// Connects to replicas. A server that is no replica, or has the data of another primary, is none.
pub(super) struct ReplicaDialer {
    pub connection_info: ConnectionInfo,
    /// The primary whose replicas these are; none in a cluster, whose nodes tell which they are, and
    /// which redirect reads of what they do not have.
    pub primary: Option<MultiplexedConnection>,
}

/// A connection to a replica.
#[derive(Clone)]
pub(super) struct Replica {
    connection: MultiplexedConnection,
    /// Whose replica it was when it was connected.
    of: ReplicaOf,
}

impl Dial for ReplicaDialer {
    type Connection = Replica;

    fn dial(&self, node: &Node, traffic: &Traffic) -> BoxFuture<'static, Result<Dialed<Replica>, Error>> {
        let replica = self.connection_info.at(&node.host, node.port);
        let (primary, traffic) = (self.primary.clone(), traffic.clone());
        Box::pin(async move {
            let (connection, mut lifeline) = replica?.connect(&traffic).await?;
            let of = while_alive(&mut lifeline, confirm_replica(&connection, primary)).await?;
            Ok((Replica { connection, of }, lifeline))
        })
    }
}

/// Confirms that a server is a replica, and whose.
async fn confirm_replica(
    connection: &MultiplexedConnection,
    primary: Option<MultiplexedConnection>,
) -> Result<ReplicaOf, Error> {
    match primary {
        Some(primary) => {
            let theirs = replication_id(&connection.send(INFO_REPLICATION.to_vec(), 0).await?);
            let ours = replication_id(&primary.send(INFO_REPLICATION.to_vec(), 0).await?);
            if ours != theirs {
                return Err(Error::connection("the server has the data of another primary"));
            }
        }
        None => drop(connection.send(redis::cmd("READONLY").get_packed_command(), 0).await?),
    }
    let role = connection.send(ROLE.to_vec(), 0).await?;
    replica_of(&role).ok_or_else(no_replica)
}

fn no_replica() -> Error {
    Error::connection("the server is no replica of this primary any more")
}

/// The connections to replicas, and the offsets from which on their values count.
pub(super) struct ReplicaReads {
    fleet: Fleet<Replica>,
    required: RequiredOffsets,
    /// Round robin over the replicas.
    next: AtomicUsize,
}

/// For each slot that was written, the offset that a replica must have reached. They outlive
/// connections: a write is to be seen after an outage too.
#[derive(Clone, Default)]
pub(super) struct RequiredOffsets(Arc<Mutex<HashMap<u16, RequiredOffset>>>);

/// The offset of a primary after our last write to a slot.
struct RequiredOffset {
    primary: ReplicationOffset,
    offset: i64,
}

/// What a replica replied.
pub(super) struct ReplicaReply {
    /// Its replication offset before it carried out the commands.
    pub offset: i64,
    /// The replies to the commands.
    pub replies: Replies<Reply>,
}

impl ReplicaReads {
    /// Begins to connect. The future does the work.
    pub fn start(
        dialer: ReplicaDialer,
        nodes: impl IntoIterator<Item = Node>,
        timeouts: Timeouts,
        required: RequiredOffsets,
    ) -> (ReplicaReads, impl Future<Output = Error> + Send + 'static) {
        let (fleet, background) = Fleet::start_optional(dialer, nodes, timeouts);
        (ReplicaReads { fleet, required, next: AtomicUsize::new(0) }, background)
    }

    /// Replaces the set of replicas.
    pub fn set_nodes(&self, nodes: impl IntoIterator<Item = Node>) {
        self.fleet.set_nodes(nodes);
    }

    /// Whether some replica is disconnected, so that a timer runs until the next attempt to connect.
    pub fn waits_for_timer(&self) -> bool {
        self.fleet.waits_for_timer()
    }

    /// What moved on the connections to them.
    pub fn moved(&self) -> u64 {
        self.fleet.moved()
    }

    /// Sends commands to one of some replicas; `None` where none of them can reply now.
    pub async fn send(&self, nodes: &[Node], commands: &[u8], replies: usize) -> Option<ReplicaReply> {
        let connected: Vec<&Node> = nodes.iter().filter(|node| self.fleet.connection(node).is_ok()).collect();
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let node = connected.get(next % connected.len().max(1))?;
        let pipeline = [ROLE, commands].concat();
        let result = self.fleet.request(node, |replica| async move {
            let mut replies = replica.connection.send_pipeline(pipeline, 1 + replies).await?;
            let role = replies.remove(0);
            // One that was promoted, or follows another primary, is left.
            if replica_of(&role).is_some_and(|of| of == replica.of) {
                Ok((role, replies))
            } else {
                Err(no_replica())
            }
        });
        let (role, replies) = result.await.ok()?;
        Some(ReplicaReply { offset: replication_offset(&role)?, replies })
    }

    /// Whether a replica with this offset has all that was written to a slot.
    pub fn has_reached(&self, slot: u16, primary: &MultiplexedConnection, offset: i64) -> bool {
        self.required().get(&slot).is_none_or(|required| {
            required.primary == *primary.replication_offset() && required.offset <= offset
        })
    }

    /// Slots were written at their primary, which then gave this reply to [`ROLE`].
    pub fn after_write(
        &self,
        slots: impl Iterator<Item = u16>,
        primary: &MultiplexedConnection,
        role: Option<Reply>,
    ) {
        let offset = primary_offset(primary, role);
        let required = slots
            .map(|slot| (slot, RequiredOffset { primary: primary.replication_offset().clone(), offset }));
        self.required().extend(required);
    }

    /// Slots were read at their primary, which then gave this reply to [`ROLE`].
    pub fn after_read(
        &self,
        slots: impl Iterator<Item = u16>,
        primary: &MultiplexedConnection,
        role: Option<Reply>,
    ) {
        let offset = primary_offset(primary, role);
        let mut required = self.required();
        for slot in slots {
            if let Entry::Occupied(mut entry) = required.entry(slot) {
                if entry.get().primary != *primary.replication_offset() {
                    entry.insert(RequiredOffset { primary: primary.replication_offset().clone(), offset });
                }
            }
        }
    }

    fn required(&self) -> MutexGuard<'_, HashMap<u16, RequiredOffset>> {
        self.required.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The offset of a primary. One that does not tell it is ahead of every replica.
fn primary_offset(primary: &MultiplexedConnection, role: Option<Reply>) -> i64 {
    match role.as_ref().and_then(replication_offset) {
        Some(offset) => primary.replication_offset().advance(offset),
        None => i64::MAX,
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

    fn connection() -> MultiplexedConnection {
        MultiplexedConnection::new(tokio::io::empty(), None).0
    }

    fn replica_reads() -> ReplicaReads {
        let dialer = ReplicaDialer { connection_info: ConnectionInfo::for_tests(), primary: None };
        let short = std::time::Duration::from_millis(1);
        let timeouts = Timeouts { connect: short, reply: short, reconnect_delays: (short, short) };
        ReplicaReads::start(dialer, [], timeouts, RequiredOffsets::default()).0
    }

    #[test]
    fn a_slot_that_was_written_needs_a_replica_that_has_the_write() {
        let (reads, primary) = (replica_reads(), connection());
        assert!(reads.has_reached(1, &primary, 0), "nothing was written");
        reads.after_write([1].into_iter(), &primary, primary_at(10));
        assert!(!reads.has_reached(1, &primary, 9) && reads.has_reached(1, &primary, 10));
        assert!(reads.has_reached(2, &primary, 0), "another slot");
        // A reply that is looked at late.
        reads.after_write([1].into_iter(), &primary, primary_at(8));
        assert!(!reads.has_reached(1, &primary, 9));
        reads.after_write([1].into_iter(), &primary, Some(reply("-NOPERM no\r\n")));
        assert!(!reads.has_reached(1, &primary, i64::MAX - 1), "the primary's offset is unknown");
    }

    #[test]
    fn after_a_failover_the_new_primary_is_read_first() {
        let (reads, former, primary) = (replica_reads(), connection(), connection());
        reads.after_write([1].into_iter(), &former, primary_at(10));
        assert!(!reads.has_reached(1, &primary, 99));
        reads.after_read([1, 2].into_iter(), &primary, primary_at(20));
        assert!(!reads.has_reached(1, &primary, 19) && reads.has_reached(1, &primary, 20));
        assert!(reads.has_reached(2, &primary, 0), "what was only read needs nothing");
    }
}
