//! Redis Cluster: the masters are a fleet, each record goes to the one that has its slot.
//!
//! Where slots move, or a replica takes over, nodes say so (`MOVED`, `ASK`, `TRYAGAIN`,
//! `CLUSTERDOWN`; see <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>):
//! a redirect is followed at once, and everything else is an error that passes by itself, with
//! which the engine tries the operation again in its place until its deadline.

mod connection;
pub(super) mod slots;
mod topology;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, Either, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;
use tokio::time::sleep;

use self::connection::ClusterConnection;
use self::topology::Topology;
use super::address::Address;
use super::layout::Layout;
use super::readers::{Marks, ReaderLogin, Readers};
use super::single::description;
use super::wire::Wire;
use super::{options, Plan};
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, ErrorCode, Key, Link};
use crate::net::fleet::{Dial, Dialed, Fleet, Node, Timing};
use crate::net::pipeline::while_alive;

const DEFAULT_PORT: u16 = 6379;

/// How often the topology is asked for while a node is away.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How long the topology stays as it is at least, however many redirects there are.
const REST: Duration = Duration::from_millis(20);

/// How old what is known of the replicas may be while they are read from.
const REPLICAS_CHANGE: Duration = Duration::from_secs(5);

/// How long a node may take to say what it knows of the topology.
const ANSWER: Duration = Duration::from_millis(500);

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let settings = options::of_cluster(settings)?;
    let seeds: Vec<Node> = settings
        .servers("nodes")
        .into_iter()
        .map(|server| match server.weight {
            Some(_) => Err(wrong("the nodes of a cluster have no weights; give \"nodes\" as a list")),
            None => Ok(Node { host: server.host, port: server.port.unwrap_or(DEFAULT_PORT) }),
        })
        .collect::<Result<_, _>>()?;
    let login = Login(Address::from_settings(&settings)?);
    let mut plan = Plan::from_settings(&settings, Layout::tagged(&settings)?);
    let mut timing = Timing::from_options(&settings.engine());
    // Redis holds everything behind a `WAIT`.
    timing.patience += plan.acknowledgement.as_ref().map(|wait| wait.patience()).unwrap_or_default();
    plan.ttl = plan.ttl.filter(|ttl| *ttl > 0);
    let from_replicas = options::from_replicas(&settings);
    let topology = Arc::new(RwLock::new(Topology::empty()));
    Ok(Arc::new(Cluster { seeds, login, plan, from_replicas, marks: Marks::default(), timing, topology }))
}

/// The login at every node.
#[derive(Clone)]
struct Login(Address);

impl Dial for Login {
    type Session = Wire;

    fn dial(&self, node: &Node) -> BoxFuture<'static, Result<Dialed<Wire>, Error>> {
        let address = self.0.at(&node.host, node.port);
        Box::pin(async move { address?.connect().await })
    }
}

struct Cluster {
    seeds: Vec<Node>,
    login: Login,
    plan: Plan,
    /// Reads go to replicas where they can.
    from_replicas: bool,
    marks: Marks,
    timing: Timing,
    /// As it was seen last, also by connections before.
    topology: Arc<RwLock<Topology>>,
}

#[async_trait]
impl Backend for Cluster {
    fn describe(&self) -> Description {
        let seeds: Vec<String> = self.seeds.iter().map(Node::to_string).collect();
        description(format!("the Redis Cluster at {}", seeds.join(", ")))
    }

    async fn connect(&self) -> Result<Link, Error> {
        let found = self.find_topology().await?;
        let (fleet, run) = Fleet::start(self.login.clone(), found.masters().to_vec(), self.timing);
        let replicas = self.from_replicas.then(|| {
            let login = ReaderLogin { address: self.login.0.clone(), is_cluster: true };
            let replicas: Vec<Node> = found.replicas().cloned().collect();
            Readers::start(login, replicas, self.timing, self.marks.clone())
        });
        set(&self.topology, found);
        let mut run: BoxFuture<'static, Error> = Box::pin(run);
        while_alive(&mut run, async {
            fleet.settled().await;
            Ok(())
        })
        .await?;
        let (readers, reading) = replicas.unzip();
        let watch = Watch {
            fleet: fleet.clone(),
            readers: readers.map(Arc::new),
            looked: Arc::new(Mutex::new(Instant::now())),
            topology: Arc::clone(&self.topology),
            doubt: Arc::new(Notify::new()),
            extra: Arc::default(),
        };
        let tending = Box::pin(watch.clone().tend());
        let lifeline = select(run, tending).map(|either| match either {
            Either::Left((error, _)) => error,
            Either::Right((never, _)) => match never {},
        });
        let lifeline: BoxFuture<'static, Error> = match reading {
            Some(reading) => Box::pin(select(lifeline, Box::pin(reading)).map(|end| end.factor_first().0)),
            None => Box::pin(lifeline),
        };
        let connection = ClusterConnection::new(watch, self.plan.clone());
        Ok(Link { connection: Arc::new(connection), lifeline })
    }

    fn group_of(&self, key: &Key) -> usize {
        let topology = self.topology.read().unwrap_or_else(PoisonError::into_inner);
        topology.group(self.plan.layout.slot(key))
    }
}

