//! README.md and docs/ say what is so: programs in them run and print what stands beside them,
//! configurations are accepted, queries are asked of real servers, tables follow from the code,
//! and whatever is named exists.
//!
//! A fenced block is checked by its language and the words behind it, see [`check_of`]; a block
//! `text` right behind a program is what that prints. `UPDATE_DOCS=1` writes the tables.

mod pages;
mod places;
mod programs;
mod tables;
mod types;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use deepstream_connector::core::ErrorCode;
use deepstream_connector::{backends, Connector};
use serde_json::{Deserializer, Map, Value};

use crate::harness::{test, Test};
use crate::support::workshop::Workshop;
use crate::support::ROOT;
use pages::{file_named, spans, Block};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(every_block_has_a_check),
    test!(the_readme_has_at_most_200_lines),
    test!(the_tables_are_those_of_the_code),
    test!(every_backend_is_told),
    test!(every_error_code_says_what_to_do),
    test!(configurations_are_accepted),
    test!(programs_in_javascript_run),
    test!(programs_in_python_run),
    test!(programs_in_c_run),
    test!(commands_work),
    test!(programs_in_rust_are_doc_tests),
    test!(sqlite_can_be_asked),
    test!(mysql_can_be_asked),
    test!(mariadb_can_be_asked),
    test!(postgres_can_be_asked),
    test!(redis_can_be_asked),
    test!(memcached_can_be_asked),
    test!(ironcache_can_be_asked),
    test!(cassandra_can_be_asked),
    test!(mongodb_can_be_asked),
    test!(couchdb_can_be_asked),
    test!(dynamodb_can_be_asked),
    test!(links_lead_somewhere),
    test!(every_page_is_in_the_index),
    test!(files_that_are_named_exist),
    test!(commands_that_are_named_exist),
    test!(files_hold_what_the_architecture_says),
    test!(tests_that_are_named_exist),
    test!(every_statistic_is_told),
];

/// How a block is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// One configuration or several.
    Configurations,
    /// A part of a deepstream server's configuration.
    ServerConfiguration,
    JavaScript,
    Python,
    Compiled,
    Commands,
    /// By the doc-tests of the crate.
    DocTest,
    /// By the tests of the packages, which install from them as the page says.
    Packages,
    /// By the tests of connectorctl, which run it.
    Connectorctl,
    /// At the server that its first word names.
    Place,
}

fn check_of(block: &Block) -> Option<Check> {
    match (block.language.as_str(), block.words().as_slice()) {
        ("json", []) => Some(Check::Configurations),
        ("yaml", []) => Some(Check::ServerConfiguration),
        ("js", []) => Some(Check::JavaScript),
        ("python", []) => Some(Check::Python),
        ("c" | "cpp", []) => Some(Check::Compiled),
        ("sh", []) => Some(Check::Commands),
        ("sh", ["packages", _]) => Some(Check::Packages),
        ("sh", ["connectorctl"]) => Some(Check::Connectorctl),
        ("rust", []) => Some(Check::DocTest),
        ("js" | "sh" | "sql", [place, ..]) if places::PLACES.contains(place) => Some(Check::Place),
        _ => None,
    }
}

/// All blocks with this check; there are some.
fn blocks_with(check: Check) -> Vec<Block> {
    let blocks: Vec<Block> =
        pages::blocks().into_iter().filter(|block| check_of(block) == Some(check)).collect();
    assert!(!blocks.is_empty(), "no block is for {check:?}");
    blocks
}

fn every_block_has_a_check() {
    for block in pages::blocks() {
        let (place, language) = (block.place(), &block.language);
        assert!(check_of(&block).is_some(), "{place}: no check for \"{language} {}\"", block.words.join(" "));
    }
}

fn the_readme_has_at_most_200_lines() {
    let lines = pages::read("README.md").text.lines().count();
    assert!(lines <= 200, "README.md has {lines} lines");
}

fn the_tables_are_those_of_the_code() {
    tables::compare();
    types::compare();
}

/// A page with its options and a program or configuration; a row in the README and among the
/// promises.
fn every_backend_is_told() {
    let named = |page: &str, column: &str, beside: &str| -> BTreeSet<String> {
        let rows = pages::read(page).rows();
        let rows = rows.iter().filter(|row| row.cell(beside).is_some());
        rows.flat_map(|row| spans(row.cell(column).expect("each row is of a backend"))).collect()
    };
    let backends: BTreeSet<String> = backends::ENTRIES.iter().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(named("README.md", "`type`", "acknowledged means"), backends);
    assert_eq!(named("docs/promises.md", "backend", "acknowledged means"), backends);
    for name in backends {
        // One backend for both products.
        let name = if name == "mariadb" { "mysql".to_owned() } else { name };
        let page = pages::read(format!("docs/backends/{name}.md"));
        assert!(page.anchors().iter().any(|anchor| anchor == "options"), "{}: no options", page.path);
        let is_complete = |block: &Block| block.language == "json" && block.text.contains(&name);
        assert!(page.blocks().iter().any(is_complete), "{}: no configuration", page.path);
    }
}

