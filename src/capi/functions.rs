//! Every exported function. What a host has to know stands in the header's first comment
//! (`cbindgen.toml`) and with each function; it is the contract of the unsafe code here.

// The safety sections of these functions would repeat the header.
#![allow(clippy::missing_safety_doc)]

use std::os::raw::{c_char, c_void};
use std::ptr;
use std::sync::Arc;

use super::convert;
use super::dispatch::{pump, start_dispatching};
use super::error::{self, remember};
use super::handle::Connector;
use super::panic::guard;
use super::process::forked_error;
use super::ticket::{Callback, Ticket};
use super::types::*;
use crate::core::{Error, Key, Operation};

/// How many callbacks one `connector_dispatch` runs at most, so that a host's loop gets on.
const CALLBACKS_PER_DISPATCH: usize = 1024;

/// Makes a connector whose callbacks run on a dispatch thread of its own.
///
/// It returns at once; the connection is made in the background, and requests are accepted
/// already. `config` is one JSON object in UTF-8 of `config_length` bytes, with the option
/// `type` and those of that type; see docs/options.md. `events` may be NULL. `*out` is set before the
/// first callback starts, and to NULL on failure.
///
/// Errors: `CONNECTOR_ERR_CONFIGURATION` for everything that can be known to be wrong without a
/// server (`connector_last_error_message` names the option and the remedy),
/// `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_UNSUPPORTED` for events that this version
/// does not have, `CONNECTOR_ERR_UNAVAILABLE` if the system gives no thread.
///
/// The caller owns the connector and has to release it with `connector_free`.
#[no_mangle]
pub unsafe extern "C" fn connector_create(
    config: *const c_char,
    config_length: usize,
    events: *const connector_events_t,
    out: *mut *mut connector_t,
) -> i32 {
    guard(|| {
        convert::check_output(out, "out")?;
        // SAFETY: `out` may be written to, and the others may be read, by the function's contract.
        let (config, events) = unsafe {
            convert::put(out, ptr::null_mut());
            (convert::bytes(config, config_length, "configuration")?, convert::events(events)?)
        };
        let connector = Connector::threaded(config, events)?;
        let shared = convert::give_connector(Arc::clone(&connector));
        // SAFETY: as above.
        unsafe { convert::put(out, shared) };
        let started = start_dispatching(&connector);
        if started.is_err() {
            // SAFETY: as above; without a thread nobody else has seen the pointer.
            unsafe {
                convert::put(out, ptr::null_mut());
                drop(convert::take_connector(shared));
            }
        }
        started
    })
}

/// Makes a connector whose callbacks run on the host's own thread, inside `connector_dispatch`.
///
/// This is for hosts with an event loop (epoll, libuv, GLib, asyncio): watch `connector_fd`, and
/// call `connector_dispatch` when it is readable. Nothing else is needed. Where the backend
/// allows it there is no thread at all, and the host's thread does the I/O.
///
/// Otherwise it is like `connector_create`. Errors besides its: `CONNECTOR_ERR_UNSUPPORTED` on
/// systems other than Linux.
#[no_mangle]
pub unsafe extern "C" fn connector_create_polled(
    config: *const c_char,
    config_length: usize,
    events: *const connector_events_t,
    out: *mut *mut connector_t,
) -> i32 {
    guard(|| {
        convert::check_output(out, "out")?;
        // SAFETY: `out` may be written to, and the others may be read, by the function's contract.
        let (config, events) = unsafe {
            convert::put(out, ptr::null_mut());
            (convert::bytes(config, config_length, "configuration")?, convert::events(events)?)
        };
        let connector = Connector::polled(config, events)?;
        // SAFETY: as above.
        unsafe { convert::put(out, convert::give_connector(connector)) };
        Ok(())
    })
}

/// Tells whether the connection stands at this moment: `*ready` is set to that. Requests may be
/// submitted in either case; while there is no connection they wait for it, up to their
/// deadline. In callbacks that run inside of `connector_free` it does not stand any more.
///
/// Any thread may call it. Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`.
#[no_mangle]
pub unsafe extern "C" fn connector_is_ready(connector: *mut connector_t, ready: *mut bool) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive by the function's contract.
        let connector = unsafe { living(connector) }?;
        convert::check_output(ready, "ready")?;
        // SAFETY: it may be written to by the function's contract.
        unsafe { convert::put(ready, connector.submitter().is_ready()) };
        Ok(())
    })
}

