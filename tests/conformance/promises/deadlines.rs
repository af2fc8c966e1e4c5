//! Every operation ends by its deadline, and its error says what may have become of it.

use std::time::{Duration, Instant};

use deepstream_connector::core::{Applied, Error, ErrorCode};
use serde_json::json;

use super::{promise, Need, Promise, Scope};
use crate::conformance::faulty::{Attempt, Fate, Shape};
use crate::conformance::host::Verb;
use crate::conformance::stage::{name_of, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(a_deadline_passes_with_a_frozen_server).scope(Scope::Server),
    promise!(a_deadline_passes_without_a_connection).scope(Scope::Server),
    promise!(a_deadline_may_be_the_operations_own).scope(Scope::Server).needs(&[Need::Timeout]),
    promise!(each_name_of_a_bulk_times_out).scope(Scope::Server).needs(&[Need::DeleteMany]),
    promise!(whether_a_late_write_may_have_been_applied_is_a_field).scope(Scope::Server),
    promise!(the_message_says_what_was_sent).scope(Scope::Faulty),
    promise!(what_was_not_sent_is_never_stored).scope(Scope::Faulty),
    promise!(coalesced_waiters_time_out_individually).scope(Scope::Faulty),
    promise!(a_set_that_timed_out_unsent_is_not_stored_for_its_neighbour).scope(Scope::Faulty),
    promise!(a_value_that_was_sent_keeps_its_message).scope(Scope::Faulty),
    promise!(a_late_answer_calls_nobody).scope(Scope::Faulty),
    promise!(nobody_waits_behind_an_operation_that_timed_out).scope(Scope::Faulty),
    promise!(what_nobody_waits_for_is_not_sent_again).scope(Scope::Faulty),
    promise!(what_nobody_waits_for_is_not_tried_again).scope(Scope::Faulty),
    promise!(a_hanging_batch_does_not_block_its_key_for_ever).scope(Scope::Faulty),
    promise!(a_slow_server_is_not_given_up_while_it_answers).scope(Scope::Faulty),
    promise!(a_longer_deadline_than_usual_is_kept).scope(Scope::Faulty),
];

const SENT: &str = "it was sent and may have been applied";
const NOT_SENT: &str = "it was not sent";

fn a_deadline_passes_with_a_frozen_server(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 300}));
    stage.patiently(|stage| stage.store("a", 1, "{}"));
    stage.freeze();
    let began = Instant::now();
    let requests = stage.burst(|stage| [stage.get("a"), stage.set("b", 1, "{}"), stage.delete("c")]);
    for request in requests {
        let answer = stage.outcome(request);
        assert_eq!(name_of(answer.code), "TIMEOUT", "{answer}");
        assert!(answer.retryable, "a timeout may pass");
    }
    assert_took(began, 300);
    stage.thaw();
    // The connector is of use again, on whatever connection.
    stage.wait_for_recovery("d");
    stage.patiently(|stage| {
        stage.store("d", 4, "{}");
        stage.assert_holds("d", 4, "{}");
    });
}

fn a_deadline_passes_without_a_connection(stage: &mut Stage) {
    stage.kill();
    stage.begin_with(json!({"timeout": 300}));
    let began = Instant::now();
    let requests = stage.burst(|stage| [stage.set("a", 1, "{}"), stage.delete("b")]);
    for request in requests {
        let message = stage.fails(request, ErrorCode::Timeout);
        assert!(message.contains(NOT_SENT), "{message}");
        assert_eq!(stage.applied(request), Applied::No, "{message}");
    }
    assert_took(began, 300);
    stage.restart();
    stage.wait_for("the connector to be ready", |stage| stage.times_ready() > 0);
    assert_eq!(stage.patiently(|stage| stage.load("a")), None);
}

fn a_deadline_may_be_the_operations_own(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    stage.freeze();
    let began = Instant::now();
    let short = stage.within(200, |stage| stage.get("a"));
    let longer = stage.within(600, |stage| stage.set("b", 1, "{}"));
    let usual = stage.get("c");
    stage.fails(short, ErrorCode::Timeout);
    assert_took(began, 200);
    assert!(!stage.is_settled(longer), "600 ms ended with 200 ms");
    stage.fails(longer, ErrorCode::Timeout);
    assert_took(began, 600);
    assert!(!stage.is_settled(usual), "60 s ended with 600 ms");
    stage.thaw();
    stage.succeeds(usual);
}

