//! The way out of an engine that a thread of ours drives: one queue, whoever listens to it. Who
//! takes something off gives its room back, so that a slow listener holds up who submits and
//! nothing else.

use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError};

use crate::core::deliveries::Deliveries;
use crate::core::request::Delivery;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How the listener hears that there is something.
pub(super) enum Bell {
    /// A thread waits.
    Thread(Condvar),
    /// An eventfd becomes readable.
    Descriptor(OwnedFd),
    /// A function is called, on the driver's thread.
    Function(Box<dyn Fn() + Send + Sync>),
}

/// See the module.
pub(super) struct WayOut<T> {
    queue: Mutex<Queue<T>>,
    bell: Bell,
    /// A thread waits with nothing to take, so no callback runs whose submissions the engine would have to look for. No
    /// longer from the moment on that there is something, though the thread may wake up later.
    is_waiting: AtomicBool,
}

struct Queue<T> {
    list: Deliveries<T>,
    /// Nothing more will come.
    is_shut: bool,
}

impl<T> WayOut<T> {
    /// A way out that begins with an empty list.
    pub fn new(list: Deliveries<T>, bell: Bell) -> Arc<WayOut<T>> {
        let queue = Mutex::new(Queue { list, is_shut: false });
        Arc::new(WayOut { queue, bell, is_waiting: AtomicBool::new(false) })
    }

    /// The end that the engine's driver has.
    pub fn sender(self: &Arc<Self>) -> Sender<T> {
        Sender { way: Arc::clone(self) }
    }

    /// The next delivery, if there is one. [`Delivery::Closed`] is the last of all.
    pub fn next(&self) -> Option<Delivery<T>> {
        let mut queue = self.queue();
        let delivery = queue.list.next();
        queue.is_shut |= matches!(delivery, Some(Delivery::Closed));
        delivery
    }

    /// Waits until there is something, or nothing will come any more. Returns which.
    pub fn wait(&self) -> bool {
        let mut queue = self.queue();
        if let Bell::Thread(bell) = &self.bell {
            while queue.list.is_empty() && !queue.is_shut {
                self.is_waiting.store(true, Ordering::Relaxed);
                queue = bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            self.is_waiting.store(false, Ordering::Relaxed);
        }
        !queue.list.is_empty()
    }

    /// Whether no thread waits: callbacks may be running, or about to.
    pub fn is_busy(&self) -> bool {
        !self.is_waiting.load(Ordering::Relaxed)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.queue().list.is_empty()
    }

    /// Everything that is left.
    pub fn take(&self) -> Deliveries<T> {
        let mut queue = self.queue();
        let empty = queue.list.another();
        std::mem::replace(&mut queue.list, empty)
    }

    /// The descriptor, where there is one.
    pub fn descriptor(&self) -> Option<&OwnedFd> {
        match &self.bell {
            Bell::Descriptor(descriptor) => Some(descriptor),
            Bell::Thread(_) | Bell::Function(_) => None,
        }
    }

    /// Has the listener look.
    pub fn ring(&self) {
        match &self.bell {
            Bell::Thread(bell) => bell.notify_all(),
            // It fails only when the counter is full, and then it is readable already.
            Bell::Descriptor(descriptor) => drop(rustix::io::write(descriptor, &1u64.to_ne_bytes())),
            Bell::Function(function) => function(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        // Lists are whole at any moment.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the driver puts what the engine tells. Dropping it tells that nothing more will come.
pub(super) struct Sender<T> {
    way: Arc<WayOut<T>>,
}

impl<T> Sender<T> {
    /// Takes over a list.
    pub fn send(&self, news: &mut Deliveries<T>) {
        let mut queue = self.way.queue();
        queue.list.append(news);
        self.way.is_waiting.store(false, Ordering::Relaxed);
        drop(queue);
        self.way.ring();
    }

    /// See [`WayOut::is_busy`].
    pub fn is_busy(&self) -> bool {
        self.way.is_busy()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.way.queue().is_shut = true;
        self.way.ring();
    }
}
