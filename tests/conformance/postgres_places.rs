//! PostgreSQL: a schema for each place, in the database of a server of the tests or of the one
//! that `DSC_TEST_POSTGRES_URL` names.

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;
use crate::support;

const GIVEN: &str = "DSC_TEST_POSTGRES_URL";

/// Why there is no server, if so. One that is given is not hurt: that needs another.
pub fn missing() -> Option<String> {
    support::Server::missing("postgres")
}

/// A schema.
pub struct Postgres {
    server: Option<Running>,
    proxy: Option<Proxy>,
    schema: String,
    password: &'static str,
    use_jsonb: bool,
}

impl Postgres {
    pub fn new(val: &str, scope: Scope) -> Postgres {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let is_given = env::var_os(GIVEN).is_some();
        let server = match scope {
            Scope::Server | Scope::Crash | Scope::Credentials => Some(Running::alone("postgres", &[])),
            Scope::Network => Some(Running::shared("postgres", &[])),
            _ if is_given => None,
            _ => Some(Running::shared("postgres", &[])),
        };
        let proxy =
            server.as_ref().filter(|_| scope == Scope::Network).map(|server| Proxy::start(server.port()));
        let password = if scope == Scope::Credentials { WRONG_PASSWORD } else { "secret" };
        let schema = format!("place {} {}", std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        Postgres { server, proxy, schema, password, use_jsonb: val == "jsonb" }
    }

    fn server_of_ours(&self) -> &Running {
        self.server.as_ref().expect("the suite gives it to those who ask")
    }
}

impl Place for Postgres {
    fn options(&self) -> Map<String, Value> {
        let mut options = object(json!({
            "type": "postgres",
            "schema": self.schema,
            "useJsonb": self.use_jsonb,
            "bigintVersions": true,
        }));
        options.extend(match &self.server {
            Some(server) => object(json!({
                "host": "127.0.0.1",
                "port": self.proxy.as_ref().map_or(server.port(), Proxy::port),
                "user": "connector",
                "password": self.password,
                "database": "records",
            })),
            None => object(json!({"connectionString": env::var(GIVEN).unwrap_or_default()})),
        });
        options
    }

    fn server(&self) -> Option<&dyn Server> {
        self.server.as_ref()?.hurtable()
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
    }

    fn stored_versions(&self, keys: &[String]) -> Vec<Option<i64>> {
        // Layout V2 has the version in a column, V1 within the record: hosts differ in theirs.
        let statements: String = keys
            .iter()
            .map(|key| {
                let id = key.replace('\'', "''");
                format!(
                    "SELECT coalesce(to_jsonb(t)->>'version', val::jsonb->>'_v') FROM \"{}\".\"default\" t WHERE id = '{id}'
                     UNION ALL SELECT '' LIMIT 1;\n",
                    self.schema
                )
            })
            .collect();
        let answer = self.server_of_ours().client_with_input(&statements);
        answer.lines().map(|line| line.parse().ok()).collect()
    }

    fn accept_credentials(&self) {
        self.server_of_ours().ctl(&["password", WRONG_PASSWORD]);
        self.server_of_ours().spend();
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
