//! The driver with what its commands need, and its first question to a server.

use std::sync::Arc;

use mongodb::bson::{Document, RawDocumentBuf};
use mongodb::Database;

use super::lane::{Lane, LANES};
use super::options::Options;
use super::{commands, failure};
use crate::core::Error;

/// The driver itself.
#[derive(Clone)]
pub(super) struct Driver {
    pub database: Database,
    pub lanes: Arc<[Lane; LANES]>,
    /// The write concern of the connection string, which commands do not inherit.
    pub write_concern: Option<RawDocumentBuf>,
    /// Whether numbered commands are wanted.
    pub retries_writes: bool,
}

impl Driver {
    /// Logs in, and asks who answers and whether we may read.
    pub async fn greet(&self, options: &Options) -> Result<Document, Error> {
        let greeting =
            self.database.run_command(commands::hello()).await.map_err(|error| failure::of_driver(&error))?;
        let look = self.database.run_command(commands::look(&options.collections.default)).await;
        match look {
            Err(error) if failure::is_unauthorized(&error) => Err(failure::may_not_read()),
            Err(error) => Err(failure::of_driver(&error)),
            Ok(_) => Ok(greeting),
        }
    }
}
