//! Several nodes behind one connection, those of a Redis Cluster or memcached servers for
//! instance. Each node is dialed by itself, and dialed again when its connection fails or the node
//! keeps silent about a request. A transfer may take its time: only silence is a reason.
//!
//! While a node is disconnected, requests to it fail with a transient error of the whole server: the
//! engine has its operations wait in their places until their deadlines, and the other nodes go on.
//! Only when no node is connected does the connection as a whole end. A fleet of optional nodes
//! never ends. A node that closes its connection while nothing is asked of it is dialed again at once,
//! and only where that fails is it away.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::future::{select, BoxFuture, FutureExt};
use tokio::time::{sleep, sleep_until, timeout, Sleep};

use super::notices::Heard;
use super::renewal::SHORTEST_LIFE;
use super::stream;
use super::traffic::Traffic;
use crate::core::{Backoff, EngineOptions, Error, ErrorCode, Notice, Remedy};

/// How long the start waits for the other nodes once the first ones are connected.
const START_GRACE: Duration = Duration::from_millis(500);

/// The address of a node.
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

/// A new connection to a node and its background work, which ends with the reason when the
/// connection is lost.
pub(crate) type Dialed<C> = (C, BoxFuture<'static, Error>);

/// Connects to one node, and authenticates there.
pub(crate) trait Dial: Send + Sync + 'static {
    /// What requests are sent on.
    type Connection: Clone + Send + Sync + 'static;

    /// Returns when the node does reply. The fleet sets the timeout. `traffic` has to count what
    /// moves on the connection.
    fn dial(
        &self,
        node: &Node,
        traffic: &Traffic,
    ) -> BoxFuture<'static, Result<Dialed<Self::Connection>, Error>>;
}

/// Timeouts of one node, and the delays between attempts to reconnect to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// One attempt to connect.
    pub connect: Duration,
    /// How long a node may be silent while a request to it is unanswered. One on whose connection
    /// nothing moves for so long, or for up to twice as long, is disconnected.
    pub reply: Duration,
    /// The first and the longest delay before the next attempt to connect.
    pub reconnect_delays: (Duration, Duration),
}

impl Timeouts {
    /// Derived from the options of every connector: a node that hangs must be detected well
    /// before the operations' deadline, and before the engine gives up the attempt to connect.
    pub fn from_options(options: &EngineOptions) -> Timeouts {
        Timeouts {
            connect: options.connect_timeout.mul_f64(0.6),
            reply: options.timeout.mul_f64(0.25).min(Duration::from_secs(2)),
            reconnect_delays: (options.reconnect_delay, options.reconnect_max_delay),
        }
    }
}

/// The nodes and the connections to them. Clones share both.
pub(crate) struct Fleet<C> {
    shared: Arc<Mutex<Shared<C>>>,
    reply_timeout: Duration,
}

impl<C> Clone for Fleet<C> {
    fn clone(&self) -> Self {
        Fleet { shared: Arc::clone(&self.shared), reply_timeout: self.reply_timeout }
    }
}

struct Shared<C> {
    nodes: BTreeMap<Node, Known<C>>,
    /// What moved on connections to nodes that are gone.
    moved_before: u64,
    /// The set of nodes has changed.
    is_changed: bool,
    /// The start is over: from now on a node that is disconnected is reported.
    is_started: bool,
    /// Connections on which a request failed or timed out, by node and generation.
    failed: Vec<(Node, u64, Error)>,
    notices: VecDeque<Notice>,
    /// Wakes the fleet's background work.
    background_waker: Option<Waker>,
    /// Wakes who waits for the start to be over.
    start_waker: Option<Waker>,
    /// Wakes who waits for notices.
    notice_waker: Option<Waker>,
}

/// What is known of a node.
struct Known<C> {
    status: Status<C>,
    /// What moves on the connections to it, one after the other.
    traffic: Traffic,
    /// How many requests to it are under way.
    under_way: Arc<AtomicUsize>,
}

