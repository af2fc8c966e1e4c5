//! Requests for many keys: their parts are ordinary operations, their answer is one.

use slab::Slab;

use super::admission::Weight;
use super::deliveries::Deliveries;
use super::error::{Error, ErrorCode};
use super::request::{Outcome, Reply};

/// Where the answer to one operation goes.
#[derive(Debug)]
pub(super) enum Address<T> {
    /// To the host; the request is of so many bytes.
    One { ticket: T, bytes: usize },
    /// Into the answer to a bulk request.
    Part { bulk: usize, position: usize },
}

struct Bulk<T> {
    ticket: T,
    results: Vec<Option<Result<Reply, Error>>>,
    missing: usize,
    weight: Weight,
}

/// The bulk requests that still miss some of their answers.
pub(super) struct Bulks<T> {
    open: Slab<Bulk<T>>,
}

impl<T> Bulks<T> {
    pub fn new() -> Bulks<T> {
        Bulks { open: Slab::new() }
    }

    /// Opens a bulk with a part for each of its operations; one without any is answered at once.
    pub fn open(&mut self, ticket: T, weight: Weight, out: &mut Deliveries<T>) -> Option<usize> {
        let parts = weight.operations;
        if parts == 0 {
            out.complete(ticket, Outcome::Many(Vec::new()), weight);
            return None;
        }
        Some(self.open.insert(Bulk { ticket, results: vec![None; parts], missing: parts, weight }))
    }

    /// Delivers one answer; a bulk goes out with the last of its parts.
    pub fn deliver(&mut self, address: Address<T>, result: Result<Reply, Error>, out: &mut Deliveries<T>) {
        let answer = result.as_ref().map_or(0, Reply::bytes);
        if answer > 0 {
            out.hold(answer);
        }
        match address {
            Address::One { ticket, bytes } => {
                out.complete(ticket, Outcome::One(result), Weight { operations: 1, bytes: bytes + answer });
            }
            Address::Part { bulk, position } => {
                let open = &mut self.open[bulk];
                open.results[position] = Some(result);
                open.weight.bytes += answer;
                open.missing -= 1;
                if open.missing == 0 {
                    let done = self.open.remove(bulk);
                    let results = done.results.into_iter().flatten().collect();
                    out.complete(done.ticket, Outcome::Many(results), done.weight);
                }
            }
        }
    }

    /// Answers what is still open; only after a panic is there anything.
    pub fn fail_rest(&mut self, error: &Error, out: &mut Deliveries<T>) {
        debug_assert!(self.open.is_empty() || error.code() == ErrorCode::Panic);
        for bulk in self.open.drain() {
            let results =
                bulk.results.into_iter().map(|result| result.unwrap_or_else(|| Err(error.clone()))).collect();
            out.complete(bulk.ticket, Outcome::Many(results), bulk.weight);
        }
    }
}
