//! What is asked beside operations on keys: pages of all records, and commands of a backend's own.

use std::collections::BTreeMap;
use std::time::Duration;

use deepstream_connector::core::{Applied, ErrorCode};
use serde_json::{json, Value};

use super::{promise, Need, Promise, Scope};
use crate::conformance::stage::{entry, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(nothing_is_one_empty_page).scope(Scope::Listed),
    promise!(every_record_is_on_one_page).scope(Scope::Listed).handful(),
    promise!(records_come_with_their_whole_names).scope(Scope::Listed),
    promise!(a_prefix_lists_the_keys_that_begin_with_it).scope(Scope::Listed),
    promise!(a_scan_goes_on_with_another_connector).scope(Scope::Listed),
    promise!(what_is_deleted_is_not_listed).scope(Scope::Listed),
    promise!(a_scan_leaves_out_nothing_while_others_write).scope(Scope::Listed),
    promise!(a_page_needs_room).scope(Scope::Listed),
    promise!(a_cursor_that_is_none_is_refused).scope(Scope::Listed),
    promise!(a_cache_says_that_it_cannot_list).scope(Scope::Unlisted),
    promise!(a_command_that_is_none_is_refused),
    promise!(a_command_is_answered).scope(Scope::Faulty),
    promise!(a_question_waits_for_the_connection).scope(Scope::Faulty),
    promise!(a_scan_is_asked_again_after_an_outage).scope(Scope::Faulty),
    promise!(a_command_whose_answer_is_lost_is_not_sent_again).scope(Scope::Faulty),
    promise!(a_question_ends_at_its_deadline).scope(Scope::Faulty),
    promise!(a_panic_in_a_command_fails_it_alone).scope(Scope::Faulty),
    promise!(close_waits_for_questions).scope(Scope::Faulty),
    promise!(free_answers_questions).scope(Scope::Faulty).needs(&[Need::Free]),
    promise!(notifications_reach_the_host).scope(Scope::Faulty),
];

fn nothing_is_one_empty_page(stage: &mut Stage) {
    stage.open();
    assert_eq!(stage.pages(10), []);
}

fn every_record_is_on_one_page(stage: &mut Stage) {
    stage.open();
    let mut expected = BTreeMap::new();
    let sets: Vec<_> = (0..137)
        .map(|number| {
            let (key, data) = (format!("scan{}/{number}", number % 3), format!("{{\"n\":{number}}}"));
            expected.insert(key.clone().into_bytes(), (number, data.clone()));
            stage.set(key, number, data)
        })
        .collect();
    for set in sets {
        stage.succeeds(set);
    }
    for limit in [1000, 137, 10, 1] {
        let entries = stage.pages(limit);
        let mut left = expected.clone();
        for entry in entries {
            let (version, data) = left.remove(&entry.key).unwrap_or_else(|| {
                panic!(
                    "{} is twice on pages of {limit}, or was never stored",
                    crate::conformance::host::shown(&entry.key)
                )
            });
            assert_eq!(entry.version, version);
            stage.assert_same(data.as_bytes(), &entry.data, "a record on a page");
        }
        assert!(left.is_empty(), "{} records are on no page of {limit}", left.len());
    }
    // In every language.
    let with_prefix = expected.keys().filter(|key| key.starts_with(b"scan1/1")).count();
    assert_eq!(stage.pages_of("scan1/1", 10).len(), with_prefix);
}

fn records_come_with_their_whole_names(stage: &mut Stage) {
    stage.open();
    let long = format!("long/{}", "x".repeat(60_000));
    let names =
        ["plain", "a/b/c", "default/x", "a b/\"q\"", "Ä/é😀", "__proto__", "x/__proto__", "%_/\\", &long];
    for (number, name) in (0..).zip(names) {
        stage.store(name, number, "[]");
    }
    let mut found: Vec<Vec<u8>> = stage.pages(4).into_iter().map(|entry| entry.key).collect();
    found.sort_unstable();
    let mut expected: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    expected.sort_unstable();
    let shown =
        |keys: &[Vec<u8>]| keys.iter().map(|key| crate::conformance::host::shown(key)).collect::<Vec<_>>();
    assert_eq!(shown(&found), shown(&expected));
    assert_eq!(found, expected);
}

