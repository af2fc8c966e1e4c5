//! Who turns the engine, and how what it says reaches the host.
//!
//! | file | what is in it |
//! |---|---|
//! | `reactor.rs` | a thread of our own that drives an engine |
//! | `host_driver.rs` | the host's own thread drives it |
//! | `runtime_fd.rs` | the descriptor of a runtime, found and proved |
//! | `outbox.rs` | the way out to hosts with callbacks on a thread of ours |
//! | `completion_queue.rs` | the way out to hosts that take what there is, several at once |
//! | `pollable.rs` | the way out to hosts that poll a file descriptor |
//! | `signals.rs` | none of our threads takes a signal |
//! | `way_out.rs` | the one queue that all of them listen to |
//! | `waker.rs` | wake-ups that cost nothing while the engine is being polled anyway |

mod completion_queue;
#[cfg(target_os = "linux")]
mod host_driver;
#[cfg(feature = "models")]
pub(super) mod models;
mod outbox;
#[cfg(target_os = "linux")]
mod pollable;
mod reactor;
#[cfg(target_os = "linux")]
mod runtime_fd;
mod signals;
mod waker;
mod way_out;

pub use completion_queue::CompletionQueue;
#[cfg(target_os = "linux")]
pub use host_driver::HostDriver;
pub use outbox::Outbox;
#[cfg(target_os = "linux")]
pub use pollable::Pollable;
pub use reactor::Reactor;
pub(crate) use signals::without_signals;
