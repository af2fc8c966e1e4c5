//! All records, page by page: collections in the order of their names, records in that of
//! `ds_key`.

use futures_util::StreamExt;
use mongodb::bson::{doc, Document, RawBsonRef};
use mongodb::Database;

use super::options::Options;
use super::{commands, decode, failure, read};
use crate::core::{Connection, Error, Key, Listing, Page, Record};
use crate::records::paging::Cursor;
use crate::records::prefix::Range;

/// Where to look, and who knows a record's newest document.
pub(super) struct Scan<'a> {
    pub database: &'a Database,
    pub options: &'a Options,
    pub records: &'a dyn Connection,
    pub listing: &'a Listing,
}

/// Some records of one collection.
struct Some {
    records: Vec<(Key, Record)>,
    /// The last `ds_key` that was looked at; `None` when there are no more.
    last: Option<String>,
}

impl Scan<'_> {
    /// The page that is wanted.
    pub async fn page(&self) -> Result<Page, Error> {
        let limit = self.listing.limit.max(1);
        let mut cursor = self.listing.cursor.as_deref().map(Cursor::read).transpose()?;
        let mut page = Page::default();
        for collection in self.collections().await? {
            let prefix = self.options.collections.prefix_of_ids(&collection, &self.listing.prefix);
            let Some(prefix) = prefix else { continue };
            let mut after = match &mut cursor {
                Some(cursor) if collection < cursor.table => continue,
                Some(cursor) if collection == cursor.table => cursor.after.take(),
                _ => None,
            };
            loop {
                let wanted = limit - page.records.len();
                let found = self.some(&collection, &Range::new(prefix, after.as_deref()), wanted).await?;
                page.records.extend(found.records);
                let Some(last) = found.last else { break };
                if page.records.len() >= limit {
                    page.next = Cursor { table: collection, after: Some(last) }.write();
                    return Ok(page);
                }
                after = Some(last);
            }
        }
        Ok(page)
    }

    /// The names of all collections that may hold records.
    async fn collections(&self) -> Result<Vec<String>, Error> {
        let names = self.database.list_collection_names().filter(doc! { "type": "collection" });
        let mut names = names.await.map_err(|error| failure::of_driver(&error))?;
        names.retain(|name| !name.starts_with("system."));
        names.sort_unstable();
        Ok(names)
    }

    async fn some(&self, collection: &str, range: &Range, wanted: usize) -> Result<Some, Error> {
        let documents = self.database.collection::<Document>(collection);
        let count = i64::try_from(wanted).unwrap_or(i64::MAX);
        let mut batches = documents
            .find(commands::with_id_in(range))
            .sort(commands::order())
            .limit(count)
            .batch()
            .await
            .map_err(|error| failure::of_driver(&error))?;
        let layout = self.options.layout;
        let mut looked_at = 0;
        let mut last: Option<String> = None;
        let mut found: Vec<(Key, Result<Record, Error>, read::Age)> = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| failure::of_driver(&error))?;
            for document in batch.doc_slices().map_err(|error| failure::of_driver(&error))? {
                let Ok(RawBsonRef::Document(document)) = document else { continue };
                let Some(id) = read::id(document) else { continue };
                looked_at += 1;
                last = Some(id.to_owned());
                let Some(key) = self.options.collections.key(collection, id) else { continue };
                // What has no version is somebody's document and no record.
                if decode::version(document, layout).is_err() {
                    continue;
                }
                let age = read::Age::of(document, layout);
                let this = (Key::from(key), decode::record(document, layout), age);
                match found.last_mut() {
                    Some(other) if other.0 == this.0 => {
                        if this.2 > other.2 {
                            *other = this;
                        }
                    }
                    _ => found.push(this),
                }
            }
        }
        let is_all = looked_at < wanted;
        let mut records = Vec::with_capacity(found.len());
        for (key, record, _) in found {
            records.push((key, record?));
        }
        // More documents of the last key may be beyond the limit, the newest among them.
        if let (false, Some((key, record))) = (is_all, records.last_mut()) {
            let again = self.records.get_many(std::slice::from_ref(key)).await?;
            if let Some(Ok(Some(newest))) = again.into_iter().next() {
                *record = newest;
            }
        }
        Ok(Some { records, last: last.filter(|_| !is_all) })
    }
}
