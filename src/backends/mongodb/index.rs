//! The unique index on `ds_key`, made when a collection is first written to.
//!
//! Where it cannot be had, because the collection has several documents for one key already or
//! because somebody forbids it, all goes on without it: see `write.rs`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mongodb::Database;
use tokio::sync::watch;

use super::{commands, failure};
use crate::core::{Error, Remedy};

/// How long the first write waits for the index: to build one takes long where there are many
/// documents.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known of a collection's index.
#[derive(Clone, Debug)]
enum Finding {
    Unknown,
    /// Each key has one document.
    Unique,
    /// There may be several for one.
    NotUnique,
    Failed(Error),
}

/// What is known of the collections that were written to.
#[derive(Default)]
pub(super) struct Indexes {
    known: Mutex<HashMap<String, watch::Receiver<Finding>>>,
}

/// Whether each key of a collection is known to have one document, and a remark for the log,
/// once, where it cannot be had.
pub(super) struct Uniqueness {
    pub is_certain: bool,
    pub remark: Option<String>,
}

impl Indexes {
    /// Makes the index if it was not looked after yet.
    pub async fn ensure(&self, database: &Database, collection: &str) -> Result<Uniqueness, Error> {
        let (mut finding, is_first) = self.look_after(database, collection);
        // The first write waits a little; the others take what there is.
        let patience = if is_first { PATIENCE } else { Duration::ZERO };
        let found = {
            let wait = finding.wait_for(|finding| !matches!(finding, Finding::Unknown));
            match tokio::time::timeout(patience, wait).await {
                Ok(Ok(found)) => found.clone(),
                // It is still being built, or its task ended with the runtime.
                _ => Finding::Unknown,
            }
        };
        let mut remark = None;
        match found {
            Finding::Unique => return Ok(Uniqueness { is_certain: true, remark }),
            Finding::Failed(error) => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(collection);
                return Err(error);
            }
            Finding::NotUnique | Finding::Unknown if is_first => {
                remark = Some(format!(
                    "the collection {collection} has no unique index on ds_key (yet); where several documents have one ds_key, the newest counts, and the others go with the next write"
                ));
            }
            Finding::NotUnique | Finding::Unknown => {}
        }
        Ok(Uniqueness { is_certain: false, remark })
    }

    fn look_after(&self, database: &Database, collection: &str) -> (watch::Receiver<Finding>, bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(finding) = known.get(collection) {
            return (finding.clone(), false);
        }
        let (sender, receiver) = watch::channel(Finding::Unknown);
        known.insert(collection.to_owned(), receiver.clone());
        let (database, command) = (database.clone(), commands::create_index(collection));
        // By itself, so that a write that is given up does not end it.
        tokio::spawn(async move {
            let finding = match database.run_command(command).await {
                Ok(_) => Finding::Unique,
                Err(error) => match failure::of_driver(&error) {
                    error if error.remedy() == Remedy::Reconnect => Finding::Failed(error),
                    _ => Finding::NotUnique,
                },
            };
            sender.send_replace(finding);
        });
        (receiver, true)
    }
}
