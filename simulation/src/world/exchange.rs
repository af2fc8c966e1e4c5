//! The way of a batch: out, carried out, and back.

use std::task::Waker;

use deepstream_connector::core::{Error, Key, Page, Record};
use serde_json::json;

use super::session::{Ask, Exchange, Item, LinkState, Reply, Stored};
use super::{Arrival, Event, World};
use crate::checks::{deadlines, fairness, limits};
use crate::ledger::{version_of, Fate, Op, OpId};
use crate::scenario::{Kind, Moment};
use crate::time::{Nanos, MICRO, MILLI, SECOND};

/// What each batch has beside its records.
const ENVELOPE: u64 = 50;

/// What it costs the host's processor to send a batch, and each key in it.
const BATCH_COSTS: Nanos = 5 * MICRO;
const KEY_COSTS: Nanos = 500;

impl World {
    /// Sends something on a session. Returns the exchange's number.
    pub(super) fn send(&mut self, session: usize, node: usize, ask: Ask) -> usize {
        let number = self.exchanges.len();
        let mut request_bytes = ENVELOPE;
        let mut covers = Vec::new();
        self.work += BATCH_COSTS;
        match &ask {
            Ask::Batch { kind, items } => {
                self.work += KEY_COSTS * items.len() as u64;
                request_bytes += items.iter().map(|item| 8 + item.bytes() as u64).sum::<u64>();
                self.trace
                    .say(self.now, || format!("-> node {node}, batch {number}: {}", words(*kind, items)));
                let (kind, items) = (*kind, items.clone());
                covers = self.check_batch(session, node, kind, &items);
            }
            Ask::Scan { .. } => self.trace.say(self.now, || format!("-> batch {number}: scan")),
            Ask::Command { request } => {
                self.ledger.requests[*request].sent += 1;
                self.trace.say(self.now, || format!("-> batch {number}: command of request {request}"));
            }
        }
        let link = &self.sessions[session].links[node];
        let is_away = link.state == LinkState::Away;
        let is_dead = is_away || link.is_cut;
        self.exchanges.push(Exchange {
            session,
            node,
            sent_at: self.now,
            awake_at_sending: self.awake,
            ask,
            covers,
            is_awaited: true,
            is_executed: is_dead,
            is_dead,
            has_arrived: false,
            reply: is_away.then(|| Reply::Failed(super::fleet::away())),
            is_visible: is_away,
            waker: None,
        });
        if is_away {
            self.refused(number);
            return number;
        }
        if is_dead {
            // It goes to where nobody is any more, which will be seen.
            self.count_losses(number);
        }
        self.live.insert(number);
        self.nodes[node].back_since = None;
        let (now, awake) = (self.now, self.awake);
        let link = &mut self.sessions[session].links[node];
        if link.unanswered == 0 {
            link.last_move = now;
            link.seen_at = now;
            link.awake_at_last_move = awake;
            if self.setup.is_fleet && !link.is_cut {
                let generation = link.generation;
                let at = now + self.patience_of_fleet();
                self.schedule(at, Event::Watch { session, node, generation });
            }
        }
        self.sessions[session].links[node].unanswered += 1;
        if !is_dead {
            self.transfer(number, request_bytes, true);
        }
        number
    }

