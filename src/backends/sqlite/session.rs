//! One SQLite connection and the thread that has it: opening, transactions, closing.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::options::Options;
use super::patience::{self, Stop};
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
    identity: Identity,
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
        let identity = Identity::of(&options.path).map_err(|_| moved(options))?;
        Ok(Session { connection, options: Arc::clone(options), stop: stop.clone(), identity })
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

    /// Sees that the path still leads to the file that is open: what is written to a file that
    /// was deleted or replaced is lost.
    pub fn check_place(&self) -> Result<(), Error> {
        if self.identity.is_moved(&self.options.path) {
            return Err(moved(&self.options));
        }
        Ok(())
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

fn moved(options: &Options) -> Error {
    Error::connection(format!(
        "the file {} was removed or replaced while it was open",
        options.path.display()
    ))
}

/// Which file a path led to.
struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl Identity {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Identity> {
        use std::os::unix::fs::MetadataExt;
        let file = fs::metadata(path)?;
        Ok(Identity { device_and_inode: (file.dev(), file.ino()) })
    }

    /// Elsewhere a file that is open cannot be removed.
    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Identity> {
        fs::metadata(path).map(|_| Identity {})
    }

    /// Whether the path leads elsewhere now, as far as the system tells.
    #[cfg(unix)]
    fn is_moved(&self, path: &Path) -> bool {
        match Identity::of(path) {
            Ok(now) => now.device_and_inode != self.device_and_inode,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    #[cfg(not(unix))]
    fn is_moved(&self, _path: &Path) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::sqlite::tables::{Sqlite, Tables};

    #[test]
    fn every_connection_is_as_durable_as_the_option_says() {
        for (level, number) in [("OFF", 0), ("NORMAL", 1), ("FULL", 2), ("EXTRA", 3)] {
            let folder = tempfile::tempdir().unwrap();
            let options = Arc::new(Options {
                path: folder.path().join("records.sqlite"),
                tables: Tables::new("/", "default", Sqlite),
                synchronous: level.into(),
                patience: Duration::ZERO,
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
