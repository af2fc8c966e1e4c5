//! Requests for many keys: their parts are ordinary operations, their answer is one.

use slab::Slab;

use super::error::{Error, ErrorCode};
use super::request::{Delivery, Outcome, Reply};

/// Where the answer to one operation goes.
#[derive(Debug)]
pub(super) enum Address<T> {
    /// To the host.
    One(T),
    /// Into the answer to a bulk request.
    Part { bulk: usize, position: usize },
}

struct Bulk<T> {
    ticket: T,
    results: Vec<Option<Result<Reply, Error>>>,
    missing: usize,
}

/// The bulk requests that still miss some of their answers.
pub(super) struct Bulks<T> {
    open: Slab<Bulk<T>>,
}

impl<T> Bulks<T> {
    pub fn new() -> Bulks<T> {
        Bulks { open: Slab::new() }
    }

    /// Opens a bulk of so many parts; one without parts is answered at once.
    pub fn open(&mut self, ticket: T, parts: usize, out: &mut Vec<Delivery<T>>) -> Option<usize> {
        if parts == 0 {
            out.push(Delivery::Completion(ticket, Outcome::Many(Vec::new())));
            return None;
        }
        Some(self.open.insert(Bulk { ticket, results: vec![None; parts], missing: parts }))
    }

    /// Delivers one answer; a bulk goes out with the last of its parts.
    pub fn deliver(&mut self, address: Address<T>, result: Result<Reply, Error>, out: &mut Vec<Delivery<T>>) {
        match address {
            Address::One(ticket) => out.push(Delivery::Completion(ticket, Outcome::One(result))),
            Address::Part { bulk, position } => {
                let open = &mut self.open[bulk];
                open.results[position] = Some(result);
                open.missing -= 1;
                if open.missing == 0 {
                    let done = self.open.remove(bulk);
                    out.push(Delivery::Completion(
                        done.ticket,
                        Outcome::Many(done.results.into_iter().flatten().collect()),
                    ));
                }
            }
        }
    }

    /// Answers what is still open; only after a panic is there anything.
    pub fn fail_rest(&mut self, error: &Error, out: &mut Vec<Delivery<T>>) {
        debug_assert!(self.open.is_empty() || error.code() == ErrorCode::Panic);
        for bulk in self.open.drain() {
            let results =
                bulk.results.into_iter().map(|result| result.unwrap_or_else(|| Err(error.clone()))).collect();
            out.push(Delivery::Completion(bulk.ticket, Outcome::Many(results)));
        }
    }
}
