//! The rooms of the house, and who may import whom: no two files import each other, and each
//! folder of `src/` knows only what lies below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::harness::{test, Test};
use crate::support::ROOT;

/// Every test.
pub const TESTS: &[Test] = &[
    test!(no_two_files_import_each_other),
    test!(no_room_knows_what_lies_above_it),
    test!(nothing_but_databases_is_in_backends),
    test!(what_these_tests_forbid_is_seen),
];

/// The source text of each module of a crate, by its path: `records::hash`. The crate's root is
/// the empty path.
type Modules = BTreeMap<String, String>;

/// For each module that imports: from whom, and which names.
type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A backend that is made of others.
const MADE_OF: (&str, [&str; 2]) = ("elasticache", ["redis", "memcached"]);

/// What the engine knows nothing of.
const ABOVE_THE_ENGINE: [&str; 4] = ["backends", "net", "records", "capi"];

fn read(root: &Path) -> Modules {
    let mut modules = Modules::new();
    read_folder(root, &mut Vec::new(), &mut modules);
    modules
}

fn read_folder(folder: &Path, place: &mut Vec<String>, modules: &mut Modules) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            place.push(name);
            read_folder(&path, place, modules);
            place.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let mut module = place.clone();
            if name != "mod" && name != "lib" {
                module.push(name);
            }
            modules.insert(module.join("::"), fs::read_to_string(&path).unwrap());
        }
    }
}

/// Code without comments, and without what stands in quotes.
fn code_of(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let at = |index: usize| letters.get(index).copied().unwrap_or('\n');
    let mut code = String::with_capacity(text.len());
    let mut index = 0;
    while index < letters.len() {
        let hashes = letters[index + 1..].iter().take_while(|letter| **letter == '#').count();
        let is_raw = at(index) == 'r' && at(index + 1 + hashes) == '"' && !code.ends_with(is_of_name);
        match (at(index), at(index + 1)) {
            ('/', '/') => index += letters[index..].iter().take_while(|letter| **letter != '\n').count(),
            ('r', _) if is_raw => {
                let end: Vec<char> = std::iter::once('"').chain("#".repeat(hashes).chars()).collect();
                index += hashes + 2;
                while index < letters.len() && !letters[index..].starts_with(&end) {
                    index += 1;
                }
                index += end.len();
            }
            ('"', _) => {
                index += 1;
                while at(index) != '"' && index < letters.len() {
                    index += if at(index) == '\\' { 2 } else { 1 };
                }
                index += 1;
            }
            // A letter in quotes; else it is a lifetime.
            ('\'', '\\') => index += 3 + letters[index + 3..].iter().take_while(|c| **c != '\'').count() + 1,
            ('\'', _) if at(index + 2) == '\'' => index += 3,
            (letter, _) => {
                code.push(letter);
                index += 1;
            }
        }
    }
    code
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Code without the modules that are compiled for tests alone.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("mod tests {") {
        let is_test = rest[..at].rfind(['}', ';']).map_or(&rest[..at], |end| &rest[end..at]).contains("test");
        let end = if is_test { end_of_block(&rest[at..]) } else { "mod tests {".len() };
        kept.push_str(&rest[..at]);
        if !is_test {
            kept.push_str(&rest[at..at + end]);
        }
        rest = &rest[at + end..];
    }
    kept + rest
}

