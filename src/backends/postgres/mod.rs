//! Records in PostgreSQL, in the tables of deepstream's own connectors: one for each collection,
//! with the columns `id`, `version` and `val`.
//!
//! `names.rs` says which table and row a key is in, `statements.rs` has all SQL, `value.rs` what
//! stands in `val`. A batch is one statement for each table; a few connections (`pool.rs`) take
//! batches beside each other, and the engine sees to it that no key is in two of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use serde_json::Value;

use crate::config::Settings;
use crate::core::{
    Backend, BatchResult, Connection, Description, Error, Key, Link, Listing, Notice, Page, Record,
};
use crate::net::renewal::{Renewable, Renewing};

mod address;
mod commands;
mod declared;
mod failure;
mod groups;
mod names;
mod news;
mod noise;
mod options;
mod passfile;
mod pool;
mod prepared;
mod quote;
mod reader;
mod renamed;
mod require_auth;
mod scan;
mod security;
mod session;
mod shape;
mod statements;
mod tables;
mod tls;
mod value;
mod writer;

pub(super) use declared::OPTIONS;

use options::Options;
use pool::Pool;
use session::Estate;
use writer::Changes;

const MAX_BATCH_RECORDS: usize = 4096;
const MAX_BATCH_BYTES: usize = 8 << 20;

/// How many batches of one kind are under way at once at most: while one is carried out, the next
/// one is on its way. With more of them each is smaller, and costs as much.
const BATCHES: usize = 2;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let options = Arc::new(Options::read(settings)?);
    let remarks = Mutex::new(options.remarks.clone());
    let postgres = Postgres { options, estate: Arc::default(), remarks: Arc::new(remarks) };
    Ok(Arc::new(Renewing::new(postgres, settings.engine().connect_timeout)))
}

struct Postgres {
    options: Arc<Options>,
    estate: Arc<Estate>,
    /// What is still to be said.
    remarks: Remarks,
}

impl Renewable for Postgres {
    /// What was told meanwhile is missed.
    fn is_missed(&self) -> bool {
        !self.estate.news.channels().is_empty()
    }
}

type Remarks = Arc<Mutex<Vec<Notice>>>;

#[async_trait]
impl Backend for Postgres {
    fn describe(&self) -> Description {
        Description {
            target: self.options.in_words(),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: BATCHES.min(self.options.max),
            write_batches: BATCHES.min(self.options.max),
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let (pool, lifeline) = Pool::open(&self.options, &self.estate).await?;
        Ok(Link { connection: Arc::new(Sessions { pool, remarks: Arc::clone(&self.remarks) }), lifeline })
    }
}

struct Sessions {
    pool: Arc<Pool>,
    remarks: Remarks,
}

#[async_trait]
impl Connection for Sessions {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        reader::get(&self.pool, keys).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        reader::head(&self.pool, keys).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        writer::write(&self.pool, Changes::Set(entries)).await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        writer::write(&self.pool, Changes::Delete(keys)).await
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        scan::page(&self.pool, listing).await
    }

    async fn command(&self, name: &str, arguments: &Value) -> Result<Value, Error> {
        commands::run(&self.pool, name, arguments).await
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        if let Some(remark) = self.remarks.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Poll::Ready(remark);
        }
        self.pool.estate.news.poll(cx)
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.pool.estate.traffic.total())
    }

    fn wake_at(&self) -> Option<Instant> {
        self.pool.wake_at()
    }
}
