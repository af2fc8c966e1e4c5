//! The engine's batches, and pages of all records.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use hyper::{Method, StatusCode};
use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};
use serde::Deserialize;

use super::calls::{read, refused, Service};
use super::document::{self, Row};
use super::ids::{id_of, Id};
use super::revisions::{Revision, Revisions};
use crate::core::document::Writer;
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Page, Record, Remedy};
use crate::net::http::{Answer, Underway};
use crate::records::naming::split;
use crate::records::paging::Cursor;

/// CouchDB's own limit, unless its `max_document_size` says another.
const USUAL_LIMIT: usize = 8_000_000;

/// See the module.
pub(super) struct CouchConnection {
    pub service: Service,
    pub separator: String,
    pub revisions: Arc<Revisions>,
}

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
}

/// What became of one document in `_bulk_docs`.
#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    rev: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
}

/// What is to become of one document: a record, or nothing.
struct Write<'a> {
    id: Id<'a>,
    collection: Option<&'a str>,
    record: Option<&'a Record>,
}

impl CouchConnection {
    /// The rows for these ids, in no particular order.
    async fn rows(&self, ids: &[&str], with_documents: bool) -> Result<Answer, Error> {
        let mut question = Writer::with_capacity(64 * ids.len());
        question.object_start();
        question.raw_name("keys");
        question.array_start();
        ids.iter().for_each(|id| question.text(id));
        question.array_end();
        question.object_end();
        let path = if with_documents { "/_all_docs?include_docs=true" } else { "/_all_docs" };
        self.service.ask(Method::POST, path, question.finish().into()).await
    }

    /// Makes something of each record that is there.
    async fn read<R>(&self, keys: &[Key], take: fn(Record) -> R) -> BatchResult<Option<R>> {
        let ids: Vec<Id<'_>> = keys.iter().map(|key| id_of(key)).collect();
        let asked: Vec<&str> = ids.iter().map(|id| &*id.id).collect();
        let answer = self.rows(&asked, true).await?;
        let Rows { rows } = read("_all_docs", still_there(&answer)?)?;
        let index: HashMap<&str, usize> = asked.iter().enumerate().map(|(index, id)| (*id, index)).collect();
        let mut results: Vec<Result<Option<R>, Error>> = keys.iter().map(|_| Ok(None)).collect();
        for row in &rows {
            let Some(&position) = index.get(&*row.key) else { continue };
            if row.error.as_deref().is_some_and(|error| error != "not_found") {
                results[position] =
                    Err(Error::transient(ErrorCode::Backend, "CouchDB could not read a document"));
                continue;
            }
            self.revisions.learn(&row.key, row.revision());
            if let Some(document) = row.doc {
                results[position] =
                    document::read(document, &answer.body).map(|(_, record)| Some(take(record)));
            }
        }
        Ok(results)
    }

    /// Looks up the revisions that are not known.
    async fn look_up(&self, writes: &[Write<'_>]) -> Result<Vec<Revision>, Error> {
        let known: Vec<Option<Revision>> =
            writes.iter().map(|write| self.revisions.get(&write.id.id)).collect();
        let unknown: Vec<&str> = writes
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(write, _)| &*write.id.id)
            .collect();
        let mut found = HashMap::new();
        if !unknown.is_empty() {
            let answer = self.rows(&unknown, false).await?;
            let Rows { rows } = read("_all_docs", still_there(&answer)?)?;
            for row in rows {
                let revision = row.revision();
                self.revisions.learn(&row.key, revision.clone());
                found.insert(row.key.into_owned(), revision);
            }
        }
        let revision = |(write, known): (&Write<'_>, Option<Revision>)| {
            known.or_else(|| found.remove(&*write.id.id)).unwrap_or(Revision::Absent)
        };
        Ok(writes.iter().zip(known).map(revision).collect())
    }

