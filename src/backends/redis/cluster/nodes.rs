//! The connections to a cluster's nodes, and the topology, which is refreshed when a redirection
//! or a failure shows that it has changed.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, select, Either};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::super::multiplexed_connection::MultiplexedConnection;
use super::super::replica_reads::ReplicaReads;
use super::topology::Topology;
use super::view::View;
use crate::core::{Error, Notice};
use crate::net::fleet::{Fleet, Node};

/// How often the topology is refreshed while a node is disconnected.
const REFRESH_INTERVAL: Duration = Duration::from_millis(200);

/// The shortest time between two refreshes, however many redirections there are.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_millis(20);

/// How old the set of replicas may be while they are read from.
const MAX_REPLICAS_AGE: Duration = Duration::from_secs(5);

/// How long a node may take to reply to `CLUSTER SLOTS` in a refresh.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(500);

/// How many nodes are asked for the topology, since a single one may be cut off from the others.
const MAX_ASKED: usize = 7;

/// How long the target of a redirection stays that has no slots.
const TARGET_LIFE: Duration = Duration::from_secs(5);

/// See the module. Clones share everything.
#[derive(Clone)]
pub(super) struct ClusterNodes {
    primaries: Fleet<MultiplexedConnection>,
    /// Where reads go first.
    replica_reads: Option<Arc<ReplicaReads>>,
    topology: Arc<RwLock<Topology>>,
    refreshed_at: Arc<Mutex<Instant>>,
    refresh_requested: Arc<Notify>,
    /// Nodes that redirections named, when they last did, and that have no slots yet in the topology.
    redirection_targets: Arc<Mutex<BTreeMap<Node, Instant>>>,
    /// Which of the nodes is asked first in a refresh.
    asked_first: Arc<AtomicUsize>,
}

impl ClusterNodes {
    /// Takes connections and a topology that was refreshed a moment ago.
    pub fn new(
        primaries: Fleet<MultiplexedConnection>,
        replica_reads: Option<ReplicaReads>,
        topology: Arc<RwLock<Topology>>,
    ) -> ClusterNodes {
        ClusterNodes {
            primaries,
            replica_reads: replica_reads.map(Arc::new),
            topology,
            refreshed_at: Arc::new(Mutex::new(Instant::now())),
            refresh_requested: Arc::new(Notify::new()),
            redirection_targets: Arc::default(),
            asked_first: Arc::default(),
        }
    }

    /// The connections to the primaries.
    pub fn primaries(&self) -> &Fleet<MultiplexedConnection> {
        &self.primaries
    }

    /// The connections to the replicas, where reads go there.
    pub fn replica_reads(&self) -> Option<&ReplicaReads> {
        self.replica_reads.as_deref()
    }

    /// The primary of a slot.
    pub fn primary_of(&self, slot: u16) -> Option<Node> {
        self.topology().primary_of(slot).cloned()
    }

    /// The replicas of a slot's primary. Their set is refreshed from time to time while it is
    /// asked for, since nothing tells when a replica comes or goes.
    pub fn replicas_of(&self, slot: u16) -> Vec<Node> {
        let refreshed_at = *self.refreshed_at.lock().unwrap_or_else(PoisonError::into_inner);
        if refreshed_at.elapsed() > MAX_REPLICAS_AGE {
            self.request_refresh();
        }
        self.topology().replicas_of(slot).to_vec()
    }

    /// Follows a `MOVED` redirection.
    pub fn moved(&self, slot: u16, to: &Node) {
        self.add(to);
        self.topology.write().unwrap_or_else(PoisonError::into_inner).moved(slot, to.clone());
        self.request_refresh();
    }

    /// Connects to the target of a redirection, which may be a new node.
    pub fn add(&self, target: &Node) {
        let mut targets = self.redirection_targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(named_at) = targets.get_mut(target) {
            *named_at = Instant::now();
        }
        let mut nodes: Vec<Node> = self.primaries.nodes().into_iter().map(|(node, _)| node).collect();
        if !nodes.contains(target) {
            targets.insert(target.clone(), Instant::now());
            nodes.push(target.clone());
            self.primaries.set_nodes(nodes);
        }
    }

    /// Asks for a refresh of the topology, which may not be up to date any more.
    pub fn request_refresh(&self) {
        self.refresh_requested.notify_one();
    }

    /// Refreshes the topology on request, and at intervals while a node is disconnected. It
    /// never ends.
    pub async fn refresh_on_request(self) -> Error {
        loop {
            let request = self.refresh_requested.notified();
            // Polled whenever a connection ends, since that is the work of the same task.
            let disturbance = poll_fn(|_| match self.primaries.waits_for_timer() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            if let Either::Right(((), request)) = select(pin!(request), disturbance).await {
                select(request, pin!(sleep(REFRESH_INTERVAL))).await;
            }
            self.refresh_topology().await;
            sleep(MIN_REFRESH_INTERVAL).await;
        }
    }

    async fn refresh_topology(&self) {
        let connected = self.primaries.nodes().into_iter().filter(|(_, is_connected)| *is_connected);
        let mut nodes: Vec<Node> = connected.map(|(node, _)| node).collect();
        // Others each time, if there are many.
        let first = self.asked_first.fetch_add(1, Ordering::Relaxed) % nodes.len().max(1);
        nodes.rotate_left(first);
        nodes.truncate(MAX_ASKED);
        let requests = nodes.iter().map(|node| async move {
            let connection = self.primaries.connection(node).ok()?;
            timeout(REFRESH_TIMEOUT, View::request(&connection, node)).await.ok()?.ok()
        });
        let views = join_all(requests).await.into_iter().flatten().collect();
        let Some(View { topology, .. }) = View::that_counts(views) else { return };
        let mut targets = self.redirection_targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|node, named_at| {
            named_at.elapsed() < TARGET_LIFE && !topology.primaries().contains(node)
        });
        self.primaries.set_nodes(topology.primaries().iter().chain(targets.keys()).cloned());
        drop(targets);
        if let Some(replica_reads) = &self.replica_reads {
            replica_reads.set_nodes(topology.replicas().cloned());
        }
        *self.refreshed_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) = topology;
    }

    /// For [`Connection::poll_notice`](crate::core::Connection::poll_notice).
    pub fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.primaries.poll_notice(cx)
    }

    /// Whether some node is disconnected, so that a timer runs until the next attempt to connect.
    pub fn waits_for_timer(&self) -> bool {
        self.primaries.waits_for_timer()
            || self.replica_reads.as_ref().is_some_and(|replica_reads| replica_reads.waits_for_timer())
    }

    /// What moved on the connections to all nodes.
    pub fn bytes_moved(&self) -> u64 {
        self.primaries.moved() + self.replica_reads.as_ref().map_or(0, |replicas| replicas.moved())
    }

    fn topology(&self) -> RwLockReadGuard<'_, Topology> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner)
    }
}
