//! The way out for hosts whose callbacks run on a thread of ours: the reactor fills it, the
//! dispatch thread empties it, so that a slow callback delays other callbacks but never I/O.

use std::io;
use std::sync::Arc;

use super::reactor::Reactor;
use super::way_out::{Bell, WayOut};
use crate::core::engine::Engine;
use crate::core::request::Delivery;
use crate::core::submission::Submitter;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::Condvar;

/// What the reactor has delivered and nobody has taken yet.
pub struct Outbox<T> {
    way: Arc<WayOut<T>>,
    submitter: Submitter<T>,
    /// [`Delivery::Closed`] was given out.
    has_ended: AtomicBool,
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts a reactor thread for an engine that delivers here.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptors.
    pub fn start(engine: Engine<T>) -> io::Result<(Arc<Outbox<T>>, Reactor)> {
        let submitter = engine.submitter();
        let way = WayOut::new(engine.deliveries(), Bell::Thread(Condvar::new()));
        let reactor = Reactor::start(engine, way.sender(), true)?;
        Ok((Arc::new(Outbox { way, submitter, has_ended: AtomicBool::new(false) }), reactor))
    }

    /// Waits for the next delivery; `None` once [`Delivery::Closed`] was given out. A callback
    /// that ends its connector may call it in a loop of its own: the outer loop gets `None`
    /// then. For what callbacks have submitted quietly the engine is woken once, after those that
    /// are due; should they take long, it looks for itself meanwhile. One thread at a time.
    pub fn next(&self) -> Option<Delivery<T>> {
        if self.has_ended.load(Ordering::Relaxed) {
            return None;
        }
        loop {
            if let Some(delivery) = self.way.next() {
                self.has_ended.store(matches!(delivery, Delivery::Closed), Ordering::Relaxed);
                return Some(delivery);
            }
            self.submitter.announce();
            if !self.way.wait() {
                return None;
            }
        }
    }
}
