//! The engine: everything that is true for all backends and all hosts.
//!
//! The way of a request: [`Submitter`] → `submission.rs` (bounded queue) → `sequencer.rs`
//! (order per key) → `engine.rs` (batches, deadlines) → a [`Backend`]'s [`Connection`] →
//! [`Delivery`]. `link.rs` keeps the connection. Who turns all this, and how what it says reaches
//! the host, stands in `drive/`.

mod admission;
mod backend;
mod backoff;
mod budget;
mod bulk;
mod clock;
mod deliveries;
pub mod document;
mod drive;
mod engine;
mod error;
mod groups;
mod link;
#[cfg(feature = "models")]
pub mod models;
mod options;
mod questions;
mod queues;
mod random;
mod record;
mod request;
mod sequencer;
mod stats;
mod submission;
#[cfg(test)]
mod tests;
mod timers;
mod turn;
mod watch;

pub use backend::{Backend, BatchResult, Connection, Description, Link, Listing, Notice, Page};
#[cfg_attr(not(feature = "full"), allow(unused_imports))]
pub(crate) use backoff::Backoff;
pub use clock::Clock;
pub use deliveries::Deliveries;
pub(crate) use drive::without_signals;
pub use drive::{CompletionQueue, Outbox, Reactor};
#[cfg(target_os = "linux")]
pub use drive::{HostDriver, Pollable};
pub use engine::{Engine, Progress};
#[cfg_attr(not(feature = "full"), allow(unused_imports))]
pub(crate) use error::name_of_error;
pub use error::{Applied, Error, ErrorCode, Remedy};
pub use options::EngineOptions;
pub use record::{check_document, check_key, Key, Record, MAX_KEY_BYTES};
pub use request::{Delivery, Kind, LogLevel, Operation, Outcome, Question, Reply};
pub use stats::Statistics;
pub use submission::Submitter;
