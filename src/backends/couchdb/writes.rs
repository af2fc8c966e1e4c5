//! Documents as they are written: each names the revision that it replaces, and is what is read
//! afterwards before it is acknowledged.

use std::borrow::Cow;
use std::collections::HashMap;

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::calls::{read, refused, word_of, Service};
use super::document;
use super::ids::Id;
use super::leaves;
use super::parts::{apart, may_be_of_one};
use super::reads::{question, still_there, Rows};
use super::revisions::{Revision, Revisions};
use crate::core::document::Writer;
use crate::core::{BatchResult, Error, ErrorCode, Record, Remedy};
use crate::net::http::{Answer, Underway};

/// CouchDB's own limits, unless its `max_document_size` and `max_http_request_size` say others.
const DOCUMENT_LIMIT: usize = 8_000_000;
const REQUEST_LIMIT: u64 = 4_294_967_296;

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
pub(super) struct Write<'a> {
    pub id: Id<'a>,
    pub collection: Option<&'a str>,
    pub record: Option<&'a Record>,
}

/// A document on its way.
struct Sent<'a> {
    id: &'a str,
    text: Vec<u8>,
    /// Whether it replaces none.
    is_new: bool,
    /// Whether it takes one away.
    is_deletion: bool,
}

/// Writes documents.
pub(super) struct Author<'a> {
    pub service: &'a Service,
    pub revisions: &'a Revisions,
}

