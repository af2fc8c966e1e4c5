//! The Node.js addon: an engine per connector, driven by Node's own event loop.
//!
//! The way of an operation: `operations.js` keeps the callback in a table, `submissions.js` calls a
//! function of `functions.rs` with its number, for the first of a turn at once, for all others
//! together at the turn's end (`intake.rs`) → `host.rs` hands them to the engine → `outlet.rs`
//! writes what came back into one flat batch → one call of `drain` in `deliveries.js` runs all
//! callbacks of the batch. An answer for many names is a delivery for each of them (`parts.rs`,
//! `parts.js`). What the numbers of both ways mean is in `cells.rs`. `raw/` is
//! Node-API and `uv.rs` is libuv, made safe; nothing else is `unsafe`. `watch.rs` has the two ways in
//! which the engine calls: libuv's, and `raw/bell.rs` for Bun and Deno, which have no libuv.

mod cells;
mod functions;
mod host;
mod intake;
mod outlet;
mod parts;
mod raw;
mod uv;
mod watch;
mod watcher;

/// Called by Node, and by nobody else, once for each environment that loads the addon.
#[no_mangle]
pub extern "C" fn napi_register_module_v1<'s>(env: raw::Env, exports: raw::Value<'s>) -> raw::Value<'s> {
    env.load(|scope| functions::export(scope, exports));
    exports
}
