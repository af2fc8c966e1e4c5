//! Several servers behind one connection, as the nodes of a Redis Cluster or memcached servers
//! are: each is dialed, watched and dialed again by itself.
//!
//! While a node is away, what is asked of it fails with an error that passes by itself: the
//! engine tries the operation again in its place until its deadline, and the other nodes go
//! on. Only when no node is left does the connection as a whole end. A fleet of spares never
//! ends: it is what a connection can do without.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::{select, BoxFuture, FutureExt};
use tokio::time::{sleep, timeout, Sleep};

use super::stream;
use crate::core::{Backoff, EngineOptions, Error, ErrorCode, Notice, Remedy};

/// How long the first nodes that stand wait for the others at the beginning.
const GRACE: Duration = Duration::from_millis(500);

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&stream::in_words(&self.host, self.port))
    }
}

/// A connection to a node: where to ask, and its background work, which ends with the reason
/// when the connection is lost.
pub(crate) type Dialed<S> = (S, BoxFuture<'static, Error>);

/// Connects to one node, and logs in there.
pub(crate) trait Dial: Send + Sync + 'static {
    /// Where to ask.
    type Session: Clone + Send + Sync + 'static;

    /// Returns when the node does answer. The fleet sets the deadline.
    fn dial(&self, node: &Node) -> BoxFuture<'static, Result<Dialed<Self::Session>, Error>>;
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// One attempt to connect to a node.
    pub connect: Duration,
    /// One answer of a node, after which it counts as lost.
    pub patience: Duration,
    /// The first pause between attempts, and the longest.
    pub pauses: (Duration, Duration),
}

impl Timing {
    /// What follows from the options of every connector: the fleet must notice a node that
    /// hangs well before the operations' deadline, and before the attempt to connect as a whole
    /// is given up.
    pub fn from_options(options: &EngineOptions) -> Timing {
        Timing {
            connect: options.connect_timeout.mul_f64(0.6),
            patience: options.timeout.mul_f64(0.25).min(Duration::from_secs(2)),
            pauses: (options.reconnect_delay, options.reconnect_max_delay),
        }
    }
}

/// Where questions are asked. Clones share the nodes.
pub(crate) struct Fleet<S> {
    shared: Arc<Mutex<Shared<S>>>,
    patience: Duration,
}

impl<S> Clone for Fleet<S> {
    fn clone(&self) -> Self {
        Fleet { shared: Arc::clone(&self.shared), patience: self.patience }
    }
}

struct Shared<S> {
    nodes: BTreeMap<Node, Status<S>>,
    /// The list of nodes has changed.
    is_changed: bool,
    /// The beginning is over, so that a node that is away is news.
    is_settled: bool,
    /// Connections that somebody found to be of no more use.
    condemned: Vec<(Node, u64, Error)>,
    notices: VecDeque<Notice>,
    /// Wakes the fleet's background work, those who wait for the beginning, and those who wait
    /// for notices.
    work: Option<Waker>,
    beginning: Option<Waker>,
    reader: Option<Waker>,
}

enum Status<S> {
    /// No attempt has come to an end yet.
    New,
    Up {
        session: S,
        /// Counts the connections to this node.
        generation: u64,
    },
    Down(Error),
}

