//! Records in an SQLite file, one table for each collection, for a person to query:
//! `SELECT id, data->>'$.name' FROM users`.
//!
//! `tables.rs` says which table a key is in, `statements.rs` has all SQL. Nothing here blocks
//! the engine: one thread writes and one reads (`worker.rs`), each with a connection of its own
//! (`session.rs`), so that a read never waits for the disk to take a write. A batch of writes is
//! one transaction, and nothing is acknowledged before its commit.

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::Settings;
use crate::core::{Backend, Description, Error, Link};

mod failure;
mod inbox;
mod options;
mod patience;
mod place;
mod prepared;
mod reader;
mod row;
mod scan;
mod session;
mod statements;
mod tables;
#[cfg(test)]
mod tests;
mod worker;
mod writer;

use options::Options;
pub(super) use options::OPTIONS;

const MAX_BATCH_RECORDS: usize = 4096;
const MAX_BATCH_BYTES: usize = 8 << 20;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let options = Options::from_settings(settings)?;
    Ok(Arc::new(Sqlite { options: Arc::new(options) }))
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
        let (client, mut staleness) = worker::start(&self.options).await?;
        let options = Arc::clone(&self.options);
        // A thread that ends without being asked to is noticed by the next operation.
        let lifeline = async move {
            if staleness.wait_for(|is_stale| *is_stale).await.is_err() {
                std::future::pending::<()>().await;
            }
            session::moved(&options)
        };
        Ok(Link { connection: Arc::new(client), lifeline: Box::pin(lifeline) })
    }
}
