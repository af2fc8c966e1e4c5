//! What operations are called on.

use std::future::Future;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot::{channel, Receiver};

use crate::core::{
    check_document, Error, ErrorCode, Key, Listing, Operation, Outcome, Page, Question, Record, Reply,
    Submitter,
};

/// A callback and its way to read the answer.
pub(super) type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// The longest deadline of an operation, a day: as an option of the configuration may have it.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The operations of a [`Connector`](super::Connector), which dereferences to one. A clone is another way to the same
/// connector, for another thread or task; it does not keep the connector: after its end everything is refused with `Closed`.
///
/// Each operation has two forms, and both submit it at once, so that one on the same key that is called later comes after
/// it. With a callback, that is called on the connector's dispatch thread. As a future, the answer comes by
/// whatever executor awaits it; a future that is dropped takes nothing back.
#[derive(Clone)]
pub struct Handle {
    submitter: Submitter<Callback>,
    timeout: Option<Duration>,
}

impl Handle {
    pub(super) fn new(submitter: Submitter<Callback>) -> Handle {
        Handle { submitter, timeout: None }
    }

    /// The same connector with another deadline for each operation that is called on it, in the place of the option
    /// `timeout`: from its submission on, time in the queue included. It is at least one
    /// millisecond and at most a day.
    ///
    /// ```
    /// # let connector = deepstream_connector::Connector::open(r#"{"type": "memory"}"#, ())?;
    /// let soon = connector.within(std::time::Duration::from_secs(2));
    /// soon.get("user/1", |answer| drop(answer))?;
    /// # Ok::<(), deepstream_connector::core::Error>(())
    /// ```
    #[must_use]
    pub fn within(&self, timeout: Duration) -> Handle {
        let timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
        Handle { submitter: self.submitter.clone(), timeout: Some(timeout) }
    }

    // With a callback.

    /// Reads a record; `None` is a miss. It sees every earlier `set` and `delete` of this
    /// connector.
    ///
    /// # Errors
    /// The request was not accepted, and the callback will not be called; so for all methods.
    pub fn get(
        &self,
        key: &str,
        callback: impl FnOnce(Result<Option<Record>, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.submit(key, Operation::Get, move |reply| callback(reply.map(record)))
    }

    /// Reads a version; `None` is a miss.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn head(
        &self,
        key: &str,
        callback: impl FnOnce(Result<Option<i64>, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.submit(key, Operation::Head, move |reply| callback(reply.map(version)))
    }

    /// Stores a record. Its data must be one JSON document in UTF-8.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and `InvalidArgument` for data that is not JSON.
    pub fn set(
        &self,
        key: &str,
        record: Record,
        callback: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        check_document(&record.data)?;
        self.submit(key, Operation::Set(record), move |reply| callback(reply.map(drop)))
    }

    /// Removes a record; one that is not there is no error.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn delete(
        &self,
        key: &str,
        callback: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.submit(key, Operation::Delete, move |reply| callback(reply.map(drop)))
    }

    /// Carries out operations on many keys; one callback with a result for each, in order.
    ///
    /// # Errors
    /// As for [`set`](Self::set); then none of them is carried out.
    pub fn many(
        &self,
        operations: Vec<(Key, Operation)>,
        callback: impl FnOnce(Vec<Result<Reply, Error>>) + Send + 'static,
    ) -> Result<(), Error> {
        for (_, operation) in &operations {
            if let Operation::Set(record) = operation {
                check_document(&record.data)?;
            }
        }
        let callback: Callback = Box::new(move |outcome| match outcome {
            Outcome::Many(results) => callback(results),
            Outcome::One(result) => callback(vec![result]),
        });
        self.submitter.submit_many(operations, callback, self.timeout)
    }

