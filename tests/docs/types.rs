//! The options as TypeScript has them, from their declarations. `UPDATE_DOCS=1` writes the file.

use std::fmt::Write;
use std::path::Path;

use deepstream_connector::backends::ENTRIES;
use deepstream_connector::config::{aliases, OptionKind, OptionSpec, COMMON};

use crate::support::ROOT;

const FILE: &str = "bindings/node/options.d.ts";

const HEAD: &str = "// The options, written by the tests from their declarations in Rust (tests/docs/types.rs).

/** A number, or its digits as an environment variable has them. */
type Digits = number | `${number}`

type Flag = boolean | 'true' | 'false'

interface Place { host?: string | null, port?: Digits | null }

/** As it is, or where it is to be had; `every` in milliseconds. */
type Secret = string | number | { file: string } | { command: ReadonlyArray<string>, every?: number }

interface Node extends Place { user?: string | null, username?: string | null, password?: string | number | null }

";

/// Holds the file against the declarations, or writes it.
pub fn compare() {
    let text = written();
    let path = Path::new(ROOT).join(FILE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, text).expect("bindings/node/ is writable");
        return;
    }
    assert_eq!(
        std::fs::read_to_string(path).expect("it is readable"),
        text,
        "{FILE} is old; run UPDATE_DOCS=1 cargo test --release --features full -p deepstream-connector-tests docs"
    );
}

fn written() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("/** What every connector has. */\nexport interface Common {\n");
    let is_own = |spec: &&OptionSpec| spec.name != "type";
    members(&mut text, COMMON.iter().filter(is_own), COMMON, "  ", false);
    text.push_str("}\n\n");
    for entry in ENTRIES {
        let name = interface(entry.name);
        writeln!(text, "export interface {name} extends Common {{\n  type: '{}'", entry.name)
            .expect(WRITABLE);
        members(&mut text, entry.options.iter(), entry.options, "  ", false);
        text.push_str("}\n\n");
    }
    let names: Vec<String> = ENTRIES.iter().map(|entry| interface(entry.name)).collect();
    writeln!(text, "export type Options = {}", names.join(" | ")).expect(WRITABLE);
    text
}

const WRITABLE: &str = "text can be written";

fn interface(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("{}{rest}Options", first.to_uppercase())
}

fn members<'a>(
    text: &mut String,
    specs: impl Iterator<Item = &'a OptionSpec>,
    all: &[OptionSpec],
    indent: &str,
    holds_certificates: bool,
) {
    for spec in specs {
        let kind = kind(spec, indent, holds_certificates);
        let meaning = spec.meaning.replace("*/", "* /");
        let default = match spec.default {
            "" | "–" => String::new(),
            word => format!(" Default: {word}."),
        };
        writeln!(text, "{indent}/** {meaning}{default} */").expect(WRITABLE);
        writeln!(text, "{indent}{}?: {kind} | null", property(spec.name)).expect(WRITABLE);
        for other in aliases(spec.name, all) {
            writeln!(text, "{indent}/** As `{}`. */", spec.name).expect(WRITABLE);
            writeln!(text, "{indent}{}?: {kind} | null", property(other)).expect(WRITABLE);
        }
    }
}

fn property(name: &str) -> String {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word {
        name.to_owned()
    } else {
        format!("'{name}'")
    }
}

fn kind(spec: &OptionSpec, indent: &str, holds_certificates: bool) -> String {
    let object = |inner: &[OptionSpec]| {
        let mut text = String::from("{\n");
        members(&mut text, inner.iter(), inner, &format!("{indent}  "), spec.name == "tls");
        format!("{text}{indent}}}")
    };
    match spec.kind {
        OptionKind::Text if holds_certificates => "string | number | Uint8Array".to_owned(),
        OptionKind::Text => "string | number".to_owned(),
        OptionKind::Secret => "Secret".to_owned(),
        OptionKind::Integer(..) => "Digits".to_owned(),
        OptionKind::Flag => "Flag".to_owned(),
        OptionKind::Choice(words) => literals(words),
        OptionKind::Object(inner) => object(inner),
        OptionKind::FlagOrObject(inner) => format!("Flag | {}", object(inner)),
        OptionKind::FlagObjectOrWord(inner, words) => {
            format!("Flag | {} | {}", literals(words), object(inner))
        }
        OptionKind::Host | OptionKind::Hosts => "string".to_owned(),
        OptionKind::Servers => "string | ReadonlyArray<string | Place> | Record<string, number>".to_owned(),
        OptionKind::Nodes => "string | ReadonlyArray<string | Node> | Record<string, number>".to_owned(),
        OptionKind::AddressMap => "Record<string, string | Place>".to_owned(),
        OptionKind::Unused => "unknown".to_owned(),
    }
}

fn literals(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" | ")
}
