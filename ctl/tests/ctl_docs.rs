//! `docs/connectorctl.md`: its commands run and print what stands behind them, and what it names is there.

mod support;

use std::env;
use std::fs;
use std::path::Path;

use support::Place;

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/connectorctl.md");
    fs::read_to_string(page).expect("it is readable")
}

/// The page's scripts, one after the other in one folder, and what each prints; `…` stands for anything.
#[test]
fn the_pages_commands_print_what_it_says() {
    let place = Place::new();
    let program = Path::new(env!("CARGO_BIN_EXE_connectorctl")).parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    let page = page();
    let mut pieces = page.split("```");
    let mut count = 0;
    while let Some(piece) = pieces.next() {
        let Some(script) = piece.strip_prefix("sh connectorctl\n") else { continue };
        pieces.next();
        let expected =
            pieces.next().and_then(|piece| piece.strip_prefix("text\n")).expect("a script prints something");
        let said =
            support::said(place.shell(&format!("set -e\n{script}")).env("PATH", &path).output().unwrap());
        assert_eq!(said.code, Some(0), "{script}{said:?}");
        assert_eq!(said.out.lines().count(), expected.lines().count(), "{said:?}");
        for (line, pattern) in said.out.lines().zip(expected.lines()) {
            assert!(matches(line, pattern), "{line}\nis not\n{pattern}");
        }
        count += 1;
    }
    assert_eq!(count, 3);
}

fn matches(line: &str, pattern: &str) -> bool {
    let mut rest = line;
    let pieces: Vec<&str> = pattern.split('…').collect();
    if let [only] = pieces[..] {
        return line == only;
    }
    let is_begin = line.starts_with(pieces[0]) && line.ends_with(pieces[pieces.len() - 1]);
    is_begin
        && pieces.iter().all(|piece| {
            let at = rest.find(piece);
            rest = at.map_or("", |at| &rest[at + piece.len()..]);
            at.is_some()
        })
}

/// Every command is on the page, and every flag of the page is one of the program's.
#[test]
fn the_page_tells_the_commands_and_flags_that_there_are() {
    let place = Place::new();
    let page = page();
    let help = place.ok(&["--help"]);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() >= 15, "{help}");
    let mut all = help.clone();
    for command in &commands {
        assert!(page.contains(&format!("`{command}")), "the page does not tell {command}");
        all += &place.ok(&[command, "--help"]);
    }
    let flags = page.split("`--").skip(1).map(|rest| {
        rest.split(|c: char| !c.is_ascii_lowercase() && c != '-')
            .next()
            .unwrap_or_default()
            .trim_end_matches('-')
    });
    for flag in flags {
        assert!(all.contains(&format!("--{flag}")), "there is no --{flag}");
    }
}
