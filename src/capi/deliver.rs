//! Calls the host back.
//!
//! A callback may end its thread by unwinding (see [`capi`](super)): no function here owns
//! anything with a destructor while one runs.

use std::mem::ManuallyDrop;
use std::os::raw::c_void;
use std::ptr;

use super::error::{view, view_text};
use super::handle::{Connector, INTERRUPTED};
use super::ticket::{Callback, Ticket};
use super::types::{connector_many_callback_t, connector_page_callback_t};
use super::views::{list_pointer, many, one, pointer, text_pointer, views, ManyView, PageView};
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
                        text_pointer(channel),
                        channel.len(),
                        text_pointer(payload),
                        payload.len(),
                    );
                };
            }
        }
        Delivery::Log(level, line) => {
            if let Some(callback) = events.log {
                // SAFETY: the host's function; the line lives until it returns.
                unsafe {
                    callback(events.userdata, *level as i32, text_pointer(line.as_bytes()), line.len())
                };
            }
        }
        Delivery::Closed => {
            let close = connector.ended();
            if let Some(callback) = close.callback {
                let error = close.interrupted.then(|| view_text(ErrorCode::Closed, INTERRUPTED));
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
        // Those of a queue are fetched, and come nowhere near.
        Callback::Record(None) | Callback::Done(None) | Callback::Answer(None) | Callback::Queued { .. } => {}
    }
}

fn complete_many(
    callback: connector_many_callback_t,
    userdata: *mut c_void,
    results: &[Result<Reply, Error>],
) {
    let Some(callback) = callback else { return };
    let mut view = ManuallyDrop::new(ManyView::new(results));
    let (first_error, pointers) = (pointer(view.first_error()), view.pointers());
    // SAFETY: the host's function; the view lives until it returns.
    unsafe { callback(userdata, first_error, list_pointer(pointers), pointers.len()) };
    // SAFETY: it is not used any more.
    unsafe { ManuallyDrop::drop(&mut view) };
}

fn complete_page(callback: connector_page_callback_t, userdata: *mut c_void, result: &Result<Reply, Error>) {
    let Some(callback) = callback else { return };
    let (error, _) = views(result);
    let view = ManuallyDrop::new(match result {
        Ok(Reply::Page(page)) => Some(PageView::new(page)),
        _ => None,
    });
    let page = view.as_ref().map_or(ptr::null(), PageView::pointer);
    // SAFETY: the host's function; error and view live until it returns.
    unsafe { callback(userdata, pointer(error.as_ref()), page) };
    drop(ManuallyDrop::into_inner(view));
}
