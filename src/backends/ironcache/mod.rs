//! IronCache, by its REST interface, as published at <https://dev.iron.io/cache/reference/api/>.
//!
//! | operation | request |
//! |---|---|
//! | get, head | `GET /1/projects/{project_id}/caches/{cache}/items/{key}`; 404 is a miss |
//! | set | `PUT` of the same, `{"value": "…", "expires_in": seconds}` |
//! | delete | `DELETE` of the same; 404 is no error |
//! | the first question | `GET /1/projects/{project_id}/caches/{cache}`; a cache that is not there yet is made by its first item |
//!
//! The value is always text, the JSON of `{"version":…,"data":…}`: the service makes numbers of
//! values that look like some, which this never does, so every digit of a record's numbers
//! stays. There are no requests for several items; several requests are under way at once.

mod connection;
mod names;
mod options;
mod requests;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use self::connection::IronCacheConnection;
pub(super) use self::options::OPTIONS;
use self::requests::Requests;
use crate::config::Settings;
use crate::core::{Backend, Description, Error, Link};
use crate::net::http::{Client, Doubt, Origin};

/// Small, since a batch is done when its slowest request is.
const MAX_BATCH_RECORDS: usize = 4;

/// The longest answer that is taken, well beyond what the service stores.
const LONGEST_ANSWER: usize = 64 << 20;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let origin = options::origin(settings)?;
    let connections = settings.count("maxConnections").unwrap_or(options::CONNECTIONS);
    // What it may refuse is refused before there is a connection.
    Client::new(origin.clone(), connections, LONGEST_ANSWER)?;
    let requests = Arc::new(Requests::from_settings(settings)?);
    Ok(Arc::new(IronCache { requests, origin, connections, doubt: Arc::default() }))
}

struct IronCache {
    origin: Origin,
    requests: Arc<Requests>,
    connections: usize,
    doubt: Arc<Doubt>,
}

#[async_trait]
impl Backend for IronCache {
    fn describe(&self) -> Description {
        Description {
            target: format!("IronCache at {}", self.origin.authority()),
            // The requests of a batch are under way together, as far as there are connections.
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: usize::MAX,
            read_batches: self.connections,
            write_batches: self.connections,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let client = Client::new(self.origin.clone(), self.connections, LONGEST_ANSWER)?;
        let connection =
            IronCacheConnection::new(client.clone(), Arc::clone(&self.requests), Arc::clone(&self.doubt));
        let asked = Instant::now();
        connection.greet().await?;
        self.doubt.settle(asked.elapsed()).await;
        Ok(Link { connection: Arc::new(connection), lifeline: Box::pin(client.watch()) })
    }
}
