//! The way out for hosts whose callbacks run on a thread of ours: the reactor fills it, the
//! dispatch thread empties it, so that a slow callback delays other callbacks but never I/O.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{unbounded, Receiver};

use super::reactor::Reactor;
use crate::core::engine::Engine;
use crate::core::request::Delivery;
use crate::core::submission::{Submitter, Wake};

/// What the reactor has delivered and nobody has taken yet.
pub struct Outbox<T> {
    receiver: Receiver<Vec<Delivery<T>>>,
    submitter: Submitter<T>,
    /// Callbacks have submitted what the engine was not woken for.
    unsent: AtomicBool,
    /// How many lists were handed out to their ends.
    finished: Arc<AtomicUsize>,
    /// The rest of the list that is being handed out.
    current: Mutex<Current<T>>,
}

struct Current<T> {
    deliveries: VecDeque<Delivery<T>>,
    received: usize,
    ended: bool,
}

impl<T: Send + 'static> Outbox<T> {
    /// Starts a reactor thread for an engine that delivers here.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptors.
    pub fn start(engine: Engine<T>) -> io::Result<(Arc<Outbox<T>>, Reactor)> {
        let (sender, receiver) = unbounded();
        let submitter = engine.submitter();
        let sent = Arc::new(AtomicUsize::new(0));
        let finished = Arc::new(AtomicUsize::new(0));
        let is_busy = {
            let (sent, finished) = (Arc::clone(&sent), Arc::clone(&finished));
            move || sent.load(Ordering::Relaxed) != finished.load(Ordering::Relaxed)
        };
        let deliver = move |out: &mut Vec<Delivery<T>>| {
            sent.fetch_add(1, Ordering::Relaxed);
            // Nobody receives only when the host is gone; then nothing is to be told.
            let _ = sender.send(std::mem::take(out));
        };
        let reactor = Reactor::start_watching(engine, deliver, is_busy)?;
        let current = Mutex::new(Current { deliveries: VecDeque::new(), received: 0, ended: false });
        let unsent = AtomicBool::new(false);
        Ok((Arc::new(Outbox { receiver, submitter, unsent, finished, current }), reactor))
    }

    /// To be called by a callback that has submitted quietly: the engine is woken once, after
    /// the callbacks that are due. Should they take long, it looks for itself meanwhile.
    pub fn submitted_quietly(&self, wake: Wake) {
        // Whoever is told `Pending` comes after somebody who either woke the engine or did this.
        if wake == Wake::Needed {
            self.unsent.store(true, Ordering::Relaxed);
        }
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
            self.finished.store(current.received, Ordering::Relaxed);
            drop(current);
            if self.unsent.swap(false, Ordering::Relaxed) {
                self.submitter.wake();
            }
            let list = self.receiver.recv();
            let mut current = self.current();
            match list {
                Ok(list) => {
                    current.deliveries = list.into();
                    current.received += 1;
                }
                Err(_) => current.ended = true,
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Current<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
