//! The way out for hosts that take what there is to hear themselves, several at once: the reactor fills it, and
//! whichever thread of the host's asks empties it. No thread of ours runs anything of the host's.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reactor::Reactor;
use super::way_out::{Bell, WayOut};
use crate::core::engine::Engine;
use crate::core::request::Delivery;
use crate::sync::Condvar;

/// What the reactor has delivered and nobody has taken yet.
pub struct CompletionQueue<T> {
    way: Arc<WayOut<T>>,
}

impl<T: Send + 'static> CompletionQueue<T> {
    /// Starts a reactor thread for an engine that delivers here.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptors.
    pub fn start(engine: Engine<T>) -> io::Result<(CompletionQueue<T>, Reactor)> {
        let way = WayOut::new(engine.deliveries(), Bell::Thread(Condvar::new()));
        let reactor = Reactor::start(engine, way.sender(), false)?;
        Ok((CompletionQueue { way }, reactor))
    }

    /// Takes at most `most`, in order. If there is nothing it waits so long for the first one, without an end for `None`.
    /// Returns false, with nothing taken, once [`Delivery::Closed`] was taken before. One thread at a time; any may call it.
    pub fn take(&self, most: usize, patience: Option<Duration>, into: &mut Vec<Delivery<T>>) -> bool {
        // A patience beyond all clocks is one without an end.
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        self.way.take_some(most, until, into)
    }

    /// A file descriptor that is readable as long as there is something to take. It is made when it is first asked for;
    /// watch it, do not read or close it.
    ///
    /// # Errors
    /// The system has none left, or none of this kind.
    pub fn descriptor(&self) -> io::Result<RawFd> {
        self.way.lamp(|| {
            #[cfg(target_os = "linux")]
            {
                use rustix::event::{eventfd, EventfdFlags};
                Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
            }
            #[cfg(not(target_os = "linux"))]
            Err(io::ErrorKind::Unsupported.into())
        })
    }
}