    /// Checks a batch that is about to go. Gives out the operations that it is for.
    fn check_batch(&mut self, session: usize, node: usize, kind: usize, items: &[Item]) -> Vec<OpId> {
        let bytes = items.iter().map(|item| self.keys[item.key].len() + item.bytes()).sum();
        self.check(limits::a_batch_keeps_its_limits(&self.setup, items.len(), bytes));
        let is_read = kind < 2;
        let under_way = self.under_way(session, node, is_read);
        if !self.is_mixed {
            self.check(limits::batches_at_once_are_bounded(&self.setup, is_read, under_way + 1));
        }
        let mut ops: Vec<OpId> = Vec::with_capacity(items.len());
        for item in items {
            let busy = self.live.iter().any(|&number| {
                let exchange = &self.exchanges[number];
                exchange.session == session && exchange.is_awaited && exchange.has_key(item.key)
            });
            self.check(limits::no_key_is_in_two_batches(item.key, busy));
            let now = self.now;
            let op = item.op.or_else(|| self.first_unanswered(item.key, kind));
            self.check(deadlines::what_has_expired_is_not_sent(&self.ledger, now, item.key, kind, op));
            ops.extend(op);
        }
        let is_suspect = !ops.is_empty() && ops.iter().all(|&op| self.ledger.ops[op].losses >= 2);
        let may_be_suspect = items.iter().all(|item| self.ledger.lanes[item.key].losses > 0);
        let mut covers = Vec::new();
        for &op in &ops {
            self.ledger.ops[op].sent += 1;
            covers.extend(self.ledger.cover(op));
        }
        // What goes apart has turns of its own; the books of a host that is slow to listen are too old.
        if !self.is_mixed && !may_be_suspect && self.setup.is_quick_to_listen() {
            let busy = self.busy_keys();
            let (ledger, rotation, now) = (&self.ledger, &mut self.rotation, self.now);
            let checked = fairness::nothing_is_overtaken(ledger, rotation, (node, kind), &busy, now);
            // Once something went wrong, what was sent before has a place that we do not know.
            let checked = checked.and_then(|()| match self.faults {
                0 => fairness::who_waits_longest_goes_first(ledger, rotation, (node, kind), &covers, now),
                _ => Ok(()),
            });
            self.check(checked);
        } else if !is_suspect {
            self.rotation.begin_run(node, kind);
        }
        if !self.sessions[session].links[node].is_cut {
            self.check_suspects(session, node, &ops);
        }
        for &op in &covers {
            self.rotation.leaves(node, kind, op);
        }
        covers
    }

    /// How many batches of a class the engine waits for.
    fn under_way(&self, session: usize, node: usize, is_read: bool) -> usize {
        let under_way = self.live.iter().map(|&number| &self.exchanges[number]).filter(|exchange| {
            exchange.session == session
                && exchange.node == node
                && exchange.is_awaited
                && matches!(&exchange.ask, Ask::Batch { kind, .. } if (*kind < 2) == is_read)
        });
        under_way.count()
    }

    /// The keys that are in batches.
    pub fn busy_keys(&self) -> Vec<usize> {
        let mut busy = Vec::new();
        for exchange in self.live.iter().map(|&number| &self.exchanges[number]) {
            if let (Ask::Batch { items, .. }, true) = (&exchange.ask, exchange.is_awaited) {
                busy.extend(items.iter().map(|item| item.key));
            }
        }
        busy
    }

    /// The promise that whatever can go does, for a host that has nothing to do.
    pub fn check_work(&mut self) {
        let Some(session) = self.sessions.len().checked_sub(1) else { return };
        let is_gone = self.sessions[session].is_over || self.sessions[session].lost.is_some();
        if is_gone || self.is_mixed || self.has_suspects || !self.setup.is_quick_to_listen() {
            return;
        }
        let busy = self.busy_keys();
        for node in 0..self.nodes.len() {
            let link = &self.sessions[session].links[node];
            let may_refuse =
                self.nodes[node].refused_until.is_some() || self.nodes[node].may_refuse(self.now);
            if link.state == LinkState::Away || link.is_cut || may_refuse {
                continue;
            }
            for kind in 0..4 {
                // Gets may be held back.
                let waits = self.rotation.waiting(node, kind).find(|&op| {
                    let it = &self.ledger.ops[op];
                    let is_held_back = kind == 0 && self.rotation.is_full;
                    !is_held_back && it.deadline > self.now && !busy.contains(&it.key)
                });
                if waits.is_some() {
                    let is_read = kind < 2;
                    let most = if is_read { self.setup.read_batches } else { self.setup.write_batches };
                    let under_way = self.under_way(session, node, is_read);
                    self.check(fairness::what_could_go_has_gone(waits, under_way, most));
                }
            }
        }
    }

