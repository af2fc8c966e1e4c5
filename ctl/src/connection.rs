//! A connection, and what it tells by itself.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use deepstream_connector::core::{Error, LogLevel};
use deepstream_connector::{Connector, Events, Handle};

use crate::config::Target;
use crate::console::console;
use crate::failure::Failure;

/// An open connection.
pub struct Connection {
    connector: Connector,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_ready: bool,
    error: Option<(Error, bool)>,
    omissions: Vec<String>,
    is_silent: bool,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Listener(Arc<Told>);

impl Events for Listener {
    fn ready(&mut self) {
        let mut state = self.0.lock();
        state.is_ready = true;
        state.error = None;
        self.0.changed.notify_all();
    }

    fn error(&mut self, error: Error, fatal: bool) {
        let mut state = self.0.lock();
        // What is fatal every operation fails with.
        if !state.is_silent && !fatal {
            console().warn(error.message());
        }
        state.error = Some((error, fatal));
        self.0.changed.notify_all();
    }

    fn log(&mut self, level: LogLevel, line: &str) {
        if line.contains("a listing left out ") || line.contains("a listing passed over ") {
            self.0.lock().omissions.push(line.to_owned());
        }
        if matches!(level, LogLevel::Warn | LogLevel::Error) && !self.0.lock().is_silent {
            console().warn(line);
        }
    }
}

impl Connection {
    /// Begins to connect.
    pub fn open(target: &Target) -> Result<Connection, Failure> {
        for remark in &target.remarks {
            console().remark(remark);
        }
        Connection::begin(target, false)
    }

    /// The same without a word of what the connection tells.
    pub fn open_silently(target: &Target) -> Result<Connection, Failure> {
        Connection::begin(target, true)
    }

    fn begin(target: &Target, is_silent: bool) -> Result<Connection, Failure> {
        let told = Arc::new(Told::default());
        told.lock().is_silent = is_silent;
        let connector = Connector::open(&target.text(), Listener(Arc::clone(&told)))?;
        Ok(Connection { connector, told })
    }

    /// The way to its operations.
    pub fn handle(&self) -> &Handle {
        &self.connector
    }

    /// The library's counters.
    pub fn statistics(&self) -> String {
        self.connector.statistics_json()
    }

    /// Waits until it stands.
    pub fn wait_ready(&self, patience: Duration) -> Result<(), Failure> {
        let end = Instant::now() + patience;
        let mut state = self.told.lock();
        loop {
            if state.is_ready {
                return Ok(());
            }
            if let Some((error, true)) = &state.error {
                return Err(error.clone().into());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last = state.error.clone().map(|(error, _)| Failure::from(error));
                let none =
                    || Failure::failed(format!("there is no connection after {} s", patience.as_secs_f64()));
                return Err(last.unwrap_or_else(none));
            }
            state = self.told.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends it, and gives what its listings left out, a line for each.
    pub fn close(self) -> Vec<String> {
        self.connector.shut_down();
        std::mem::take(&mut self.told.lock().omissions)
    }
}

/// Waits for an answer. It was asked for when the future was made.
pub fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}
