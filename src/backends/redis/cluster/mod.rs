//! Redis Cluster: a connection to each primary; the commands for a record go to the primary of
//! its slot.
//!
//! When slots migrate, or a replica is promoted in a failover, nodes tell so (`MOVED`, `ASK`,
//! `TRYAGAIN`, `CLUSTERDOWN`; see <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>):
//! a redirection is followed at once, and everything else is a transient error, after which the
//! engine retries the operation in its place until its deadline.

mod connection;
mod nodes;
mod redirection;
pub(super) mod slots;
mod topology;
mod view;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::timeout;

use self::connection::ClusterConnection;
use self::nodes::ClusterNodes;
use self::topology::Topology;
use self::view::View;
use super::batching::description;
use super::connection_info::ConnectionInfo;
use super::layout::Layout;
use super::multiplexed_connection::MultiplexedConnection;
use super::options::{self, DEFAULT_PORT};
use super::replica_reads::{ReplicaDialer, ReplicaReads, RequiredOffsets};
use super::storage_options::StorageOptions;
use crate::config::Settings;
use crate::core::{Backend, Description, Error, ErrorCode, Key, Link};
use crate::net::fleet::{Dial, Dialed, Fleet, Node, Timeouts};
use crate::net::pipeline::while_alive;
use crate::net::traffic::Traffic;

/// How long a node that tells the topology waits for the others, each time.
const GRACE: Duration = Duration::from_millis(100);

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let settings = options::for_cluster(settings)?;
    let seeds = options::nodes(&settings, "nodes", "the nodes of a cluster", DEFAULT_PORT)?;
    let dialer = NodeDialer(ConnectionInfo::from_settings(&settings)?);
    let storage = StorageOptions::from_settings(&settings, Layout::for_cluster(&settings)?);
    let mut timeouts = Timeouts::from_options(&settings.engine());
    // A connection is silent while it waits for the replicas.
    timeouts.reply += storage.acknowledgement.as_ref().map(|wait| wait.timeout()).unwrap_or_default();
    Ok(Arc::new(Cluster {
        seeds,
        dialer,
        storage,
        reads_from_replicas: options::reads_from_replicas(&settings),
        max_redirections: options::max_redirections(&settings),
        required_offsets: RequiredOffsets::default(),
        timeouts,
        topology: Arc::new(RwLock::new(Topology::empty())),
    }))
}

/// Connects to nodes.
#[derive(Clone)]
struct NodeDialer(ConnectionInfo);

impl Dial for NodeDialer {
    type Connection = MultiplexedConnection;

    fn dial(
        &self,
        node: &Node,
        traffic: &Traffic,
    ) -> BoxFuture<'static, Result<Dialed<MultiplexedConnection>, Error>> {
        let (node, traffic) = (self.0.at(&node.host, node.port), traffic.clone());
        Box::pin(async move { node?.connect(&traffic).await })
    }
}

struct Cluster {
    seeds: Vec<Node>,
    dialer: NodeDialer,
    storage: StorageOptions,
    reads_from_replicas: bool,
    max_redirections: usize,
    required_offsets: RequiredOffsets,
    timeouts: Timeouts,
    /// As last refreshed, also by former connections.
    topology: Arc<RwLock<Topology>>,
}

#[async_trait]
impl Backend for Cluster {
    fn describe(&self) -> Description {
        let seeds: Vec<String> = self.seeds.iter().map(Node::to_string).collect();
        description(format!("the Redis Cluster at {}", seeds.join(", ")))
    }

    async fn connect(&self) -> Result<Link, Error> {
        let topology = self.discover_topology().await?;
        let primaries = topology.primaries().to_vec();
        let (fleet, background) = Fleet::start(self.dialer.clone(), primaries, self.timeouts);
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(background);
        let replica_reads = self.reads_from_replicas.then(|| {
            let dialer = ReplicaDialer { connection_info: self.dialer.0.for_reads(), primary: None };
            let replicas: Vec<Node> = topology.replicas().cloned().collect();
            ReplicaReads::start(dialer, replicas, self.timeouts, self.required_offsets.clone())
        });
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) = topology;
        while_alive(&mut lifeline, fleet.started().map(Ok)).await?;
        let (replica_reads, replica_background) = replica_reads.unzip();
        let nodes = ClusterNodes::new(fleet, replica_reads, Arc::clone(&self.topology));
        let refresh = Box::pin(nodes.clone().refresh_on_request());
        lifeline = Box::pin(select(lifeline, refresh).map(|end| end.factor_first().0));
        if let Some(background) = replica_background {
            lifeline = Box::pin(select(lifeline, Box::pin(background)).map(|end| end.factor_first().0));
        }
        let pings = self.dialer.0.pings().cloned();
        let connection = ClusterConnection::new(nodes, self.storage.clone(), self.max_redirections, pings);
        Ok(Link { connection: Arc::new(connection), lifeline })
    }

    fn group_of(&self, key: &Key) -> usize {
        let topology = self.topology.read().unwrap_or_else(PoisonError::into_inner);
        topology.group(self.storage.layout.slot(key))
    }
}

impl Cluster {
    /// Asks all nodes that are known for the topology. The first that tells it waits a moment for others,
    /// which may know better.
    async fn discover_topology(&self) -> Result<Topology, Error> {
        let known = self.topology.read().unwrap_or_else(PoisonError::into_inner).primaries().to_vec();
        let nodes: BTreeSet<Node> = self.seeds.iter().cloned().chain(known).collect();
        let mut requests: FuturesUnordered<_> =
            nodes.iter().map(|node| self.discover_topology_from(node)).collect();
        let mut reason: Option<Error> = None;
        let mut views = Vec::new();
        loop {
            let next = match views.is_empty() {
                true => requests.next().await,
                false => timeout(GRACE, requests.next()).await.unwrap_or(None),
            };
            let Some(result) = next else { break };
            match result {
                Ok(view) => views.push(view),
                // A permanent error says more.
                Err(error) if reason.is_none() || error.code() != ErrorCode::Unavailable => {
                    reason = Some(error);
                }
                Err(_) => {}
            }
        }
        let view = View::that_counts(views).map(|view| view.topology);
        view.ok_or_else(|| reason.unwrap_or_else(|| Error::connection("the cluster has no nodes")))
    }

    async fn discover_topology_from(&self, node: &Node) -> Result<View, Error> {
        let info = self.dialer.0.for_reads().at(&node.host, node.port)?;
        let (connection, mut lifeline) = info.connect(&Traffic::default()).await?;
        while_alive(&mut lifeline, View::request(&connection, node)).await
    }
}
