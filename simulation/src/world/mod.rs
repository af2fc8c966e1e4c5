//! The made-up world: servers, networks, and what happens in them, in virtual time. Nothing here
//! runs by itself: the driver has it catch up with the clock, and hands over what the sockets hold.

mod backend;
mod exchange;
mod fleet;
mod misfortune;
mod node;
mod session;

pub use exchange::data;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use deepstream_connector::core::{Error, ErrorCode, Key};

use crate::chance::Chance;
use crate::checks::fairness::Rotation;
use crate::checks::{hangs, isolation, outages};
use crate::failure::{Checked, Failure};
use crate::ledger::{Fate, Ledger, Subject};
use crate::scenario::{Fault, Setup};
use crate::time::{Nanos, MILLI};
use crate::trace::Trace;

use node::Node;
use session::{Ask, Exchange, Link, LinkState, Session, Stored};

/// How long the start waits for the other nodes once the first ones are there.
const START_GRACE: Nanos = 500 * MILLI;

/// The world, for the driver, the host and the engine's backend. All are on one thread.
#[derive(Clone)]
pub struct Place {
    world: Arc<Mutex<World>>,
    shift: Arc<AtomicUsize>,
    nodes: usize,
}

/// What happens by itself at some time.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Bytes of an exchange moved; the last of them if so.
    Sent {
        exchange: usize,
        bytes: u64,
        is_last: bool,
    },
    Received {
        exchange: usize,
    },
    Came {
        exchange: usize,
        bytes: u64,
        is_last: bool,
    },
    /// What a lost connection still does.
    Late {
        exchange: usize,
    },
    Accept {
        attempt: usize,
        asked: Nanos,
    },
    Redial {
        session: usize,
        node: usize,
    },
    Watch {
        session: usize,
        node: usize,
        generation: u64,
    },
    Fault(Fault),
}

/// What waits for a look at the sockets.
#[derive(Clone, Debug)]
enum Arrival {
    Reply(usize),
    Connected { attempt: usize, result: Result<usize, Error> },
    Loss { session: usize, node: usize, generation: u64, error: Error },
    NodeUp { session: usize, node: usize },
    Watch { session: usize, node: usize, generation: u64 },
}

#[derive(Default)]
struct Attempt {
    result: Option<Result<usize, Error>>,
    waker: Option<Waker>,
    is_dropped: bool,
}

/// See the module.
pub struct World {
    pub now: Nanos,
    /// How much of the time the host was there to see to its sockets.
    pub awake: Nanos,
    pub setup: Setup,
    pub ledger: Ledger,
    pub trace: Trace,
    pub failure: Option<Failure>,
    pub faults: u64,
    /// The host has asked the connector to end.
    pub is_closing: bool,
    /// What the engine has cost since the driver asked.
    pub work: Nanos,
    pub rotation: Rotation,
    /// When anything last moved anywhere.
    pub last_move: Nanos,
    /// The host was told that the connection stands, and it does.
    pub is_told_ready: bool,
    /// The last time at which something went wrong for all nodes, and the end of what follows.
    pub disturbed_at: Nanos,
    pub disturbed_until: Nanos,
    chance: Chance,
    shift: Arc<AtomicUsize>,
    keys: Vec<Key>,
    events: BTreeMap<(Nanos, u64), Event>,
    numbers: u64,
    nodes: Vec<Node>,
    records: Vec<Option<Stored>>,
    sessions: Vec<Session>,
    attempts: Vec<Attempt>,
    exchanges: Vec<Exchange>,
    /// Those that are not over.
    live: BTreeSet<usize>,
    inbox: Vec<Arrival>,
    refused_until: Nanos,
    /// Keys are elsewhere than they were; what the engine has queued before is mixed.
    is_mixed: bool,
    /// Some operation was in flight at two losses.
    has_suspects: bool,
}

impl Place {
    pub fn new(setup: &Setup, keys: Vec<Key>, is_traced: bool) -> Place {
        let shift = Arc::new(AtomicUsize::new(0));
        let count = keys.len();
        let world = World {
            now: 0,
            awake: 0,
            setup: setup.clone(),
            ledger: Ledger::new(count, setup.nodes),
            trace: Trace::new(is_traced),
            failure: None,
            faults: 0,
            is_closing: false,
            work: 0,
            rotation: Rotation::new(setup.nodes),
            last_move: 0,
            is_told_ready: false,
            disturbed_at: 0,
            disturbed_until: 0,
            chance: Chance::new(setup.seed ^ 0x5EED),
            shift: Arc::clone(&shift),
            keys,
            events: BTreeMap::new(),
            numbers: 0,
            nodes: (0..setup.nodes).map(|_| Node::default()).collect(),
            records: vec![None; count],
            sessions: Vec::new(),
            attempts: Vec::new(),
            exchanges: Vec::new(),
            live: BTreeSet::new(),
            inbox: Vec::new(),
            refused_until: 0,
            is_mixed: false,
            has_suspects: false,
        };
        Place { world: Arc::new(Mutex::new(world)), shift, nodes: setup.nodes }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nothing in the world panics")
    }
}

