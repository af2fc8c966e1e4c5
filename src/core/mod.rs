//! The engine: everything that is true for all backends and all hosts.
//!
//! The way of a request: [`Submitter`] → `submission.rs` (bounded queue) → `sequencer.rs`
//! (order per key) → `engine.rs` (batches, deadlines) → a [`Backend`]'s [`Connection`] →
//! [`Delivery`]. `link.rs` keeps the connection. `reactor.rs` drives an engine on a thread of
//! its own, `host_driver.rs` on the host's; `outbox.rs` and `pollable.rs` are the ways out to
//! hosts with callbacks on our thread and on theirs.

mod backend;
mod backoff;
mod bulk;
pub mod document;
mod engine;
mod error;
#[cfg(target_os = "linux")]
mod host_driver;
mod link;
mod options;
mod outbox;
#[cfg(target_os = "linux")]
mod pollable;
mod questions;
mod queues;
mod quiet_waker;
mod reactor;
mod record;
mod request;
mod sequencer;
mod stats;
mod submission;
mod watch;

pub use backend::{Backend, BatchResult, Connection, Description, Link, Notice, Page};
#[cfg_attr(not(feature = "full"), allow(unused_imports))]
pub(crate) use backoff::Backoff;
pub use engine::{Engine, Progress};
pub use error::{Error, ErrorCode, Remedy};
#[cfg(target_os = "linux")]
pub use host_driver::HostDriver;
pub use options::EngineOptions;
pub use outbox::Outbox;
#[cfg(target_os = "linux")]
pub use pollable::Pollable;
pub use questions::Question;
pub use reactor::Reactor;
pub use record::{check_document, check_key, Key, Record, MAX_KEY_BYTES};
pub use request::{Delivery, Kind, LogLevel, Operation, Outcome, Reply};
pub use stats::Statistics;
pub use submission::{Submitter, Wake};
