//! Writing: one command for all records of a batch in one collection, each with its own result.

use std::collections::HashMap;

use futures_util::StreamExt;
use mongodb::bson::{Bson, Document, RawBsonRef};

use super::commands::{self, Write};
use super::driver::Driver;
use super::layout::Layout;
use super::read::{self, Age};
use super::{encode, failure, lane};
use crate::core::Error;

/// A command is one document, with some room for what the driver adds.
const MAX_COMMAND_BYTES: usize = encode::MAX_DOCUMENT_BYTES + 12 * 1024;

/// A statement, and which record it is for.
pub(super) struct Statement {
    pub position: usize,
    pub bytes: Vec<u8>,
}

/// Sends statements, as few commands as MongoDB's limits allow, and writes down what failed.
pub(super) async fn write(
    driver: &Driver,
    kind: Write,
    collection: &str,
    statements: &[Statement],
    counts: bool,
    results: &mut [Result<(), Error>],
) -> Result<(), Error> {
    let mut rest = statements;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(fitting(rest));
        rest = later;
        if let [one] = now {
            if one.bytes.len() > MAX_COMMAND_BYTES {
                results[one.position] = Err(encode::too_large(one.bytes.len()));
                continue;
            }
        }
        let bytes = now.iter().map(|statement| statement.bytes.as_slice());
        let concern = driver.write_concern.as_ref();
        let answer = driver.lanes[lane::of(collection)]
            .run(&driver.database, counts, |number| commands::write(kind, collection, bytes, concern, number))
            .await
            .map_err(|error| failure::of_driver(&error))?;
        settle(&answer, now, results);
    }
    Ok(())
}

/// How many of the first statements fit into one command; at least one.
fn fitting(statements: &[Statement]) -> usize {
    let mut sum = 0;
    let fits = |statement: &&Statement| {
        // With its name in the list.
        sum += statement.bytes.len() + 8;
        sum <= MAX_COMMAND_BYTES
    };
    statements.iter().take_while(fits).count().max(1)
}

/// Gives each statement its own error.
fn settle(answer: &Document, statements: &[Statement], results: &mut [Result<(), Error>]) {
    if let Ok(concern) = answer.get_document("writeConcernError") {
        let error = of_document(concern);
        for statement in statements {
            results[statement.position] = Err(error.clone());
        }
    }
    for error in answer.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document) {
        let index = integer(error.get("index")).and_then(|index| usize::try_from(index).ok());
        if let Some(statement) = index.and_then(|index| statements.get(index)) {
            results[statement.position] = Err(of_document(error));
        }
    }
}

fn of_document(error: &Document) -> Error {
    let code = integer(error.get("code")).and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
    failure::of_code(code, error.get_str("codeName").unwrap_or_default())
}

fn integer(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

/// Where a collection may have several documents for one key: statements that remove all but the
/// newest of each.
pub(super) async fn removals_of_old_copies(
    driver: &Driver,
    collection: &str,
    ids: &[(usize, &str)],
    layout: Layout,
) -> Result<Vec<Statement>, Error> {
    let names: Vec<&str> = ids.iter().map(|(_, id)| *id).collect();
    let positions: HashMap<&str, usize> = ids.iter().map(|(position, id)| (*id, *position)).collect();
    let documents = driver.database.collection::<Document>(collection);
    let mut batches = documents
        .find(commands::by_id(&names))
        .projection(commands::version_fields())
        .batch_size(u32::try_from(2 * names.len() + 1).unwrap_or(u32::MAX))
        .batch()
        .await
        .map_err(|error| failure::of_driver(&error))?;
    let mut newest: HashMap<usize, (Age, Vec<u8>)> = HashMap::new();
    let mut removals = Vec::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| failure::of_driver(&error))?;
        for document in batch.doc_slices().map_err(|error| failure::of_driver(&error))? {
            let Ok(RawBsonRef::Document(document)) = document else { continue };
            let Some(&position) = read::id(document).and_then(|id| positions.get(id)) else { continue };
            let Some(this) = identity(document) else { continue };
            let this = (Age::of(document, layout), this);
            if let Some(other) = newest.remove(&position) {
                let (older, newer) = if this.0 > other.0 { (other, this) } else { (this, other) };
                removals.push(Statement { position, bytes: commands::removal_of(&older.1) });
                newest.insert(position, newer);
            } else {
                newest.insert(position, this);
            }
        }
    }
    Ok(removals)
}

/// The document `{_id: …}` that finds this one.
fn identity(document: &mongodb::bson::RawDocument) -> Option<Vec<u8>> {
    let id = document.get("_id").ok()??;
    let mut identity = mongodb::bson::RawDocumentBuf::new();
    identity.append(mongodb::bson::raw::cstr!("_id"), id);
    Some(identity.into_bytes())
}
