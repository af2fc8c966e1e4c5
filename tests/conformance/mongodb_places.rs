//! MongoDB: a database for each place. `DSC_TEST_MONGODB_URL`, a connection string, has the
//! promises that hurt no server held against one of the user's own.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use mongodb::bson::{doc, Document};
use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;
use crate::support;

/// A server of the user's own, if there is one.
const URL: &str = "DSC_TEST_MONGODB_URL";

/// A database.
pub struct Mongodb {
    server: Option<Running>,
    proxy: Option<Proxy>,
    connection_string: String,
    database: String,
}

/// Why the promises cannot be tested here, if so.
pub fn missing() -> Option<String> {
    support::Server::missing("mongodb")
}

impl Mongodb {
    pub fn new(scope: Scope) -> Mongodb {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let database = format!("place-{}-{number}", std::process::id());
        let url = env::var(URL).ok().filter(|_| matches!(scope, Scope::Every | Scope::Kept));
        if let Some(connection_string) = url {
            return Mongodb { server: None, proxy: None, connection_string, database };
        }
        let server = match scope {
            Scope::Server | Scope::Crash => Running::alone("mongodb", &["durable"]),
            Scope::Credentials => Running::alone("mongodb", &["password=right"]),
            _ => Running::shared("mongodb", &[]),
        };
        let proxy = (scope == Scope::Network).then(|| Proxy::start(server.port()));
        let port = proxy.as_ref().map_or(server.port(), Proxy::port);
        let login = match scope {
            Scope::Credentials => format!("connector:{WRONG_PASSWORD}@"),
            _ => String::new(),
        };
        // A server tells its own address to those who look for a whole replica set.
        let direct = if scope == Scope::Network { "&directConnection=true" } else { "" };
        let connection_string = format!("mongodb://{login}127.0.0.1:{port}/?authSource=admin{direct}");
        Mongodb { server: Some(server), proxy, connection_string, database }
    }

    fn server(&self) -> &Running {
        self.server.as_ref().expect("the suite gives it to those who ask")
    }

    /// Does something with a driver of our own, past all connectors.
    fn with_driver<R>(
        &self,
        login: &str,
        work: impl AsyncFnOnce(mongodb::Client) -> mongodb::error::Result<R>,
    ) -> R {
        let url = format!("mongodb://{login}127.0.0.1:{}/?authSource=admin", self.server().port());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let answer = runtime
            .expect("a runtime")
            .block_on(async { work(mongodb::Client::with_uri_str(&url).await?).await });
        answer.unwrap_or_else(|error| panic!("the driver of the suite itself: {error}"))
    }
}

impl Place for Mongodb {
    fn options(&self) -> Map<String, Value> {
        object(json!({
            "type": "mongodb",
            "connectionString": self.connection_string,
            "database": self.database,
        }))
    }

    fn server(&self) -> Option<&dyn Server> {
        self.server.as_ref().and_then(Running::hurtable)
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
    }

    fn stored_versions(&self, keys: &[String]) -> Vec<Option<i64>> {
        self.with_driver("", async |client| {
            let documents = client.database(&self.database).collection::<Document>("deepstream_docs");
            let mut cursor = documents.find(doc! {}).await?;
            let mut versions = std::collections::HashMap::new();
            while cursor.advance().await? {
                let document = cursor.deserialize_current()?;
                // In layout V2, and in V1: hosts differ in theirs.
                let envelope = document.get_document("__ds").ok();
                let version = document.get("ds_version").or_else(|| envelope?.get("_v"));
                let version = version.and_then(|version| match version {
                    mongodb::bson::Bson::Int32(number) => Some(i64::from(*number)),
                    other => other.as_i64(),
                });
                versions.insert(document.get_str("ds_key").unwrap_or_default().to_owned(), version);
            }
            Ok(keys.iter().map(|key| versions.get(key).copied().flatten()).collect())
        })
    }

    fn soon(&self) -> u64 {
        2_000
    }

    /// The driver's handshake alone has 1,000.
    fn some_answers(&self) -> usize {
        12_000
    }

    fn accept_credentials(&self) {
        self.with_driver("connector:right@", async |client| {
            let command = doc! { "updateUser": "connector", "pwd": WRONG_PASSWORD };
            client.database("admin").run_command(command).await
        });
        self.server().spend();
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
