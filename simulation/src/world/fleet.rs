//! How connections end, and how those of a fleet come back one by one.

use std::task::Waker;

use deepstream_connector::core::{Error, ErrorCode, Notice};

use super::session::{Ask, Link, LinkState, Reply};
use super::{Arrival, Event, World};
use crate::ledger::OpId;
use crate::time::{Nanos, MILLI, SECOND};

/// What is said of a node that is away.
pub(super) fn away() -> Error {
    Error::transient(ErrorCode::Unavailable, "the server is not connected").of_server()
}

impl World {
    /// How long a fleet bears a node's silence.
    pub(super) fn patience_of_fleet(&self) -> Nanos {
        (self.setup.timeout / 4).min(2 * SECOND)
    }

    /// A connection to a node ends. After a reset what was not read yet is lost as well.
    pub(super) fn lose(&mut self, session: usize, node: usize, is_reset: bool, why: &str) {
        let link = &mut self.sessions[session].links[node];
        if link.is_cut || link.state == LinkState::Away {
            return;
        }
        link.is_cut = true;
        let generation = link.generation;
        self.trace.say(self.now, || format!("node {node} ends its link of session {session}: {why}"));
        if is_reset {
            let inbox = std::mem::take(&mut self.inbox);
            for arrival in inbox {
                match arrival {
                    Arrival::Reply(number) if self.is_of(number, session, node) => self.unread(number),
                    other => self.inbox.push(other),
                }
            }
        }
        self.bury(session, node);
        let error = Error::connection(why.to_owned());
        self.inbox.push(Arrival::Loss { session, node, generation, error });
    }

    fn is_of(&self, number: usize, session: usize, node: usize) -> bool {
        self.exchanges[number].session == session && self.exchanges[number].node == node
    }

    /// An answer in the socket is lost with it.
    fn unread(&mut self, number: usize) {
        let exchange = &mut self.exchanges[number];
        exchange.has_arrived = false;
        exchange.reply = None;
        if let Ask::Batch { items, .. } = &exchange.ask {
            for op in items.iter().filter_map(|item| item.op) {
                self.ledger.ops[op].answered_at = None;
            }
        }
    }

    /// What was under way on a link will not be answered; some of it may be carried out yet.
    pub(super) fn bury(&mut self, session: usize, node: usize) {
        let dead: Vec<usize> = self
            .live
            .iter()
            .copied()
            .filter(|&number| self.is_of(number, session, node) && !self.exchanges[number].has_arrived)
            .collect();
        for number in dead {
            let exchange = &mut self.exchanges[number];
            if std::mem::replace(&mut exchange.is_dead, true) {
                continue;
            }
            let is_executed = exchange.is_executed;
            self.count_losses(number);
            if is_executed {
                continue;
            }
            let is_late = self.setup.writes_late && self.chance.one_in(2);
            if is_late {
                let pause = self.chance.magnitude(MILLI, 5 * SECOND);
                self.schedule(self.now + pause, Event::Late { exchange: number });
            } else {
                self.exchanges[number].is_executed = true;
            }
        }
        self.sessions[session].links[node].unanswered = 0;
    }

    /// A connection is lost with this in flight.
    pub(super) fn count_losses(&mut self, number: usize) {
        let exchange = &self.exchanges[number];
        if let Ask::Batch { items, .. } = &exchange.ask {
            // Reads take company on their way, writes do not.
            let reads = exchange.covers.iter().filter(|&&op| self.ledger.ops[op].kind.is_read());
            let lost: Vec<OpId> =
                items.iter().filter_map(|item| item.op.as_ref()).chain(reads).copied().collect();
            for op in lost {
                self.ledger.ops[op].losses += 1;
                let lane = &mut self.ledger.lanes[self.ledger.ops[op].key];
                lane.losses += 1;
                self.has_suspects |= lane.losses >= 2;
            }
        }
    }

    /// The engine, or the fleet below it, sees that a link is lost.
    pub(super) fn see_loss(&mut self, session: usize, node: usize, generation: u64, error: Error) {
        let link = &self.sessions[session].links[node];
        if link.generation != generation || link.state == LinkState::Away || self.sessions[session].is_over {
            return;
        }
        if self.setup.is_fleet {
            return self.node_lost(session, node, &error);
        }
        if self.setup.tells_in_answers {
            self.sessions[session].has_failed |= self.answer_all(session, node, &error);
        }
        self.end_session(session, error);
    }

