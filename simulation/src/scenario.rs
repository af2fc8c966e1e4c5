//! What a seed stands for: a world, and a list of what the host does in it and of what goes wrong.
//! Each step carries all that it needs, so that any of them may be left out.

use crate::chance::Chance;
use crate::time::{Nanos, HOUR, MICRO, MILLI, SECOND};

/// What one operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    Head,
    Set { bytes: usize, is_poison: bool },
    Delete,
}

/// One operation on one key.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub key: usize,
    pub kind: Kind,
}

/// What the host does once it is called back.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// It submits something.
    Submit(Box<Submission>),
    /// It is busy for so long.
    Work(Nanos),
    Close(Nanos),
    Cancel,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Submission {
    pub what: What,
    /// `None` is the connector's own.
    pub timeout: Option<Nanos>,
    pub reaction: Option<Reaction>,
}

#[derive(Clone, Debug)]
pub enum What {
    One(Wanted),
    Many(Vec<Wanted>),
    Scan { limit: usize },
    Command,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A node takes nothing and says nothing, for so long.
    Silence { node: usize, lasts: Nanos },
    /// A node's next batch ends its connection.
    Loss { node: usize, moment: Moment },
    /// A node's connection ends, whatever it does.
    Cut { node: usize, is_reset: bool },
    /// A node is not there.
    Down { node: usize, lasts: Nanos },
    /// A node refuses everything for a while.
    Loading { node: usize, lasts: Nanos, says_when: bool },
    /// A node refuses some of the keys for a while.
    Locked { node: usize, every: usize, lasts: Nanos },
    /// A node takes so many times longer.
    Slow { node: usize, factor: u64, lasts: Nanos },
    /// A node has so many times less bandwidth.
    Narrow { node: usize, factor: u64, lasts: Nanos },
    /// Nobody may log in.
    Refusal { lasts: Nanos },
    /// All keys are at other nodes from now on.
    Takeover,
}

/// When a batch loses its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    Within,
    After,
}

#[derive(Clone, Debug)]
pub enum Action {
    Submit(Submission),
    /// The host's thread stands still while the world goes on.
    Stop(Nanos),
    /// The clock goes ahead and the world does not.
    Jump(Nanos),
    Close(Nanos),
    Cancel,
    Fault(Fault),
}

#[derive(Clone, Debug)]
pub struct Step {
    pub at: Nanos,
    pub action: Action,
}

/// The world and the options.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub nodes: usize,
    /// A connection that ends does so alone, and comes back by itself.
    pub is_fleet: bool,
    /// Whether it is known how many bytes moved.
    pub counts_bytes: bool,
    /// Whether a new session ends what the old one still does.
    pub has_fence: bool,
    /// Whether what was sent and not taken may be carried out after the connection is lost.
    pub writes_late: bool,
    /// Whether answers come in the order of the batches.
    pub is_ordered: bool,
    /// Whether the batches that a loss hits fail by themselves too.
    pub tells_in_answers: bool,
    pub max_batch_records: usize,
    pub max_batch_bytes: usize,
    pub read_batches: usize,
    pub write_batches: usize,
    pub latency: Nanos,
    /// Up to so much longer.
    pub spread: Nanos,
    /// Bytes a second.
    pub bandwidth: u64,
    /// A record of more bytes is refused for good.
    pub max_record: usize,
    /// No record that is written has more bytes.
    pub largest: usize,
    pub keys: usize,
    pub timeout: Nanos,
    pub connect_timeout: Nanos,
    pub reconnect_delay: Nanos,
    pub reconnect_max_delay: Nanos,
    pub max_in_flight: usize,
    pub max_bytes_in_flight: usize,
    /// How many deliveries the host takes in a turn, and how long it has each.
    pub turn_deliveries: usize,
    pub delivery_takes: Nanos,
    /// The host polls after its submissions without a look at the sockets.
    pub flushes: bool,
}

impl Setup {
    /// Whether the host takes what it is told at once.
    pub fn is_quick_to_listen(&self) -> bool {
        self.turn_deliveries >= 1_000
    }
}

/// A seed, spelled out.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub setup: Setup,
    /// In the order of their time.
    pub steps: Vec<Step>,
}

impl Scenario {
    pub fn new(seed: u64) -> Scenario {
        let mut chance = Chance::new(seed);
        let setup = setup(seed, &mut chance.branch());
        let mut steps = Script::new(&setup, chance.branch()).steps();
        steps.sort_by_key(|step| step.at);
        Scenario { setup, steps }
    }
}

