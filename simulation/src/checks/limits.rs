//! What is bounded.

use deepstream_connector::core::ErrorCode;

use crate::failure::{expect, Checked};
use crate::ledger::Ledger;
use crate::scenario::Setup;

pub fn a_batch_keeps_its_limits(setup: &Setup, records: usize, bytes: usize) -> Checked {
    let fits = records <= setup.max_batch_records && (bytes <= setup.max_batch_bytes || records == 1);
    expect(fits && records > 0, "a_batch_keeps_its_limits", || {
        format!(
            "{records} records of {bytes} bytes, where {} and {} are allowed",
            setup.max_batch_records, setup.max_batch_bytes
        )
    })
}

pub fn batches_at_once_are_bounded(setup: &Setup, is_read: bool, under_way: usize) -> Checked {
    let most = if is_read { setup.read_batches } else { setup.write_batches };
    expect(under_way <= most, "batches_at_once_are_bounded", || {
        format!("{under_way} batches of one class are under way, where {most} are allowed")
    })
}

pub fn no_key_is_in_two_batches(key: usize, is_under_way: bool) -> Checked {
    expect(!is_under_way, "no_key_is_in_two_batches", || format!("k{key} is in another batch already"))
}

/// A submission of so much was accepted, or refused with this code.
pub fn admission_is_exact(
    setup: &Setup,
    ledger: &Ledger,
    (operations, bytes): (usize, usize),
    bytes_in_flight: usize,
    refusal: Option<ErrorCode>,
) -> Checked {
    const CHECK: &str = "admission_is_exact";
    let never = operations > setup.max_in_flight || bytes > setup.max_bytes_in_flight;
    let is_full = ledger.open_operations + operations > setup.max_in_flight
        || bytes_in_flight + bytes > setup.max_bytes_in_flight;
    let expected = match (never, is_full) {
        (true, _) => Some(ErrorCode::InvalidArgument),
        (false, true) => Some(ErrorCode::Busy),
        (false, false) => None,
    };
    expect(refusal == expected, CHECK, || {
        format!(
            "{operations} operations of {bytes} bytes got {refusal:?} instead of {expected:?}; open are \
             {} of {}, with {bytes_in_flight} bytes of {}",
            ledger.open_operations, setup.max_in_flight, setup.max_bytes_in_flight
        )
    })
}

/// What the connector says is in flight is what was accepted and not called back.
pub fn in_flight_is_what_was_not_called_back(ledger: &Ledger, in_flight: usize, bytes: usize) -> Checked {
    const CHECK: &str = "in_flight_is_what_was_not_called_back";
    expect(in_flight == ledger.open_operations, CHECK, || {
        format!("{in_flight} are said to be in flight, and {} are", ledger.open_operations)
    })?;
    expect(bytes >= ledger.open_bytes, CHECK, || {
        format!("{bytes} bytes are said to be in flight, and {} are at least", ledger.open_bytes)
    })?;
    expect(in_flight > 0 || bytes == 0, CHECK, || format!("nothing is in flight, and {bytes} bytes are"))
}

/// Answers come on top of what was admitted, but not without end: no more is read than was under
/// way when the limit was reached.
pub fn answers_are_bounded(setup: &Setup, ledger: &Ledger, largest_answer: usize, bytes: usize) -> Checked {
    let batches = setup.nodes * (setup.read_batches + 1);
    // One answer may be for all who wait on its key.
    let answered = setup.max_batch_records.min(setup.keys) * ledger.most_on_a_key;
    let records = batches * answered + ledger.scanned;
    let most = setup.max_bytes_in_flight.saturating_add(records * largest_answer);
    expect(bytes <= most, "answers_are_bounded", || format!("{bytes} bytes are in flight, {most} at most"))
}
