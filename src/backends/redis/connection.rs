//! Batches for one primary, standalone or found by Sentinel, and for its replicas, if reads go
//! there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;

use super::decode::Reply;
use super::multiplexed_connection::{last_reply, MultiplexedConnection};
use super::replicas::Replicas;
use super::replies;
use super::sentinel::discovery::PrimaryDiscovery;
use super::storage_options::StorageOptions;
use super::trailing_commands::TrailingCommands;
use crate::core::{BatchResult, Connection, Error, Key, Record, Remedy};
use crate::net::pipeline::Replies;
use crate::net::traffic::Traffic;

/// See the module.
pub(super) struct RedisConnection {
    primary: MultiplexedConnection,
    /// What moves on the connection to the primary.
    traffic: Traffic,
    /// How long the primary may be silent while something is unanswered.
    patience: Duration,
    storage: StorageOptions,
    /// The sentinels that monitor the primary, if there are any.
    discovery: Option<Arc<PrimaryDiscovery>>,
    /// Where reads go first.
    replicas: Option<Replicas>,
}

impl RedisConnection {
    pub fn new(
        primary: MultiplexedConnection,
        traffic: Traffic,
        patience: Duration,
        storage: StorageOptions,
    ) -> RedisConnection {
        RedisConnection { primary, traffic, patience, storage, discovery: None, replicas: None }
    }

    pub fn discovered_by(self, discovery: Arc<PrimaryDiscovery>) -> RedisConnection {
        RedisConnection { discovery: Some(discovery), ..self }
    }

    pub fn reading_from(self, replicas: Replicas) -> RedisConnection {
        RedisConnection { replicas: Some(replicas), ..self }
    }

    async fn read(&self, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        let Some(replicas) = &self.replicas else { return self.read_from_primary(keys, head).await };
        let Some(mut values) = self.read_from_replica(replicas, keys, head).await else {
            return self.read_from_primary(keys, head).await;
        };
        let count = self.storage.layout.values_per_read(head);
        let lacks = |values: &[Option<Bytes>]| values.iter().any(Option::is_none);
        let records = keys.iter().zip(values.chunks(count));
        let missing: Vec<Key> =
            records.filter(|(_, values)| lacks(values)).map(|(key, _)| key.clone()).collect();
        if !missing.is_empty() {
            let found = self.read_from_primary(&missing, head).await?;
            let mut found = found.chunks(count);
            for values in values.chunks_mut(count).filter(|values| lacks(values)) {
                values.clone_from_slice(found.next().ok_or_else(replies::unexpected)?);
            }
        }
        Ok(values)
    }

    /// What a replica has, and nothing for records of which it may have an older state.
    async fn read_from_replica(
        &self,
        replicas: &Replicas,
        keys: &[Key],
        head: bool,
    ) -> Option<Vec<Option<Bytes>>> {
        let mut reply = replicas.send(&self.storage.layout.read(keys, head), 1).await?;
        let mut values = self.values(reply.replies.pop()?, keys, head).ok()?;
        for (key, values) in keys.iter().zip(values.chunks_mut(self.storage.layout.values_per_read(head))) {
            if !replicas.has_reached(self.storage.layout.slot(key), &self.primary, reply.offset) {
                values.fill(None);
            }
        }
        Some(values)
    }

    async fn read_from_primary(&self, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        let mut commands = self.storage.layout.read(keys, head);
        let trailing = TrailingCommands { wait: None, role: self.replicas.is_some() };
        let expected = 1 + trailing.append(&mut commands);
        let mut replies = self.ask_primary(commands, expected).await?;
        let last = trailing.split_off(&mut replies);
        if let Some(replicas) = &self.replicas {
            replicas.after_read(self.slots(keys.iter()), &self.primary, last.role);
        }
        self.values(last_reply(replies)?, keys, head)
    }

    /// Sends commands to the primary. Where replicas are read from, what moves on the connections
    /// to them hides its silence from the engine, so it is noticed here.
    async fn ask_primary(&self, commands: Vec<u8>, expected: usize) -> Result<Replies<Reply>, Error> {
        let replies = self.primary.send_pipeline(commands, expected);
        if self.replicas.is_none() {
            return replies.await;
        }
        let silent = || Err(Error::connection("the primary does not answer"));
        self.traffic.while_moving(self.patience, replies).await.unwrap_or_else(silent)
    }

    fn values(&self, reply: Reply, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        reply.into_bulk_strings(keys.len() * self.storage.layout.values_per_read(head))
    }

