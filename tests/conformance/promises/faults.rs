//! Whatever a backend does, the engine answers everyone, once, and keeps its word to the backend.

use std::time::{Duration, Instant};

use deepstream_connector::core::{Applied, Error, ErrorCode, Kind};
use serde_json::json;

use super::{promise, Promise, Scope};
use crate::conformance::faulty::{Fate, Shape};
use crate::conformance::host::Verb;
use crate::conformance::stage::{entry, name_of, Request, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(a_lonely_operation_is_a_batch_of_its_own).scope(Scope::Faulty),
    promise!(a_burst_becomes_few_batches).scope(Scope::Faulty),
    promise!(batches_keep_to_the_backends_limits).scope(Scope::Faulty),
    promise!(reads_go_while_writes_hang).scope(Scope::Faulty),
    promise!(adjacent_sets_are_stored_as_one).scope(Scope::Faulty),
    promise!(a_panic_in_a_batch_fails_that_batch).scope(Scope::Faulty),
    promise!(a_panic_in_a_bulk_is_the_error_of_its_names).scope(Scope::Faulty),
    promise!(too_few_results_are_an_error_for_all).scope(Scope::Faulty),
    promise!(an_error_for_a_batch_is_one_for_each).scope(Scope::Faulty),
    promise!(an_error_for_one_key_is_no_error_for_others).scope(Scope::Faulty),
    promise!(a_panic_in_the_engine_answers_everyone).scope(Scope::Faulty),
    promise!(a_panic_while_batches_are_given_up_answers_everyone).scope(Scope::Faulty),
    promise!(a_panic_while_the_connector_is_freed_answers_everyone).scope(Scope::Faulty),
    promise!(the_loss_of_the_connection_interrupts_hanging_batches).scope(Scope::Faulty),
];

fn a_lonely_operation_is_a_batch_of_its_own(stage: &mut Stage) {
    stage.open();
    for version in 1..=5 {
        stage.store("a", version, "{}");
    }
    assert_eq!(stage.faulty().batches(), vec![(Kind::Set, 1); 5]);
}

fn a_burst_becomes_few_batches(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.hold();
    let first = stage.get("first");
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    let gets = stage.burst(|stage| {
        let mut gets: Vec<Request> = (0..250).map(|index| stage.get(format!("k{index}"))).collect();
        gets.push(stage.get("k0"));
        gets
    });
    // The last one joins the first: when that is seen, the engine has all of them.
    wait_until_coalesced(stage, 1);
    server.release();
    stage.succeeds(first);
    for get in gets {
        stage.succeeds(get);
    }
    assert_eq!(server.batches(), [(Kind::Get, 1), (Kind::Get, 100), (Kind::Get, 100), (Kind::Get, 50)]);
}

fn batches_keep_to_the_backends_limits(stage: &mut Stage) {
    let server = stage.faulty();
    server.set_shape(Shape { max_batch_records: 7, max_batch_bytes: 50, read_batches: 3, write_batches: 2 });
    stage.open();
    stage.burst(|stage| {
        for index in 0..300 {
            match index % 3 {
                0 => stage.get(format!("k{}", index % 31)),
                1 => stage.set(format!("k{}", index % 37), index, "[1,2,3,4]"),
                _ => stage.delete(format!("k{}", index % 41)),
            };
        }
    });
    // Ten bytes each and a key: never more than four; and a larger one goes alone.
    let large = format!("\"{}\"", "x".repeat(100));
    stage.store("large", 1, &large);
    stage.wait_for("all answers", |stage| stage.unanswered() == 0);
    let most = |kind| {
        server.batches().iter().filter(|(other, _)| *other == kind).map(|(_, size)| *size).max().unwrap_or(0)
    };
    assert!(most(Kind::Get) > 1 && most(Kind::Get) <= 7, "{} reads in a batch", most(Kind::Get));
    assert!(most(Kind::Set) > 1 && most(Kind::Set) <= 4, "{} sets in a batch", most(Kind::Set));
    // Keys that are twice under way, and batches beyond the limit, are found by the server
    // itself and are the end of every promise.
}

fn reads_go_while_writes_hang(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.plan([Fate::Hang]);
    stage.set("a", 1, "{}");
    stage.wait_for("the batch", |_| server.batches().len() == 1);
    assert_eq!(stage.load("b"), None);
    server.lose("to end it");
}

fn adjacent_sets_are_stored_as_one(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.hold();
    stage.set("first", 1, "{}");
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    let sets: Vec<Request> = (1..=50).map(|version| stage.set("a", version, "{}")).collect();
    wait_until_coalesced(stage, 49);
    server.release();
    for set in sets {
        stage.succeeds(set);
    }
    let versions: Vec<_> =
        server.applied().into_iter().filter(|applied| &*applied.key == "a").map(|a| a.version).collect();
    assert_eq!(versions, [Some(50)]);
}

fn wait_until_coalesced(stage: &mut Stage, count: u64) {
    let deadline = Instant::now() + stage.patience;
    while stage.statistics()["coalesced"] != count {
        assert!(Instant::now() < deadline, "{count} operations were not coalesced");
    }
}

