//! What is stored comes back: any document, any key, any version.

use std::cell::RefCell;
use std::collections::BTreeMap;

use deepstream_connector::core::{ErrorCode, MAX_KEY_BYTES};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::{promise, Need, Promise, Scope};
use crate::conformance::chance::Chance;
use crate::conformance::documents::{
    any_document, any_key, deep, deep_and_mixed, DOCUMENTS, EXACT_NUMBERS, KEYS,
};
use crate::conformance::stage::{found, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(a_miss_is_no_error),
    promise!(a_record_comes_back),
    promise!(an_overwritten_record_is_replaced_whole),
    promise!(a_version_may_go_down),
    promise!(a_deleted_record_is_gone),
    promise!(deleting_what_is_not_there_is_no_error),
    promise!(head_gives_the_version).needs(&[Need::Head]),
    promise!(head_of_nothing_is_a_miss).needs(&[Need::Head]),
    promise!(every_shape_of_document_comes_back_equal).handful(),
    promise!(every_hostile_key_has_a_record_of_its_own),
    promise!(any_document_comes_back_from_under_any_key).needs(&[Need::Speed]),
    promise!(numbers_keep_every_digit).needs(&[Need::Exact]),
    promise!(versions_keep_64_bits).needs(&[Need::Exact]),
    promise!(versions_keep_53_bits),
    promise!(a_thousand_levels_come_back_equal),
    promise!(a_quarter_of_a_megabyte_comes_back_equal),
    promise!(data_is_serialised_at_call_time),
    promise!(acknowledged_records_outlive_the_connector).scope(Scope::Kept),
    promise!(two_connectors_see_what_each_other_stored).scope(Scope::Kept),
    promise!(a_key_of_64_kib_is_a_key),
    promise!(a_longer_key_is_refused),
    promise!(an_empty_key_is_refused),
    promise!(a_key_that_is_not_utf8_is_refused).needs(&[Need::Bytes]),
    promise!(data_that_is_not_json_is_refused).needs(&[Need::Exact]),
];

fn a_miss_is_no_error(stage: &mut Stage) {
    stage.open();
    assert_eq!(stage.load("nobody"), None);
}

