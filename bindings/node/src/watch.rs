//! How the environment's thread hears that there is something to do: by libuv, or by a bell where
//! the event loop is another.

use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

use deepstream_connector::core::{Engine, Error, ErrorCode, Pollable, Submitter};

use crate::raw::{Bell, Env, Failure, Fault, Rope, Scope};
use crate::uv::{Handles, Loop};
use crate::watcher::Watcher;

/// An event loop of either kind, before anything is watched.
pub enum EventLoop {
    /// libuv's.
    Libuv(*mut Loop),
    /// Any other, and what the engine's thread will ring.
    Other(Rope),
}

impl EventLoop {
    /// The environment's.
    pub fn of(env: Env, is_libuv: bool) -> Result<EventLoop, Failure> {
        if is_libuv {
            env.event_loop().map(EventLoop::Libuv)
        } else {
            Ok(EventLoop::Other(Rope::default()))
        }
    }

    /// The engine, as this loop hears of it.
    ///
    /// # Errors
    /// The system gives no thread or file descriptor.
    pub fn pollable(&self, engine: Engine<u32>, submitter: Submitter<u32>) -> io::Result<Pollable<u32>> {
        match self {
            EventLoop::Libuv(_) => Pollable::new(engine, submitter),
            EventLoop::Other(rope) => {
                let rope = rope.clone();
                Pollable::ringing(engine, submitter, move || rope.pull())
            }
        }
    }
}

/// What a loop watches for one watcher. It does not keep the loop running unless
/// [`hold`](Self::hold) says so.
pub enum Watch<W: Watcher> {
    /// A file descriptor, and a bell that the loop's own thread rings.
    Handles(Handles<W>),
    /// A bell for every thread, which says by itself that the environment ends.
    Bell(Bell<W>),
}

impl<W: Watcher> Watch<W> {
    /// Begins to watch; `fd`, which libuv needs, must stay open until [`close`](Self::close) is
    /// called.
    pub fn open(scope: &Scope, event_loop: EventLoop, fd: RawFd, watcher: Rc<W>) -> Result<Watch<W>, Fault> {
        Ok(match event_loop {
            EventLoop::Libuv(event_loop) => {
                Watch::Handles(Handles::open(event_loop, fd, watcher).map_err(no_resources)?)
            }
            EventLoop::Other(rope) => Watch::Bell(Bell::open(scope, rope, watcher)?),
        })
    }

    /// Has [`rung`](Watcher::rung) called, and the loop not wait for events before.
    pub fn ring(&self) {
        match self {
            Watch::Handles(handles) => handles.ring(),
            Watch::Bell(bell) => bell.ring(),
        }
    }

    /// Takes the ringing back, where it goes on until then.
    pub fn hush(&self) {
        if let Watch::Handles(handles) = self {
            handles.hush();
        }
    }

    /// Whether the loop goes on for the sake of this watcher alone.
    pub fn hold(&self, on: bool) {
        match self {
            Watch::Handles(handles) => handles.hold(on),
            Watch::Bell(bell) => bell.hold(on),
        }
    }

    /// Stops watching. The watcher is let go of when the loop has let go of what watches.
    pub fn close(self) {
        match self {
            Watch::Handles(handles) => handles.close(),
            Watch::Bell(bell) => bell.close(),
        }
    }
}

/// What JavaScript is told of it.
pub fn no_resources(error: std::io::Error) -> Error {
    Error::new(ErrorCode::Unavailable, format!("the system gives no thread or file descriptor: {error}"))
}
