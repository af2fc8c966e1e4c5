//! The tables in `docs/testing.md` of where each promise is held. `UPDATE_DOCS=1` writes them.

use std::fmt::Write;
use std::path::Path;

use super::backends::{self, BackendKind, FAULTY};
use super::hosts::{self, HostKind};
use super::matrix::{self, Extent};
use super::promises::{self, Promise, Scope};
use crate::support::ROOT;

/// Compares what the documentation says with what is held.
pub fn check() {
    let path = Path::new(ROOT).join("docs/testing.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (name, table) in [("backends", table_of_backends()), ("promises", table_of_promises())] {
        let (begin, end) = (format!("<!-- table of {name} -->\n"), format!("<!-- end of {name} -->"));
        let from = text.find(&begin).unwrap_or_else(|| panic!("docs/testing.md lacks {begin}")) + begin.len();
        let to = from + text[from..].find(&end).unwrap_or_else(|| panic!("docs/testing.md lacks {end}"));
        match std::env::var_os("UPDATE_DOCS") {
            Some(_) => text.replace_range(from..to, &table),
            None => assert_eq!(
                text[from..to],
                table,
                "docs/testing.md is old; run UPDATE_DOCS=1 cargo test --release --features full -p deepstream-connector-tests the_table_of_promises"
            ),
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
}

/// Which backends promises of each kind can be held against.
fn table_of_backends() -> String {
    let mut table = String::from("| promises about | are held against |\n|---|---|\n");
    for scope in Scope::ALL {
        let names: Vec<&str> = backends::ALL
            .iter()
            .filter(|backend| backend.scopes.contains(scope))
            .map(|backend| backend.name)
            .collect();
        writeln!(table, "| {} | {} |", scope.label(), names.join(", ")).unwrap();
    }
    table
}

fn table_of_promises() -> String {
    let mut table = String::from(
        "| promise | about | in Rust | in C, Node.js and Python | in each other way of a language |\n|---|---|---|---|---|\n",
    );
    for promise in promises::all() {
        let (usual, others): (Vec<_>, Vec<_>) = hosts::ALL
            .iter()
            .filter(|host| !host.is_slow() && host.name != "rust")
            .partition(|host| host.is_usual_way());
        let rust = hosts::ALL.iter().find(|host| host.name == "rust").into_iter();
        let cells =
            [held(promise, rust), held(promise, usual.into_iter()), held(promise, others.into_iter())];
        let cells = cells.map(|names| shown(promise, &names));
        writeln!(table, "| `{}` | {} | {} |", promise.name, promise.scope.label(), cells.join(" | "))
            .unwrap();
    }
    table
}

/// The backends against which a promise is held in one of these hosts at least.
fn held<'a>(promise: &Promise, hosts: impl Iterator<Item = &'a HostKind>) -> Vec<&'static str> {
    let hosts: Vec<_> = hosts.collect();
    let is_held = |backend: &&BackendKind| {
        hosts.iter().any(|host| matrix::holds(backend, host, promise, Extent::Usual))
    };
    backends::ALL.iter().filter(is_held).map(|backend| backend.name).collect()
}

fn shown(promise: &Promise, names: &[&str]) -> String {
    let possible: Vec<&str> = backends::ALL
        .iter()
        .filter(|backend| backend.name != FAULTY && backend.scopes.contains(&promise.scope))
        .map(|backend| backend.name)
        .collect();
    match names {
        [] => "–".into(),
        names if names == possible => "all of them".into(),
        names => names.join(", "),
    }
}