/// Reads a record. It sees every earlier `connector_set` and `connector_delete` of this
/// connector, answered or not.
///
/// `timeout_ms` is the deadline from now in milliseconds, time in the queue included; 0 means the
/// connector's option `timeout`. The key is copied. Any thread may call it.
///
/// Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_BUSY`, `CONNECTOR_ERR_CLOSED`,
/// `CONNECTOR_ERR_FORKED`; then the callback will not be called.
#[no_mangle]
pub unsafe extern "C" fn connector_get(
    connector: *mut connector_t,
    key: *const c_char,
    key_length: usize,
    timeout_ms: u32,
    callback: connector_record_callback_t,
    userdata: *mut c_void,
) -> i32 {
    let ticket = Ticket { callback: Callback::Record(callback), userdata };
    // SAFETY: the same contract.
    unsafe { on_key(connector, key, key_length, timeout_ms, Operation::Get, ticket) }
}

/// Reads a version without the data: the record in the callback has a `data` of NULL. Otherwise
/// like `connector_get`.
#[no_mangle]
pub unsafe extern "C" fn connector_head(
    connector: *mut connector_t,
    key: *const c_char,
    key_length: usize,
    timeout_ms: u32,
    callback: connector_record_callback_t,
    userdata: *mut c_void,
) -> i32 {
    let ticket = Ticket { callback: Callback::Record(callback), userdata };
    // SAFETY: the same contract.
    unsafe { on_key(connector, key, key_length, timeout_ms, Operation::Head, ticket) }
}

/// Stores a record, replacing what was there, whatever its version. `data` is one JSON document
/// in UTF-8; it and the key are copied. Success means that the database has acknowledged it.
/// `timeout_ms` is as for `connector_get`. Any thread may call it.
///
/// Sets of one key that wait together become one, the last; each callback runs when that is
/// stored.
///
/// Errors: as for `connector_get`; `CONNECTOR_ERR_INVALID_ARGUMENT` also for data that is not
/// JSON.
#[no_mangle]
pub unsafe extern "C" fn connector_set(
    connector: *mut connector_t,
    key: *const c_char,
    key_length: usize,
    version: i64,
    data: *const c_char,
    data_length: usize,
    timeout_ms: u32,
    callback: connector_done_callback_t,
    userdata: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive, and key and data may be read, by the
        // function's contract.
        let (connector, key, record) = unsafe {
            (
                calling_back(connector)?,
                convert::key(key, key_length)?,
                convert::record(version, data, data_length)?,
            )
        };
        let ticket = Ticket { callback: Callback::Done(callback), userdata };
        connector.submit(key, Operation::Set(record), ticket, timeout_ms)
    })
}

/// Removes a record; one that is not there is no error. Otherwise like `connector_set`.
#[no_mangle]
pub unsafe extern "C" fn connector_delete(
    connector: *mut connector_t,
    key: *const c_char,
    key_length: usize,
    timeout_ms: u32,
    callback: connector_done_callback_t,
    userdata: *mut c_void,
) -> i32 {
    let ticket = Ticket { callback: Callback::Done(callback), userdata };
    // SAFETY: the same contract.
    unsafe { on_key(connector, key, key_length, timeout_ms, Operation::Delete, ticket) }
}

/// Reads many records: one callback with a result for each key, when all are there. A key may be
/// given more than once. A `count` of 0 is answered with no results. Otherwise like
/// `connector_get`; if the call fails, nothing of it is carried out.
#[no_mangle]
pub unsafe extern "C" fn connector_get_many(
    connector: *mut connector_t,
    keys: *const connector_key_t,
    count: usize,
    timeout_ms: u32,
    callback: connector_many_callback_t,
    userdata: *mut c_void,
) -> i32 {
    // SAFETY: the same contract.
    unsafe { on_keys(connector, keys, count, timeout_ms, &Operation::Get, callback, userdata) }
}

/// Reads many versions without the data. Otherwise like `connector_get_many`.
#[no_mangle]
pub unsafe extern "C" fn connector_head_many(
    connector: *mut connector_t,
    keys: *const connector_key_t,
    count: usize,
    timeout_ms: u32,
    callback: connector_many_callback_t,
    userdata: *mut c_void,
) -> i32 {
    // SAFETY: the same contract.
    unsafe { on_keys(connector, keys, count, timeout_ms, &Operation::Head, callback, userdata) }
}

/// Stores many records, in their order where a key is given more than once. It is not a
/// transaction: some may fail. Otherwise like `connector_get_many` and `connector_set`.
#[no_mangle]
pub unsafe extern "C" fn connector_set_many(
    connector: *mut connector_t,
    entries: *const connector_entry_t,
    count: usize,
    timeout_ms: u32,
    callback: connector_many_callback_t,
    userdata: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive, and there are `count` entries, by the
        // function's contract.
        let (connector, writes) = unsafe { (calling_back(connector)?, convert::writes(entries, count)?) };
        let ticket = Ticket { callback: Callback::Many(callback), userdata };
        connector.submit_many(writes, ticket, timeout_ms)
    })
}