    /// What was in flight at two losses goes apart.
    fn check_suspects(&mut self, session: usize, node: usize, sent: &[OpId]) {
        let ops = &self.ledger.ops;
        let is_suspect = |&op: &OpId| ops[op].losses >= 2 && !ops[op].kind.is_read();
        let under_way = self.live.iter().map(|&number| &self.exchanges[number]);
        let under_way = under_way
            .filter(|exchange| exchange.session == session && exchange.node == node && exchange.is_awaited);
        let items = under_way.filter_map(|exchange| match &exchange.ask {
            Ask::Batch { items, .. } => Some(items),
            _ => None,
        });
        let others: Vec<Option<OpId>> = items.flatten().map(|item| item.op).collect();
        let mut suspect = others.iter().flatten().copied().find(is_suspect);
        let mut waiting = 0;
        if let Some(first) = sent.iter().copied().find(is_suspect) {
            // Half of those that may be suspects, and nobody else, may go with it.
            let lanes = &self.ledger.lanes;
            // It may have come to another one that was lost before, and that has gone meanwhile.
            let may_be = |op: &&Op| lanes[op.key].losses > 0;
            waiting = ops.iter().filter(|op| op.fate == Fate::Open).filter(may_be).count();
            let is_apart = others.is_empty()
                && sent.iter().map(|&op| &ops[op]).all(|op| may_be(&op))
                && sent.len() <= (waiting / 2).max(1);
            suspect = suspect.or((!is_apart).then_some(first));
        }
        self.check(fairness::what_was_lost_twice_goes_apart(suspect, sent.len(), others.len(), waiting));
    }

    /// The first operation of a kind on a key that has time, and no answer yet.
    pub(super) fn first_unanswered(&self, key: usize, kind: usize) -> Option<OpId> {
        let ops = &self.ledger.ops;
        let open = self.ledger.lanes[key].open.iter().copied();
        let mut in_time =
            open.filter(|&op| ops[op].kind.number() == kind && ops[op].deadline > self.now).peekable();
        let any = in_time.peek().copied();
        in_time.find(|&op| ops[op].answered_at.is_none()).or(any)
    }

    /// Lets bytes go, as fast as the network does.
    fn transfer(&mut self, number: usize, bytes: u64, is_out: bool) {
        let (session, node) = (self.exchanges[number].session, self.exchanges[number].node);
        let latency = self.latency(node) / 2;
        let narrowness = self.nodes[node].narrowness(self.now);
        let takes = (u128::from(bytes) * u128::from(narrowness) * 1_000_000_000
            / u128::from(self.setup.bandwidth)) as Nanos;
        let is_ordered = self.setup.is_ordered;
        let chunk = self.setup.timeout / 8;
        let now = self.now;
        let link = &mut self.sessions[session].links[node];
        let free = if is_out { &mut link.out_free } else { &mut link.in_free };
        // The way back is taken after the work, which takes as long as it takes unless all is in order.
        let work = if is_out { 0 } else { latency };
        let start = if is_ordered { (now + work).max(*free) } else { now.max(*free) };
        *free = start + takes;
        let extra = if is_ordered { 0 } else { work };
        let pieces = takes / chunk.max(MILLI) + 1;
        for piece in 1..=pieces {
            let at = start + takes * piece / pieces + extra;
            let bytes = bytes / pieces + if piece == 1 { bytes % pieces } else { 0 };
            let is_last = piece == pieces;
            let event = if is_out {
                Event::Sent { exchange: number, bytes, is_last }
            } else {
                Event::Came { exchange: number, bytes, is_last }
            };
            self.schedule(at, event);
        }
    }

    fn moved(&mut self, number: usize, bytes: u64, is_answer: bool) -> bool {
        let exchange = &self.exchanges[number];
        if exchange.is_dead {
            return false;
        }
        let (now, awake, counts) = (self.now, self.awake, self.setup.counts_bytes);
        let link = &mut self.sessions[exchange.session].links[exchange.node];
        link.moved += bytes;
        self.last_move = now;
        if counts || is_answer {
            link.last_move = now;
            link.awake_at_last_move = awake;
        }
        true
    }

    pub(super) fn sent(&mut self, number: usize, bytes: u64, is_last: bool) {
        if self.moved(number, bytes, false) && is_last {
            let (session, node) = (self.exchanges[number].session, self.exchanges[number].node);
            let at = self.now + self.latency(node) / 2;
            let link = &mut self.sessions[session].links[node];
            let at = if self.setup.is_ordered { at.max(link.last_receipt) } else { at };
            link.last_receipt = at;
            self.schedule(at, Event::Received { exchange: number });
        }
    }

