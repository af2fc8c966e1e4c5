//! Batches for memcached: one pipeline for each server, all under way together.

use std::collections::BTreeMap;
use std::iter::repeat_with;
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::items::Items;
use super::membership_refresh::RefreshSchedule;
use super::reply::{server_error, unexpected, ErrorKind, Reply};
use super::server_connection::Protocol;
use super::server_pool::ServerPool;
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Notice, Record};
use crate::net::pipeline::Pings;

/// See the module.
pub(super) struct MemcachedConnection {
    pool: ServerPool,
    items: Items,
    /// When the membership is refreshed, if it is.
    schedule: Option<RefreshSchedule>,
    pings: Option<Pings>,
}

impl MemcachedConnection {
    pub fn new(
        pool: ServerPool,
        items: Items,
        schedule: Option<RefreshSchedule>,
        pings: Option<Pings>,
    ) -> MemcachedConnection {
        MemcachedConnection { pool, items, schedule, pings }
    }

    /// Sends the command of each key, which `encode` appends, to the key's server; one reply each.
    async fn execute(
        &self,
        keys: &[&str],
        encode: impl Fn(usize, Protocol, &[u8], &mut Vec<u8>),
        read: impl Fn(usize, Reply, Option<usize>) -> Result<Reply, Error>,
    ) -> Vec<Result<Reply, Error>> {
        let ring = self.pool.ring.get();
        let mut by_server: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, server) in self.pool.servers_of(&ring, keys).into_iter().enumerate() {
            by_server.entry(server).or_default().push(index);
        }
        let (encode, read, ring) = (&encode, &read, &ring);
        let requests = by_server.iter().map(|(server, indexes)| async move {
            let node = &ring.servers()[*server];
            let request = self.pool.fleet.request(node, |connection| async move {
                let mut commands = Vec::new();
                for index in indexes {
                    let key = self.items.names.stored(keys[*index]);
                    encode(*index, connection.protocol, &key, &mut commands);
                }
                let replies = connection.send(commands, indexes.len()).await?;
                let is_too_large = |reply: &Reply| matches!(reply, Reply::Error(ErrorKind::TooLarge, _));
                let limit = match replies.iter().any(is_too_large) {
                    true => connection.item_size_max().await?,
                    false => None,
                };
                Ok((replies, limit))
            });
            request.await
        });
        let responses = join_all(requests).await;
        let mut results: Vec<Option<Result<Reply, Error>>> = repeat_with(|| None).take(keys.len()).collect();
        for (indexes, response) in by_server.values().zip(responses) {
            match response {
                Ok((replies, limit)) => {
                    for (index, reply) in indexes.iter().zip(replies) {
                        results[*index] = Some(read(*index, reply, limit));
                    }
                }
                Err(error) => {
                    for index in indexes {
                        results[*index] = Some(Err(error.clone()));
                    }
                }
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(unexpected()))).collect()
    }

    async fn read(&self, keys: &[Key]) -> Vec<Result<Option<Record>, Error>> {
        let full: Vec<_> = keys.iter().map(|key| self.items.names.full(key)).collect();
        let full: Vec<&str> = full.iter().map(|key| &**key).collect();
        let replies = self
            .execute(&full, |_, protocol, key, out| protocol.get(out, key), |_, reply, _| checked(reply))
            .await;
        full.iter()
            .zip(replies)
            .map(|(full, reply)| match reply? {
                Reply::Value(value) => self.items.record(full, &value),
                Reply::NotFound => Ok(None),
                _ => Err(unexpected()),
            })
            .collect()
    }
}

fn checked(reply: Reply) -> Result<Reply, Error> {
    match reply {
        Reply::Error(kind, text) => Err(server_error(kind, &text)),
        reply => Ok(reply),
    }
}

fn too_large(length: usize, limit: Option<usize>) -> Error {
    let limit = limit.map_or("of a size that it does not tell".to_owned(), |limit| format!("{limit} bytes"));
    Error::new(
        ErrorCode::TooLarge,
        format!("the record takes {length} bytes besides its key, and the server's item limit is {limit}; make the record smaller, or start memcached with a larger -I"),
    )
}

#[async_trait]
impl Connection for MemcachedConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        Ok(self.read(keys).await)
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        let records = self.read(keys).await;
        Ok(records.into_iter().map(|record| Ok(record?.map(|record| record.version))).collect())
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let full: Vec<_> = entries.iter().map(|(key, _)| self.items.names.full(key)).collect();
        let full: Vec<&str> = full.iter().map(|key| &**key).collect();
        let values: Vec<Vec<u8>> =
            full.iter().zip(entries).map(|(full, (_, record))| self.items.value(full, record)).collect();
        let exptime = self.items.exptime();
        let replies = self.execute(
            &full,
            |index, protocol, key, out| protocol.set(out, key, exptime, &values[index]),
            |index, reply, limit| match reply {
                Reply::Error(ErrorKind::TooLarge, _) => Err(too_large(values[index].len(), limit)),
                reply => checked(reply),
            },
        );
        Ok(replies.await.into_iter().map(success).collect())
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let full: Vec<_> = keys.iter().map(|key| self.items.names.full(key)).collect();
        let full: Vec<&str> = full.iter().map(|key| &**key).collect();
        let replies = self
            .execute(&full, |_, protocol, key, out| protocol.delete(out, key), |_, reply, _| checked(reply))
            .await;
        Ok(replies.into_iter().map(success).collect())
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.pool.fleet.poll_notice(cx)
    }

    fn waits_for_timer(&self) -> bool {
        self.pool.fleet.waits_for_timer()
            || self.schedule.as_ref().is_some_and(RefreshSchedule::is_refreshing)
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.pool.fleet.moved())
    }

    fn wake_at(&self) -> Option<Instant> {
        let refresh = self.schedule.as_ref().and_then(RefreshSchedule::wake_at);
        refresh.into_iter().chain(self.pings.as_ref().and_then(Pings::wake_at)).min()
    }
}

fn success(reply: Result<Reply, Error>) -> Result<(), Error> {
    match reply? {
        Reply::Success | Reply::NotFound => Ok(()),
        _ => Err(unexpected()),
    }
}
