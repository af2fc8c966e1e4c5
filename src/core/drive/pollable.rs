//! The way out for hosts with an event loop: one file descriptor to watch, one call when it is
//! readable, and everything happens on the host's own thread. A host that cannot watch a descriptor
//! gives a function that has its loop make the call.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use rustix::event::{eventfd, EventfdFlags};

use super::host_driver::HostDriver;
use super::reactor::Reactor;
use super::way_out::{Bell, WayOut};
use crate::core::deliveries::Deliveries;
use crate::core::engine::Engine;
use crate::core::request::Delivery;
use crate::core::submission::Submitter;

/// An engine behind a file descriptor, or behind a function of the host's. The engine is driven by the
/// host's thread where the backend and the system allow it, else by a reactor thread.
pub struct Pollable<T> {
    source: Source<T>,
}

enum Source<T> {
    Host { driver: Box<HostDriver<T>>, list: Deliveries<T> },
    Thread { submitter: Submitter<T>, way: Arc<WayOut<T>>, reactor: Option<Reactor> },
}

impl<T: Send + 'static> Pollable<T> {
    /// Takes an engine and the handle to submit to it.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptors.
    pub fn new(engine: Engine<T>, submitter: Submitter<T>) -> io::Result<Pollable<T>> {
        let engine = if engine.may_be_host_driven() {
            let list = engine.deliveries();
            match HostDriver::new(engine) {
                Ok(driver) => {
                    return Ok(Pollable { source: Source::Host { driver: Box::new(driver), list } })
                }
                Err(engine) => *engine,
            }
        } else {
            engine
        };
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Pollable::on_thread(engine, submitter, Bell::Descriptor(signal))
    }

    /// The same without a descriptor: a reactor thread drives the engine, and calls `bell` when
    /// there is something to hear. That may go on until [`finish`](Self::finish) returns.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn ringing(
        engine: Engine<T>,
        submitter: Submitter<T>,
        bell: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Pollable<T>> {
        Pollable::on_thread(engine, submitter, Bell::Function(Box::new(bell)))
    }

    fn on_thread(engine: Engine<T>, submitter: Submitter<T>, bell: Bell) -> io::Result<Pollable<T>> {
        let way = WayOut::new(engine.deliveries(), bell);
        let reactor = Some(Reactor::start(engine, way.sender(), false)?);
        Ok(Pollable { source: Source::Thread { submitter, way, reactor } })
    }

    /// Readable when [`turn`](Self::turn) has something to do. Watch it, do not read or close it.
    /// It is -1 where a [bell](Self::ringing) rings instead.
    pub fn poll_fd(&self) -> RawFd {
        match &self.source {
            Source::Host { driver, .. } => driver.poll_fd(),
            Source::Thread { way, .. } => way.descriptor().map_or(-1, AsRawFd::as_raw_fd),
        }
    }

    /// Makes the descriptor readable until the next [`turn`](Self::turn), for a host that could
    /// not hand out everything at once.
    pub fn rearm(&self) {
        match &self.source {
            Source::Host { driver, .. } => driver.rearm(),
            Source::Thread { way, .. } => way.ring(),
        }
    }

    /// Does what there is to do without blocking, and not more than a turn may take. What the host
    /// has to hear comes by its iteration.
    pub fn turn(&mut self) {
        match &mut self.source {
            Source::Host { driver, list } => driver.turn(list),
            Source::Thread { way, .. } => {
                if let Some(signal) = way.descriptor() {
                    // Reading takes the signal back; it fails when there was none.
                    let _ = rustix::io::read(signal, &mut [0u8; 8]);
                }
            }
        }
    }

    /// Sends what was submitted quietly on its way, at the end of a turn of the host's loop.
    /// Otherwise like [`turn`](Self::turn).
    pub fn flush(&mut self) {
        match &mut self.source {
            Source::Host { driver, list } => driver.flush(list),
            Source::Thread { submitter, .. } => submitter.announce(),
        }
    }

    /// Whether there is nothing to hear at the moment.
    pub fn is_empty(&self) -> bool {
        match &self.source {
            Source::Host { list, .. } => list.is_empty(),
            Source::Thread { way, .. } => way.is_empty(),
        }
    }

    /// Ends the connector: everything unanswered fails with `Closed`. Waits for a reactor thread
    /// to end. What the host has still to hear is returned, [`Delivery::Closed`] last.
    pub fn finish(mut self, submitter: &Submitter<T>) -> Deliveries<T> {
        submitter.cancel();
        self.turn();
        match self.source {
            Source::Host { list, .. } => list,
            Source::Thread { way, reactor, .. } => {
                if let Some(reactor) = reactor {
                    reactor.join();
                }
                way.take()
            }
        }
    }
}

/// What the host has to hear at the moment; [`Delivery::Closed`] is the last of all.
impl<T: Send + 'static> Iterator for Pollable<T> {
    type Item = Delivery<T>;

    fn next(&mut self) -> Option<Delivery<T>> {
        match &mut self.source {
            Source::Host { list, .. } => list.next(),
            Source::Thread { way, reactor, .. } => {
                let delivery = way.next();
                if matches!(delivery, Some(Delivery::Closed)) {
                    // It has delivered the end, and waits for nothing.
                    if let Some(reactor) = reactor.take() {
                        reactor.join();
                    }
                }
                delivery
            }
        }
    }
}
