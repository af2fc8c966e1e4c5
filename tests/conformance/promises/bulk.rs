//! Requests for many keys: one callback with an answer for each, in the order of the names.

use deepstream_connector::core::ErrorCode;

use super::{promise, Need, Promise};
use crate::conformance::host::{Answer, Verb};
use crate::conformance::stage::{entry, found, Stage};

const MANY: usize = 10_000;

pub const PROMISES: &[Promise] = &[
    promise!(getting_nothing_gives_nothing).needs(&[Need::GetMany]),
    promise!(heading_nothing_gives_nothing).needs(&[Need::HeadMany]),
    promise!(setting_nothing_gives_nothing).needs(&[Need::SetMany]),
    promise!(deleting_nothing_gives_nothing).needs(&[Need::DeleteMany]),
    promise!(many_are_read_in_the_order_of_their_names).needs(&[Need::GetMany]).handful(),
    promise!(many_heads_tell_versions_and_misses).needs(&[Need::HeadMany]).handful(),
    promise!(the_last_of_duplicates_is_stored).needs(&[Need::SetMany]),
    promise!(duplicates_may_be_deleted).needs(&[Need::DeleteMany]),
    promise!(ten_thousand_are_read).needs(&[Need::GetMany, Need::Speed]),
    promise!(ten_thousand_are_headed).needs(&[Need::HeadMany, Need::Speed]),
    promise!(ten_thousand_are_stored).needs(&[Need::SetMany, Need::Speed]),
    promise!(ten_thousand_are_deleted).needs(&[Need::DeleteMany, Need::Speed]),
    promise!(a_bulk_sees_pending_sets).needs(&[Need::HeadMany]),
    promise!(a_bulk_delete_comes_after_pending_sets).needs(&[Need::DeleteMany]),
    promise!(one_bad_name_refuses_all_of_a_bulk).needs(&[Need::DeleteMany]),
];

fn getting_nothing_gives_nothing(stage: &mut Stage) {
    nothing_gives_nothing(stage, Verb::Get);
}

fn heading_nothing_gives_nothing(stage: &mut Stage) {
    nothing_gives_nothing(stage, Verb::Head);
}

fn deleting_nothing_gives_nothing(stage: &mut Stage) {
    nothing_gives_nothing(stage, Verb::Delete);
}

fn nothing_gives_nothing(stage: &mut Stage, verb: Verb) {
    stage.open();
    let request = stage.many(verb, Vec::<&str>::new());
    assert_eq!(stage.all(request), []);
}

fn setting_nothing_gives_nothing(stage: &mut Stage) {
    stage.open();
    let request = stage.set_many(Vec::new());
    assert_eq!(stage.all(request), []);
}

fn many_are_read_in_the_order_of_their_names(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "[1]");
    stage.store("b", 2, "[2]");
    let request = stage.many(Verb::Get, ["b", "nobody", "a", "b", "a"]);
    let answers = stage.all(request);
    let expected = [Some((2, "[2]")), None, Some((1, "[1]")), Some((2, "[2]")), Some((1, "[1]"))];
    assert_eq!(answers.len(), expected.len());
    for (answer, expected) in answers.into_iter().zip(expected) {
        match (found(answer), expected) {
            (Some((version, data)), Some((expected, document))) => {
                assert_eq!(version, expected);
                stage.assert_same(document.as_bytes(), &data, "one of many");
            }
            (given, expected) => assert_eq!(given.is_some(), expected.is_some()),
        }
    }
}

fn many_heads_tell_versions_and_misses(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "{}");
    stage.store("__proto__", 2, "{}");
    let request = stage.many(Verb::Head, ["__proto__", "nobody", "a"]);
    assert_eq!(versions(stage.all(request)), [Some(2), None, Some(1)]);
}

fn the_last_of_duplicates_is_stored(stage: &mut Stage) {
    stage.open();
    let request = stage.set_many(vec![
        entry("a", 1, "[1]"),
        entry("b", 2, "[2]"),
        entry("a", 3, "[3]"),
        entry("a", 4, "[4]"),
    ]);
    all_succeed(stage.all(request), 4);
    stage.assert_holds("a", 4, "[4]");
    stage.assert_holds("b", 2, "[2]");
}

fn duplicates_may_be_deleted(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "{}");
    stage.store("b", 2, "{}");
    let request = stage.many(Verb::Delete, ["a", "nobody", "a", "nobody"]);
    all_succeed(stage.all(request), 4);
    assert_eq!(stage.load("a"), None);
    stage.assert_holds("b", 2, "{}");
}

