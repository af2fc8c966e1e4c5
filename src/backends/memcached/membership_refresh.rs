//! Membership: which servers there are, where that changes while the connection is up.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};

use super::hash_ring::HashRing;
use super::server_connection::ServerConnection;
use super::server_pool::CurrentRing;
use crate::core::Error;
use crate::net::fleet::{Fleet, Node};

/// The longest interval while a server is disconnected, since it may have been replaced.
const MAX_INTERVAL_WHILE_DISCONNECTED: Duration = Duration::from_secs(5);

/// Discovers which servers there are.
pub(in crate::backends) trait Discover: Send + Sync {
    /// Discovers the servers, where `known` are the last ones. Whoever calls it sets the deadline.
    fn discover(&self, known: Vec<Node>) -> BoxFuture<'static, Result<Vec<Node>, Error>>;

    /// How often to refresh the membership.
    fn interval(&self) -> Duration;
}

/// When the next refresh is due. Clones share it.
#[derive(Clone)]
pub(super) struct RefreshSchedule(Arc<Mutex<State>>);

struct State {
    due: Instant,
    is_refreshing: bool,
}

impl RefreshSchedule {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to look at the clock again; while a refresh is under way the runtime's timers do.
    pub fn wake_at(&self) -> Option<Instant> {
        let state = self.state();
        (!state.is_refreshing).then_some(state.due)
    }

    pub fn is_refreshing(&self) -> bool {
        self.state().is_refreshing
    }
}

/// The background work: refreshes the membership when it is due. It never ends.
pub(super) struct MembershipRefresh {
    discover: Arc<dyn Discover>,
    ring: CurrentRing,
    fleet: Fleet<ServerConnection>,
    schedule: RefreshSchedule,
    /// For one refresh.
    timeout: Duration,
    refreshed_at: Instant,
    refresh: Option<BoxFuture<'static, Result<Vec<Node>, Error>>>,
}

impl MembershipRefresh {
    pub fn new(
        discover: Arc<dyn Discover>,
        ring: CurrentRing,
        fleet: Fleet<ServerConnection>,
        timeout: Duration,
    ) -> MembershipRefresh {
        let refreshed_at = Instant::now();
        let schedule = RefreshSchedule(Arc::new(Mutex::new(State {
            due: refreshed_at + discover.interval(),
            is_refreshing: false,
        })));
        MembershipRefresh { discover, ring, fleet, schedule, timeout, refreshed_at, refresh: None }
    }

    pub fn schedule(&self) -> RefreshSchedule {
        self.schedule.clone()
    }

    fn due(&self) -> Instant {
        let interval = self.discover.interval();
        let is_degraded = self.fleet.nodes().iter().any(|(_, is_connected)| !is_connected);
        self.refreshed_at + if is_degraded { interval.min(MAX_INTERVAL_WHILE_DISCONNECTED) } else { interval }
    }

    fn start_refresh(&mut self) {
        let discovery = self.discover.discover(self.ring.get().servers().to_vec());
        let timeout = self.timeout;
        self.refresh = Some(Box::pin(async move {
            let late = || Error::connection("the servers were not told in time");
            tokio::time::timeout(timeout, discovery).await.unwrap_or_else(|_| Err(late()))
        }));
        self.refreshed_at = Instant::now();
    }

    fn apply(&self, nodes: Vec<Node>) {
        let (mut before, mut now) = (self.ring.get().servers().to_vec(), nodes.clone());
        before.sort();
        now.sort();
        if before != now {
            self.ring.set(HashRing::unweighted(nodes));
            self.fleet.set_nodes(now);
        }
    }
}

impl Future for MembershipRefresh {
    type Output = Error;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            let Some(refresh) = &mut self.refresh else {
                if Instant::now() < self.due() {
                    break;
                }
                self.start_refresh();
                continue;
            };
            let Poll::Ready(result) = refresh.poll_unpin(cx) else { break };
            self.refresh = None;
            // After a failure the known servers stay.
            if let Ok(nodes) = result {
                self.apply(nodes);
            }
        }
        let (due, is_refreshing) = (self.due(), self.refresh.is_some());
        *self.schedule.state() = State { due, is_refreshing };
        Poll::Pending
    }
}