/// Removes many records. It is not a transaction: some may fail. Otherwise like
/// `connector_get_many`.
#[no_mangle]
pub unsafe extern "C" fn connector_delete_many(
    connector: *mut connector_t,
    keys: *const connector_key_t,
    count: usize,
    timeout_ms: u32,
    callback: connector_many_callback_t,
    userdata: *mut c_void,
) -> i32 {
    // SAFETY: the same contract.
    unsafe { on_keys(connector, keys, count, timeout_ms, &Operation::Delete, callback, userdata) }
}

/// Reads a page of at most `limit` of all records, in an order of the database's own, for
/// listing and for moving them elsewhere. `cursor` is NULL for the first page, and the cursor of
/// a page for the one after it; it is copied. A record that is there all the while is on one
/// page; one that comes or goes meanwhile may be on one or on none. Operations that are under way
/// on this connector may or may not be seen. `timeout_ms` is as for `connector_get`.
///
/// Any thread may call it. Errors: as for `connector_get`; `CONNECTOR_ERR_INVALID_ARGUMENT` also
/// for a limit of 0. The callback gets `CONNECTOR_ERR_UNSUPPORTED` from a cache, which cannot list
/// its records, and `CONNECTOR_ERR_INVALID_ARGUMENT` for a cursor that is none.
#[no_mangle]
pub unsafe extern "C" fn connector_scan(
    connector: *mut connector_t,
    cursor: *const c_char,
    cursor_length: usize,
    limit: usize,
    timeout_ms: u32,
    callback: connector_page_callback_t,
    userdata: *mut c_void,
) -> i32 {
    // SAFETY: the same contract.
    unsafe {
        connector_scan_prefix(
            connector,
            ptr::null(),
            0,
            cursor,
            cursor_length,
            limit,
            timeout_ms,
            callback,
            userdata,
        )
    }
}

/// Reads a page of the records alone whose keys begin with `prefix`, which is copied; NULL or
/// empty for all records. Where the database can tell, it sends no others: see
/// docs/listing-and-commands.md. A page may have fewer records than `limit`, and even none, although
/// there is a next one. Otherwise like `connector_scan`.
///
/// Errors: as for `connector_scan`; `CONNECTOR_ERR_INVALID_ARGUMENT` also for a prefix that is not
/// UTF-8.
#[no_mangle]
pub unsafe extern "C" fn connector_scan_prefix(
    connector: *mut connector_t,
    prefix: *const c_char,
    prefix_length: usize,
    cursor: *const c_char,
    cursor_length: usize,
    limit: usize,
    timeout_ms: u32,
    callback: connector_page_callback_t,
    userdata: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive, and prefix and cursor may be read, by the function's
        // contract.
        let (connector, question) = unsafe {
            let (prefix, cursor) = ((prefix, prefix_length), (cursor, cursor_length));
            (calling_back(connector)?, convert::listing(prefix, cursor, limit)?)
        };
        connector.ask(question, Ticket { callback: Callback::Page(callback), userdata }, timeout_ms)
    })
}

/// Carries out a command that only this type of database has; see docs/listing-and-commands.md.
/// `arguments` is JSON in UTF-8, and may be empty; it and the name are copied. A command whose
/// answer is lost with the connection is not sent again: its callback gets
/// `CONNECTOR_ERR_UNAVAILABLE` and a message that says so. `timeout_ms` is as for
/// `connector_get`.
///
/// Any thread may call it. Errors: as for `connector_get`; `CONNECTOR_ERR_INVALID_ARGUMENT` also
/// for arguments that are not JSON. The callback gets `CONNECTOR_ERR_UNSUPPORTED` where there is no
/// such command.
#[no_mangle]
pub unsafe extern "C" fn connector_command(
    connector: *mut connector_t,
    name: *const c_char,
    name_length: usize,
    arguments: *const c_char,
    arguments_length: usize,
    timeout_ms: u32,
    callback: connector_answer_callback_t,
    userdata: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive, and name and arguments may be read, by the
        // function's contract.
        let (connector, question) = unsafe {
            (calling_back(connector)?, convert::command(name, name_length, arguments, arguments_length)?)
        };
        connector.ask(question, Ticket { callback: Callback::Answer(callback), userdata }, timeout_ms)
    })
}

