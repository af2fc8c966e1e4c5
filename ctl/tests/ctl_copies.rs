//! `copy` and `diff`: everything arrives whatever happens on the way, and what cannot is told.

mod support;

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use rusqlite::Connection;
use serde_json::{json, Value};
use support::server::Server;
use support::{objects, Place};

/// Two SQLite files that are not there yet.
fn place() -> Place {
    let place = Place::new();
    place.file("a.json", r#"{"type": "sqlite", "path": "a.sqlite"}"#);
    place.file("b.json", r#"{"type": "sqlite", "path": "b.sqlite"}"#);
    place
}

fn import(place: &Place, configuration: &str, lines: &str) {
    let said = place.run_with(&["import", "-c", configuration], lines.as_bytes());
    assert_eq!(said.code, Some(0), "{said:?}");
}

const COPY: &[&str] = &["--json", "copy", "--from", "a.json", "--to", "b.json", "--checkpoint", "c.json"];

/// Runs a copy with more words; its exit code and its last line.
fn copy(place: &Place, words: &[&str]) -> (Option<i32>, Value) {
    let said = place.run(&[COPY, words].concat());
    assert_eq!(said.out, "");
    let line = objects(&said.err).into_iter().rfind(|line| line.get("read").is_some());
    (said.code, line.unwrap_or_else(|| panic!("no summary: {said:?}")))
}

/// What a database has, by this program's listing but compared by nothing of its own.
fn contents(place: &Place, configuration: &str) -> BTreeMap<String, (i64, String)> {
    let text = place.ok(&["export", "-c", configuration]);
    text.lines().map(record).collect()
}

fn record(line: &str) -> (String, (i64, String)) {
    let (head, data) = line.split_once(",\"data\":").unwrap();
    let head: Value = serde_json::from_str(&format!("{head}}}")).unwrap();
    let data = &data[..data.len() - 1];
    // A parser that cannot go so deep leaves the text.
    let data = serde_json::from_str::<Value>(data)
        .map_or_else(|_| data.replace(' ', ""), |data| plain(data).to_string());
    (head["key"].as_str().unwrap().to_owned(), (head["version"].as_i64().unwrap(), data))
}

/// Numbers by their value, as other databases write them.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => json!(number.as_f64().map(|number| number + 0.0)),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
        other => other,
    }
}

fn lines_of(text: &str) -> BTreeMap<String, (i64, String)> {
    text.lines().map(record).collect()
}

#[test]
fn a_copy_is_equal_and_is_verified() {
    let place = place();
    let text = support::hostile_lines() + &support::many_lines(0..2000);
    import(&place, "a.json", &text);
    let all = text.lines().count() as u64;
    let (code, said) = copy(&place, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        (&said["written"], &said["verified"], &said["rejected"]),
        (&json!(all), &json!(all), &json!(0))
    );
    assert_eq!(contents(&place, "b.json"), lines_of(&text));
    assert_eq!(place.run(&["diff", "--from", "a.json", "--to", "b.json"]).code, Some(0));
    assert!(!place.path("c.rejects.jsonl").exists());
}

#[test]
fn a_second_run_copies_what_changed_alone() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..500));
    assert_eq!(copy(&place, &["--dry-run"]).1["written"], 500);
    assert!(!place.path("c.json").exists());
    assert_eq!(place.run(&["list", "-c", "b.json"]).out, "");
    assert_eq!(copy(&place, &["--prefix", "many/1"]).1["written"], 111);
    // Another prefix is another copy, which its checkpoint knows.
    assert_eq!(place.run(COPY).code, Some(3));
    assert_eq!(copy(&place, &["--restart"]).1["written"], 389);
    place.ok(&["set", "-c", "a.json", "many/7", "8", "{}"]);
    place.ok(&["set", "-c", "a.json", "new", "1", "{}"]);
    let said = copy(&place, &[]).1;
    assert_eq!((&said["written"], &said["same"]), (&json!(2), &json!(499)));
}

