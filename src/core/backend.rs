//! The narrow waist: what a cache or database must be able to do.
//!
//! A backend knows one client library and nothing of queues, order, deadlines or retries: the
//! engine never gives it a key twice in one batch, nor a key that is in another unfinished
//! batch of the same connection.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::error::{Error, ErrorCode};
use super::record::{Key, Record};

/// The answer to a batch: one result for each key in the batch's order, or one error for the
/// whole batch. An error with [`Remedy::Reconnect`](super::Remedy::Reconnect) in either place
/// ends the connection, and the engine sends what was unanswered again on the next one.
pub type BatchResult<T> = Result<Vec<Result<T, Error>>, Error>;

/// Makes connections to one cache or database.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What the engine needs to know before there is a connection.
    fn describe(&self) -> Description;

    /// Connects, authenticates, and sees that the server does answer. The engine sets the
    /// deadline and drops the future when it has passed. An error with code
    /// `Authentication` or `Configuration` means that waiting will not help.
    async fn connect(&self) -> Result<Link, Error>;

    /// Which of several servers a key is at, as far as is known; below 256. A batch holds keys
    /// of one group, and each group has its own [`Description::read_batches`] and
    /// [`Description::write_batches`], so that a slow server does not hold up the others. It
    /// may change at any time: a connection must cope with any mixture.
    fn group_of(&self, _key: &Key) -> usize {
        0
    }
}

/// A backend in words and numbers.
#[derive(Clone, Debug)]
pub struct Description {
    /// What is connected to, for messages: `Redis at 127.0.0.1:6379`. Never with a password.
    pub target: String,
    /// The most records in a batch; at least 1.
    pub max_batch_records: usize,
    /// The most bytes of keys and data in a batch; a single larger record still goes alone.
    pub max_batch_bytes: usize,
    /// How many batches of reads may be under way at once in each group; at least 1.
    pub read_batches: usize,
    /// How many batches of writes may be under way at once in each group; at least 1.
    pub write_batches: usize,
    /// Whether the backend's futures do all their work when polled, without spawning tasks, so
    /// that the host's own thread may drive them. Otherwise a thread of ours does.
    pub host_driven: bool,
}

/// A connection that stands.
pub struct Link {
    /// Where batches go.
    pub connection: Arc<dyn Connection>,
    /// The connection's background work. It ends when the connection is lost, with the reason.
    pub lifeline: BoxFuture<'static, Error>,
}

/// Batched operations on one connection. Dropping the future of an operation gives up its
/// answer; the operation itself may still be carried out.
#[async_trait]
pub trait Connection: Send + Sync {
    /// Reads records; `None` where there is none.
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>>;

    /// Reads versions alone; `None` where there is no record.
    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>>;

    /// Stores records, replacing what was there. Acknowledged means: as durable as the
    /// backend's configuration says.
    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()>;

    /// Removes records. Removing what is not there is no error.
    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()>;

    /// A page of at most so many records, in an order of the backend's own. A record that is there
    /// all the while is on one page; one that comes or goes meanwhile may be on one or on none. It may
    /// hold records without the prefix, which the engine leaves out: what the database can tell
    /// apart need not come.
    async fn scan(&self, _listing: &Listing) -> Result<Page, Error> {
        Err(Error::new(ErrorCode::Unsupported, "this backend cannot list its records; a storage can"))
    }

    /// Carries out a command that this backend alone has.
    async fn command(&self, _name: &str, _arguments: &Value) -> Result<Value, Error> {
        Err(Error::new(ErrorCode::Unsupported, "this backend has no commands of its own"))
    }

    /// Ends the connection in an orderly way. Nothing else is called after it.
    async fn close(&self) {}

    /// News of one of several servers behind this connection, or of the database itself. `cx`'s
    /// waker is woken when there is more.
    fn poll_notice(&self, _cx: &mut Context<'_>) -> Poll<Notice> {
        Poll::Pending
    }

    /// Whether background work waits for one of the runtime's timers while no batch is under
    /// way: a pause between attempts to connect, say.
    fn waits_for_timer(&self) -> bool {
        false
    }

    /// A count that grows with each byte that came from or went to the server of a group of keys;
    /// `None` where nobody counts. The engine takes a server for one that hangs when the count stands
    /// still for so long while something is unanswered.
    fn moved(&self, _group: usize) -> Option<u64> {
        None
    }

    /// When the lifeline is to be polled at the latest, where it waits for the clock alone.
    fn wake_at(&self) -> Option<Instant> {
        None
    }
}

/// Which page of all records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What the keys of all its records begin with; empty for all records.
    pub prefix: String,
    /// Where the page before it ended, as that says; `None` for the first one.
    pub cursor: Option<String>,
    /// The most records on it; at least 1.
    pub limit: usize,
}

/// Some of all records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records, with their keys.
    pub records: Vec<(Key, Record)>,
    /// Where the next page begins; `None` on the last one. Only the backend can read it.
    pub next: Option<String>,
}

impl Page {
    /// Leaves out the records that a listing is not of.
    pub(super) fn within(mut self, listing: &Listing) -> Page {
        self.records.retain(|(key, _)| key.starts_with(&listing.prefix));
        self
    }
}

/// What happens on a connection that stands, beside the answers to batches.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A message of the database that a command asked for.
    Notification {
        /// What it is about, in the database's words.
        channel: String,
        /// What it says.
        payload: String,
    },
    /// Something for the host's log; in one sentence.
    Remark(String),
    /// The same, of what may do harm.
    Warning(String),
    /// Something failed that belongs to no operation.
    Trouble(Error),
    /// One such trouble is over; in one sentence.
    Recovery(String),
    /// All of them are.
    Restored,
}