fn ten_thousand_are_read(stage: &mut Stage) {
    stage.open_without_haste();
    store_every_second(stage);
    let request = stage.many(Verb::Get, names());
    let answers = stage.all(request);
    assert_eq!(answers.len(), MANY);
    for (index, answer) in answers.into_iter().enumerate() {
        let expected = (index % 2 == 0).then_some(version_of(index));
        let record = found(answer);
        assert_eq!(record.as_ref().map(|(version, _)| *version), expected, "number {index}");
        if let Some((_, data)) = record {
            stage.assert_same(document_of(index).as_bytes(), &data, &format!("number {index}"));
        }
    }
}

fn ten_thousand_are_headed(stage: &mut Stage) {
    stage.open_without_haste();
    store_every_second(stage);
    let request = stage.many(Verb::Head, names());
    let expected: Vec<_> = (0..MANY).map(|index| (index % 2 == 0).then_some(version_of(index))).collect();
    assert_eq!(versions(stage.all(request)), expected);
}

fn ten_thousand_are_stored(stage: &mut Stage) {
    stage.open_without_haste();
    let entries = names().enumerate().map(|(index, name)| entry(name, version_of(index), document_of(index)));
    let request = stage.set_many(entries.collect());
    all_succeed(stage.all(request), MANY);
    for index in (0..MANY).step_by(997).chain([MANY - 1]) {
        stage.assert_holds(format!("name {index}"), version_of(index), document_of(index));
    }
}

fn ten_thousand_are_deleted(stage: &mut Stage) {
    stage.open_without_haste();
    store_every_second(stage);
    let request = stage.many(Verb::Delete, names().take(MANY - 2));
    all_succeed(stage.all(request), MANY - 2);
    for index in (0..MANY - 2).step_by(994) {
        assert_eq!(stage.load(format!("name {index}")), None, "number {index}");
    }
    stage.assert_holds(format!("name {}", MANY - 2), version_of(MANY - 2), document_of(MANY - 2));
}

fn a_bulk_sees_pending_sets(stage: &mut Stage) {
    stage.open();
    let heads = stage.burst(|stage| {
        stage.set("a", 1, "{}");
        stage.set("b", 2, "{}");
        let before = stage.many(Verb::Head, ["a", "b"]);
        stage.set("a", 3, "{}");
        stage.delete("b");
        (before, stage.many(Verb::Head, ["a", "b"]))
    });
    assert_eq!(versions(stage.all(heads.0)), [Some(1), Some(2)]);
    assert_eq!(versions(stage.all(heads.1)), [Some(3), None]);
}

fn a_bulk_delete_comes_after_pending_sets(stage: &mut Stage) {
    stage.open();
    let (delete, get) = stage.burst(|stage| {
        for index in 0..10 {
            stage.set("a", index, "{}");
        }
        let delete = stage.many(Verb::Delete, ["a", "b"]);
        stage.set("b", 1, "{}");
        (delete, stage.get("a"))
    });
    all_succeed(stage.all(delete), 2);
    assert_eq!(found(stage.succeeds(get)), None);
    stage.assert_holds("b", 1, "{}");
}

fn one_bad_name_refuses_all_of_a_bulk(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "{}");
    let request = stage.many(Verb::Delete, ["a", ""]);
    stage.is_refused(request, ErrorCode::InvalidArgument);
    stage.assert_holds("a", 1, "{}");
}

fn names() -> impl Iterator<Item = String> {
    (0..MANY).map(|index| format!("name {index}"))
}

fn version_of(index: usize) -> i64 {
    i64::try_from(index).expect("a small number")
}

fn document_of(index: usize) -> String {
    format!("{{\"index\":{index}}}")
}

fn store_every_second(stage: &mut Stage) {
    let sets = stage.burst(|stage| {
        let even = names().enumerate().step_by(2);
        even.map(|(index, name)| stage.set(name, version_of(index), document_of(index))).collect::<Vec<_>>()
    });
    for set in sets {
        stage.succeeds(set);
    }
}

fn versions(answers: Vec<Answer>) -> Vec<Option<i64>> {
    let success = answers.iter().find(|answer| answer.code != 0);
    assert!(success.is_none(), "one of many failed: {success:?}");
    answers.into_iter().map(|answer| answer.found.then_some(answer.version)).collect()
}

fn all_succeed(answers: Vec<Answer>, count: usize) {
    assert_eq!(versions(answers).len(), count);
}
