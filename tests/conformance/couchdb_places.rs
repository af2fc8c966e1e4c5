//! CouchDB: a database for each place.
//!
//! `DSC_TEST_COUCHDB_URL` has the promises held against a real one: `http://admin:password@host:5984`.
//! Databases named `conformance-…` are made there and stay. What hurts a server is held against one of
//! ours, and what spoils the network to it is left out.

use std::env;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;
use crate::harness::ignore;
use crate::support;

/// A database.
pub struct CouchDb {
    server: Option<Running>,
    proxy: Option<Proxy>,
    database: String,
    password: Option<&'static str>,
}

fn own_server() -> Option<String> {
    env::var("DSC_TEST_COUCHDB_URL").ok()
}

pub fn missing() -> Option<String> {
    if own_server().is_some() {
        return None;
    }
    support::Server::missing("couchdb")
}

impl CouchDb {
    pub fn new(scope: Scope) -> CouchDb {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let server = match scope {
            Scope::Server | Scope::Crash => Some(Running::alone("couchdb", &["durable"])),
            Scope::Credentials => Some(Running::alone("couchdb", &["password=right"])),
            Scope::Network if own_server().is_some() => {
                ignore("the network to the server of DSC_TEST_COUCHDB_URL is not to be spoiled")
            }
            _ if own_server().is_some() => None,
            _ => Some(Running::shared("couchdb", &[])),
        };
        let port = server.as_ref().map(Running::port);
        let proxy = port.filter(|_| scope == Scope::Network).map(Proxy::start);
        let password = (scope == Scope::Credentials).then_some(WRONG_PASSWORD);
        let database = format!("conformance-{}-{}", process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        CouchDb { server, proxy, database, password }
    }
}

impl Place for CouchDb {
    fn options(&self) -> Map<String, Value> {
        let mut options = object(json!({"type": "couchdb", "database": self.database}));
        let port = self.proxy.as_ref().map(Proxy::port).or(self.server.as_ref().map(Running::port));
        match port {
            Some(port) => options.insert("port".into(), json!(port)),
            None => options.insert("url".into(), json!(own_server())),
        };
        if let Some(password) = self.password {
            options.extend(object(json!({"username": "admin", "password": password})));
        }
        options
    }

    fn server(&self) -> Option<&dyn Server> {
        self.server.as_ref()?.hurtable()
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
    }

    fn stored_versions(&self, keys: &[String]) -> Vec<Option<i64>> {
        let server = self.server.as_ref().expect("the suite asks for it where a server is hurt");
        let path = format!("/{}/_all_docs?include_docs=true", self.database);
        let answer = server.ctl(&["client", "POST", &path, &json!({ "keys": keys }).to_string()]);
        let answer: Value = serde_json::from_str(&answer).expect("the server answers with JSON");
        let rows = answer["rows"].as_array().expect("there are rows");
        rows.iter().map(|row| row["doc"]["version"].as_i64()).collect()
    }

    /// Each document comes with its id and its revision, twice.
    fn some_answers(&self) -> usize {
        12_000
    }

    fn soon(&self) -> u64 {
        3_000
    }

    fn accept_credentials(&self) {
        let server = self.server.as_ref().expect("the suite gives it to those who ask");
        server.ctl(&["password", WRONG_PASSWORD]);
        server.spend();
    }

    fn heal(&self) {
        if let Some(server) = &self.server {
            server.heal();
        }
        if let Some(proxy) = &self.proxy {
            proxy.tell(&["pass"]);
        }
    }
}