impl Cluster {
    /// Asks all nodes that are known, and takes the first that tells.
    async fn find_topology(&self) -> Result<Topology, Error> {
        let known = self.topology.read().unwrap_or_else(PoisonError::into_inner).masters().to_vec();
        let nodes: BTreeSet<Node> = self.seeds.iter().cloned().chain(known).collect();
        let mut asked: FuturesUnordered<_> = nodes.iter().map(|node| self.ask_seed(node)).collect();
        let mut reason: Option<Error> = None;
        while let Some(result) = asked.next().await {
            match result {
                Ok(topology) => return Ok(topology),
                // What waiting does not mend says more.
                Err(error) if reason.is_none() || error.code() != ErrorCode::Unavailable => {
                    reason = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(reason.unwrap_or_else(|| Error::connection("the cluster has no nodes")))
    }

    async fn ask_seed(&self, node: &Node) -> Result<Topology, Error> {
        let (wire, mut lifeline) = self.login.dial(node).await?;
        while_alive(&mut lifeline, ask_topology(&wire, node)).await
    }
}

async fn ask_topology(wire: &Wire, node: &Node) -> Result<Topology, Error> {
    let command = redis::cmd("CLUSTER").arg("SLOTS").get_packed_command();
    match wire.ask(command, 0).await {
        Ok(reply) => Topology::read(reply, node),
        Err(error) if error.message().contains("cluster support disabled") => Err(wrong(format!(
            "{node} is no node of a cluster; leave the option \"nodes\" out and give \"host\""
        ))),
        Err(error) => Err(error),
    }
}

fn set(topology: &RwLock<Topology>, found: Topology) {
    *topology.write().unwrap_or_else(PoisonError::into_inner) = found;
}

/// Keeps the topology up to date.
#[derive(Clone)]
struct Watch {
    fleet: Fleet<Wire>,
    /// Where reads go first.
    readers: Option<Arc<Readers>>,
    /// When the topology was seen last.
    looked: Arc<Mutex<Instant>>,
    topology: Arc<RwLock<Topology>>,
    /// Somebody saw that the topology is not what it was.
    doubt: Arc<Notify>,
    /// Nodes that others named, and that have no slots yet as far as is known.
    extra: Arc<RwLock<BTreeSet<Node>>>,
}

enum Never {}

impl Watch {
    /// Asks again whenever there is doubt, and from time to time while a node is away.
    async fn tend(self) -> Never {
        loop {
            let doubt = Box::pin(self.doubt.notified());
            if self.fleet.waits_for_timer() {
                select(doubt, Box::pin(sleep(LOOK_AGAIN))).await;
            } else {
                doubt.await;
            }
            self.look_again().await;
            sleep(REST).await;
        }
    }

    async fn look_again(&self) {
        for (node, _) in self.fleet.nodes().into_iter().filter(|(_, is_up)| *is_up) {
            let Ok(wire) = self.fleet.session(&node) else { continue };
            let answer = tokio::time::timeout(ANSWER, ask_topology(&wire, &node)).await;
            if let Ok(Ok(found)) = answer {
                let mut extra = self.extra.write().unwrap_or_else(PoisonError::into_inner);
                extra.retain(|node| !found.masters().contains(node));
                self.fleet.set_nodes(found.masters().iter().chain(extra.iter()).cloned());
                if let Some(readers) = &self.readers {
                    readers.set_nodes(found.replicas().cloned());
                }
                *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                set(&self.topology, found);
                return;
            }
        }
    }

    /// A node was named that may be none of ours yet.
    fn learn(&self, node: &Node) {
        let mut nodes: Vec<Node> = self.fleet.nodes().into_iter().map(|(node, _)| node).collect();
        if !nodes.contains(node) {
            self.extra.write().unwrap_or_else(PoisonError::into_inner).insert(node.clone());
            nodes.push(node.clone());
            self.fleet.set_nodes(nodes);
        }
    }

    fn owner(&self, slot: u16) -> Option<Node> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner).owner(slot).cloned()
    }

    /// The replicas of the node that has a slot, as they were a moment ago: nobody says when one
    /// comes or goes.
    fn replicas_of(&self, slot: u16) -> Vec<Node> {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() > REPLICAS_CHANGE {
            self.doubt.notify_one();
        }
        self.topology.read().unwrap_or_else(PoisonError::into_inner).replicas_of(slot).to_vec()
    }

    fn moved(&self, slot: u16, to: &Node) {
        self.learn(to);
        self.topology.write().unwrap_or_else(PoisonError::into_inner).moved(slot, to.clone());
        self.doubt.notify_one();
    }
}