fn a_prefix_lists_the_keys_that_begin_with_it(stage: &mut Stage) {
    stage.open();
    let long = format!("users/{}", "x".repeat(60_000));
    let names = [
        "users/1",
        "users/10",
        "users/2",
        "users/Ä1",
        "users/~a",
        "users/",
        "users",
        "user/1",
        "users/A1",
        "users/a1",
        "use",
        "usersmore/1",
        "orders/users/1",
        "_a/1",
        "_b",
        ":x",
        "sha256:aa",
        "~a/1",
        ";a/1",
        "é/😀1",
        "é/😀2",
        "%a/1",
        &long,
    ];
    let sets: Vec<_> = (0..).zip(names).map(|(number, name)| stage.set(name, number, "[]")).collect();
    for set in sets {
        stage.succeeds(set);
    }
    let prefixes = [
        "",
        "u",
        "us",
        "users",
        "users/",
        "users/1",
        "users/x",
        "users/Ä",
        "users/~",
        "_",
        ":",
        "s",
        "sha256:",
        "~",
        ";a",
        "é/😀",
        "%",
        "nobody",
        "nobody/1",
        "orders/users/",
        "/",
        "users/A",
    ];
    for prefix in prefixes {
        let mut expected: Vec<&str> = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
        expected.sort_unstable();
        for limit in [1000, 2] {
            let mut found: Vec<Vec<u8>> =
                stage.pages_of(prefix, limit).into_iter().map(|entry| entry.key).collect();
            found.sort_unstable();
            let found: Vec<&str> = found.iter().map(|key| std::str::from_utf8(key).unwrap()).collect();
            assert_eq!(found, expected, "of {prefix:?}, pages of {limit}");
        }
    }
}

fn a_scan_goes_on_with_another_connector(stage: &mut Stage) {
    stage.open();
    for number in 0..30 {
        stage.store(format!("k{number}"), number, "{}");
    }
    let request = stage.scan("", 20);
    let (first, cursor) = stage.page(request);
    assert!(!cursor.is_empty(), "30 records do not fit on a page of 20");
    stage.close();
    stage.open();
    let mut keys: Vec<Vec<u8>> = first.into_iter().map(|entry| entry.key).collect();
    let mut cursor = cursor;
    while !cursor.is_empty() {
        let request = stage.scan(&cursor, 20);
        let (page, next) = stage.page(request);
        keys.extend(page.into_iter().map(|entry| entry.key));
        cursor = next;
    }
    keys.sort_unstable();
    let before = keys.len();
    keys.dedup();
    assert_eq!((before, keys.len()), (30, 30));
}

fn what_is_deleted_is_not_listed(stage: &mut Stage) {
    stage.open();
    stage.store("a/kept", 1, "{}");
    stage.store("a/gone", 1, "{}");
    stage.store("b/gone", 1, "{}");
    for key in ["a/gone", "b/gone"] {
        let delete = stage.delete(key);
        stage.succeeds(delete);
    }
    let keys: Vec<Vec<u8>> = stage.pages(10).into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, [b"a/kept".to_vec()]);
}

fn a_scan_leaves_out_nothing_while_others_write(stage: &mut Stage) {
    stage.open();
    for number in 0..40 {
        stage.store(format!("stays/{number}"), number, "{}");
    }
    let (mut found, mut cursor) = (Vec::new(), Vec::new());
    let mut round = 0;
    loop {
        // Between the pages records come, go and change, before and behind where the scan is.
        let writes: Vec<_> = (0..8)
            .map(|number| stage.set(format!("stays/{}", (round * 8 + number) % 40), 100 + round, "[1]"))
            .collect();
        for write in writes {
            stage.succeeds(write);
        }
        stage.store(format!("comes/{round}"), 1, "{}");
        if round > 1 {
            let delete = stage.delete(format!("comes/{}", round - 2));
            stage.succeeds(delete);
        }
        let request = stage.scan(&cursor, 7);
        let (page, next) = stage.page(request);
        found.extend(page.into_iter().map(|entry| entry.key).filter(|key| key.starts_with(b"stays/")));
        if next.is_empty() {
            break;
        }
        cursor = next;
        round += 1;
        assert!(round < 200, "the scan has no end");
    }
    let listed = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!((listed, found.len()), (40, 40));
}

fn a_page_needs_room(stage: &mut Stage) {
    stage.open();
    let request = stage.scan("", 0);
    let message = stage.is_refused(request, ErrorCode::InvalidArgument);
    assert!(message.contains("limit"), "{message}");
}

fn a_cursor_that_is_none_is_refused(stage: &mut Stage) {
    stage.open();
    stage.store("a/1", 1, "{}");
    for cursor in ["nonsense", "\u{e9}", "{}", "[[[[", "1:2:3", "'; DROP TABLE a; --"] {
        let request = stage.scan(cursor, 10);
        let message = stage.fails(request, ErrorCode::InvalidArgument);
        assert!(message.contains("cursor"), "{message}");
    }
    assert_eq!(stage.pages(10).len(), 1);
}

