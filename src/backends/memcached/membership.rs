//! Keeps up with which servers there are, where that changes while the connection stands.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};

use super::ring::{Place, Ring};
use super::servers::CurrentRing;
use super::session::Session;
use crate::core::Error;
use crate::net::fleet::{Fleet, Node};

/// While a server is away its successor may be there already, so it is asked this often.
const WHILE_AWAY: Duration = Duration::from_secs(5);

/// Finds out which servers there are.
pub(in crate::backends) trait Discover: Send + Sync {
    /// Asks, where `known` are the servers of the last answer. Whoever calls it sets the deadline.
    fn discover(&self, known: Vec<Node>) -> BoxFuture<'static, Result<Vec<Node>, Error>>;

    /// How often to ask.
    fn interval(&self) -> Duration;
}

/// The ring for servers that are all alike.
pub(super) fn ring_of(nodes: Vec<Node>) -> Ring {
    Ring::new(&nodes.into_iter().map(|node| Place { node, weight: 1 }).collect::<Vec<_>>())
}

/// When the next question is due. Clones share it.
#[derive(Clone)]
pub(super) struct Pace(Arc<Mutex<State>>);

struct State {
    due: Instant,
    is_asking: bool,
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to look at the clock again; while a question is under way the runtime's timers do.
    pub fn wake_at(&self) -> Option<Instant> {
        let state = self.state();
        (!state.is_asking).then_some(state.due)
    }

    pub fn is_asking(&self) -> bool {
        self.state().is_asking
    }
}

/// The background work. It never ends.
pub(super) struct Membership {
    discover: Arc<dyn Discover>,
    ring: CurrentRing,
    fleet: Fleet<Session>,
    pace: Pace,
    /// How long one question may take.
    patience: Duration,
    asked: Instant,
    question: Option<BoxFuture<'static, Result<Vec<Node>, Error>>>,
}

impl Membership {
    pub fn new(
        discover: Arc<dyn Discover>,
        ring: CurrentRing,
        fleet: Fleet<Session>,
        patience: Duration,
    ) -> Membership {
        let asked = Instant::now();
        let pace = Pace(Arc::new(Mutex::new(State { due: asked + discover.interval(), is_asking: false })));
        Membership { discover, ring, fleet, pace, patience, asked, question: None }
    }

    pub fn pace(&self) -> Pace {
        self.pace.clone()
    }

    fn due(&self) -> Instant {
        let interval = self.discover.interval();
        let is_away = self.fleet.nodes().iter().any(|(_, stands)| !stands);
        self.asked + if is_away { interval.min(WHILE_AWAY) } else { interval }
    }

    fn ask(&mut self) {
        let question = self.discover.discover(self.ring.get().nodes().to_vec());
        let patience = self.patience;
        self.question = Some(Box::pin(async move {
            let late = || Error::connection("the servers were not told in time");
            tokio::time::timeout(patience, question).await.unwrap_or_else(|_| Err(late()))
        }));
        self.asked = Instant::now();
    }

    fn take(&self, nodes: Vec<Node>) {
        let (mut before, mut now) = (self.ring.get().nodes().to_vec(), nodes.clone());
        before.sort();
        now.sort();
        if before != now {
            self.ring.set(ring_of(nodes));
            self.fleet.set_nodes(now);
        }
    }
}

impl Future for Membership {
    type Output = Error;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            let Some(question) = &mut self.question else {
                if Instant::now() < self.due() {
                    break;
                }
                self.ask();
                continue;
            };
            let Poll::Ready(answer) = question.poll_unpin(cx) else { break };
            self.question = None;
            // Without an answer those that are known go on.
            if let Ok(nodes) = answer {
                self.take(nodes);
            }
        }
        let (due, is_asking) = (self.due(), self.question.is_some());
        *self.pace.state() = State { due, is_asking };
        Poll::Pending
    }
}
