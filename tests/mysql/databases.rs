//! A database for each test, on a server that the tests share, or on one of the test's own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use deepstream_connector::core::{Key, Operation, Record, Reply};

use crate::harness::{is_ci, skip};
use crate::support::{pool, wait_until, Client, Server};

/// The two products: types of connectors, and recipes of servers.
const PRODUCTS: [&str; 2] = ["mariadb", "mysql"];

/// Those that can be had here. Without either a test is skipped; without one of them it says so.
pub fn products() -> impl Iterator<Item = &'static str> {
    let (here, missing): (Vec<_>, Vec<_>) = PRODUCTS
        .into_iter()
        .map(|product| (product, Server::missing(product)))
        .partition(|(_, missing)| missing.is_none());
    match missing.into_iter().find_map(|(_, reason)| reason) {
        Some(reason) if here.is_empty() || is_ci() => skip(reason),
        Some(reason) => eprintln!("SKIPPED in part: {reason}"),
        None => {}
    }
    here.into_iter().map(|(product, _)| product)
}

/// A database of a test's own.
pub struct Database {
    pub product: &'static str,
    pub server: Arc<Server>,
    pub name: String,
}

impl Database {
    /// One on a server that others use too.
    pub fn shared(product: &'static str) -> Database {
        Database::on(product, pool::shared(product, &[]))
    }

    /// One on a server of the test's own.
    pub fn alone(product: &'static str, variants: &[&str]) -> Database {
        Database::on(product, Arc::new(Server::start(product, variants)))
    }

    fn on(product: &'static str, server: Arc<Server>) -> Database {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let name = format!("records_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        server.client_with_input(&format!("CREATE DATABASE {name};"));
        Database { product, server, name }
    }

    /// One on each product's shared server.
    pub fn each() -> impl Iterator<Item = Database> {
        products().map(Database::shared)
    }

    pub fn is_mariadb(&self) -> bool {
        self.product == "mariadb"
    }

    /// The configuration of a connector, with more options.
    pub fn configuration(&self, options: &str) -> String {
        self.configuration_of("connector", options)
    }

    /// The same for another user.
    pub fn configuration_of(&self, user: &str, options: &str) -> String {
        format!(
            r#"{{"type": "{}", "port": {}, "user": "{user}", "password": "secret", "database": "{}"{options}}}"#,
            self.product, self.server.port, self.name
        )
    }

    pub fn open(&self, options: &str) -> Client {
        Client::open(&self.configuration(options)).unwrap()
    }

    /// Has the server's administrator carry out statements in this database; returns the rows, one
    /// in each line, their values separated by tabs.
    pub fn sql(&self, statements: &str) -> String {
        let answer = self.server.client_with_input(&format!("USE {};\n{statements};", self.name));
        answer.trim_end_matches('\n').to_owned()
    }

    /// Does something while another program has carried out `lock` and sleeps; `then` is what
    /// that does when it is woken.
    pub fn while_locked<R>(&self, lock: &str, then: &str, work: impl FnOnce() -> R) -> R {
        let script = format!("USE {}; {lock}; DO SLEEP(60); {then}", self.name);
        std::thread::scope(|scope| {
            // Its sleep is interrupted, which is an error.
            let other = scope.spawn(|| self.server.attempt(&["client", "--force", "-e", &script]));
            wait_until("the lock is held", || !self.sleepers().is_empty());
            let result = work();
            self.wake();
            other.join().unwrap();
            result
        })
    }

    /// Wakes whoever sleeps with a lock, as soon as one of our own statements waits for it.
    pub fn wake_when_waited_for(&self) {
        let query = "SELECT COUNT(*) FROM information_schema.processlist
            WHERE db = DATABASE() AND user = 'connector' AND command = 'Execute'";
        wait_until("a statement waits for the lock", || self.sql(query) != "0");
        self.wake();
    }

    fn wake(&self) {
        for number in self.sleepers().lines() {
            // It may be awake by now.
            self.server.attempt(&["client", "-e", &format!("KILL QUERY {number}")]);
        }
    }

    fn sleepers(&self) -> String {
        self.sql(
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'DO SLEEP%'",
        )
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A full server has no room even for this.
        self.server.attempt(&["client", "-e", &format!("DROP DATABASE IF EXISTS {}", self.name)]);
    }
}

pub fn record(version: i64, data: &str) -> Record {
    Record { version, data: data.to_owned().into() }
}

/// Sets all records at once.
pub fn set_all<'a>(client: &Client, entries: impl IntoIterator<Item = (&'a str, Record)>) {
    let sets: Vec<(Key, Operation)> =
        entries.into_iter().map(|(key, record)| (key.into(), Operation::Set(record))).collect();
    client.many(sets).into_iter().for_each(|result| drop(result.unwrap()));
}

/// The records under keys, all at once.
pub fn get_all<'a>(client: &Client, keys: impl IntoIterator<Item = &'a str>) -> Vec<Option<Record>> {
    let gets = keys.into_iter().map(|key| (key.into(), Operation::Get)).collect();
    let found = |result| match result {
        Ok(Reply::Record(record)) => record,
        other => panic!("{other:?}"),
    };
    client.many(gets).into_iter().map(found).collect()
}
