//! One turn of a key's lane: an operation, and all who wait for it.

use std::time::Instant;

use smallvec::SmallVec;

use super::error::Error;
use super::queues::Queue;
use super::record::Record;
use super::request::Operation;

/// So many losses of the connection make an operation a suspect.
pub(super) const SUSPECT_AFTER: u8 = 2;

/// Somebody who waits for an operation. `A` says where the answer goes.
#[derive(Debug)]
pub(super) struct Waiter<A> {
    pub address: A,
    pub submitted: Instant,
    pub deadline: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Turn<A> {
    pub operation: Operation,
    pub waiters: SmallVec<[Waiter<A>; 1]>,
    /// The records of all waiters but the last, in a turn that sets.
    replaced: Vec<Record>,
    /// It was given to a connection at least once, so it may have been carried out.
    pub sent: bool,
    /// How often it was refused for a while.
    pub refusals: u8,
    /// How often the connection was lost while it was in a batch.
    pub losses: u8,
    /// Why the last attempt failed.
    pub cause: Option<Box<Error>>,
}

impl<A> Turn<A> {
    pub fn new(operation: Operation, waiter: Waiter<A>) -> Turn<A> {
        let mut waiters = SmallVec::new();
        waiters.push(waiter);
        Turn { operation, waiters, replaced: Vec::new(), sent: false, refusals: 0, losses: 0, cause: None }
    }

    /// Where it waits for a batch.
    pub fn queue(&self) -> Queue {
        if self.losses >= SUSPECT_AFTER {
            return Queue::Suspects;
        }
        Queue::Kind(self.operation.kind())
    }

    /// The error of a turn that ends without an answer.
    pub fn unanswered(&self, error: Error) -> Error {
        if self.sent && !self.operation.kind().is_read() {
            return error.maybe_applied();
        }
        error
    }

    /// Lets a later operation share this turn.
    pub fn take(&mut self, operation: Operation, waiter: Waiter<A>) {
        if let Operation::Set(record) = std::mem::replace(&mut self.operation, operation) {
            self.replaced.push(record);
        }
        self.waiters.push(waiter);
    }

    /// It was refused for good: takes the value that it replaced, if there is one, and gives out
    /// whoever gave the refused one.
    pub fn fall_back(&mut self) -> Option<Waiter<A>> {
        self.operation = Operation::Set(self.replaced.pop()?);
        // It was in no batch yet.
        self.sent = false;
        self.losses = 0;
        self.cause = None;
        self.waiters.pop()
    }

    /// Whether anybody's deadline has passed.
    pub fn is_late(&self, now: Instant) -> bool {
        self.waiters.iter().any(|waiter| waiter.deadline <= now)
    }

    /// When the last of them gives up.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiters.iter().map(|waiter| waiter.deadline).max()
    }

    /// Gives out everybody whose deadline has passed.
    pub fn expire(&mut self, now: Instant, mut expired: impl FnMut(Waiter<A>, &Turn<A>)) {
        let waiters = std::mem::take(&mut self.waiters);
        let late = waiters.iter().take_while(|waiter| waiter.deadline <= now).count();
        for waiter in waiters {
            if waiter.deadline <= now {
                expired(waiter, self);
            } else {
                self.waiters.push(waiter);
            }
        }
        // In a turn that sets, the first to come are the first to give up.
        self.replaced.drain(..late.min(self.replaced.len()));
    }

    /// Whether a later operation may share this turn. A write takes the place of what waits
    /// here, so it must not give up before those do whom it then answers; and what was sent is
    /// to be sent again as it was.
    pub fn takes(&self, operation: &Operation, waiter: &Waiter<A>) -> bool {
        let kind = operation.kind();
        // By this very rule the last to come is the last to give up.
        let stays = self.waiters.last().is_none_or(|other| other.deadline <= waiter.deadline);
        kind == self.operation.kind() && (kind.is_read() || (!self.sent && stays))
    }
}
