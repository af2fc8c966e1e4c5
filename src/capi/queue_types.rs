//! What crosses the C boundary with a completion queue. As in `types.rs`, every struct starts with its size.

use std::os::raw::c_char;

use super::types::{connector_entry_t, connector_key_t, connector_page_t, connector_result_t};

/// An operation that reads the record of `key`, as `connector_get` does.
pub const CONNECTOR_KIND_GET: i32 = 1;
/// An operation that reads the version of `key`, as `connector_head` does.
pub const CONNECTOR_KIND_HEAD: i32 = 2;
/// An operation that stores `data` with `version` under `key`, as `connector_set` does.
pub const CONNECTOR_KIND_SET: i32 = 3;
/// An operation that removes the record of `key`, as `connector_delete` does.
pub const CONNECTOR_KIND_DELETE: i32 = 4;
/// An operation that reads the records of `count` `keys`, with one completion, as `connector_get_many` does.
pub const CONNECTOR_KIND_GET_MANY: i32 = 5;
/// An operation that reads the versions of `count` `keys`, as `connector_head_many` does.
pub const CONNECTOR_KIND_HEAD_MANY: i32 = 6;
/// An operation that stores `count` `entries`, as `connector_set_many` does.
pub const CONNECTOR_KIND_SET_MANY: i32 = 7;
/// An operation that removes the records of `count` `keys`, as `connector_delete_many` does.
pub const CONNECTOR_KIND_DELETE_MANY: i32 = 8;
/// An operation that reads a page of at most `count` records, as `connector_scan_prefix` does; `key` is
/// the cursor, or NULL for the first page, and `data` the prefix, or NULL for all records.
pub const CONNECTOR_KIND_SCAN: i32 = 9;
/// An operation that carries out the command that is called `key`, with `data` as its arguments, as
/// `connector_command` does.
pub const CONNECTOR_KIND_COMMAND: i32 = 10;
/// No operation's: the connection stands, for the first time, or again after an outage.
pub const CONNECTOR_KIND_READY: i32 = 64;
/// No operation's: something went wrong that belongs to none, such as a lost connection; once for each
/// outage. `fatal` means that waiting will not help.
pub const CONNECTOR_KIND_ERROR: i32 = 65;
/// No operation's: a line for the log, in `message`, and its `level`.
pub const CONNECTOR_KIND_LOG: i32 = 66;
/// No operation's: a message of the database that a command asked for; `channel` says what it is about, and
/// `data` what it says.
pub const CONNECTOR_KIND_NOTIFICATION: i32 = 67;
/// No operation's, and the last completion of all: the connector was closed, by `connector_close`, whose
/// `userdata` is its `number`, or by `connector_stop`; the code is then `CONNECTOR_ERR_CLOSED`.
pub const CONNECTOR_KIND_CLOSED: i32 = 68;

/// An operation for `connector_submit`. It and what it points to are read during the call alone. Clear it
/// (`= {0}`) before filling it in; what its kind does not name is not looked at.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_operation_t {
    /// `sizeof(connector_operation_t)`; the same in all elements of an array.
    pub size: usize,
    /// A `CONNECTOR_KIND_*` number from `CONNECTOR_KIND_GET` to `CONNECTOR_KIND_COMMAND`.
    pub kind: i32,
    /// The deadline from now in milliseconds, time in the queue included; 0 means the connector's option
    /// `timeout`.
    pub timeout_ms: u32,
    /// Any number of yours; it comes back with the completion.
    pub number: u64,
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
    /// How many keys or entries there are; of a scan, the most records that the page may have.
    pub count: usize,
    /// The keys of an operation on many.
    pub keys: *const connector_key_t,
    /// The entries of `CONNECTOR_KIND_SET_MANY`.
    pub entries: *const connector_entry_t,
}

/// What became of an operation, or an event, from `connector_next`. What it points to is borrowed: it is
/// valid until the next call of `connector_next` for this connector, or until `connector_free`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct connector_completion_t {
    /// How many bytes of it the library has filled in.
    pub size: usize,
    /// A `CONNECTOR_KIND_*` number: the operation's, or an event's from `CONNECTOR_KIND_READY` on. Pass
    /// over those of events that you do not know.
    pub kind: i32,
    /// `CONNECTOR_OK`, or what went wrong: a `CONNECTOR_ERR_*` number. Of an operation on many keys it is
    /// that of the first key that failed.
    pub code: i32,
    /// The operation's number; 0 of an event.
    pub number: u64,
    /// Whether an operation that failed may have been carried out all the same: a `CONNECTOR_APPLIED_*`
    /// number. Treat one that you do not know as `CONNECTOR_APPLIED_UNKNOWN`.
    pub applied: i32,
    /// The level of a line for the log, a `CONNECTOR_LOG_*` number.
    pub level: i32,
    /// Whether an operation that failed may succeed later without a change by the caller.
    pub retryable: bool,
    /// Of `CONNECTOR_KIND_ERROR`: waiting will not help.
    pub fatal: bool,
    /// Whether there is a record, for a get or a head. A miss is no error.
    pub found: bool,
    /// The version that the record was stored with.
    pub version: i64,
    /// The record's document, a command's answer as JSON, or what a notification says: UTF-8 without a NUL
    /// at its end; NULL where there is none.
    pub data: *const c_char,
    /// Its length in bytes.
    pub data_length: usize,
    /// One sentence for a person about what went wrong, or a line for the log: UTF-8 without a NUL at its
    /// end; NULL where there is none. It never holds a password, a token or a record's data.
    pub message: *const c_char,
    /// Its length in bytes.
    pub message_length: usize,
    /// What a notification is about: UTF-8 without a NUL at its end.
    pub channel: *const c_char,
    /// Its length in bytes.
    pub channel_length: usize,
    /// Pointers to the results of an operation on many keys, one for each in the order in which they were
    /// given; NULL where there is none.
    pub results: *const *const connector_result_t,
    /// How many there are.
    pub count: usize,
    /// The page of a scan; NULL if it failed.
    pub page: *const connector_page_t,
}
