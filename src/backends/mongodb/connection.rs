//! A connection that stands: batches, collection by collection.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;

use super::commands::{self, Write};
use super::driver::Driver;
use super::index::Indexes;
use super::options::Options;
use super::scan::Scan;
use super::write::Statement;
use super::{decode, read, write};
use crate::core::{BatchResult, Connection, Error, Key, Listing, Notice, Page, Record};

pub(super) struct Connected {
    driver: Driver,
    options: Arc<Options>,
    /// Whether the server counts the commands of a session.
    counts: bool,
    indexes: Indexes,
    remarks: mpsc::UnboundedSender<String>,
    log: Mutex<mpsc::UnboundedReceiver<String>>,
}

/// The records of a batch in one collection: their positions and ids.
struct Part<'a> {
    collection: &'a str,
    ids: Vec<(usize, &'a str)>,
}

impl Connected {
    pub fn new(driver: Driver, options: Arc<Options>, counts: bool) -> Connected {
        let (remarks, log) = mpsc::unbounded_channel();
        Connected { driver, options, counts, indexes: Indexes::default(), remarks, log: Mutex::new(log) }
    }

    fn parts<'a>(&'a self, keys: impl Iterator<Item = &'a Key>) -> Vec<Part<'a>> {
        let mut parts: Vec<Part<'a>> = Vec::new();
        let mut known = std::collections::HashMap::new();
        for (position, key) in keys.enumerate() {
            let place = self.options.collections.place(key);
            let index = *known.entry(place.collection).or_insert_with(|| {
                parts.push(Part { collection: place.collection, ids: Vec::new() });
                parts.len() - 1
            });
            parts[index].ids.push((position, place.id));
        }
        parts
    }

    /// Reads records, or their versions alone.
    async fn read<R>(
        &self,
        keys: &[Key],
        versions_alone: bool,
        decode: impl Fn(&mongodb::bson::RawDocument) -> Result<R, Error>,
    ) -> BatchResult<Option<R>> {
        let parts = self.parts(keys.iter());
        let found = try_join_all(parts.iter().map(|part| {
            let decode = &decode;
            async move {
                let ids: Vec<&str> = part.ids.iter().map(|(_, id)| *id).collect();
                let mut found = Vec::with_capacity(ids.len());
                let projection = versions_alone.then(commands::version_fields);
                let database = &self.driver.database;
                let layout = self.options.layout;
                read::find(database, part.collection, &ids, projection, layout, |index, document| {
                    found.push((part.ids[index].0, decode(document)));
                })
                .await?;
                Ok::<_, Error>(found)
            }
        }))
        .await?;
        let mut results: Vec<Result<Option<R>, Error>> = keys.iter().map(|_| Ok(None)).collect();
        // A newer document of the same key comes later.
        for (position, result) in found.into_iter().flatten() {
            results[position] = result.map(Some);
        }
        Ok(results)
    }

    /// Sends the statements of one collection, after all but the newest document of each key are
    /// gone.
    async fn write(
        &self,
        kind: Write,
        part: &Part<'_>,
        statements: &[Statement],
        results: &mut [Result<(), Error>],
    ) -> Result<(), Error> {
        let uniqueness = self.indexes.ensure(&self.driver.database, part.collection).await?;
        if let Some(remark) = uniqueness.remark {
            // Nobody may be there to hear it any more.
            let _ = self.remarks.send(remark);
        }
        if !uniqueness.is_certain {
            let old =
                write::removals_of_old_copies(&self.driver, part.collection, &part.ids, self.options.layout)
                    .await?;
            write::write(&self.driver, Write::Delete, part.collection, &old, self.counts, results).await?;
        }
        write::write(&self.driver, kind, part.collection, statements, self.counts, results).await
    }
}

#[async_trait]
impl Connection for Connected {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        self.read(keys, false, |document| decode::record(document, self.options.layout)).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        self.read(keys, true, |document| decode::version(document, self.options.layout)).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let mut results: Vec<Result<(), Error>> = entries.iter().map(|_| Ok(())).collect();
        for part in self.parts(entries.iter().map(|(key, _)| key)) {
            let mut statements = Vec::with_capacity(part.ids.len());
            for &(position, id) in &part.ids {
                match commands::replacement(id, &entries[position].1, self.options.layout) {
                    Ok(bytes) => statements.push(Statement { position, bytes }),
                    Err(error) => results[position] = Err(error),
                }
            }
            self.write(Write::Update, &part, &statements, &mut results).await?;
        }
        Ok(results)
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let mut results: Vec<Result<(), Error>> = keys.iter().map(|_| Ok(())).collect();
        for part in self.parts(keys.iter()) {
            let statements: Vec<Statement> = part
                .ids
                .iter()
                .map(|&(position, id)| Statement { position, bytes: commands::removal(id) })
                .collect();
            self.write(Write::Delete, &part, &statements, &mut results).await?;
        }
        Ok(results)
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        let scan = Scan { database: &self.driver.database, options: &self.options, records: self, listing };
        scan.page().await
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        match log.poll_recv(cx) {
            Poll::Ready(Some(remark)) => Poll::Ready(Notice::Remark(remark)),
            _ => Poll::Pending,
        }
    }
}
