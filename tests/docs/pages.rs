//! The pages, and what is in them: fenced blocks, code spans, links, headings, tables.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::ROOT;

/// A page of Markdown, by its path from the repository's root.
pub struct Page {
    pub path: String,
    pub text: String,
}

/// A fenced block, and what its program says: the block `text` right behind it.
pub struct Block {
    pub page: String,
    pub line: usize,
    pub language: String,
    /// The words behind the language.
    pub words: Vec<String>,
    pub text: String,
    pub output: Option<String>,
}

/// A row of a table: the names of its columns, and its cells.
pub struct Row {
    pub line: usize,
    pub columns: Vec<String>,
    pub cells: Vec<String>,
}

impl Row {
    /// The cell below this name; `None` where the table has no such column.
    pub fn cell(&self, column: &str) -> Option<&str> {
        let index = self.columns.iter().position(|name| name == column)?;
        self.cells.get(index).map(String::as_str)
    }
}

/// README.md and everything in docs/.
pub fn pages() -> Vec<Page> {
    let mut files = vec![PathBuf::from("README.md")];
    collect(Path::new("docs"), &mut files);
    files.iter().map(read).collect()
}

/// A single page.
pub fn read(file: impl AsRef<Path>) -> Page {
    let file = file.as_ref();
    let text = fs::read_to_string(Path::new(ROOT).join(file))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Page { path: file.to_str().expect("pages have names in ASCII").to_owned(), text }
}

/// All fenced blocks of all pages.
pub fn blocks() -> Vec<Block> {
    pages().iter().flat_map(Page::blocks).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(Path::new(ROOT).join(folder))
        .expect("docs/ is readable")
        .map(|entry| folder.join(entry.expect("docs/ is readable").file_name()))
        .collect();
    entries.sort();
    for entry in entries {
        if Path::new(ROOT).join(&entry).is_dir() {
            collect(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "md") {
            files.push(entry);
        }
    }
}

impl Page {
    /// Where a line is, for a message.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    /// The fenced blocks. A block `text` belongs to the program right before it.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open: Option<Block> = None;
        // Whether nothing but empty lines came since the last block.
        let mut follows = false;
        for (line, content) in (1..).zip(self.text.lines()) {
            match (&mut open, content.strip_prefix("```")) {
                (Some(_), Some(_)) => {
                    let block = open.take().expect("it is open");
                    let program = blocks.last_mut().filter(|program| follows && program.output.is_none());
                    match program {
                        Some(program) if block.language == "text" => program.output = Some(block.text),
                        _ => blocks.push(block),
                    }
                    follows = true;
                }
                (Some(block), None) => {
                    block.text.push_str(content);
                    block.text.push('\n');
                }
                (None, Some(info)) => {
                    let mut words = info.split_whitespace().map(str::to_owned);
                    open = Some(Block {
                        page: self.path.clone(),
                        line,
                        language: words.next().unwrap_or_default(),
                        words: words.collect(),
                        text: String::new(),
                        output: None,
                    });
                }
                (None, None) => follows &= content.trim().is_empty(),
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.path);
        blocks
    }

    /// The text without its blocks, line by line.
    fn prose(&self) -> Vec<&str> {
        let mut inside = false;
        self.text
            .lines()
            .map(|line| {
                let fence = line.starts_with("```");
                inside ^= fence;
                if inside || fence {
                    ""
                } else {
                    line
                }
            })
            .collect()
    }

    /// What stands between backquotes, with its line.
    pub fn spans(&self) -> Vec<(usize, String)> {
        let lines = (1..).zip(self.prose());
        lines.flat_map(|(line, text)| spans(text).into_iter().map(move |span| (line, span))).collect()
    }

    /// Where links lead, with their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (line, text) in (1..).zip(self.prose()) {
            for piece in text.split("](").skip(1) {
                if let Some((target, _)) = piece.split_once(')') {
                    links.push((line, target.to_owned()));
                }
            }
        }
        links
    }

    /// The anchors of the headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self.prose().into_iter().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }

    /// The rows of all tables.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut columns: Vec<String> = Vec::new();
        for (line, text) in (1..).zip(self.prose()) {
            let Some(inner) = text.strip_prefix('|').and_then(|text| text.strip_suffix('|')) else {
                columns.clear();
                continue;
            };
            let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
            if columns.is_empty() {
                columns = cells;
            } else if !inner.starts_with("---") {
                rows.push(Row { line, columns: columns.clone(), cells });
            }
        }
        rows
    }
}

impl Block {
    /// Where it is, for a message.
    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    pub fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }
}

/// What stands between backquotes in a line or a cell.
pub fn spans(text: &str) -> Vec<String> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].len() - rest[start..].trim_start_matches('`').len();
        let fence = &rest[start..start + ticks];
        rest = &rest[start + ticks..];
        let Some(end) = rest.find(fence) else { break };
        spans.push(rest[..end].trim().to_owned());
        rest = &rest[end + ticks..];
    }
    spans
}

fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Whether a code span names a file of ours; of a command its first word counts.
pub fn file_named(span: &str) -> Option<&str> {
    const FOLDERS: [&str; 8] =
        ["src/", "tests/", "bindings/", "include/", "examples/", "bench/", "demo/", "docs/"];
    let word = span.split_whitespace().next()?;
    let is_path = word.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
    // A NAME is for the reader to fill in.
    let is_named = FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains("NAME");
    (is_path && is_named).then_some(word)
}