fn each_name_of_a_bulk_times_out(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 200}));
    stage.freeze();
    let request = stage.many(Verb::Delete, ["a", "b", "c"]);
    stage.settle(request);
    // A host may report one error for all or one for each.
    match stage.code(request) {
        0 => {
            for answer in stage.all(request) {
                assert_eq!(name_of(answer.code), "TIMEOUT");
            }
        }
        code => assert_eq!(name_of(code), "TIMEOUT"),
    }
    assert_eq!(stage.applied(request), Applied::Unknown);
}

fn whether_a_late_write_may_have_been_applied_is_a_field(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 300}));
    stage.patiently(|stage| stage.store("a", 1, "{}"));
    stage.freeze();
    let (read, written) = stage.burst(|stage| (stage.get("a"), stage.set("b", 2, "{}")));
    for (request, applied) in [(read, Applied::No), (written, Applied::Unknown)] {
        let message = stage.fails(request, ErrorCode::Timeout);
        assert_eq!(stage.applied(request), applied, "{message}");
    }
    stage.thaw();
    stage.kill();
    stage.begin_with(json!({"timeout": 300}));
    let unsent = stage.set("c", 3, "{}");
    let message = stage.fails(unsent, ErrorCode::Timeout);
    assert_eq!(stage.applied(unsent), Applied::No, "{message}");
    stage.restart();
}

fn the_message_says_what_was_sent(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    // One batch of writes at a time: the first is sent, the second waits behind it.
    stage.faulty().hold();
    let sent = stage.within(150, |stage| stage.set("sent", 1, "{}"));
    let server = stage.faulty();
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    let (waiting, delete, behind, read) = stage.within(150, |stage| {
        (stage.set("waiting", 1, "{}"), stage.delete("other"), stage.delete("sent"), stage.get("read"))
    });
    let message = stage.fails(sent, ErrorCode::Timeout);
    assert!(message.contains(SENT), "{message}");
    assert_eq!(stage.applied(sent), Applied::Unknown);
    for request in [waiting, delete, behind] {
        let message = stage.fails(request, ErrorCode::Timeout);
        assert!(message.contains(NOT_SENT), "{message}");
        assert_eq!(stage.applied(request), Applied::No);
    }
    // A read changes nothing, sent or not.
    let message = stage.fails(read, ErrorCode::Timeout);
    assert!(!message.contains("applied") && !message.contains("sent"), "{message}");
    assert!(message.contains("the faulty server"), "{message}");
    assert_eq!(stage.applied(read), Applied::No);
}

fn what_was_not_sent_is_never_stored(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.hold();
    let first = stage.within(100, |stage| stage.set("first", 1, "{}"));
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    let second = stage.within(100, |stage| stage.set("second", 1, "{}"));
    stage.fails(first, ErrorCode::Timeout);
    let message = stage.fails(second, ErrorCode::Timeout);
    assert!(message.contains(NOT_SENT), "{message}");
    server.release();
    // What is sent after it is answered: the connector is past it.
    stage.store("third", 1, "{}");
    assert_eq!(server.record("second"), None);
}

fn coalesced_waiters_time_out_individually(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.hold();
    // Occupies the connection, so that the following wait together.
    stage.get("other");
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    let short = stage.within(100, |stage| stage.get("a"));
    let long = stage.get("a");
    let shorter = stage.within(50, |stage| stage.get("a"));
    stage.fails(shorter, ErrorCode::Timeout);
    stage.fails(short, ErrorCode::Timeout);
    assert!(!stage.is_settled(long));
    server.release();
    stage.succeeds(long);
}

/// Of adjacent sets the last is stored; but not if its caller was told that it was not sent.
fn a_set_that_timed_out_unsent_is_not_stored_for_its_neighbour(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.hold();
    stage.set("other", 1, "{}");
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    let patient = stage.set("a", 1, "[1]");
    let hasty = stage.within(50, |stage| stage.set("a", 2, "[2]"));
    let message = stage.fails(hasty, ErrorCode::Timeout);
    assert!(message.contains(NOT_SENT), "{message}");
    server.release();
    stage.succeeds(patient);
    assert_eq!(server.record("a").map(|record| record.version), Some(1));
}

/// A set that joins one that is to be sent again was not sent itself.
fn a_value_that_was_sent_keeps_its_message(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.plan([Fate::LoseAfter(0)]);
    server.answer_attempts(Attempt::Fail(Error::connection("not now")));
    let sent = stage.within(400, |stage| stage.set("a", 1, "{}"));
    stage.wait_for("the loss of the connection", |stage| !stage.troubles().is_empty());
    let unsent = stage.within(300, |stage| stage.set("a", 2, "{}"));
    let message = stage.fails(unsent, ErrorCode::Timeout);
    assert!(message.contains(NOT_SENT), "{message}");
    let message = stage.fails(sent, ErrorCode::Timeout);
    assert!(message.contains(SENT), "{message}");
}

