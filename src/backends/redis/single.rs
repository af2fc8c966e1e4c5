//! One Redis server.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;

use super::address::Address;
use super::decode::Reply;
use super::sentinel::Lookout;
use super::wire::{self, Wire};
use super::{replies, Plan, BATCHES_IN_PIPELINE, MAX_BATCH_BYTES, MAX_BATCH_RECORDS};
use crate::core::{Backend, BatchResult, Connection, Description, Error, Key, Link, Record};

/// One server.
pub(super) struct Redis {
    address: Address,
    plan: Plan,
}

impl Redis {
    pub fn new(address: Address, plan: Plan) -> Redis {
        Redis { address, plan }
    }
}

#[async_trait]
impl Backend for Redis {
    fn describe(&self) -> Description {
        description(format!("Redis at {}", self.address.in_words()))
    }

    async fn connect(&self) -> Result<Link, Error> {
        let (wire, lifeline) = self.address.connect().await?;
        let session = Session::new(wire, self.plan.clone(), None);
        Ok(Link { connection: Arc::new(session), lifeline })
    }
}

/// What the engine must know, wherever the servers are.
pub(super) fn description(target: String) -> Description {
    Description {
        target,
        max_batch_records: MAX_BATCH_RECORDS,
        max_batch_bytes: MAX_BATCH_BYTES,
        read_batches: BATCHES_IN_PIPELINE,
        write_batches: BATCHES_IN_PIPELINE,
        host_driven: true,
    }
}

/// A connection that is logged in.
pub(super) struct Session {
    wire: Wire,
    plan: Plan,
    /// The sentinels that watch over the server, if there are any.
    lookout: Option<Arc<Lookout>>,
}

impl Session {
    pub fn new(wire: Wire, plan: Plan, lookout: Option<Arc<Lookout>>) -> Session {
        Session { wire, plan, lookout }
    }

    async fn read(&self, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        match self.wire.ask(self.plan.layout.read(keys, head), 0).await? {
            Reply::Strings(values) if values.len() == keys.len() * self.plan.layout.values_per_read(head) => {
                Ok(values)
            }
            _ => Err(replies::unexpected()),
        }
    }

    async fn write(&self, entries: &[(Key, Record)]) -> Result<(), Error> {
        let Some(ttl) = self.plan.ttl else {
            return self.change(self.plan.layout.write(entries), 0).await.map(drop);
        };
        let transaction = self.plan.layout.write_expiring(entries, ttl);
        // The replies to MULTI and to each command come before the one to EXEC, which counts.
        let skip = 1 + transaction.cmd_iter().count();
        match self.change(transaction.get_packed_pipeline(), skip).await? {
            Reply::Value(Value::Array(results)) => replies::all_well(results),
            _ => Err(replies::unexpected()),
        }
    }

    async fn remove(&self, keys: &[Key]) -> Result<(), Error> {
        self.change(self.plan.layout.remove(keys), 0).await.map(drop)
    }

    /// Asks for a change, and where it is wanted for the replicas' word.
    async fn change(&self, mut commands: Vec<u8>, skip: usize) -> Result<Reply, Error> {
        let Some(acknowledgement) = &self.plan.acknowledgement else {
            return self.wire.ask(commands, skip).await;
        };
        acknowledgement.append(&mut commands);
        let mut replies = self.wire.ask_each(commands, skip + 2).await?;
        let word = replies.pop();
        let reply = wire::all_well(replies)?;
        acknowledgement.check(word)?;
        Ok(reply)
    }
}

/// Whether a command for many records is worth sending again as one for each: the server itself
/// refused it, and would refuse it again as it is.
fn is_refusal(error: &Error) -> bool {
    error.remedy() == crate::core::Remedy::Report
}

/// Carries out `$one` for each item when the server refused them together.
macro_rules! one_by_one {
    ($items:expr, $together:expr, $one:expr) => {
        match $together {
            Err(error) if is_refusal(&error) && $items.len() > 1 => {
                let mut results = Vec::with_capacity($items.len());
                for item in $items {
                    results.push($one(std::slice::from_ref(item)).await);
                }
                Ok(results)
            }
            other => other,
        }
    };
}

#[async_trait]
impl Connection for Session {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        one_by_one!(
            keys,
            self.read(keys, false).await.map(|values| self.plan.layout.records(values)),
            |key| async move {
                self.read(key, false).await.and_then(|values| self.plan.layout.records(values).remove(0))
            }
        )
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        one_by_one!(
            keys,
            self.read(keys, true).await.map(|values| self.plan.layout.versions(values)),
            |key| async move {
                self.read(key, true).await.and_then(|values| self.plan.layout.versions(values).remove(0))
            }
        )
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        one_by_one!(entries, self.write(entries).await.map(|()| vec![Ok(()); entries.len()]), |entry| self
            .write(entry))
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        one_by_one!(keys, self.remove(keys).await.map(|()| vec![Ok(()); keys.len()]), |key| self.remove(key))
    }

    fn waits_for_timer(&self) -> bool {
        self.lookout.as_ref().is_some_and(|lookout| lookout.waits_for_timer())
    }
}
