//! Which files a connection has open, and whether their paths still lead to them.
//!
//! SQLite's locks are the process's: whoever closes a descriptor of the file in it drops them all
//! (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
//! The next program that closes the database then removes the `-wal` file, and what is written to
//! that afterwards is lost. All connections of the process must be closed before one is opened
//! anew, since they share what SQLite knows of its locks and of the `-shm` file.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

/// The files that this process has open.
static OPEN: Mutex<Vec<(Identity, Weak<OpenFile>)>> = Mutex::new(Vec::new());

/// A database that some connections of this process have open. It ends with the last of them.
struct OpenFile {
    /// Whether the files beside it, or it, are others by now.
    is_stale: watch::Sender<bool>,
}

/// Tells when files turn out to be others by now.
pub(super) type Staleness = watch::Receiver<bool>;

/// See the module.
pub(super) struct Place {
    database: PathBuf,
    identity: Identity,
    wal: PathBuf,
    /// `None` as long as there is none.
    wal_identity: Cell<Option<Identity>>,
    open: Arc<OpenFile>,
}

impl Place {
    /// That of a connection that has just been opened at a path; `name` is what SQLite calls it,
    /// without links.
    pub fn of(path: &Path, name: &str) -> io::Result<Place> {
        let identity = Identity::of(path)?;
        let mut wal = OsString::from(name);
        wal.push("-wal");
        let wal = PathBuf::from(wal);
        let mut files = open_files();
        let known = files.iter().find(|(other, _)| *other == identity).and_then(|(_, open)| open.upgrade());
        let open = known.unwrap_or_else(|| Arc::new(OpenFile { is_stale: watch::Sender::new(false) }));
        files.retain(|(other, open)| *other != identity && open.strong_count() > 0);
        files.push((identity, Arc::downgrade(&open)));
        let wal_identity = Cell::new(Identity::of(&wal).ok());
        Ok(Place { database: path.to_owned(), identity, wal, wal_identity, open })
    }

    /// Whether a path leads elsewhere now, as far as the system tells.
    pub fn is_moved(&self) -> bool {
        if *self.open.is_stale.borrow() {
            return true;
        }
        let is_moved = is_another(&self.database, self.identity) || self.is_wal_moved();
        if is_moved {
            self.open.is_stale.send_replace(true);
        }
        is_moved
    }

    fn is_wal_moved(&self) -> bool {
        match self.wal_identity.get() {
            Some(identity) => is_another(&self.wal, identity),
            None => {
                self.wal_identity.set(Identity::of(&self.wal).ok());
                false
            }
        }
    }

    /// Hears of it when any connection of this process finds so.
    pub fn staleness(&self) -> Staleness {
        self.open.is_stale.subscribe()
    }
}

fn open_files() -> MutexGuard<'static, Vec<(Identity, Weak<OpenFile>)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until all connections of this process are closed whose files are others by now.
pub(super) async fn until_others_are_closed(path: &Path) {
    let Ok(identity) = Identity::of(path) else { return };
    let stale = open_files()
        .iter()
        .find(|(other, _)| *other == identity)
        .and_then(|(_, open)| open.upgrade())
        .filter(|open| *open.is_stale.borrow())
        .map(|open| open.is_stale.subscribe());
    if let Some(mut stale) = stale {
        // It fails when the last connection is closed.
        while stale.changed().await.is_ok() {}
    }
}

/// Which file a path led to.
#[derive(Clone, Copy, PartialEq, Eq)]
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
}

#[cfg(unix)]
fn is_another(path: &Path, identity: Identity) -> bool {
    match Identity::of(path) {
        Ok(now) => now != identity,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(not(unix))]
fn is_another(_path: &Path, _identity: Identity) -> bool {
    false
}
