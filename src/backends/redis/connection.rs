//! Batches for one primary, standalone or found by Sentinel, and for its replicas, if reads go
//! there.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;

use super::decode::Reply;
use super::layout::Layout;
use super::multiplexed_connection::{good_replies, MultiplexedConnection};
use super::read_only::ReadOnly;
use super::replicas::Replicas;
use super::replies;
use super::sentinel::discovery::PrimaryDiscovery;
use super::storage_options::StorageOptions;
use super::trailing_commands::TrailingCommands;
use crate::core::{BatchResult, Connection, Error, Key, Notice, Record, Remedy};
use crate::net::pipeline::Replies;
use crate::net::traffic::Traffic;

/// Records of so many bytes are read before others have a turn.
const BYTES_IN_A_TURN: usize = 1 << 20;

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
    /// Whether the primary has become a replica, where nobody else tells.
    read_only: Option<ReadOnly>,
}

impl RedisConnection {
    pub fn new(
        primary: MultiplexedConnection,
        traffic: Traffic,
        patience: Duration,
        storage: StorageOptions,
    ) -> RedisConnection {
        RedisConnection {
            primary,
            traffic,
            patience,
            storage,
            discovery: None,
            replicas: None,
            read_only: None,
        }
    }

    pub fn discovered_by(self, discovery: Arc<PrimaryDiscovery>) -> RedisConnection {
        RedisConnection { discovery: Some(discovery), ..self }
    }

    pub fn left_when(self, read_only: ReadOnly) -> RedisConnection {
        RedisConnection { read_only: Some(read_only), ..self }
    }

    /// What a write came to, with note of whether the server takes any.
    fn noted(&self, result: BatchResult<()>) -> BatchResult<()> {
        let Some(read_only) = &self.read_only else { return result };
        let note = |result: Result<(), Error>| {
            result.inspect(|()| read_only.accepted()).map_err(|error| read_only.refused(error))
        };
        match result {
            Ok(results) => Ok(results.into_iter().map(note).collect()),
            Err(error) => Err(read_only.refused(error)),
        }
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
        let layout = &self.storage.layout;
        let expected = layout.replies_per_read(keys.len(), head);
        let reply = replicas.send(&layout.read(keys, head), expected).await?;
        let replies = good_replies(reply.replies).ok()?;
        let mut values = layout.values(replies, keys.len(), head).ok()?;
        for (key, values) in keys.iter().zip(values.chunks_mut(self.storage.layout.values_per_read(head))) {
            if !replicas.has_reached(self.storage.layout.slot(key), &self.primary, reply.offset) {
                values.fill(None);
            }
        }
        Some(values)
    }

    async fn read_from_primary(&self, keys: &[Key], head: bool) -> Result<Vec<Option<Bytes>>, Error> {
        let layout = &self.storage.layout;
        let expected = layout.replies_per_read(keys.len(), head);
        let replies =
            self.ask(vec![layout.read(keys, head)], expected, keys.iter(), false).await?.remove(0)?;
        layout.values(replies, keys.len(), head)
    }

    /// Reads each record by a command of its own, all in one pipeline.
    async fn read_each(
        &self,
        keys: &[Key],
        head: bool,
    ) -> Result<Vec<Result<Vec<Option<Bytes>>, Error>>, Error> {
        let layout = &self.storage.layout;
        let commands = keys.iter().map(|key| layout.read(std::slice::from_ref(key), head)).collect();
        let answers = self.ask(commands, layout.replies_per_read(1, head), keys.iter(), false).await?;
        Ok(answers.into_iter().map(|replies| layout.values(replies?, 1, head)).collect())
    }

