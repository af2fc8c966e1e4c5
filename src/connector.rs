//! A connector for Rust hosts: closures as callbacks.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::backends;
use crate::core::{
    check_document, without_signals, Delivery, Engine, Error, ErrorCode, Key, LogLevel, Operation, Outbox,
    Outcome, Page, Question, Reactor, Record, Reply, Submitter,
};

/// A callback and its way to read the answer.
type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// What a host is told besides the answers to its requests. All methods are called on the
/// connector's dispatch thread.
pub trait Events: Send + 'static {
    /// The connection stands, for the first time or again.
    fn ready(&mut self) {}

    /// Something that belongs to no operation; once for each outage. `fatal` means that waiting
    /// will not help.
    fn error(&mut self, error: Error, fatal: bool) {
        let _ = (error, fatal);
    }

    /// A message of the database that a [`command`](Connector::command) asked for.
    fn notification(&mut self, channel: &str, payload: &str) {
        let _ = (channel, payload);
    }

    /// A line for the log.
    fn log(&mut self, level: LogLevel, line: &str) {
        let _ = (level, line);
    }
}

/// Nobody listens.
impl Events for () {}

/// A connection to a cache or database. Any thread may use it; callbacks run on one dispatch
/// thread, which survives their panics and in which every method but [`shut_down`](Connector::shut_down) may be called. Dropping
/// it fails what is unanswered with `Closed` and waits for its callbacks, except when dropped by
/// a callback itself.
pub struct Connector {
    submitter: Submitter<Callback>,
    close_timeout: Duration,
    threads: Option<(Reactor, JoinHandle<()>)>,
}

impl Connector {
    /// Makes a connector from one JSON object and begins to connect in the background.
    ///
    /// # Errors
    /// `Configuration`: the message names the option and the remedy.
    pub fn open(configuration: &str, events: impl Events) -> Result<Connector, Error> {
        let (backend, options) = backends::open(configuration.as_bytes())?;
        let close_timeout = options.close_timeout;
        let (engine, submitter) = Engine::<Callback>::new(backend, options);
        let (outbox, reactor) = Outbox::start(engine).map_err(no_thread)?;
        let mut events = events;
        let dispatch = move || {
            while let Some(delivery) = outbox.next() {
                // The panic hook reports it; no other callback is to miss its turn for that.
                let _ = catch_unwind(AssertUnwindSafe(|| deliver(delivery, &mut events)));
            }
        };
        let builder = std::thread::Builder::new().name("ds-dispatch".into());
        match without_signals(|| builder.spawn(dispatch)) {
            Ok(dispatcher) => {
                Ok(Connector { submitter, close_timeout, threads: Some((reactor, dispatcher)) })
            }
            Err(error) => {
                submitter.cancel();
                reactor.join();
                Err(no_thread(error))
            }
        }
    }

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
        self.submitter.submit_many(operations, callback, None)
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
        let question = Question::Scan { cursor: cursor.map(str::to_owned), limit };
        self.ask(question, move |reply| match reply {
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

    fn ask(
        &self,
        question: Question,
        callback: impl FnOnce(Result<Reply, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.submitter.ask(question, one(callback), None)
    }

    fn submit(
        &self,
        key: &str,
        operation: Operation,
        callback: impl FnOnce(Result<Reply, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.submitter.submit(key.into(), operation, one(callback), None)
    }

    /// Whether the connection stands at this moment.
    pub fn is_ready(&self) -> bool {
        self.submitter.is_ready()
    }

    /// Counters and latencies as one JSON object; see [`Statistics`](crate::core::Statistics).
    pub fn statistics_json(&self) -> String {
        self.submitter.statistics_json()
    }

    /// Accepts nothing more, lets accepted operations finish within `closeTimeout`, and returns
    /// when the last callback has returned. Not to be called by a callback.
    pub fn shut_down(mut self) {
        self.submitter.close(self.close_timeout);
        self.join();
    }

    fn join(&mut self) {
        if let Some((reactor, dispatcher)) = self.threads.take() {
            // A callback that drops its own connector cannot wait for itself.
            if dispatcher.thread().id() != std::thread::current().id() {
                reactor.join();
                // Callbacks do not panic through it.
                drop(dispatcher.join());
            }
        }
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        if self.threads.is_some() {
            self.submitter.cancel();
            self.join();
        }
    }
}

/// A callback for the answer to one operation.
fn one(callback: impl FnOnce(Result<Reply, Error>) + Send + 'static) -> Callback {
    Box::new(move |outcome| match outcome {
        Outcome::One(result) => callback(result),
        Outcome::Many(mut results) => callback(results.pop().unwrap_or(Ok(Reply::Done))),
    })
}

fn deliver(delivery: Delivery<Callback>, events: &mut impl Events) {
    match delivery {
        Delivery::Completion(callback, outcome) => callback(outcome),
        Delivery::Ready => events.ready(),
        Delivery::Failure { error, fatal } => events.error(error, fatal),
        Delivery::Notification(channel, payload) => events.notification(&channel, &payload),
        Delivery::Log(level, line) => events.log(level, &line),
        Delivery::Closed => {}
    }
}

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

fn no_thread(error: std::io::Error) -> Error {
    Error::new(ErrorCode::Unavailable, format!("the system gives no thread or file descriptor: {error}"))
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;

    use std::sync::mpsc::channel;

    #[test]
    fn a_callback_that_panics_skips_no_other() {
        let connector = Connector::open(r#"{"type": "memory"}"#, ()).unwrap();
        let (sender, receiver) = channel();
        for number in 0..10 {
            let sender = sender.clone();
            let key = format!("k{}", number % 3);
            let callback = move |_: Result<Option<Record>, Error>| {
                // Without a message by the panic hook.
                if number % 2 == 0 {
                    std::panic::resume_unwind(Box::new(number));
                }
                sender.send(number).unwrap();
            };
            connector.get(&key, callback).unwrap();
        }
        drop(sender);
        let mut called: Vec<i32> = receiver.iter().collect();
        called.sort_unstable();
        assert_eq!(called, [1, 3, 5, 7, 9]);
        connector.shut_down();
    }
}