impl Author<'_> {
    pub async fn write(&self, writes: Vec<Write<'_>>) -> BatchResult<()> {
        let revisions = self.look_up(&writes).await?;
        let mut results: Vec<Result<(), Error>> = Vec::with_capacity(writes.len());
        let (mut places, mut sent) = (Vec::new(), Vec::new());
        for (place, (write, revision)) in writes.iter().zip(revisions).enumerate() {
            results.push(Ok(()));
            match revision {
                Err(error) => results[place] = Err(error),
                // There is nothing to take away where there is no document.
                Ok(Revision::Absent) if write.record.is_none() => {}
                Ok(revision) => {
                    places.push(place);
                    sent.push(Sent {
                        id: &write.id.id,
                        text: text_of(write, &revision),
                        is_new: revision == Revision::Absent,
                        is_deletion: write.record.is_none(),
                    });
                }
            }
        }
        if sent.is_empty() {
            return Ok(results);
        }
        let written = match self.write_at_once(&sent).await {
            Err(error) if may_be_of_one(&error) => {
                let list = &sent;
                apart(error, list.len(), |part| self.write_at_once(&list[part])).await
            }
            written => written?,
        };
        let settled = self.settle(&sent, written).await;
        for (place, result) in places.into_iter().zip(settled) {
            results[place] = result;
        }
        Ok(results)
    }

    /// The revisions that writes are to replace; those that are not known are looked up.
    async fn look_up(&self, writes: &[Write<'_>]) -> BatchResult<Revision> {
        let known: Vec<Option<Revision>> =
            writes.iter().map(|write| self.revisions.get(&write.id.id)).collect();
        let unknown: Vec<&str> = writes
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(write, _)| &*write.id.id)
            .collect();
        let mut found = self.winners(&unknown).await?.into_iter();
        let revision = |known: Option<Revision>| match known {
            Some(known) => Ok(known),
            None => found.next().unwrap_or(Ok(Revision::Absent)),
        };
        Ok(known.into_iter().map(revision).collect())
    }

    /// The revisions that are read at the moment.
    async fn winners(&self, ids: &[&str]) -> BatchResult<Revision> {
        let ask = |part: std::ops::Range<usize>| async move {
            let ids = &ids[part];
            let question = question(ids.iter().copied());
            let answer = self.service.ask(Method::POST, "/_all_docs", question).await?;
            let Rows { rows } = read("_all_docs", still_there(&answer)?)?;
            let mut found: HashMap<&str, Revision> = HashMap::with_capacity(rows.len());
            for row in &rows {
                if row.error.as_deref().is_none_or(|error| error == "not_found") {
                    let revision = row.revision();
                    self.revisions.learn(&row.key, revision.clone());
                    found.insert(&row.key, revision);
                }
            }
            let unread = || Error::transient(ErrorCode::Backend, "CouchDB could not read a document");
            Ok(ids.iter().map(|id| found.remove(id).ok_or_else(unread)).collect())
        };
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        match ask(0..ids.len()).await {
            Err(error) if may_be_of_one(&error) => Ok(apart(error, ids.len(), ask).await),
            found => found,
        }
    }

    /// Sends documents; gives the revision that each has now, in their order.
    async fn write_at_once(&self, list: &[Sent<'_>]) -> BatchResult<String> {
        let mut body = Vec::with_capacity(list.iter().map(|one| one.text.len() + 1).sum::<usize>() + 16);
        body.extend_from_slice(b"{\"docs\":[");
        for (number, one) in list.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&one.text);
        }
        body.extend_from_slice(b"]}");
        let length = body.len();
        // One that names a revision does nothing once that is replaced.
        let underway = list.iter().any(|one| one.is_new).then(|| self.service.doubt.sent());
        let answer = self.service.ask(Method::POST, "/_bulk_docs", body.into()).await;
        if !answer.as_ref().is_err_and(|error| error.remedy() == Remedy::Reconnect) {
            underway.into_iter().for_each(Underway::answered);
        }
        // What became of them nobody knows.
        let answer = answer.inspect_err(|_| list.iter().for_each(|one| self.revisions.forget(one.id)))?;
        if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
            let largest = list.iter().map(|one| one.text.len()).max().unwrap_or(0);
            return Err(too_large(&answer, largest, length));
        }
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN) {
            return Err(refused("a document", &answer));
        }
        let outcomes: Vec<Outcome<'_>> = read("_bulk_docs", still_there(&answer)?)?;
        let mut by_id: HashMap<&str, &Outcome<'_>> =
            outcomes.iter().map(|outcome| (&*outcome.id, outcome)).collect();
        Ok(list.iter().map(|one| self.learn(one, by_id.remove(one.id))).collect())
    }

    fn learn(&self, sent: &Sent<'_>, outcome: Option<&Outcome<'_>>) -> Result<String, Error> {
        let rev = outcome.and_then(|outcome| outcome.rev.as_deref());
        let error = outcome.map(|outcome| outcome.error.as_deref());
        match (error, rev) {
            (Some(None), Some(rev)) => {
                let now = if sent.is_deletion { Revision::Absent } else { Revision::Is(rev.to_owned()) };
                self.revisions.learn(sent.id, now);
                Ok(rev.to_owned())
            }
            (Some(Some("conflict")), _) => {
                // Somebody else wrote: what is asked for now comes after it.
                self.revisions.forget(sent.id);
                Err(leaves::conflict())
            }
            (Some(Some(word)), _) => {
                let word: String = word.chars().take(60).collect();
                Err(Error::new(ErrorCode::Backend, format!("CouchDB refused the document ({word})")))
            }
            _ => {
                self.revisions.forget(sent.id);
                Err(Error::connection("the server is no CouchDB: its answer to _bulk_docs lacks a document"))
            }
        }
    }

    /// Sees that what was written is what is read: a document may have other leaves, by replication
    /// or by nodes that took writes at the same time, and one of them may be the winner. One that
    /// did not exist has none.
    async fn settle(&self, sent: &[Sent<'_>], written: Vec<Result<String, Error>>) -> Vec<Result<(), Error>> {
        let is_open = |(one, revision): &(&Sent<'_>, &Result<String, Error>)| revision.is_ok() && !one.is_new;
        let open: Vec<&str> = sent.iter().zip(&written).filter(is_open).map(|(one, _)| one.id).collect();
        let mut winners = match self.winners(&open).await {
            Ok(winners) => winners,
            Err(error) => open.iter().map(|_| Err(error.clone())).collect(),
        }
        .into_iter();
        let mut results = Vec::with_capacity(sent.len());
        for (one, revision) in sent.iter().zip(written) {
            let result = match revision {
                Ok(_) if one.is_new => Ok(()),
                Ok(revision) => match winners.next() {
                    Some(Ok(Revision::Absent)) if one.is_deletion => Ok(()),
                    Some(Ok(Revision::Is(winner))) if !one.is_deletion && winner == revision => Ok(()),
                    Some(Err(error)) => Err(error),
                    _ => leaves::settle(self.service, self.revisions, one.id, &revision).await,
                },
                Err(error) => Err(error),
            };
            results.push(result);
        }
        results
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

/// The server, or a proxy before it, takes no document or no request of that size.
fn too_large(answer: &Answer, document: usize, request: usize) -> Error {
    let text = match word_of(answer).as_deref() {
        Some("document_too_large") => format!(
            "the document has {document} bytes, which is more than CouchDB takes: {DOCUMENT_LIMIT}, unless its option max_document_size says another number"
        ),
        Some(_) => format!(
            "the request for the document has {request} bytes, which is more than CouchDB takes: {REQUEST_LIMIT}, unless its option max_http_request_size says another number"
        ),
        None => format!(
            "the request for the document has {request} bytes, which is more than a proxy before CouchDB takes; see the limit of its requests' bodies"
        ),
    };
    Error::new(ErrorCode::TooLarge, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn the_limit_that_counts_is_named() {
        for (body, words) in [
            (r#"{"error":"document_too_large","reason":"a"}"#, ["8000001", "max_document_size"]),
            (
                r#"{"error":"too_large","reason":"the request entity is too large"}"#,
                ["8000099", "max_http_request_size"],
            ),
            ("<html>", ["8000099", "proxy"]),
        ] {
            let answer = Answer {
                status: StatusCode::PAYLOAD_TOO_LARGE,
                headers: hyper::HeaderMap::new(),
                body: Bytes::from(body),
            };
            let error = too_large(&answer, 8_000_001, 8_000_099);
            assert_eq!(error.code(), ErrorCode::TooLarge);
            assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
        }
    }
}
