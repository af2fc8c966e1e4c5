//! Records in MySQL or MariaDB, one table for each collection, for a person to query.
//!
//! `tables.rs` says which table and row a key is in, `statements.rs` has all SQL, `rows.rs` says
//! what is in a row, `failure.rs` what each of the servers' errors means, and `wire/` speaks the
//! protocol. A batch is one statement for each table that it touches, on one of a few connections
//! (`sessions.rs`). Nothing is acknowledged before the server has committed it.

mod address;
mod batch;
mod connection;
mod failure;
mod options;
mod rows;
mod scan;
mod security;
mod server;
mod sessions;
mod statements;
mod tables;
mod wire;
mod writability;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ring::rand::{SecureRandom, SystemRandom};

use self::batch::Context;
use self::connection::MysqlConnection;
use self::options::Options;
pub(super) use self::options::OPTIONS;
use self::server::Server;
use self::sessions::Sessions;
use self::statements::Dialect;
use self::tables::{Mysql, Tables};
use self::writability::Writability;
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, Link, Notice};
use crate::net::renewal::{self, Renewable, Renewing};
use crate::records::locks::Locks;

/// Large enough to keep the server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 1024;
const MAX_BATCH_BYTES: usize = 4 << 20;

/// How long a lock of somebody else's is waited for: an eighth of what an operation may take, in
/// whole seconds, which is what the servers count in.
const LOCK_WAIT: (u64, u64) = (1, 5);

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let Options { addresses, login, connections, remarks } = Options::read(settings)?;
    let mut drawn = [0; 16];
    SystemRandom::new()
        .fill(&mut drawn)
        .map_err(|_| wrong("this system gives no random numbers, which telling connections apart takes"))?;
    let engine = settings.engine();
    let lock_wait_seconds = (engine.timeout / 8).as_secs().clamp(LOCK_WAIT.0, LOCK_WAIT.1);
    let mark = format!("{:032x}", u128::from_ne_bytes(drawn));
    let databases = Databases {
        target: if settings.text("type") == Some("mariadb") { Dialect::MariaDb } else { Dialect::Mysql }
            .name(),
        server: Arc::new(Server::new(addresses, login, engine.connect_timeout, lock_wait_seconds, mark)),
        connections,
        tables: Tables::from_settings(settings, Mysql)?,
        remarks: Mutex::new(remarks),
        ping_interval: renewal::ping_interval(settings),
    };
    Ok(Arc::new(Renewing::new(databases, engine.connect_timeout)))
}

/// A server, and how it is used.
struct Databases {
    /// What to call it before it says what it is.
    target: &'static str,
    server: Arc<Server>,
    connections: usize,
    tables: Tables,
    /// What is still to be said.
    remarks: Mutex<Vec<Notice>>,
    ping_interval: Option<Duration>,
}

impl Renewable for Databases {}

#[async_trait]
impl Backend for Databases {
    fn describe(&self) -> Description {
        Description {
            target: format!("{} at {}", self.target, self.server.in_words()),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: (self.connections / 2).max(1),
            write_batches: (self.connections - self.connections / 2).max(1),
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let (sessions, dialect, largest_packet) =
            Sessions::open(&self.server, self.connections, self.ping_interval).await?;
        let sessions = Arc::new(sessions);
        let remarks = std::mem::take(&mut *self.remarks.lock().unwrap_or_else(PoisonError::into_inner));
        let connection = MysqlConnection {
            sessions: Arc::clone(&sessions),
            context: Context {
                tables: self.tables.clone(),
                dialect,
                largest_packet,
                locks: Locks::default(),
                writability: Writability::default(),
            },
            remarks: Mutex::new(remarks),
        };
        Ok(Link { connection: Arc::new(connection), lifeline: Box::pin(sessions.watch()) })
    }
}
