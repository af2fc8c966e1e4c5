//! Configurations, and the commands for one connection.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;
use support::{objects, Place};

const A: &str = r#"{"type": "sqlite", "path": "a.sqlite"}"#;

#[test]
fn a_record_is_set_read_and_deleted() {
    let place = Place::new();
    place.file("a.json", A);
    assert_eq!(place.ok(&["set", "-c", "a.json", "users/1", "-7", r#"{"x": 1}"#]), "");
    assert_eq!(place.ok(&["get", "-c", "a.json", "users/1"]), "{\"x\": 1}\n");
    assert_eq!(place.ok(&["head", "-c", "a.json", "users/1"]), "-7\n");
    let whole = objects(&place.ok(&["--json", "get", "-c", "a.json", "users/1"]));
    assert_eq!(whole, [json!({"key": "users/1", "version": -7, "data": {"x": 1}})]);
    let said = place.run_with(&["set", "-c", "a.json", "users/2", "1", "-"], b" [1,\n2]\n");
    assert_eq!((said.code, place.ok(&["get", "-c", "a.json", "users/2"]).as_str()), (Some(0), "[1,\n2]\n"));
    assert_eq!(place.ok(&["delete", "-c", "a.json", "users/1", "users/2", "users/3"]), "");
    for command in ["get", "head"] {
        let said = place.run(&[command, "-c", "a.json", "users/1"]);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    }
    let bad = place.run(&["set", "-c", "a.json", "users/1", "1", "{hunter3"]);
    assert!(bad.code == Some(3) && !bad.err.contains("hunter3"), "{bad:?}");
}

#[test]
fn keys_are_listed_from_where_the_last_listing_ended() {
    let place = Place::new();
    place.file("a.json", A);
    for key in ["a/1", "a/2", "b\n1", "b/1", "b/2", "b/3"] {
        place.ok(&["set", "-c", "a.json", key, "1", "{}"]);
    }
    let mut keys = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut words = vec!["list", "-c", "a.json", "--json", "--limit", "2", "--prefix", "b"];
        if let Some(after) = &after {
            words.extend(["--after", after]);
        }
        let lines = objects(&place.ok(&words));
        keys.extend(lines.iter().filter_map(|line| Some(line.get("key")?.as_str()?.to_owned())));
        after = lines.last().and_then(|line| Some(line.get("next")?.as_str()?.to_owned()));
        assert!(lines.len() <= 3, "{lines:?}");
        if after.is_none() {
            break;
        }
    }
    keys.sort();
    assert_eq!(keys, ["b\n1", "b/1", "b/2", "b/3"]);
    let text = place.ok(&["list", "-c", "a.json"]);
    assert!(text.lines().count() == 6 && text.contains("\"b\\n1\"\n"), "{text}");
}

#[test]
fn a_cache_cannot_be_listed_and_says_so() {
    let said = Place::new().run(&["list", "--type", "memory"]);
    assert!(said.code == Some(3) && said.out.is_empty() && said.err.contains("list"), "{said:?}");
}

#[test]
fn what_is_stored_is_counted_by_collection() {
    let place = Place::new();
    place.file("a.json", A);
    for key in ["a/1", "a/2", "plain"] {
        place.ok(&["set", "-c", "a.json", key, "1", "[1]"]);
    }
    let stats = &objects(&place.ok(&["stats", "-c", "a.json", "--records", "--json"]))[0];
    assert_eq!(stats["stored"], json!({"records": 3, "bytes": 9, "largest": 3}));
    assert_eq!(stats["collections"]["a"]["records"], 2);
    assert_eq!(stats["operations"]["head"]["count"], 1);
    assert!(place.ok(&["stats", "-c", "a.json"]).lines().any(|line| line == "ready true"));
}

#[test]
fn a_ping_says_in_one_sentence_what_is_wrong() {
    let place = Place::new();
    let good = place.ok(&["ping", "--type", "sqlite", "--path", "a.sqlite"]);
    assert!(good.contains("answers") && good.lines().count() == 1, "{good}");
    // A port that nobody listens at: its listener is gone.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let away = place.run(&["ping", "--type", "redis", "--port", &port, "--wait", "0.3"]);
    assert_eq!((away.code, away.err.lines().count()), (Some(2), 1), "{away:?}");
    assert!(away.err.contains("refused"), "{away:?}");
    place.file(
        "text",
        "no database, but a file that is longer than a page's header would be; so it is refused",
    );
    let other = place.run(&["--json", "ping", "--type", "sqlite", "--path", "text"]);
    assert_eq!(other.code, Some(3), "{other:?}");
    assert_eq!(objects(&other.err)[0]["error"]["code"], "CONFIGURATION");
    // A server that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let said = place.run(&["ping", "--type", "redis", "--port", &port, "--wait", "0.3"]);
    assert_eq!((said.code, said.err.lines().count()), (Some(2), 1), "{said:?}");
}

#[test]
fn secrets_never_come_by_the_command_line_and_are_never_told() {
    let place = Place::new();
    for words in [
        &["--password", "hunter2"][..],
        &["--password=hunter2"],
        &["--token", "hunter2"],
        &["--secret-access-key", "hunter2"],
        &["--sentinelPassword=hunter2"],
        &["-o", "password=hunter2"],
        &["-o", "sentinelPassword=\"hunter2\""],
        &["-o", "nodes=[{\"host\": \"h\", \"password\": \"hunter2\"}]"],
        &["-o", "tls.passphrase=hunter2"],
        &["--url", "redis://user:hunter2@h"],
        &["-o", "url=redis://:hunter2@h"],
        &["--secret", "password=hunter2"],
        &["-c", r#"{"type": "redis", "password": "hunter2"}"#],
    ] {
        let mut all = vec!["check-config", "--type", "redis"];
        all.extend(words);
        let said = place.run(&all);
        assert!(said.code == Some(3) && said.out.is_empty(), "{words:?}: {said:?}");
        assert!(said.err.contains("--secret"), "{words:?}: {said:?}");
    }
    // From elsewhere they come and are hidden, whatever is said.
    place.file("secret", "hunter2\n");
    place.file(
        "url.json",
        r#"{"type": "postgres", "url": "postgres://u:hunter2@127.0.0.1:1/d", "sessionToken": "hunter2"}"#,
    );
    place.file("env.json", r#"{"type": "redis", "port": 1, "password": {"env": "SECRET"}}"#);
    place.file("bad.json", r#"{"type": "redis", "password": "hunter2" "#);
    place.file("bad.yml", "storage:\n  name: postgres\n  options: {password: \"hunter2");
    for (words, code) in [
        (&["check-config", "--type", "redis", "--secret", "password=env:SECRET"][..], 0),
        (&["check-config", "--type", "mongodb", "--secret", "url=file:secret"], 3),
        (&["check-config", "--type", "redis", "--secret", "password=file:secret"], 0),
        (&["check-config", "--type", "redis", "--secret", "password=env:NOBODY_SET_THIS"], 3),
        (&["check-config", "-c", "url.json"], 3),
        (&["ping", "-c", "env.json", "--wait", "0.2"], 2),
        (&["get", "-c", "bad.json", "k"], 3),
        (&["get", "-c", "bad.yml", "k"], 3),
    ] {
        let said = place.run(words);
        assert_eq!(said.code, Some(code), "{words:?}: {said:?}");
    }
    let shown = place.ok(&["check-config", "--type", "redis", "--secret", "password=env:SECRET"]);
    assert!(shown.contains("password: (hidden)"), "{shown}");
}

#[test]
fn a_prompt_needs_a_terminal() {
    // `setsid` has none.
    let place = Place::new();
    let words =
        [env!("CARGO_BIN_EXE_connectorctl"), "ping", "--type", "redis", "--secret", "password=prompt"];
    let output = std::process::Command::new("setsid").arg("--wait").args(words).output().unwrap();
    let said = support::said(output);
    assert!(said.code == Some(3) && said.err.contains("--secret password=env:"), "{said:?}");
    drop(place);
}

#[test]
fn what_is_typed_at_a_prompt_is_not_shown() {
    let place = Place::new();
    let command =
        format!("{} check-config --type redis --secret password=prompt", env!("CARGO_BIN_EXE_connectorctl"));
    let Some(mut script) = place.at_terminal(&command) else { return };
    let mut output = script.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut byte = [0];
    while !shown.ends_with(b"password: ") {
        assert_eq!(output.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
        shown.push(byte[0]);
    }
    script.stdin.as_mut().unwrap().write_all(b"hunter2\n").unwrap();
    output.read_to_end(&mut shown).unwrap();
    assert!(script.wait().unwrap().success());
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("password: (hidden)") && !shown.contains(support::SECRET), "{shown}");
}

#[test]
fn the_configuration_of_a_deepstream_server_is_read() {
    let place = Place::new();
    place.file(
        "server.yml",
        "port: 6020\ncache:\n  name: redis\n  options:\n    host: ${CACHE_HOST}\n    port: ${CACHE_PORT}\n    password: ${SECRET}\nstorage: &here\n  name: native\n  options: { type: sqlite, path: a.sqlite }\n",
    );
    let mut command = place.command(&["--json", "check-config", "-c", "server.yml", "--section", "cache"]);
    let said =
        support::said(command.env("CACHE_HOST", "cache.example").env("CACHE_PORT", "7").output().unwrap());
    let checked = &objects(&said.out)[0];
    assert_eq!(checked["target"], "Redis at cache.example:7");
    assert_eq!(checked["options"]["password"], "(hidden)");
    place.ok(&["set", "-c", "server.yml", "--section", "storage", "k", "1", "{}"]);
    assert!(place.path("a.sqlite").exists());
    let both = place.run(&["get", "-c", "server.yml", "k"]);
    assert!(both.code == Some(3) && both.err.contains("--section"), "{both:?}");
    // One of the time before deepstream 5.
    place.file(
        "classic.yml",
        "plugins:\n  storage:\n    name: postgres\n    options: {user: u, writeInterval: 200}\n",
    );
    let classic = &objects(&place.ok(&["--json", "check-config", "-c", "classic.yml"]))[0];
    assert_eq!(classic["options"]["layout"], "V1");
    let remarks = classic["remarks"].to_string();
    assert!(remarks.contains("writeInterval") && remarks.contains("layout V1"), "{remarks}");
}

#[test]
fn a_name_stands_for_a_connection() {
    let place = Place::new();
    fs::create_dir(place.path(".config")).unwrap();
    place.file(".config/connectorctl.toml", "[mine]\ntype = \"sqlite\"\npath = \"a.sqlite\"\n[other]\ntype = \"redis\"\npassword = { env = \"SECRET\" }\n");
    place.ok(&["set", "-c", "@mine", "k", "1", "{}"]);
    assert_eq!(place.ok(&["list", "-c", "@mine"]), "k\n");
    // Flags replace what a configuration says.
    place.ok(&["set", "-c", "@mine", "--path", "b.sqlite", "k", "2", "{}"]);
    assert_eq!(place.ok(&["head", "-c", "@mine", "k"]), "1\n");
    assert!(place.ok(&["check-config", "-c", "@other"]).contains("(hidden)"));
    let said = place.run(&["list", "-c", "@none"]);
    assert!(said.code == Some(3) && said.err.contains("@mine, @other"), "{said:?}");
    fs::create_dir(place.path("elsewhere")).unwrap();
    place.file("elsewhere/connectorctl.toml", "[there]\ntype = \"memory\"\n");
    let mut command = place.command(&["get", "-c", "@there", "k"]);
    let said = support::said(command.env("XDG_CONFIG_HOME", place.path("elsewhere")).output().unwrap());
    assert_eq!(said.code, Some(1), "{said:?}");
}

#[test]
fn a_wrong_command_line_is_told_apart() {
    let place = Place::new();
    for words in [
        &["get"][..],
        &["nothing"],
        &["get", "k"],
        &["ping", "--type", "redsi"],
        &["ping", "--type", "redis", "-o", "hots=h"],
        &["list", "-c", "nowhere.json"],
    ] {
        assert_eq!(place.run(words).code, Some(3), "{words:?}");
    }
    assert!(place.ok(&["--help"]).contains("check-config"));
}