fn a_late_answer_calls_nobody(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.hold();
    let set = stage.within(50, |stage| stage.set("a", 1, "{}"));
    let message = stage.fails(set, ErrorCode::Timeout);
    assert!(message.contains(SENT), "{message}");
    server.release();
    stage.assert_holds("a", 1, "{}");
    // The end of the promise sees that the set had one answer.
}

fn nobody_waits_behind_an_operation_that_timed_out(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.hold();
    stage.set("other", 1, "{}");
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    // Its turn is dropped from the middle of a lane, and what is behind it goes on.
    let first = stage.set("a", 1, "{}");
    let dropped = stage.within(50, |stage| stage.delete("a"));
    let last = stage.get("a");
    let message = stage.fails(dropped, ErrorCode::Timeout);
    assert!(message.contains(NOT_SENT), "{message}");
    server.release();
    stage.succeeds(first);
    assert_eq!(stage.succeeds(last).version, 1);
}

fn what_nobody_waits_for_is_not_sent_again(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.plan([Fate::Hang]);
    let set = stage.within(100, |stage| stage.set("a", 1, "{}"));
    let message = stage.fails(set, ErrorCode::Timeout);
    assert!(message.contains(SENT), "{message}");
    server.lose("gone");
    stage.wait_for("the connector to be ready again", |stage| stage.times_ready() == 2);
    // Somebody else may have written meanwhile, and this would undo it.
    stage.store("b", 1, "{}");
    assert_eq!(server.record("a"), None, "it was stored long after its caller was told of its failure");
}

fn what_nobody_waits_for_is_not_tried_again(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.hold();
    server.plan([Fate::Fail(Error::transient(ErrorCode::Backend, "it is loading"))]);
    let set = stage.within(50, |stage| stage.set("a", 1, "{}"));
    stage.fails(set, ErrorCode::Timeout);
    server.release();
    stage.store("b", 1, "{}");
    stage.watch(Duration::from_millis(100));
    assert_eq!(server.record("a"), None, "it was stored long after its caller was told of its failure");
}

/// Other batches go on, and go on being answered, so that the connection never falls silent.
fn a_hanging_batch_does_not_block_its_key_for_ever(stage: &mut Stage) {
    let server = stage.faulty();
    server.set_shape(Shape { read_batches: 4, write_batches: 4, ..Shape::default() });
    stage.open_with(json!({"timeout": 200}));
    server.plan([Fate::Hang]);
    let stuck = stage.set("stuck", 1, "{}");
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        stage.patiently(|stage| stage.store("other", 1, "{}"));
        let again = stage.within(20, |stage| stage.set("stuck", 2, "{}"));
        if stage.code(again) == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "the key is blocked for ever");
    }
    stage.fails(stuck, ErrorCode::Timeout);
}

/// As long as a server answers one batch after the other, the last may wait for all before it.
fn a_slow_server_is_not_given_up_while_it_answers(stage: &mut Stage) {
    let server = stage.faulty();
    server.set_shape(Shape { write_batches: 4, max_batch_records: 1, ..Shape::default() });
    stage.open_with(json!({"timeout": 300}));
    let pause = |milliseconds| Fate::Pause(Duration::from_millis(milliseconds));
    server.plan([pause(200), pause(400), pause(600), pause(800)]);
    let sets = stage.burst(|stage| ["a", "b", "c", "d"].map(|key| stage.set(key, 1, "{}")));
    stage.succeeds(sets[0]);
    for set in &sets[1..] {
        stage.fails(*set, ErrorCode::Timeout);
    }
    stage.wait_for("the slowest set", |_| server.record("d").is_some());
    assert_eq!(stage.times_ready(), 1, "the connection was given up while it answered");
}

/// A batch may take as long as the most patient of those who wait for it.
fn a_longer_deadline_than_usual_is_kept(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 100}));
    let server = stage.faulty();
    server.plan([Fate::Pause(Duration::from_millis(500))]);
    let set = stage.within(10_000, |stage| stage.set("a", 1, "{}"));
    stage.succeeds(set);
    assert_eq!(stage.times_ready(), 1, "the connection was given up before its time");
}

fn assert_took(began: Instant, milliseconds: u64) {
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(milliseconds), "it took {took:?} and not {milliseconds} ms");
    assert!(took < Duration::from_millis(milliseconds + 3_000), "it took {took:?}, not {milliseconds} ms");
}
