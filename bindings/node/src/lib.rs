//! The Node.js addon: an engine per connector, driven by Node's own event loop.
//!
//! The way of an operation: `index.js` keeps the callback in a table, `submissions.js` calls a
//! function of `functions.rs` with its number, for the first of a turn at once, for all others
//! together at the turn's end (`intake.rs`) → `host.rs` hands them to the engine → `outlet.rs`
//! writes what came back into one flat batch → one call of `drain` in `deliveries.js` runs all
//! callbacks of the batch. `raw.rs` is Node-API and `uv.rs` is libuv, made safe; nothing else is
//! `unsafe`.

mod functions;
mod host;
mod intake;
mod outlet;
mod raw;
mod uv;

use napi::bindgen_prelude::Object;
use napi_derive::napi;

/// Called by Node once for each environment that loads the addon.
#[napi(module_exports)]
pub fn register(exports: Object<'_>, env: napi::Env) -> napi::Result<()> {
    functions::export(raw::Env::of(&env), raw::Value::of(&exports))
        .map_err(|_| napi::Error::from_reason("the addon's functions cannot be made"))
}
