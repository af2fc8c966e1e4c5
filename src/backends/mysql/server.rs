//! A server: how a connection to it is made, and how those are ended that were given up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::failure;
use super::options::Address;
use super::rows;
use super::statements::{self, Dialect};
use super::wire::{Failure, Login, Parameter, Session, Statement, Value};
use crate::config::wrong;
use crate::core::Error;
use crate::net::stream;
use crate::net::traffic::Traffic;

/// The first versions with collations that tell all text apart and with what statements need.
const OLDEST_MYSQL: [u32; 3] = [8, 0, 19];
const OLDEST_MARIADB: [u32; 3] = [10, 2, 3];
const OLDEST_TIDB: [u32; 3] = [7, 4, 0];

/// How long each address is looked at for a server that takes writes.
const LOOK: Duration = Duration::from_secs(1);

/// A server and what connections to it have in common.
pub(super) struct Server {
    /// Where it is; the first of them that takes writes.
    addresses: Vec<Address>,
    /// Which of them the connections of the present link lead to.
    chosen: AtomicUsize,
    login: Login,
    /// How long one of several addresses is tried.
    patience: Duration,
    lock_wait_seconds: u64,
    /// What all connections of this connector are known by.
    mark: String,
    loans: Mutex<Loans>,
    /// What moves on all connections to it.
    pub traffic: Traffic,
}

/// The slots of connections that carry a batch, or were given up while they did, each under a
/// number that is used once.
#[derive(Default)]
struct Loans {
    last: u64,
    slots: BTreeMap<u64, usize>,
}

/// A connection that is ready for statements.
pub(super) struct Opened {
    pub session: Session,
    pub dialect: Dialect,
    /// The server's `max_allowed_packet`.
    pub largest_packet: usize,
}

/// Which server it is, by its name, port and number.
struct Identity {
    name: [Value; 3],
    takes_writes: bool,
}

impl Server {
    pub fn new(
        addresses: Vec<Address>,
        login: Login,
        connect_timeout: Duration,
        lock_wait_seconds: u64,
        mark: String,
    ) -> Server {
        Server {
            patience: connect_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(1),
            addresses,
            chosen: AtomicUsize::new(0),
            login,
            lock_wait_seconds,
            mark,
            loans: Mutex::default(),
            traffic: Traffic::default(),
        }
    }

    /// Where it is, for messages.
    pub fn in_words(&self) -> String {
        self.addresses.iter().map(Address::in_words).collect::<Vec<_>>().join(", ")
    }

    fn loans(&self) -> MutexGuard<'_, Loans> {
        self.loans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now until `settle` the connection in a slot may be in the middle of something.
    pub fn lend(&self, slot: usize) -> u64 {
        let mut loans = self.loans();
        loans.last += 1;
        let number = loans.last;
        loans.slots.insert(number, slot);
        number
    }

    /// Everything that was sent on that connection is answered.
    pub fn settle(&self, number: u64) {
        self.loans().slots.remove(&number);
    }

    /// A connection in a slot of which there is no other one.
    pub async fn open(&self, slot: usize) -> Result<Opened, Error> {
        let opened =
            async { self.make_ready(self.log_in(self.chosen.load(Ordering::Relaxed)).await?, slot).await };
        opened.await.map_err(|failure| self.explain(failure))
    }

