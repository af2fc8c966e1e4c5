//! What crosses the C boundary.
//!
//! Every struct starts with its size, so that fields can be added at its end: the library reads
//! no more than the host says is there, and the host finds fields that it knows.

use std::os::raw::{c_char, c_void};

/// A connector: one connection to a cache or database. Made by `connector_create`,
/// `connector_create_polled` or `connector_create_queued`, released by `connector_free`. Any thread may use it at any time
/// between the two.
pub struct connector_t {
    _opaque: [u8; 0],
}

/// What went wrong. Borrowed: it is valid until the callback that got it returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_error_t {
    /// The size of this struct in the library, in bytes.
    pub size: usize,
    /// A `CONNECTOR_ERR_*` number. Later versions may have numbers that you do not know: treat
    /// them as a failure and show the message.
    pub code: i32,
    /// Whether the same call may succeed later without a change by the caller.
    pub retryable: bool,
    /// One sentence for a person, in UTF-8, without a NUL at its end. It never holds a
    /// password, a token or a record's data.
    pub message: *const c_char,
    /// The message's length in bytes.
    pub message_length: usize,
    /// Whether the operation may have been carried out although it failed: a `CONNECTOR_APPLIED_*`
    /// number. Treat one that you do not know as `CONNECTOR_APPLIED_UNKNOWN`, and so a library
    /// whose `size` shows that it has no such field.
    pub applied: i32,
}

/// A record that was read. Borrowed: it is valid until the callback that got it returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_record_t {
    /// The size of this struct in the library, in bytes.
    pub size: usize,
    /// The version that it was stored with.
    pub version: i64,
    /// One JSON document in UTF-8, without a NUL at its end; NULL for `connector_head`.
    pub data: *const c_char,
    /// The document's length in bytes.
    pub data_length: usize,
}

/// The answer for one key of many. Borrowed: it is valid until the callback that got it returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_result_t {
    /// The size of this struct in the library, in bytes.
    pub size: usize,
    /// What went wrong with this key; NULL if nothing did.
    pub error: *const connector_error_t,
    /// The record of `connector_get_many`, or its version alone for `connector_head_many`; NULL
    /// for a miss, and for `connector_set_many` and `connector_delete_many`.
    pub record: *const connector_record_t,
}

/// One key of many. It is read during the call alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_key_t {
    /// `sizeof(connector_key_t)`; the same in all elements of an array.
    pub size: usize,
    /// 1 to 65536 bytes of UTF-8; no NUL is needed at its end.
    pub key: *const c_char,
    /// The key's length in bytes.
    pub key_length: usize,
}

/// One record of many. It is read during the call alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_entry_t {
    /// `sizeof(connector_entry_t)`; the same in all elements of an array.
    pub size: usize,
    /// 1 to 65536 bytes of UTF-8; no NUL is needed at its end.
    pub key: *const c_char,
    /// The key's length in bytes.
    pub key_length: usize,
    /// Any number; it is stored as it is.
    pub version: i64,
    /// One JSON document in UTF-8; no NUL is needed at its end.
    pub data: *const c_char,
    /// The document's length in bytes.
    pub data_length: usize,
}

/// The callback of `connector_get` and `connector_head`. `error` is NULL on success; then
/// `record` is NULL for a miss, which is no error.
pub type connector_record_callback_t = Option<
    unsafe extern "C-unwind" fn(
        userdata: *mut c_void,
        error: *const connector_error_t,
        record: *const connector_record_t,
    ),
>;

/// The callback of `connector_set`, `connector_delete` and `connector_close`. `error` is NULL on
/// success.
pub type connector_done_callback_t =
    Option<unsafe extern "C-unwind" fn(userdata: *mut c_void, error: *const connector_error_t)>;

/// The callback of the functions for many keys. `results` has `count` pointers, one for each key
/// in the order in which they were given. `error` is NULL if every key succeeded; otherwise it is
/// the error of the first key that did not, and `results` tell which did.
pub type connector_many_callback_t = Option<
    unsafe extern "C-unwind" fn(
        userdata: *mut c_void,
        error: *const connector_error_t,
        results: *const *const connector_result_t,
        count: usize,
    ),
>;