    /// Sends several commands, or transactions, of so many replies each in one pipeline. What follows
    /// them (see [`TrailingCommands`]) follows all together.
    async fn ask<'a>(
        &'a self,
        commands: Vec<Vec<u8>>,
        replies: usize,
        keys: impl Iterator<Item = &'a Key> + Send + 'a,
        is_write: bool,
    ) -> Result<Vec<Result<Replies<Reply>, Error>>, Error> {
        let count = commands.len();
        let mut pipeline = match <[Vec<u8>; 1]>::try_from(commands) {
            Ok([one]) => one,
            Err(several) => several.concat(),
        };
        let wait = self.storage.acknowledgement.as_ref().filter(|_| is_write);
        let trailing = TrailingCommands { wait, role: self.replicas.is_some() };
        let expected = count * replies + trailing.append(&mut pipeline);
        let mut all = self.ask_primary(pipeline, expected, is_write).await?;
        let last = trailing.split_off(&mut all);
        match &self.replicas {
            Some(replicas) if is_write => replicas.after_write(self.slots(keys), &self.primary, last.role),
            Some(replicas) => replicas.after_read(self.slots(keys), &self.primary, last.role),
            None => {}
        }
        let acknowledged = |replies| last.acknowledgement.clone().map(|()| replies);
        if count == 1 {
            return Ok(vec![good_replies(all).and_then(acknowledged)]);
        }
        let mut all = all.into_iter();
        Ok((0..count)
            .map(|_| good_replies(all.by_ref().take(replies).collect()).and_then(acknowledged))
            .collect())
    }

    /// Sends commands to the primary. Where replicas are read from, what moves on the connections
    /// to them hides its silence from the engine, so it is noticed here.
    async fn ask_primary(
        &self,
        commands: Vec<u8>,
        expected: usize,
        is_write: bool,
    ) -> Result<Replies<Reply>, Error> {
        let replies = async {
            match is_write {
                true => self.primary.send_writes(commands, expected).await,
                false => self.primary.send_pipeline(commands, expected).await,
            }
        };
        if self.replicas.is_none() {
            return replies.await;
        }
        let silent = || Err(Error::connection("the primary does not answer"));
        self.traffic.while_moving(self.patience, replies).await.unwrap_or_else(silent)
    }

    fn slots<'a>(&'a self, keys: impl Iterator<Item = &'a Key> + 'a) -> impl Iterator<Item = u16> + 'a {
        keys.map(|key| self.storage.layout.slot(key))
    }

    /// Writes records in batches of so many, all of them in one pipeline; a result for each batch.
    async fn write(&self, entries: &[(Key, Record)], batch: usize) -> BatchResult<()> {
        let layout = &self.storage.layout;
        let keys = entries.iter().map(|(key, _)| key);
        let batches = entries.chunks(batch);
        let Some(ttl) = self.storage.ttl else {
            let commands = batches.map(|entries| layout.write(entries)).collect();
            return Ok(done(self.ask(commands, 1, keys, true).await?));
        };
        let mut replies = 0;
        let mut commands = Vec::with_capacity(batches.len());
        for entries in batches {
            let transaction = layout.write_expiring(entries, ttl);
            // MULTI, each command, EXEC. All batches but the last are of one size, which is 1 if there
            // are several.
            replies = transaction.cmd_iter().count() + 2;
            commands.push(transaction.get_packed_pipeline());
        }
        let executed = |mut replies: Replies<Reply>| match replies.pop() {
            Some(Reply::Value(Value::Array(results))) => replies::exec_result(results),
            _ => Err(replies::unexpected()),
        };
        let answers = self.ask(commands, replies, keys, true).await?;
        Ok(answers.into_iter().map(|answer| answer.and_then(executed)).collect())
    }

    /// Removes records in batches of so many, all of them in one pipeline; a result for each batch.
    async fn remove(&self, keys: &[Key], batch: usize) -> BatchResult<()> {
        let commands = keys.chunks(batch).map(|keys| self.storage.layout.remove(keys)).collect();
        Ok(done(self.ask(commands, 1, keys.iter(), true).await?))
    }
}

fn done(answers: Vec<Result<Replies<Reply>, Error>>) -> Vec<Result<(), Error>> {
    answers.into_iter().map(|answer| answer.map(drop)).collect()
}

/// The records in the values of a batch. To read large ones takes long, and others have a turn meanwhile.
async fn records_in_turns(layout: &Layout, values: Vec<Option<Bytes>>) -> Vec<Result<Option<Record>, Error>> {
    let size = |values: &[Option<Bytes>]| values.iter().flatten().map(Bytes::len).sum::<usize>();
    if size(&values) <= BYTES_IN_A_TURN {
        return layout.records(values);
    }
    let mut records = Vec::new();
    let mut bytes = 0;
    for values in values.chunks(layout.values_per_read(false)) {
        records.extend(layout.records(values.to_vec()));
        bytes += size(values);
        if bytes > BYTES_IN_A_TURN {
            bytes = 0;
            tokio::task::yield_now().await;
        }
    }
    records
}