fn setup(seed: u64, chance: &mut Chance) -> Setup {
    let is_fleet = chance.one_in(3);
    let nodes = if is_fleet { chance.between(2, 8) as usize } else { 1 };
    let timeout = chance.pick(&[200 * MILLI, 500 * MILLI, SECOND, 2 * SECOND, 10 * SECOND]);
    let latency = chance.magnitude(20 * MICRO, timeout / 16);
    let max_batch_records = chance.pick(&[1, 2, 10, 100, 1000]);
    let reconnect_delay = chance.pick(&[MILLI, 10 * MILLI, 50 * MILLI]);
    let is_narrow = chance.one_in(6);
    let is_slow_to_listen = chance.one_in(8);
    Setup {
        seed,
        nodes,
        is_fleet,
        counts_bytes: is_fleet || !chance.one_in(4),
        has_fence: !chance.one_in(3),
        writes_late: chance.one_in(2),
        is_ordered: is_fleet || chance.one_in(2),
        tells_in_answers: chance.one_in(2),
        max_batch_records,
        max_batch_bytes: if chance.one_in(4) { chance.magnitude(100, 100_000) as usize } else { 8 << 20 },
        read_batches: chance.between(1, 4) as usize,
        write_batches: chance.between(1, 4) as usize,
        latency,
        spread: chance.below(latency * 2),
        bandwidth: chance.magnitude(1 << 20, 1 << 30),
        max_record: if chance.one_in(4) { chance.magnitude(50, 5_000) as usize } else { 1 << 30 },
        largest: chance.magnitude(10, 200_000) as usize,
        keys: (chance.magnitude(1, 300) as usize).max(nodes),
        timeout,
        connect_timeout: chance.pick(&[timeout / 2, timeout, 5 * SECOND]),
        reconnect_delay,
        reconnect_max_delay: chance.pick(&[reconnect_delay, 200 * MILLI, 2 * SECOND]).max(reconnect_delay),
        max_in_flight: if is_narrow { chance.magnitude(1, 100) as usize } else { 1_000_000 },
        max_bytes_in_flight: if chance.one_in(6) {
            chance.magnitude(1_000, 1_000_000) as usize
        } else {
            256 << 20
        },
        turn_deliveries: if is_slow_to_listen { chance.between(1, 10) as usize } else { 1_000 },
        delivery_takes: if is_slow_to_listen { chance.magnitude(MICRO, 5 * MILLI) } else { MICRO },
        flushes: chance.one_in(2),
    }
}

/// Writes the steps.
struct Script<'a> {
    setup: &'a Setup,
    chance: Chance,
    /// How long it lasts.
    length: Nanos,
    has_poison: bool,
    ends_early: bool,
    /// Everybody has time enough, so that no deadline wakes anybody.
    is_patient: bool,
    /// There is a burst of more than one turn of the engine takes.
    has_flood: bool,
    steps: Vec<Step>,
}

