//! A connector for Rust hosts: closures as callbacks.

mod handle;

use std::ops::Deref;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::backends;
use crate::core::{without_signals, Delivery, Engine, Error, ErrorCode, LogLevel, Outbox, Reactor};

use handle::Callback;
pub use handle::Handle;

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

    /// A message of the database that a [`command`](Handle::command) asked for.
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

/// A connection to a cache or database; its operations are those of [`Handle`]. Any thread may use it; callbacks run on one
/// dispatch thread, which survives their panics and in which every method but [`shut_down`](Connector::shut_down) may be
/// called. Dropping it fails what is unanswered with `Closed` and waits for its callbacks, except
/// when dropped by a callback itself.
pub struct Connector {
    handle: Handle,
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
                let handle = Handle::new(submitter);
                Ok(Connector { handle, close_timeout, threads: Some((reactor, dispatcher)) })
            }
            Err(error) => {
                submitter.cancel();
                reactor.join();
                Err(no_thread(error))
            }
        }
    }

    /// Accepts nothing more, lets accepted operations finish within `closeTimeout`, and returns
    /// when the last callback has returned. Not to be called by a callback.
    pub fn shut_down(mut self) {
        self.handle.close(self.close_timeout);
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

impl Deref for Connector {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        if self.threads.is_some() {
            self.handle.cancel();
            self.join();
        }
    }
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

fn no_thread(error: std::io::Error) -> Error {
    Error::new(ErrorCode::Unavailable, format!("the system gives no thread or file descriptor: {error}"))
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use crate::core::Record;

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