    /// The server has a batch, and carries it out.
    pub(super) fn received(&mut self, number: usize) {
        if self.exchanges[number].is_dead {
            return;
        }
        self.exchanges[number].is_executed = true;
        let (session, node) = (self.exchanges[number].session, self.exchanges[number].node);
        let refusal = self.nodes[node].refuses_all(self.now);
        let ask = self.exchanges[number].ask.clone();
        let reply = match (&ask, refusal) {
            (_, Some(error)) => {
                self.refused(number);
                Reply::Failed(error)
            }
            (Ask::Batch { items, .. }, None) => match self.carry_out(node, items) {
                Some(results) => Reply::Batch(results),
                None => {
                    self.disturb(node, self.now + 2 * self.setup.reconnect_max_delay);
                    return self.lose(session, node, true, "the server hangs up");
                }
            },
            (Ask::Scan { cursor, limit }, None) => Reply::Page(self.page(*cursor, *limit)),
            (Ask::Command { request }, None) => {
                self.ledger.requests[*request].carried_out += 1;
                Reply::Value(json!(request))
            }
        };
        let bytes = ENVELOPE + reply.bytes();
        self.exchanges[number].reply = Some(reply);
        self.transfer(number, bytes, false);
    }

    /// A node refuses everything once more.
    fn refused(&mut self, number: usize) {
        let exchange = &self.exchanges[number];
        if self.is_mixed || !matches!(exchange.ask, Ask::Batch { .. }) {
            return;
        }
        let now = self.now;
        let node = &mut self.nodes[exchange.node];
        if node.refusals == 0 {
            node.refuses_since = now;
        }
        node.refusals += 1;
        let (refusals, lasts) = (node.refusals, now - node.refuses_since);
        self.check(fairness::a_server_that_refuses_is_left_alone(refusals, lasts));
    }

    /// Nodes are asked again without a pause, since one has come back or all are new.
    pub(super) fn encourage(&mut self) {
        for node in &mut self.nodes {
            (node.refusals, node.refused_until) = (0, None);
        }
    }

    /// Carries operations out; nothing comes back where the server hangs up.
    fn carry_out(&mut self, node: usize, items: &[Item]) -> Option<Vec<Result<Option<Stored>, Error>>> {
        let loss = self.nodes[node].losses.pop();
        if loss.is_some() {
            self.trace.say(self.now, || format!("node {node} is about to hang up"));
            self.disturb(node, self.now + 2 * self.setup.reconnect_max_delay + SECOND);
        }
        let applied = match loss {
            Some(Moment::Before) => 0,
            Some(Moment::Within) => items.len() / 2,
            Some(Moment::After) | None => items.len(),
        };
        let mut results = Vec::with_capacity(items.len());
        for item in &items[..applied] {
            if item.kind.is_poison() {
                self.faults += 1;
                return None;
            }
            let refusal = self.nodes[node].refuses_key(item.key, self.now);
            let refusal =
                refusal.or_else(|| self.nodes[node].refuses_value(item.kind, self.setup.max_record));
            results.push(match refusal {
                Some(error) => Err(error),
                None => Ok(self.apply(item)),
            });
        }
        if loss.is_some() {
            None
        } else {
            Some(results)
        }
    }

    fn apply(&mut self, item: &Item) -> Option<Stored> {
        match item.kind {
            Kind::Get | Kind::Head => self.records[item.key],
            Kind::Set { bytes, .. } => {
                self.records[item.key] = item.op.map(|op| Stored { op, bytes });
                None
            }
            Kind::Delete => {
                self.records[item.key] = None;
                None
            }
        }
    }

    fn page(&self, cursor: usize, limit: usize) -> Page {
        let mut records = Vec::new();
        for key in cursor..self.records.len() {
            if let Some(stored) = self.records[key] {
                if records.len() == limit {
                    return Page { records, next: Some(key.to_string()) };
                }
                let name: Key = self.key(key);
                records.push((name, stored.record()));
            }
        }
        Page { records, next: None }
    }