    fn slots<'a>(&'a self, keys: impl Iterator<Item = &'a Key> + 'a) -> impl Iterator<Item = u16> + 'a {
        keys.map(|key| self.storage.layout.slot(key))
    }

    async fn write(&self, entries: &[(Key, Record)]) -> Result<(), Error> {
        let keys = entries.iter().map(|(key, _)| key);
        let Some(ttl) = self.storage.ttl else {
            return self.change(keys, self.storage.layout.write(entries), 0).await.map(drop);
        };
        let transaction = self.storage.layout.write_expiring(entries, ttl);
        // The replies to MULTI and to each command come before the one to EXEC, which counts.
        let skip = 1 + transaction.cmd_iter().count();
        match self.change(keys, transaction.get_packed_pipeline(), skip).await? {
            Reply::Value(Value::Array(results)) => replies::exec_result(results),
            _ => Err(replies::unexpected()),
        }
    }

    async fn remove(&self, keys: &[Key]) -> Result<(), Error> {
        self.change(keys.iter(), self.storage.layout.remove(keys), 0).await.map(drop)
    }

    /// Sends writes of these records, and waits for the reply after `skip` others, and for the
    /// replicas' acknowledgement where one is wanted.
    async fn change<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a Key> + Send + 'a,
        mut commands: Vec<u8>,
        skip: usize,
    ) -> Result<Reply, Error> {
        let wait = self.storage.acknowledgement.as_ref();
        let trailing = TrailingCommands { wait, role: self.replicas.is_some() };
        let expected = skip + 1 + trailing.append(&mut commands);
        let mut replies = self.ask_primary(commands, expected).await?;
        let last = trailing.split_off(&mut replies);
        if let Some(replicas) = &self.replicas {
            replicas.after_write(self.slots(keys), &self.primary, last.role);
        }
        let reply = last_reply(replies)?;
        last.acknowledgement?;
        Ok(reply)
    }
}

/// Whether a command for many records is worth sending again as one for each: the server itself
/// replied with an error, and would do so again for the same command.
fn is_refusal(error: &Error) -> bool {
    error.remedy() == Remedy::Report
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
impl Connection for RedisConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        one_by_one!(
            keys,
            self.read(keys, false).await.map(|values| self.storage.layout.records(values)),
            |key| async move {
                self.read(key, false).await.and_then(|values| self.storage.layout.records(values).remove(0))
            }
        )
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        one_by_one!(
            keys,
            self.read(keys, true).await.map(|values| self.storage.layout.versions(values)),
            |key| async move {
                self.read(key, true).await.and_then(|values| self.storage.layout.versions(values).remove(0))
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
        self.discovery.as_ref().is_some_and(|discovery| discovery.waits_for_timer())
            || self.replicas.as_ref().is_some_and(Replicas::waits_for_timer)
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.traffic.total() + self.replicas.as_ref().map_or(0, Replicas::moved))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{select, Either};
    use tokio::io::duplex;

    use super::super::connection_info::ConnectionInfo;
    use super::super::layout::Layout;
    use super::super::replica_reads::RequiredOffsets;
    use super::*;
    use crate::config::Settings;
    use crate::net::fleet::Timeouts;
    use crate::net::traffic::Counted;

    #[test]
    fn a_silent_primary_is_noticed_whatever_its_replicas_say() {
        let short = Duration::from_millis(50);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, _theirs) = duplex(1 << 16);
            let traffic = Traffic::default();
            let (primary, lifeline) = MultiplexedConnection::new(Counted::new(ours, &traffic));
            let settings = Settings::default();
            let storage = StorageOptions::from_settings(&settings, Layout::from_settings(&settings));
            let timeouts = Timeouts { connect: short, reply: short, reconnect_delays: (short, short) };
            let info = ConnectionInfo::for_tests();
            let (replicas, _) = Replicas::configured(&info, &[], timeouts, &RequiredOffsets::default());
            let connection = RedisConnection::new(primary, traffic, short, storage).reading_from(replicas);
            let keys = [Key::from("a")];
            let Either::Left((result, _)) = select(connection.get_many(&keys), Box::pin(lifeline)).await
            else {
                panic!("the connection ended by itself");
            };
            let error = result.unwrap_err();
            assert_eq!(error.remedy(), Remedy::Reconnect, "{error}");
            assert_eq!(error.message(), "the primary does not answer");
        });
    }
}
