//! SQLite's result codes in words: what happened, to which file, and what to do about it.
//!
//! SQLite's own messages are not repeated: they may name a table, which is part of a key.

use std::fs;
use std::io::ErrorKind;

use rusqlite::ffi;

use super::options::Options;
use crate::config::wrong;
use crate::core::{Error, ErrorCode};

/// The extended result code; 0 for an error of the `rusqlite` library.
fn extended_code(error: &rusqlite::Error) -> i32 {
    match error {
        rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. } => {
            error.extended_code
        }
        _ => 0,
    }
}

/// The result code, such as `SQLITE_BUSY`.
fn code(error: &rusqlite::Error) -> i32 {
    extended_code(error) & 0xff
}

/// Whether a lock is held by somebody else.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(code(error), ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL)
}

/// Whether a statement failed because its table is not there. SQLite has no code for it.
pub(super) fn is_missing_table(error: &rusqlite::Error) -> bool {
    let message = match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        rusqlite::Error::SqlInputError { msg, .. } => msg,
        _ => return false,
    };
    code(error) == ffi::SQLITE_ERROR && message.starts_with("no such table: ")
}

/// Whether a statement cannot be meant for the table there is, if there is one.
pub(super) fn is_refused_statement(error: &rusqlite::Error) -> bool {
    code(error) == ffi::SQLITE_ERROR
}

/// Whether a failure is about the row alone that was to be read or written.
pub(super) fn concerns_one_row(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        ffi::SQLITE_TOOBIG
            | ffi::SQLITE_CONSTRAINT
            | ffi::SQLITE_MISMATCH
            | ffi::SQLITE_RANGE
            | ffi::SQLITE_ERROR
            | 0
    )
}

/// A failure of a connection that stands.
pub(super) fn of_operation(error: &rusqlite::Error, options: &Options) -> Error {
    let path = options.path.display();
    let report = |message: String| Error::new(ErrorCode::Backend, message);
    match code(error) {
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => locked(options),
        // The tables changed too often while a statement began, or it was told to stop.
        ffi::SQLITE_SCHEMA | ffi::SQLITE_INTERRUPT => {
            Error::transient(ErrorCode::Unavailable, format!("SQLite was disturbed at {path}"))
        }
        ffi::SQLITE_FULL => {
            report(format!("the disk with {path} is full, and nothing was stored; free space on it"))
        }
        ffi::SQLITE_READONLY => report(format!(
            "{path} has become read-only; allow writing to the file, its folder and its disk"
        )),
        ffi::SQLITE_IOERR => report(format!(
            "the system failed to read or write {path} (SQLite code {}); look after the disk",
            extended_code(error)
        )),
        ffi::SQLITE_CANTOPEN => Error::connection(format!("{path}, or a file beside it, cannot be opened")),
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => report(damaged(options)),
        ffi::SQLITE_NOMEM => report("there is not enough memory for SQLite".into()),
        ffi::SQLITE_TOOBIG => Error::new(
            ErrorCode::TooLarge,
            "the record is larger than SQLite can hold (1,000,000,000 bytes, its key included)",
        ),
        ffi::SQLITE_CONSTRAINT => report(format!(
            "a constraint or trigger that somebody added to the record's table at {path} refuses it (SQLite code {})",
            extended_code(error)
        )),
        ffi::SQLITE_ERROR | ffi::SQLITE_MISMATCH => report(format!(
            "the record's table at {path} is not one for records, with the columns id (its primary key), version and data, or an index or trigger on it fails; rename it, or choose another file, splitChar or defaultTable"
        )),
        _ => report(format!("SQLite failed at {path} with code {}", extended_code(error))),
    }
}

/// A failure to connect. Code `Configuration` where waiting will not help.
pub(super) fn of_connect(error: &rusqlite::Error, options: &Options) -> Error {
    let path = options.path.display();
    match code(error) {
        ffi::SQLITE_NOTADB => wrong(format!(
            "the file {path} (option \"path\") is not an SQLite database; give another file, or one that does not exist yet"
        )),
        ffi::SQLITE_CORRUPT => wrong(damaged(options)),
        ffi::SQLITE_READONLY => read_only(options),
        ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM | ffi::SQLITE_AUTH => cannot_open(options),
        ffi::SQLITE_IOERR => Error::connection(format!(
            "the system failed to read or write {path} (SQLite code {})",
            extended_code(error)
        )),
        _ => of_operation(error, options),
    }
}

/// Why a file cannot be opened: SQLite does not say.
fn cannot_open(options: &Options) -> Error {
    /// No file descriptors are left, for the process (`EMFILE`) or the system (`ENFILE`).
    const NO_DESCRIPTORS: [i32; 2] = [24, 23];
    let path = options.path.display();
    if options.path.is_dir() {
        return wrong(format!("{path} (option \"path\") is a folder; give a file"));
    }
    // The database itself is not opened: closing it would drop SQLite's locks on it.
    let folder = options.path.parent().unwrap_or(&options.path);
    match fs::read_dir(folder) {
        Err(error) if error.raw_os_error().is_some_and(|number| NO_DESCRIPTORS.contains(&number)) => {
            Error::connection(format!("{path} cannot be opened: {error}"))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => wrong(format!(
            "the folder of {path} (option \"path\") does not exist; create it, or give another path"
        )),
        _ => wrong(format!(
            "{path} (option \"path\"), or the -wal or -shm file beside it, cannot be opened or made; allow this user to read and write the file and its folder"
        )),
    }
}

/// Somebody else has held a lock for as long as an attempt waits.
fn locked(options: &Options) -> Error {
    Error::transient(
        ErrorCode::Unavailable,
        format!(
            "another program holds a lock on {}; end its transaction, or raise busyTimeout and timeout",
            options.path.display()
        ),
    )
}

pub(super) fn read_only(options: &Options) -> Error {
    wrong(format!(
        "{} (option \"path\") is read-only; allow writing to the file, its folder and its disk, or give another path",
        options.path.display()
    ))
}

fn damaged(options: &Options) -> String {
    format!(
        "the database {} is damaged; restore it from a backup, or save what can be read with the command \".recover\" of the sqlite3 program",
        options.path.display()
    )
}
