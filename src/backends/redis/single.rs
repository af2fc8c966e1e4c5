//! One Redis server, and replicas of it to read from, if there are any.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{select, FutureExt};
use redis::Value;

use super::address::{Address, DEFAULT_PORT};
use super::decode::Reply;
use super::layout::Layout;
use super::readers::{Marks, ROLE};
use super::replicas::Replicas;
use super::sentinel::Lookout;
use super::wire::{self, Wire};
use super::{options, replies, Plan, BATCHES_IN_PIPELINE, MAX_BATCH_BYTES, MAX_BATCH_RECORDS};
use crate::config::{wrong, Server, Settings};
use crate::core::{Backend, BatchResult, Connection, Description, Error, Key, Link, Record};
use crate::net::fleet::{Node, Timing};

/// One server.
pub(super) struct Redis {
    address: Address,
    plan: Plan,
    /// Where reads go first.
    replicas: Vec<Node>,
    marks: Marks,
    timing: Timing,
}

impl Redis {
    pub fn from_settings(settings: &Settings) -> Result<Redis, Error> {
        let replica = |server: Server| match server.weight {
            Some(_) => Err(wrong("replicas have no weights; give \"replicas\" as a list")),
            None => Ok(Node { host: server.host, port: server.port.unwrap_or(DEFAULT_PORT) }),
        };
        let mut replicas: Vec<Node> =
            settings.servers("replicas").into_iter().map(replica).collect::<Result<_, _>>()?;
        if !options::from_replicas(settings) {
            replicas.clear();
        }
        Ok(Redis {
            address: Address::from_settings(settings)?,
            plan: Plan::from_settings(settings, Layout::plain(settings)),
            replicas,
            marks: Marks::default(),
            timing: Timing::from_options(&settings.engine()),
        })
    }
}

#[async_trait]
impl Backend for Redis {
    fn describe(&self) -> Description {
        description(format!("Redis at {}", self.address.in_words()))
    }

    async fn connect(&self) -> Result<Link, Error> {
        let (wire, lifeline) = self.address.connect().await?;
        let session = Session::new(wire, self.plan.clone());
        if self.replicas.is_empty() {
            return Ok(Link { connection: Arc::new(session), lifeline });
        }
        let (replicas, run) = Replicas::named(&self.address, &self.replicas, self.timing, &self.marks);
        let lifeline = select(lifeline, Box::pin(run)).map(|end| end.factor_first().0);
        Ok(Link { connection: Arc::new(session.reading_from(replicas)), lifeline: Box::pin(lifeline) })
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
    /// Where reads go first.
    replicas: Option<Replicas>,
}

impl Session {
    pub fn new(wire: Wire, plan: Plan) -> Session {
        Session { wire, plan, lookout: None, replicas: None }
    }

    pub fn watched_by(self, lookout: Arc<Lookout>) -> Session {
        Session { lookout: Some(lookout), ..self }
    }

    pub fn reading_from(self, replicas: Replicas) -> Session {
        Session { replicas: Some(replicas), ..self }
    }

    async fn read(&self, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        let Some(replicas) = &self.replicas else { return self.read_at_primary(keys, head).await };
        let Some(mut values) = self.read_at_replica(replicas, keys, head).await else {
            return self.read_at_primary(keys, head).await;
        };
        let count = self.plan.layout.values_per_read(head);
        let lacks = |values: &[Option<Bytes>]| values.iter().any(Option::is_none);
        let records = keys.iter().zip(values.chunks(count));
        let missing: Vec<Key> =
            records.filter(|(_, values)| lacks(values)).map(|(key, _)| key.clone()).collect();
        if !missing.is_empty() {
            let found = self.read_at_primary(&missing, head).await?;
            let mut found = found.chunks(count);
            for values in values.chunks_mut(count).filter(|values| lacks(values)) {
                values.clone_from_slice(found.next().ok_or_else(replies::unexpected)?);
            }
        }
        Ok(values)
    }

    /// What a replica has, and nothing for records of which it may have an older state.
    async fn read_at_replica(
        &self,
        replicas: &Replicas,
        keys: &[Key],
        head: bool,
    ) -> Option<Vec<Option<Bytes>>> {
        let mut answer = replicas.ask(&self.plan.layout.read(keys, head), 1).await?;
        let mut values = self.values(answer.replies.pop()?, keys, head).ok()?;
        for (key, values) in keys.iter().zip(values.chunks_mut(self.plan.layout.values_per_read(head))) {
            if !replicas.is_fresh(self.plan.layout.slot(key), &self.wire, answer.offset) {
                values.fill(None);
            }
        }
        Some(values)
    }

    async fn read_at_primary(&self, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        let mut commands = self.plan.layout.read(keys, head);
        let Some(replicas) = &self.replicas else {
            return self.values(self.wire.ask(commands, 0).await?, keys, head);
        };
        commands.extend_from_slice(ROLE);
        let mut replies = self.wire.ask_each(commands, 2).await?;
        replicas.read(self.slots(keys.iter()), &self.wire, replies.pop());
        self.values(wire::all_well(replies)?, keys, head)
    }

    fn values(&self, reply: Reply, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        match reply {
            Reply::Strings(values) if values.len() == keys.len() * self.plan.layout.values_per_read(head) => {
                Ok(values)
            }
            _ => Err(replies::unexpected()),
        }
    }

    fn slots<'a>(&'a self, keys: impl Iterator<Item = &'a Key> + 'a) -> impl Iterator<Item = u16> + 'a {
        keys.map(|key| self.plan.layout.slot(key))
    }

    async fn write(&self, entries: &[(Key, Record)]) -> Result<(), Error> {
        let keys = entries.iter().map(|(key, _)| key);
        let Some(ttl) = self.plan.ttl else {
            return self.change(keys, self.plan.layout.write(entries), 0).await.map(drop);
        };
        let transaction = self.plan.layout.write_expiring(entries, ttl);
        // The replies to MULTI and to each command come before the one to EXEC, which counts.
        let skip = 1 + transaction.cmd_iter().count();
        match self.change(keys, transaction.get_packed_pipeline(), skip).await? {
            Reply::Value(Value::Array(results)) => replies::all_well(results),
            _ => Err(replies::unexpected()),
        }
    }

    async fn remove(&self, keys: &[Key]) -> Result<(), Error> {
        self.change(keys.iter(), self.plan.layout.remove(keys), 0).await.map(drop)
    }

    /// Asks for a change of these records, and where it is wanted for the replicas' word, and
    /// how far the server is then.
    async fn change<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a Key> + Send + 'a,
        mut commands: Vec<u8>,
        skip: usize,
    ) -> Result<Reply, Error> {
        let (acknowledgement, replicas) = (&self.plan.acknowledgement, &self.replicas);
        if acknowledgement.is_none() && replicas.is_none() {
            return self.wire.ask(commands, skip).await;
        }
        let mut expected = skip + 1;
        if let Some(acknowledgement) = acknowledgement {
            acknowledgement.append(&mut commands);
            expected += 1;
        }
        if replicas.is_some() {
            commands.extend_from_slice(ROLE);
            expected += 1;
        }
        let mut replies = self.wire.ask_each(commands, expected).await?;
        if let Some(replicas) = replicas {
            replicas.wrote(self.slots(keys), &self.wire, replies.pop());
        }
        let word = acknowledgement.as_ref().map(|acknowledgement| acknowledgement.check(replies.pop()));
        let reply = wire::all_well(replies)?;
        word.unwrap_or(Ok(()))?;
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
            || self.replicas.as_ref().is_some_and(Replicas::waits_for_timer)
    }
}
