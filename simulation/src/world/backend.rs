//! The world as the engine knows it: a backend and its connections.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use async_trait::async_trait;
use deepstream_connector::core::{
    Backend, BatchResult, Connection, Description, Error, Key, Link, Listing, Notice, Page, Record,
};
use serde_json::Value;

use super::session::{Ask, Item, Reply, Stored};
use super::{number_of, Place};
use crate::scenario::Kind;

/// The engine's connection to the world.
struct Standing {
    place: Place,
    session: usize,
}

/// Lets the world know that the engine has let go of a session.
struct Lifeline {
    place: Place,
    session: usize,
}

/// Waits for an answer.
struct Answer {
    place: Place,
    exchange: usize,
}

/// Waits for a session.
struct Dialing {
    place: Place,
    attempt: usize,
}

#[async_trait]
impl Backend for Place {
    fn describe(&self) -> Description {
        let setup = self.world().setup.clone();
        Description {
            target: "a made-up world".into(),
            max_batch_records: setup.max_batch_records,
            max_batch_bytes: setup.max_batch_bytes,
            read_batches: setup.read_batches,
            write_batches: setup.write_batches,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let attempt = self.world().dial();
        let session = Dialing { place: self.clone(), attempt }.await?;
        Ok(Link {
            connection: std::sync::Arc::new(Standing { place: self.clone(), session }),
            lifeline: Box::pin(Lifeline { place: self.clone(), session }),
        })
    }

    fn group_of(&self, key: &Key) -> usize {
        (number_of(key) + self.shift.load(Ordering::Relaxed)) % self.nodes
    }
}

impl Future for Dialing {
    type Output = Result<usize, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        let mut world = self.place.world();
        let attempt = &mut world.attempts[self.attempt];
        match attempt.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                attempt.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        self.place.world().attempts[self.attempt].is_dropped = true;
    }
}

impl Future for Lifeline {
    type Output = Error;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        let mut world = self.place.world();
        let session = &mut world.sessions[self.session];
        match &session.lost {
            Some(error) => Poll::Ready(error.clone()),
            None => {
                session.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.place.world().session_dropped(self.session);
    }
}

impl Future for Answer {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let mut world = self.place.world();
        let exchange = &mut world.exchanges[self.exchange];
        match exchange.reply.take_if(|_| exchange.is_visible) {
            Some(reply) => {
                exchange.is_awaited = false;
                Poll::Ready(reply)
            }
            None => {
                exchange.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.place.world().exchanges[self.exchange].is_awaited = false;
    }
}

impl Standing {
    fn ask(&self, node: usize, ask: Ask) -> Answer {
        let exchange = self.place.world().send(self.session, node, ask);
        Answer { place: self.place.clone(), exchange }
    }

    async fn batch<R>(
        &self,
        kind: usize,
        items: Vec<Item>,
        one: impl Fn(Option<Stored>) -> R,
    ) -> BatchResult<R> {
        let node = items.first().map_or(0, |item| self.place.world().group_of(item.key));
        match self.ask(node, Ask::Batch { kind, items }).await {
            Reply::Batch(results) => Ok(results.into_iter().map(|result| result.map(&one)).collect()),
            Reply::Failed(error) => Err(error),
            Reply::Page(_) | Reply::Value(_) => Err(Error::connection("that is no answer to a batch")),
        }
    }

    fn items(&self, kind: Kind, keys: &[Key]) -> Vec<Item> {
        let world = self.place.world();
        let item = |key: &Key| {
            let key = number_of(key);
            let op = (kind == Kind::Delete).then(|| world.first_unanswered(key, kind.number())).flatten();
            Item { key, kind, op }
        };
        keys.iter().map(item).collect()
    }
}

#[async_trait]
impl Connection for Standing {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        let items = self.items(Kind::Get, keys);
        self.batch(Kind::Get.number(), items, |stored| stored.map(Stored::record)).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        let items = self.items(Kind::Head, keys);
        self.batch(Kind::Head.number(), items, |stored| stored.map(|stored| stored.record().version)).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let items: Vec<Item> = {
            let world = self.place.world();
            let item = |(key, record): &(Key, Record)| {
                let op = world.ledger.set_of_version(record.version);
                let kind = op.map_or(Kind::Set { bytes: record.data.len(), is_poison: false }, |op| {
                    world.ledger.ops[op].kind
                });
                Item { key: number_of(key), kind, op }
            };
            entries.iter().map(item).collect()
        };
        self.batch(2, items, |_| ()).await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let items = self.items(Kind::Delete, keys);
        self.batch(Kind::Delete.number(), items, |_| ()).await
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        let cursor = listing.cursor.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        match self.ask(0, Ask::Scan { cursor, limit: listing.limit }).await {
            Reply::Page(page) => Ok(page),
            Reply::Failed(error) => Err(error),
            Reply::Batch(_) | Reply::Value(_) => Err(Error::connection("that is no page")),
        }
    }

    async fn command(&self, _name: &str, arguments: &Value) -> Result<Value, Error> {
        let request = arguments.as_u64().unwrap_or_default() as usize;
        match self.ask(0, Ask::Command { request }).await {
            Reply::Value(value) => Ok(value),
            Reply::Failed(error) => Err(error),
            Reply::Batch(_) | Reply::Page(_) => Err(Error::connection("that is no value")),
        }
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut world = self.place.world();
        let session = &mut world.sessions[self.session];
        match session.notices.pop_front() {
            Some(notice) => Poll::Ready(notice),
            None => {
                session.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn moved(&self, group: usize) -> Option<u64> {
        let world = self.place.world();
        let link = world.sessions[self.session].links.get(group)?;
        world.setup.counts_bytes.then_some(link.seen)
    }
}
