//! The tables that follow from the code. `UPDATE_DOCS=1` writes them.

use std::fmt::Write;
use std::path::Path;

use deepstream_connector::backends::ENTRIES;
use deepstream_connector::config::{aliases, OptionKind, OptionSpec, COMMON};
use deepstream_connector::core::{Error, ErrorCode};

use super::pages::{self, Page};
use crate::support::ROOT;

/// A table, and between which two lines of a page it stands.
struct Table {
    page: String,
    begin: String,
    end: String,
    text: String,
}

/// Holds all tables against the pages, or writes them there.
pub fn compare() {
    for table in option_tables().into_iter().chain([error_codes()]) {
        let Page { path, text: mut page } = pages::read(&table.page);
        let from =
            page.find(&table.begin).unwrap_or_else(|| panic!("{path} has no place for {}", table.begin))
                + table.begin.len();
        let to = from + page[from..].find(&table.end).unwrap_or_else(|| panic!("{path} lacks {}", table.end));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            page.replace_range(from..to, &table.text);
            std::fs::write(Path::new(ROOT).join(&path), page).expect("docs/ is writable");
        } else {
            assert_eq!(
                page[from..to],
                table.text,
                "{path} is old; run UPDATE_DOCS=1 cargo test --release --features full -p deepstream-connector-tests docs"
            );
        }
    }
}

/// The options of all connectors and of each backend, and of the objects among them.
fn option_tables() -> Vec<Table> {
    let mut tables = vec![options("docs/options.md".to_owned(), "common", COMMON)];
    for (index, entry) in ENTRIES.iter().enumerate() {
        // Another name for the same backend has no page of its own.
        if ENTRIES[..index].iter().any(|other| std::ptr::eq(other.options, entry.options)) {
            continue;
        }
        let page = format!("docs/backends/{}.md", entry.name);
        tables.push(options(page.clone(), entry.name, entry.options));
        for option in entry.options {
            if let OptionKind::FlagOrObject(inner)
            | OptionKind::FlagObjectOrWord(inner, _)
            | OptionKind::Object(inner) = option.kind
            {
                let page = if option.name == "tls" { "docs/options.md".to_owned() } else { page.clone() };
                let inner = options(page, option.name, inner);
                // Several options may have the same inside.
                if tables.iter().any(|known| known.text == inner.text) {
                    continue;
                }
                let is_taken = tables.iter().any(|known| known.begin == inner.begin);
                tables.push(match is_taken {
                    true => Table {
                        begin: format!("<!-- options of {} of {} -->\n", option.name, entry.name),
                        end: format!("<!-- end of {} of {} -->", option.name, entry.name),
                        ..inner
                    },
                    false => inner,
                });
            }
        }
    }
    tables
}

fn options(page: String, name: &str, specs: &[OptionSpec]) -> Table {
    let mut text = String::from("| option | default | meaning |\n|---|---|---|\n");
    for spec in specs {
        let default = match spec.default {
            word if word.chars().all(|c| c.is_ascii_digit() || c == '.') => format!("`{word}`"),
            word => word.to_owned(),
        };
        let choices = match spec.kind {
            OptionKind::Choice(words) => format!(" One of `{}`.", words.join("`, `")),
            OptionKind::Secret => " It may [change](../options.md#secrets-that-change).".to_owned(),
            _ => String::new(),
        };
        let others: String = aliases(spec.name, specs).map(|other| format!(", `{other}`")).collect();
        writeln!(text, "| `{}`{others} | {default} | {}{choices} |", spec.name, spec.meaning)
            .expect("text can be written");
    }
    Table {
        page,
        begin: format!("<!-- options of {name} -->\n"),
        end: format!("<!-- end of {name} -->"),
        text,
    }
}

/// The error codes, with the meaning that stands beside each in the code.
fn error_codes() -> Table {
    let source = std::fs::read_to_string(Path::new(ROOT).join("src/core/error.rs")).expect("it is readable");
    let mut text = String::from("| code | number | means | retryable |\n|---|---|---|---|\n");
    for code in ErrorCode::ALL {
        let meaning = comment_before(&source, &format!("    {code:?} = {},", code as i32));
        let retryable = if Error::new(code, "").is_retryable() { "yes" } else { "no" };
        writeln!(text, "| `{}` | {} | {meaning} | {retryable} |", code.name(), code as i32)
            .expect("text can be written");
    }
    Table {
        page: "docs/errors.md".to_owned(),
        begin: "<!-- error codes -->\n".to_owned(),
        end: "<!-- end of error codes -->".to_owned(),
        text,
    }
}

/// The comment above a line of the source, in one line.
fn comment_before(source: &str, line: &str) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let at = lines.iter().position(|other| *other == line).unwrap_or_else(|| panic!("no line {line}"));
    let comment = lines[..at].iter().rev().map_while(|line| line.trim().strip_prefix("/// "));
    let mut comment: Vec<&str> = comment.collect();
    comment.reverse();
    assert!(!comment.is_empty(), "{line} has no comment");
    comment.join(" ")
}
