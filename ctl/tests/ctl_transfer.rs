//! `export` and `import`: everything comes back equal, no half file stays, and nothing is left out silently.

mod support;

use std::io::Write;
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{json, Value};
use support::{objects, Place};

const A: &str = r#"{"type": "sqlite", "path": "a.sqlite"}"#;
const B: &str = r#"{"type": "sqlite", "path": "b.sqlite"}"#;

/// Two databases that are not there yet.
fn place() -> Place {
    let place = Place::new();
    place.file("a.json", A);
    place.file("b.json", B);
    place
}

#[test]
fn hostile_records_come_back_equal_through_every_form() {
    let place = place();
    let text = support::hostile_lines();
    let said = place.run_with(&["import", "-c", "a.json"], text.as_bytes());
    assert_eq!(said.code, Some(0), "{said:?}");
    let exported = place.ok(&["export", "-c", "a.json"]);
    assert_eq!(support::sorted(&exported), support::sorted(&text));
    for name in ["all.jsonl", "all.jsonl.gz", "all.jsonl.zst"] {
        place.ok(&["export", "-c", "a.json", name]);
        place.ok(&["import", "--type", "sqlite", "--path", &format!("{name}.sqlite"), name]);
        let again = place.ok(&["export", "--type", "sqlite", "--path", &format!("{name}.sqlite")]);
        assert_eq!(support::sorted(&again), support::sorted(&text), "{name}");
    }
    let bytes = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert_eq!(bytes("all.jsonl.gz")[..2], [0x1f, 0x8b]);
    assert_eq!(bytes("all.jsonl.zst")[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    assert!(bytes("all.jsonl.zst").len() < bytes("all.jsonl").len());
    // A part of them.
    let part = place.ok(&["export", "-c", "a.json", "--prefix", "deep/"]);
    assert_eq!(part.lines().count(), 2);
    assert!(part.lines().all(|line| line.starts_with(r#"{"key":"deep/"#)));
}

#[test]
fn what_cannot_be_imported_is_named_and_the_rest_is_there() {
    let place = place();
    let lines = "{\"key\":\"a\",\"version\":1,\"data\":{}}\n\n{\"key\":\"hunter2\"\n{\"key\":\"\",\"version\":1,\"data\":1}\r\n{\"version\":1,\"data\":\"hunter2\"}\n{\"key\":\"b\",\"version\":2,\"data\":[]}";
    place.file("lines.jsonl", lines);
    let said = place.run(&["import", "-c", "a.json", "lines.jsonl"]);
    assert!(said.code == Some(1) && said.err.contains("3 were rejected"), "{said:?}");
    let rejects = objects(&place.read("import.rejects.jsonl"));
    let numbers: Vec<&Value> = rejects.iter().map(|reject| &reject["line"]).collect();
    assert_eq!(numbers, [&json!(3), &json!(4), &json!(5)]);
    assert!(!place.read("import.rejects.jsonl").contains("hunter2"));
    assert_eq!(place.ok(&["list", "-c", "a.json"]), "a\nb\n");
    // One that is right leaves none.
    place.file("lines.jsonl", "{\"key\":\"c\",\"version\":1,\"data\":{}}\n");
    let said = place.run(&["--json", "import", "-c", "a.json", "lines.jsonl"]);
    assert_eq!(objects(&said.err), [json!({"imported": 1, "rejected": 0})]);
    assert!(!place.path("import.rejects.jsonl").exists());
}

#[test]
fn a_row_that_is_no_record_is_told_and_the_rest_is_exported() {
    let place = place();
    place.run_with(&["import", "-c", "a.json"], support::many_lines(0..10).as_bytes());
    let plain = Connection::open(place.path("a.sqlite")).unwrap();
    plain.execute("UPDATE many SET data = '{hunter2' WHERE id = '3'", []).unwrap();
    let said = place.run(&["export", "-c", "a.json"]);
    assert!(said.code == Some(1) && said.err.contains("many/3"), "{said:?}");
    assert_eq!(said.out.lines().count(), 9);
}

/// It ends where it cannot write, and what was there before is there still.
#[test]
fn a_full_disk_leaves_no_half_file() {
    let place = place();
    place.run_with(&["import", "-c", "a.json"], support::many_lines(0..6000).as_bytes());
    let full = place.run(&["export", "-c", "a.json", "/dev/full"]);
    assert!(full.code == Some(2) && full.err.contains("space"), "{full:?}");
    let mut command = place.command(&["export", "-c", "a.json"]);
    let standard = command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(support::said(standard.stderr(Stdio::piped()).output().unwrap()).code, Some(2));
    place.file("old.jsonl", "old");
    // No file may be larger than these blocks of 512 bytes.
    let program = env!("CARGO_BIN_EXE_connectorctl");
    let script = format!("trap '' XFSZ; ulimit -f 512; exec '{program}' export -c a.json old.jsonl");
    let mut shell = place.shell(&script);
    let said = support::said(shell.output().unwrap());
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(place.read("old.jsonl"), "old");
    // SQLite's own files beside the database are its matter.
    let files: Vec<String> =
        place.files().into_iter().filter(|name| !name.starts_with("a.sqlite-")).collect();
    assert_eq!(files, ["a.json", "a.sqlite", "b.json", "old.jsonl"]);
}

#[test]
fn a_signal_leaves_no_half_file() {
    let place = place();
    place.run_with(&["import", "-c", "a.json"], support::many_lines(0..2000).as_bytes());
    for signal in ["TERM", "INT", "HUP", "KILL"] {
        // What it writes to is there before it has all records: they are waited for, since another program locks them.
        let lock = Connection::open(place.path("a.sqlite")).unwrap();
        lock.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
        let mut child =
            place.command(&["export", "-c", "a.json", "new.jsonl"]).stderr(Stdio::null()).spawn().unwrap();
        support::until(|| place.files().iter().any(|name| name.ends_with(".part")));
        support::signal(&child, signal);
        let status = child.wait().unwrap();
        assert!(!status.success());
        assert!(!place.path("new.jsonl").exists(), "{signal}");
        let left = place.files().iter().filter(|name| name.ends_with(".part")).count();
        assert_eq!(left, usize::from(signal == "KILL"), "{signal}");
        lock.execute_batch("ROLLBACK").unwrap();
    }
    // The next one takes away what a kill left.
    place.ok(&["export", "-c", "a.json", "new.jsonl"]);
    assert!(!place.files().iter().any(|name| name.ends_with(".part")));
    assert_eq!(place.read("new.jsonl").lines().count(), 2000);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_without_a_word() {
    let place = place();
    place.run_with(&["import", "-c", "a.json"], support::many_lines(0..3000).as_bytes());
    let program = env!("CARGO_BIN_EXE_connectorctl");
    let said =
        support::said(place.shell(&format!("'{program}' export -c a.json | head -n 1")).output().unwrap());
    assert_eq!((said.code, said.out.lines().count(), said.err.as_str()), (Some(0), 1, ""));
}

/// From one program into the other.
#[test]
fn a_pipe_moves_records() {
    let place = place();
    place.run_with(&["import", "-c", "a.json"], support::many_lines(0..1500).as_bytes());
    let program = env!("CARGO_BIN_EXE_connectorctl");
    let script = format!("'{program}' export -c a.json | '{program}' import -c b.json");
    assert_eq!(support::said(place.shell(&script).output().unwrap()).code, Some(0));
    let (from, to) = (place.ok(&["export", "-c", "a.json"]), place.ok(&["export", "-c", "b.json"]));
    assert_eq!(support::sorted(&from), support::sorted(&to));
}

/// Elsewhere than on a terminal progress is JSON, with what a program needs.
#[test]
fn progress_is_told_as_json() {
    let place = place();
    let mut command = place.command(&["import", "-c", "a.json"]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    // It says something each second, as long as it is given something.
    let line = std::thread::spawn(move || lines.next().unwrap().unwrap());
    let mut number = 0;
    while !line.is_finished() {
        input.write_all(support::many_lines(number..number + 4000).as_bytes()).unwrap();
        number += 4000;
    }
    let progress: Value = serde_json::from_str(&line.join().unwrap()).unwrap();
    assert_eq!(progress["progress"], "importing");
    assert!(progress["done"].as_u64() > Some(0) && progress["perSecond"].as_f64() > Some(0.0), "{progress}");
    drop(input);
    assert!(child.wait().unwrap().success());
}
