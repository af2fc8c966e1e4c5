//! In place of `poll_mode.rs` on systems where an engine cannot be behind a file descriptor.

use super::dispatch_thread::Runner;
use super::ticket::Ticket;
use crate::core::{Delivery, Engine, Error, ErrorCode, Submitter};

/// There is none.
pub(super) enum PollMode {}

impl PollMode {
    pub fn new(_: Engine<Ticket>, _: Submitter<Ticket>) -> Result<PollMode, Error> {
        Err(Error::new(
            ErrorCode::Unsupported,
            "this system has no connectors without threads; use connector_create",
        ))
    }

    pub fn fd(&self) -> i32 {
        match *self {}
    }

    pub fn begin_dispatch(&self, _: &Runner) -> bool {
        match *self {}
    }

    pub fn next(&self) -> Option<Delivery<Ticket>> {
        match *self {}
    }

    pub fn end_dispatch(&self, _: &Runner) {
        match *self {}
    }

    pub fn begin_free(&self, _: &Runner) {
        match *self {}
    }

    pub fn finish_free(&self, _: &Runner) {
        match *self {}
    }
}