    /// The first connection, after all have ended that were given up: what they still have to do
    /// would undo what comes later.
    pub async fn open_first(&self) -> Result<Opened, Error> {
        let given_up = self.loans().slots.clone();
        let opened = async { self.make_ready(self.choose().await?, 0).await };
        let mut opened = opened.await.map_err(|failure| self.explain(failure))?;
        let mut slots: Vec<usize> = given_up.values().copied().filter(|slot| *slot != 0).collect();
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            let ended = self.see_ended(&mut opened.session, slot).await;
            ended.map_err(|failure| self.explain(failure))?;
        }
        self.loans().slots.retain(|number, _| !given_up.contains_key(number));
        Ok(opened)
    }

    fn explain(&self, failure: Failure) -> Error {
        failure::of_connect(failure, &self.login.user, &self.login.database)
    }

    /// Logs in at the first address whose server takes writes, or where there is none, at the first
    /// that lets us in.
    async fn choose(&self) -> Result<Session, Failure> {
        if self.addresses.len() == 1 {
            return self.log_in(0).await;
        }
        let mut reader = None;
        let mut failure = None;
        for index in 0..self.addresses.len() {
            let attempt = async {
                let mut session = self.log_in(index).await?;
                let identity = identity(&mut session).await?;
                Ok::<_, Failure>((session, identity.is_none_or(|identity| identity.takes_writes)))
            };
            match timeout(self.patience, attempt).await {
                Ok(Ok((session, true))) => {
                    self.chosen.store(index, Ordering::Relaxed);
                    return Ok(session);
                }
                Ok(Ok((session, false))) => reader = reader.or(Some((index, session))),
                Ok(Err(other)) => failure = Some(other),
                Err(_) => {
                    let place = self.addresses[index].in_words();
                    failure = Some(Error::connection(format!("no answer from {place}")).into());
                }
            }
        }
        let (index, session) = reader.ok_or_else(|| {
            failure.unwrap_or_else(|| Error::connection("there is no address to connect to").into())
        })?;
        self.chosen.store(index, Ordering::Relaxed);
        Ok(session)
    }

    /// Whether another server than that of this session takes the writes by now: behind the same
    /// address, as after a failover, or at another one.
    pub async fn has_moved(&self, session: &mut Session) -> bool {
        let Ok(Some(here)) = identity(session).await else { return false };
        for index in 0..self.addresses.len() {
            let look = async {
                let mut other = self.log_in(index).await?;
                let there = identity(&mut other).await?;
                other.close().await;
                Ok::<_, Failure>(there)
            };
            if let Ok(Ok(Some(there))) = timeout(LOOK, look).await {
                if there.takes_writes && there.name != here.name {
                    return true;
                }
            }
        }
        false
    }

    async fn see_ended(&self, session: &mut Session, slot: usize) -> Result<(), Failure> {
        self.introduce(session, slot).await?;
        let name = self.lock_of(slot);
        let parameters = vec![Parameter::Text(name.as_bytes())];
        match session.execute(&Statement { text: statements::RELEASE_LOCK.into(), parameters }).await {
            // Where there are no such locks.
            Ok(_) | Err(Failure::Refused(_)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    fn lock_of(&self, slot: usize) -> String {
        format!("deepstream-connector {} {slot}", self.mark)
    }

    async fn log_in(&self, index: usize) -> Result<Session, Failure> {
        let (stream, protection) = match &self.addresses[index] {
            Address::Tcp { host, port, protection } => {
                (stream::dial(host, *port, None, &self.traffic).await?, protection.as_ref())
            }
            Address::Unix { path } => (stream::dial_unix(path, &self.traffic).await?, None),
        };
        Session::log_in(stream, &self.login.current().await?, protection).await
    }

    async fn make_ready(&self, mut session: Session, slot: usize) -> Result<Opened, Failure> {
        session.run(statements::NAMES).await?;
        session.run(&statements::set_up(self.lock_wait_seconds)).await?;
        session.run(statements::ISOLATION).await?;
        let (largest_packet, version) = self.introduce(&mut session, slot).await?;
        let dialect = dialect_of(&version);
        check_version(&version, dialect)?;
        Ok(Opened { dialect, session, largest_packet })
    }

    /// Sees to it that the connection which had this slot before has ended: what a connection
    /// that we gave up still has to do would undo what comes later. Each holds a lock of the
    /// server's, named for us and its slot, as long as it lives.
    async fn introduce(&self, session: &mut Session, slot: usize) -> Result<(usize, String), Failure> {
        let name = self.lock_of(slot);
        let name = Parameter::Text(name.as_bytes());
        let ask = |text: &str, parameters: &[Parameter<'_>]| Statement {
            text: text.to_owned(),
            parameters: parameters.iter().map(|_| name).collect(),
        };
        let answer = match session.execute(&ask(statements::INTRODUCTION, &[name, name])).await {
            // Some clusters have no such locks, and no old connections to fear then.
            Err(Failure::Refused(_)) => session.execute(&ask(statements::LARGEST_PACKET, &[])).await?,
            rows => rows?,
        };
        let row = answer.first().map(Vec::as_slice).unwrap_or_default();
        let largest = match row.first() {
            Some(Value::Integer(bytes)) => usize::try_from(*bytes).unwrap_or(usize::MAX),
            _ => return Err(Error::connection("the server does not tell its max_allowed_packet").into()),
        };
        let Some(version) = rows::text(row, 1).map(str::to_owned) else {
            return Err(Error::connection("the server does not tell its version").into());
        };
        if let [_, _, Value::Integer(0), holder] = row {
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
        Ok((largest, version))
    }
}

/// Which server it is; `None` where it does not tell.
async fn identity(session: &mut Session) -> Result<Option<Identity>, Failure> {
    let statement = Statement { text: statements::IDENTITY.into(), parameters: Vec::new() };
    let rows = match session.execute(&statement).await {
        Err(Failure::Refused(_)) => return Ok(None),
        rows => rows?,
    };
    let Some([host, port, number, read_only, innodb_read_only]) = rows.first().map(Vec::as_slice) else {
        return Ok(None);
    };
    let is_off = |value: &Value| match value {
        Value::Integer(number) => *number == 0,
        // MariaDB has more than two words for it by now.
        Value::Bytes(word) => matches!(&word[..], b"OFF" | b"0"),
        _ => false,
    };
    Ok(Some(Identity {
        name: [host.clone(), port.clone(), number.clone()],
        takes_writes: is_off(read_only) && is_off(innodb_read_only),
    }))
}

fn dialect_of(version: &str) -> Dialect {
    match version {
        _ if version.contains("MariaDB") => Dialect::MariaDb,
        _ if version.contains("TiDB") => Dialect::TiDb,
        _ => Dialect::Mysql,
    }
}

/// Refuses servers that are too old.
fn check_version(version: &str, dialect: Dialect) -> Result<(), Error> {
    let oldest = match dialect {
        Dialect::Mysql => OLDEST_MYSQL,
        Dialect::MariaDb => OLDEST_MARIADB,
        Dialect::TiDb => OLDEST_TIDB,
    };
    let found = numbers_of(version, dialect);
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
    let version = match dialect {
        // MariaDB pretends to be an old MySQL to those who know no better, and TiDB to be another one.
        Dialect::MariaDb => version.strip_prefix("5.5.5-").unwrap_or(version),
        Dialect::TiDb => version.split_once("TiDB-v").map_or(version, |(_, own)| own),
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
        assert_eq!(numbers_of("8.0.11-TiDB-v7.5.1", Dialect::TiDb), [7, 5, 1]);
    }

    #[test]
    fn a_server_is_taken_by_its_own_version_if_it_is_new_enough() {
        for (version, dialect, is_taken) in [
            ("8.0.11", Dialect::Mysql, false),
            ("8.0.36-28.1", Dialect::Mysql, true),
            ("8.0.11-TiDB-v7.5.1", Dialect::TiDb, true),
            ("5.7.25-TiDB-v6.1.0", Dialect::TiDb, false),
            ("10.11.6-MariaDB-log", Dialect::MariaDb, true),
        ] {
            assert_eq!(dialect_of(version), dialect, "{version}");
            assert_eq!(check_version(version, dialect).is_ok(), is_taken, "{version}");
        }
    }
}
