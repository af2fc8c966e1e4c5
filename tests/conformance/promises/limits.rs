//! No more than `maxInFlight` operations wait; one more is refused, and the host may try later.

use deepstream_connector::core::ErrorCode;
use serde_json::json;

use super::{promise, Need, Promise, Scope};
use crate::conformance::host::Verb;
use crate::conformance::stage::{Request, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(busy_at_the_limit).scope(Scope::Server),
    promise!(a_burst_over_the_limit_is_answered_or_refused),
    promise!(each_name_of_a_bulk_counts).scope(Scope::Server).needs(&[Need::DeleteMany]),
    promise!(a_bulk_larger_than_the_limit_is_no_case_for_waiting).needs(&[Need::DeleteMany]),
];

fn busy_at_the_limit(stage: &mut Stage) {
    stage.open_with(json!({"maxInFlight": 10}));
    stage.freeze();
    let accepted: Vec<Request> = (0..10).map(|index| stage.set(format!("k{index}"), index, "{}")).collect();
    let refused = [stage.set("k0", 99, "{}"), stage.get("k0"), stage.delete("k1")];
    for request in refused {
        let message = stage.is_refused(request, ErrorCode::Busy);
        assert!(message.contains("maxInFlight is 10"), "{message}");
    }
    stage.thaw();
    for set in accepted {
        stage.succeeds(set);
    }
    // What was refused was not carried out, and intake has recovered.
    for index in 0..10 {
        stage.assert_holds(format!("k{index}"), index, "{}");
    }
}

fn a_burst_over_the_limit_is_answered_or_refused(stage: &mut Stage) {
    stage.open_with(json!({"maxInFlight": 50}));
    let sets = stage
        .burst(|stage| (0..500).map(|index| stage.set(format!("k{index}"), index, "{}")).collect::<Vec<_>>());
    let mut stored = Vec::new();
    for (index, set) in (0..).zip(sets) {
        match stage.code(set) {
            0 => stored.push(index),
            code => assert_eq!(code, ErrorCode::Busy as i32, "the code of k{index}"),
        }
    }
    assert!(stored.len() >= 50, "only {} of 50 possible sets were accepted", stored.len());
    for index in 0..500 {
        match stored.contains(&index) {
            true => stage.assert_holds(format!("k{index}"), index, "{}"),
            false => assert_eq!(stage.load(format!("k{index}")), None, "k{index} was refused"),
        }
    }
}

fn each_name_of_a_bulk_counts(stage: &mut Stage) {
    stage.open_with(json!({"maxInFlight": 10}));
    stage.freeze();
    let names = |from: usize| (from..from + 6).map(|index| format!("k{index}"));
    let first = stage.many(Verb::Delete, names(0));
    let second = stage.many(Verb::Delete, names(6));
    stage.is_refused(second, ErrorCode::Busy);
    let singles: Vec<Request> = (0..4).map(|index| stage.set(format!("s{index}"), index, "{}")).collect();
    let over = stage.get("s0");
    stage.is_refused(over, ErrorCode::Busy);
    stage.thaw();
    assert_eq!(stage.all(first).len(), 6);
    for single in singles {
        stage.succeeds(single);
    }
    let again = stage.many(Verb::Delete, names(6));
    assert_eq!(stage.all(again).len(), 6);
}

fn a_bulk_larger_than_the_limit_is_no_case_for_waiting(stage: &mut Stage) {
    stage.open_with(json!({"maxInFlight": 10}));
    stage.store("k3", 1, "{}");
    let request = stage.many(Verb::Delete, (0..11).map(|index| format!("k{index}")));
    let message = stage.is_refused(request, ErrorCode::InvalidArgument);
    // To wait does not help, so it must say what does.
    assert!(message.contains("11") && message.contains("maxInFlight is 10"), "{message}");
    stage.assert_holds("k3", 1, "{}");
    let request = stage.many(Verb::Delete, (0..10).map(|index| format!("k{index}")));
    assert_eq!(stage.all(request).len(), 10);
}