    /// Reads a page of at most `limit` of all records, in an order of the database's own: the
    /// first one, or with the `next` of a page the one after it. A record that is there all the
    /// while is on one page. Operations under way on this connector may or may not be seen.
    ///
    /// # Errors
    /// As for [`get`](Self::get); `InvalidArgument` for a limit of 0. The callback gets
    /// `Unsupported` from a cache, which cannot list its records.
    pub fn scan(
        &self,
        cursor: Option<&str>,
        limit: usize,
        callback: impl FnOnce(Result<Page, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.scan_prefix("", cursor, limit, callback)
    }

    /// [`scan`](Self::scan) of the records alone whose keys begin with `prefix`. Where the database
    /// can tell, it sends no others: see `docs/listing-and-commands.md`. A page may have fewer
    /// records than `limit`, and even none, although there is a next one.
    ///
    /// # Errors
    /// As for [`scan`](Self::scan).
    pub fn scan_prefix(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
        callback: impl FnOnce(Result<Page, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let listing = Listing { prefix: prefix.to_owned(), cursor: cursor.map(str::to_owned), limit };
        self.ask(Question::Scan(listing), move |reply| match reply {
            Ok(Reply::Page(page)) => callback(Ok(*page)),
            Ok(_) => callback(Ok(Page::default())),
            Err(error) => callback(Err(error)),
        })
    }

    /// Carries out a command that only this type of database has; see
    /// `docs/listing-and-commands.md`. One whose answer is lost with the connection is not sent
    /// again: its error says so.
    ///
    /// # Errors
    /// As for [`get`](Self::get). The callback gets `Unsupported` where there is no such command.
    pub fn command(
        &self,
        name: &str,
        arguments: Value,
        callback: impl FnOnce(Result<Value, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let question = Question::Command { name: name.to_owned(), arguments };
        self.ask(question, move |reply| match reply {
            Ok(Reply::Answer(answer)) => callback(Ok(answer)),
            Ok(_) => callback(Ok(Value::Null)),
            Err(error) => callback(Err(error)),
        })
    }

    // As a future, which has the error as well where the request was not accepted.

    /// [`get`](Self::get) as a future.
    pub fn get_async(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<Record>, Error>> + Send + 'static {
        let (callback, answer) = pair();
        answer_to(self.get(key, callback), answer)
    }

    /// [`head`](Self::head) as a future.
    pub fn head_async(&self, key: &str) -> impl Future<Output = Result<Option<i64>, Error>> + Send + 'static {
        let (callback, answer) = pair();
        answer_to(self.head(key, callback), answer)
    }

    /// [`set`](Self::set) as a future.
    pub fn set_async(
        &self,
        key: &str,
        record: Record,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let (callback, answer) = pair();
        answer_to(self.set(key, record, callback), answer)
    }

    /// [`delete`](Self::delete) as a future.
    pub fn delete_async(&self, key: &str) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let (callback, answer) = pair();
        answer_to(self.delete(key, callback), answer)
    }

    /// [`many`](Self::many) as a future.
    pub fn many_async(
        &self,
        operations: Vec<(Key, Operation)>,
    ) -> impl Future<Output = Result<Vec<Result<Reply, Error>>, Error>> + Send + 'static {
        let (callback, answer) = pair();
        answer_to(self.many(operations, |results| callback(Ok(results))), answer)
    }

    /// [`scan`](Self::scan) as a future.
    pub fn scan_async(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Page, Error>> + Send + 'static {
        let (callback, answer) = pair();
        answer_to(self.scan(cursor, limit, callback), answer)
    }

    /// [`scan_prefix`](Self::scan_prefix) as a future.
    pub fn scan_prefix_async(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Page, Error>> + Send + 'static {
        let (callback, answer) = pair();
        answer_to(self.scan_prefix(prefix, cursor, limit, callback), answer)
    }

    /// [`command`](Self::command) as a future.
    pub fn command_async(
        &self,
        name: &str,
        arguments: Value,
    ) -> impl Future<Output = Result<Value, Error>> + Send + 'static {
        let (callback, answer) = pair();
        answer_to(self.command(name, arguments, callback), answer)
    }

    // What is known without asking.

    /// Whether the connection stands at this moment.
    pub fn is_ready(&self) -> bool {
        self.submitter.is_ready()
    }

    /// Counters and latencies as one JSON object; see [`Statistics`](crate::core::Statistics).
    pub fn statistics_json(&self) -> String {
        self.submitter.statistics_json()
    }

    pub(super) fn close(&self, grace: Duration) {
        self.submitter.close(grace);
    }

    pub(super) fn cancel(&self) {
        self.submitter.cancel();
    }

    fn ask(
        &self,
        question: Question,
        callback: impl FnOnce(Result<Reply, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.submitter.ask(question, one(callback), self.timeout)
    }

    fn submit(
        &self,
        key: &str,
        operation: Operation,
        callback: impl FnOnce(Result<Reply, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.submitter.submit(key.into(), operation, one(callback), self.timeout)
    }
}

/// A callback for the answer to one operation.
fn one(callback: impl FnOnce(Result<Reply, Error>) + Send + 'static) -> Callback {
    Box::new(move |outcome| match outcome {
        Outcome::One(result) => callback(result),
        Outcome::Many(mut results) => callback(results.pop().unwrap_or(Ok(Reply::Done))),
    })
}

/// Where an answer comes to that a future waits for.
type Answer<R> = Receiver<Result<R, Error>>;

/// A callback, and what its answer comes to.
fn pair<R: Send + 'static>() -> (impl FnOnce(Result<R, Error>) + Send + 'static, Answer<R>) {
    let (sender, answer) = channel();
    // Nobody waits where the future was dropped.
    (move |result| drop(sender.send(result)), answer)
}