/// Where the first block in some code ends.
fn end_of_block(code: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in code.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The paths that a `use` brings: `a::{b, c::d}` are `a::b` and `a::c::d`.
fn paths_of(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split_whitespace().collect()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut depth = 0;
    let branches = inner.split(|letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    let branches = branches.filter(|branch| !branch.trim().is_empty());
    branches.flat_map(|branch| paths_of(&format!("{}{}", before.trim(), branch.trim()))).collect()
}

/// Every path with `::` in some code.
fn paths_in(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(begin) = rest.find(is_of_name) {
        rest = &rest[begin..];
        let mut length = 0;
        loop {
            length += rest[length..].find(|letter| !is_of_name(letter)).unwrap_or(rest.len() - length);
            match rest[length..].strip_prefix("::") {
                Some(after) if after.starts_with(is_of_name) => length += 2,
                _ => break,
            }
        }
        if rest[..length].contains("::") {
            paths.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    paths
}

/// The module that a path leads into.
fn target(from: &str, path: &str, modules: &Modules) -> Option<String> {
    let mut parts = path.split("::").peekable();
    let mut place: Vec<&str> = from.split("::").filter(|part| !part.is_empty()).collect();
    match *parts.peek()? {
        "crate" => {
            place.clear();
            parts.next();
        }
        "self" => drop(parts.next()),
        "super" => {
            while parts.next_if_eq(&"super").is_some() {
                place.pop();
            }
        }
        child => {
            place.push(child);
            let is_child = modules.contains_key(&place.join("::"));
            place.pop();
            if !is_child {
                return None;
            }
        }
    }
    for part in parts {
        place.push(part);
        if !modules.contains_key(&place.join("::")) {
            place.pop();
            break;
        }
    }
    Some(place.join("::"))
}

fn imports_of(modules: &Modules) -> Imports {
    let mut imports = Imports::new();
    for (module, text) in modules {
        let code = without_tests(&code_of(text));
        let mut paths = Vec::new();
        let mut others = String::new();
        let mut rest = code.as_str();
        while let Some(at) = rest.find("use ") {
            let is_word = !rest[..at].ends_with(is_of_name);
            let end = if is_word { rest[at..].find(';').unwrap_or(4) } else { 4 };
            others.push_str(&rest[..at]);
            others.push('\n');
            if is_word {
                paths.extend(paths_of(&rest[at + 4..at + end]));
            }
            rest = &rest[at + end..];
        }
        others.push_str(rest);
        // Who may see something is no import.
        let mut seen = others.split("pub(in ");
        paths.extend(seen.next().into_iter().flat_map(paths_in));
        paths.extend(seen.flat_map(|part| paths_in(part.split_once(')').map_or(part, |(_, after)| after))));
        for path in paths {
            if let Some(target) = target(module, &path, modules).filter(|target| target != module) {
                imports.entry(module.clone()).or_default().entry(target).or_default().insert(path);
            }
        }
    }
    imports
}

/// The pairs of modules that import each other, with what they import.
fn pairs(imports: &Imports) -> Vec<String> {
    let mut found = Vec::new();
    for (one, targets) in imports {
        for (other, names) in targets.range(one.clone()..) {
            if let Some(back) = imports.get(other).and_then(|targets| targets.get(one)) {
                found.push(format!("{one} and {other}: {names:?} and {back:?}"));
            }
        }
    }
    found
}

/// Whether a module is another one or below it.
fn is_in(module: &str, folder: &str) -> bool {
    module.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The backend that a module belongs to.
fn backend_of(module: &str) -> Option<&str> {
    module.strip_prefix("backends::")?.split("::").next()
}

/// Why a module may not import from another one, if it may not.
fn objection(from: &str, to: &str) -> Option<&'static str> {
    if is_in(from, "core") && ABOVE_THE_ENGINE.iter().any(|room| is_in(to, room)) {
        return Some("the engine knows nothing of what is built on it");
    }
    if (is_in(from, "net") || is_in(from, "records")) && is_in(to, "backends") {
        return Some("what backends share knows none of them");
    }
    match (backend_of(from), backend_of(to)) {
        (Some(one), Some(other)) if one == MADE_OF.0 && MADE_OF.1.contains(&other) => None,
        (Some(one), Some(other)) if one != other => Some("a backend knows no other one"),
        _ => None,
    }
}

fn trespasses(imports: &Imports) -> Vec<String> {
    let mut found = Vec::new();
    for (from, targets) in imports {
        for (to, names) in targets {
            if let Some(reason) = objection(from, to) {
                found.push(format!("{from} imports {names:?} of {to}: {reason}"));
            }
        }
    }
    found
}

fn expect_none(found: &[String]) {
    let list = found.iter().fold(String::new(), |mut list, line| {
        let _ = writeln!(list, "  {line}");
        list
    });
    assert!(found.is_empty(), "\n{list}");
}

fn source(folder: &str) -> Modules {
    read(&Path::new(ROOT).join(folder))
}

fn no_two_files_import_each_other() {
    for folder in ["src", "bindings/node/src"] {
        let imports = imports_of(&source(folder));
        assert!(imports.len() > 3, "{folder} is not read");
        expect_none(&pairs(&imports));
    }
}

fn no_room_knows_what_lies_above_it() {
    let imports = imports_of(&source("src"));
    // Where this is not seen, nothing else is.
    assert!(imports["backends::elasticache"].keys().any(|target| is_in(target, "backends::redis")));
    expect_none(&trespasses(&imports));
}

fn nothing_but_databases_is_in_backends() {
    let folder = Path::new(ROOT).join("src/backends");
    let list = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let others = fs::read_dir(folder).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name != "mod" && !list.contains(&format!("(\"{name}\", \""))).then_some(name)
    });
    expect_none(&others.collect::<Vec<_>>());
}

fn what_these_tests_forbid_is_seen() {
    let made_up = |files: &[(&str, &str)]| -> Modules {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    let modules = made_up(&[
        ("", "mod one; pub use one::Thing;"),
        ("one", "use crate::two::{self, Other as Another, deep::{Most, Least}};\npub struct Thing;"),
        ("two", "pub struct Other(super::one::Thing);\nmod deep;"),
        ("two::deep", "pub(in crate::two) struct Most; // use super::Other;"),
        ("three", "const URL: &str = \"https://x use crate::four::A;\"; fn f() { crate::four::g() }"),
        ("four", "const QUOTE: char = '\"';\npub fn g() {}\n#[cfg(test)]\nmod tests {\n    use crate::three::A;\n}"),
        ("five", "mod inner; fn f(a: inner::Part) {}"),
        ("five::inner", "#[cfg(test)]\nmod tests {}\nuse super::*;"),
    ]);
    let imports = imports_of(&modules);
    let found = pairs(&imports);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("five and five::inner: ") && found[0].contains("inner::Part"));
    assert!(found[1].starts_with("one and two: ") && found[1].contains("super::one::Thing"));
    assert_eq!(imports["three"].keys().collect::<Vec<_>>(), ["four"]);
    assert!(imports["one"].contains_key("two::deep") && !imports.contains_key("four"));

    let modules = made_up(&[
        ("backends", ""),
        ("core", ""),
        ("net", ""),
        ("records", ""),
        ("core::engine", "fn f() { crate::net::stream::dial() }"),
        ("net::stream", "use crate::backends::redis::wire;"),
        ("records::hash", "use crate::core::engine;"),
        ("backends::redis", "use super::mysql;"),
        ("backends::redis::wire", "use super::super::redis;"),
        ("backends::mysql", "use crate::records::hash;"),
        ("backends::elasticache", "use crate::backends::redis::wire;"),
    ]);
    let found = trespasses(&imports_of(&modules));
    assert_eq!(found.len(), 3, "{found:?}");
    for (line, begin) in
        found.iter().zip(["backends::redis imports", "core::engine imports", "net::stream imports"])
    {
        assert!(line.starts_with(begin), "{line}");
    }
}