    async fn write(&self, writes: Vec<Write<'_>>) -> BatchResult<()> {
        let revisions = self.look_up(&writes).await?;
        let mut results: Vec<Result<(), Error>> = writes.iter().map(|_| Ok(())).collect();
        // There is nothing to take away where there is no document.
        let sent: Vec<usize> = (0..writes.len())
            .filter(|&index| writes[index].record.is_some() || revisions[index] != Revision::Absent)
            .collect();
        if sent.is_empty() {
            return Ok(results);
        }
        let texts: Vec<Vec<u8>> =
            sent.iter().map(|&index| text_of(&writes[index], &revisions[index])).collect();
        let list: Vec<Sent<'_>> = sent
            .iter()
            .zip(&texts)
            .map(|(&index, text)| Sent {
                id: &writes[index].id.id,
                text,
                is_new: revisions[index] == Revision::Absent,
            })
            .collect();
        let outcomes = match self.write_at_once(&list).await {
            // One that is too large, or refused for itself, must not take the others with it.
            Err(Refused::AsAWhole(_)) if list.len() > 1 => {
                join_all(list.iter().map(|one| async move {
                    match self.write_at_once(std::slice::from_ref(one)).await {
                        Ok(mut outcomes) => outcomes.pop().unwrap_or(Ok(())),
                        Err(Refused::AsAWhole(error) | Refused::Failed(error)) => Err(error),
                    }
                }))
                .await
            }
            Ok(outcomes) => outcomes,
            Err(Refused::AsAWhole(error) | Refused::Failed(error)) => return Err(error),
        };
        for ((index, outcome), Sent { id, .. }) in sent.into_iter().zip(outcomes).zip(&list) {
            if outcome.is_ok() && writes[index].record.is_none() {
                self.revisions.learn(id, Revision::Absent);
            }
            results[index] = outcome;
        }
        Ok(results)
    }

    /// Sends documents; the results are in their order.
    async fn write_at_once(&self, list: &[Sent<'_>]) -> Result<Vec<Result<(), Error>>, Refused> {
        let mut body = Vec::with_capacity(list.iter().map(|one| one.text.len() + 1).sum::<usize>() + 16);
        body.extend_from_slice(b"{\"docs\":[");
        for (number, one) in list.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            body.extend_from_slice(one.text);
        }
        body.extend_from_slice(b"]}");
        // One that names a revision does nothing once that is replaced.
        let underway = list.iter().any(|one| one.is_new).then(|| self.service.doubt.sent());
        let answer = self.service.ask(Method::POST, "/_bulk_docs", body.into()).await;
        if !answer.as_ref().is_err_and(|error| error.remedy() == Remedy::Reconnect) {
            underway.into_iter().for_each(Underway::answered);
        }
        let answer = answer.map_err(|error| {
            // What became of them nobody knows.
            list.iter().for_each(|one| self.revisions.forget(one.id));
            Refused::Failed(error)
        })?;
        match answer.status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let largest = list.iter().map(|one| one.text.len()).max().unwrap_or(0);
                return Err(Refused::AsAWhole(too_large(largest)));
            }
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
                return Err(Refused::AsAWhole(refused("a document", &answer)))
            }
            _ => {}
        }
        let outcomes: Vec<Outcome<'_>> =
            still_there(&answer).and_then(|answer| read("_bulk_docs", answer)).map_err(Refused::Failed)?;
        let mut by_id: HashMap<&str, &Outcome<'_>> =
            outcomes.iter().map(|outcome| (&*outcome.id, outcome)).collect();
        Ok(list.iter().map(|one| self.settle(one.id, by_id.remove(one.id))).collect())
    }

    fn settle(&self, id: &str, outcome: Option<&Outcome<'_>>) -> Result<(), Error> {
        let rev = outcome.and_then(|outcome| outcome.rev.as_deref());
        let error = outcome.map(|outcome| outcome.error.as_deref());
        match (error, rev) {
            (Some(None), Some(rev)) => {
                self.revisions.learn(id, Revision::Is(rev.to_owned()));
                Ok(())
            }
            (Some(Some("conflict")), _) => {
                // Somebody else wrote: what is asked for now comes after it.
                self.revisions.forget(id);
                Err(Error::transient(ErrorCode::Backend, "somebody else writes this document as well")
                    .after(Duration::ZERO))
            }
            (Some(Some(word)), _) => {
                let word: String = word.chars().take(60).collect();
                Err(Error::new(ErrorCode::Backend, format!("CouchDB refused the document ({word})")))
            }
            _ => {
                self.revisions.forget(id);
                Err(Error::connection("the server is no CouchDB: its answer to _bulk_docs lacks a document"))
            }
        }
    }
}

