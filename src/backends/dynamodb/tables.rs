//! Tables: whether they are there, and making them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::calls::{read, Kind, Refusal, Service};
use super::item::{Expiry, KEY};
use crate::config::wrong;
use crate::core::{Error, ErrorCode};

/// How long one attempt to connect waits for a table that is being made, and how long it pauses
/// before it looks again. Further attempts wait on.
const PATIENCE: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Whether a table can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// It soon can.
    InTheMaking,
    Missing,
}

/// Tables of one connection. Clones share what is known.
#[derive(Clone)]
pub(super) struct Tables {
    service: Service,
    creates: bool,
    expiry: Option<Expiry>,
    ready: Arc<Mutex<HashSet<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    table: Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    table_status: String,
    key_schema: Vec<KeyPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyPart {
    attribute_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    table_names: Vec<String>,
    last_evaluated_table_name: Option<String>,
}

impl Tables {
    pub fn new(service: Service, creates: bool, expiry: Option<Expiry>) -> Tables {
        Tables { service, creates, expiry, ready: Arc::default() }
    }

    fn ready(&self) -> MutexGuard<'_, HashSet<String>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was known of a table is not so any more.
    pub fn forget(&self, table: &str) {
        self.ready().remove(table);
    }

    /// Looks whether a table can be used.
    ///
    /// # Errors
    /// It is another kind of table, or the service did not say.
    pub async fn state(&self, table: &str) -> Result<State, Error> {
        if self.ready().contains(table) {
            return Ok(State::Ready);
        }
        let described = match self.service.call("DescribeTable", body(&json!({"TableName": table}))).await {
            Ok(body) => read::<Described>("DescribeTable", &body)?.table,
            Err(Refusal { kind: Kind::NoTable, .. }) => return Ok(State::Missing),
            Err(refusal) => return Err(refusal.error),
        };
        let key: Vec<&str> = described.key_schema.iter().map(|part| part.attribute_name.as_str()).collect();
        if key != [KEY] {
            return Err(wrong(format!(
                "the table \"{table}\" has the key {}, and records need the hash key {KEY} alone; give another one with \"table\"",
                key.join(" and ")
            )));
        }
        match described.table_status.as_str() {
            "ACTIVE" | "UPDATING" => {
                self.ready().insert(table.to_owned());
                Ok(State::Ready)
            }
            "CREATING" => Ok(State::InTheMaking),
            other => Err(Error::transient(
                ErrorCode::Backend,
                format!("the table \"{table}\" is in the state {other}"),
            )),
        }
    }

    /// Makes a table that is not there, where that is wanted, and looks again.
    ///
    /// # Errors
    /// It is not wanted, or not allowed.
    pub async fn provide(&self, table: &str) -> Result<State, Error> {
        let state = self.state(table).await?;
        if state != State::Missing {
            return Ok(state);
        }
        if !self.creates {
            return Err(wrong(format!(
                "the table \"{table}\" is not there; make it, or have it made with \"createTable\""
            )));
        }
        let wanted = json!({
            "TableName": table,
            "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        match self.service.call("CreateTable", body(&wanted)).await {
            Ok(_) | Err(Refusal { kind: Kind::InUse, .. }) => self.state(table).await,
            Err(refusal) => Err(refusal.error),
        }
    }

    /// Makes the main table, where that is wanted, and waits for it.
    ///
    /// # Errors
    /// As with [`Tables::provide`]; or it takes longer than one attempt may.
    pub async fn wait_for(&self, table: &str) -> Result<(), Error> {
        let begin = Instant::now();
        let mut pause = FIRST_PAUSE;
        while self.provide(table).await? != State::Ready {
            if begin.elapsed() > PATIENCE {
                return Err(Error::connection(format!("the table \"{table}\" is being made")));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.switch_expiry_on(table).await
    }

    /// Switches the table's time to live on, where it is wanted and is not.
    pub async fn switch_expiry_on(&self, table: &str) -> Result<(), Error> {
        let (true, Some(expiry)) = (self.creates, &self.expiry) else { return Ok(()) };
        let wanted = json!({
            "TableName": table,
            "TimeToLiveSpecification": {"AttributeName": expiry.attribute, "Enabled": true},
        });
        match self.service.call("UpdateTimeToLive", body(&wanted)).await {
            // It is refused where it is switched on already.
            Ok(_) | Err(Refusal { kind: Kind::Invalid | Kind::InUse, .. }) => Ok(()),
            Err(refusal) => Err(refusal.error),
        }
    }

    /// The first table after `after` that is wanted, in the order of their names.
    pub async fn next(
        &self,
        after: Option<&str>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, Error> {
        let mut after = after.map(str::to_owned);
        loop {
            let mut question = json!({"Limit": 100});
            if let Some(after) = &after {
                question["ExclusiveStartTableName"] = json!(after);
            }
            let answer = self.service.call("ListTables", body(&question)).await;
            let answer = answer.map_err(|refusal| refusal.error)?;
            let listed: Listed = read("ListTables", &answer)?;
            if let Some(found) = listed.table_names.into_iter().find(|name| is_wanted(name)) {
                return Ok(Some(found));
            }
            match listed.last_evaluated_table_name {
                Some(last) => after = Some(last),
                None => return Ok(None),
            }
        }
    }
}

/// The text of a request.
pub(super) fn body(request: &serde_json::Value) -> Vec<u8> {
    request.to_string().into_bytes()
}
