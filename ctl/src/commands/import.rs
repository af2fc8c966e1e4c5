//! `import`: stores the records of lines of JSON.

use std::time::Duration;

use deepstream_connector::core::{Key, Record};
use serde_json::json;

use crate::cli::ImportArgs;
use crate::config;
use crate::connection::Connection;
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::files::Text;
use crate::lines::{self, Lines};
use crate::progress::Progress;
use crate::rejects::Rejects;
use crate::writes::{Settled, Writes};

/// So many records, or bytes, are read before they are stored.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

pub fn import(arguments: &ImportArgs) -> Result<Exit, Failure> {
    let name = arguments.file.as_str();
    let target = config::one(&arguments.connection)?;
    let failed = |error| Failure::file(if name == "-" { "standard input" } else { name }, &error);
    let mut file = Text::open(name).map_err(failed)?;
    let mut text = Lines::new(file.take_reader());
    let mut rejects = Rejects::begin(&arguments.rejects)?;
    let connection = Connection::open(&target)?;
    let mut writes = Writes::new(connection.handle(), Duration::from_secs_f64(arguments.patience));
    let mut progress = Progress::begin("importing", 0, None);
    let mut stored = 0;
    let mut note = |rejects: &mut Rejects, settled: Settled<()>| -> Result<(), Failure> {
        stored += settled.stored;
        progress.of(file.estimate(stored));
        progress.at(stored);
        settled
            .rejected
            .iter()
            .try_for_each(|(key, error)| rejects.record(key, error.code().name(), error.message()))
    };
    loop {
        let mut group: Vec<(Key, Record)> = Vec::new();
        let mut bytes = 0;
        let mut is_end = false;
        while group.len() < RECORDS && bytes < BYTES {
            let Some(line) = text.next().map_err(failed)? else {
                is_end = true;
                break;
            };
            bytes += line.len();
            match lines::read(&line) {
                Ok(record) => group.push(record),
                Err(reason) => rejects.line(text.number, &reason)?,
            }
        }
        for settled in writes.add(group, ())? {
            note(&mut rejects, settled)?;
        }
        if is_end {
            break;
        }
    }
    while let Some(settled) = writes.settle()? {
        note(&mut rejects, settled)?;
    }
    drop(progress);
    connection.close();
    let rejected = rejects.count();
    if console().json() {
        console().summary(&json!({"imported": stored, "rejected": rejected}));
    } else {
        console().remark(&format!("{stored} records were imported"));
    }
    if rejected > 0 {
        console().warn(&format!("{rejected} were rejected: {}", rejects.place().display()));
        return Ok(Exit::No);
    }
    Ok(Exit::Done)
}