fn every_error_code_says_what_to_do() {
    let rows = pages::read("docs/errors.md").rows();
    let told: Vec<String> = rows
        .iter()
        .filter(|row| row.cell("what to do").is_some())
        .flat_map(|row| spans(&row.cells[0]))
        .collect();
    assert_eq!(told, ErrorCode::ALL.map(ErrorCode::name));
}

fn configurations_are_accepted() {
    for block in blocks_with(Check::Configurations) {
        for configuration in Deserializer::from_str(&block.text).into_iter::<Value>() {
            let configuration =
                configuration.unwrap_or_else(|error| panic!("{} is not JSON: {error}", block.place()));
            accept(&block, &configuration);
        }
    }
    for block in blocks_with(Check::ServerConfiguration) {
        let lines = block.text.lines().filter_map(|line| line.trim().strip_prefix("options:"));
        let options: Vec<Value> = lines.map(flow_mapping).collect();
        assert!(!options.is_empty(), "{} has no options", block.place());
        options.iter().for_each(|options| accept(&block, options));
    }
}

fn accept(block: &Block, configuration: &Value) {
    if let Err(error) = backends::open(configuration.to_string().as_bytes()) {
        panic!("{}: {error}: {configuration}", block.place());
    }
}

/// YAML's `{ type: redis, port: 6379 }`, of words and numbers.
fn flow_mapping(text: &str) -> Value {
    let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let inner = inner.unwrap_or_else(|| panic!("this is no mapping in one line: {text}"));
    let entries = inner.split(',').map(|entry| {
        let (name, value) = entry.split_once(':').unwrap_or_else(|| panic!("this is no entry: {entry}"));
        let value = value.trim();
        let value = value.parse::<i64>().map_or_else(|_| Value::from(value), Value::from);
        (name.trim().to_owned(), value)
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

fn programs_in_javascript_run() {
    blocks_with(Check::JavaScript).iter().for_each(programs::javascript);
}

fn programs_in_python_run() {
    let workshop = Workshop::new("docs_python");
    blocks_with(Check::Python).iter().for_each(|block| programs::python(block, &workshop));
}

fn programs_in_c_run() {
    let workshop = Workshop::new("docs_c");
    blocks_with(Check::Compiled).iter().for_each(|block| programs::compiled(block, &workshop));
}

fn commands_work() {
    let workshop = Workshop::new("docs_commands");
    blocks_with(Check::Commands).iter().for_each(|block| programs::commands(block, &workshop));
}

fn programs_in_rust_are_doc_tests() {
    let library = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).expect("it is readable");
    for block in blocks_with(Check::DocTest) {
        let included = format!("include_str!(\"../{}\")", block.page);
        assert!(library.contains(&included), "{}: src/lib.rs lacks {included}", block.place());
    }
}

fn sqlite_can_be_asked() {
    places::sqlite();
}

fn mysql_can_be_asked() {
    places::mysql();
}

fn mariadb_can_be_asked() {
    places::mariadb();
}

fn postgres_can_be_asked() {
    places::postgres();
}

fn redis_can_be_asked() {
    places::redis();
}

fn memcached_can_be_asked() {
    places::memcached();
}

fn ironcache_can_be_asked() {
    places::ironcache();
}

fn cassandra_can_be_asked() {
    places::cassandra();
}

fn mongodb_can_be_asked() {
    places::mongodb();
}

fn couchdb_can_be_asked() {
    places::couchdb();
}

fn dynamodb_can_be_asked() {
    places::dynamodb();
}

/// The pages, and others that name files and tests.
fn pages_and_others() -> Vec<pages::Page> {
    let mut pages = pages::pages();
    pages.push(pages::read("CONTRIBUTING.md"));
    pages
}

fn links_lead_somewhere() {
    let mut links = 0;
    for page in pages_and_others() {
        for (line, link) in page.links() {
            if link.starts_with("https://") {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = Path::new(&page.path).parent().expect("a page is in a folder");
            let target = match file {
                "" => PathBuf::from(&page.path),
                file => folder.join(file),
            };
            assert!(Path::new(ROOT).join(&target).exists(), "{}: no file {file}", page.at(line));
            if !anchor.is_empty() {
                let anchors = pages::read(&target).anchors();
                assert!(anchors.iter().any(|other| other == anchor), "{}: no heading {link}", page.at(line));
            }
        }
    }
    assert!(links > 50, "only {links} links were found");
}

fn every_page_is_in_the_index() {
    let index = pages::read("docs/README.md");
    let named: BTreeSet<PathBuf> =
        index.links().iter().map(|(_, link)| Path::new("docs").join(link)).collect();
    for page in pages::pages() {
        let is_index = page.path == index.path || page.path == "README.md";
        assert!(is_index || named.contains(Path::new(&page.path)), "docs/README.md lacks {}", page.path);
    }
}

fn files_that_are_named_exist() {
    let mut files = 0;
    for page in pages_and_others() {
        for (line, span) in page.spans() {
            if let Some(file) = file_named(&span) {
                files += 1;
                assert!(Path::new(ROOT).join(file).exists(), "{}: no file {file}", page.at(line));
            }
        }
    }
    assert!(files > 50, "only {files} files were found");
}

fn commands_that_are_named_exist() {
    for page in pages_and_others() {
        for (line, span) in page.spans() {
            let place = page.at(line);
            if let Some((_, targets)) = format!(" {span}").split_once(" make ") {
                targets.split_whitespace().for_each(|target| programs::is_made(&place, target));
            }
            programs::is_cargo_test(&place, &span);
        }
    }
}

/// What the tables of docs/architecture.md say that is in a file.
fn files_hold_what_the_architecture_says() {
    let page = pages::read("docs/architecture.md");
    let mut found = 0;
    for row in page.rows() {
        let files: Vec<String> = row.cells.iter().flat_map(|cell| spans(cell)).collect();
        let Some(file) = files.iter().find_map(|span| file_named(span)) else { continue };
        for column in ["look for", "in the code", "states", "in"] {
            let Some(cell) = row.cell(column) else { continue };
            for wanted in spans(cell).iter().filter(|span| file_named(span).is_none()) {
                found += 1;
                let text = fs::read_to_string(Path::new(ROOT).join(file))
                    .unwrap_or_else(|error| panic!("{}: {file}: {error}", page.at(row.line)));
                assert!(has_words(&text, wanted), "{}: no {wanted} in {file}", page.at(row.line));
            }
        }
    }
    assert!(found > 40, "only {found} names were found");
}

/// Whether a text has these words in a row, and not as parts of others.
fn has_words(text: &str, words: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(words).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + words.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// The tests that hold the promises.
fn tests_that_are_named_exist() {
    let mut sources = String::new();
    for folder in ["tests", "src"] {
        read_all(&Path::new(ROOT).join(folder), &mut sources);
    }
    let page = pages::read("docs/promises.md");
    let mut tests = 0;
    for row in page.rows() {
        let Some(cell) = row.cell("held by") else { continue };
        for name in spans(cell) {
            tests += 1;
            let there =
                sources.contains(&format!("fn {name}(")) || sources.contains(&format!("(\"{name}\","));
            assert!(there, "{}: no test {name}", page.at(row.line));
        }
    }
    assert!(tests > 60, "only {tests} tests were found");
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("it is readable") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("source is UTF-8"));
        }
    }
}

/// docs/statistics.md names every member and no other.
fn every_statistic_is_told() {
    let connector = Connector::open(r#"{"type": "memory"}"#, ()).expect("it opens");
    let statistics: Value = serde_json::from_str(&connector.statistics_json()).expect("it is JSON");
    let mut members = BTreeSet::new();
    flatten("", &statistics, &mut members);
    let mut told = BTreeSet::new();
    for row in pages::read("docs/statistics.md").rows() {
        let mut last = String::new();
        for span in spans(row.cell("member").expect("each row is of a member")) {
            // `.p90` is a neighbour of the one before it.
            if let (Some(_), Some((parent, _))) = (span.strip_prefix('.'), last.rsplit_once('.')) {
                last = format!("{parent}{span}");
            } else {
                last = span;
            }
            told.insert(last.clone());
        }
    }
    assert_eq!(told, members);
}

/// The paths of all values; the kinds of operations have the same members.
fn flatten(path: &str, value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let parts: Vec<&str> = name.split('.').collect();
                match parts.as_slice() {
                    ["operations", _] => {
                        into.insert(name.clone());
                        flatten("operations.*", value, into);
                    }
                    _ => flatten(&name, value, into),
                }
            }
        }
        _ => {
            into.insert(path.to_owned());
        }
    }
}