/// A document on its way.
struct Sent<'a> {
    id: &'a str,
    text: &'a [u8],
    /// Whether it replaces none.
    is_new: bool,
}

/// Why documents were not stored.
enum Refused {
    /// Because of one of them, perhaps.
    AsAWhole(Error),
    Failed(Error),
}

/// A database that is gone is made again by the next connection.
fn still_there(answer: &Answer) -> Result<&Answer, Error> {
    match answer.status {
        StatusCode::NOT_FOUND => Err(Error::connection("the database is not there any more")),
        _ => Ok(answer),
    }
}

fn text_of(write: &Write<'_>, revision: &Revision) -> Vec<u8> {
    let mut out = Writer::with_capacity(write.record.map_or(0, |record| record.data.len()) + 200);
    match write.record {
        Some(record) => document::write(&write.id, write.collection, record, revision, &mut out),
        None => document::write_deletion(&write.id, revision, &mut out),
    }
    out.finish()
}

fn too_large(size: usize) -> Error {
    Error::new(
        ErrorCode::TooLarge,
        format!(
            "the document has {size} bytes, which is more than CouchDB takes: {USUAL_LIMIT}, unless its option max_document_size says another number"
        ),
    )
}

#[async_trait]
impl Connection for CouchConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        self.read(keys, |record| record).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        self.read(keys, |record| record.version).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let writes = entries.iter().map(|(key, record)| Write {
            id: id_of(key),
            collection: split(key, &self.separator).collection,
            record: Some(record),
        });
        self.write(writes.collect()).await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let writes = keys.iter().map(|key| Write { id: id_of(key), collection: None, record: None });
        self.write(writes.collect()).await
    }

    async fn scan(&self, cursor: Option<&str>, limit: usize) -> Result<Page, Error> {
        let limit = limit.max(1);
        let database = &*self.service.database;
        let mut start =
            cursor.and_then(|text| Cursor::read_within(database, text).transpose()).transpose()?;
        // Documents that are no records may fill a page.
        loop {
            let mut path = format!("/_all_docs?include_docs=true&limit={limit}");
            if let Some(last) = &start {
                // The id after this one, in the order of their bytes.
                let after = serde_json::json!(format!("{last}\0")).to_string();
                path.push_str("&startkey=");
                path.extend(utf8_percent_encode(&after, NON_ALPHANUMERIC));
            }
            let answer = self.service.ask(Method::GET, &path, Bytes::new()).await?;
            let Rows { rows } = read("_all_docs", still_there(&answer)?)?;
            let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.key.clone().into_owned());
            let mut records = Vec::with_capacity(rows.len());
            for row in &rows {
                let (Some(document), false) = (row.doc, row.key.starts_with('_')) else { continue };
                if let (Some(key), record) = document::read(document, &answer.body)? {
                    records.push((Key::from(key), record));
                }
            }
            if !records.is_empty() || next.is_none() {
                let next = next.and_then(|last| Cursor { table: database.into(), after: Some(last) }.write());
                return Ok(Page { records, next });
            }
            start = next;
        }
    }

    fn waits_for_timer(&self) -> bool {
        self.service.client.waits_for_timer()
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.service.client.moved())
    }
}