    pub(super) fn came(&mut self, number: usize, bytes: u64, is_last: bool) {
        if !self.moved(number, bytes, is_last) || !is_last {
            return;
        }
        let now = self.now;
        let exchange = &mut self.exchanges[number];
        exchange.has_arrived = true;
        let link = &mut self.sessions[exchange.session].links[exchange.node];
        link.unanswered -= 1;
        if let (Ask::Batch { items, .. }, Some(Reply::Batch(results))) = (&exchange.ask, &exchange.reply) {
            let node = &mut self.nodes[exchange.node];
            node.refusals = 0;
            node.refused_until = node.refused_until.filter(|&first| number < first);
            for (item, result) in items.iter().zip(results) {
                if let (Some(op), true) = (item.op, result.is_ok()) {
                    self.ledger.ops[op].answered_at.get_or_insert(now);
                }
            }
        }
        self.inbox.push(Arrival::Reply(number));
    }

    /// The engine can see an answer.
    pub(super) fn show(&mut self, number: usize) {
        self.live.remove(&number);
        let now = self.now;
        let exchange = &mut self.exchanges[number];
        exchange.is_visible = true;
        let node = exchange.node;
        let refusal = match &exchange.reply {
            Some(Reply::Failed(error)) => Some(error.pause().unwrap_or_default().as_nanos() as Nanos),
            _ => None,
        };
        let is_refusal = refusal.is_some() || exchange.reply.is_none();
        let session = &mut self.sessions[exchange.session];
        session.has_answered |= !is_refusal;
        session.links[exchange.node].seen_at = now;
        exchange.waker.take().into_iter().for_each(Waker::wake);
        if let Some(pause) = refusal {
            self.nodes[node].refused_until = Some(self.exchanges.len());
            self.disturb(node, now + pause + 2 * SECOND);
        }
        self.trace.say(now, || format!("<- batch {number}"));
    }

    /// What a lost connection still does.
    pub(super) fn late(&mut self, number: usize) {
        if std::mem::replace(&mut self.exchanges[number].is_executed, true) {
            return;
        }
        let Ask::Batch { items, .. } = self.exchanges[number].ask.clone() else { return };
        self.trace.say(self.now, || format!("batch {number} is carried out late"));
        for item in items.iter().filter(|item| !item.kind.is_read() && !item.kind.is_poison()) {
            let Some(op) = item.op else { continue };
            if let Kind::Set { bytes, .. } = item.kind {
                if bytes > self.setup.max_record {
                    continue;
                }
            }
            let position = self.ledger.ops[op].position;
            let ops = &self.ledger.ops;
            let lane = &mut self.ledger.lanes[item.key];
            let undoes =
                lane.history[position + 1..].iter().any(|&op| ops[op].sent > 0 && !ops[op].kind.is_read());
            if undoes {
                match item.kind {
                    Kind::Delete => lane.has_late_delete = true,
                    _ => lane.late_sets.push(op),
                }
            }
            self.apply(item);
        }
    }
}

impl Item {
    pub fn bytes(&self) -> usize {
        if let Kind::Set { bytes, .. } = self.kind {
            bytes
        } else {
            0
        }
    }
}

impl Exchange {
    fn has_key(&self, key: usize) -> bool {
        matches!(&self.ask, Ask::Batch { items, .. } if items.iter().any(|item| item.key == key))
    }
}

impl Stored {
    /// As the engine has it.
    pub fn record(self) -> Record {
        Record { version: version_of(self.op), data: data(self.bytes) }
    }
}

impl Reply {
    fn bytes(&self) -> u64 {
        match self {
            Reply::Batch(results) => {
                results.iter().flatten().flatten().map(|stored| 8 + stored.bytes as u64).sum()
            }
            Reply::Page(page) => page.records.iter().map(|(_, record)| 8 + record.data.len() as u64).sum(),
            Reply::Value(_) | Reply::Failed(_) => 0,
        }
    }
}

/// Data of a size; no two ask for memory.
pub fn data(bytes: usize) -> bytes::Bytes {
    static DATA: [u8; 1 << 20] = [b'1'; 1 << 20];
    bytes::Bytes::from_static(&DATA[..bytes.min(DATA.len())])
}

fn words(kind: usize, items: &[Item]) -> String {
    let name = ["get", "head", "set", "delete"][kind];
    let keys: Vec<String> = items
        .iter()
        .take(20)
        .map(|item| match item.op {
            Some(op) => format!("k{} (operation {op})", item.key),
            None => format!("k{}", item.key),
        })
        .collect();
    let more = if items.len() > 20 { format!(", {} more", items.len() - 20) } else { String::new() };
    format!("{name} {}{more}", keys.join(", "))
}
