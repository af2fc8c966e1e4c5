//! Error codes as C sees them, and the last error of a thread.

use std::cell::RefCell;
use std::ffi::CStr;
use std::os::raw::c_char;

use super::types::connector_error_t;
use crate::core::{Applied, Error, ErrorCode};

/// It went well, or: the request was accepted.
pub const CONNECTOR_OK: i32 = 0;
/// An argument is unusable: a NULL pointer, an empty or overlong key, bytes that are not UTF-8,
/// data that is not JSON.
pub const CONNECTOR_ERR_INVALID_ARGUMENT: i32 = 1;
/// The configuration is wrong; the message names the option and the remedy.
pub const CONNECTOR_ERR_CONFIGURATION: i32 = 2;
/// `maxInFlight` operations are waiting already.
pub const CONNECTOR_ERR_BUSY: i32 = 3;
/// The connector was closed or freed before the operation finished.
pub const CONNECTOR_ERR_CLOSED: i32 = 4;
/// The operation's deadline passed; `applied` says whether a write may have been carried out.
pub const CONNECTOR_ERR_TIMEOUT: i32 = 5;
/// The server cannot be reached, or answered what it must not; or the system gives no thread or
/// file descriptor.
pub const CONNECTOR_ERR_UNAVAILABLE: i32 = 6;
/// The server refused the credentials.
pub const CONNECTOR_ERR_AUTHENTICATION: i32 = 7;
/// The server, or the storage below it, refused the operation.
pub const CONNECTOR_ERR_BACKEND: i32 = 8;
/// The record or key is larger than the backend can hold.
pub const CONNECTOR_ERR_TOO_LARGE: i32 = 9;
/// What is stored under the key is not a record.
pub const CONNECTOR_ERR_CORRUPT: i32 = 10;
/// A bug in this library: a panic was caught.
pub const CONNECTOR_ERR_PANIC: i32 = 11;
/// The calling process is a fork of the one that made the connector.
pub const CONNECTOR_ERR_FORKED: i32 = 12;
/// The backend, this system, or a connector of this mode cannot do what was asked.
pub const CONNECTOR_ERR_UNSUPPORTED: i32 = 13;

/// The operation that failed was not carried out, and will not be; so for whatever changes nothing.
pub const CONNECTOR_APPLIED_NO: i32 = 0;
/// The operation that failed was given to the server, and nobody knows what became of it: it may
/// have been carried out, or may still be.
pub const CONNECTOR_APPLIED_UNKNOWN: i32 = 1;

/// The number and the C name of every code, and the C string for `connector_error_name`.
const CODES: [(ErrorCode, i32, &CStr); ErrorCode::ALL.len()] = [
    (ErrorCode::InvalidArgument, CONNECTOR_ERR_INVALID_ARGUMENT, c"INVALID_ARGUMENT"),
    (ErrorCode::Configuration, CONNECTOR_ERR_CONFIGURATION, c"CONFIGURATION"),
    (ErrorCode::Busy, CONNECTOR_ERR_BUSY, c"BUSY"),
    (ErrorCode::Closed, CONNECTOR_ERR_CLOSED, c"CLOSED"),
    (ErrorCode::Timeout, CONNECTOR_ERR_TIMEOUT, c"TIMEOUT"),
    (ErrorCode::Unavailable, CONNECTOR_ERR_UNAVAILABLE, c"UNAVAILABLE"),
    (ErrorCode::Authentication, CONNECTOR_ERR_AUTHENTICATION, c"AUTHENTICATION"),
    (ErrorCode::Backend, CONNECTOR_ERR_BACKEND, c"BACKEND"),
    (ErrorCode::TooLarge, CONNECTOR_ERR_TOO_LARGE, c"TOO_LARGE"),
    (ErrorCode::Corrupt, CONNECTOR_ERR_CORRUPT, c"CORRUPT"),
    (ErrorCode::Panic, CONNECTOR_ERR_PANIC, c"PANIC"),
    (ErrorCode::Forked, CONNECTOR_ERR_FORKED, c"FORKED"),
    (ErrorCode::Unsupported, CONNECTOR_ERR_UNSUPPORTED, c"UNSUPPORTED"),
];

