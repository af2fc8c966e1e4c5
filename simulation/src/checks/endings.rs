//! Exactly once, and an end.

use deepstream_connector::core::ErrorCode;

use crate::failure::{expect, Checked};
use crate::ledger::Ledger;
use crate::time::{words, Nanos};

/// The host is called back.
pub fn each_request_is_called_back_once(ledger: &Ledger, request: usize, has_ended: bool) -> Checked {
    const CHECK: &str = "each_request_is_called_back_once";
    let is_open = ledger.requests.get(request).is_some_and(|request| request.is_open);
    expect(is_open, CHECK, || format!("request {request} is called back, and is not open"))?;
    expect(!has_ended, CHECK, || format!("request {request} is called back after the end"))
}

/// The connector has ended.
pub fn the_end_is_the_last(ledger: &Ledger, has_ended: bool, is_closing: bool) -> Checked {
    const CHECK: &str = "the_end_is_the_last";
    expect(!has_ended, CHECK, || "it ended twice".into())?;
    expect(is_closing, CHECK, || "it ended, and nobody had asked for that".into())?;
    expect(ledger.open_requests == 0, CHECK, || format!("{} requests are open", ledger.open_requests))
}

/// What is submitted after the end.
pub fn nothing_is_accepted_after_close(refusal: Option<ErrorCode>) -> Checked {
    expect(refusal == Some(ErrorCode::Closed), "nothing_is_accepted_after_close", || {
        format!("a submission after `close` got {refusal:?}")
    })
}

/// A command was carried out so often.
pub fn a_command_is_carried_out_once(
    ledger: &Ledger,
    request: usize,
    is_done: bool,
    is_unsent: bool,
) -> Checked {
    const CHECK: &str = "a_command_is_carried_out_once";
    let it = &ledger.requests[request];
    expect(it.carried_out <= 1, CHECK, || format!("request {request}: {} times", it.carried_out))?;
    expect(!is_done || it.carried_out == 1, CHECK, || format!("request {request} is done and was not"))?;
    expect(!is_unsent || it.carried_out == 0, CHECK, || format!("request {request} is said not to have been"))
}

/// Nothing goes wrong any more, and yet nothing went on for so long.
pub fn what_can_go_on_does(open: usize, idle: Nanos, most: Nanos) -> Checked {
    expect(open == 0 || idle <= most, "what_can_go_on_does", || {
        format!("all is well for {} and {open} requests are open; {} at most", words(idle), words(most))
    })
}

/// The connector was asked to end so long ago.
pub fn an_end_comes_in_time(since: Nanos, most: Nanos) -> Checked {
    expect(since <= most, "an_end_comes_in_time", || {
        format!("it was asked to end {} ago; {} at most", words(since), words(most))
    })
}