/// Waits for the answer to what was submitted.
async fn answer_to<R>(submitted: Result<(), Error>, answer: Answer<R>) -> Result<R, Error> {
    submitted?;
    answer.await.unwrap_or_else(|_| Err(Error::new(ErrorCode::Closed, GONE)))
}

const GONE: &str = "the connector has ended without an answer";

fn record(reply: Reply) -> Option<Record> {
    match reply {
        Reply::Record(record) => record,
        _ => None,
    }
}

fn version(reply: Reply) -> Option<i64> {
    match reply {
        Reply::Version(version) => version,
        _ => None,
    }
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::super::Connector;
    use super::*;

    use futures_util::future::join_all;
    use futures_util::FutureExt;

    const MEMORY: &str = r#"{"type": "memory"}"#;
    /// Nobody listens at a port that is reserved.
    #[cfg(feature = "redis")]
    const NOBODY: &str = r#"{"type": "redis", "host": "127.0.0.1", "port": 1}"#;

    /// Runs a future on this thread, without any executor's help.
    fn wait<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn version_one() -> Record {
        Record { version: 1, data: "{}".into() }
    }

    #[test]
    fn futures_are_answered_in_the_order_of_their_calls() {
        let connector = Connector::open(MEMORY, ()).unwrap();
        let miss = connector.get_async("a");
        let set = connector.set_async("a", version_one());
        let head = connector.head_async("a");
        let many = connector.many_async(vec![("a".into(), Operation::Get), ("b".into(), Operation::Head)]);
        let delete = connector.delete_async("a");
        // The last one is awaited first.
        let gone = wait(connector.get_async("a"));
        assert!(gone.unwrap().is_none());
        assert!(wait(miss).unwrap().is_none());
        wait(set).unwrap();
        assert_eq!(wait(head).unwrap(), Some(1));
        wait(delete).unwrap();
        assert!(matches!(
            &wait(many).unwrap()[..],
            [Ok(Reply::Record(Some(Record { version: 1, .. }))), Ok(Reply::Version(None))]
        ));
        assert_eq!(wait(connector.scan_async(None, 10)).unwrap_err().code(), ErrorCode::Unsupported);
        assert_eq!(
            wait(connector.command_async("none", Value::Null)).unwrap_err().code(),
            ErrorCode::Unsupported
        );
    }

    #[test]
    fn a_future_that_is_dropped_takes_nothing_back() {
        let connector = Connector::open(MEMORY, ()).unwrap();
        drop(connector.set_async("a", version_one()));
        assert_eq!(wait(connector.head_async("a")).unwrap(), Some(1));
    }

    #[test]
    fn a_handle_outlives_its_connector_and_is_refused() {
        let connector = Connector::open(MEMORY, ()).unwrap();
        let handle = Handle::clone(&connector);
        let elsewhere = std::thread::spawn(move || {
            wait(handle.set_async("a", version_one())).unwrap();
            handle
        });
        let handle = elsewhere.join().unwrap();
        connector.shut_down();
        assert_eq!(wait(handle.get_async("a")).unwrap_err().code(), ErrorCode::Closed);
        assert!(!handle.is_ready());
    }

    #[test]
    fn what_is_refused_is_so_at_once_in_a_future() {
        let connector = Connector::open(MEMORY, ()).unwrap();
        let bad = Record { version: 1, data: "no JSON".into() };
        let refused = connector.set_async("a", bad).now_or_never().expect("there is nothing to wait for");
        assert_eq!(refused.unwrap_err().code(), ErrorCode::InvalidArgument);
    }

    #[cfg(feature = "redis")]
    #[test]
    fn within_replaces_the_connectors_own_deadline() {
        let connector = Connector::open(NOBODY, ()).unwrap();
        let began = std::time::Instant::now();
        let soon = connector.within(Duration::from_millis(50));
        let answers = wait(join_all([soon.get_async("a"), soon.within(Duration::ZERO).get_async("b")]));
        for answer in answers {
            assert_eq!(answer.unwrap_err().code(), ErrorCode::Timeout);
        }
        // The connector's own is 10 seconds.
        assert!(began.elapsed() < Duration::from_secs(5));
        // One beyond all clocks is a long one.
        drop(connector.within(Duration::MAX).get_async("c"));
    }
}