/// The name of a code: `"BUSY"` for `CONNECTOR_ERR_BUSY`.
pub(super) fn name(code: i32) -> &'static CStr {
    if code == CONNECTOR_OK {
        return c"OK";
    }
    CODES.iter().find(|(_, number, _)| *number == code).map_or(c"UNKNOWN", |(_, _, name)| name)
}

/// An error as C sees it, borrowing from `error`.
pub(super) fn view(error: &Error) -> connector_error_t {
    let applied = match error.applied() {
        Applied::No => CONNECTOR_APPLIED_NO,
        Applied::Unknown => CONNECTOR_APPLIED_UNKNOWN,
    };
    connector_error_t { retryable: error.is_retryable(), applied, ..view_text(error.code(), error.message()) }
}

/// An error that is not worth a retry, of no operation that may have been carried out, as C sees it, borrowing from `message`.
pub(super) fn view_text(code: ErrorCode, message: &str) -> connector_error_t {
    connector_error_t {
        size: size_of::<connector_error_t>(),
        code: code as i32,
        retryable: false,
        message: message.as_ptr().cast(),
        message_length: message.len(),
        applied: CONNECTOR_APPLIED_NO,
    }
}

thread_local! {
    /// The text with a NUL at its end; empty until something fails.
    static LAST_ERROR: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Keeps an error's message for [`last_message`] and returns its number.
pub(super) fn remember(error: &Error) -> i32 {
    // A thread that is ending has nobody to read it.
    let _ = LAST_ERROR.try_with(|last| {
        let mut last = last.borrow_mut();
        last.clear();
        last.extend_from_slice(error.message().as_bytes());
        last.push(0);
    });
    error.code() as i32
}

/// The message of this thread's last error, and its length without the NUL.
pub(super) fn last_message() -> (*const c_char, usize) {
    LAST_ERROR
        .try_with(|last| {
            let last = last.borrow();
            (!last.is_empty()).then(|| (last.as_ptr().cast(), last.len() - 1))
        })
        .ok()
        .flatten()
        .unwrap_or((c"".as_ptr(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::mem::offset_of;

    #[test]
    fn codes_are_those_of_the_engine() {
        for (code, (listed, number, name)) in ErrorCode::ALL.into_iter().zip(CODES) {
            assert_eq!((listed, number), (code, code as i32));
            assert_eq!(name.to_str(), Ok(code.name()));
        }
        assert_eq!(name(CONNECTOR_OK), c"OK");
        assert_eq!(name(-1), c"UNKNOWN");
    }

    #[test]
    fn whether_a_failed_write_may_have_been_applied_is_a_field() {
        let error = Error::new(ErrorCode::Timeout, "too late");
        assert_eq!(view(&error).applied, Applied::No as i32);
        assert_eq!(view(&error.maybe_applied()).applied, Applied::Unknown as i32);
    }

    /// A program that was built against the first header reads what is there.
    #[test]
    fn an_error_begins_as_it_always_did() {
        #[repr(C)]
        struct First {
            size: usize,
            code: i32,
            retryable: bool,
            message: *const c_char,
            message_length: usize,
        }
        assert_eq!(offset_of!(connector_error_t, size), offset_of!(First, size));
        assert_eq!(offset_of!(connector_error_t, code), offset_of!(First, code));
        assert_eq!(offset_of!(connector_error_t, retryable), offset_of!(First, retryable));
        assert_eq!(offset_of!(connector_error_t, message), offset_of!(First, message));
        assert_eq!(offset_of!(connector_error_t, message_length), offset_of!(First, message_length));
        assert_eq!(offset_of!(connector_error_t, applied), size_of::<First>());
        let error = view_text(ErrorCode::Busy, "busy");
        assert_eq!(error.size, size_of::<connector_error_t>());
    }

    #[test]
    fn the_last_message_is_kept_for_each_thread() {
        let code = remember(&Error::new(ErrorCode::Busy, "too much"));
        assert_eq!(code, CONNECTOR_ERR_BUSY);
        assert_eq!(last_message().1, "too much".len());
        assert_eq!(std::thread::spawn(|| last_message().1).join().ok(), Some(0));
    }
}
