//! The C interface: the functions, types and constants of `include/deepstream_connector.h`,
//! which is generated from this folder (`tests/header.rs`).
//!
//! | file | what is in it |
//! |---|---|
//! | `functions.rs` | every exported function, thin |
//! | `queue_functions.rs` | those of the completion queue |
//! | `types.rs` | what crosses the boundary: structs, callbacks |
//! | `queue_types.rs` | what crosses it with a completion queue |
//! | `error.rs` | error codes, the last error message of a thread |
//! | `convert.rs` | the only place where raw pointers become references and owned values |
//! | `panic.rs` | the one boundary that no panic crosses |
//! | `handle.rs` | what a `connector_t` is: submission, closing, freeing |
//! | `ticket.rs` | a callback on its way through the engine |
//! | `views.rs` | results as C sees them |
//! | `deliver.rs` | calling the host back |
//! | `dispatch.rs` | the loops that do it |
//! | `callback_mode.rs`, `poll_mode.rs` | on whose thread that happens |
//! | `queue_mode.rs` | what the host fetches instead of being called back |
//! | `dispatch_thread.rs`, `process.rs`, `fork_mark.rs` | what is special to the system: threads; forks and exits |
//!
//! # Foreign unwinding
//!
//! Some hosts end a thread from inside a callback: Python does it to foreign threads when the
//! interpreter has shut down, by `pthread_exit`, which unwinds the stack. So whatever stands on
//! the stack while a callback runs is `extern "C-unwind"`, outside of any `catch_unwind`, and
//! owns nothing there that has a destructor. What could panic stands in
//! `panic::guard`, before and after.

// The names are those that C sees.
#![allow(non_camel_case_types)]

mod callback_mode;
mod convert;
mod deliver;
mod dispatch;
mod dispatch_thread;
mod error;
mod fork_mark;
mod functions;
mod handle;
mod panic;
#[cfg_attr(not(target_os = "linux"), path = "no_poll_mode.rs")]
mod poll_mode;
mod process;
mod queue_functions;
mod queue_mode;
mod queue_types;
mod ticket;
mod types;
mod views;

pub use error::*;
pub use functions::*;
pub use queue_functions::*;
pub use queue_types::*;
pub use types::*;
