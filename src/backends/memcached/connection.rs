//! Batches for memcached: one pipeline for each server, all under way together.

use std::collections::BTreeMap;
use std::iter::repeat_with;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::future::join_all;

use super::names::{stored, Names};
use super::options;
use super::reply::{refused, unexpected, Refusal, Reply};
use super::ring::Ring;
use super::session::{Protocol, Session};
use crate::backends::envelope::{self, Form};
use crate::backends::fleet::Fleet;
use crate::config::Settings;
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Notice, Record};

/// A lifetime that is longer counts as a point in time on the server.
const LONGEST_LIFETIME: u64 = 30 * 24 * 60 * 60;

/// How records become items.
#[derive(Clone)]
pub(super) struct Items {
    pub names: Names,
    form: Form,
    /// Seconds; 0 is for ever.
    lifetime: u64,
}

impl Items {
    pub fn from_settings(settings: &Settings) -> Items {
        Items {
            names: Names::new(options::namespace(settings)),
            form: if settings.text("layout") == Some("V1") { Form::V1 } else { Form::V2 },
            lifetime: settings
                .integer("lifetime")
                .and_then(|lifetime| u64::try_from(lifetime).ok())
                .unwrap_or(0),
        }
    }

    /// memcached's exptime for what is stored now.
    fn expires(&self) -> u32 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        exptime(self.lifetime, now)
    }
}

fn exptime(lifetime: u64, now: u64) -> u32 {
    let time = if lifetime > LONGEST_LIFETIME { now.saturating_add(lifetime) } else { lifetime };
    // memcached reads a signed number, so that the end of time is in 2038.
    u32::try_from(time).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

/// The servers and who has which keys.
pub(super) struct Servers {
    pub ring: Arc<Ring>,
    pub fleet: Fleet<Session>,
    /// Whether the keys of a server that is away go to others.
    pub moves: bool,
}

impl Servers {
    /// For each key the number of the server that has it now.
    fn places(&self, keys: &[&[u8]]) -> Vec<usize> {
        if !self.moves {
            return keys.iter().map(|key| self.ring.home(key)).collect();
        }
        let standing: Vec<bool> = {
            let known: BTreeMap<_, _> = self.fleet.nodes().into_iter().collect();
            self.ring.nodes().iter().map(|node| known.get(node) == Some(&true)).collect()
        };
        keys.iter()
            .map(|key| {
                self.ring.route(key).find(|number| standing[*number]).unwrap_or_else(|| self.ring.home(key))
            })
            .collect()
    }
}

/// See the module.
pub(super) struct MemcachedConnection {
    servers: Servers,
    items: Items,
}

impl MemcachedConnection {
    pub fn new(servers: Servers, items: Items) -> MemcachedConnection {
        MemcachedConnection { servers, items }
    }

    /// Asks the server of each key by the commands that `encode` appends, one answer each.
    async fn ask(
        &self,
        keys: &[&[u8]],
        encode: impl Fn(usize, Protocol, &[u8], &mut Vec<u8>),
        read: impl Fn(usize, Reply, Option<usize>) -> Result<Reply, Error>,
    ) -> Vec<Result<Reply, Error>> {
        let mut errands: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, server) in self.servers.places(keys).into_iter().enumerate() {
            errands.entry(server).or_default().push(index);
        }
        let (encode, read) = (&encode, &read);
        let trips = errands.iter().map(|(server, list)| async move {
            let node = &self.servers.ring.nodes()[*server];
            let trip = self.servers.fleet.run(node, |session| async move {
                let mut commands = Vec::new();
                for index in list {
                    encode(*index, session.protocol, &stored(keys[*index]), &mut commands);
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
        let full: Vec<&[u8]> = full.iter().map(|key| &**key).collect();
        let answers =
            self.ask(&full, |_, protocol, key, out| protocol.get(out, key), |_, reply, _| plain(reply)).await;
        answers
            .into_iter()
            .map(|answer| match answer? {
                Reply::Value(text) => envelope::read(&text).map(Some).ok_or_else(|| {
                    Error::new(
                        ErrorCode::Corrupt,
                        "what memcached holds under this key is not {\"version\": n, \"data\": …}",
                    )
                }),
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
        let full: Vec<&[u8]> = full.iter().map(|key| &**key).collect();
        let values: Vec<Vec<u8>> =
            entries.iter().map(|(_, record)| envelope::write(self.items.form, record)).collect();
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
        let full: Vec<&[u8]> = full.iter().map(|key| &**key).collect();
        let answers = self
            .ask(&full, |_, protocol, key, out| protocol.delete(out, key), |_, reply, _| plain(reply))
            .await;
        Ok(answers.into_iter().map(done).collect())
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.servers.fleet.poll_notice(cx)
    }

    fn waits_for_timer(&self) -> bool {
        self.servers.fleet.waits_for_timer()
    }
}

fn done(answer: Result<Reply, Error>) -> Result<(), Error> {
    match answer? {
        Reply::Done | Reply::Missing => Ok(()),
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_lifetime_is_a_point_in_time() {
        assert_eq!(exptime(0, 1_800_000_000), 0);
        assert_eq!(exptime(2_592_000, 1_800_000_000), 2_592_000);
        assert_eq!(exptime(2_592_001, 1_800_000_000), 1_802_592_001);
        assert_eq!(exptime(1 << 31, 1_800_000_000), i32::MAX as u32);
    }
}