/// Whether a command for many records is worth sending again as one for each: the server itself
/// replied with an error, and would do so again for the same command.
fn is_refusal(error: &Error) -> bool {
    error.remedy() == Remedy::Report
}

/// The results of a write of `count` records in one batch; `None` where the server refused them
/// together and may take some of them alone.
fn together(result: BatchResult<()>, count: usize) -> Option<BatchResult<()>> {
    match result.and_then(|mut results| results.remove(0)) {
        Ok(()) => Some(Ok(vec![Ok(()); count])),
        Err(error) if is_refusal(&error) && count > 1 => None,
        Err(error) => Some(Err(error)),
    }
}

#[async_trait]
impl Connection for RedisConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        let layout = &self.storage.layout;
        match self.read(keys, false).await {
            Err(error) if is_refusal(&error) && keys.len() > 1 => {
                let each = self.read_each(keys, false).await?;
                Ok(each.into_iter().map(|values| layout.records(values?).remove(0)).collect())
            }
            values => Ok(records_in_turns(layout, values?).await),
        }
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        let layout = &self.storage.layout;
        match self.read(keys, true).await {
            Err(error) if is_refusal(&error) && keys.len() > 1 => {
                let each = self.read_each(keys, true).await?;
                Ok(each.into_iter().map(|values| layout.versions(values?).remove(0)).collect())
            }
            values => Ok(layout.versions(values?)),
        }
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        self.noted(match together(self.write(entries, entries.len().max(1)).await, entries.len()) {
            Some(result) => result,
            None => self.write(entries, 1).await,
        })
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        self.noted(match together(self.remove(keys, keys.len().max(1)).await, keys.len()) {
            Some(result) => result,
            None => self.remove(keys, 1).await,
        })
    }

    fn waits_for_timer(&self) -> bool {
        self.discovery.as_ref().is_some_and(|discovery| discovery.waits_for_timer())
            || self.replicas.as_ref().is_some_and(Replicas::waits_for_timer)
            || self.read_only.as_ref().is_some_and(ReadOnly::waits_for_timer)
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.read_only.as_ref().map_or(Poll::Pending, |read_only| read_only.poll_notice(cx))
    }

    fn wake_at(&self) -> Option<Instant> {
        self.primary.wake_at()
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.traffic.total() + self.replicas.as_ref().map_or(0, Replicas::moved))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Waker;

    use futures_util::future::{join, select, Either, FutureExt};
    use tokio::io::{duplex, AsyncReadExt, AsyncWriteExt};

    use super::super::connection_info::ConnectionInfo;
    use super::super::replica_reads::RequiredOffsets;
    use super::*;
    use crate::config::Settings;
    use crate::net::fleet::Timeouts;
    use crate::net::traffic::Counted;

    #[test]
    fn large_records_are_read_in_turns() {
        let layout = Layout::new(false, "");
        let pauses = |size: usize| {
            let data = Bytes::from(format!("\"{}\"", "x".repeat(size)));
            let values = (0..5).flat_map(|_| [Some(Bytes::from_static(b"1")), Some(data.clone())]).collect();
            let mut reading = pin!(records_in_turns(&layout, values));
            let mut pauses = 0;
            loop {
                match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Pending => pauses += 1,
                    Poll::Ready(records) => {
                        assert!(records.len() == 5 && records.iter().all(Result::is_ok));
                        return pauses;
                    }
                }
            }
        };
        assert_eq!([1000, BYTES_IN_A_TURN / 2, BYTES_IN_A_TURN].map(pauses), [0, 2, 5]);
    }

    #[test]
    fn a_silent_primary_is_noticed_whatever_its_replicas_say() {
        let short = Duration::from_millis(50);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, _theirs) = duplex(1 << 16);
            let traffic = Traffic::default();
            let (primary, lifeline) = MultiplexedConnection::new(Counted::new(ours, &traffic), None);
            let settings = Settings::default();
            let storage = StorageOptions::from_settings(&settings, Layout::from_settings(&settings));
            let timeouts = Timeouts { connect: short, reply: short, reconnect_delays: (short, short) };
            let info = ConnectionInfo::for_tests();
            let (replicas, _) =
                Replicas::configured(&info, &primary, &[], timeouts, &RequiredOffsets::default());
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

    /// A connection to a server that gives each of its replies to one round trip, and what it was sent.
    async fn asked(replies: &[&str], options: &str, work: impl AsyncFnOnce(&RedisConnection)) -> Vec<String> {
        let (ours, mut theirs) = duplex(1 << 20);
        let traffic = Traffic::default();
        let (primary, lifeline) = MultiplexedConnection::new(Counted::new(ours, &traffic), None);
        let settings = Settings::check(
            crate::config::parse(options.as_bytes()).unwrap(),
            "redis",
            super::super::OPTIONS,
        )
        .unwrap();
        let storage = StorageOptions::from_settings(&settings, Layout::from_settings(&settings));
        let connection = RedisConnection::new(primary, traffic, Duration::from_secs(9), storage);
        let server = async {
            let mut seen = Vec::new();
            for reply in replies {
                let mut buffer = vec![0; 1 << 16];
                let length = theirs.read(&mut buffer).await.unwrap();
                seen.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
                theirs.write_all(reply.as_bytes()).await.unwrap();
            }
            seen
        };
        let both = Box::pin(async { join(work(&connection), server).await.1 });
        let lost = Box::pin(lifeline.map(|error| panic!("{error}")));
        let seen = select(both, lost).await.factor_first().0;
        seen
    }

    #[test]
    fn a_refused_batch_is_split_in_one_round_trip() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let keys = || (0..3).map(|number| Key::from(format!("k{number}").as_str()));
        let keys_of = || keys().collect::<Vec<_>>();
        let entries =
            || keys().map(|key| (key, Record { version: 1, data: "{}".into() })).collect::<Vec<_>>();
        const REFUSED: &str = "-NOPERM no\r\n";
        let fate = |results: Vec<Result<(), Error>>| {
            assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        };
        runtime.block_on(async {
            let seen = asked(&[REFUSED, "+OK\r\n-NOPERM no\r\n+OK\r\n"], "{}", async |connection| {
                fate(connection.set_many(&entries()).await.unwrap());
            })
            .await;
            assert_eq!(seen[1].matches("MSET").count(), 3);
            let seen = asked(&[REFUSED, ":2\r\n-NOPERM no\r\n:0\r\n"], "{}", async |connection| {
                fate(connection.delete_many(&keys_of()).await.unwrap());
            })
            .await;
            assert_eq!(seen[1].matches("DEL").count(), 3);
            let one = "*2\r\n$1\r\n1\r\n$2\r\n{}\r\n-NOPERM no\r\n*2\r\n$-1\r\n$-1\r\n";
            let seen = asked(&[REFUSED, one], "{}", async |connection| {
                fate(
                    connection.get_many(&keys_of()).await.unwrap().into_iter().map(|r| r.map(drop)).collect(),
                );
            })
            .await;
            assert_eq!(seen[1].matches("MGET").count(), 3);
        });
    }

    #[test]
    fn a_refused_transaction_is_split_in_one_round_trip() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let entries = ["a", "b"].map(|key| (Key::from(key), Record { version: 1, data: "{}".into() }));
        const REFUSED: &str = "+OK\r\n+QUEUED\r\n+QUEUED\r\n-NOPERM no\r\n-NOPERM no\r\n-EXECABORT no\r\n";
        const EACH: &str = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n\
            +OK\r\n-NOPERM no\r\n-NOPERM no\r\n-EXECABORT no\r\n";
        runtime.block_on(async {
            let seen = asked(&[REFUSED, EACH], r#"{"ttl": 7}"#, async |connection| {
                let results = connection.set_many(&entries).await.unwrap();
                assert!(results[0].is_ok() && results[1].is_err(), "{results:?}");
            })
            .await;
            assert_eq!(seen[1].matches("EXEC").count(), 2);
        });
    }
}
