//! What becomes of a test's panic: a failure with its text and place, or a test that was skipped.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use libtest_mimic::{Completion, Failed};

use super::job::{is_ci, Outcome};

/// The name of the threads on which tests run. A panic there is reported once, with the test.
pub const TEST_THREAD: &str = "test";

thread_local! {
    /// Where this thread panicked last.
    static PANICKED_AT: Cell<Option<String>> = const { Cell::new(None) };
}

/// The end of a test that cannot be run on this machine.
struct Skipped(String);

/// Ends a test that cannot be run on this machine: visibly, and as a failure in continuous
/// integration.
pub fn skip(reason: impl Into<String>) -> ! {
    let reason = reason.into();
    if is_ci() {
        panic!("{reason}");
    }
    panic::panic_any(Skipped(reason))
}

/// Ends a test that is not for what this run is told to test: visibly, and as no failure anywhere.
pub fn ignore(reason: impl Into<String>) -> ! {
    panic::panic_any(Skipped(reason.into()))
}

pub type Panicked = Box<dyn Any + Send>;

pub fn try_catch<R>(run: impl FnOnce() -> R) -> Result<R, Panicked> {
    panic::catch_unwind(AssertUnwindSafe(run))
}

/// Runs something and makes an error of its panic.
pub fn caught<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    try_catch(run).map_err(|panicked| described(&*panicked))
}

pub fn skipped_or_failed(panicked: Panicked) -> Outcome {
    match panicked.downcast::<Skipped>() {
        Ok(skipped) => Ok(Completion::ignored_with(skipped.0)),
        Err(panicked) => Err(Failed::from(described(&*panicked))),
    }
}

fn described(panicked: &(dyn Any + Send)) -> String {
    let text = text_of(panicked).unwrap_or("a panic without a text");
    match PANICKED_AT.take() {
        Some(place) => format!("{text}\n(at {place})"),
        None => text.to_owned(),
    }
}

fn text_of(payload: &(dyn Any + Send)) -> Option<&str> {
    payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied())
}

/// Has panics of tests reported with the tests alone, and those with the text `on_purpose` not at
/// all.
pub fn silence_panics(on_purpose: &'static str) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICKED_AT.set(info.location().map(ToString::to_string));
        let is_on_purpose = text_of(info.payload()) == Some(on_purpose);
        let is_a_tests = thread::current().name() == Some(TEST_THREAD);
        if !is_on_purpose && !is_a_tests {
            usual(info);
        }
    }));
}
