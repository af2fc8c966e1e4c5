//! The engine's batches, and pages of all records.

use std::ops::Bound;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Method;
use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};

use super::calls::{read, Service, LONGEST_ANSWER};
use super::document;
use super::ids::{beginnings_of, id_of, key_of};
use super::reads::{still_there, Extent, Reader, Rows, Sizes, LONGEST_OF_SEVERAL};
use super::revisions::Revisions;
use super::writes::{Author, Write};
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Listing, Notice, Page, Record};
use crate::records::naming::split;
use crate::records::omissions::Omissions;
use crate::records::paging::Cursor;
use crate::records::prefix::Range;

/// See the module.
pub(super) struct CouchConnection {
    pub service: Service,
    pub separator: String,
    pub revisions: Arc<Revisions>,
    pub sizes: Sizes,
    pub omissions: Omissions,
}

impl CouchConnection {
    fn reader(&self) -> Reader<'_> {
        Reader { service: &self.service, revisions: &self.revisions, sizes: &self.sizes }
    }

    fn author(&self) -> Author<'_> {
        Author { service: &self.service, revisions: &self.revisions }
    }
}

#[async_trait]
impl Connection for CouchConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        self.reader().read(keys, Extent::Kept, |record| record).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        self.reader().read(keys, Extent::Forgotten, |record| record.version).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let writes = entries.iter().map(|(key, record)| Write {
            id: id_of(key),
            collection: split(key, &self.separator).collection,
            record: Some(record),
        });
        self.author().write(writes.collect()).await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let writes = keys.iter().map(|key| Write { id: id_of(key), collection: None, record: None });
        self.author().write(writes.collect()).await
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        let mut limit = listing.limit.max(1);
        let database = &*self.service.database;
        let cursor = listing.cursor.as_deref();
        let mut after =
            cursor.and_then(|text| Cursor::read_within(database, text).transpose()).transpose()?;
        let beginnings = beginnings_of(&listing.prefix);
        let mut place = 0;
        // Documents that are no records may fill a page.
        loop {
            let Some(beginning) = beginnings.get(place) else { return Ok(Page::default()) };
            let range = Range::new(beginning, after.as_deref());
            if range.is_empty() {
                place += 1;
                continue;
            }
            let mut path = format!("/_all_docs?include_docs=true&limit={limit}");
            match range.from {
                Bound::Included(first) => push_parameter(&mut path, "startkey", &first),
                // The id after this one, in the order of their bytes.
                Bound::Excluded(last) => push_parameter(&mut path, "startkey", &format!("{last}\0")),
                Bound::Unbounded => {}
            }
            if let Some(end) = &range.until {
                push_parameter(&mut path, "endkey", end);
                path.push_str("&inclusive_end=false");
            }
            let longest = if limit > 1 { LONGEST_OF_SEVERAL } else { LONGEST_ANSWER };
            let Some(answer) = self.service.ask_for(Method::GET, &path, Bytes::new(), longest).await? else {
                if limit == 1 {
                    let text = format!("a document is longer than {longest} bytes; nothing larger is read");
                    return Err(Error::new(ErrorCode::TooLarge, text));
                }
                limit = limit.div_ceil(8);
                continue;
            };
            let Rows { rows } = read("_all_docs", still_there(&answer)?)?;
            if rows.len() < limit {
                place += 1;
            }
            if let Some(last) = rows.last() {
                after = Some(last.key.clone().into_owned());
            }
            let mut records = Vec::with_capacity(rows.len());
            for row in rows.iter().filter(|row| !row.key.starts_with('_')) {
                match row.doc.map(|document| document::read(document, &answer.body)) {
                    Some(Ok((Some(key), record))) => records.push((Key::from(key), record)),
                    Some(Err(error)) => {
                        self.omissions.add(key_of(&row.key, None).unwrap_or(&row.key), &error)
                    }
                    Some(Ok((None, _))) | None => {}
                }
            }
            if !records.is_empty() {
                let next = (place < beginnings.len()).then(|| Cursor { table: database.into(), after });
                return Ok(Page { records, next: next.and_then(|next| next.write()) });
            }
        }
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.omissions.poll(cx)
    }

    fn waits_for_timer(&self) -> bool {
        self.service.client.waits_for_timer()
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.service.client.moved())
    }
}

/// Adds a parameter whose value is a text, in JSON as all of them are.
fn push_parameter(path: &mut String, name: &str, value: &str) {
    path.extend(["&", name, "="]);
    path.extend(utf8_percent_encode(&serde_json::json!(value).to_string(), NON_ALPHANUMERIC));
}
