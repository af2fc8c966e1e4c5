//! Node-API, as much of it as we need, made safe.

// `clippy.toml` forbids these everywhere else.
#![allow(clippy::disallowed_methods)]

mod bell;
mod node_api;

pub use bell::{Bell, Rope};
pub use node_api::{
    Call, Callback, Cells, CleanupHook, Env, EnvironmentEnd, Failure, Fault, Function, Scope, Value,
};