/// A record of a page. Borrowed: it is valid until the callback that got it returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_named_record_t {
    /// The size of this struct in the library, in bytes.
    pub size: usize,
    /// Its key in UTF-8, without a NUL at its end.
    pub key: *const c_char,
    /// The key's length in bytes.
    pub key_length: usize,
    /// The version that it was stored with.
    pub version: i64,
    /// One JSON document in UTF-8, without a NUL at its end.
    pub data: *const c_char,
    /// The document's length in bytes.
    pub data_length: usize,
}

/// Some of all records. Borrowed: it is valid until the callback that got it returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_page_t {
    /// The size of this struct in the library, in bytes.
    pub size: usize,
    /// Pointers to the records; NULL where there is none.
    pub records: *const *const connector_named_record_t,
    /// How many there are; there may be none though other pages follow.
    pub count: usize,
    /// What to give to `connector_scan` for the next page, without a NUL at its end; NULL on the
    /// last page.
    pub cursor: *const c_char,
    /// The cursor's length in bytes.
    pub cursor_length: usize,
}

/// The callback of `connector_scan`. `error` is NULL on success, and `page` is NULL otherwise.
pub type connector_page_callback_t = Option<
    unsafe extern "C-unwind" fn(
        userdata: *mut c_void,
        error: *const connector_error_t,
        page: *const connector_page_t,
    ),
>;

/// The callback of `connector_command`. `error` is NULL on success; then `json` is the answer,
/// `length` bytes of JSON in UTF-8 without a NUL at its end. Both are borrowed.
pub type connector_answer_callback_t = Option<
    unsafe extern "C-unwind" fn(
        userdata: *mut c_void,
        error: *const connector_error_t,
        json: *const c_char,
        length: usize,
    ),
>;

/// A message of the database that a `connector_command` asked for: what it is about, and what it
/// says, in UTF-8 without a NUL at the end. Both are valid until the callback returns.
pub type connector_notification_callback_t = Option<
    unsafe extern "C-unwind" fn(
        userdata: *mut c_void,
        channel: *const c_char,
        channel_length: usize,
        payload: *const c_char,
        payload_length: usize,
    ),
>;

/// The connection stands: for the first time, or again after an outage.
pub type connector_ready_callback_t = Option<unsafe extern "C-unwind" fn(userdata: *mut c_void)>;

/// Something went wrong that belongs to no operation, such as a lost connection; once for each
/// outage. `fatal` means that waiting will not help.
pub type connector_error_callback_t =
    Option<unsafe extern "C-unwind" fn(userdata: *mut c_void, error: *const connector_error_t, fatal: bool)>;

/// A line for the log: `level` is a `CONNECTOR_LOG_*` number, `text` has `length` bytes of UTF-8
/// and no NUL at its end; it is valid until the callback returns.
pub type connector_log_callback_t = Option<
    unsafe extern "C-unwind" fn(userdata: *mut c_void, level: i32, text: *const c_char, length: usize),
>;

/// What a host wants to hear besides the answers to its requests. It is read during
/// `connector_create` alone. Clear it (`= {0}`) before filling it in.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_events_t {
    /// `sizeof(connector_events_t)`.
    pub size: usize,
    /// Handed to each of the callbacks below.
    pub userdata: *mut c_void,
    /// May be NULL.
    pub ready: connector_ready_callback_t,
    /// May be NULL.
    pub error: connector_error_callback_t,
    /// May be NULL.
    pub log: connector_log_callback_t,
    /// May be NULL.
    pub notification: connector_notification_callback_t,
}

/// A log line for whoever hunts a fault.
pub const CONNECTOR_LOG_DEBUG: i32 = 0;
/// A log line about the normal course of things.
pub const CONNECTOR_LOG_INFO: i32 = 1;
/// A log line worth a look.
pub const CONNECTOR_LOG_WARN: i32 = 2;
/// A log line about a failure.
pub const CONNECTOR_LOG_ERROR: i32 = 3;

/// The version of the binary interface that this header describes, which is also the number in
/// the shared library's name. `connector_abi_version` tells that of the library at hand: with
/// the same number, every program that was built against an older header still runs.
pub const CONNECTOR_ABI_VERSION: u32 = 0;
