//! Batches for memcached: one pipeline for each server, all under way together.

use std::collections::BTreeMap;
use std::iter::repeat_with;
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::items::Items;
use super::membership::Pace;
use super::reply::{refused, unexpected, Refusal, Reply};
use super::servers::Servers;
use super::session::Protocol;
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Notice, Record};

/// See the module.
pub(super) struct MemcachedConnection {
    servers: Servers,
    items: Items,
    /// When the question which servers there are comes again, if it does.
    pace: Option<Pace>,
}

impl MemcachedConnection {
    pub fn new(servers: Servers, items: Items, pace: Option<Pace>) -> MemcachedConnection {
        MemcachedConnection { servers, items, pace }
    }

    /// Asks the server of each key by the commands that `encode` appends, one answer each.
    async fn ask(
        &self,
        keys: &[&str],
        encode: impl Fn(usize, Protocol, &[u8], &mut Vec<u8>),
        read: impl Fn(usize, Reply, Option<usize>) -> Result<Reply, Error>,
    ) -> Vec<Result<Reply, Error>> {
        let ring = self.servers.ring.get();
        let mut errands: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, server) in self.servers.places(&ring, keys).into_iter().enumerate() {
            errands.entry(server).or_default().push(index);
        }
        let (encode, read, ring) = (&encode, &read, &ring);
        let trips = errands.iter().map(|(server, list)| async move {
            let node = &ring.nodes()[*server];
            let trip = self.servers.fleet.run(node, |session| async move {
                let mut commands = Vec::new();
                for index in list {
                    encode(*index, session.protocol, &self.items.names.stored(keys[*index]), &mut commands);
                }
                let answers = session.ask(commands, list.len()).await?;
                let is_too_large = |answer: &Reply| matches!(answer, Reply::Refused(Refusal::Size, _));
                let limit = match answers.iter().any(is_too_large) {
                    true => session.item_limit().await?,
                    false => None,
                };
                Ok((answers, limit))
            });
            trip.await
        });
        let answers = join_all(trips).await;
        let mut results: Vec<Option<Result<Reply, Error>>> = repeat_with(|| None).take(keys.len()).collect();
        for (list, answer) in errands.values().zip(answers) {
            match answer {
                Ok((answers, limit)) => {
                    for (index, answer) in list.iter().zip(answers) {
                        results[*index] = Some(read(*index, answer, limit));
                    }
                }
                Err(error) => {
                    for index in list {
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
        let answers =
            self.ask(&full, |_, protocol, key, out| protocol.get(out, key), |_, reply, _| plain(reply)).await;
        full.iter()
            .zip(answers)
            .map(|(full, answer)| match answer? {
                Reply::Value(value) => self.items.record(full, &value),
                Reply::Missing => Ok(None),
                _ => Err(unexpected()),
            })
            .collect()
    }
}

fn plain(reply: Reply) -> Result<Reply, Error> {
    match reply {
        Reply::Refused(refusal, said) => Err(refused(refusal, &said)),
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
        let expires = self.items.expires();
        let answers = self.ask(
            &full,
            |index, protocol, key, out| protocol.set(out, key, expires, &values[index]),
            |index, reply, limit| match reply {
                Reply::Refused(Refusal::Size, _) => Err(too_large(values[index].len(), limit)),
                reply => plain(reply),
            },
        );
        Ok(answers.await.into_iter().map(done).collect())
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let full: Vec<_> = keys.iter().map(|key| self.items.names.full(key)).collect();
        let full: Vec<&str> = full.iter().map(|key| &**key).collect();
        let answers = self
            .ask(&full, |_, protocol, key, out| protocol.delete(out, key), |_, reply, _| plain(reply))
            .await;
        Ok(answers.into_iter().map(done).collect())
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.servers.fleet.poll_notice(cx)
    }

    fn waits_for_timer(&self) -> bool {
        self.servers.fleet.waits_for_timer() || self.pace.as_ref().is_some_and(Pace::is_asking)
    }

    fn wake_at(&self) -> Option<Instant> {
        self.pace.as_ref().and_then(Pace::wake_at)
    }
}

fn done(answer: Result<Reply, Error>) -> Result<(), Error> {
    match answer? {
        Reply::Done | Reply::Missing => Ok(()),
        _ => Err(unexpected()),
    }
}
