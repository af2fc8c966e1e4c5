//! The engine's batches, and pages of all records.

use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Method;
use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};

use super::calls::{read, Service, LONGEST_ANSWER};
use super::document;
use super::ids::{id_of, key_of};
use super::reads::{still_there, Extent, Reader, Rows, Sizes, LONGEST_OF_SEVERAL};
use super::revisions::Revisions;
use super::writes::{Author, Write};
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Notice, Page, Record};
use crate::records::naming::split;
use crate::records::omissions::Omissions;
use crate::records::paging::Cursor;

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

    async fn scan(&self, cursor: Option<&str>, limit: usize) -> Result<Page, Error> {
        let mut limit = limit.max(1);
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
            let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.key.clone().into_owned());
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
            if !records.is_empty() || next.is_none() {
                let next = next.and_then(|last| Cursor { table: database.into(), after: Some(last) }.write());
                return Ok(Page { records, next });
            }
            start = next;
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
