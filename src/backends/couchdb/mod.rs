//! CouchDB, each record a document whose content is under one field, so that Mango queries and
//! views reach into it; see `document.rs` for the fields and `ids.rs` for the `_id`.
//!
//! What is sent is `_bulk_docs`, `_all_docs` with `keys`, and `_session` where a cookie is wanted
//! (<https://docs.couchdb.org/en/stable/api/>). A write names the revision that it replaces. Which
//! one that is, is kept from earlier answers; where somebody else wrote meanwhile CouchDB reports
//! a conflict, the revision is looked up, and the write is sent again in its place: the order of
//! calls decides. What was written is acknowledged when it is what is read: other leaves of a
//! document, by replication, are won over by a `set` and taken away by a `delete` (`leaves.rs`).

mod calls;
mod connection;
mod document;
mod fits;
mod ids;
mod leaves;
mod options;
mod parts;
mod reads;
mod revisions;
mod session;
mod writes;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{Method, StatusCode};
use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};
use serde::Deserialize;

use self::calls::{refused, wants_administrator, word_of, Service, LONGEST_ANSWER};
use self::connection::CouchConnection;
use self::options::Target;
pub(super) use self::options::OPTIONS;
use self::reads::Sizes;
use self::revisions::Revisions;
use self::session::Login;
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, ErrorCode, Link};
use crate::net::http::{Client, Doubt, Origin};
use crate::records::omissions::Omissions;

const MAX_BATCH_RECORDS: usize = 500;
const MAX_BATCH_BYTES: usize = 4 << 20;

/// A database has one writer; a second batch is on its way meanwhile.
const WRITE_BATCHES: usize = 2;

/// What stays as it is in the name of a database in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let Target { origin, prefix, database, login, separator, connections } = Target::from_settings(settings)?;
    Ok(Arc::new(CouchDb {
        origin,
        prefix: prefix.into(),
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
    prefix: Arc<str>,
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
            login.begin(&client, &self.prefix, None).await?;
        }
        let service = Service {
            client,
            login: self.login.clone(),
            prefix: Arc::clone(&self.prefix),
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
            sizes: Sizes::default(),
            omissions: Omissions::default(),
        };
        Ok(Link { connection: Arc::new(connection), lifeline })
    }
}

impl CouchDb {
    /// Sees that the database is there and may be read, and makes it where it is not there.
    async fn provide_database(&self, service: &Service) -> Result<(), Error> {
        let answer = service.ask(Method::GET, "", Bytes::new()).await?;
        match answer.status {
            StatusCode::OK => match About::read(&answer.body) {
                Some(about) if about.props.partitioned => return Err(self.partitioned()),
                Some(_) => return Ok(()),
                None => return Err(unlike_couchdb(refused("to show the database", &answer))),
            },
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
            _ if wants_administrator(&answer) => Err(self.missing()),
            _ => Err(unlike_couchdb(refused("to make the database", &answer))),
        }
    }

    fn missing(&self) -> Error {
        Error::new(
            ErrorCode::Authentication,
            format!(
                "the database \"{}\" is not there, and this user is no administrator, who alone may make it; have it made, or see the option \"database\"",
                self.database
            ),
        )
    }

    fn partitioned(&self) -> Error {
        wrong(format!(
            "the database \"{}\" is partitioned, and takes no keys without a partition; give another one with \"database\"",
            self.database
        ))
    }

    fn forbidden(&self, what: &str) -> Error {
        Error::new(
            ErrorCode::Authentication,
            format!("CouchDB does not let this user {what} the database \"{}\"", self.database),
        )
    }
}

/// What a database says of itself.
#[derive(Deserialize)]
struct About {
    #[serde(rename = "db_name")]
    _name: String,
    #[serde(default)]
    props: Properties,
}

#[derive(Default, Deserialize)]
struct Properties {
    #[serde(default)]
    partitioned: bool,
}

impl About {
    fn read(body: &[u8]) -> Option<About> {
        serde_json::from_slice(body).ok()
    }
}

/// Another server may be at this address only for now.
fn unlike_couchdb(error: Error) -> Error {
    Error::connection(error.message().to_owned())
}
