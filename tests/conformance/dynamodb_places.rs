//! DynamoDB: a table, or a set of tables, for each place.
//!
//! `DSC_TEST_DYNAMODB` has the promises held against a service of one's own: a JSON object of
//! options, such as `{"region": "eu-central-1"}`. Tables named `conformance-…` are made there and
//! stay.

use std::env;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server};
use crate::conformance::promises::Scope;
use crate::conformance::servers::{Proxy, Running};
use crate::conformance::stage::object;
use crate::support;

/// How records are distributed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    OneTable,
    TablePerCollection,
}

/// A table and what its name begins.
pub struct DynamoDb {
    form: Form,
    server: Option<Running>,
    proxy: Option<Proxy>,
    table: String,
}

fn own_service() -> Option<Map<String, Value>> {
    let options = env::var("DSC_TEST_DYNAMODB").ok()?;
    Some(serde_json::from_str(&options).expect("DSC_TEST_DYNAMODB is a JSON object of options"))
}

pub fn missing() -> Option<String> {
    if own_service().is_some() {
        return None;
    }
    support::Server::missing("dynamodb")
}

impl DynamoDb {
    pub fn new(form: Form, scope: Scope) -> DynamoDb {
        static PLACES: AtomicU64 = AtomicU64::new(1);
        let server = match scope {
            Scope::Server | Scope::Crash => Some(Running::alone("dynamodb", &["durable"])),
            _ if own_service().is_some() => None,
            _ => Some(Running::shared("dynamodb", &[])),
        };
        let port = server.as_ref().map(Running::port);
        let proxy = port.filter(|_| scope == Scope::Network).map(Proxy::start);
        let table = format!("conformance-{}-{}", process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        DynamoDb { form, server, proxy, table }
    }
}

impl Place for DynamoDb {
    fn options(&self) -> Map<String, Value> {
        let mut options = object(json!({
            "type": "dynamodb",
            "table": self.table,
            "createTable": true,
            "tablePerCollection": self.form == Form::TablePerCollection,
        }));
        let port = self.proxy.as_ref().map(Proxy::port).or(self.server.as_ref().map(Running::port));
        match port {
            Some(port) => options.extend(object(json!({
                "endpoint": format!("http://127.0.0.1:{port}"),
                "accessKeyId": "test",
                "secretAccessKey": "test",
            }))),
            None => options.extend(own_service().unwrap_or_default()),
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
        let mut found = std::collections::HashMap::new();
        let mut after = Value::Null;
        loop {
            let mut question = json!({"TableName": self.table, "ProjectionExpression": "ds_key,ds_version", "ConsistentRead": true});
            if !after.is_null() {
                question["ExclusiveStartKey"] = after;
            }
            let answer = server.ctl(&["client", "Scan", &question.to_string()]);
            let answer: Value = serde_json::from_str(&answer).expect("the server answers with JSON");
            for item in answer["Items"].as_array().into_iter().flatten() {
                let version = item["ds_version"]["N"].as_str().and_then(|digits| digits.parse::<i64>().ok());
                found.insert(item["ds_key"]["S"].as_str().unwrap_or_default().to_owned(), version);
            }
            after = answer["LastEvaluatedKey"].clone();
            if after.is_null() {
                break;
            }
        }
        keys.iter().map(|key| found.get(key).copied().flatten()).collect()
    }

    /// The description of a table alone has 800, and after each end unanswered writes are given time.
    fn some_answers(&self) -> usize {
        12_000
    }

    fn soon(&self) -> u64 {
        3_000
    }

    /// With a file below it, on a machine with other work.
    fn soon_done(&self) -> usize {
        100
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
