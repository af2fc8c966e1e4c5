//! Records in MySQL or MariaDB, one table for each collection, for a person to query.
//!
//! `tables.rs` says which table and row a key is in, `statements.rs` has all SQL, `rows.rs` says
//! what is in a row, and `wire/` speaks the protocol. A batch is one statement for each table
//! that it touches, on one of a few connections (`sessions.rs`). Nothing is acknowledged before the
//! server has committed it.

mod connection;
mod failure;
mod options;
mod rows;
mod scan;
mod server;
mod sessions;
mod statements;
mod tables;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ring::rand::{SecureRandom, SystemRandom};

use self::connection::MysqlConnection;
pub(super) use self::options::OPTIONS;
use self::server::Server;
use self::sessions::Sessions;
use self::statements::Dialect;
use self::tables::{Mysql, Tables};
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, Link};
use crate::net::renewal::{self, Renewable, Renewing};

/// Large enough to keep the server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 1024;
const MAX_BATCH_BYTES: usize = 4 << 20;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let (address, login) = options::server(settings)?;
    let mut drawn = [0; 16];
    SystemRandom::new()
        .fill(&mut drawn)
        .map_err(|_| wrong("this system gives no random numbers, which telling connections apart takes"))?;
    let in_vain = options::given_in_vain(settings);
    let lock_wait_seconds = (settings.engine().timeout / 2).as_secs().clamp(1, 50);
    let mark = format!("{:032x}", u128::from_ne_bytes(drawn));
    let databases = Databases {
        target: if settings.text("type") == Some("mariadb") { Dialect::MariaDb } else { Dialect::Mysql }
            .name(),
        server: Arc::new(Server::new(address, login, lock_wait_seconds, mark)),
        connections: options::connections(settings),
        tables: Tables::from_settings(settings, Mysql)?,
        remark: (!in_vain.is_empty())
            .then(|| format!("the options {} are accepted and not needed", in_vain.join(", "))),
        has_remarked: AtomicBool::new(false),
        ping_interval: renewal::ping_interval(settings),
    };
    Ok(Arc::new(Renewing::new(databases, settings.engine().connect_timeout)))
}

/// A server, and how it is used.
struct Databases {
    /// What to call it before it says what it is.
    target: &'static str,
    server: Arc<Server>,
    connections: usize,
    tables: Tables,
    remark: Option<String>,
    has_remarked: AtomicBool,
    ping_interval: Option<Duration>,
}

impl Renewable for Databases {}

#[async_trait]
impl Backend for Databases {
    fn describe(&self) -> Description {
        Description {
            target: format!("{} at {}", self.target, self.server.address.in_words()),
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
        let remark = self.remark.clone().filter(|_| !self.has_remarked.swap(true, Ordering::Relaxed));
        let connection = MysqlConnection {
            sessions: Arc::clone(&sessions),
            tables: self.tables.clone(),
            dialect,
            largest_packet,
            remark: Mutex::new(remark),
        };
        Ok(Link { connection: Arc::new(connection), lifeline: Box::pin(sessions.watch()) })
    }
}
