//! The way out for hosts with an event loop: one file descriptor to watch, one call when it is
//! readable, and everything happens on the host's own thread.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crossbeam_channel::{unbounded, Receiver};
use rustix::event::{eventfd, EventfdFlags};

use super::host_driver::HostDriver;
use super::reactor::Reactor;
use crate::core::engine::Engine;
use crate::core::request::Delivery;
use crate::core::submission::Submitter;

/// An engine behind a file descriptor. The engine is driven by the host's thread where the
/// backend and the system allow it, else by a reactor thread.
pub struct Pollable<T> {
    source: Source<T>,
}

enum Source<T> {
    Host(Box<HostDriver<T>>),
    Thread {
        submitter: Submitter<T>,
        receiver: Receiver<Vec<Delivery<T>>>,
        signal: Arc<OwnedFd>,
        reactor: Option<Reactor>,
    },
}

impl<T: Send + 'static> Pollable<T> {
    /// Takes an engine and the handle to submit to it.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptors.
    pub fn new(engine: Engine<T>, submitter: Submitter<T>) -> io::Result<Pollable<T>> {
        let engine = if engine.may_be_host_driven() {
            match HostDriver::new(engine) {
                Ok(driver) => return Ok(Pollable { source: Source::Host(Box::new(driver)) }),
                Err(engine) => *engine,
            }
        } else {
            engine
        };
        let signal = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (sender, receiver) = unbounded();
        let notified = Arc::clone(&signal);
        let reactor = Reactor::start(engine, move |out| {
            // Nobody receives only when the host is gone; a full counter is readable anyway.
            let _ = sender.send(std::mem::take(out));
            let _ = rustix::io::write(&*notified, &1u64.to_ne_bytes());
        })?;
        Ok(Pollable { source: Source::Thread { submitter, receiver, signal, reactor: Some(reactor) } })
    }

    /// Readable when [`turn`](Self::turn) has something to do. Watch it, do not read or close it.
    pub fn poll_fd(&self) -> RawFd {
        match &self.source {
            Source::Host(driver) => driver.poll_fd(),
            Source::Thread { signal, .. } => signal.as_raw_fd(),
        }
    }

    /// Makes the descriptor readable until the next [`turn`](Self::turn), for a host that could
    /// not hand out everything at once.
    pub fn rearm(&self) {
        match &self.source {
            Source::Host(driver) => driver.rearm(),
            // It fails only when the counter is full, and then it is readable already.
            Source::Thread { signal, .. } => drop(rustix::io::write(&**signal, &1u64.to_ne_bytes())),
        }
    }

    /// Does everything there is to do without blocking; what the host has to hear is appended to
    /// `out`. Returns whether the connector has ended, after [`Delivery::Closed`].
    pub fn turn(&mut self, out: &mut Vec<Delivery<T>>) -> bool {
        match &mut self.source {
            Source::Host(driver) => driver.turn(out),
            Source::Thread { receiver, signal, reactor, .. } => {
                // Reading takes the signal back; it fails when there was none.
                let _ = rustix::io::read(&**signal, &mut [0u8; 8]);
                while let Ok(mut list) = receiver.try_recv() {
                    if matches!(list.last(), Some(Delivery::Closed)) {
                        if let Some(reactor) = reactor.take() {
                            reactor.join();
                        }
                    }
                    out.append(&mut list);
                }
                reactor.is_none()
            }
        }
    }

    /// Sends what was submitted quietly on its way, at the end of a turn of the host's loop.
    /// Otherwise like [`turn`](Self::turn).
    pub fn flush(&mut self, out: &mut Vec<Delivery<T>>) -> bool {
        match &mut self.source {
            Source::Host(driver) => driver.flush(out),
            Source::Thread { submitter, reactor, .. } => {
                submitter.wake();
                reactor.is_none()
            }
        }
    }

    /// Ends the connector: everything unanswered fails with `Closed`. Waits for a reactor thread
    /// to end. What the host has to hear is appended to `out`, [`Delivery::Closed`] last.
    pub fn finish(&mut self, submitter: &Submitter<T>, out: &mut Vec<Delivery<T>>) {
        submitter.cancel();
        if let Source::Thread { reactor, .. } = &mut self.source {
            if let Some(reactor) = reactor.take() {
                reactor.join();
            }
        }
        self.turn(out);
    }
}