fn a_panic_in_a_batch_fails_that_batch(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.plan([Fate::Panic]);
    let set = stage.set("a", 1, "{}");
    let message = stage.fails(set, ErrorCode::Panic);
    assert!(message.contains("bug"), "{message}");
    assert_eq!(stage.applied(set), Applied::Unknown);
    stage.store("a", 2, "{}");
    stage.assert_holds("a", 2, "{}");
    assert_eq!(stage.times_ready(), 1);
}

fn a_panic_in_a_bulk_is_the_error_of_its_names(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.plan([Fate::Panic]);
    let request = stage.set_many((0..150).map(|index| entry(format!("k{index}"), 1, "{}")).collect());
    let codes: Vec<String> = stage.all(request).iter().map(|answer| name_of(answer.code)).collect();
    let failed = codes.iter().filter(|code| *code == "PANIC").count();
    // A batch holds a hundred.
    assert_eq!((codes.len(), failed), (150, 100));
}

fn too_few_results_are_an_error_for_all(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.plan([Fate::WrongCount]);
    let request = stage.many(Verb::Get, ["a", "b", "c"]);
    for answer in stage.all(request) {
        assert_eq!((name_of(answer.code).as_str(), answer.applied), ("PANIC", Applied::No), "{answer}");
        assert!(answer.message.contains("2 results for 3 keys"), "{answer}");
    }
    assert_eq!(stage.load("a"), None);
}

fn an_error_for_a_batch_is_one_for_each(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.plan([Fate::Fail(Error::new(ErrorCode::Backend, "the disk is full"))]);
    let request = stage.set_many(vec![entry("a", 1, "{}"), entry("b", 1, "{}")]);
    for answer in stage.all(request) {
        assert_eq!((name_of(answer.code).as_str(), answer.message.as_str()), ("BACKEND", "the disk is full"));
        assert_eq!((answer.retryable, answer.applied), (false, Applied::No));
    }
    assert_eq!(stage.times_ready(), 1);
}

fn an_error_for_one_key_is_no_error_for_others(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.plan([Fate::FailKey("b", Error::new(ErrorCode::TooLarge, "too large"))]);
    let request = stage.set_many(["a", "b", "c"].map(|key| entry(key, 1, "{}")).into());
    let codes: Vec<String> = stage.all(request).iter().map(|answer| name_of(answer.code)).collect();
    assert_eq!(codes, ["code 0", "TOO_LARGE", "code 0"]);
}

/// Nothing that is known to be wrong in the engine panics, so the backend has to help.
fn a_panic_in_the_engine_answers_everyone(stage: &mut Stage) {
    let server = stage.faulty();
    server.panic_when_dropped();
    stage.open_with(json!({"timeout": 60_000}));
    server.hold();
    let requests = requests(stage);
    stage.wait_for("a batch", |_| !server.batches().is_empty());
    server.lose("the connection is dropped now");
    everyone_is_answered(stage, requests);
    assert!(!stage.is_ready());
    let trouble = stage.troubles().iter().find(|trouble| trouble.fatal);
    assert!(trouble.is_some(), "nobody was told that the connector is of no more use");
    let get = stage.get("a");
    stage.is_refused(get, ErrorCode::Closed);
}

fn a_panic_while_batches_are_given_up_answers_everyone(stage: &mut Stage) {
    let server = stage.faulty();
    stage.open_with(json!({"timeout": 60_000}));
    server.plan([Fate::HangAndPanicWhenDropped]);
    let requests = requests(stage);
    stage.wait_for("a batch", |_| !server.batches().is_empty());
    server.lose("the batches are dropped now");
    everyone_is_answered(stage, requests);
}

fn a_panic_while_the_connector_is_freed_answers_everyone(stage: &mut Stage) {
    let server = stage.faulty();
    stage.open_with(json!({"timeout": 60_000}));
    server.plan([Fate::HangAndPanicWhenDropped, Fate::HangAndPanicWhenDropped]);
    let requests = requests(stage);
    stage.wait_for("two batches", |_| server.batches().len() == 2);
    stage.free();
    everyone_is_answered(stage, requests);
}

fn requests(stage: &mut Stage) -> Vec<Request> {
    stage.burst(|stage| {
        let mut requests = Vec::new();
        for index in 0..100 {
            requests.push(stage.set(format!("k{}", index % 30), index, "{}"));
            requests.push(stage.get(format!("k{}", index % 50)));
        }
        requests.push(stage.many(Verb::Head, ["k1", "x1", "x2"]));
        requests
    })
}

fn everyone_is_answered(stage: &mut Stage, requests: Vec<Request>) {
    stage.wait_for("all answers", |stage| stage.unanswered() == 0);
    for request in requests {
        let code = stage.code(request);
        let known = [0, ErrorCode::Panic as i32, ErrorCode::Closed as i32];
        assert!(known.contains(&code), "the code of {request:?} is {}", name_of(code));
    }
}

fn the_loss_of_the_connection_interrupts_hanging_batches(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    let server = stage.faulty();
    server.plan([Fate::Hang]);
    let set = stage.set("a", 1, "{}");
    stage.wait_for("the batch", |_| server.batches().len() == 1);
    stage.watch(Duration::from_millis(50));
    assert!(!stage.is_settled(set));
    server.lose("it is gone");
    stage.succeeds(set);
}
