//! Records in an SQLite file, one table for each collection, for a person to query:
//! `SELECT id, data->>'$.name' FROM users`.
//!
//! `tables.rs` says which table a key is in, `statements.rs` has all SQL. Nothing here blocks
//! the engine: one thread writes and one reads (`worker.rs`), each with a connection of its own
//! (`session.rs`), so that a read never waits for the disk to take a write. A batch of writes is
//! one transaction, and nothing is acknowledged before its commit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::{wrong, OptionKind, OptionSpec, Settings};
use crate::core::{Backend, Description, Error, Link};
use crate::records::tables as shared;

mod failure;
mod patience;
mod prepared;
mod reader;
mod scan;
mod session;
mod statements;
mod tables;
#[cfg(test)]
mod tests;
mod worker;
mod writer;

use tables::Tables;

const MAX_BATCH_RECORDS: usize = 4096;
const MAX_BATCH_BYTES: usize = 8 << 20;

const DEFAULT_SYNCHRONOUS: &str = "FULL";
const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "path",
        kind: OptionKind::Text,
        default: "–",
        meaning: "The file with the records; it is made if there is none, its folder is not. A relative path begins at the working directory.",
    },
    shared::SPLIT_CHAR,
    shared::TABLE_OF_THE_REST,
    OptionSpec {
        name: "synchronous",
        kind: OptionKind::Choice(&["FULL", "NORMAL", "OFF", "EXTRA"]),
        default: "FULL",
        meaning: "SQLite's durability: with `FULL` an acknowledged write survives a power failure, with `NORMAL` the end of the process alone.",
    },
    OptionSpec {
        name: "busyTimeout",
        kind: OptionKind::Integer(0, 86_400_000),
        default: "5000",
        meaning: "How long one attempt waits for another program's lock, in milliseconds, and at most half of `timeout` and `connectTimeout`; operations try again until their deadline.",
    },
];

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let busy_timeout = settings.milliseconds("busyTimeout").unwrap_or(DEFAULT_BUSY_TIMEOUT);
    let engine = settings.engine();
    let options = Options {
        path: path(settings)?,
        tables: Tables::from_settings(settings, tables::Sqlite)?,
        synchronous: settings.text("synchronous").unwrap_or(DEFAULT_SYNCHRONOUS).to_owned(),
        // Whoever waits is to hear of the lock, and not of silence, before time is up.
        patience: busy_timeout.min(engine.timeout / 2).min(engine.connect_timeout / 2),
    };
    Ok(Arc::new(Sqlite { options: Arc::new(options) }))
}

/// The file, independent of later changes of the working directory.
fn path(settings: &Settings) -> Result<PathBuf, Error> {
    let remedy = "give the file for the records, such as \"./records.sqlite\"";
    match settings.text("path") {
        None => Err(wrong(format!("the option \"path\" is missing; {remedy}"))),
        Some("") => Err(wrong(format!("the option \"path\" is empty; {remedy}"))),
        Some(":memory:") => {
            Err(wrong(format!("the option \"path\" is \":memory:\"; {remedy}, or use the type \"memory\"")))
        }
        Some(text) if text.contains('\0') => {
            Err(wrong(format!("the option \"path\" has a NUL character; {remedy}")))
        }
        Some(text) => std::path::absolute(text).map_err(|error| {
            wrong(format!("the option \"path\" is relative, and the working directory is unknown: {error}"))
        }),
    }
}

/// The options, checked.
#[derive(Debug)]
struct Options {
    path: PathBuf,
    tables: Tables,
    synchronous: String,
    /// How long an attempt waits for a lock.
    patience: Duration,
}

struct Sqlite {
    options: Arc<Options>,
}

#[async_trait]
impl Backend for Sqlite {
    fn describe(&self) -> Description {
        Description {
            target: format!("SQLite at {}", self.options.path.display()),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            // While one is under way the next one gathers: two small transactions wait for the
            // disk twice.
            read_batches: 1,
            write_batches: 1,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let client = worker::start(&self.options).await?;
        // A thread that ends without being asked to is noticed by the next operation.
        Ok(Link { connection: Arc::new(client), lifeline: Box::pin(std::future::pending()) })
    }
}
