//! The README's tables of options are those of the code. `UPDATE_README=1` writes them.

use std::fmt::Write;
use std::path::Path;

use deepstream_connector::backends::ENTRIES;
use deepstream_connector::config::{OptionKind, OptionSpec, COMMON};

use crate::harness::{test, Test};
use crate::support::ROOT;

/// Every test.
pub const TESTS: &[Test] = &[test!(the_readme_has_every_option)];

fn table(specs: &[OptionSpec]) -> String {
    let mut table = String::from("| option | default | meaning |\n|---|---|---|\n");
    for spec in specs {
        let default = match spec.default {
            word if word.chars().all(|c| c.is_ascii_digit() || c == '.') => format!("`{word}`"),
            word => word.to_owned(),
        };
        let choices = match spec.kind {
            OptionKind::Choice(words) => format!(" One of `{}`.", words.join("`, `")),
            _ => String::new(),
        };
        writeln!(table, "| `{}` | {default} | {}{choices} |", spec.name, spec.meaning).unwrap();
    }
    table
}

fn sections() -> Vec<(String, String)> {
    let mut sections = vec![("common".to_owned(), table(COMMON))];
    for (index, entry) in ENTRIES.iter().enumerate() {
        // Another name for the same backend has no section of its own.
        if ENTRIES[..index].iter().any(|other| std::ptr::eq(other.options, entry.options)) {
            continue;
        }
        sections.push((entry.name.to_owned(), table(entry.options)));
        for option in entry.options {
            if let OptionKind::FlagOrObject(inner) | OptionKind::Object(inner) = option.kind {
                // Several options may have the same inside.
                let inner = table(inner);
                if sections.iter().any(|(_, known)| *known == inner) {
                    continue;
                }
                let name = match sections.iter().any(|(known, _)| known == option.name) {
                    true => format!("{} of {}", option.name, entry.name),
                    false => option.name.to_owned(),
                };
                sections.push((name, inner));
            }
        }
    }
    sections
}

fn the_readme_has_every_option() {
    let path = Path::new(ROOT).join("README.md");
    let mut readme = std::fs::read_to_string(&path).unwrap();
    for (name, table) in sections() {
        let (begin, end) = (format!("<!-- options of {name} -->\n"), format!("<!-- end of {name} -->"));
        let from =
            readme.find(&begin).unwrap_or_else(|| panic!("README.md has no place for {name}: {begin}"))
                + begin.len();
        let to = from + readme[from..].find(&end).unwrap_or_else(|| panic!("README.md lacks {end}"));
        if std::env::var_os("UPDATE_README").is_some() {
            readme.replace_range(from..to, &table);
        } else {
            assert_eq!(
                readme[from..to],
                table,
                "README.md is old; run UPDATE_README=1 cargo test --release --features full -p deepstream-connector-tests readme"
            );
        }
    }
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, readme).unwrap();
    }
}
