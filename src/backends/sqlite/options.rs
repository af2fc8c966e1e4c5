//! The options, and how they are checked.

use std::path::PathBuf;
use std::time::Duration;

use super::tables::{Sqlite, Tables};
use crate::config::{wrong, OptionKind, OptionSpec, Settings};
use crate::core::Error;
use crate::records::omissions::Omissions;
use crate::records::tables as shared;

const DEFAULT_SYNCHRONOUS: &str = "FULL";
const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
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

/// The options, checked.
pub(super) struct Options {
    pub path: PathBuf,
    pub tables: Tables,
    pub synchronous: String,
    /// How long an attempt waits for a lock.
    pub patience: Duration,
    /// What listings left out.
    pub omissions: Omissions,
}

impl Options {
    pub fn from_settings(settings: &Settings) -> Result<Options, Error> {
        let busy_timeout = settings.milliseconds("busyTimeout").unwrap_or(DEFAULT_BUSY_TIMEOUT);
        let engine = settings.engine();
        Ok(Options {
            path: path(settings)?,
            tables: Tables::from_settings(settings, Sqlite)?,
            synchronous: settings.text("synchronous").unwrap_or(DEFAULT_SYNCHRONOUS).to_owned(),
            // Whoever waits is to hear of the lock, and not of silence, before time is up.
            patience: busy_timeout.min(engine.timeout / 2).min(engine.connect_timeout / 2),
            omissions: Omissions::default(),
        })
    }
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