    fn end_session(&mut self, session: usize, error: Error) {
        self.disturb_all(2 * self.setup.reconnect_max_delay);
        self.is_told_ready = false;
        let session = &mut self.sessions[session];
        session.lost.get_or_insert(error);
        session.waker.take().into_iter().for_each(Waker::wake);
    }

    /// All that is unanswered on a link fails. Returns whether there was anything.
    fn answer_all(&mut self, session: usize, node: usize, error: &Error) -> bool {
        let failed: Vec<usize> =
            self.live.iter().copied().filter(|&number| self.is_of(number, session, node)).collect();
        for &number in &failed {
            if !self.exchanges[number].has_arrived {
                self.exchanges[number].reply = Some(Reply::Failed(error.clone()));
                self.show(number);
            }
        }
        !failed.is_empty()
    }

    fn node_lost(&mut self, session: usize, node: usize, error: &Error) {
        self.disturb(node, self.now + self.setup.reconnect_max_delay * 2);
        self.numbers += 1;
        let generation = self.numbers;
        let pause = self.setup.reconnect_delay;
        let link = &mut self.sessions[session].links[node];
        link.state = LinkState::Away;
        link.generation = generation;
        link.pause = pause;
        link.unanswered = 0;
        self.answer_all(session, node, &away().in_flight());
        self.schedule(self.now + pause, Event::Redial { session, node });
        let is_alone = self.sessions[session].links.iter().all(|link| link.state == LinkState::Away);
        if is_alone {
            return self.end_session(session, Error::connection("no server is left"));
        }
        self.degrade(session, error);
    }

    pub(super) fn degrade(&mut self, session: usize, error: &Error) {
        let session = &mut self.sessions[session];
        session.is_degraded = true;
        session.notices.push_back(Notice::Trouble(error.clone()));
        session.waker.take().into_iter().for_each(Waker::wake);
    }

    /// A fleet dials a node again.
    pub(super) fn redial(&mut self, session: usize, node: usize) {
        let is_wanted = !self.sessions[session].is_over && self.sessions[session].lost.is_none();
        if !is_wanted || self.sessions[session].links[node].state == LinkState::Up {
            return;
        }
        let now = self.now;
        if self.nodes[node].is_down(now) {
            let longest = self.setup.reconnect_max_delay;
            let link = &mut self.sessions[session].links[node];
            link.pause = (link.pause * 2).min(longest).max(MILLI);
            let pause = link.pause;
            self.disturb(node, now + 2 * longest);
            return self.schedule(now + pause, Event::Redial { session, node });
        }
        self.fence(node);
        self.numbers += 1;
        let link = Link::new(self.numbers, now, self.awake);
        self.sessions[session].links[node] = Link { state: LinkState::Away, ..link };
        self.inbox.push(Arrival::NodeUp { session, node });
    }

    pub(super) fn node_up(&mut self, session: usize, node: usize) {
        self.disturb(node, self.now + 2 * SECOND);
        self.encourage();
        let session = &mut self.sessions[session];
        if session.is_over || session.lost.is_some() {
            return;
        }
        session.links[node].state = LinkState::Up;
        self.nodes[node].back_since = Some(self.now);
        session.notices.push_back(Notice::Recovery(format!("node {node} is back")));
        if session.links.iter().all(|link| link.state == LinkState::Up) {
            session.is_degraded = false;
            session.notices.push_back(Notice::Restored);
        }
        session.waker.take().into_iter().for_each(Waker::wake);
    }

    /// A fleet looks whether a node is silent for too long.
    pub(super) fn watch(&mut self, session: usize, node: usize, generation: u64) {
        let patience = self.patience_of_fleet();
        let link = &self.sessions[session].links[node];
        let is_watched = link.generation == generation && link.state == LinkState::Up && link.unanswered > 0;
        if !is_watched || self.sessions[session].is_over {
            return;
        }
        let due = link.seen_at + patience;
        if self.now < due {
            return self.schedule(due, Event::Watch { session, node, generation });
        }
        self.trace.say(self.now, || format!("the fleet gives node {node} up"));
        self.bury(session, node);
        self.node_lost(session, node, &Error::connection("the server does not answer"));
    }
}