/// The number in a key's name.
fn number_of(key: &str) -> usize {
    key[1..].parse().unwrap_or(0)
}

impl World {
    /// Remembers the first check that failed.
    pub fn check(&mut self, checked: Checked) {
        if let Err(failure) = checked {
            self.fail(failure);
        }
    }

    pub fn fail(&mut self, failure: Failure) {
        if self.failure.is_none() {
            self.trace.say(self.now, || format!("!! {}: {}", failure.check, failure.words));
            self.failure = Some(failure);
        }
    }

    /// The node of a key.
    pub fn group_of(&self, key: usize) -> usize {
        (key + self.shift.load(Ordering::Relaxed)) % self.setup.nodes
    }

    pub fn key(&self, key: usize) -> Key {
        Arc::clone(&self.keys[key])
    }

    /// When something happens next.
    pub fn next_event(&self) -> Option<Nanos> {
        self.events.keys().next().map(|&(at, _)| at)
    }

    /// Whether a look at the sockets would find something.
    pub fn has_io(&self) -> bool {
        !self.inbox.is_empty()
    }

    fn schedule(&mut self, at: Nanos, event: Event) {
        self.numbers += 1;
        self.events.insert((at.max(self.now), self.numbers), event);
    }

    /// Has something go wrong at a time.
    pub fn plan(&mut self, at: Nanos, fault: Fault) {
        self.schedule(at, Event::Fault(fault));
    }

