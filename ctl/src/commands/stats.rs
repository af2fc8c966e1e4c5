//! `stats`: the counters of a connection, and what is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{json, Value};

use crate::cli::StatsArgs;
use crate::config;
use crate::connection::{wait, Connection};
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::listing::Listing;
use crate::output::{shown, Output};
use crate::progress::Progress;

const PATIENCE: Duration = Duration::from_secs(60);

/// So many collections are told apart.
const COLLECTIONS: usize = 1000;

/// What stands for the others.
const OTHERS: &str = "(others)";

#[derive(Default)]
struct Count {
    records: u64,
    bytes: u64,
    largest: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
        self.largest = self.largest.max(bytes);
    }

    fn json(&self) -> Value {
        json!({"records": self.records, "bytes": self.bytes, "largest": self.largest})
    }
}

pub fn stats(arguments: &StatsArgs) -> Result<Exit, Failure> {
    let connection = Connection::open(&config::one(&arguments.connection)?)?;
    wait(connection.handle().head_async("connectorctl/ping"))?;
    let (mut all, mut collections) = (Count::default(), BTreeMap::<String, Count>::new());
    if arguments.records {
        let mut listing = Listing::begin(connection.handle(), "", None, PATIENCE);
        let mut progress = Progress::begin("counting", 0, None);
        while let Some(part) = listing.next()? {
            for (key, record) in part.records {
                let bytes = record.data.len() as u64;
                all.add(bytes);
                let name = key.split_once('/').map_or("", |(collection, _)| collection);
                let is_known = collections.len() < COLLECTIONS || collections.contains_key(name);
                let name = if is_known { name } else { OTHERS };
                collections.entry(name.to_owned()).or_default().add(bytes);
            }
            progress.at(all.records);
        }
    }
    let mut statistics: Value = serde_json::from_str(&connection.statistics()).unwrap_or_default();
    if arguments.records {
        let collections: serde_json::Map<String, Value> =
            collections.iter().map(|(name, count)| (name.clone(), count.json())).collect();
        statistics["stored"] = all.json();
        statistics["collections"] = collections.into();
    }
    let mut output = Output::new();
    if console().json() {
        output.json(&statistics)?;
    } else {
        lines("", &statistics, &mut output)?;
    }
    output.finish()?;
    connection.close();
    Ok(Exit::Done)
}

/// A line for each number.
fn lines(path: &str, value: &Value, output: &mut Output) -> Result<(), Failure> {
    let Value::Object(members) = value else { return output.text(&format!("{path} {value}")) };
    for (name, value) in members {
        let name = shown(name);
        lines(&if path.is_empty() { name } else { format!("{path}.{name}") }, value, output)?;
    }
    Ok(())
}
