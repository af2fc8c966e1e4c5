//! Calls the host back.
//!
//! A callback may end its thread by unwinding (see [`capi`](super)): no function here owns
//! anything with a destructor while one runs.

use std::mem::ManuallyDrop;
use std::os::raw::c_void;
use std::ptr;

use super::error::{view, view_text};
use super::handle::Connector;
use super::ticket::{Callback, Ticket};
use super::types::{
    connector_error_t, connector_many_callback_t, connector_named_record_t, connector_page_callback_t,
    connector_page_t, connector_record_t, connector_result_t,
};
use crate::core::{Delivery, Error, ErrorCode, Outcome, Reply};

/// Hands one delivery to the host.
pub(super) fn deliver(connector: &Connector, delivery: Delivery<Ticket>) {
    let mut delivery = ManuallyDrop::new(delivery);
    let events = connector.events();
    match &*delivery {
        Delivery::Completion(ticket, outcome) => complete(ticket, outcome),
        Delivery::Ready => {
            if let Some(callback) = events.ready {
                // SAFETY: the host's function, called as the header says.
                unsafe { callback(events.userdata) };
            }
        }
        Delivery::Failure { error, fatal } => {
            if let Some(callback) = events.error {
                // SAFETY: the host's function; the error lives until it returns.
                unsafe { callback(events.userdata, &view(error), *fatal) };
            }
        }
        Delivery::Notification(channel, payload) => {
            if let Some(callback) = events.notification {
                let (channel, payload) = (channel.as_bytes(), payload.as_bytes());
                // SAFETY: the host's function; both texts live until it returns.
                unsafe {
                    callback(
                        events.userdata,
                        channel.as_ptr().cast(),
                        channel.len(),
                        payload.as_ptr().cast(),
                        payload.len(),
                    );
                };
            }
        }
        Delivery::Log(level, line) => {
            if let Some(callback) = events.log {
                // SAFETY: the host's function; the line lives until it returns.
                unsafe { callback(events.userdata, *level as i32, line.as_ptr().cast(), line.len()) };
            }
        }
        Delivery::Closed => {
            let close = connector.ended();
            if let Some(callback) = close.callback {
                let error = close.interrupted.then(|| {
                    view_text(
                        ErrorCode::Closed,
                        "the connector was freed before it had closed in an orderly way",
                    )
                });
                // SAFETY: the host's function; the error lives until it returns.
                unsafe { callback(close.userdata, pointer(error.as_ref())) };
            }
        }
    }
    // SAFETY: it is not used any more.
    unsafe { ManuallyDrop::drop(&mut delivery) };
}

fn complete(ticket: &Ticket, outcome: &Outcome) {
    match ticket.callback {
        Callback::Record(Some(callback)) => {
            let (error, record) = views(one(outcome));
            // SAFETY: the host's function; both views live until it returns.
            unsafe { callback(ticket.userdata, pointer(error.as_ref()), pointer(record.as_ref())) };
        }
        Callback::Done(Some(callback)) => {
            let (error, _) = views(one(outcome));
            // SAFETY: the host's function; the error lives until it returns.
            unsafe { callback(ticket.userdata, pointer(error.as_ref())) };
        }
        Callback::Many(callback) => complete_many(callback, ticket.userdata, many(outcome)),
        Callback::Page(callback) => complete_page(callback, ticket.userdata, one(outcome)),
        Callback::Answer(Some(callback)) => {
            let (error, _) = views(one(outcome));
            let json: ManuallyDrop<Vec<u8>> = ManuallyDrop::new(match one(outcome) {
                Ok(Reply::Answer(answer)) => answer.to_string().into_bytes(),
                _ => Vec::new(),
            });
            let text = if error.is_some() { ptr::null() } else { json.as_ptr().cast() };
            // SAFETY: the host's function; error and text live until it returns.
            unsafe { callback(ticket.userdata, pointer(error.as_ref()), text, json.len()) };
            drop(ManuallyDrop::into_inner(json));
        }
        Callback::Record(None) | Callback::Done(None) | Callback::Answer(None) => {}
    }
}

/// A result, and what it points to.
struct View {
    result: connector_result_t,
    error: Option<connector_error_t>,
    record: Option<connector_record_t>,
}

