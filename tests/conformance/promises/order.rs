//! Operations on one key take effect, and are seen, in the order in which they were submitted.

use super::{promise, Need, Promise};
use crate::conformance::chance::Chance;
use crate::conformance::sequence::Sequence;
use crate::conformance::stage::{Request, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(get_sees_pending_set),
    promise!(get_does_not_see_a_later_set),
    promise!(head_sees_pending_set).needs(&[Need::Head]),
    promise!(delete_after_set_stays_deleted),
    promise!(set_after_delete_stays),
    promise!(coalescing_calls_every_callback),
    promise!(thousand_interleaved_operations_on_one_key_end_as_the_last_says).handful(),
    promise!(many_keys_at_once_keep_the_order_of_each).needs(&[Need::Speed]),
    promise!(order_holds_without_bursts),
];

fn get_sees_pending_set(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "[1]");
    let (sets, get) = stage.burst(|stage| {
        let sets = [stage.set("a", 2, "[2]"), stage.set("a", 3, "[3]")];
        (sets, stage.get("a"))
    });
    assert_eq!(version(stage, get), Some(3));
    for set in sets {
        stage.succeeds(set);
    }
}

fn get_does_not_see_a_later_set(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "[1]");
    let gets = stage.burst(|stage| {
        let before = stage.get("a");
        stage.set("a", 2, "[2]");
        let between = stage.get("a");
        stage.delete("a");
        let after = stage.get("a");
        stage.set("a", 3, "[3]");
        [before, between, after]
    });
    let versions = gets.map(|get| version(stage, get));
    assert_eq!(versions, [Some(1), Some(2), None]);
    stage.assert_holds("a", 3, "[3]");
}

fn head_sees_pending_set(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "{}");
    let heads = stage.burst(|stage| {
        let before = stage.head("a");
        stage.set("a", 2, "{}");
        let between = stage.head("a");
        stage.delete("a");
        [before, between, stage.head("a")]
    });
    let versions = heads.map(|head| version(stage, head));
    assert_eq!(versions, [Some(1), Some(2), None]);
}

fn delete_after_set_stays_deleted(stage: &mut Stage) {
    stage.open();
    let delete = stage.burst(|stage| {
        for version in 0..5 {
            stage.set("a", version, "{}");
        }
        stage.delete("a")
    });
    stage.succeeds(delete);
    stage.wait_for("the answers to all sets", |stage| stage.unanswered() == 0);
    assert_eq!(stage.load("a"), None);
}

fn set_after_delete_stays(stage: &mut Stage) {
    stage.open();
    stage.store("a", 5, "{}");
    let set = stage.burst(|stage| {
        stage.delete("a");
        stage.set("a", 0, "[]")
    });
    stage.succeeds(set);
    stage.assert_holds("a", 0, "[]");
}

fn coalescing_calls_every_callback(stage: &mut Stage) {
    stage.open();
    let sets = stage.burst(|stage| {
        (1..=500).map(|version| stage.set("a", version, format!("[{version}]"))).collect::<Vec<_>>()
    });
    for set in sets {
        stage.succeeds(set);
    }
    assert_eq!(stage.answers(), 500);
    stage.assert_holds("a", 500, "[500]");
}

fn thousand_interleaved_operations_on_one_key_end_as_the_last_says(stage: &mut Stage) {
    stage.open_without_haste();
    let mut chance = Chance::of_this_run();
    let mut sequence = Sequence::new();
    stage.burst(|stage| {
        for _ in 0..1000 {
            sequence.any_operation(stage, &mut chance, "a");
        }
    });
    sequence.check(stage);
}

fn many_keys_at_once_keep_the_order_of_each(stage: &mut Stage) {
    stage.open_without_haste();
    let mut chance = Chance::of_this_run();
    let keys: Vec<String> = (0..50).map(|index| format!("key {index}")).collect();
    let mut sequence = Sequence::new();
    for _ in 0..10 {
        stage.burst(|stage| {
            for _ in 0..500 {
                let key = &keys[chance.below(keys.len())];
                sequence.any_operation(stage, &mut chance, key);
            }
        });
    }
    sequence.check(stage);
}

fn order_holds_without_bursts(stage: &mut Stage) {
    stage.open_without_haste();
    let mut chance = Chance::of_this_run();
    let mut sequence = Sequence::new();
    for _ in 0..300 {
        let key = ["a", "b", "c"][chance.below(3)];
        sequence.any_operation(stage, &mut chance, key);
    }
    sequence.check(stage);
}

fn version(stage: &mut Stage, request: Request) -> Option<i64> {
    let answer = stage.succeeds(request);
    answer.found.then_some(answer.version)
}
