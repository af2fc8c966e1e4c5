//! Batches of items: `BatchWriteItem` and `BatchGetItem` within their limits, a result for each.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;

use super::calls::{read, Kind, Refusal, Service};
use super::item::Members;
use super::names::Slot;
use crate::core::document::Writer;
use crate::core::{Error, ErrorCode, Remedy};

/// The most items in a `BatchWriteItem`.
pub(super) const WRITES: usize = 25;

/// The most items in a `BatchGetItem`.
pub(super) const READS: usize = 100;

/// The most bytes of a request; DynamoDB's limit is 16 MB.
const REQUEST_BYTES: usize = 12 << 20;

/// What is to become of one item.
pub(super) struct Write<'a> {
    pub slot: &'a Slot<'a>,
    /// The item to put, or nothing to delete it.
    pub item: Option<Vec<u8>>,
}

impl Write<'_> {
    fn bytes(&self) -> usize {
        64 + self.item.as_ref().map_or(self.slot.id.len(), Vec::len)
    }

    fn append_to(&self, request: &mut Writer) {
        request.object_start();
        match &self.item {
            Some(item) => {
                request.raw_name("PutRequest");
                request.object_start();
                request.raw_name("Item");
                // It was written as JSON here.
                request.raw(std::str::from_utf8(item).unwrap_or_default());
            }
            None => {
                request.raw_name("DeleteRequest");
                request.object_start();
                request.raw_name("Key");
                append_key(request, self.slot);
            }
        }
        request.object_end();
        request.object_end();
    }
}

fn append_key(request: &mut Writer, slot: &Slot<'_>) {
    request.object_start();
    request.raw_name(super::item::KEY);
    request.object_start();
    request.raw_name("S");
    request.text(&slot.id);
    request.object_end();
    request.object_end();
}

/// What each table is asked for.
fn by_table<'a>(slots: impl Iterator<Item = &'a Slot<'a>>) -> BTreeMap<&'a str, Vec<usize>> {
    let mut tables: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, slot) in slots.enumerate() {
        tables.entry(&slot.table).or_default().push(index);
    }
    tables
}

fn request_for<'a>(
    tables: &BTreeMap<&'a str, Vec<usize>>,
    append: impl Fn(&mut Writer, &'a str, &[usize]),
) -> Vec<u8> {
    let mut request = Writer::with_capacity(4096);
    request.object_start();
    request.raw_name("RequestItems");
    request.object_start();
    for (table, list) in tables {
        request.name(table);
        append(&mut request, table, list);
    }
    request.object_end();
    request.object_end();
    request.finish()
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(rename = "UnprocessedItems", borrow, default)]
    unprocessed: BTreeMap<String, Vec<UnprocessedWrite<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UnprocessedWrite<'a> {
    #[serde(borrow)]
    put_request: Option<UnprocessedPut<'a>>,
    #[serde(borrow)]
    delete_request: Option<UnprocessedDelete<'a>>,
}

#[derive(Deserialize)]
struct UnprocessedPut<'a> {
    #[serde(rename = "Item", borrow)]
    item: Members<'a>,
}

#[derive(Deserialize)]
struct UnprocessedDelete<'a> {
    #[serde(rename = "Key", borrow)]
    key: Members<'a>,
}

#[derive(Deserialize)]
struct Got<'a> {
    #[serde(rename = "Responses", borrow)]
    found: BTreeMap<String, Vec<Members<'a>>>,
    #[serde(rename = "UnprocessedKeys", borrow, default)]
    unprocessed: BTreeMap<String, UnprocessedKeys<'a>>,
}

#[derive(Deserialize)]
struct UnprocessedKeys<'a> {
    #[serde(rename = "Keys", borrow)]
    keys: Vec<Members<'a>>,
}

/// Which of several slots an item belongs to.
struct Index<'a>(HashMap<(&'a str, &'a str), usize>);

impl<'a> Index<'a> {
    fn new(slots: impl Iterator<Item = &'a Slot<'a>>) -> Index<'a> {
        Index(slots.enumerate().map(|(index, slot)| ((&*slot.table, &*slot.id), index)).collect())
    }

    fn find(&self, table: &str, members: &Members<'_>) -> Option<usize> {
        self.0.get(&(table, &*members.text(super::item::KEY)?)).copied()
    }
}

