//! `diff`: how two databases differ, a line for each record.

use std::collections::VecDeque;
use std::time::Duration;

use deepstream_connector::core::{ErrorCode, Key, Record};
use deepstream_connector::Handle;
use serde_json::{json, Value};

use crate::cli::DiffArgs;
use crate::config;
use crate::connection::Connection;
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::listing::Listing;
use crate::output::{shown, Output};
use crate::progress::Progress;
use crate::reads::{self, Found, Reading};
use crate::same;

/// So many pages are asked for at once.
const PAGES: usize = 3;

/// The signs, as rclone has them.
const SIGNS: [(char, &str); 5] =
    [('=', "equal"), ('-', "onlyInTo"), ('+', "onlyInFrom"), ('*', "different"), ('!', "failed")];

pub fn diff(arguments: &DiffArgs) -> Result<Exit, Failure> {
    let from = config::spec(&arguments.pair.from, arguments.pair.from_section)?;
    let to = config::spec(&arguments.pair.to, arguments.pair.to_section)?;
    let connections = (Connection::open(&from)?, Connection::open(&to)?);
    let mut differing = Differing {
        arguments,
        patience: Duration::from_secs_f64(arguments.patience),
        output: Output::new(),
        counts: [0; 5],
        progress: Progress::begin("comparing", 0, None),
        seen: 0,
    };
    differing.all(connections.0.handle(), connections.1.handle(), false)?;
    match differing.all(connections.1.handle(), connections.0.handle(), true) {
        Err(failure) if failure.code == ErrorCode::Unsupported.name() => {
            console().warn("the target cannot list its records, so that those only there are not seen");
        }
        done => done?,
    }
    let Differing { mut output, mut counts, progress, .. } = differing;
    drop(progress);
    // What a listing leaves out cannot be read.
    let omissions = connections.0.close().len() + connections.1.close().len();
    counts[4] += omissions as u64;
    if console().json() {
        let counts =
            SIGNS.iter().zip(counts).map(|((_, name), count)| ((*name).to_owned(), Value::from(count)));
        output.json(&json!({"counts": counts.collect::<serde_json::Map<_, _>>()}))?;
        output.finish()?;
    } else {
        output.finish()?;
        let words: Vec<String> =
            SIGNS.iter().zip(counts).map(|((sign, _), count)| format!("{count} {sign}")).collect();
        console().remark(&words.join(", "));
    }
    Ok(match counts {
        [_, .., failed] if failed > 0 => Exit::Failed,
        [_, 0, 0, 0, _] => Exit::Done,
        _ => Exit::No,
    })
}

struct Differing<'a> {
    arguments: &'a DiffArgs,
    patience: Duration,
    output: Output,
    counts: [u64; 5],
    progress: Progress,
    seen: u64,
}

impl Differing<'_> {
    /// Looks for all records of one side on the other. The way back looks only for what is missing.
    fn all(&mut self, one: &Handle, other: &Handle, is_back: bool) -> Result<(), Failure> {
        let mut pages: VecDeque<(Vec<(Key, Record)>, Reading)> = VecDeque::new();
        let mut listing = Listing::begin(one, &self.arguments.prefix, None, self.patience);
        loop {
            let part = listing.next()?;
            let is_end = part.is_none();
            if let Some(part) = part {
                let keys = part.records.iter().map(|(key, _)| key.clone()).collect();
                pages.push_back((part.records, reads::ask(other, keys, self.patience)));
            }
            while pages.len() > if is_end { 0 } else { PAGES } {
                let Some((records, reading)) = pages.pop_front() else { break };
                for ((key, record), found) in records.into_iter().zip(reading.wait()?) {
                    self.seen += 1;
                    if is_back {
                        if matches!(found, Ok(None)) {
                            self.tell(1, &key, None, Some(record.version))?;
                        }
                    } else {
                        self.compare(&key, &record, &found)?;
                    }
                }
                self.progress.at(self.seen);
            }
            if is_end {
                return Ok(());
            }
        }
    }

    fn compare(&mut self, key: &str, record: &Record, found: &Found) -> Result<(), Failure> {
        match found {
            Ok(Some(there)) => {
                let sign = if same::records(record, there) { 0 } else { 3 };
                self.tell(sign, key, Some(record.version), Some(there.version))
            }
            Ok(None) => self.tell(2, key, Some(record.version), None),
            Err(_) => self.tell(4, key, Some(record.version), None),
        }
    }

    fn tell(&mut self, sign: usize, key: &str, from: Option<i64>, to: Option<i64>) -> Result<(), Failure> {
        self.counts[sign] += 1;
        if sign == 0 && !self.arguments.all {
            return Ok(());
        }
        let sign = SIGNS[sign].0;
        if console().json() {
            self.output.json(&json!({"sign": sign, "key": key, "fromVersion": from, "toVersion": to}))
        } else {
            self.output.text(&format!("{sign} {}", shown(key)))
        }
    }
}
