//! Records in MySQL or MariaDB, one table for each collection, for a person to query.
//!
//! `tables.rs` says which table and row a key is in, `statements.rs` has all SQL, `rows.rs` says
//! what is in a row, and `wire/` speaks the protocol. A batch is one statement for each table
//! that it touches, on one of a few connections (`pool.rs`). Nothing is acknowledged before the
//! server has committed it.

mod connection;
mod failure;
mod options;
mod pool;
mod rows;
mod scan;
mod statements;
mod tables;
mod wire;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use ring::rand::{SecureRandom, SystemRandom};

use self::connection::MysqlConnection;
use self::options::Address;
pub(super) use self::options::OPTIONS;
use self::pool::Pool;
use self::statements::Dialect;
use self::tables::{Mysql, Tables};
use self::wire::{Failure, Login, Parameter, Session, Statement, Value};
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, Link};
use crate::net::stream;

/// Large enough to keep the server busy, small enough not to hold up its other clients.
const MAX_BATCH_RECORDS: usize = 1024;
const MAX_BATCH_BYTES: usize = 4 << 20;

/// The first versions with collations that tell all text apart and with what statements need.
const OLDEST_MYSQL: [u32; 3] = [8, 0, 19];
const OLDEST_MARIADB: [u32; 3] = [10, 2, 3];

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let (address, login) = options::server(settings)?;
    let mut drawn = [0; 16];
    SystemRandom::new()
        .fill(&mut drawn)
        .map_err(|_| wrong("this system gives no random numbers, which telling connections apart takes"))?;
    let in_vain = options::given_in_vain(settings);
    Ok(Arc::new(Server {
        target: if settings.text("type") == Some("mariadb") { Dialect::MariaDb } else { Dialect::Mysql }
            .name(),
        address,
        login,
        connections: options::connections(settings),
        tables: Tables::from_settings(settings, Mysql)?,
        lock_wait_seconds: (settings.engine().timeout / 2).as_secs().clamp(1, 50),
        mark: format!("{:032x}", u128::from_ne_bytes(drawn)),
        remark: (!in_vain.is_empty())
            .then(|| format!("the options {} are accepted and not needed", in_vain.join(", "))),
        has_remarked: AtomicBool::new(false),
    }))
}

/// A server and how to use it.
struct Server {
    /// What to call it before it says what it is.
    target: &'static str,
    address: Address,
    login: Login,
    connections: usize,
    tables: Tables,
    lock_wait_seconds: u64,
    /// What all connections of this connector are known by.
    mark: String,
    remark: Option<String>,
    has_remarked: AtomicBool,
}

#[async_trait]
impl Backend for Server {
    fn describe(&self) -> Description {
        Description {
            target: format!("{} at {}", self.target, self.address.in_words()),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: (self.connections / 2).max(1),
            write_batches: (self.connections - self.connections / 2).max(1),
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let slots = (0..self.connections).map(|slot| self.session(slot));
        let sessions = try_join_all(slots)
            .await
            .map_err(|failure| failure::of_connect(failure, &self.login.user, &self.login.database))?;
        let dialect = sessions.first().map_or(Dialect::Mysql, |(session, _)| dialect_of(session));
        let largest_packet = sessions.iter().map(|(_, largest)| *largest).min().unwrap_or(usize::MAX);
        let pool = Pool::new(sessions.into_iter().map(|(session, _)| session).collect());
        let remark = self.remark.clone().filter(|_| !self.has_remarked.swap(true, Ordering::Relaxed));
        let connection = MysqlConnection {
            pool: pool.clone(),
            tables: self.tables.clone(),
            dialect,
            largest_packet,
            remark: Mutex::new(remark),
        };
        Ok(Link {
            connection: Arc::new(connection),
            lifeline: Box::pin(poll_fn(move |cx| pool.poll_loss(cx))),
        })
    }
}

impl Server {
    /// A connection that is ready for statements, and the largest packet that it may send.
    async fn session(&self, slot: usize) -> Result<(Session, usize), Failure> {
        let stream = match &self.address {
            Address::Tcp { host, port } => stream::dial(host, *port, None).await?,
            Address::Unix { path } => stream::dial_unix(path).await?,
        };
        let mut session = Session::log_in(stream, &self.login).await?;
        check_version(&session)?;
        session.run(&statements::set_up(self.lock_wait_seconds)).await?;
        session.run(statements::ISOLATION).await?;
        let largest = self.introduce(&mut session, slot).await?;
        Ok((session, largest))
    }

