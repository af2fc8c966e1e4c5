//! Reading: records and versions by `ds_key`.

use std::collections::hash_map::{Entry, HashMap};

use futures_util::StreamExt;
use mongodb::bson::{Document, RawBsonRef, RawDocument};
use mongodb::Database;

use super::layout::{Layout, KEY};
use super::{commands, decode, failure};
use crate::core::Error;

/// Reads the documents of some records in a collection. Calls `take` with each record's position
/// in `ids` and its document: the newest, where there are several.
pub(super) async fn find(
    database: &Database,
    collection: &str,
    ids: &[&str],
    projection: Option<Document>,
    layout: Layout,
    mut take: impl FnMut(usize, &RawDocument),
) -> Result<(), Error> {
    let positions: HashMap<&str, usize> =
        ids.iter().enumerate().map(|(position, id)| (*id, position)).collect();
    // One more than there should be, so that the answer is whole and says so.
    let batch_size = u32::try_from(ids.len() + 1).unwrap_or(u32::MAX);
    let documents = database.collection::<Document>(collection);
    let mut find = documents.find(commands::by_id(ids)).batch_size(batch_size);
    if let Some(projection) = projection {
        find = find.projection(projection);
    }
    let mut batches = find.batch().await.map_err(|error| failure::of_driver(&error))?;
    let mut newest: HashMap<usize, Age> = HashMap::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| failure::of_driver(&error))?;
        for document in batch.doc_slices().map_err(|error| failure::of_driver(&error))? {
            let Ok(RawBsonRef::Document(document)) = document else { return Err(garbage()) };
            let Some(&position) = id(document).and_then(|id| positions.get(id)) else { continue };
            let age = Age::of(document, layout);
            match newest.entry(position) {
                Entry::Vacant(place) => {
                    place.insert(age);
                    take(position, document);
                }
                Entry::Occupied(mut place) if age > *place.get() => {
                    place.insert(age);
                    take(position, document);
                }
                Entry::Occupied(_) => {}
            }
        }
    }
    Ok(())
}

/// A document's `ds_key`.
pub(super) fn id(document: &RawDocument) -> Option<&str> {
    document.get(KEY).ok()??.as_str()
}

/// Of several documents with one `ds_key` the greatest is the newest: that of the highest version,
/// since the npm packages go on writing one of them, then that which was made last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    version: Option<i64>,
    made: Option<[u8; 12]>,
}

impl Age {
    pub fn of(document: &RawDocument, layout: Layout) -> Age {
        Age {
            version: decode::version(document, layout).ok(),
            made: document.get_object_id("_id").ok().map(|id| id.bytes()),
        }
    }
}

fn garbage() -> Error {
    Error::connection("MongoDB answered what it must not")
}