/// That a request is under way.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: Arc<AtomicUsize>) -> UnderWay {
        count.fetch_add(1, Ordering::Relaxed);
        UnderWay(count)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C> Default for Known<C> {
    fn default() -> Self {
        Known { status: Status::Connecting, traffic: Traffic::default(), under_way: Arc::default() }
    }
}

enum Status<C> {
    /// The first attempt to connect is under way.
    Connecting,
    Connected {
        connection: C,
        /// Tells this connection from others to the same node.
        generation: u64,
    },
    Disconnected(Error),
}

impl<C: Clone + Send + Sync + 'static> Fleet<C> {
    /// Begins to connect to the nodes. The future does the work; it ends, with the reason, when
    /// all nodes are disconnected.
    pub fn start<D: Dial<Connection = C>>(
        dial: D,
        nodes: impl IntoIterator<Item = Node>,
        timeouts: Timeouts,
    ) -> (Fleet<C>, impl Future<Output = Error> + Send + 'static) {
        let (fleet, mut background) = Fleet::make(dial, nodes, timeouts, false);
        (fleet, poll_fn(move |cx| background.poll(cx)))
    }

    /// The same for optional nodes, replicas for instance: the work goes on when all of them are
    /// disconnected, and the host gets no notice of them.
    pub fn start_optional<D: Dial<Connection = C>>(
        dial: D,
        nodes: impl IntoIterator<Item = Node>,
        timeouts: Timeouts,
    ) -> (Fleet<C>, impl Future<Output = Error> + Send + 'static) {
        let (fleet, mut background) = Fleet::make(dial, nodes, timeouts, true);
        (fleet, poll_fn(move |cx| background.poll(cx)))
    }

    fn make<D: Dial<Connection = C>>(
        dial: D,
        nodes: impl IntoIterator<Item = Node>,
        timeouts: Timeouts,
        is_optional: bool,
    ) -> (Fleet<C>, Background<D>) {
        let shared = Arc::new(Mutex::new(Shared {
            nodes: nodes.into_iter().map(|node| (node, Known::default())).collect(),
            moved_before: 0,
            is_changed: true,
            is_started: false,
            failed: Vec::new(),
            notices: VecDeque::new(),
            background_waker: None,
            start_waker: None,
            notice_waker: None,
        }));
        let background = Background {
            dial,
            timeouts,
            is_optional,
            shared: Arc::clone(&shared),
            members: BTreeMap::new(),
            generation: 0,
            is_degraded: false,
            next_report: None,
        };
        (Fleet { shared, reply_timeout: timeouts.reply }, background)
    }

    /// Waits until all nodes are connected, or until some are and the others had a grace period.
    /// The background work must be polled meanwhile.
    pub async fn started(&self) {
        let all = poll_fn(|cx| self.poll_connected(cx, |connected, total| connected == total));
        let some =
            poll_fn(|cx| self.poll_connected(cx, |connected, _| connected > 0)).then(|()| sleep(START_GRACE));
        // Both are of one task, so that one waker will do.
        select(Box::pin(all), Box::pin(some)).await;
        let mut shared = lock(&self.shared);
        shared.is_started = true;
        wake(&mut shared.background_waker);
    }

    fn poll_connected(&self, cx: &Context<'_>, enough: impl Fn(usize, usize) -> bool) -> Poll<()> {
        let mut shared = lock(&self.shared);
        let connected = shared.nodes.values().filter(|known| known.status.is_connected()).count();
        if enough(connected, shared.nodes.len()) {
            return Poll::Ready(());
        }
        shared.start_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Replaces the set of nodes: new ones are dialed, and the connections to those that are gone
    /// are closed.
    pub fn set_nodes(&self, nodes: impl IntoIterator<Item = Node>) {
        let mut shared = lock(&self.shared);
        let mut before = std::mem::take(&mut shared.nodes);
        for node in nodes {
            let known = before.remove(&node).unwrap_or_default();
            shared.is_changed |= matches!(known.status, Status::Connecting);
            shared.nodes.insert(node, known);
        }
        shared.is_changed |= !before.is_empty();
        shared.moved_before += before.values().map(|known| known.traffic.total()).sum::<u64>();
        if shared.is_changed {
            wake(&mut shared.background_waker);
        }
    }

    /// The nodes, and whether each is connected.
    pub fn nodes(&self) -> Vec<(Node, bool)> {
        let shared = lock(&self.shared);
        shared.nodes.iter().map(|(node, known)| (node.clone(), known.status.is_connected())).collect()
    }

    /// Whether some node is disconnected, so that a timer runs until the next attempt to connect.
    pub fn waits_for_timer(&self) -> bool {
        lock(&self.shared).nodes.values().any(|known| !known.status.is_connected())
    }

    /// For [`Connection::moved`](crate::core::Connection::moved): what moved on all connections.
    /// Whether a single node is silent is the fleet's own matter, and a group of keys may be served
    /// by several: by replicas, by the target of a redirection, by those that stand in for others.
    pub fn moved(&self) -> u64 {
        let shared = lock(&self.shared);
        shared.moved_before + shared.nodes.values().map(|known| known.traffic.total()).sum::<u64>()
    }

    /// The connection to a node.
    ///
    /// # Errors
    /// It is disconnected, which is transient.
    pub fn connection(&self, node: &Node) -> Result<C, Error> {
        self.find(node).map(|(connection, ..)| connection)
    }

    fn find(&self, node: &Node) -> Result<(C, u64, Traffic, UnderWay), Error> {
        let shared = lock(&self.shared);
        let Some(Known { status, traffic, under_way }) = shared.nodes.get(node) else {
            // The keys are another node's by now, which need not wait for this one.
            return Err(transient(format!("the server {node} is none of ours any more")));
        };
        match status {
            Status::Connected { connection, generation } => {
                let under_way = UnderWay::new(Arc::clone(under_way));
                Ok((connection.clone(), *generation, traffic.clone(), under_way))
            }
            Status::Disconnected(error) => Err(unavailable(node, error)),
            Status::Connecting => {
                Err(transient(format!("the server {node} is not connected yet")).of_server())
            }
        }
    }

    /// Sends a request to a node. A node that is silent for too long, or whose connection fails,
    /// is disconnected and dialed again; the error is transient then.
    pub async fn request<R, F>(&self, node: &Node, request: impl FnOnce(C) -> F) -> Result<R, Error>
    where
        F: Future<Output = Result<R, Error>>,
    {
        let (connection, generation, traffic, _under_way) = self.find(node)?;
        let result = traffic
            .while_moving(self.reply_timeout, request(connection))
            .await
            .unwrap_or_else(|| Err(Error::connection("the server does not answer")));
        result.map_err(|error| {
            if error.remedy() != Remedy::Reconnect && error.code() != ErrorCode::Authentication {
                return error;
            }
            self.disconnect(node, generation, &error);
            unavailable(node, &error).in_flight()
        })
    }

    fn disconnect(&self, node: &Node, generation: u64, error: &Error) {
        let mut shared = lock(&self.shared);
        shared.failed.push((node.clone(), generation, error.clone()));
        wake(&mut shared.background_waker);
    }

    /// For [`Connection::poll_notice`](crate::core::Connection::poll_notice).
    pub fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut shared = lock(&self.shared);
        if let Some(notice) = shared.notices.pop_front() {
            return Poll::Ready(notice);
        }
        shared.notice_waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<C> Status<C> {
    fn is_connected(&self) -> bool {
        matches!(self, Status::Connected { .. })
    }
}

/// The background work: connects, watches the connections, and reconnects.
struct Background<D: Dial> {
    dial: D,
    timeouts: Timeouts,
    /// See [`Fleet::start_optional`].
    is_optional: bool,
    shared: Arc<Mutex<Shared<D::Connection>>>,
    members: BTreeMap<Node, Member<D::Connection>>,
    generation: u64,
    /// Some node was not connected after the start, and they have not all been since.
    is_degraded: bool,
    /// When a node's absence is to be told.
    next_report: Option<Pin<Box<Sleep>>>,
}

struct Member<C> {
    state: State<C>,
    traffic: Traffic,
    backoff: Backoff,
    heard: Heard,
}

enum State<C> {
    BackingOff(Pin<Box<Sleep>>),
    Dialing(BoxFuture<'static, Result<Dialed<C>, Error>>),
    Connected {
        lifeline: BoxFuture<'static, Error>,
        generation: u64,
        /// `None` where a request has failed on it.
        since: Option<Instant>,
    },
}

/// What has become of a node since it was last polled.
enum Event<C> {
    Connected(C, u64),
    Disconnected(Error),
}

impl<D: Dial> Background<D> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.apply_changes(cx);
        let nodes: Vec<Node> = self.members.keys().cloned().collect();
        for node in nodes {
            while let Poll::Ready(event) = self.poll_member(&node, cx) {
                match event {
                    Event::Connected(connection, generation) => {
                        self.connected(&node, connection, generation);
                    }
                    Event::Disconnected(error) => {
                        if let Some(end) = self.disconnected(&node, error) {
                            return Poll::Ready(end);
                        }
                    }
                }
            }
        }
        self.report(cx);
        Poll::Pending
    }

    /// Closes the connections that failed, and takes over the set of nodes.
    fn apply_changes(&mut self, cx: &Context<'_>) {
        let mut shared = lock(&self.shared);
        shared.background_waker = Some(cx.waker().clone());
        for (node, generation, error) in std::mem::take(&mut shared.failed) {
            if let Some(Member { state, .. }) = self.members.get_mut(&node) {
                if matches!(state, State::Connected { generation: current, .. } if *current == generation) {
                    let lifeline: BoxFuture<'static, Error> = Box::pin(async move { error });
                    *state = State::Connected { lifeline, generation, since: None };
                }
            }
        }
        if !std::mem::take(&mut shared.is_changed) {
            return;
        }
        self.members.retain(|node, _| shared.nodes.contains_key(node));
        for (node, Known { traffic, .. }) in &shared.nodes {
            if !self.members.contains_key(node) {
                let backoff =
                    Backoff::new(self.timeouts.reconnect_delays.0, self.timeouts.reconnect_delays.1);
                let state = State::Dialing(dial(&self.dial, node, traffic, self.timeouts.connect));
                let member = Member { state, traffic: traffic.clone(), backoff, heard: Heard::default() };
                self.members.insert(node.clone(), member);
            }
        }
    }

    fn poll_member(&mut self, node: &Node, cx: &mut Context<'_>) -> Poll<Event<D::Connection>> {
        let Some(member) = self.members.get_mut(node) else { return Poll::Pending };
        loop {
            match &mut member.state {
                State::BackingOff(delay) => match delay.as_mut().poll(cx) {
                    Poll::Ready(()) => {
                        let attempt = dial(&self.dial, node, &member.traffic, self.timeouts.connect);
                        member.state = State::Dialing(attempt);
                    }
                    Poll::Pending => return Poll::Pending,
                },
                State::Dialing(attempt) => match attempt.poll_unpin(cx) {
                    Poll::Ready(Ok((connection, lifeline))) => {
                        self.generation += 1;
                        let (generation, since) = (self.generation, Some(Instant::now()));
                        member.state = State::Connected { lifeline, generation, since };
                        return Poll::Ready(Event::Connected(connection, self.generation));
                    }
                    Poll::Ready(Err(error)) => {
                        member.state = State::BackingOff(Box::pin(sleep(member.backoff.next())));
                        return Poll::Ready(Event::Disconnected(error));
                    }
                    Poll::Pending => return Poll::Pending,
                },
                State::Connected { lifeline, since, .. } => match lifeline.poll_unpin(cx) {
                    Poll::Ready(_)
                        if since.is_some_and(|since| since.elapsed() >= SHORTEST_LIFE)
                            && rested(&self.shared, node) =>
                    {
                        let attempt = dial(&self.dial, node, &member.traffic, self.timeouts.connect);
                        member.state = State::Dialing(attempt);
                    }
                    Poll::Ready(error) => {
                        member.state = State::BackingOff(Box::pin(sleep(member.backoff.next())));
                        return Poll::Ready(Event::Disconnected(error));
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    fn connected(&mut self, node: &Node, connection: D::Connection, generation: u64) {
        let mut shared = lock(&self.shared);
        if let Some(known) = shared.nodes.get_mut(node) {
            known.status = Status::Connected { connection, generation };
        }
        wake(&mut shared.start_waker);
        if let Some(member) = self.members.get_mut(node) {
            member.backoff.reset();
        }
    }

    /// Notes that a node is disconnected; the reason for the end if all of them are now.
    fn disconnected(&mut self, node: &Node, error: Error) -> Option<Error> {
        let mut shared = lock(&self.shared);
        if let Some(known) = shared.nodes.get_mut(node) {
            known.status = Status::Disconnected(error.clone());
        }
        wake(&mut shared.start_waker);
        let is_away = |known: &Known<_>| matches!(known.status, Status::Disconnected(_));
        if self.is_optional || !shared.nodes.values().all(is_away) {
            return None;
        }
        let permanent = shared.nodes.values().find_map(|known| match &known.status {
            Status::Disconnected(error) if is_permanent(error) => Some(error.clone()),
            _ => None,
        });
        Some(match permanent {
            Some(permanent) => permanent,
            None if shared.nodes.len() == 1 => error,
            None => Error::connection(format!("no server is left; {node}: {}", error.message())),
        })
    }

    /// Gives notice of the nodes whose state has changed since the last report.
    fn report(&mut self, cx: &mut Context<'_>) {
        let mut shared = lock(&self.shared);
        if self.is_optional || !shared.is_started {
            return;
        }
        let mut notices = Vec::new();
        let mut all_connected = true;
        let mut again: Option<Instant> = None;
        for (node, Known { status, .. }) in &shared.nodes {
            let Some(member) = self.members.get_mut(node) else { continue };
            all_connected &= status.is_connected();
            match status {
                Status::Connecting => {}
                Status::Connected { .. } => notices.extend(member.heard.of_connected(node)),
                Status::Disconnected(error) => {
                    match member.heard.of_disconnected(node, error, Instant::now()) {
                        Ok(notice) => notices.extend(notice),
                        Err(at) => again = Some(again.map_or(at, |earlier| earlier.min(at))),
                    }
                }
            }
        }
        if all_connected && std::mem::take(&mut self.is_degraded) {
            notices.push(Notice::Restored);
        }
        self.is_degraded |= !all_connected;
        if !notices.is_empty() {
            shared.notices.extend(notices);
            wake(&mut shared.notice_waker);
        }
        drop(shared);
        self.next_report = again.map(|at| Box::pin(sleep_until(at.into())));
        if let Some(next) = &mut self.next_report {
            if next.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }
}

/// Whether nothing is asked of a node, whose connection is made anew then.
fn rested<C>(shared: &Mutex<Shared<C>>, node: &Node) -> bool {
    let mut shared = lock(shared);
    let Some(known) = shared.nodes.get_mut(node) else { return false };
    let is_idle = known.under_way.load(Ordering::Relaxed) == 0;
    if is_idle {
        known.status = Status::Connecting;
    }
    is_idle
}

/// One attempt to connect, within its timeout.
fn dial<D: Dial>(
    dialer: &D,
    node: &Node,
    traffic: &Traffic,
    connect_timeout: Duration,
) -> BoxFuture<'static, Result<Dialed<D::Connection>, Error>> {
    let attempt = dialer.dial(node, traffic);
    Box::pin(async move {
        let late = || Error::connection(format!("no connection within {} ms", connect_timeout.as_millis()));
        timeout(connect_timeout, attempt).await.unwrap_or_else(|_| Err(late()))
    })
}

/// Whether another attempt to connect would fail in the same way.
fn is_permanent(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::Authentication | ErrorCode::Configuration)
}

fn unavailable(node: &Node, error: &Error) -> Error {
    transient(format!("the server {node} is away: {}", error.message())).of_server()
}

fn transient(message: String) -> Error {
    Error::transient(ErrorCode::Unavailable, message)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn lock<C>(shared: &Mutex<Shared<C>>) -> MutexGuard<'_, Shared<C>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Instant;

    use bytes::BytesMut;
    use futures_util::future::Either;
    use tokio::io::{duplex, AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{watch, Notify};

    use crate::net::pipeline::{Decode, Pipeline};
    use crate::net::traffic::Counted;

    /// Nodes by port: an even one accepts while the switch says so, an odd one never does.
    struct Ports {
        accepts: watch::Receiver<bool>,
    }

    impl Dial for Ports {
        type Connection = u16;

        fn dial(&self, node: &Node, _: &Traffic) -> BoxFuture<'static, Result<Dialed<u16>, Error>> {
            let (port, mut accepts) = (node.port, self.accepts.clone());
            Box::pin(async move {
                if port % 2 == 1 || !*accepts.borrow() {
                    return Err(Error::connection("refused"));
                }
                let lifeline: BoxFuture<'static, Error> = Box::pin(async move {
                    let _ = accepts.wait_for(|accepts| !accepts).await;
                    Error::connection("gone")
                });
                Ok((port, lifeline))
            })
        }
    }

    fn node(port: u16) -> Node {
        Node { host: "h".into(), port }
    }

    fn timeouts() -> Timeouts {
        let short = Duration::from_millis(5);
        Timeouts {
            connect: Duration::from_secs(1),
            reply: Duration::from_millis(50),
            reconnect_delays: (short, short),
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
    fn what_was_in_flight_when_a_node_was_lost_is_told_from_what_waits_for_it() {
        block_on(async {
            let (_switch, accepts) = watch::channel(true);
            let (fleet, run) = Fleet::start(Ports { accepts }, [node(1), node(2)], timeouts());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.started()).await;
            let broken = |_| async { Err::<(), _>(Error::connection("broken")) };
            let waits = fleet.request(&node(1), broken).await.unwrap_err();
            let was_sent = fleet.request(&node(2), broken).await.unwrap_err();
            assert_eq!((waits.is_of_server(), waits.was_in_flight()), (true, false));
            assert_eq!((was_sent.is_of_server(), was_sent.was_in_flight()), (true, true));
        });
    }

    #[test]
    fn one_disconnected_node_leaves_the_others_alone() {
        block_on(async {
            let (_switch, accepts) = watch::channel(true);
            let (fleet, run) = Fleet::start(Ports { accepts }, [node(1), node(2), node(4)], timeouts());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.started()).await;
            assert_eq!(fleet.connection(&node(2)).unwrap(), 2);
            let error = fleet.connection(&node(1)).unwrap_err();
            assert_eq!((error.remedy(), error.is_of_server()), (Remedy::TryAgain, true));
            assert_eq!(error.message(), "the server h:1 is away: refused");
            let notice = while_running(&mut run, poll_fn(|cx| fleet.poll_notice(cx))).await;
            assert!(matches!(notice, Notice::Trouble(error) if error.message().contains("h:1")));
            fleet.set_nodes([node(4), node(6)]);
            while_running(&mut run, fleet.started()).await;
            assert_eq!(fleet.nodes(), [(node(4), true), (node(6), true)]);
            assert!(fleet.connection(&node(2)).unwrap_err().message().contains("none of ours"));
        });
    }

    /// A node that accepts all the time, and closes its connections when it is told.
    struct Closing(Arc<Notify>);

    impl Dial for Closing {
        type Connection = ();

        fn dial(&self, _: &Node, _: &Traffic) -> BoxFuture<'static, Result<Dialed<()>, Error>> {
            let close = Arc::clone(&self.0);
            let lifeline = async move {
                close.notified().await;
                Error::connection("the server closed the connection")
            };
            Box::pin(async move { Ok(((), lifeline.boxed())) })
        }
    }

    /// Has a node close its connection, which was there for so long and is used or not; whether it
    /// was dialed again without a word.
    fn is_dialed_again_quietly(age: Duration, is_used: bool) -> bool {
        block_on(async {
            let close = Arc::new(Notify::new());
            let (fleet, run) = Fleet::start(Closing(Arc::clone(&close)), [node(2)], timeouts());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.started()).await;
            while_running(&mut run, sleep(age)).await;
            let generation = || fleet.find(&node(2)).map(|(_, generation, ..)| generation);
            let before = generation().unwrap();
            let used = fleet.find(&node(2)).ok().filter(|_| is_used);
            close.notify_waiters();
            let again = async {
                while !generation().is_ok_and(|now| now > before) {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let is_again = matches!(select(Box::pin(again), run).await, Either::Left(_));
            drop(used);
            is_again
                && poll_fn(|cx| {
                    Poll::Ready(!matches!(fleet.poll_notice(cx), Poll::Ready(Notice::Trouble(_))))
                })
                .await
        })
    }

    #[test]
    fn a_connection_that_ends_while_it_is_idle_is_made_anew_and_nobody_is_told() {
        assert!(is_dialed_again_quietly(SHORTEST_LIFE, false));
        assert!(!is_dialed_again_quietly(SHORTEST_LIFE, true), "something was asked");
        assert!(!is_dialed_again_quietly(Duration::ZERO, false), "it ends all the time");
    }

    #[test]
    fn the_last_node_ends_the_fleet() {
        block_on(async {
            let (switch, accepts) = watch::channel(true);
            let (fleet, run) = Fleet::start(Ports { accepts }, [node(2), node(4)], timeouts());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.started()).await;
            switch.send(false).unwrap();
            assert!(run.await.message().starts_with("no server is left"));
        });
    }

    /// Each node has a switch of its own.
    struct Each(BTreeMap<u16, watch::Receiver<bool>>);

    impl Dial for Each {
        type Connection = u16;

        fn dial(&self, node: &Node, traffic: &Traffic) -> BoxFuture<'static, Result<Dialed<u16>, Error>> {
            Ports { accepts: self.0[&node.port].clone() }.dial(node, traffic)
        }
    }

    #[test]
    fn nodes_that_all_go_one_after_the_other_are_one_outage() {
        block_on(async {
            let (first, second) = (watch::channel(true), watch::channel(true));
            let dialer = Each([(2, first.1), (4, second.1)].into());
            let (fleet, run) = Fleet::start(dialer, [node(2), node(4)], timeouts());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.started()).await;
            first.0.send(false).unwrap();
            while_running(&mut run, sleep(Duration::from_millis(50))).await;
            assert!(fleet.connection(&node(2)).is_err());
            second.0.send(false).unwrap();
            assert!(run.await.message().starts_with("no server is left"));
            assert!(
                poll_fn(|cx| Poll::Ready(fleet.poll_notice(cx).is_pending())).await,
                "half of it was told"
            );
        });
    }

    #[test]
    fn a_fleet_of_optional_nodes_outlives_them_and_gives_no_notice() {
        block_on(async {
            let (switch, accepts) = watch::channel(true);
            let (fleet, run) = Fleet::start_optional(Ports { accepts }, [node(2)], timeouts());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.started()).await;
            switch.send(false).unwrap();
            while_running(&mut run, async {
                while fleet.connection(&node(2)).is_ok() {
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
            let (_switch, accepts) = watch::channel(true);
            let (fleet, run) = Fleet::start(Ports { accepts }, [node(2), node(4)], timeouts());
            let mut run = Box::pin(run);
            while_running(&mut run, fleet.started()).await;
            let second = node(2);
            let hang = fleet.request(&second, |_| std::future::pending::<Result<(), Error>>());
            let error = while_running(&mut run, hang).await.unwrap_err();
            assert_eq!(error.message(), "the server h:2 is away: the server does not answer");
            let mut notices = Vec::new();
            while notices.len() < 2 {
                notices.push(while_running(&mut run, poll_fn(|cx| fleet.poll_notice(cx))).await);
            }
            assert!(matches!(&notices[1], Notice::Recovery(words) if words == "h:2 is back"), "{notices:?}");
            assert!(fleet.connection(&node(2)).is_ok() && !fleet.waits_for_timer());
        });
    }

    /// Nodes that send a byte after the other, so many of them, with a pause before each.
    struct Drip(usize, Duration);

    impl Dial for Drip {
        type Connection = Pipeline<usize>;

        fn dial(
            &self,
            _: &Node,
            traffic: &Traffic,
        ) -> BoxFuture<'static, Result<Dialed<Pipeline<usize>>, Error>> {
            let (ours, mut theirs) = duplex(64);
            let (pipeline, lifeline) = Pipeline::new(Counted::new(ours, traffic), Whole(self.0));
            let Drip(length, pause) = *self;
            let drip = async move {
                theirs.read_u8().await.unwrap();
                for _ in 0..length {
                    sleep(pause).await;
                    theirs.write_u8(0).await.unwrap();
                }
                std::future::pending().await
            };
            let lifeline = select(Box::pin(lifeline), Box::pin(drip)).map(|end| end.factor_first().0);
            Box::pin(async move { Ok((pipeline, lifeline.boxed())) })
        }
    }

    /// Replies of so many bytes.
    struct Whole(usize);

    impl Decode for Whole {
        type Reply = usize;

        fn next(&mut self, input: &mut BytesMut) -> Result<Option<usize>, Error> {
            let Whole(length) = *self;
            Ok((input.len() >= length).then(|| input.split_to(length).len()))
        }
    }

    async fn ask<D: Dial<Connection = Pipeline<usize>>>(dial: D) -> (Result<usize, Error>, u64) {
        let (fleet, run) = Fleet::start(dial, [node(2)], timeouts());
        let mut run = Box::pin(run);
        while_running(&mut run, fleet.started()).await;
        let first = node(2);
        let request =
            fleet.request(&first, |pipeline| async move { Ok(pipeline.send(vec![1], 1).await?[0]) });
        let answer = while_running(&mut run, request).await;
        let moved = fleet.moved();
        fleet.set_nodes([node(4)]);
        assert!(fleet.moved() >= moved, "a count never falls");
        (answer, moved)
    }

    #[test]
    fn a_node_that_is_slow_is_waited_for_and_one_that_is_silent_is_not() {
        block_on(async {
            let reply = timeouts().reply;
            let begin = Instant::now();
            let (answer, moved) = ask(Drip(12, reply / 4)).await;
            assert_eq!((answer.unwrap(), moved), (12, 12));
            assert!(begin.elapsed() >= reply * 3);
            let (silence, _) = ask(Drip(1, Duration::from_secs(600))).await;
            assert_eq!(silence.unwrap_err().message(), "the server h:2 is away: the server does not answer");
        });
    }
}
