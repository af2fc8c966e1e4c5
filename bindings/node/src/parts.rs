//! Answers to requests for many keys on their way out: each result by itself, so that many large ones
//! are no more at once than as many single ones.

use std::vec;

use deepstream_connector::core::{Delivery, Error, Outcome, Reply};

/// What is told at once.
pub enum Piece {
    /// The next result of the answer to a request for many keys.
    Part(Result<Reply, Error>),
    /// Anything else. An answer for many keys has no results any more: all of them were told.
    Whole(Delivery<u32>),
}

/// The answer whose results are being told, if there is one.
#[derive(Default)]
pub struct Parts(Option<Answer>);

struct Answer {
    left: vec::IntoIter<Result<Reply, Error>>,
    /// Without its results.
    rest: Delivery<u32>,
}

impl Parts {
    /// Whether there is more to tell of an answer.
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// What comes next: the rest of an answer, or else what comes `from` the engine.
    pub fn next(&mut self, from: &mut impl Iterator<Item = Delivery<u32>>) -> Option<Piece> {
        if !self.is_open() {
            let mut delivery = from.next()?;
            let Delivery::Completion(_, Outcome::Many(results)) = &mut delivery else {
                return Some(Piece::Whole(delivery));
            };
            let left = std::mem::take(results).into_iter();
            self.0 = Some(Answer { left, rest: delivery });
        }
        match self.0.as_mut()?.left.next() {
            Some(result) => Some(Piece::Part(result)),
            None => self.0.take().map(|answer| Piece::Whole(answer.rest)),
        }
    }
}
