//! One SQLite connection and the thread that has it: opening, transactions, closing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::options::Options;
use super::patience::{self, Stop};
use super::place::Place;
use super::{failure, statements};
use crate::config::wrong;
use crate::core::Error;

/// Prepared statements that are kept between batches, each for one table and kind of operation.
const KEPT_STATEMENTS: usize = 256;

/// Of several programs that open a new file at once, one makes it a WAL database.
const WAL_PAUSE: Duration = Duration::from_millis(5);

/// A connection, for the thread that opened it.
pub(super) struct Session {
    pub connection: Connection,
    pub options: Arc<Options>,
    pub stop: Stop,
    /// Last: it is left when the connection is closed.
    pub place: Place,
}

impl Session {
    /// Opens the file, makes it if there is none, and sees that it can be used as it must.
    pub fn open(options: &Arc<Options>, stop: &Stop) -> Result<Session, Error> {
        patience::set(options.patience, stop);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&options.path, flags)
            .map_err(|error| failure::of_connect(&error, options))?;
        set_up(&connection, options, stop)?;
        let place = Place::of(&options.path, connection.path().unwrap_or_default());
        let place = place.map_err(|_| moved(options))?;
        Ok(Session { connection, options: Arc::clone(options), stop: stop.clone(), place })
    }

    /// Sends a statement without parameters and results.
    pub fn execute(&self, statement: &str) -> Result<(), rusqlite::Error> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    /// Ends a transaction without effect, if one is open.
    pub fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // When it fails the transaction is over all the same.
            let _ = self.execute(statements::ROLLBACK);
        }
    }

    /// What a failure means that is not about one row alone.
    pub fn explain(&self, error: &rusqlite::Error) -> Error {
        match self.check_place() {
            Ok(()) => failure::of_operation(error, &self.options),
            Err(moved) => moved,
        }
    }

    /// Sees that the paths still lead to the files that are open: what is written to files that
    /// were deleted or replaced is lost.
    pub fn check_place(&self) -> Result<(), Error> {
        if self.place.is_moved() {
            return Err(moved(&self.options));
        }
        Ok(())
    }
}

impl Drop for Session {
    /// What was written to a `-wal` file that is gone must not be carried over now, on top of what
    /// others have written.
    fn drop(&mut self) {
        if self.place.is_moved() {
            // It fails for a connection that is closed already, if at all.
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

fn set_up(connection: &Connection, options: &Options, stop: &Stop) -> Result<(), Error> {
    let refused = |error| failure::of_connect(&error, options);
    // First: without its helper files a read-only database in WAL mode cannot even be read.
    if connection.is_readonly(c"main").map_err(refused)? {
        return Err(failure::read_only(options));
    }
    connection.busy_handler(Some(patience::wait)).map_err(refused)?;
    connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
    connection.execute_batch(&statements::synchronous(&options.synchronous)).map_err(refused)?;
    connection.execute_batch(statements::MEASURED).map_err(refused)?;
    if cfg!(target_vendor = "apple") {
        connection.execute_batch(statements::FULL_FSYNC).map_err(refused)?;
    }
    let mode = enter_wal_mode(connection, options, stop).map_err(refused)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(wrong(format!(
            "{} (option \"path\") is where SQLite's WAL mode is impossible, as on most network drives; give a path on a local disk",
            options.path.display()
        )));
    }
    let encoding: String =
        connection.query_row(statements::ENCODING, [], |row| row.get(0)).map_err(refused)?;
    if encoding != "UTF-8" {
        return Err(wrong(format!(
            "the database {} (option \"path\") has text in {encoding}; give one in UTF-8, or a file that does not exist yet",
            options.path.display()
        )));
    }
    Ok(())
}

/// Makes a new file a WAL database. SQLite does not wait for those who do the same.
fn enter_wal_mode(connection: &Connection, options: &Options, stop: &Stop) -> rusqlite::Result<String> {
    let began = Instant::now();
    loop {
        match connection.query_row(statements::JOURNAL_MODE, [], |row| row.get(0)) {
            Err(error)
                if failure::is_busy(&error) && began.elapsed() < options.patience && !stop.is_set() =>
            {
                std::thread::sleep(WAL_PAUSE);
            }
            other => return other,
        }
    }
}

/// What is said when paths lead elsewhere.
pub(super) fn moved(options: &Options) -> Error {
    Error::connection(format!(
        "the file {}, or the -wal file beside it, was removed or replaced while it was open",
        options.path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::sqlite::tables::{Sqlite, Tables};
    use crate::records::omissions::Omissions;

    #[test]
    fn every_connection_is_as_durable_as_the_option_says() {
        for (level, number) in [("OFF", 0), ("NORMAL", 1), ("FULL", 2), ("EXTRA", 3)] {
            let folder = tempfile::tempdir().unwrap();
            let options = Arc::new(Options {
                path: folder.path().join("records.sqlite"),
                tables: Tables::new("/", "default", Sqlite),
                synchronous: level.into(),
                patience: Duration::ZERO,
                omissions: Omissions::default(),
            });
            let session = Session::open(&options, &Stop::default()).unwrap();
            let asked = |pragma: &str| -> rusqlite::types::Value {
                session.connection.query_row(pragma, [], |row| row.get(0)).unwrap()
            };
            assert_eq!(asked("PRAGMA synchronous"), number.into());
            assert_eq!(asked("PRAGMA journal_mode"), String::from("wal").into());
        }
    }
}