/// Closes a connector in an orderly way: accepts nothing more, lets what was accepted finish
/// within the option `closeTimeout`, fails the rest with `CONNECTOR_ERR_CLOSED`, says goodbye to
/// the server, and calls back. That callback is the connector's last one. It gets an error,
/// `CONNECTOR_ERR_CLOSED`, only if `connector_free` came first. A connector with a completion queue is given
/// NULL for it, and tells the end by a completion of the kind `CONNECTOR_KIND_CLOSED`.
///
/// The connector still has to be released by `connector_free`, which the callback may do. Any
/// thread may call it. Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`;
/// `CONNECTOR_ERR_CLOSED` if it was called before.
#[no_mangle]
pub unsafe extern "C" fn connector_close(
    connector: *mut connector_t,
    callback: connector_done_callback_t,
    userdata: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive by the function's contract.
        unsafe { living(connector) }?.close(callback, userdata)
    })
}

/// Releases a connector, at any time. NULL is ignored.
///
/// Every callback that has not run yet runs before this function returns, on the dispatch thread
/// or, for a polled connector and inside of a callback, on this one: with its result if there is
/// one already, else with `CONNECTOR_ERR_CLOSED`. After it has returned no callback starts. It
/// waits for a callback that is running on another thread, but never for the server.
///
/// A connector with a completion queue has no callbacks: completions that were not fetched are released
/// unseen, see `connector_stop`.
///
/// It may be called from inside any callback of the connector; what that callback was given
/// stays valid until the callback returns. No other thread may use the connector during the call,
/// and nobody after it, but callbacks that run during the call may still do so. In a forked child
/// it does nothing.
#[no_mangle]
pub unsafe extern "C-unwind" fn connector_free(connector: *mut connector_t) {
    let mut freed: Option<&Connector> = None;
    guard(|| {
        if !connector.is_null() {
            // SAFETY: alive by the function's contract, until its share is taken below.
            freed = unsafe { convert::connector(connector) }.ok().filter(|freed| freed.begin_free());
        }
        Ok(())
    });
    let Some(freed) = freed else { return };
    pump(freed, usize::MAX);
    guard(|| {
        if freed.finish_free() {
            // SAFETY: the host's share, which it must not use any more.
            drop(unsafe { convert::take_connector(connector) });
        }
        Ok(())
    });
}

/// Counters and latencies as one JSON object: `*json` is set to a text with a NUL at its end,
/// which the caller has to release with `connector_string_free`, and `*length`, which may be
/// NULL, to its length in bytes. Later versions may have more in it.
///
/// It has `ready`, `inFlight`, `operations` with `get`, `head`, `set` and `delete` (each with
/// `count`, `errors`, and `latencyMicroseconds` with `p50`, `p90`, `p99` and `max`), `batches`
/// with `count`, `p50` and `max`, `coalesced`, `retries`, `connects` and `outages`.
///
/// Any thread may call it. Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`.
#[no_mangle]
pub unsafe extern "C" fn connector_stats(
    connector: *mut connector_t,
    json: *mut *mut c_char,
    length: *mut usize,
) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive by the function's contract.
        let connector = unsafe { living(connector) }?;
        convert::check_output(json, "json")?;
        let text = connector.submitter().statistics_json();
        // SAFETY: both may be written to by the function's contract, or are NULL.
        unsafe {
            convert::put(length, text.len());
            convert::put(json, convert::give_string(text)?);
        }
        Ok(())
    })
}

/// Releases a text that `connector_stats` gave. NULL is ignored.
#[no_mangle]
pub unsafe extern "C" fn connector_string_free(text: *mut c_char) {
    guard(|| {
        // SAFETY: NULL or from `connector_stats`, and not released yet, by the function's contract.
        unsafe { convert::take_string(text) };
        Ok(())
    });
}

/// The file descriptor of a polled connector, or of one with a completion queue: `*fd` is set to it. It is
/// readable when `connector_dispatch` has something to do, or as long as there are completions for
/// `connector_next` to fetch. Watch it for reading, level-triggered; do not read, write or close it. It
/// stays the same until `connector_free`; stop watching it before that.
///
/// Any thread may call it. Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`;
/// `CONNECTOR_ERR_UNSUPPORTED` for a connector of `connector_create`; for one with a completion queue
/// `CONNECTOR_ERR_UNAVAILABLE` if the system gives no descriptor.
#[no_mangle]
pub unsafe extern "C" fn connector_fd(connector: *mut connector_t, fd: *mut i32) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive by the function's contract.
        let connector = unsafe { living(connector) }?;
        convert::check_output(fd, "fd")?;
        // SAFETY: it may be written to by the function's contract.
        unsafe { convert::put(fd, connector.fd()?) };
        Ok(())
    })
}

