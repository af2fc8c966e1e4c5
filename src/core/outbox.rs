//! The way out for hosts whose callbacks run on a thread of ours: the reactor fills it, the
//! dispatch thread empties it, so that a slow callback delays other callbacks but never I/O.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{unbounded, Receiver};

use super::engine::Engine;
use super::reactor::Reactor;
use super::request::Delivery;

/// What the reactor has delivered and nobody has taken yet.
pub struct Outbox<T> {
    receiver: Receiver<Vec<Delivery<T>>>,
    /// The rest of the list that is being handed out.
    current: Mutex<Current<T>>,
}

struct Current<T> {
    deliveries: VecDeque<Delivery<T>>,
    ended: bool,
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts a reactor thread for an engine that delivers here.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptors.
    pub fn start(engine: Engine<T>) -> io::Result<(Arc<Outbox<T>>, Reactor)> {
        let (sender, receiver) = unbounded();
        let reactor = Reactor::start(engine, move |out| {
            // Nobody receives only when the host is gone; then nothing is to be told.
            let _ = sender.send(std::mem::take(out));
        })?;
        let current = Mutex::new(Current { deliveries: VecDeque::new(), ended: false });
        Ok((Arc::new(Outbox { receiver, current }), reactor))
    }

    /// Waits for the next delivery; `None` once [`Delivery::Closed`] was given out. A callback
    /// that ends its connector may call it in a loop of its own: the outer loop gets `None`
    /// then. One thread at a time.
    pub fn next(&self) -> Option<Delivery<T>> {
        loop {
            let mut current = self.current();
            if current.ended {
                return None;
            }
            if let Some(delivery) = current.deliveries.pop_front() {
                current.ended = matches!(delivery, Delivery::Closed);
                return Some(delivery);
            }
            drop(current);
            match self.receiver.recv() {
                Ok(list) => self.current().deliveries = list.into(),
                Err(_) => self.current().ended = true,
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Current<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
