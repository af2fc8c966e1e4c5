//! What another database has under the same keys, with outages waited out.

use std::future::Future;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use deepstream_connector::core::{Error, Key, Operation, Record, Reply};
use deepstream_connector::Handle;

use crate::connection::wait;
use crate::failure::Failure;

/// Between two tries that failed.
const PAUSE: Duration = Duration::from_millis(20);

type Answer = Pin<Box<dyn Future<Output = Result<Vec<Result<Reply, Error>>, Error>> + Send>>;

/// What is there, or why it cannot be read.
pub type Found = Result<Option<Record>, Error>;

/// An answer that was asked for.
pub struct Reading {
    handle: Handle,
    patience: Duration,
    keys: Vec<Key>,
    answer: Answer,
}

/// Asks for records.
pub fn ask(handle: &Handle, keys: Vec<Key>, patience: Duration) -> Reading {
    let handle = handle.within(patience);
    let operations = keys.iter().map(|key| (key.clone(), Operation::Get)).collect();
    let answer = Box::pin(handle.many_async(operations));
    Reading { handle, patience, keys, answer }
}

impl Reading {
    /// Waits for it; a result for each key, in order.
    ///
    /// # Errors
    /// The outage lasted longer than the patience. What concerns a record alone is in its result.
    pub fn wait(self) -> Result<Vec<Found>, Failure> {
        let Reading { handle, patience, keys, answer } = self;
        let mut found = Vec::with_capacity(keys.len());
        match wait(answer) {
            Ok(results) => {
                for (key, result) in keys.iter().zip(results) {
                    found.push(match result {
                        Ok(Reply::Record(record)) => Ok(record),
                        Ok(_) => Ok(None),
                        // Too many bytes for all of them at once.
                        Err(error) if error.is_retryable() => alone(&handle, key, patience)?,
                        Err(error) => Err(error),
                    });
                }
            }
            Err(_) => {
                for key in &keys {
                    found.push(alone(&handle, key, patience)?);
                }
            }
        }
        Ok(found)
    }
}

/// One record; what passes is waited out.
pub fn alone(handle: &Handle, key: &Key, patience: Duration) -> Result<Found, Failure> {
    let began = Instant::now();
    loop {
        match wait(handle.get_async(key)) {
            Err(error) if error.is_retryable() => {
                if began.elapsed() >= patience {
                    return Err(error.into());
                }
                thread::sleep(PAUSE);
            }
            found => return Ok(found),
        }
    }
}
