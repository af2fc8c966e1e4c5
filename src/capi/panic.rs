//! The boundary that no panic crosses.

use std::panic::{catch_unwind, AssertUnwindSafe};

use super::error::{remember, CONNECTOR_OK};
use crate::core::{Error, ErrorCode};

/// Runs the body of an exported function: an error is kept for `connector_last_error_message`
/// and becomes its number; so does a panic, which is a bug.
pub(super) fn guard(body: impl FnOnce() -> Result<(), Error>) -> i32 {
    // Unwind safe: what a half-done body leaves behind is behind locks whose poison the engine
    // has decided about, or belongs to this thread.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => CONNECTOR_OK,
        Ok(Err(error)) => remember(&error),
        Err(_) => remember(&Error::new(
            ErrorCode::Panic,
            "a panic was caught inside the connector; this is a bug, please report it",
        )),
    }
}

/// The same for what returns a value; without one there is nothing to go on with.
pub(super) fn guard_value<R>(body: impl FnOnce() -> Option<R>) -> Option<R> {
    catch_unwind(AssertUnwindSafe(body)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::error::{last_message, CONNECTOR_ERR_BUSY, CONNECTOR_ERR_PANIC};

    #[test]
    fn a_panic_becomes_a_number_and_a_message() {
        assert_eq!(guard(|| panic!("on purpose")), CONNECTOR_ERR_PANIC);
        assert!(last_message().1 > 0);
        assert_eq!(guard_value(|| -> Option<()> { panic!("on purpose") }), None);
    }

    #[test]
    fn results_become_numbers() {
        assert_eq!(guard(|| Ok(())), CONNECTOR_OK);
        assert_eq!(guard(|| Err(Error::new(ErrorCode::Busy, "busy"))), CONNECTOR_ERR_BUSY);
    }
}
