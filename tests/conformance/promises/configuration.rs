//! A configuration that can be known to be wrong is refused at once, by a sentence that helps.

use serde_json::{json, Value};

use super::{promise, Need, Promise};
use crate::conformance::stage::Stage;

pub const PROMISES: &[Promise] = &[
    promise!(an_unknown_type_names_the_nearest),
    promise!(a_missing_type_names_what_there_is),
    promise!(an_unknown_option_names_the_nearest),
    promise!(a_wrong_kind_of_value_names_option_and_value),
    promise!(a_value_out_of_range_names_the_range),
    promise!(an_unknown_word_names_the_nearest),
    promise!(a_refused_value_that_may_be_a_secret_is_not_repeated),
    promise!(what_is_not_an_object_is_refused).needs(&[Need::Exact]),
    promise!(what_is_not_json_is_refused).needs(&[Need::Exact]),
    promise!(what_is_not_utf8_is_refused).needs(&[Need::Bytes]),
    promise!(null_counts_as_absent),
    promise!(numbers_in_strings_are_numbers),
];

fn refuses(stage: &mut Stage, options: Value, words: &[&str]) {
    let mut all = stage.place.options();
    let Value::Object(options) = options else { panic!("{options} are no options") };
    all.extend(options);
    refuses_text(stage, Value::Object(all).to_string().as_bytes(), words);
}

fn refuses_text(stage: &mut Stage, text: &[u8], words: &[&str]) {
    let message = stage.refused_configuration(text);
    for word in words {
        assert!(message.contains(word), "{:?} is not in {message:?}", word);
    }
    assert!(!message.contains("Error("), "a debug dump: {message}");
}

fn own_type(stage: &Stage) -> String {
    match stage.place.options().get("type") {
        Some(Value::String(name)) => name.clone(),
        other => panic!("the type is {other:?}"),
    }
}

fn an_unknown_type_names_the_nearest(stage: &mut Stage) {
    let own = own_type(stage);
    let almost = format!("{own}x");
    refuses(stage, json!({ "type": almost }), &["\"type\"", &almost, &format!("did you mean \"{own}\"")]);
    refuses_text(stage, br#"{"type": "no_such_database"}"#, &["\"type\"", "no_such_database", &own]);
    refuses_text(stage, br#"{"type": 7}"#, &["\"type\"", "text", &own]);
}

fn a_missing_type_names_what_there_is(stage: &mut Stage) {
    let own = own_type(stage);
    refuses_text(stage, b"{}", &["\"type\"", "missing", &own]);
    refuses_text(stage, br#"{"type": null}"#, &["\"type\"", "missing", &own]);
}

fn an_unknown_option_names_the_nearest(stage: &mut Stage) {
    refuses(stage, json!({"tiemout": 5}), &["\"tiemout\"", "did you mean \"timeout\""]);
    refuses(stage, json!({"maxInflight": 5}), &["\"maxInflight\"", "did you mean \"maxInFlight\""]);
    refuses(stage, json!({"completely_unlike": 5}), &["\"completely_unlike\"", "it has: ", "timeout"]);
}

fn a_wrong_kind_of_value_names_option_and_value(stage: &mut Stage) {
    let number = "a whole number from 1 to";
    refuses(stage, json!({"timeout": true}), &["\"timeout\" is true", number]);
    refuses(stage, json!({"timeout": [1]}), &["\"timeout\" is a list", number]);
    refuses(stage, json!({"timeout": {}}), &["\"timeout\" is an object", number]);
    refuses(stage, json!({"timeout": "soon"}), &["\"timeout\" is text", number]);
    refuses(stage, json!({"timeout": 1.5}), &["\"timeout\" is 1.5", number]);
    refuses(stage, json!({"reactorThread": "yes"}), &["\"reactorThread\" is text", "true or false"]);
    refuses(stage, json!({"logLevel": 3}), &["\"logLevel\" is 3", "debug"]);
}

fn a_value_out_of_range_names_the_range(stage: &mut Stage) {
    refuses(stage, json!({"timeout": 0}), &["\"timeout\" is 0", "from 1 to 86400000"]);
    refuses(stage, json!({"timeout": -5}), &["\"timeout\" is -5", "from 1 to 86400000"]);
    refuses(stage, json!({"timeout": 86_400_001}), &["\"timeout\" is 86400001", "from 1 to 86400000"]);
    refuses(stage, json!({"maxInFlight": 0}), &["\"maxInFlight\" is 0", "from 1 to"]);
    refuses(stage, json!({"timeout": 1e300}), &["\"timeout\" is 1e", "from 1 to 86400000"]);
}

fn an_unknown_word_names_the_nearest(stage: &mut Stage) {
    refuses(stage, json!({"logLevel": "wran"}), &["\"logLevel\"", "wran", "did you mean \"warn\""]);
    refuses(stage, json!({"logLevel": "everything"}), &["\"logLevel\"", "everything", "debug, info"]);
}

fn a_refused_value_that_may_be_a_secret_is_not_repeated(stage: &mut Stage) {
    let mut options = stage.place.options();
    options.insert("timeout".into(), json!("hunter2"));
    let message = stage.refused_configuration(Value::Object(options).to_string().as_bytes());
    assert!(!message.contains("hunter2"), "{message}");
    if stage.features.exact {
        let message = stage.refused_configuration(br#"{"type": "memory", "password": "hunter2"#);
        assert!(!message.contains("hunter2"), "{message}");
    }
}

fn what_is_not_an_object_is_refused(stage: &mut Stage) {
    for (text, kind) in [("[]", "a list"), ("7", "7"), ("null", "null"), ("\"redis\"", "text")] {
        refuses_text(stage, text.as_bytes(), &["the configuration is", kind, "give an object"]);
    }
}

fn what_is_not_json_is_refused(stage: &mut Stage) {
    for text in ["", "{", "{'type': 'memory'}", "{\"type\": \"memory\",}", "type: memory"] {
        refuses_text(stage, text.as_bytes(), &["not JSON", "line", "column"]);
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refuses_text(stage, deep.as_bytes(), &["the configuration is"]);
}

fn what_is_not_utf8_is_refused(stage: &mut Stage) {
    refuses_text(stage, b"{\"type\": \"mem\xffory\"}", &["not UTF-8", "byte 13"]);
}

/// As servers hand over environment variables that are not set.
fn null_counts_as_absent(stage: &mut Stage) {
    stage.open_with(json!({"timeout": null, "logLevel": null, "noSuchOption": null}));
    stage.store("a", 1, "{}");
}

/// As servers hand over environment variables that are set.
fn numbers_in_strings_are_numbers(stage: &mut Stage) {
    stage.open_with(json!({"timeout": "5000", "maxInFlight": " 100 "}));
    stage.store("a", 1, "{}");
    refuses(stage, json!({"timeout": "0"}), &["\"timeout\" is 0", "from 1 to"]);
}
