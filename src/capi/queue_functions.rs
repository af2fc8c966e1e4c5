//! The exported functions of the completion queue.

// As in `functions.rs`: the safety sections would repeat the header.
#![allow(clippy::missing_safety_doc)]

use std::os::raw::c_char;
use std::ptr;

use super::convert::{self, Wanted};
use super::functions::living;
use super::handle::{duration, Connector};
use super::panic::guard;
use super::queue_mode::QueueMode;
use super::queue_types::{connector_completion_t, connector_operation_t};
use super::ticket::{Callback, Ticket};
use super::types::connector_t;
use crate::core::{Error, ErrorCode, Submitter};

/// Makes a connector with a completion queue: nothing is called back.
///
/// This is for hosts to which a callback is dear, above all on a foreign thread (Go, Java, .NET, Python,
/// Ruby): operations are handed in by `connector_submit`, and what became of them is fetched by
/// `connector_next`, many at a time. What `connector_events_t` tells others comes as completions, too. A
/// thread of the connector's own does the I/O, so that work goes on whether anything is fetched or not.
///
/// Otherwise it is like `connector_create`. The functions that take a callback, `connector_close` with
/// NULL for it apart, are refused by such a connector with `CONNECTOR_ERR_UNSUPPORTED`, and so is
/// `connector_dispatch`.
#[no_mangle]
pub unsafe extern "C" fn connector_create_queued(
    config: *const c_char,
    config_length: usize,
    out: *mut *mut connector_t,
) -> i32 {
    guard(|| {
        convert::check_output(out, "out")?;
        // SAFETY: `out` may be written to, and the configuration may be read, by the function's contract.
        let config = unsafe {
            convert::put(out, ptr::null_mut());
            convert::bytes(config, config_length, "configuration")?
        };
        let connector = Connector::queued(config)?;
        // SAFETY: as above.
        unsafe { convert::put(out, convert::give_connector(connector)) };
        Ok(())
    })
}

/// Hands in `count` operations, in their order. Each that is accepted has exactly one completion, with its
/// `number`; all that it was given is copied. A `count` of 0 does nothing.
///
/// The first one that is refused ends the call, with its error: `*accepted`, which may be NULL, is set to
/// how many were accepted before it. That one and those after it have no completion. With
/// `CONNECTOR_ERR_BUSY`, fetch some completions and hand in the rest. An operation is in flight until its
/// completion is fetched, and each on its own counts for the options `maxInFlight` and `maxBytesInFlight`.
///
/// Any thread may call it. Errors: those of the functions that do the same with a callback;
/// `CONNECTOR_ERR_UNSUPPORTED` for a kind or a field that this version does not have, and for a connector
/// that was not made by `connector_create_queued`.
#[no_mangle]
pub unsafe extern "C" fn connector_submit(
    connector: *mut connector_t,
    operations: *const connector_operation_t,
    count: usize,
    accepted: *mut usize,
) -> i32 {
    guard(|| {
        // SAFETY: NULL or to be written to by the function's contract.
        unsafe { convert::put(accepted, 0) };
        // SAFETY: the connector is NULL or alive by the function's contract.
        let connector = unsafe { living(connector) }?;
        connector.queue_mode()?;
        let submitter = Announced(connector.submitter());
        // SAFETY: there are `count` operations by the function's contract.
        for (before, operation) in unsafe { convert::elements(operations, count) }?.enumerate() {
            // SAFETY: what it points to may be read by the function's contract.
            unsafe { submitter.submit(&operation?) }?;
            // SAFETY: as above.
            unsafe { convert::put(accepted, before + 1) };
        }
        Ok(())
    })
}

/// Wakes the engine once for all that was submitted, whatever ends the call.
struct Announced<'a>(&'a Submitter<Ticket>);