impl Service {
    /// Carries out writes to tables that are there, each slot at most once; results are in the
    /// order of the writes.
    pub async fn write(&self, writes: Vec<Write<'_>>) -> Vec<Result<(), Refusal>> {
        let mut chunks: Vec<&[Write<'_>]> = Vec::new();
        let mut rest: &[Write<'_>] = &writes;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |write: &&Write<'_>| {
                bytes += write.bytes();
                bytes <= REQUEST_BYTES
            };
            let count = rest.iter().take(WRITES).take_while(fits).count().max(1);
            let (chunk, after) = rest.split_at(count);
            chunks.push(chunk);
            rest = after;
        }
        join_all(chunks.into_iter().map(|chunk| self.write_chunk(chunk)))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn write_chunk(&self, chunk: &[Write<'_>]) -> Vec<Result<(), Refusal>> {
        match self.write_at_once(chunk).await {
            Ok(results) => results,
            // One that is wrong must not take the others with it.
            Err(Refusal { kind: Kind::Invalid, .. }) if chunk.len() > 1 => {
                let alone = chunk.iter().map(|write| async move {
                    let mut results = self.write_at_once(std::slice::from_ref(write)).await?;
                    results.pop().unwrap_or(Ok(()))
                });
                join_all(alone).await
            }
            Err(Refusal { kind, error }) => {
                chunk.iter().map(|_| Err(Refusal { kind, error: error.clone() })).collect()
            }
        }
    }

    async fn write_at_once(&self, chunk: &[Write<'_>]) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        let tables = by_table(chunk.iter().map(|write| write.slot));
        let request = request_for(&tables, |request, _, list| {
            request.array_start();
            for index in list {
                chunk[*index].append_to(request);
            }
            request.array_end();
        });
        let underway = self.doubt.sent();
        let answer = self.call("BatchWriteItem", request).await;
        if !answer.as_ref().is_err_and(|refusal| refusal.error.remedy() == Remedy::Reconnect) {
            underway.answered();
        }
        let answer = answer?;
        let written: Written<'_> = read("BatchWriteItem", &answer)?;
        let mut results: Vec<Result<(), Refusal>> = chunk.iter().map(|_| Ok(())).collect();
        if written.unprocessed.is_empty() {
            return Ok(results);
        }
        let index = Index::new(chunk.iter().map(|write| write.slot));
        let error = unprocessed("items");
        for (table, list) in &written.unprocessed {
            for write in list {
                let members = write.put_request.as_ref().map(|put| &put.item);
                let members = members.or(write.delete_request.as_ref().map(|delete| &delete.key));
                match members.and_then(|members| index.find(table, members)) {
                    Some(position) => results[position] = Err(error.clone().into()),
                    None => return Err(error.into()),
                }
            }
        }
        Ok(results)
    }

    /// Reads items out of tables that are there, each slot at most once and at most [`READS`];
    /// `take` makes something of each that is found.
    pub async fn read<R>(
        &self,
        slots: &[&Slot<'_>],
        options: &str,
        take: impl Fn(&Members<'_>) -> Result<Option<R>, Error>,
    ) -> Result<Vec<Result<Option<R>, Error>>, Refusal> {
        let tables = by_table(slots.iter().copied());
        let request = request_for(&tables, |request, _, list| {
            request.object_start();
            request.raw_name("Keys");
            request.array_start();
            for index in list {
                append_key(request, slots[*index]);
            }
            request.array_end();
            request.raw_name("ConsistentRead");
            request.raw(if self.consistent { "true" } else { "false" });
            if !options.is_empty() {
                request.raw(options);
            }
            request.object_end();
        });
        let answer: Bytes = self.call("BatchGetItem", request).await?;
        let got: Got<'_> = read("BatchGetItem", &answer)?;
        let index = Index::new(slots.iter().copied());
        let mut results: Vec<Result<Option<R>, Error>> = slots.iter().map(|_| Ok(None)).collect();
        let mut any = false;
        for (table, items) in &got.found {
            for item in items {
                any = true;
                if let Some(position) = index.find(table, item) {
                    results[position] = take(item);
                }
            }
        }
        if got.unprocessed.is_empty() {
            return Ok(results);
        }
        // The answer was full, which is no reason to wait, or else the table has too much to do.
        let error = if any { more_to_come() } else { unprocessed("keys") };
        for (table, list) in &got.unprocessed {
            for key in &list.keys {
                match index.find(table, key) {
                    Some(position) => results[position] = Err(error.clone()),
                    None => return Err(error.into()),
                }
            }
        }
        Ok(results)
    }
}

fn unprocessed(what: &str) -> Error {
    Error::transient(ErrorCode::Backend, format!("DynamoDB cannot serve all requests (unprocessed {what})"))
        .of_server()
}

fn more_to_come() -> Error {
    Error::transient(ErrorCode::Backend, "DynamoDB answers with 16 MB at most")
}
