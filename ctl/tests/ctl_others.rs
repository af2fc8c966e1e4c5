//! `bench`, completions and man pages.

mod support;

use std::process::Command;

use support::{objects, Place};

#[test]
fn a_bench_tells_rates_and_latencies_and_leaves_nothing() {
    let place = Place::new();
    place.file("a.json", r#"{"type": "sqlite", "path": "a.sqlite"}"#);
    let words = ["bench", "-c", "a.json", "-W", "8", "--seconds", "0.2", "--records", "50", "--size", "100"];
    let text = place.ok(&words);
    for operation in ["set: ", "get: ", "head: "] {
        let line = text.lines().find(|line| line.starts_with(operation)).unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains("/s (") && line.contains("p99 "), "{line}");
    }
    assert!(text.lines().any(|line| line.starts_with("  up to ") && line.ends_with('#')), "{text}");
    let mut words = words.to_vec();
    words.extend(["--json", "--operations", "get"]);
    let said = &objects(&place.ok(&words))[0];
    assert!(said["count"].as_u64() > Some(0) && said["failures"] == 0, "{said}");
    assert!(
        said["latencyMicroseconds"]["p50"].as_u64() <= said["latencyMicroseconds"]["max"].as_u64(),
        "{said}"
    );
    assert_eq!(place.ok(&["list", "-c", "a.json"]), "");
}

#[test]
fn completions_are_scripts_that_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.ok(&["completions", shell]);
        for word in ["check-config", "newer-only", "copy", "export"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("password="), "{shell}");
        place.file("script", &script);
        // Other shells need not be here.
        if shell == "bash" {
            let checked = Command::new("bash").arg("-n").arg(place.path("script")).status().unwrap();
            assert!(checked.success());
        }
    }
}

#[test]
fn each_command_has_a_man_page() {
    let place = Place::new();
    place.ok(&["man", "pages/man1"]);
    let mut names: Vec<String> = std::fs::read_dir(place.path("pages/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 16 && names.contains(&"connectorctl-copy.1".to_owned()), "{names:?}");
    let page = place.read("pages/man1/connectorctl-copy.1");
    assert!(page.contains(".TH") && page.contains("newer") && page.contains("connectorctl copy"), "{page}");
    assert!(place.read("pages/man1/connectorctl.1").contains("Exit codes"));
}