impl Announced<'_> {
    /// # Safety
    /// As for `connector_submit`.
    unsafe fn submit(&self, operation: &connector_operation_t) -> Result<(), Error> {
        let connector_operation_t { kind, number, timeout_ms, .. } = *operation;
        let ticket = Ticket { callback: Callback::Queued { kind, number }, userdata: ptr::null_mut() };
        let timeout = duration(timeout_ms);
        // SAFETY: the same contract.
        match unsafe { convert::wanted(operation) }? {
            Wanted::One(key, operation) => self.0.submit_quietly(key, operation, ticket, timeout),
            Wanted::Many(operations) => self.0.submit_many_quietly(operations, ticket, timeout),
            Wanted::Answer(question) => self.0.ask_quietly(question, ticket, timeout),
        }
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.announce();
    }
}

/// Fetches at most `capacity` completions into the array `completions`, in the order in which the
/// operations were finished; `*count` is set to how many. `size` is `sizeof(connector_completion_t)`.
///
/// If there is none it waits so many milliseconds for the first one: not at all for 0, without an end for
/// -1. None within that time is no error, and `*count` is 0. What completions point to is valid until the
/// next call for this connector, whatever that returns, or until `connector_free`.
///
/// `CONNECTOR_ERR_CLOSED` means that the last completion of all, of the kind `CONNECTOR_KIND_CLOSED`, was
/// fetched before.
///
/// Any thread may call it, one at a time: while another one is in it, it is `CONNECTOR_ERR_BUSY`. Other
/// errors: `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`; `CONNECTOR_ERR_UNSUPPORTED` for a
/// connector that was not made by `connector_create_queued`.
#[no_mangle]
pub unsafe extern "C" fn connector_next(
    connector: *mut connector_t,
    completions: *mut connector_completion_t,
    size: usize,
    capacity: usize,
    wait_ms: i32,
    count: *mut usize,
) -> i32 {
    guard(|| {
        convert::check_output(count, "count")?;
        // SAFETY: it may be written to by the function's contract.
        unsafe { convert::put(count, 0) };
        // SAFETY: the connector is NULL or alive by the function's contract.
        let connector = unsafe { living(connector) }?;
        let mode = connector.queue_mode()?;
        let places = convert::Places::new(completions, size, capacity)?;
        let patience = match wait_ms {
            -1 => None,
            wait_ms => Some(std::time::Duration::from_millis(u64::try_from(wait_ms).map_err(|_| {
                Error::new(
                    ErrorCode::InvalidArgument,
                    format!("the wait is {wait_ms} ms; give 0 for none, or -1 for one without an end"),
                )
            })?)),
        };
        let fetched = mode.fetch(
            capacity,
            patience,
            || connector.end(mode),
            |place, completion| {
                // SAFETY: there is room for `capacity` elements by the function's contract, and no place is beyond.
                unsafe { places.put(place, completion) };
            },
        )?;
        // SAFETY: as above.
        unsafe { convert::put(count, fetched) };
        Ok(())
    })
}

/// Ends a connector of `connector_create_queued` at once: accepts nothing more, and everything that is
/// unanswered fails with `CONNECTOR_ERR_CLOSED`. The completions are still to be fetched; that of the kind
/// `CONNECTOR_KIND_CLOSED` is the last one. Never waits for the server. A second call does nothing.
///
/// `connector_free` releases what was not fetched, unseen. Whoever wants an answer to everything calls this,
/// or `connector_close`, and fetches until `CONNECTOR_KIND_CLOSED`, before it.
///
/// Any thread may call it, also while another one waits in `connector_next`. Errors:
/// `CONNECTOR_ERR_INVALID_ARGUMENT`, `CONNECTOR_ERR_FORKED`; `CONNECTOR_ERR_UNSUPPORTED` for a connector that
/// was not made by `connector_create_queued`, for which `connector_free` does the same.
#[no_mangle]
pub unsafe extern "C" fn connector_stop(connector: *mut connector_t) -> i32 {
    guard(|| {
        // SAFETY: the connector is NULL or alive by the function's contract.
        let connector = unsafe { living(connector) }?;
        let mode: &QueueMode = connector.queue_mode()?;
        mode.stop(connector.submitter());
        Ok(())
    })
}
