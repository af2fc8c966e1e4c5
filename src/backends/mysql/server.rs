//! A server: how a connection to it is made, and how those are ended that were given up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::failure;
use super::options::Address;
use super::statements::{self, Dialect};
use super::wire::{Failure, Login, Parameter, Session, Statement, Value};
use crate::config::wrong;
use crate::core::Error;
use crate::net::stream;
use crate::net::traffic::Traffic;

/// The first versions with collations that tell all text apart and with what statements need.
const OLDEST_MYSQL: [u32; 3] = [8, 0, 19];
const OLDEST_MARIADB: [u32; 3] = [10, 2, 3];

/// A server and what connections to it have in common.
pub(super) struct Server {
    pub address: Address,
    login: Login,
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

impl Server {
    pub fn new(address: Address, login: Login, lock_wait_seconds: u64, mark: String) -> Server {
        Server {
            address,
            login,
            lock_wait_seconds,
            mark,
            loans: Mutex::default(),
            traffic: Traffic::default(),
        }
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
        self.try_open(slot).await.map_err(|failure| self.explain(failure))
    }

    /// The first connection, after all have ended that were given up: what they still have to do
    /// would undo what comes later.
    pub async fn open_first(&self) -> Result<Opened, Error> {
        let given_up = self.loans().slots.clone();
        let mut opened = self.open(0).await?;
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

    async fn try_open(&self, slot: usize) -> Result<Opened, Failure> {
        let stream = match &self.address {
            Address::Tcp { host, port } => stream::dial(host, *port, None, &self.traffic).await?,
            Address::Unix { path } => stream::dial_unix(path, &self.traffic).await?,
        };
        let mut session = Session::log_in(stream, &self.login.current().await?).await?;
        check_version(&session)?;
        session.run(&statements::set_up(self.lock_wait_seconds)).await?;
        session.run(statements::ISOLATION).await?;
        let largest_packet = self.introduce(&mut session, slot).await?;
        Ok(Opened { dialect: dialect_of(&session), session, largest_packet })
    }

    /// Sees to it that the connection which had this slot before has ended: what a connection
    /// that we gave up still has to do would undo what comes later. Each holds a lock of the
    /// server's, named for us and its slot, as long as it lives.
    async fn introduce(&self, session: &mut Session, slot: usize) -> Result<usize, Failure> {
        let name = self.lock_of(slot);
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
