//! Documents as they are read: several at once, by the bytes that they have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::calls::{read, Service, LONGEST_ANSWER};
use super::document::{self, Row};
use super::ids::{id_of, Id};
use super::parts::{apart, may_be_of_one};
use super::revisions::Revisions;
use crate::core::document::Writer;
use crate::core::{BatchResult, Error, ErrorCode, Key, Record};
use crate::net::http::Answer;

/// About how many bytes are asked for at once, and the longest answer for several documents: one
/// that is longer is asked for in parts.
const AT_ONCE: usize = 16 << 20;
pub(super) const LONGEST_OF_SEVERAL: usize = 32 << 20;

/// The rows of `_all_docs`.
#[derive(Deserialize)]
pub(super) struct Rows<'a> {
    #[serde(borrow)]
    pub rows: Vec<Row<'a>>,
}

/// About how many bytes a document has.
#[derive(Default)]
pub(super) struct Sizes(AtomicUsize);

impl Sizes {
    /// How many of so many documents are to be asked for at once.
    fn room(&self, count: usize) -> usize {
        match self.0.load(Ordering::Relaxed) {
            0 => count,
            size => (AT_ONCE / size).clamp(1, count),
        }
    }

    /// So many took so many bytes. It is quick to believe in large ones, slow to forget them.
    fn learn(&self, count: usize, bytes: usize) {
        let Some(mean) = bytes.checked_div(count) else { return };
        let known = self.0.load(Ordering::Relaxed);
        self.0.store(if mean > known { mean } else { (7 * known + mean) / 8 }, Ordering::Relaxed);
    }
}

/// Whether an answer may be as long as all its documents together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What is read is kept, and so it is read a part at a time.
    Kept,
    /// Next to nothing is kept of it.
    Forgotten,
}

/// The body of a question about these ids.
pub(super) fn question<'a>(ids: impl Iterator<Item = &'a str>) -> Bytes {
    let mut question = Writer::with_capacity(1024);
    question.object_start();
    question.raw_name("keys");
    question.array_start();
    ids.for_each(|id| question.text(id));
    question.array_end();
    question.object_end();
    question.finish().into()
}

/// A database that is gone is made again by the next connection.
pub(super) fn still_there(answer: &Answer) -> Result<&Answer, Error> {
    match answer.status {
        StatusCode::NOT_FOUND => Err(Error::connection("the database is not there any more")),
        _ => Ok(answer),
    }
}

/// Reads documents.
pub(super) struct Reader<'a> {
    pub service: &'a Service,
    pub revisions: &'a Revisions,
    pub sizes: &'a Sizes,
}

impl Reader<'_> {
    /// Makes something of each record that is there.
    pub async fn read<R>(
        &self,
        keys: &[Key],
        extent: Extent,
        take: fn(Record) -> R,
    ) -> BatchResult<Option<R>> {
        let mut results = Vec::with_capacity(keys.len());
        let mut bytes = 0;
        while results.len() < keys.len() && (extent == Extent::Forgotten || bytes < AT_ONCE) {
            let rest = &keys[results.len()..];
            let part = &rest[..self.sizes.room(rest.len())];
            let longest = if part.len() > 1 { LONGEST_OF_SEVERAL } else { LONGEST_ANSWER };
            match self.ask(part, longest, take).await {
                Ok(Some((found, length))) => {
                    self.sizes.learn(part.len(), length);
                    bytes += length;
                    results.extend(found);
                }
                // Nobody knows how much longer it would have been.
                Ok(None) => self.sizes.learn(part.len(), 8 * LONGEST_OF_SEVERAL),
                Err(error) if may_be_of_one(&error) => {
                    let ask = |range: std::ops::Range<usize>| async move {
                        let answer = self.ask(&part[range], LONGEST_ANSWER, take).await?;
                        Ok(answer.map_or_else(Vec::new, |(found, _)| found))
                    };
                    results.extend(apart(error, part.len(), ask).await);
                }
                Err(error) => return Err(error),
            }
        }
        results.resize_with(keys.len(), || {
            Err(Error::transient(ErrorCode::Backend, "the documents are too large to be read at once"))
        });
        Ok(results)
    }

    /// One request; nothing where the answer is longer than that.
    async fn ask<R>(
        &self,
        keys: &[Key],
        longest: usize,
        take: fn(Record) -> R,
    ) -> Result<Option<Found<R>>, Error> {
        let ids: Vec<Id<'_>> = keys.iter().map(|key| id_of(key)).collect();
        let body = question(ids.iter().map(|id| &*id.id));
        let path = "/_all_docs?include_docs=true";
        let Some(answer) = self.service.ask_for(Method::POST, path, body, longest).await? else {
            return match keys.len() {
                1 => Err(Error::new(
                    ErrorCode::TooLarge,
                    format!("the document is longer than {longest} bytes; nothing larger is read"),
                )),
                _ => Ok(None),
            };
        };
        let Rows { rows } = read("_all_docs", still_there(&answer)?)?;
        let index: HashMap<&str, usize> =
            ids.iter().enumerate().map(|(index, id)| (&*id.id, index)).collect();
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
        Ok(Some((results, answer.body.len())))
    }
}

/// What was found, and how many bytes that took.
type Found<R> = (Vec<Result<Option<R>, Error>>, usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_documents_are_asked_for_a_few_at_a_time() {
        let sizes = Sizes::default();
        assert_eq!(sizes.room(500), 500);
        sizes.learn(500, 8 * LONGEST_OF_SEVERAL);
        let few = sizes.room(500);
        assert!((20..=40).contains(&few), "{few}");
        sizes.learn(few, 8 * LONGEST_OF_SEVERAL);
        assert!(sizes.room(500) <= 4);
        sizes.learn(1, 7_900_000);
        assert!((1..=2).contains(&sizes.room(500)));
        for _ in 0..100 {
            sizes.learn(2, 100);
        }
        assert_eq!(sizes.room(500), 500);
    }
}