fn a_record_comes_back(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, r#"{"name":"Ada","born":1815}"#);
    stage.assert_holds("a", 1, r#"{"name":"Ada","born":1815}"#);
    assert_eq!(stage.load("b"), None);
}

fn an_overwritten_record_is_replaced_whole(stage: &mut Stage) {
    stage.open();
    let documents = [r#"{"a":1,"b":{"c":2}}"#, r#"{"b":{}}"#, "[1,2,3]", "[]", "\"text\"", "{}", "null"];
    for (version, document) in (1..).zip(documents) {
        stage.store("a", version, document);
        stage.assert_holds("a", version, document);
    }
}

/// A record that was deleted and made again begins at 0; call order alone decides.
fn a_version_may_go_down(stage: &mut Stage) {
    stage.open();
    stage.store("a", 7, "{}");
    stage.store("a", 3, "[3]");
    stage.assert_holds("a", 3, "[3]");
    stage.store("a", 0, "[0]");
    stage.assert_holds("a", 0, "[0]");
}

fn a_deleted_record_is_gone(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "{}");
    stage.store("b", 2, "{}");
    let delete = stage.delete("a");
    stage.succeeds(delete);
    assert_eq!(stage.load("a"), None);
    stage.assert_holds("b", 2, "{}");
    stage.store("a", 0, "[]");
    stage.assert_holds("a", 0, "[]");
}

fn deleting_what_is_not_there_is_no_error(stage: &mut Stage) {
    stage.open();
    for _ in 0..2 {
        let delete = stage.delete("nobody");
        stage.succeeds(delete);
    }
}

fn head_gives_the_version(stage: &mut Stage) {
    stage.open();
    stage.store("a", 41, r#"{"big":[1,2,3]}"#);
    stage.store("a", 42, r#"{"big":[1,2,3]}"#);
    let head = stage.head("a");
    let answer = stage.succeeds(head);
    assert_eq!((answer.found, answer.version), (true, 42));
}

fn head_of_nothing_is_a_miss(stage: &mut Stage) {
    stage.open();
    let head = stage.head("nobody");
    let answer = stage.succeeds(head);
    assert!(!answer.found, "there is a version of nothing: {answer}");
}

fn every_shape_of_document_comes_back_equal(stage: &mut Stage) {
    stage.open();
    documents_come_back(stage, DOCUMENTS);
}

fn numbers_keep_every_digit(stage: &mut Stage) {
    stage.open();
    documents_come_back(stage, EXACT_NUMBERS);
}

fn documents_come_back(stage: &mut Stage, documents: &[&str]) {
    let keys: Vec<String> = (0..documents.len()).map(|index| format!("document {index}")).collect();
    let sets = stage.burst(|stage| {
        let all = keys.iter().zip(documents);
        (0..).zip(all).map(|(version, (key, document))| stage.set(key, version, document)).collect::<Vec<_>>()
    });
    for set in sets {
        stage.succeeds(set);
    }
    for ((version, key), document) in (0..).zip(&keys).zip(documents) {
        stage.assert_holds(key, version, document);
    }
}

fn every_hostile_key_has_a_record_of_its_own(stage: &mut Stage) {
    stage.open();
    let document = |key: &str| serde_json::json!({ "under": key }).to_string();
    let sets = stage.burst(|stage| {
        (1..).zip(KEYS).map(|(version, key)| stage.set(key, version, document(key))).collect::<Vec<_>>()
    });
    for set in sets {
        stage.succeeds(set);
    }
    for (version, key) in (1..).zip(KEYS) {
        stage.assert_holds(key, version, document(key));
    }
    // Every second one goes, and takes no other with it.
    for key in KEYS.iter().step_by(2) {
        let delete = stage.delete(key);
        stage.succeeds(delete);
    }
    for ((version, key), gone) in (1..).zip(KEYS).zip([true, false].into_iter().cycle()) {
        match gone {
            true => assert_eq!(stage.load(key), None, "the deleted {key:?}"),
            false => stage.assert_holds(key, version, document(key)),
        }
    }
}

fn any_document_comes_back_from_under_any_key(stage: &mut Stage) {
    stage.open();
    let mut seed = Chance::of_this_run();
    let seed: Vec<u8> = (0..4).flat_map(|_| seed.draw().to_le_bytes()).collect();
    let config =
        Config { cases: 24, max_shrink_time: 20_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let versions = -(1i64 << 53)..(1i64 << 53);
    let records = vec((any_key(), versions, any_document(stage.features.exact)), 1..24);
    let stage = RefCell::new(stage);
    let held = runner.run(&records, |records| {
        let mut stage = stage.borrow_mut();
        let (sets, gets) = stage.burst(|stage| {
            let sets: Vec<_> =
                records.iter().map(|(key, version, document)| stage.set(key, *version, document)).collect();
            let gets: Vec<_> = records.iter().map(|(key, ..)| stage.get(key)).collect();
            (sets, gets)
        });
        sets.into_iter().for_each(|set| drop(stage.succeeds(set)));
        // The last of several under one key is the one that stays.
        let last: BTreeMap<&str, (i64, &str)> = records
            .iter()
            .map(|(key, version, document)| (key.as_str(), (*version, document.as_str())))
            .collect();
        for ((key, ..), get) in records.iter().zip(gets) {
            let (version, document) = last[key.as_str()];
            let Some((found, data)) = found(stage.succeeds(get)) else {
                return Err(TestCaseError::fail(format!("there is no record {key:?}")));
            };
            assert_eq!(found, version, "the version of {key:?}");
            stage.assert_same(document.as_bytes(), &data, &format!("{key:?}"));
        }
        Ok(())
    });
    if let Err(error) = held {
        panic!("with CONFORMANCE_SEED={}: {error}", crate::conformance::chance::seed());
    }
}

fn versions_keep_64_bits(stage: &mut Stage) {
    stage.open();
    versions_come_back(stage, &[i64::MAX, i64::MIN, (1 << 53) + 1, -(1 << 53) - 1]);
}

fn versions_keep_53_bits(stage: &mut Stage) {
    stage.open();
    versions_come_back(stage, &[0, 1, -1, 1 << 31, -(1 << 31) - 1, 1 << 32, (1 << 53) - 1, -(1 << 53) + 1]);
}

fn versions_come_back(stage: &mut Stage, versions: &[i64]) {
    for &version in versions {
        stage.store("a", version, "{}");
        stage.assert_holds("a", version, "{}");
    }
}

fn a_thousand_levels_come_back_equal(stage: &mut Stage) {
    stage.open();
    for document in [deep(1000), deep_and_mixed(1000)] {
        stage.store("deep", 1, &document);
        stage.assert_holds("deep", 1, &document);
    }
}

fn a_quarter_of_a_megabyte_comes_back_equal(stage: &mut Stage) {
    stage.open();
    let text: String = ('\u{20}'..'\u{7f}').chain(['é', '😀']).cycle().take(250_000).collect();
    let document = serde_json::json!({ "text": text }).to_string();
    stage.store("big", 1, &document);
    stage.assert_holds("big", 1, &document);
}

/// The host spoils its copy of the data as soon as each call has returned.
fn data_is_serialised_at_call_time(stage: &mut Stage) {
    stage.open();
    let document = |index: usize| format!("{{\"index\":{index},\"list\":[{index},{{\"of\":{index}}}]}}");
    let keys: Vec<String> = (0..50).map(|index| format!("k{index}")).collect();
    let sets = stage.burst(|stage| {
        let all = keys.iter().enumerate();
        all.map(|(index, key)| stage.set(key, 0, document(index))).collect::<Vec<_>>()
    });
    for set in sets {
        stage.succeeds(set);
    }
    for (index, key) in keys.iter().enumerate() {
        stage.assert_holds(key, 0, document(index));
    }
}

fn acknowledged_records_outlive_the_connector(stage: &mut Stage) {
    stage.open();
    for (version, document) in (1..).zip(DOCUMENTS) {
        stage.store(format!("k{version}"), version, document);
    }
    stage.store("gone", 1, "{}");
    let delete = stage.delete("gone");
    stage.succeeds(delete);
    stage.close();
    stage.open();
    for (version, document) in (1..).zip(DOCUMENTS) {
        stage.assert_holds(format!("k{version}"), version, document);
    }
    assert_eq!(stage.load("gone"), None);
}

fn two_connectors_see_what_each_other_stored(stage: &mut Stage) {
    stage.open();
    let first = stage.connector();
    stage.open();
    let second = stage.connector();
    for version in 1..=5 {
        stage.switch_to(first);
        stage.store("a", version, "{}");
        stage.switch_to(second);
        stage.assert_holds("a", version, "{}");
        let delete = stage.delete("a");
        stage.succeeds(delete);
        stage.switch_to(first);
        assert_eq!(stage.load("a"), None);
    }
}

fn a_key_of_64_kib_is_a_key(stage: &mut Stage) {
    stage.open();
    let long = "k".repeat(MAX_KEY_BYTES);
    let other = format!("{}l", "k".repeat(MAX_KEY_BYTES - 1));
    let wide = "\u{1f600}".repeat(MAX_KEY_BYTES / 4);
    for (version, key) in (1..).zip([&long, &other, &wide]) {
        stage.store(key, version, "{}");
    }
    for (version, key) in (1..).zip([&long, &other, &wide]) {
        stage.assert_holds(key, version, "{}");
    }
    let delete = stage.delete(&long);
    stage.succeeds(delete);
    assert_eq!(stage.load(&long), None);
    stage.assert_holds(&other, 2, "{}");
}

fn a_longer_key_is_refused(stage: &mut Stage) {
    stage.open();
    let longer = "k".repeat(MAX_KEY_BYTES + 1);
    for request in [stage.get(&longer), stage.set(&longer, 1, "{}"), stage.delete(&longer)] {
        let message = stage.is_refused(request, ErrorCode::InvalidArgument);
        assert!(message.contains("65537") && message.contains("65536"), "{message}");
    }
}

fn an_empty_key_is_refused(stage: &mut Stage) {
    stage.open();
    for request in [stage.get(""), stage.set("", 1, "{}"), stage.delete("")] {
        let message = stage.is_refused(request, ErrorCode::InvalidArgument);
        assert!(message.contains("empty"), "{message}");
    }
}

fn a_key_that_is_not_utf8_is_refused(stage: &mut Stage) {
    stage.open();
    for key in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"a\xf8\x88\x80\x80\x80b"] {
        for request in [stage.get(key), stage.set(key, 1, "{}"), stage.delete(key)] {
            let message = stage.is_refused(request, ErrorCode::InvalidArgument);
            assert!(message.contains("UTF-8"), "{message}");
        }
    }
}

fn data_that_is_not_json_is_refused(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "{}");
    for data in [&b""[..], b"{", b"{} {}", b"nul", b"[1,]", b"'a'", b"\"\xff\"", b"\xff", b"NaN"] {
        let request = stage.set("a", 2, data);
        stage.is_refused(request, ErrorCode::InvalidArgument);
    }
    stage.assert_holds("a", 1, "{}");
}
