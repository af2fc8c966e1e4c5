//! MySQL and MariaDB: a database for each place, or a table where `DSC_TEST_MYSQL_URL` or
//! `DSC_TEST_MARIADB_URL` names a server that is to be used as far as it need not be hurt.

use std::collections::HashMap;
use std::env;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server, WRONG_PASSWORD};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;

/// A database of its own, or a table on a server that is given.
pub struct Mysql {
    product: &'static str,
    number: u64,
    /// None where the server is given by its URL.
    server: Option<Running>,
    proxy: Option<Proxy>,
    password: &'static str,
}

/// The variable with the URL of a server that is not ours to hurt.
fn given(product: &str) -> Option<String> {
    env::var(format!("DSC_TEST_{}_URL", product.to_uppercase())).ok()
}

impl Mysql {
    /// `product` is the type of the connector and the recipe of its server.
    pub fn new(product: &'static str, scope: Scope) -> Mysql {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let server = match scope {
            Scope::Every | Scope::Kept if given(product).is_some() => None,
            Scope::Server | Scope::Crash => Some(Running::alone(product, &[])),
            Scope::Credentials => Some(Running::alone(product, &["password=right"])),
            _ => Some(Running::shared(product, &[])),
        };
        let proxy =
            server.as_ref().filter(|_| scope == Scope::Network).map(|server| Proxy::start(server.port()));
        let password = if scope == Scope::Credentials { WRONG_PASSWORD } else { "secret" };
        let place =
            Mysql { product, number: PLACES.fetch_add(1, Ordering::Relaxed), server, proxy, password };
        place.tell_server("CREATE");
        place
    }

    fn database(&self) -> String {
        format!("records_{}", self.number)
    }

    /// Creates or drops the database.
    fn tell_server(&self, verb: &str) {
        if let Some(server) = &self.server {
            server.client_with_input(&format!("{verb} DATABASE {};", self.database()));
        }
    }

    fn server_of_ours(&self) -> &Running {
        self.server.as_ref().expect("the suite gives it to those who ask")
    }
}

impl Place for Mysql {
    fn options(&self) -> Map<String, Value> {
        let Some(server) = &self.server else {
            // All keys are in one table, since none has this in it.
            return object(json!({
                "type": self.product,
                "url": given(self.product),
                "defaultTable": format!("place_{}_{}", std::process::id(), self.number),
                "splitChar": "\u{1}nowhere\u{1}",
            }));
        };
        object(json!({
            "type": self.product,
            "port": self.proxy.as_ref().map_or(server.port(), Proxy::port),
            "user": "connector",
            "password": self.password,
            "database": self.database(),
        }))
    }

    fn server(&self) -> Option<&dyn Server> {
        self.server.as_ref()?.hurtable()
    }

    fn spoil_network(&self, words: &[&str]) {
        self.proxy.as_ref().expect("the suite gives it to those who ask").tell(words);
    }

    fn stored_versions(&self, keys: &[String]) -> Vec<Option<i64>> {
        let query = format!("SELECT version, id FROM {}.`default`;", self.database());
        let answer = self.server_of_ours().client_with_input(&query);
        let stored: HashMap<&str, i64> = answer
            .lines()
            .filter_map(|line| {
                let (version, id) = line.split_once('\t')?;
                Some((id, version.parse().ok()?))
            })
            .collect();
        keys.iter().map(|key| stored.get(key.as_str()).copied()).collect()
    }

    fn accept_credentials(&self) {
        self.server_of_ours().ctl(&["password", WRONG_PASSWORD]);
        self.server_of_ours().spend();
    }

    fn heal(&self) {
        self.server.iter().for_each(Running::heal);
        if let Some(proxy) = &self.proxy {
            proxy.tell(&["pass"]);
        }
    }
}

impl Drop for Mysql {
    fn drop(&mut self) {
        self.server.iter().for_each(Running::heal);
        self.tell_server("DROP");
    }
}
