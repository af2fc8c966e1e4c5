//! Amazon DynamoDB, each record an item whose document is a native attribute, so that PartiQL and
//! expressions reach into it; see `item.rs` for the attributes and `names.rs` for tables and keys.
//!
//! What is sent is the JSON of `BatchWriteItem`, `BatchGetItem`, `Scan`, `DescribeTable`,
//! `CreateTable`, `UpdateTimeToLive` and `ListTables`, signed here (`sign.rs`) and by the plain
//! HTTP client that other backends use too. Reads are strongly consistent, as they must see every
//! earlier write, unless an option says otherwise.

mod attributes;
mod batches;
mod calls;
mod connection;
mod credentials;
mod item;
mod moment;
mod names;
mod options;
mod sign;
mod tables;

use std::pin::pin;
use std::sync::atomic::AtomicI64;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::{select, Either};

use self::calls::{Identity, Service};
use self::connection::DynamoConnection;
use self::credentials::Environment;
use self::item::Expiry;
use self::names::Names;
use self::options::Access;
pub(super) use self::options::OPTIONS;
use self::sign::Signer;
use self::tables::Tables;
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, ErrorCode, Link};
use crate::net::http::{Client, Doubt, Origin};
use crate::records::omissions::Omissions;

/// DynamoDB counts bytes in its own way; this is far below its 16 MB.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// The longest answer that is taken: 16 MB of items in JSON, where short values grow most.
const LONGEST_ANSWER: usize = 256 << 20;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    options::check_table(settings)?;
    if settings.text("splitChar") == Some("") {
        return Err(wrong("the option \"splitChar\" is empty; give one or more characters"));
    }
    let Access { origin, region, provider } = Access::from_settings(settings, Environment::of_process())?;
    let signer = Signer::new(region, "dynamodb");
    Ok(Arc::new(DynamoDb {
        origin,
        identity: Arc::new(Identity { signer, provider, ahead: AtomicI64::new(0) }),
        names: Names::from_settings(settings),
        creates: settings.flag("createTable").unwrap_or(false),
        expiry: options::expiry(settings)?,
        connections: options::connections(settings),
        consistent: settings.flag("consistentRead").unwrap_or(true),
        doubt: Arc::default(),
    }))
}

struct DynamoDb {
    origin: Origin,
    identity: Arc<Identity>,
    names: Names,
    creates: bool,
    expiry: Option<Expiry>,
    connections: usize,
    consistent: bool,
    doubt: Arc<Doubt>,
}

#[async_trait]
impl Backend for DynamoDb {
    fn describe(&self) -> Description {
        Description {
            target: format!("DynamoDB at {}", self.origin.authority()),
            max_batch_records: batches::READS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: self.connections.div_ceil(2),
            // Each may be several requests.
            write_batches: self.connections.div_ceil(batches::READS / batches::WRITES),
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let service = Service {
            client: Client::new(self.origin.clone(), self.connections, LONGEST_ANSWER)?,
            authority: self.origin.authority().into(),
            identity: Arc::clone(&self.identity),
            doubt: Arc::clone(&self.doubt),
            consistent: self.consistent,
        };
        let tables = Tables::new(service.clone(), self.creates, self.expiry.clone());
        let begin = Instant::now();
        tables.wait_for(self.names.main_table()).await.map_err(not_yet)?;
        self.doubt.settle(begin.elapsed()).await;
        let (client, identity) = (service.client.clone(), Arc::clone(&self.identity));
        let lifeline = Box::pin(async move {
            let fresh = pin!(identity.provider.keep_fresh());
            match select(Box::pin(client.watch()), fresh).await {
                Either::Left((error, _)) => error,
                Either::Right((never, _)) => match never {},
            }
        });
        let names = self.names.clone();
        let expiry = self.expiry.clone();
        let connection = DynamoConnection { names, service, tables, expiry, omissions: Omissions::default() };
        Ok(Link { connection: Arc::new(connection), lifeline })
    }
}

/// What is refused for good when connecting is a matter of the credentials or of the options.
fn not_yet(error: Error) -> Error {
    match error.code() {
        ErrorCode::Backend if !error.is_retryable() => {
            Error::new(ErrorCode::Authentication, error.message().to_owned())
        }
        _ => error,
    }
}
