//! The replicas of one primary: those that the options name, or those that are discovered by the
//! primary's replies to `ROLE`.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::connection_info::ConnectionInfo;
use super::decode::Reply;
use super::multiplexed_connection::MultiplexedConnection;
use super::replica_reads::{ReplicaDialer, ReplicaReads, ReplicaReply, RequiredOffsets};
use super::role;
use crate::core::Error;
use crate::net::fleet::{Node, Timeouts};

/// See the module.
pub(super) struct Replicas {
    reads: ReplicaReads,
    nodes: Mutex<Vec<Node>>,
    /// Each reply to `ROLE` may change which they are.
    is_discovered: bool,
}

impl Replicas {
    /// Those that the options name. The future does the work.
    pub fn configured(
        primary: &ConnectionInfo,
        connection: &MultiplexedConnection,
        nodes: &[Node],
        timeouts: Timeouts,
        required: &RequiredOffsets,
    ) -> (Replicas, impl Future<Output = Error> + Send + 'static) {
        Replicas::start(primary, connection, nodes.to_vec(), false, timeouts, required)
    }

    /// Those of a primary that gave this reply to `ROLE`. The future does the work.
    pub fn discovered(
        primary: &ConnectionInfo,
        connection: &MultiplexedConnection,
        role: &Reply,
        timeouts: Timeouts,
        required: &RequiredOffsets,
    ) -> (Replicas, impl Future<Output = Error> + Send + 'static) {
        Replicas::start(
            primary,
            connection,
            role::replicas(role).unwrap_or_default(),
            true,
            timeouts,
            required,
        )
    }

    fn start(
        primary: &ConnectionInfo,
        connection: &MultiplexedConnection,
        nodes: Vec<Node>,
        is_discovered: bool,
        timeouts: Timeouts,
        required: &RequiredOffsets,
    ) -> (Replicas, impl Future<Output = Error> + Send + 'static) {
        let dialer =
            ReplicaDialer { connection_info: primary.for_reads(), primary: Some(connection.clone()) };
        let (reads, background) = ReplicaReads::start(dialer, nodes.clone(), timeouts, required.clone());
        (Replicas { reads, nodes: Mutex::new(nodes), is_discovered }, background)
    }

    /// Sends commands to one of them; `None` where none can reply now.
    pub async fn send(&self, commands: &[u8], replies: usize) -> Option<ReplicaReply> {
        let nodes = self.nodes().clone();
        self.reads.send(&nodes, commands, replies).await
    }

    /// See [`ReplicaReads::has_reached`].
    pub fn has_reached(&self, slot: u16, primary: &MultiplexedConnection, offset: i64) -> bool {
        self.reads.has_reached(slot, primary, offset)
    }

    /// See [`ReplicaReads::after_write`].
    pub fn after_write(
        &self,
        slots: impl Iterator<Item = u16>,
        primary: &MultiplexedConnection,
        role: Option<Reply>,
    ) {
        self.refresh(role.as_ref());
        self.reads.after_write(slots, primary, role);
    }

    /// See [`ReplicaReads::after_read`].
    pub fn after_read(
        &self,
        slots: impl Iterator<Item = u16>,
        primary: &MultiplexedConnection,
        role: Option<Reply>,
    ) {
        self.refresh(role.as_ref());
        self.reads.after_read(slots, primary, role);
    }

    /// See [`ReplicaReads::waits_for_timer`].
    pub fn waits_for_timer(&self) -> bool {
        self.reads.waits_for_timer()
    }

    /// See [`ReplicaReads::moved`].
    pub fn moved(&self) -> u64 {
        self.reads.moved()
    }

    fn refresh(&self, role: Option<&Reply>) {
        let Some(found) = role.filter(|_| self.is_discovered).and_then(role::replicas) else { return };
        let mut nodes = self.nodes();
        if *nodes != found {
            self.reads.set_nodes(found.iter().cloned());
            *nodes = found;
        }
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