impl<S: Clone + Send + Sync + 'static> Fleet<S> {
    /// Begins to dial the nodes. The future does the work; it ends, with the reason, when no
    /// node is left.
    pub fn start<D: Dial<Session = S>>(
        dial: D,
        nodes: impl IntoIterator<Item = Node>,
        timing: Timing,
    ) -> (Fleet<S>, impl Future<Output = Error> + Send + 'static) {
        let (fleet, mut run) = Fleet::make(dial, nodes, timing, false);
        (fleet, poll_fn(move |cx| run.poll(cx)))
    }

    /// The same for nodes that the connection can do without, replicas for one: the work goes on
    /// when none of them is left, and the host hears nothing of them.
    pub fn start_spare<D: Dial<Session = S>>(
        dial: D,
        nodes: impl IntoIterator<Item = Node>,
        timing: Timing,
    ) -> (Fleet<S>, impl Future<Output = Error> + Send + 'static) {
        let (fleet, mut run) = Fleet::make(dial, nodes, timing, true);
        (fleet, poll_fn(move |cx| run.poll(cx)))
    }

    fn make<D: Dial<Session = S>>(
        dial: D,
        nodes: impl IntoIterator<Item = Node>,
        timing: Timing,
        is_spare: bool,
    ) -> (Fleet<S>, Run<D>) {
        let shared = Arc::new(Mutex::new(Shared {
            nodes: nodes.into_iter().map(|node| (node, Status::New)).collect(),
            is_changed: true,
            is_settled: false,
            condemned: Vec::new(),
            notices: VecDeque::new(),
            work: None,
            beginning: None,
            reader: None,
        }));
        let run = Run {
            dial,
            timing,
            is_spare,
            shared: Arc::clone(&shared),
            members: BTreeMap::new(),
            generation: 0,
            is_troubled: false,
        };
        (Fleet { shared, patience: timing.patience }, run)
    }

    /// Waits until all nodes stand, or until some do and the others had a moment more. The
    /// background work must be polled meanwhile.
    pub async fn settled(&self) {
        let all = poll_fn(|cx| self.poll_standing(cx, |up, total| up == total));
        let some = poll_fn(|cx| self.poll_standing(cx, |up, _| up > 0)).then(|()| sleep(GRACE));
        // Both are of one task, so that one waker will do.
        select(Box::pin(all), Box::pin(some)).await;
        let mut shared = lock(&self.shared);
        shared.is_settled = true;
        wake(&mut shared.work);
    }

    fn poll_standing(&self, cx: &Context<'_>, enough: impl Fn(usize, usize) -> bool) -> Poll<()> {
        let mut shared = lock(&self.shared);
        let up = shared.nodes.values().filter(|status| matches!(status, Status::Up { .. })).count();
        if enough(up, shared.nodes.len()) {
            return Poll::Ready(());
        }
        shared.beginning = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Changes which nodes there are: new ones are dialed, and the connections to those that
    /// are not named end.
    pub fn set_nodes(&self, nodes: impl IntoIterator<Item = Node>) {
        let mut shared = lock(&self.shared);
        let mut before = std::mem::take(&mut shared.nodes);
        for node in nodes {
            let status = before.remove(&node).unwrap_or(Status::New);
            shared.is_changed |= matches!(status, Status::New);
            shared.nodes.insert(node, status);
        }
        shared.is_changed |= !before.is_empty();
        if shared.is_changed {
            wake(&mut shared.work);
        }
    }

    /// The nodes, and whether each stands.
    pub fn nodes(&self) -> Vec<(Node, bool)> {
        let shared = lock(&self.shared);
        shared
            .nodes
            .iter()
            .map(|(node, status)| (node.clone(), matches!(status, Status::Up { .. })))
            .collect()
    }

    /// Whether some node is away, so that a timer runs until it is tried again.
    pub fn waits_for_timer(&self) -> bool {
        lock(&self.shared).nodes.values().any(|status| !matches!(status, Status::Up { .. }))
    }

    /// The connection to a node.
    ///
    /// # Errors
    /// It is away; another attempt may find it.
    pub fn session(&self, node: &Node) -> Result<S, Error> {
        self.find(node).map(|(session, _)| session)
    }

    fn find(&self, node: &Node) -> Result<(S, u64), Error> {
        match lock(&self.shared).nodes.get(node) {
            Some(Status::Up { session, generation }) => Ok((session.clone(), *generation)),
            Some(Status::Down(error)) => Err(away(node, error)),
            Some(Status::New) => Err(transient(format!("the server {node} is not connected yet"))),
            None => Err(transient(format!("the server {node} is none of ours any more"))),
        }
    }

    /// Asks a node. A node that does not answer in time, or whose connection fails, is given
    /// up and dialed again; the error passes by itself then.
    pub async fn run<R, F>(&self, node: &Node, ask: impl FnOnce(S) -> F) -> Result<R, Error>
    where
        F: Future<Output = Result<R, Error>>,
    {
        let (session, generation) = self.find(node)?;
        let result = match timeout(self.patience, ask(session)).await {
            Ok(result) => result,
            Err(_) => Err(Error::connection("the server does not answer")),
        };
        result.map_err(|error| {
            if error.remedy() != Remedy::Reconnect && error.code() != ErrorCode::Authentication {
                return error;
            }
            self.give_up(node, generation, &error);
            away(node, &error)
        })
    }

    fn give_up(&self, node: &Node, generation: u64, error: &Error) {
        let mut shared = lock(&self.shared);
        shared.condemned.push((node.clone(), generation, error.clone()));
        wake(&mut shared.work);
    }

    /// For [`Connection::poll_notice`](crate::core::Connection::poll_notice).
    pub fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut shared = lock(&self.shared);
        if let Some(notice) = shared.notices.pop_front() {
            return Poll::Ready(notice);
        }
        shared.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The background work.
struct Run<D: Dial> {
    dial: D,
    timing: Timing,
    /// See [`Fleet::start_spare`].
    is_spare: bool,
    shared: Arc<Mutex<Shared<D::Session>>>,
    members: BTreeMap<Node, Member<D::Session>>,
    generation: u64,
    /// The host was told that something is amiss, or would have been told soon.
    is_troubled: bool,
}

struct Member<S> {
    state: State<S>,
    backoff: Backoff,
    /// The host was told that it is away.
    is_told: bool,
}

enum State<S> {
    Pausing(Pin<Box<Sleep>>),
    Dialing(BoxFuture<'static, Result<Dialed<S>, Error>>),
    Up { lifeline: BoxFuture<'static, Error>, generation: u64 },
}

/// What a node's turn brought.
enum Turn<S> {
    Nothing,
    Up(S, u64),
    Down(Error),
}

impl<D: Dial> Run<D> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.take_changes(cx);
        let nodes: Vec<Node> = self.members.keys().cloned().collect();
        for node in nodes {
            loop {
                match self.poll_member(&node, cx) {
                    Turn::Nothing => break,
                    Turn::Up(session, generation) => self.came(&node, session, generation),
                    Turn::Down(error) => {
                        if let Some(end) = self.went(&node, error) {
                            return Poll::Ready(end);
                        }
                    }
                }
            }
        }
        self.tell();
        Poll::Pending
    }

    /// Sees which nodes are wanted, and which connections are condemned.
    fn take_changes(&mut self, cx: &Context<'_>) {
        let mut shared = lock(&self.shared);
        shared.work = Some(cx.waker().clone());
        for (node, generation, error) in std::mem::take(&mut shared.condemned) {
            if let Some(Member { state, .. }) = self.members.get_mut(&node) {
                if matches!(state, State::Up { generation: current, .. } if *current == generation) {
                    let lifeline: BoxFuture<'static, Error> = Box::pin(async move { error });
                    *state = State::Up { lifeline, generation };
                }
            }
        }
        if !std::mem::take(&mut shared.is_changed) {
            return;
        }
        self.members.retain(|node, _| shared.nodes.contains_key(node));
        for node in shared.nodes.keys() {
            if !self.members.contains_key(node) {
                let backoff = Backoff::new(self.timing.pauses.0, self.timing.pauses.1);
                let state = State::Dialing(dial(&self.dial, node, self.timing.connect));
                self.members.insert(node.clone(), Member { state, backoff, is_told: false });
            }
        }
    }

    fn poll_member(&mut self, node: &Node, cx: &mut Context<'_>) -> Turn<D::Session> {
        let Some(member) = self.members.get_mut(node) else { return Turn::Nothing };
        loop {
            match &mut member.state {
                State::Pausing(pause) => match pause.as_mut().poll(cx) {
                    Poll::Ready(()) => {
                        member.state = State::Dialing(dial(&self.dial, node, self.timing.connect));
                    }
                    Poll::Pending => return Turn::Nothing,
                },
                State::Dialing(attempt) => match attempt.poll_unpin(cx) {
                    Poll::Ready(Ok((session, lifeline))) => {
                        self.generation += 1;
                        member.state = State::Up { lifeline, generation: self.generation };
                        return Turn::Up(session, self.generation);
                    }
                    Poll::Ready(Err(error)) => {
                        member.state = State::Pausing(Box::pin(sleep(member.backoff.next())));
                        return Turn::Down(error);
                    }
                    Poll::Pending => return Turn::Nothing,
                },
                State::Up { lifeline, .. } => match lifeline.poll_unpin(cx) {
                    Poll::Ready(error) => {
                        member.state = State::Pausing(Box::pin(sleep(member.backoff.next())));
                        return Turn::Down(error);
                    }
                    Poll::Pending => return Turn::Nothing,
                },
            }
        }
    }

    fn came(&mut self, node: &Node, session: D::Session, generation: u64) {
        let mut shared = lock(&self.shared);
        shared.nodes.insert(node.clone(), Status::Up { session, generation });
        wake(&mut shared.beginning);
        if let Some(member) = self.members.get_mut(node) {
            member.backoff.reset();
        }
    }

    /// Notes that a node is away; the reason for the end if it was the last one.
    fn went(&mut self, node: &Node, error: Error) -> Option<Error> {
        let mut shared = lock(&self.shared);
        shared.nodes.insert(node.clone(), Status::Down(error.clone()));
        wake(&mut shared.beginning);
        if self.is_spare || !shared.nodes.values().all(|status| matches!(status, Status::Down(_))) {
            return None;
        }
        let reason = shared.nodes.values().find_map(|status| match status {
            Status::Down(error) if will_not_help(error) => Some(error.clone()),
            _ => None,
        });
        Some(match reason {
            Some(reason) => reason,
            None if shared.nodes.len() == 1 => error,
            None => Error::connection(format!("no server is left; {node}: {}", error.message())),
        })
    }

    /// Gives notice of what is new since the last time.
    fn tell(&mut self) {
        let mut shared = lock(&self.shared);
        if self.is_spare || !shared.is_settled {
            return;
        }
        let mut notices = Vec::new();
        let mut all_stand = true;
        for (node, status) in &shared.nodes {
            let Some(member) = self.members.get_mut(node) else { continue };
            match status {
                Status::New => all_stand = false,
                Status::Up { .. } => {
                    if std::mem::take(&mut member.is_told) {
                        notices.push(Notice::Recovery(format!("{node} is back")));
                    }
                }
                Status::Down(error) => {
                    all_stand = false;
                    if !std::mem::replace(&mut member.is_told, true) {
                        let words = format!("the server {node} is away: {}", error.message());
                        notices.push(Notice::Trouble(Error::connection(words)));
                    }
                }
            }
        }
        if all_stand && std::mem::take(&mut self.is_troubled) {
            notices.push(Notice::Restored);
        }
        self.is_troubled |= !all_stand;
        if !notices.is_empty() {
            shared.notices.extend(notices);
            wake(&mut shared.reader);
        }
    }
}

/// One attempt, within its time.
fn dial<D: Dial>(
    dialer: &D,
    node: &Node,
    limit: Duration,
) -> BoxFuture<'static, Result<Dialed<D::Session>, Error>> {
    let attempt = dialer.dial(node);
    Box::pin(async move {
        let late = || Error::connection(format!("no connection within {} ms", limit.as_millis()));
        timeout(limit, attempt).await.unwrap_or_else(|_| Err(late()))
    })
}

