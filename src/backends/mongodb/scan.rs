//! All records, page by page: collections in the order of their names, records in that of
//! `ds_key`.

use futures_util::StreamExt;
use mongodb::bson::{doc, Document, RawBsonRef};

use super::connection::Connected;
use super::{commands, decode, failure, read};
use crate::core::{Connection, Error, ErrorCode, Key, Page, Record};

/// The place after which a page begins.
#[derive(serde::Serialize, serde::Deserialize)]
struct Cursor {
    collection: String,
    /// The last `ds_key` of the page before, if it was in this collection.
    after: Option<String>,
}

pub(super) async fn page(connection: &Connected, cursor: Option<&str>, limit: usize) -> Result<Page, Error> {
    let limit = limit.max(1);
    let mut cursor: Option<Cursor> = cursor.map(read_cursor).transpose()?;
    let mut page = Page::default();
    for collection in collections(connection).await? {
        let after = match &mut cursor {
            Some(cursor) if collection < cursor.collection => continue,
            Some(cursor) if collection == cursor.collection => cursor.after.take(),
            _ => None,
        };
        let mut after = after;
        loop {
            let wanted = limit - page.records.len();
            let found = some(connection, &collection, after.as_deref(), wanted).await?;
            page.records.extend(found.records);
            let Some(last) = found.last else { break };
            if page.records.len() >= limit {
                let next = Cursor { collection, after: Some(last) };
                page.next = serde_json::to_string(&next).ok();
                return Ok(page);
            }
            after = Some(last);
        }
    }
    Ok(page)
}

fn read_cursor(text: &str) -> Result<Cursor, Error> {
    serde_json::from_str(text).map_err(|_| {
        Error::new(
            ErrorCode::InvalidArgument,
            "the cursor is none of a page of this backend; give back the one that came with a page, or none",
        )
    })
}

/// The names of all collections that may hold records.
async fn collections(connection: &Connected) -> Result<Vec<String>, Error> {
    let database = &connection.driver.database;
    let names = database.list_collection_names().filter(doc! { "type": "collection" });
    let mut names = names.await.map_err(|error| failure::of_driver(&error))?;
    names.retain(|name| !name.starts_with("system."));
    names.sort_unstable();
    Ok(names)
}

/// Some records of one collection.
struct Some {
    records: Vec<(Key, Record)>,
    /// The last `ds_key` that was looked at; `None` when there are no more.
    last: Option<String>,
}

async fn some(
    connection: &Connected,
    collection: &str,
    after: Option<&str>,
    wanted: usize,
) -> Result<Some, Error> {
    let documents = connection.driver.database.collection::<Document>(collection);
    let count = i64::try_from(wanted).unwrap_or(i64::MAX);
    let mut batches = documents
        .find(commands::after_id(after))
        .sort(commands::order())
        .limit(count)
        .batch()
        .await
        .map_err(|error| failure::of_driver(&error))?;
    let layout = connection.options.layout;
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
            let Some(key) = connection.options.collections.key(collection, id) else { continue };
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
        let again = connection.get_many(std::slice::from_ref(key)).await?;
        if let Some(Ok(Some(newest))) = again.into_iter().next() {
            *record = newest;
        }
    }
    Ok(Some { records, last: last.filter(|_| !is_all) })
}