#[test]
fn what_the_target_has_newer_stays_where_that_is_wanted() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..10));
    place.ok(&["set", "-c", "b.json", "many/3", "9", "\"newer\""]);
    place.ok(&["set", "-c", "b.json", "many/4", "4", "\"other\""]);
    place.ok(&["set", "-c", "b.json", "many/5", "1", "\"older\""]);
    let (code, said) = copy(&place, &["--newer-only"]);
    assert_eq!(
        (code, &said["kept"], &said["written"], &said["rejected"]),
        (Some(1), &json!(1), &json!(8), &json!(1))
    );
    assert_eq!(place.ok(&["get", "-c", "b.json", "many/3"]), "\"newer\"\n");
    let rejects = objects(&place.read("c.rejects.jsonl"));
    assert_eq!((&rejects[0]["key"], &rejects[0]["code"]), (&json!("many/4"), &json!("CONFLICT")));
    let (code, said) = copy(&place, &[]);
    assert_eq!((code, &said["written"]), (Some(0), &json!(2)));
    assert!(!place.path("c.rejects.jsonl").exists());
}

#[test]
fn a_rate_holds_it_back() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..300));
    let began = std::time::Instant::now();
    assert_eq!(copy(&place, &["--rate", "200", "--no-verify"]).0, Some(0));
    assert!(began.elapsed() >= std::time::Duration::from_millis(1500));
}

/// Something in the target changes a record as soon as it is there.
#[test]
fn the_look_afterwards_finds_what_is_not_as_it_was_written() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..200));
    place.ok(&["set", "-c", "b.json", "many/0", "0", "{}"]);
    let plain = Connection::open(place.path("b.sqlite")).unwrap();
    let trigger = "CREATE TRIGGER spoil AFTER INSERT ON many WHEN new.id = '150' BEGIN UPDATE many SET data = '[]' WHERE id = '150'; END";
    plain.execute_batch(trigger).unwrap();
    drop(plain);
    let (code, said) = copy(&place, &[]);
    assert_eq!((code, &said["different"], &said["verified"]), (Some(1), &json!(1), &json!(200)));
    assert_eq!(copy(&place, &["--no-verify"]).0, Some(0));
}

#[test]
fn a_terminal_has_a_bar() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..600));
    // The first run tells the next one how many there are.
    copy(&place, &[]);
    let words = COPY.iter().filter(|word| **word != "--json").copied().collect::<Vec<_>>().join(" ");
    let command = format!("{} {words} --rate 1000", env!("CARGO_BIN_EXE_connectorctl"));
    let Some(script) = place.at_terminal(&command) else { return };
    let shown = support::said(script.wait_with_output().unwrap()).out;
    assert!(
        shown.contains("\rcopying [#") && shown.contains("of 600, ") && shown.contains(" left"),
        "{shown:?}"
    );
    assert!(shown.contains("\r\u{1b}[Kconnectorctl: 0 of 600 records were written"), "{shown:?}");
}

/// Where the checkpoint says that a copy is.
fn reached(place: &Place) -> Option<u64> {
    let state: Value =
        serde_json::from_slice(&std::fs::read(place.path("c.json")).ok()?).expect("it is whole");
    let of = |name: &str| state[name].as_u64().expect("it is a number");
    Some(of("read") + of("verified"))
}

fn begin(place: &Place, words: &[&str]) -> Child {
    place.command(&[COPY, words].concat()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// Killed again and again, once it has come further each time, it comes to its end all the same, and reads little twice.
#[test]
fn a_kill_at_any_moment_costs_nothing() {
    let place = place();
    let text = support::hostile_lines() + &support::many_lines(0..10_000);
    import(&place, "a.json", &text);
    let mut last = 0;
    for (kill, signal) in ["KILL", "TERM", "KILL", "INT", "KILL"].into_iter().enumerate() {
        let mut child = begin(&place, &["--rate", "2000"]);
        support::until(|| {
            reached(&place).is_some_and(|now| now > last) || child.try_wait().is_ok_and(|end| end.is_some())
        });
        // Some moment after a checkpoint, another one each time.
        std::thread::sleep(std::time::Duration::from_millis(17 * kill as u64 * kill as u64));
        support::signal(&child, signal);
        assert!(!child.wait().unwrap().success(), "it ended before it was killed");
        let now = reached(&place).expect("it stays");
        assert!(now > last, "kill {kill} costs what was done: {last} and then {now}");
        last = now;
    }
    assert!(!place.files().iter().any(|name| name == "b.json.part"));
    let said = place.run(COPY);
    assert!(said.code == Some(0) && said.err.contains("goes on"), "{said:?}");
    assert_eq!(contents(&place, "b.json"), lines_of(&text));
}

#[test]
fn a_row_that_is_no_record_is_a_reject_with_its_reason() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..1000));
    let plain = Connection::open(place.path("a.sqlite")).unwrap();
    plain.execute("UPDATE many SET data = '{hunter2' WHERE id IN ('3', '700')", []).unwrap();
    drop(plain);
    let (code, said) = copy(&place, &[]);
    assert_eq!(
        (code, &said["written"], &said["rejected"], &said["different"]),
        (Some(1), &json!(998), &json!(2), &json!(0))
    );
    let rejects = place.read("c.rejects.jsonl");
    assert!(
        rejects.contains("many/3") && rejects.contains("many/700") && !rejects.contains("hunter2"),
        "{rejects}"
    );
    assert!(objects(&rejects)
        .iter()
        .all(|reject| reject["reason"].as_str().is_some_and(|text| text.contains("JSON"))));
    // One of the target's is replaced.
    let plain = Connection::open(place.path("b.sqlite")).unwrap();
    plain.execute("UPDATE many SET data = '{' WHERE id = '5'", []).unwrap();
    drop(plain);
    assert_eq!(copy(&place, &[]).1["written"], 1);
    assert_eq!(place.ok(&["head", "-c", "b.json", "many/5"]), "5\n");
}