impl<'a> Script<'a> {
    fn new(setup: &'a Setup, mut chance: Chance) -> Script<'a> {
        let length = match chance.below(10) {
            0 => chance.magnitude(MILLI, 2 * HOUR),
            _ => chance.magnitude(MILLI, 30 * SECOND),
        };
        let has_poison = chance.one_in(6);
        let ends_early = chance.one_in(5);
        let has_flood = chance.one_in(60);
        let is_patient = chance.one_in(if has_flood { 2 } else { 6 });
        Script { setup, chance, length, has_poison, ends_early, is_patient, steps: Vec::new(), has_flood }
    }

    fn steps(mut self) -> Vec<Step> {
        let operations = self.chance.magnitude(5, 1_500);
        let mut left = operations;
        while left > 0 {
            let some = self.chance.magnitude(1, left.min(400));
            let pause = self.pause(some);
            self.phase(some, pause);
            left -= some;
        }
        if self.has_flood {
            self.phase(3_000, 0);
        }
        if !self.chance.one_in(5) {
            for _ in 0..self.chance.magnitude(1, 12) {
                let at = self.moment();
                let action = self.misfortune();
                self.steps.push(Step { at, action });
            }
        }
        if self.ends_early {
            let at = self.moment();
            let action = if self.chance.one_in(3) {
                Action::Cancel
            } else {
                Action::Close(self.chance.pick(&[0, 10 * MILLI, self.setup.timeout, 20 * SECOND]))
            };
            self.steps.push(Step { at, action });
        }
        self.steps
    }

    fn moment(&mut self) -> Nanos {
        self.chance.below(self.length)
    }

    /// Between the operations of a burst, or of a drip.
    fn pause(&mut self, operations: u64) -> Nanos {
        match self.chance.below(3) {
            0 => 0,
            1 => self.chance.magnitude(1, self.setup.latency),
            _ => self.chance.magnitude(MICRO, (self.length / operations).max(2 * MICRO)),
        }
    }

    fn phase(&mut self, operations: u64, pause: Nanos) {
        let start = self.moment();
        let keys = match self.chance.below(3) {
            0 => 1,
            1 => self.chance.magnitude(1, self.setup.keys as u64),
            _ => self.setup.keys as u64,
        };
        let style = self.chance.below(4);
        for number in 0..operations {
            let submission = self.submission(keys, style, 2);
            self.steps.push(Step { at: start + number * pause, action: Action::Submit(submission) });
        }
    }

    fn submission(&mut self, keys: u64, style: u64, depth: u64) -> Submission {
        let what = match self.chance.below(40) {
            0 => What::Scan { limit: self.chance.magnitude(1, 100) as usize },
            1 => What::Command,
            2 => {
                let count = self.chance.between(0, 20);
                What::Many((0..count).map(|_| self.wanted(keys, style)).collect())
            }
            _ => What::One(self.wanted(keys, style)),
        };
        let is_poisonous = match &what {
            What::One(wanted) => wanted.kind.is_poison(),
            What::Many(list) => list.iter().any(|wanted| wanted.kind.is_poison()),
            _ => false,
        };
        let timeout = match self.chance.below(20) {
            // A poison must end once.
            _ if is_poisonous => Some(self.chance.magnitude(MILLI, 10 * SECOND)),
            _ if self.is_patient => Some(HOUR),
            0 => Some(0),
            1 => Some(self.chance.magnitude(MICRO, self.setup.timeout)),
            2 => Some(self.chance.magnitude(MILLI, HOUR)),
            3 | 4 => Some(HOUR),
            _ => None,
        };
        let reaction =
            if depth > 0 && self.chance.one_in(12) { self.reaction(keys, style, depth) } else { None };
        Submission { what, timeout, reaction }
    }

    fn reaction(&mut self, keys: u64, style: u64, depth: u64) -> Option<Reaction> {
        Some(match self.chance.below(30) {
            0 => Reaction::Work(self.chance.magnitude(MICRO, self.setup.timeout * 2)),
            1 if self.ends_early => Reaction::Close(self.chance.pick(&[0, SECOND])),
            2 if self.ends_early => Reaction::Cancel,
            _ => Reaction::Submit(Box::new(self.submission(keys, style, depth - 1))),
        })
    }

    fn wanted(&mut self, keys: u64, style: u64) -> Wanted {
        let key = self.chance.below(keys) as usize;
        let sort = match style {
            0 => self.chance.below(4),
            1 => self.chance.pick(&[0, 2]),
            2 => self.chance.pick(&[2, 2, 2, 2, 2, 3]),
            _ => self.chance.pick(&[0, 0, 0, 1, 2]),
        };
        let kind = match sort {
            0 => Kind::Get,
            1 => Kind::Head,
            2 => Kind::Set {
                bytes: self.chance.magnitude(2, self.setup.largest as u64) as usize,
                is_poison: self.has_poison && self.chance.one_in(50),
            },
            _ => Kind::Delete,
        };
        Wanted { key, kind }
    }

    fn misfortune(&mut self) -> Action {
        let timeout = self.setup.timeout;
        let node = self.chance.below(self.setup.nodes as u64) as usize;
        let lasts = self.chance.magnitude(MILLI, timeout * 4);
        let fault = match self.chance.below(22) {
            0 => Fault::Silence { node, lasts: self.chance.magnitude(timeout, timeout * 20) },
            1..=3 => Fault::Silence { node, lasts },
            4..=7 => Fault::Loss {
                node,
                moment: self.chance.pick(&[Moment::Before, Moment::Within, Moment::After]),
            },
            8 | 9 => Fault::Cut { node, is_reset: self.chance.one_in(2) },
            10 | 11 => Fault::Down { node, lasts },
            12 => Fault::Loading { node, lasts, says_when: self.chance.one_in(3) },
            13 => Fault::Locked { node, every: self.chance.between(1, 5) as usize, lasts },
            14 => Fault::Slow { node, factor: self.chance.between(2, 16), lasts },
            15 => Fault::Narrow { node, factor: self.chance.magnitude(2, 100), lasts },
            16 => Fault::Refusal { lasts },
            17 if self.setup.is_fleet => Fault::Takeover,
            18 | 19 => return Action::Stop(self.chance.magnitude(MILLI, timeout * 3)),
            20 => return Action::Jump(self.chance.magnitude(MILLI, timeout * 3)),
            _ => Fault::Cut { node, is_reset: true },
        };
        Action::Fault(fault)
    }
}

impl Fault {
    /// How long it lasts by itself.
    pub fn lasts(&self) -> Nanos {
        match *self {
            Fault::Silence { lasts, .. }
            | Fault::Down { lasts, .. }
            | Fault::Loading { lasts, .. }
            | Fault::Locked { lasts, .. }
            | Fault::Slow { lasts, .. }
            | Fault::Narrow { lasts, .. }
            | Fault::Refusal { lasts } => lasts,
            Fault::Loss { .. } | Fault::Cut { .. } | Fault::Takeover => 0,
        }
    }
}

impl Kind {
    pub fn is_poison(self) -> bool {
        matches!(self, Kind::Set { is_poison: true, .. })
    }

    pub fn is_read(self) -> bool {
        matches!(self, Kind::Get | Kind::Head)
    }

    /// Of one number for each kind, as in the engine.
    pub fn number(self) -> usize {
        match self {
            Kind::Get => 0,
            Kind::Head => 1,
            Kind::Set { .. } => 2,
            Kind::Delete => 3,
        }
    }

    pub fn name(self) -> &'static str {
        ["get", "head", "set", "delete"][self.number()]
    }
}
