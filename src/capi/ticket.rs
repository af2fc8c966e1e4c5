//! A callback on its way through the engine.

use std::os::raw::c_void;

use super::types::{
    connector_answer_callback_t, connector_done_callback_t, connector_many_callback_t,
    connector_page_callback_t, connector_record_callback_t,
};

/// What the engine gives back with the answer to a request.
pub(super) struct Ticket {
    pub callback: Callback,
    pub userdata: *mut c_void,
}

/// The host's function, by what it takes, or what it has in its place.
pub(super) enum Callback {
    Record(connector_record_callback_t),
    Done(connector_done_callback_t),
    Many(connector_many_callback_t),
    Page(connector_page_callback_t),
    Answer(connector_answer_callback_t),
    /// There is none: a completion of this kind tells it, with the host's own number.
    Queued {
        kind: i32,
        number: u64,
    },
}

// SAFETY: the pointer is never followed here. The header tells the host that its callback gets
// it on the thread that dispatches, and that what it points to must bear that.
unsafe impl Send for Ticket {}
