//! Everything that the server is asked, whole.

use std::ops::Bound;

use mongodb::bson::{doc, Document, RawDocumentBuf};

use super::bson::Writer;
use super::encode;
use super::layout::{Layout, KEY, V1_ENVELOPE, V1_VERSION, VERSION};
use crate::core::{Error, Record};
use crate::records::prefix::Range;

/// Ours beside `ds_key_1`, which the npm packages make and which is not unique. It runs the other
/// way, so that no version of MongoDB takes one for the other.
pub(super) const INDEX: &str = "ds_key_unique";

/// Who answers, and what it is.
pub(super) fn hello() -> Document {
    doc! { "hello": 1 }
}

/// Whether we may read at all: `hello` is for everybody.
pub(super) fn look(collection: &str) -> Document {
    doc! { "find": collection, "projection": { "_id": 1 }, "limit": 1, "singleBatch": true }
}

pub(super) fn create_index(collection: &str) -> Document {
    doc! { "createIndexes": collection, "indexes": [{ "key": { KEY: -1 }, "name": INDEX, "unique": true }] }
}

/// What `find` looks for: some records.
pub(super) fn by_id(ids: &[&str]) -> Document {
    match ids {
        [id] => doc! { KEY: *id },
        ids => doc! { KEY: { "$in": ids } },
    }
}

/// What `find` looks for: records in a range.
pub(super) fn with_id_in(range: &Range) -> Document {
    let mut bounds = doc! { "$type": "string" };
    match &range.from {
        Bound::Included(id) => drop(bounds.insert("$gte", id)),
        Bound::Excluded(id) => drop(bounds.insert("$gt", id)),
        Bound::Unbounded => {}
    }
    if let Some(id) = &range.until {
        bounds.insert("$lt", id);
    }
    doc! { KEY: bounds }
}

/// The order of all records.
pub(super) fn order() -> Document {
    doc! { KEY: 1 }
}

/// The fields that tell a version, in both layouts.
pub(super) fn version_fields() -> Document {
    doc! { KEY: 1, VERSION: 1, (format!("{V1_ENVELOPE}.{V1_VERSION}")): 1 }
}

/// One of the statements of `update`: the document with this `ds_key` is replaced, whole.
pub(super) fn replacement(id: &str, record: &Record, layout: Layout) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::with_capacity(2 * id.len() + record.data.len() * 3 / 2 + 128);
    writer.start();
    writer.document("q");
    writer.text(KEY, id);
    writer.end();
    encode::document(&mut writer, "u", id, record, layout)?;
    writer.bool("upsert", true);
    writer.end();
    Ok(writer.finish())
}

/// One of the statements of `delete`.
pub(super) fn removal(id: &str) -> Vec<u8> {
    let mut writer = Writer::with_capacity(id.len() + 64);
    writer.start();
    writer.document("q");
    writer.text(KEY, id);
    writer.end();
    writer.int32("limit", 1);
    writer.end();
    writer.finish()
}

/// One of the statements of `delete`: this document alone, whatever kind its `_id` is.
pub(super) fn removal_of(document_id: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(document_id.len() + 64);
    writer.start();
    writer.whole_document("q", document_id);
    writer.int32("limit", 1);
    writer.end();
    writer.finish()
}

/// What many statements are sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Update,
    Delete,
}

/// `update` or `delete` with all its statements; one that fails stops no other. `number` is the
/// number in the session that goes with it, for a server that counts.
pub(super) fn write<'a>(
    write: Write,
    collection: &str,
    statements: impl Iterator<Item = &'a [u8]> + Clone,
    concern: Option<&RawDocumentBuf>,
    number: Option<i64>,
) -> Result<RawDocumentBuf, mongodb::bson::error::Error> {
    let (command, list) = match write {
        Write::Update => ("update", "updates"),
        Write::Delete => ("delete", "deletes"),
    };
    let bytes: usize = statements.clone().map(|statement| statement.len() + 8).sum();
    let mut writer = Writer::with_capacity(bytes + collection.len() + 256);
    writer.start();
    writer.text(command, collection);
    writer.array(list);
    let mut digits = itoa::Buffer::new();
    for (index, statement) in statements.enumerate() {
        writer.whole_document(digits.format(index), statement);
    }
    writer.end();
    writer.bool("ordered", false);
    if let Some(concern) = concern {
        writer.whole_document("writeConcern", concern.as_bytes());
    }
    if let Some(number) = number {
        writer.int64("txnNumber", number);
    }
    writer.end();
    RawDocumentBuf::from_bytes(writer.finish())
}
