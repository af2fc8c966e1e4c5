//! Lanes: each collection's writes go one after the other, in one session of the server's.
//!
//! A command that was given up, because its server fell silent or its connection broke, may still
//! lie in the server's buffers and be carried out late, after writes that were sent on another
//! connection. So the commands of a session are numbered, as those of retryable writes are: when
//! the server has begun one, it refuses those with lower numbers from then on.
//!
//! A server that is no member of a replica set does not count, and cannot be asked to.

use std::hash::{DefaultHasher, Hash, Hasher};

use mongodb::bson::{Document, RawDocumentBuf};
use mongodb::{ClientSession, Database};
use tokio::sync::Mutex;

/// Collections are spread over so many lanes.
pub(super) const LANES: usize = 4;

/// The lane of a collection.
pub(super) fn of(collection: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    collection.hash(&mut hasher);
    (hasher.finish() % LANES as u64) as usize
}

/// One lane. It lives as long as the connector, across all its connections.
#[derive(Default)]
pub(super) struct Lane {
    session: Mutex<Option<Session>>,
}

struct Session {
    handle: ClientSession,
    /// The number of the last command.
    last: i64,
}

impl Lane {
    /// Sends a command and waits for its answer. `command` makes it from its number in the
    /// session, which it has where `counts`.
    pub async fn run(
        &self,
        database: &Database,
        counts: bool,
        command: impl FnOnce(Option<i64>) -> Result<RawDocumentBuf, mongodb::bson::error::Error>,
    ) -> mongodb::error::Result<Document> {
        if !counts {
            return database.run_raw_command(command(None)?).await;
        }
        let mut place = self.session.lock().await;
        let session = match &mut *place {
            Some(session) => session,
            empty => empty.insert(Session { handle: database.client().start_session().await?, last: 0 }),
        };
        session.last += 1;
        database.run_raw_command(command(Some(session.last))?).session(&mut session.handle).await
    }
}
