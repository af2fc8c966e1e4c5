//! One server: what it stores is in the world's table, how it behaves is here.

use deepstream_connector::core::{Error, ErrorCode};

use crate::scenario::{Kind, Moment};
use crate::time::{duration, Nanos, SECOND};

/// How a server behaves at the moment. Times are those until which something lasts.
#[derive(Default)]
pub struct Node {
    pub silent_until: Nanos,
    pub down_until: Nanos,
    loading_until: Nanos,
    says_when: bool,
    locked_until: Nanos,
    locked_every: usize,
    slow_until: Nanos,
    slow_factor: u64,
    narrow_until: Nanos,
    narrow_factor: u64,
    /// What the next batches do to their connection.
    pub losses: Vec<Moment>,
    /// It has come back to a fleet then, and was sent nothing since.
    pub back_since: Option<Nanos>,
    /// How many batches it has refused as a whole since it last said anything else, and since when.
    pub refusals: u64,
    pub refuses_since: Nanos,
    /// It was seen to refuse, and has answered nothing yet that was sent since: the first exchange
    /// of which an answer would end the pause.
    pub refused_until: Option<usize>,
    /// The last time at which something went wrong here, and the end of what follows from it.
    pub disturbed_at: Nanos,
    pub disturbed_until: Nanos,
}

impl Node {
    pub fn is_silent(&self, now: Nanos) -> bool {
        now < self.silent_until
    }

    pub fn is_down(&self, now: Nanos) -> bool {
        now < self.down_until
    }

    pub fn load(&mut self, until: Nanos, says_when: bool) {
        self.loading_until = self.loading_until.max(until);
        self.says_when = says_when;
    }

    pub fn lock(&mut self, until: Nanos, every: usize) {
        self.locked_until = self.locked_until.max(until);
        self.locked_every = every;
    }

    pub fn slow_down(&mut self, until: Nanos, factor: u64) {
        self.slow_until = self.slow_until.max(until);
        self.slow_factor = factor;
    }

    pub fn narrow(&mut self, until: Nanos, factor: u64) {
        self.narrow_until = self.narrow_until.max(until);
        self.narrow_factor = factor;
    }

    /// How many times longer it takes.
    pub fn slowness(&self, now: Nanos) -> u64 {
        if now < self.slow_until {
            self.slow_factor
        } else {
            1
        }
    }

    /// How many times less passes.
    pub fn narrowness(&self, now: Nanos) -> u64 {
        if now < self.narrow_until {
            self.narrow_factor
        } else {
            1
        }
    }

    /// What it says to everything while it cannot do anything.
    pub fn refuses_all(&self, now: Nanos) -> Option<Error> {
        if now >= self.loading_until {
            return None;
        }
        let error = Error::transient(ErrorCode::Unavailable, "the server is loading").of_server();
        Some(if self.says_when { error.after(duration((self.loading_until - now) / 2)) } else { error })
    }

    /// Whether it has refused something a short while ago, so that operations rest.
    pub fn may_refuse(&self, now: Nanos) -> bool {
        now < self.locked_until.max(self.loading_until) + 2 * SECOND
    }

    /// What it says to one key while somebody else has it.
    pub fn refuses_key(&self, key: usize, now: Nanos) -> Option<Error> {
        let is_locked = now < self.locked_until && key.is_multiple_of(self.locked_every);
        is_locked.then(|| Error::transient(ErrorCode::Backend, "somebody else has this record"))
    }

    /// What it says to a value that it can never hold.
    pub fn refuses_value(&self, kind: Kind, max_record: usize) -> Option<Error> {
        match kind {
            Kind::Set { bytes, .. } if bytes > max_record => {
                Some(Error::new(ErrorCode::TooLarge, "the record is too large"))
            }
            _ => None,
        }
    }

    /// Moves all times on.
    pub fn jump(&mut self, by: Nanos) {
        for until in [
            &mut self.silent_until,
            &mut self.down_until,
            &mut self.loading_until,
            &mut self.locked_until,
            &mut self.slow_until,
            &mut self.narrow_until,
            &mut self.disturbed_until,
        ] {
            *until += by;
        }
    }
}