/// Does what there is to do for a polled connector, and runs callbacks on this thread; at most
/// 1024 of them, after which the descriptor is readable again if there are more. Never blocks.
///
/// Call it when `connector_fd` is readable. A call at any other time does no harm; nor does one
/// from inside a callback, or while another thread dispatches: it returns at once. What callbacks
/// submit is sent when those that are due have run, so they should not take long.
///
/// Errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED` (also if a callback forked
/// and this is the child); `CONNECTOR_ERR_UNSUPPORTED` for a connector that is not polled.
#[no_mangle]
pub unsafe extern "C-unwind" fn connector_dispatch(connector: *mut connector_t) -> i32 {
    let mut begun: Option<&Connector> = None;
    let code = guard(|| {
        // SAFETY: the connector is NULL or alive by the function's contract.
        let living = unsafe { living(connector) }?;
        if living.poll_mode()?.begin_dispatch(living.runner()) {
            // A callback may free the connector, so this call has a share of its own.
            // SAFETY: alive, as before.
            begun = unsafe { convert::connector(convert::share_connector(connector)) }.ok();
        }
        Ok(())
    });
    let Some(begun) = begun else { return code };
    pump(begun, CALLBACKS_PER_DISPATCH);
    if begun.process().is_forked() {
        return remember(&forked_error());
    }
    guard(|| {
        begun.poll_mode()?.end_dispatch(begun.runner());
        // SAFETY: the share that was taken above.
        drop(unsafe { convert::take_connector(connector) });
        Ok(())
    })
}

/// The library's version, such as `"1.2.3"`; a static text with a NUL at its end.
#[no_mangle]
pub extern "C" fn connector_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The version of the library's binary interface. A program runs with it if this is the
/// `CONNECTOR_ABI_VERSION` that the program was compiled with.
#[no_mangle]
pub extern "C" fn connector_abi_version() -> u32 {
    CONNECTOR_ABI_VERSION
}

/// The name of an error code: `"BUSY"` for `CONNECTOR_ERR_BUSY`, `"OK"` for `CONNECTOR_OK`,
/// `"UNKNOWN"` for numbers that this version does not have; a static text with a NUL at its end.
#[no_mangle]
pub extern "C" fn connector_error_name(code: i32) -> *const c_char {
    error::name(code).as_ptr()
}

/// What went wrong in this thread's last call of a `connector_` function that did not return
/// `CONNECTOR_OK`: one sentence in UTF-8 with a NUL at its end, empty if nothing did. `*length`,
/// which may be NULL, is set to its length in bytes. Borrowed: it is valid until the next call
/// on this thread that fails, or the thread's end.
#[no_mangle]
pub unsafe extern "C" fn connector_last_error_message(length: *mut usize) -> *const c_char {
    let (text, bytes) = error::last_message();
    // SAFETY: NULL or to be written to by the function's contract.
    unsafe { convert::put(length, bytes) };
    text
}

/// The connector of a call, in the process that made it.
///
/// # Safety
/// `pointer` is NULL or a connector that is not freed during `'a`.
pub(super) unsafe fn living<'a>(pointer: *mut connector_t) -> Result<&'a Connector, Error> {
    // SAFETY: the same contract.
    let connector = unsafe { convert::connector(pointer) }?;
    connector.check_process()?;
    Ok(connector)
}

/// The same for a call with a callback.
///
/// # Safety
/// As for [`living`].
unsafe fn calling_back<'a>(pointer: *mut connector_t) -> Result<&'a Connector, Error> {
    // SAFETY: the same contract.
    let connector = unsafe { living(pointer) }?;
    connector.check_calls_back()?;
    Ok(connector)
}

/// # Safety
/// As for the exported functions.
unsafe fn on_key(
    connector: *mut connector_t,
    key: *const c_char,
    key_length: usize,
    timeout_ms: u32,
    operation: Operation,
    ticket: Ticket,
) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive, and the key may be read.
        let (connector, key): (_, Key) =
            unsafe { (calling_back(connector)?, convert::key(key, key_length)?) };
        connector.submit(key, operation, ticket, timeout_ms)
    })
}

/// # Safety
/// As for the exported functions.
unsafe fn on_keys(
    connector: *mut connector_t,
    keys: *const connector_key_t,
    count: usize,
    timeout_ms: u32,
    operation: &Operation,
    callback: connector_many_callback_t,
    userdata: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive, and there are `count` keys.
        let (connector, operations) =
            unsafe { (calling_back(connector)?, convert::operations(keys, count, operation)?) };
        let ticket = Ticket { callback: Callback::Many(callback), userdata };
        connector.submit_many(operations, ticket, timeout_ms)
    })
}
