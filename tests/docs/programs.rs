//! Runs the programs of the pages and holds what they print against what stands beside them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::pages::Block;
use crate::harness::skip;
use crate::support::workshop::{succeed, Workshop};
use crate::support::{is_here, ROOT};

/// Runs a command that must succeed, and returns what it printed.
pub fn output(command: &mut Command) -> String {
    let output = succeed(command.stdin(Stdio::null())).unwrap_or_else(|failure| panic!("{failure}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a program is to print: the block behind it, else the comments behind its printing lines.
fn expected(block: &Block) -> String {
    if let Some(output) = &block.output {
        return output.clone();
    }
    let printing = block.text.lines().filter(|line| line.contains("console.log(") || line.contains("print("));
    let comments = printing.map(|line| {
        let comment = line.rsplit_once(" // ").or_else(|| line.rsplit_once("  # "));
        let Some((_, comment)) = comment else { panic!("{}: what does it print? {line}", block.place()) };
        comment.trim()
    });
    let comments: Vec<&str> = comments.collect();
    assert!(!comments.is_empty(), "{}: it prints nothing", block.place());
    comments.join("\n")
}

/// Compares line by line; `…` in a line stands for anything.
pub fn assert_printed(block: &Block, printed: &str) {
    let expected = expected(block);
    let (printed, expected) = (printed.trim(), expected.trim());
    let same = printed.lines().count() == expected.lines().count()
        && printed.lines().zip(expected.lines()).all(|(line, pattern)| matches(line.trim_end(), pattern));
    assert!(same, "{} printed:\n{printed}\nand not:\n{expected}", block.place());
}

fn matches(line: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let Some(last) = pattern.rsplit_once('…').map(|(_, last)| last) else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    line.len() >= first.len() + last.len() && line.ends_with(last)
}

/// Skips the test where something is missing that it needs.
fn need(what: &str, there: bool) {
    if !there {
        skip(format!("{what} is missing"));
    }
}

pub fn javascript(block: &Block) {
    let addon = Path::new(ROOT).join("bindings/node/deepstream-connector.node");
    need("node", is_here("node"));
    need("the addon (make node)", addon.exists());
    let folder = folder();
    let modules = folder.path().join("node_modules");
    fs::create_dir(&modules).expect("folders can be made");
    std::os::unix::fs::symlink(Path::new(ROOT).join("bindings/node"), modules.join("deepstream-connector"))
        .expect("links can be made");
    fs::write(folder.path().join("program.js"), &block.text).expect("files can be written");
    assert_printed(block, &output(Command::new("node").arg("program.js").current_dir(folder.path())));
}

pub fn python(block: &Block, workshop: &Workshop) {
    need("python3", is_here("python3"));
    let folder = folder();
    fs::write(folder.path().join("program.py"), &block.text).expect("files can be written");
    let mut python = Command::new("python3");
    python
        .arg("program.py")
        .env("CONNECTOR_LIBRARY", workshop.library())
        .env("PYTHONPATH", Path::new(ROOT).join("bindings/python"))
        .current_dir(folder.path());
    assert_printed(block, &output(&mut python));
}

/// Programs in C and C++.
pub fn compiled(block: &Block, workshop: &Workshop) {
    let (compiler, standard) = match block.language.as_str() {
        "c" => ("cc", "-std=c11"),
        _ => ("c++", "-std=c++17"),
    };
    need(compiler, is_here(compiler));
    let folder = folder();
    let source = folder.path().join(format!("program.{}", block.language));
    fs::write(&source, &block.text).expect("files can be written");
    let source = source.to_str().expect("the folder's name is UTF-8");
    let program = workshop.compile(compiler, source, &[standard, "-D_POSIX_C_SOURCE=200809L"]);
    assert_printed(block, &output(&mut Command::new(program.unwrap_or_else(|failure| panic!("{failure}")))));
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("the system has room for a folder")
}

/// Commands for a shell at the root of the repository. Those of `make`, `cargo` and `npm` are
/// held against what there is, the others are run against the library of this very build.
pub fn commands(block: &Block, workshop: &Workshop) {
    let library = workshop.library();
    let folder = library.parent().and_then(Path::to_str).expect("the folder's name is UTF-8");
    let mut script = String::from("set -e\n");
    let mut runs = false;
    for line in block.text.replace("\\\n", " ").lines() {
        let line = line.split("  #").next().unwrap_or_default().trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["make", targets @ ..] => targets.iter().for_each(|target| is_made(&block.place(), target)),
            ["npm", "install", packages @ ..] => {
                for package in packages {
                    let path = package.trim_start_matches("/path/to/deepstream-connector/");
                    let manifest = Path::new(ROOT).join(path).join("package.json");
                    assert!(manifest.exists(), "{}: no package in {path}", block.place());
                }
            }
            [_, "cargo", "test", ..] => is_cargo_test(&block.place(), line),
            [first, ..] if matches!(*first, "cc" | "c++") => {
                need(first, is_here(first));
                runs = true;
                script += &format!("{}\n", here(line, folder));
            }
            [first, second, ..] if first.starts_with("LD_LIBRARY_PATH=") && *second == "python3" => {
                need("python3", is_here("python3"));
                runs = true;
                script += &format!("{}\n", here(line, folder));
            }
            ["target/first" | "target/queue"] => script += &format!("{}\n", here(line, folder)),
            _ => panic!("{}: there is no check for {line}", block.place()),
        }
    }
    if runs {
        assert_printed(block, &output(Command::new("sh").args(["-c", &script]).current_dir(ROOT)));
    }
}

/// What is built for a release lies elsewhere in a test.
fn here(line: &str, folder: &str) -> String {
    let line = line.replace("target/release", folder);
    ["first", "queue"].into_iter().fold(line, |line, program| {
        line.replace(&format!("target/{program}"), &format!("{folder}/{program}"))
    })
}

/// Whether the Makefile has a target; a variable that it is given is none.
pub fn is_made(place: &str, target: &str) {
    if target.contains('=') {
        return;
    }
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).expect("it is readable");
    let rule = format!("{target}:");
    assert!(makefile.lines().any(|line| line.starts_with(&rule)), "{place}: no target {target}");
}

/// Whether the tests that a command of Cargo's names are there.
pub fn is_cargo_test(place: &str, command: &str) {
    let Some((_, rest)) = command.split_once("-p deepstream-connector-tests") else { return };
    let Some(name) = rest.split_whitespace().find(|word| !word.starts_with('-') && *word != "WORDS") else {
        return;
    };
    let file = Path::new(ROOT).join("tests").join(format!("{name}.rs"));
    assert!(file.exists(), "{place}: no tests {name}");
}