    /// Sees to it that the connection which had this slot before has ended: what a connection
    /// that we gave up still has to do would undo what comes later. Each holds a lock of the
    /// server's, named for us and its slot, as long as it lives.
    async fn introduce(&self, session: &mut Session, slot: usize) -> Result<usize, Failure> {
        let name = format!("deepstream-connector {} {slot}", self.mark);
        let name = Parameter::Text(name.as_bytes());
        let ask = |text: &str, parameters: &[Parameter<'_>]| Statement {
            text: text.to_owned(),
            parameters: parameters.iter().map(|_| name).collect(),
        };
        let rows = match session.execute(&ask(statements::INTRODUCTION, &[name, name])).await {
            // Some clusters have no such locks, and no old connections to fear then.
            Err(Failure::Refused(_)) => session.execute(&ask(statements::LARGEST_PACKET, &[])).await?,
            rows => rows?,
        };
        let row = rows.first().map(Vec::as_slice).unwrap_or_default();
        let largest = match row.first() {
            Some(Value::Integer(bytes)) => usize::try_from(*bytes).unwrap_or(usize::MAX),
            _ => return Err(Error::connection("the server does not tell its max_allowed_packet").into()),
        };
        if let [_, Value::Integer(0), holder] = row {
            if let Value::Integer(holder) = holder {
                // It may have ended by itself.
                let ended = session.run(&statements::end_connection(*holder)).await;
                if let Err(Failure::Lost(error)) = ended {
                    return Err(error.into());
                }
            }
            let rows = session.execute(&ask(statements::WAIT_FOR_LOCK, &[name])).await?;
            if !matches!(rows.first().and_then(|row| row.first()), Some(Value::Integer(1))) {
                return Err(Error::connection("an earlier connection has not ended at the server yet").into());
            }
        }
        Ok(largest)
    }
}

fn dialect_of(session: &Session) -> Dialect {
    match session.version.contains("MariaDB") {
        true => Dialect::MariaDb,
        false => Dialect::Mysql,
    }
}

/// Refuses servers that are too old.
fn check_version(session: &Session) -> Result<(), Error> {
    let dialect = dialect_of(session);
    let oldest = match dialect {
        Dialect::Mysql => OLDEST_MYSQL,
        Dialect::MariaDb => OLDEST_MARIADB,
    };
    let found = numbers_of(&session.version, dialect);
    if found < oldest {
        let [major, minor, patch] = oldest;
        let name = dialect.name();
        return Err(wrong(format!(
            "the server is {name} {}.{}.{}; {name} {major}.{minor}.{patch} is the oldest that will do",
            found[0], found[1], found[2]
        )));
    }
    Ok(())
}

/// The numbers of a version.
fn numbers_of(version: &str, dialect: Dialect) -> [u32; 3] {
    // MariaDB pretends to be an old MySQL to those who know no better.
    let version = match dialect {
        Dialect::MariaDb => version.strip_prefix("5.5.5-").unwrap_or(version),
        Dialect::Mysql => version,
    };
    let mut numbers =
        version.split(|letter: char| !letter.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_what_servers_call_them() {
        assert_eq!(numbers_of("5.5.5-10.11.6-MariaDB-0+deb12u1", Dialect::MariaDb), [10, 11, 6]);
        assert_eq!(numbers_of("11.4.2-MariaDB", Dialect::MariaDb), [11, 4, 2]);
        assert_eq!(numbers_of("9.7.4-2", Dialect::Mysql), [9, 7, 4]);
        assert_eq!(numbers_of("8.0.36", Dialect::Mysql), [8, 0, 36]);
        assert_eq!(numbers_of("nonsense", Dialect::Mysql), [0, 0, 0]);
    }
}
