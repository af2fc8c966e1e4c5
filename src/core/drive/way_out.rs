//! The way out of an engine that a thread of ours drives: one queue, whoever listens to it. Who
//! takes something off gives its room back, so that a slow listener holds up who submits and
//! nothing else.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

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
    lamp: Option<Lamp>,
}

/// An eventfd that is readable exactly as long as there is something to take.
struct Lamp {
    descriptor: OwnedFd,
    is_lit: bool,
}

impl Lamp {
    /// Costs a system call only where that changes.
    fn show(&mut self, is_something: bool) {
        match (self.is_lit, is_something) {
            (false, true) => light(&self.descriptor),
            (true, false) => put_out(&self.descriptor),
            _ => {}
        }
        self.is_lit = is_something;
    }
}

/// Makes an eventfd readable.
fn light(descriptor: &OwnedFd) {
    // It fails only when the counter is full, and then it is readable already.
    let _ = rustix::io::write(descriptor, &1u64.to_ne_bytes());
}

/// Makes an eventfd unreadable; reading fails where it was that already.
fn put_out(descriptor: &OwnedFd) {
    let _ = rustix::io::read(descriptor, &mut [0u8; 8]);
}

impl<T> Queue<T> {
    fn show(&mut self) {
        let is_something = !self.list.is_empty();
        if let Some(lamp) = &mut self.lamp {
            lamp.show(is_something);
        }
    }
}

impl<T> WayOut<T> {
    /// A way out that begins with an empty list.
    pub fn new(list: Deliveries<T>, bell: Bell) -> Arc<WayOut<T>> {
        let queue = Mutex::new(Queue { list, is_shut: false, lamp: None });
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
        !self.wait_until(None).list.is_empty()
    }

    /// Takes at most so many, waiting for the first one until that time, if any. Returns whether there was something,
    /// or there may yet be. One thread at a time.
    pub fn take_some(&self, most: usize, until: Option<Instant>, into: &mut Vec<Delivery<T>>) -> bool {
        let mut queue = self.wait_until(until);
        let may_be_more = !(queue.is_shut && queue.list.is_empty());
        into.extend(queue.list.by_ref().take(most));
        queue.is_shut |= matches!(into.last(), Some(Delivery::Closed));
        queue.show();
        may_be_more
    }

    fn wait_until(&self, until: Option<Instant>) -> MutexGuard<'_, Queue<T>> {
        let mut queue = self.queue();
        if let Bell::Thread(bell) = &self.bell {
            while queue.list.is_empty() && !queue.is_shut {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    break;
                }
                self.is_waiting.store(true, Ordering::Relaxed);
                queue = match left {
                    None => bell.wait(queue).unwrap_or_else(PoisonError::into_inner),
                    Some(left) => bell.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
                };
            }
            self.is_waiting.store(false, Ordering::Relaxed);
        }
        queue
    }

    /// A descriptor that is readable as long as there is something, from now on; `make` makes an eventfd for that.
    ///
    /// # Errors
    /// It could not be made.
    pub fn lamp<E>(&self, make: impl FnOnce() -> Result<OwnedFd, E>) -> Result<RawFd, E> {
        let mut queue = self.queue();
        if queue.lamp.is_none() {
            queue.lamp = Some(Lamp { descriptor: make()?, is_lit: false });
            queue.show();
        }
        Ok(queue.lamp.as_ref().map_or(-1, |lamp| lamp.descriptor.as_raw_fd()))
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
            Bell::Descriptor(descriptor) => light(descriptor),
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
        queue.show();
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