#[test]
fn a_full_disk_ends_it_and_the_next_run_goes_on() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..8000));
    let program = env!("CARGO_BIN_EXE_connectorctl");
    // No file may be larger than these blocks of 512 bytes, and a signal that says so is not wanted.
    let script = format!("trap '' XFSZ; ulimit -f 1000; exec '{program}' {} --patience 1", COPY.join(" "));
    let said = support::said(place.shell(&script).output().unwrap());
    assert_eq!(said.code, Some(2), "{said:?}");
    let (code, said) = copy(&place, &[]);
    assert_eq!((code, &said["read"]), (Some(0), &json!(8000)), "{said}");
    assert_eq!(contents(&place, "b.json"), contents(&place, "a.json"));
}

#[test]
fn differences_have_a_sign_each() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..700));
    copy(&place, &[]);
    let diff = |words: &[&str]| place.run(&[&["diff", "--from", "a.json", "--to", "b.json"], words].concat());
    let same = diff(&[]);
    assert_eq!((same.code, same.out.as_str()), (Some(0), ""), "{same:?}");
    assert!(same.err.contains("700 =, 0 -, 0 +, 0 *, 0 !"), "{same:?}");
    place.ok(&["delete", "-c", "b.json", "many/1"]);
    place.ok(&["set", "-c", "b.json", "many/2", "2", "[]"]);
    place.ok(&["set", "-c", "b.json", "new\n", "2", "[]"]);
    place.ok(&["set", "-c", "a.json", "many/4", "5", r#"{"n":4}"#]);
    let said = diff(&[]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), "+ many/1\n* many/2\n* many/4\n- \"new\\n\"\n"));
    assert_eq!(diff(&["--all"]).out.lines().filter(|line| line.starts_with("= ")).count(), 697);
    let lines = objects(&diff(&["--json"]).out);
    assert_eq!(lines[2], json!({"sign": "*", "key": "many/4", "fromVersion": 5, "toVersion": 4}));
    assert_eq!(
        lines[4]["counts"],
        json!({"equal": 697, "onlyInTo": 1, "onlyInFrom": 1, "different": 2, "failed": 0})
    );
    assert_eq!(diff(&["--prefix", "many/6"]).code, Some(0));
    // A member's place and how a number is written are no difference; a row that cannot be read is one.
    place.ok(&["set", "-c", "a.json", "many/6", "6", r#"{"text":"x","n":6.0}"#]);
    place.ok(&["set", "-c", "b.json", "many/6", "6", r#"{"n":6,"text":"x"}"#]);
    assert_eq!(diff(&["--prefix", "many/6"]).code, Some(0));
    let plain = Connection::open(place.path("b.sqlite")).unwrap();
    plain.execute("UPDATE many SET data = '{' WHERE id = '60'", []).unwrap();
    drop(plain);
    let said = diff(&["--prefix", "many/6"]);
    assert!(said.code == Some(2) && said.out == "! many/60\n", "{said:?}");
    place.file("away.json", r#"{"type": "redis", "host": "127.0.0.1", "port": 1}"#);
    assert_eq!(
        place.run(&["diff", "--from", "a.json", "--to", "away.json", "--patience", "0.2"]).code,
        Some(2)
    );
}

#[test]
fn a_password_is_in_no_file_that_a_copy_leaves() {
    let place = place();
    import(&place, "a.json", &support::many_lines(0..10));
    place.file("b.json", r#"{"type": "redis", "host": "127.0.0.1", "port": 1, "password": "hunter2"}"#);
    let said = place.run(&[COPY, &["--patience", "0.3"]].concat());
    assert_eq!(said.code, Some(2), "{said:?}");
    let state = place.read("c.json");
    assert!(!state.contains(support::SECRET), "{state}");
    // One that changes is no other copy.
    place.file("b.json", r#"{"type": "redis", "host": "127.0.0.1", "port": 1, "password": "another"}"#);
    assert_eq!(place.run(&[COPY, &["--patience", "0.3"]].concat()).code, Some(2));
    // Without a place for it, it lies in the state folder.
    let words = ["copy", "--from", "a.json", "--to", "b.json", "--patience", "0.3"];
    assert_eq!(place.run(&words).code, Some(2));
    assert_eq!(std::fs::read_dir(place.path(".local/state/connectorctl")).unwrap().count(), 1);
    let same = place.run(&["copy", "--from", "a.json", "--to", "a.json"]);
    assert!(same.code == Some(3) && same.err.contains("same"), "{same:?}");
}

/// Four storages and all ways between them, each into a place of its own.
#[test]
fn every_pair_of_four_storages_has_equal_copies() {
    let Some(postgres) = Server::start("postgres", &[]) else { return };
    let Some(mongodb) = Server::start("mongodb", &[]) else { return };
    let Some(cassandra) = Server::start("cassandra", &[]) else { return };
    let place = Place::new();
    let configuration = |kind: &str, name: &str| match kind {
        "postgres" => {
            json!({"type": kind, "host": "127.0.0.1", "port": postgres.port, "user": "connector", "password": "secret", "database": "records", "schema": name})
        }
        "mongodb" => {
            json!({"type": kind, "url": format!("mongodb://127.0.0.1:{}/?directConnection=true", mongodb.port), "database": name})
        }
        "cassandra" => {
            json!({"type": kind, "host": "127.0.0.1", "port": cassandra.port, "keyspace": name, "replication": 1})
        }
        _ => json!({"type": "sqlite", "path": format!("{name}.sqlite")}),
    };
    let kinds = ["sqlite", "postgres", "mongodb", "cassandra"];
    let text = support::hostile_lines();
    for kind in kinds {
        place.file(&format!("{kind}.json"), &configuration(kind, "source").to_string());
        import(&place, &format!("{kind}.json"), &text);
    }
    for from in kinds {
        for to in kinds.into_iter().filter(|to| *to != from) {
            let (source, target) = (format!("{from}.json"), format!("{from}_{to}.json"));
            place.file(&target, &configuration(to, &format!("from_{from}")).to_string());
            let said = place.run(&["copy", "--from", &source, "--to", &target]);
            assert_eq!(said.code, Some(0), "{from} to {to}: {said:?}");
            assert_eq!(contents(&place, &target), lines_of(&text), "{from} to {to}");
            assert_eq!(
                place.run(&["diff", "--from", &source, "--to", &target]).code,
                Some(0),
                "{from} to {to}"
            );
        }
    }
}

#[test]
fn a_target_that_goes_away_and_comes_back_gets_everything() {
    let Some(postgres) = Server::start("postgres", &[]) else { return };
    let place = place();
    let target = json!({"type": "postgres", "host": "127.0.0.1", "port": postgres.port, "user": "connector", "password": "secret", "database": "records"});
    place.file("b.json", &target.to_string());
    let text = support::many_lines(0..3000);
    import(&place, "a.json", &text);
    // A version that a column of the official connector cannot hold.
    place.ok(&["set", "-c", "a.json", "large", "1099511627776", "{}"]);
    let mut child = begin(&place, &["--rate", "1000"]);
    support::until(|| reached(&place).is_some_and(|now| now > 200));
    // So that it is in the middle of it, however long the server takes.
    support::signal(&child, "STOP");
    postgres.ctl(&["kill"]);
    support::signal(&child, "CONT");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    postgres.ctl(&["restart"]);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(contents(&place, "b.json"), lines_of(&text));
    let rejects = objects(&place.read("c.rejects.jsonl"));
    assert!(rejects.len() == 1 && rejects[0]["key"] == "large", "{rejects:?}");
}