fn will_not_help(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::Authentication | ErrorCode::Configuration)
}

fn away(node: &Node, error: &Error) -> Error {
    transient(format!("the server {node} is away: {}", error.message()))
}

fn transient(message: String) -> Error {
    Error::transient(ErrorCode::Unavailable, message)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn lock<S>(shared: &Mutex<Shared<S>>) -> MutexGuard<'_, Shared<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    use futures_util::future::Either;
    use tokio::sync::watch;

    /// Nodes by port: an even one stands while the switch says so, an odd one never does.
    struct Ports {
        stands: watch::Receiver<bool>,
    }

    impl Dial for Ports {
        type Session = u16;

        fn dial(&self, node: &Node) -> BoxFuture<'static, Result<Dialed<u16>, Error>> {
            let (port, mut stands) = (node.port, self.stands.clone());
            Box::pin(async move {
                if port % 2 == 1 || !*stands.borrow() {
                    return Err(Error::connection("refused"));
                }
                let lifeline: BoxFuture<'static, Error> = Box::pin(async move {
                    let _ = stands.wait_for(|stands| !stands).await;
                    Error::connection("gone")
                });
                Ok((port, lifeline))
            })
        }
    }

    fn node(port: u16) -> Node {
        Node { host: "h".into(), port }
    }

    fn timing() -> Timing {
        let short = Duration::from_millis(5);
        Timing {
            connect: Duration::from_secs(1),
            patience: Duration::from_millis(50),
            pauses: (short, short),
        }
    }

    fn block_on<R>(work: impl Future<Output = R>) -> R {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    async fn while_running<R>(
        run: &mut (impl Future<Output = Error> + Unpin),
        work: impl Future<Output = R>,
    ) -> R {
        match select(Box::pin(work), run).await {
            Either::Left((result, _)) => result,
            Either::Right((error, _)) => panic!("{error}"),
        }
    }

    #[test]
    fn one_node_that_is_away_leaves_the_others_alone() {
        block_on(async {
            let (_switch, stands) = watch::channel(true);
            let (fleet, run) = Fleet::start(Ports { stands }, [node(1), node(2), node(4)], timing());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.settled()).await;
            assert_eq!(fleet.session(&node(2)).unwrap(), 2);
            let error = fleet.session(&node(1)).unwrap_err();
            assert_eq!(error.remedy(), Remedy::TryAgain);
            assert_eq!(error.message(), "the server h:1 is away: refused");
            let notice = while_running(&mut run, poll_fn(|cx| fleet.poll_notice(cx))).await;
            assert!(matches!(notice, Notice::Trouble(error) if error.message().contains("h:1")));
            fleet.set_nodes([node(4), node(6)]);
            while_running(&mut run, fleet.settled()).await;
            assert_eq!(fleet.nodes(), [(node(4), true), (node(6), true)]);
            assert!(fleet.session(&node(2)).unwrap_err().message().contains("none of ours"));
        });
    }

    #[test]
    fn the_last_node_ends_the_fleet() {
        block_on(async {
            let (switch, stands) = watch::channel(true);
            let (fleet, run) = Fleet::start(Ports { stands }, [node(2), node(4)], timing());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.settled()).await;
            switch.send(false).unwrap();
            assert!(run.await.message().starts_with("no server is left"));
        });
    }

    #[test]
    fn a_fleet_of_spares_outlives_its_nodes_and_keeps_quiet() {
        block_on(async {
            let (switch, stands) = watch::channel(true);
            let (fleet, run) = Fleet::start_spare(Ports { stands }, [node(2)], timing());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.settled()).await;
            switch.send(false).unwrap();
            while_running(&mut run, async {
                while fleet.session(&node(2)).is_ok() {
                    sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
            fleet.set_nodes([]);
            while_running(&mut run, sleep(Duration::from_millis(20))).await;
            let quiet = poll_fn(|cx| Poll::Ready(fleet.poll_notice(cx).is_pending())).await;
            assert!(quiet && !fleet.waits_for_timer());
        });
    }

    #[test]
    fn a_node_that_hangs_is_dialed_again() {
        block_on(async {
            let (_switch, stands) = watch::channel(true);
            let (fleet, run) = Fleet::start(Ports { stands }, [node(2), node(4)], timing());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.settled()).await;
            let second = node(2);
            let hang = fleet.run(&second, |_| std::future::pending::<Result<(), Error>>());
            let error = while_running(&mut run, hang).await.unwrap_err();
            assert_eq!(error.message(), "the server h:2 is away: the server does not answer");
            let mut notices = Vec::new();
            while notices.len() < 2 {
                notices.push(while_running(&mut run, poll_fn(|cx| fleet.poll_notice(cx))).await);
            }
            assert!(matches!(&notices[1], Notice::Recovery(words) if words == "h:2 is back"), "{notices:?}");
            assert!(fleet.session(&node(2)).is_ok() && !fleet.waits_for_timer());
        });
    }
}