fn a_cache_says_that_it_cannot_list(stage: &mut Stage) {
    stage.open();
    let request = stage.scan("", 10);
    let message = stage.fails(request, ErrorCode::Unsupported);
    assert!(message.contains("list"), "{message}");
}

fn a_command_that_is_none_is_refused(stage: &mut Stage) {
    stage.open();
    let request = stage.command("make coffee", &json!({"sugar": 2}));
    stage.fails(request, ErrorCode::Unsupported);
}

fn a_command_is_answered(stage: &mut Stage) {
    stage.open();
    let request = stage.command("echo", &json!({"a": [1, "é", null]}));
    assert_eq!(stage.answered(request), json!({"a": [1, "é", null]}));
    let request = stage.command("echo", &Value::Null);
    assert_eq!(stage.answered(request), Value::Null);
}

fn a_question_waits_for_the_connection(stage: &mut Stage) {
    stage.place.server().expect("it can be hurt").kill();
    stage.begin_with(Value::Null);
    let (scan, command) = (stage.scan("", 10), stage.command("echo", &json!(1)));
    stage.watch(Duration::from_millis(20));
    assert_eq!(stage.unanswered(), 2);
    stage.restart();
    assert_eq!(stage.page(scan).0, []);
    assert_eq!(stage.answered(command), json!(1));
}

fn a_scan_is_asked_again_after_an_outage(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "{}");
    let server = stage.faulty();
    server.hold();
    let scan = stage.scan("", 10);
    stage.wait_for("the question", |_| server.scans() == 1);
    server.lose("the server went away");
    // An answer that comes before that is seen would be one.
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    server.release();
    assert_eq!(stage.page(scan).0, [entry("a", 1, "{}")]);
    assert_eq!(server.scans(), 2);
}

fn a_command_whose_answer_is_lost_is_not_sent_again(stage: &mut Stage) {
    stage.open();
    let command = stage.command("lose", &Value::Null);
    let message = stage.fails(command, ErrorCode::Unavailable);
    assert!(message.contains("may have been carried out"), "{message}");
    assert_eq!(stage.applied(command), Applied::Unknown);
    stage.wait_for_recovery("a");
    assert_eq!(stage.faulty().commands(), ["lose"]);
}

fn a_question_ends_at_its_deadline(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.hold();
    let (scan, command) = stage.within(60, |stage| (stage.scan("", 10), stage.command("hang", &Value::Null)));
    let message = stage.fails(scan, ErrorCode::Timeout);
    assert!(!message.contains("may have been"), "{message}");
    let message = stage.fails(command, ErrorCode::Timeout);
    assert!(message.contains("may have been carried out"), "{message}");
    assert_eq!((stage.applied(scan), stage.applied(command)), (Applied::No, Applied::Unknown));
    server.release();
    stage.store("a", 1, "{}");
}

fn a_panic_in_a_command_fails_it_alone(stage: &mut Stage) {
    stage.open();
    let (bad, good) = (stage.command("panic", &Value::Null), stage.command("echo", &json!(2)));
    stage.fails(bad, ErrorCode::Panic);
    assert_eq!(stage.applied(bad), Applied::Unknown);
    assert_eq!(stage.answered(good), json!(2));
}

fn close_waits_for_questions(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.hold();
    let scan = stage.scan("", 10);
    stage.wait_for("the question", |_| server.scans() == 1);
    stage.begin_to_close();
    stage.watch(Duration::from_millis(20));
    assert!(!stage.is_closed() && stage.unanswered() == 1);
    server.release();
    assert_eq!(stage.page(scan).0, []);
    stage.wait_for("`closed`", Stage::is_closed);
}

fn free_answers_questions(stage: &mut Stage) {
    stage.open();
    let command = stage.command("hang", &Value::Null);
    let server = stage.faulty();
    stage.wait_for("the command", |_| !server.commands().is_empty());
    stage.free();
    stage.fails(command, ErrorCode::Closed);
    assert_eq!(stage.applied(command), Applied::Unknown);
}

fn notifications_reach_the_host(stage: &mut Stage) {
    stage.open();
    let command = stage.command("notify", &json!("hello"));
    stage.succeeds(command);
    stage.wait_for("the notification", |stage| !stage.notifications().is_empty());
    assert_eq!(stage.notifications(), [("news".to_owned(), "\"hello\"".to_owned())]);
}