    /// Has everything happen until then.
    pub fn catch_up(&mut self, until: Nanos) {
        while let Some(entry) = self.events.first_entry() {
            let at = entry.key().0;
            if at > until {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    /// The clock goes ahead, and the world does not. Who wakes up later than planned by `late` can
    /// tell that so much of the time is none.
    pub fn jump(&mut self, by: Nanos, late: Nanos) {
        let events = std::mem::take(&mut self.events);
        self.events = events.into_iter().map(|((at, number), event)| ((at + by, number), event)).collect();
        for link in self.sessions.iter_mut().flat_map(|session| &mut session.links) {
            link.last_move += late;
            link.seen_at += by;
            link.out_free += by;
            link.in_free += by;
            link.last_receipt += by;
        }
        self.nodes.iter_mut().for_each(|node| node.jump(by));
        self.refused_until += by;
        self.disturbed_until += by;
        self.now += by;
        self.disturb_all(0);
    }

    fn happen(&mut self, event: Event) {
        let node = match event {
            Event::Sent { exchange, .. } | Event::Received { exchange } | Event::Came { exchange, .. } => {
                self.exchanges[exchange].node
            }
            Event::Late { exchange } => self.exchanges[exchange].node,
            Event::Accept { attempt, asked } => return self.accept(attempt, asked),
            Event::Redial { node, .. } => node,
            Event::Fault(fault) => return self.suffer(fault),
            Event::Watch { session, node, generation } => {
                return self.inbox.push(Arrival::Watch { session, node, generation });
            }
        };
        if self.nodes[node].is_silent(self.now) {
            return self.schedule(self.nodes[node].silent_until, event);
        }
        match event {
            Event::Sent { exchange, bytes, is_last } => self.sent(exchange, bytes, is_last),
            Event::Received { exchange } => self.received(exchange),
            Event::Came { exchange, bytes, is_last } => self.came(exchange, bytes, is_last),
            Event::Late { exchange } => self.late(exchange),
            Event::Redial { session, node } => self.redial(session, node),
            Event::Accept { .. } | Event::Watch { .. } | Event::Fault(_) => {}
        }
    }

    /// A look at the sockets: the engine's futures can see what they hold.
    pub fn look(&mut self) {
        for session in 0..self.sessions.len() {
            if self.sessions[session].is_over {
                continue;
            }
            for link in &mut self.sessions[session].links {
                if link.seen != link.moved {
                    link.seen = link.moved;
                    link.seen_at = self.now;
                }
            }
        }
        for arrival in std::mem::take(&mut self.inbox) {
            match arrival {
                Arrival::Reply(exchange) => self.show(exchange),
                Arrival::Connected { attempt, result } => {
                    let attempt = &mut self.attempts[attempt];
                    attempt.result = Some(result);
                    attempt.waker.take().into_iter().for_each(Waker::wake);
                }
                Arrival::Loss { session, node, generation, error } => {
                    self.see_loss(session, node, generation, error);
                }
                Arrival::NodeUp { session, node } => self.node_up(session, node),
                Arrival::Watch { session, node, generation } => self.watch(session, node, generation),
            }
        }
    }

    /// Somebody wants to connect. Returns the attempt's number.
    fn dial(&mut self) -> usize {
        let attempt = self.attempts.len();
        self.attempts.push(Attempt::default());
        let pause = 2 * self.latency(0);
        self.schedule(self.now + pause, Event::Accept { attempt, asked: self.now });
        self.trace.say(self.now, || "the engine connects".into());
        attempt
    }

    fn accept(&mut self, attempt: usize, asked: Nanos) {
        if self.attempts[attempt].is_dropped {
            return;
        }
        let now = self.now;
        let there: Vec<bool> =
            self.nodes.iter().map(|node| !node.is_down(now) && !node.is_silent(now)).collect();
        let count = there.iter().filter(|&&is_there| is_there).count();
        let is_pending = self.nodes.iter().any(|node| !node.is_down(now) && node.is_silent(now));
        let may_wait = count > 0 && now < asked + START_GRACE && count < there.len();
        if may_wait || (count == 0 && is_pending) {
            let next = if may_wait { asked + START_GRACE } else { now + 20 * MILLI };
            return self.schedule(next.min(now + 100 * MILLI).max(now + 1), Event::Accept { attempt, asked });
        }
        let result = if count == 0 {
            Err(Error::connection("nobody is there"))
        } else if now < self.refused_until {
            Err(Error::new(ErrorCode::Authentication, "the password is wrong"))
        } else {
            Ok(self.open_session(&there))
        };
        self.trace.say(now, || match &result {
            Ok(session) => format!("session {session} stands: {there:?}"),
            Err(error) => format!("no session: {error}"),
        });
        self.inbox.push(Arrival::Connected { attempt, result });
    }

    fn open_session(&mut self, there: &[bool]) -> usize {
        let number = self.sessions.len();
        let mut links = Vec::with_capacity(there.len());
        for (node, &is_there) in there.iter().enumerate() {
            self.numbers += 1;
            let mut link = Link::new(self.numbers, self.now, self.awake);
            if is_there {
                self.fence(node);
            } else {
                link.state = LinkState::Away;
                link.pause = self.setup.reconnect_delay;
                self.schedule(self.now + link.pause, Event::Redial { session: number, node });
            }
            links.push(link);
        }
        self.encourage();
        self.sessions.push(Session::new(links, self.now));
        if there.iter().any(|&is_there| !is_there) {
            self.degrade(number, &Error::connection("nobody is there"));
        }
        self.rotation.restart();
        number
    }

    /// A new session of a node ends what old ones still do there, where it can.
    fn fence(&mut self, node: usize) {
        if !self.setup.has_fence {
            return;
        }
        let late: Vec<usize> = self
            .events
            .values()
            .filter_map(|event| match event {
                Event::Late { exchange } if self.exchanges[*exchange].node == node => Some(*exchange),
                _ => None,
            })
            .collect();
        for exchange in late {
            self.exchanges[exchange].is_executed = true;
        }
    }

    /// The engine has let go of a session.
    fn session_dropped(&mut self, number: usize) {
        let session = &mut self.sessions[number];
        if std::mem::replace(&mut session.is_over, true) {
            return;
        }
        let is_verdict = session.lost.is_none() && !self.is_closing && !session.has_failed;
        if is_verdict {
            self.trace.say(self.now, || format!("the engine gives session {number} up"));
            let now = self.now;
            let links = self.sessions[number].links.iter();
            let silent = links.filter(|link| link.unanswered > 0).map(|link| now - link.last_move).max();
            // Where nobody counts bytes, what comes for others is no sign.
            let counts = self.setup.counts_bytes;
            let open = self.live.iter().map(|&number| &self.exchanges[number]).filter(|_| !counts);
            let open = open.filter(|exchange| exchange.session == number);
            let unanswered = open.map(|exchange| now - exchange.sent_at).max();
            let checked = hangs::a_hang_is_never_false(self.setup.timeout, silent.max(unanswered));
            self.check(checked);
            self.disturb_all(2 * self.setup.reconnect_max_delay);
        }
        for node in 0..self.nodes.len() {
            self.bury(number, node);
        }
        let exchanges = &self.exchanges;
        self.live.retain(|&exchange| exchanges[exchange].session != number);
        self.rotation.restart();
    }

    /// How long something takes on the way.
    fn latency(&mut self, node: usize) -> Nanos {
        let spread = self.setup.spread;
        (self.setup.latency + self.chance.below(spread + 1)) * self.nodes[node].slowness(self.now)
    }

    fn disturb(&mut self, node: usize, until: Nanos) {
        let node = &mut self.nodes[node];
        node.disturbed_at = self.now;
        node.disturbed_until = node.disturbed_until.max(until);
    }

    /// Something that all nodes' operations notice.
    pub fn disturb_all(&mut self, lasts: Nanos) {
        self.disturbed_at = self.now;
        self.disturbed_until = self.disturbed_until.max(self.now + lasts);
    }

    /// Since when nothing is wrong with a node, nor with what went wrong there before.
    pub fn is_quiet_since(&self, node: usize) -> Option<Nanos> {
        let node = &self.nodes[node];
        let times = [node.disturbed_at, node.disturbed_until, self.disturbed_at, self.disturbed_until];
        times.into_iter().max().filter(|&since| self.is_told_ready && since < self.now && !self.is_mixed)
    }

    /// The promise that whoever waits for a server is not kept waiting once it is back; for a host
    /// that has nothing to do.
    pub fn check_returns(&mut self) {
        for node in 0..self.nodes.len() {
            let Some(since) = self.nodes[node].back_since else { continue };
            let is_up = self.sessions.last().is_some_and(|session| {
                !session.is_over && session.lost.is_none() && session.links[node].state == LinkState::Up
            });
            let may_refuse = self.nodes[node].may_refuse(self.now);
            if is_up && !may_refuse && !self.is_mixed && self.setup.is_quick_to_listen() {
                let ops = &self.ledger.ops;
                // What goes apart, and perhaps after a pause, holds up its own key.
                let lanes =
                    self.ledger.lanes.iter().filter(|lane| lane.open.iter().all(|&op| ops[op].losses < 2));
                let waits = lanes.filter_map(|lane| lane.open.front()).find(|&&op| {
                    let it = &ops[op];
                    let is_alone = self.ledger.requests[it.request].subject == Subject::One;
                    self.group_of(it.key) == node && is_alone && it.deadline > self.now
                });
                let checked = isolation::a_server_that_is_back_is_asked(self.now, since, waits.copied());
                self.check(checked);
            }
            self.nodes[node].back_since = None;
        }
    }

    /// The promise that an outage ends with an answer, where somebody waits for one.
    pub fn check_proof(&mut self, was_outage: bool) {
        let Some(session) = self.sessions.last() else { return };
        if !was_outage || self.setup.is_fleet || !self.setup.is_quick_to_listen() {
            return;
        }
        let (opened_at, has_answered) = (session.opened_at, session.has_answered);
        let waits = self
            .ledger
            .ops
            .iter()
            .rposition(|op| op.fate == Fate::Open && op.submitted < opened_at && op.deadline > self.now);
        self.check(outages::an_outage_ends_with_an_answer(has_answered, waits));
    }

    /// The promise that a server which hangs is found out, for a connection to one server.
    pub fn check_hangs(&mut self) {
        if self.setup.is_fleet || self.is_closing {
            return;
        }
        let Some(session) = self.sessions.last().filter(|session| !session.is_over && session.lost.is_none())
        else {
            return;
        };
        let link = &session.links[0];
        if link.is_cut || link.unanswered == 0 {
            return;
        }
        let is_batch = |exchange: &&Exchange| matches!(exchange.ask, Ask::Batch { .. });
        let batches = self.live.iter().map(|&number| &self.exchanges[number]).filter(is_batch);
        let oldest = batches.map(|exchange| exchange.awake_at_sending).min();
        let since = link.awake_at_last_move;
        let of_batches = oldest.map(|oldest| self.awake - since.max(oldest));
        let silence = self.awake - since;
        let checked = hangs::a_hang_is_noticed(&self.setup, of_batches, silence);
        self.check(checked);
    }
}
