//! CouchDB, each record a document whose content is under one field, so that Mango queries and
//! views reach into it; see `document.rs` for the fields and `ids.rs` for the `_id`.
//!
//! What is sent is `_bulk_docs`, `_all_docs` with `keys`, and `_session` where a cookie is wanted
//! (<https://docs.couchdb.org/en/stable/api/>). A write names the revision that it replaces. Which
//! one that is, is kept from earlier answers; where somebody else wrote meanwhile CouchDB reports
//! a conflict, the revision is looked up, and the write is sent again in its place: the order of
//! calls decides. Conflicts that replication left in a document are not touched.

mod calls;
mod connection;
mod document;
mod fits;
mod ids;
mod options;
mod revisions;
mod session;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{Method, StatusCode};
use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};

use self::calls::{refused, word_of, Service};
use self::connection::CouchConnection;
use self::options::Target;
pub(super) use self::options::OPTIONS;
use self::revisions::Revisions;
use self::session::Login;
use crate::config::Settings;
use crate::core::{Backend, Description, Error, ErrorCode, Link};
use crate::net::http::{Client, Doubt, Origin};

const MAX_BATCH_RECORDS: usize = 500;
const MAX_BATCH_BYTES: usize = 4 << 20;

/// A database has one writer; a second batch is on its way meanwhile.
const WRITE_BATCHES: usize = 2;

/// The longest answer that is taken: a batch of the largest documents that CouchDB takes.
const LONGEST_ANSWER: usize = 1 << 30;

/// What stays as it is in the name of a database in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let Target { origin, database, login, separator, connections } = Target::from_settings(settings)?;
    Ok(Arc::new(CouchDb {
        origin,
        path: utf8_percent_encode(&database, IN_PATH).to_string().into(),
        database,
        login: login.map(Arc::new),
        separator,
        connections,
        doubt: Arc::default(),
    }))
}

struct CouchDb {
    origin: Origin,
    database: String,
    /// Its name as a part of a path.
    path: Arc<str>,
    login: Option<Arc<Login>>,
    separator: String,
    connections: usize,
    doubt: Arc<Doubt>,
}

#[async_trait]
impl Backend for CouchDb {
    fn describe(&self) -> Description {
        let write_batches = WRITE_BATCHES.min(self.connections);
        Description {
            target: format!("CouchDB at {}, database {}", self.origin.authority(), self.database),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: self.connections.saturating_sub(write_batches).max(1),
            write_batches,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let client = Client::new(self.origin.clone(), self.connections, LONGEST_ANSWER)?;
        if let Some(login) = self.login.as_ref().filter(|login| login.needs_session()) {
            login.begin(&client, None).await?;
        }
        let service = Service {
            client,
            login: self.login.clone(),
            database: Arc::clone(&self.path),
            doubt: Arc::clone(&self.doubt),
        };
        let begin = Instant::now();
        self.provide_database(&service).await?;
        self.doubt.settle(begin.elapsed()).await;
        let lifeline = Box::pin(service.client.clone().watch());
        let connection = CouchConnection {
            service,
            separator: self.separator.clone(),
            // What was known is not so any more, perhaps.
            revisions: Arc::new(Revisions::new()),
        };
        Ok(Link { connection: Arc::new(connection), lifeline })
    }
}

impl CouchDb {
    /// Sees that the database is there and may be read, and makes it where it is not there.
    async fn provide_database(&self, service: &Service) -> Result<(), Error> {
        let answer = service.ask(Method::GET, "", Bytes::new()).await?;
        match answer.status {
            StatusCode::OK if is_database(&answer.body) => return Ok(()),
            StatusCode::NOT_FOUND if word_of(&answer).is_some() => {}
            StatusCode::FORBIDDEN => return Err(self.forbidden("read")),
            _ => return Err(unlike_couchdb(refused("to show the database", &answer))),
        }
        let answer = service.ask(Method::PUT, "", Bytes::new()).await?;
        match answer.status {
            // Somebody else has made it just now.
            StatusCode::PRECONDITION_FAILED => Ok(()),
            status if status.is_success() => Ok(()),
            StatusCode::FORBIDDEN => Err(self.forbidden("make")),
            _ => Err(unlike_couchdb(refused("to make the database", &answer))),
        }
    }

    fn forbidden(&self, what: &str) -> Error {
        Error::new(
            ErrorCode::Authentication,
            format!("CouchDB does not let this user {what} the database \"{}\"", self.database),
        )
    }
}

fn is_database(body: &[u8]) -> bool {
    let about: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    about.is_some_and(|about| about.get("db_name").is_some())
}

/// Another server may be at this address only for now.
fn unlike_couchdb(error: Error) -> Error {
    Error::connection(error.message().to_owned())
}