fn complete_many(
    callback: connector_many_callback_t,
    userdata: *mut c_void,
    results: &[Result<Reply, Error>],
) {
    let Some(callback) = callback else { return };
    let mut list: ManuallyDrop<Vec<View>> = ManuallyDrop::new(Vec::with_capacity(results.len()));
    let mut pointers: ManuallyDrop<Vec<*const connector_result_t>> =
        ManuallyDrop::new(Vec::with_capacity(results.len()));
    for result in results {
        let (error, record) = views(result);
        let size = size_of::<connector_result_t>();
        list.push(View {
            result: connector_result_t { size, error: ptr::null(), record: ptr::null() },
            error,
            record,
        });
    }
    // The list moves no more.
    for one in list.iter_mut() {
        one.result.error = pointer(one.error.as_ref());
        one.result.record = pointer(one.record.as_ref());
        pointers.push(&raw const one.result);
    }
    let first_error = pointer(list.iter().find_map(|one| one.error.as_ref()));
    // SAFETY: the host's function; the lists live until it returns.
    unsafe { callback(userdata, first_error, pointers.as_ptr(), pointers.len()) };
    // SAFETY: they are not used any more.
    unsafe {
        ManuallyDrop::drop(&mut pointers);
        ManuallyDrop::drop(&mut list);
    }
}

fn complete_page(callback: connector_page_callback_t, userdata: *mut c_void, result: &Result<Reply, Error>) {
    let Some(callback) = callback else { return };
    let (error, _) = views(result);
    let mut records: ManuallyDrop<Vec<connector_named_record_t>> = ManuallyDrop::new(Vec::new());
    let mut page = None;
    if let Ok(Reply::Page(read)) = result {
        records.extend(read.records.iter().map(|(key, record)| connector_named_record_t {
            size: size_of::<connector_named_record_t>(),
            key: key.as_ptr().cast(),
            key_length: key.len(),
            version: record.version,
            data: record.data.as_ptr().cast(),
            data_length: record.data.len(),
        }));
        page = Some(connector_page_t {
            size: size_of::<connector_page_t>(),
            records: ptr::null(),
            count: records.len(),
            cursor: read.next.as_ref().map_or(ptr::null(), |next| next.as_ptr().cast()),
            cursor_length: read.next.as_ref().map_or(0, String::len),
        });
    }
    // The list moves no more.
    let pointers: ManuallyDrop<Vec<*const connector_named_record_t>> =
        ManuallyDrop::new(records.iter().map(ptr::from_ref).collect());
    if let Some(page) = &mut page {
        page.records = pointers.as_ptr();
    }
    // SAFETY: the host's function; error, page and lists live until it returns.
    unsafe { callback(userdata, pointer(error.as_ref()), pointer(page.as_ref())) };
    drop(ManuallyDrop::into_inner(pointers));
    drop(ManuallyDrop::into_inner(records));
}

/// A result as C sees it.
fn views(result: &Result<Reply, Error>) -> (Option<connector_error_t>, Option<connector_record_t>) {
    let size = size_of::<connector_record_t>();
    match result {
        Ok(Reply::Record(Some(record))) => (
            None,
            Some(connector_record_t {
                size,
                version: record.version,
                data: record.data.as_ptr().cast(),
                data_length: record.data.len(),
            }),
        ),
        Ok(Reply::Version(Some(version))) => {
            (None, Some(connector_record_t { size, version: *version, data: ptr::null(), data_length: 0 }))
        }
        Ok(Reply::Record(None) | Reply::Version(None) | Reply::Done | Reply::Page(_) | Reply::Answer(_)) => {
            (None, None)
        }
        Err(error) => (Some(view(error)), None),
    }
}

fn pointer<T>(value: Option<&T>) -> *const T {
    value.map_or(ptr::null(), ptr::from_ref)
}

fn one(outcome: &Outcome) -> &Result<Reply, Error> {
    many(outcome).first().unwrap_or(&Ok(Reply::Done))
}

fn many(outcome: &Outcome) -> &[Result<Reply, Error>] {
    match outcome {
        Outcome::One(result) => std::slice::from_ref(result),
        Outcome::Many(results) => results,
    }
}
