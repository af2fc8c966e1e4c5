//! What is special to the classic interface, as the template of deepstream's connectors specifies it: a value of any shape
//! comes back equal, and what is not there is `null`.

use super::{promise, Promise};
use crate::conformance::documents::DOCUMENTS;
use crate::conformance::host::Verb;
use crate::conformance::stage::{entry, found, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(a_value_of_any_shape_comes_back_equal).classic(),
    promise!(a_value_that_is_not_there_is_null).classic(),
];

/// Values that look like a record, or like what a value is stored in.
const ALIKE: &[&str] = &[
    r#"{"_d":{"v":10},"firstname":"Wolfram"}"#,
    r#"{"_v":1,"_d":{"v":10}}"#,
    r#"{"_d":{"v":10},"_v":0}"#,
    r#"{"_v":1,"_d":null}"#,
    r#"{"_v":1,"_d":{},"more":2}"#,
    r#"{"_v":1}"#,
    r#"{"_d":1}"#,
    r#"{"_v":"1","_d":{}}"#,
    r#"{"_v":1.5,"_d":{}}"#,
    r#"{"_v":null,"_d":null}"#,
    r#"{"_v":-1,"_d":[]}"#,
    r#"{"_v":{"_v":1,"_d":2},"_d":{"_v":1,"_d":2}}"#,
    r#"[{"_v":1,"_d":{}}]"#,
    r#"{"__dsValue":1}"#,
    r#"{"__dsValue":null}"#,
    r#"{"__dsValue":{"_v":1,"_d":2},"more":3}"#,
    r#"{"_v":1,"_d":{"__dsValue":{"__dsValue":2}}}"#,
    r#"{"_v":1,"_d":{"_v":1,"_d":{}}}"#,
    r#"{"__ds":{"_v":3},"_d":1,"_v":2}"#,
];

/// Without `null`, which is what is not there.
fn values() -> Vec<&'static str> {
    DOCUMENTS.iter().chain(ALIKE).copied().filter(|&value| value != "null").collect()
}

fn a_value_of_any_shape_comes_back_equal(stage: &mut Stage) {
    stage.open_for_values();
    let values = values();
    let keys: Vec<String> = (0..values.len()).map(|index| format!("value {index}")).collect();
    let sets = stage.burst(|stage| {
        keys.iter().zip(&values).map(|(key, value)| stage.set(key, 0, value)).collect::<Vec<_>>()
    });
    for set in sets {
        stage.succeeds(set);
    }
    for (key, value) in keys.iter().zip(&values) {
        stage.assert_holds(key, 0, value);
    }
    // Together, each under the name that another had.
    let moved = || keys.iter().zip(values.iter().cycle().skip(1));
    let set = stage.set_many(moved().map(|(key, value)| entry(key, 0, value)).collect());
    for answer in stage.all(set) {
        assert_eq!(answer.code, 0, "{answer}");
    }
    let get = stage.many(Verb::Get, &keys);
    for ((key, value), answer) in moved().zip(stage.all(get)) {
        let (_, data) = found(answer).unwrap_or_else(|| panic!("there is no value {key:?}"));
        stage.assert_same(value.as_bytes(), &data, key);
    }
}

/// The host takes nothing else than `null` for a miss, and nothing else than an absent error for success.
fn a_value_that_is_not_there_is_null(stage: &mut Stage) {
    stage.open_for_values();
    assert_eq!(stage.load("some-key"), None);
    stage.store("some-key", 0, r#"{"_d":{"v":10},"firstname":"Wolfram"}"#);
    stage.store("other", 0, "0");
    stage.store("nothing", 0, "null");
    assert_eq!(stage.load("nothing"), None);
    let delete = stage.delete("some-key");
    stage.succeeds(delete);
    assert_eq!(stage.load("some-key"), None);
    stage.assert_holds("other", 0, "0");
    let get = stage.many(Verb::Get, ["some-key", "other", "nobody"]);
    let found: Vec<bool> = stage.all(get).iter().map(|answer| answer.found).collect();
    assert_eq!(found, [false, true, false]);
}
