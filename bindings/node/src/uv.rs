//! libuv, as much of it as we need, made safe: a watched file descriptor and an idle handle.
//!
//! The functions are exported by the node binary. The numbers of handle types and events are
//! part of libuv's stable ABI.

// `clippy.toml` forbids these everywhere else.
#![allow(clippy::disallowed_methods)]

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::watcher::Watcher;

/// An event loop.
#[repr(C)]
pub struct Loop {
    _private: [u8; 0],
}

/// Any of libuv's handles.
#[repr(C)]
struct Handle {
    _private: [u8; 0],
}

type IdleCallback = unsafe extern "C" fn(*mut Handle);
type PollCallback = unsafe extern "C" fn(*mut Handle, c_int, c_int);
type CloseCallback = unsafe extern "C" fn(*mut Handle);

const UV_IDLE: c_int = 6;
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;

extern "C" {
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_get_data(handle: *const Handle) -> *mut c_void;
    fn uv_handle_set_data(handle: *mut Handle, data: *mut c_void);
    fn uv_idle_init(event_loop: *mut Loop, handle: *mut Handle) -> c_int;
    fn uv_idle_start(handle: *mut Handle, callback: IdleCallback) -> c_int;
    fn uv_idle_stop(handle: *mut Handle) -> c_int;
    fn uv_poll_init(event_loop: *mut Loop, handle: *mut Handle, fd: c_int) -> c_int;
    fn uv_poll_start(handle: *mut Handle, events: c_int, callback: PollCallback) -> c_int;
    fn uv_ref(handle: *mut Handle);
    fn uv_unref(handle: *mut Handle);
    fn uv_close(handle: *mut Handle, callback: CloseCallback);
}

/// A file descriptor under watch and a bell, for one watcher. Neither keeps the loop running
/// unless [`hold`](Self::hold) says so. To be closed before the loop ends; one that is dropped
/// unclosed stays in the loop for ever.
pub struct Handles<W: Watcher> {
    block: NonNull<Block<W>>,
    // A bell must be rung on its own thread.
    thread: PhantomData<Rc<W>>,
}

/// What libuv's handles point to; it frees itself after the last one is closed.
struct Block<W> {
    watcher: Rc<W>,
    poll: Memory,
    idle: Memory,
    open: Cell<u8>,
}

/// Memory for a handle, whose size only libuv knows; aligned for anything.
struct Memory(Box<[UnsafeCell<MaybeUninit<u128>>]>);

impl Memory {
    fn for_handle(kind: c_int) -> Memory {
        // SAFETY: the function only looks the size up.
        let bytes = unsafe { uv_handle_size(kind) };
        let words = bytes.div_ceil(size_of::<u128>());
        Memory((0..words).map(|_| UnsafeCell::new(MaybeUninit::zeroed())).collect())
    }

    fn handle(&self) -> *mut Handle {
        self.0.as_ptr().cast_mut().cast()
    }
}

impl<W: Watcher> Handles<W> {
    /// Watches `fd`, which must stay open until [`close`](Self::close) is called.
    ///
    /// # Errors
    /// The system cannot watch the descriptor.
    pub fn open(event_loop: *mut Loop, fd: RawFd, watcher: Rc<W>) -> io::Result<Handles<W>> {
        let block = Box::new(Block {
            watcher,
            poll: Memory::for_handle(UV_POLL),
            idle: Memory::for_handle(UV_IDLE),
            open: Cell::new(2),
        });
        // SAFETY: the loop is the one of this thread's environment; the memory has the size that
        // libuv asked for and stays where it is until the handle is closed.
        checked(unsafe { uv_poll_init(event_loop, block.poll.handle(), fd) })?;
        // SAFETY: as above; this one cannot fail.
        unsafe { uv_idle_init(event_loop, block.idle.handle()) };
        let block = NonNull::from(Box::leak(block));
        let handles = Handles { block, thread: PhantomData };
        for handle in [handles.block().poll.handle(), handles.block().idle.handle()] {
            // SAFETY: an open handle; the block lives until it is closed.
            unsafe {
                uv_handle_set_data(handle, block.as_ptr().cast());
                uv_unref(handle);
            }
        }
        let poll = handles.block().poll.handle();
        // SAFETY: an open handle, with the data that `readable` expects.
        if let Err(error) = checked(unsafe { uv_poll_start(poll, UV_READABLE, readable::<W>) }) {
            handles.close();
            return Err(error);
        }
        Ok(handles)
    }

    fn block(&self) -> &Block<W> {
        // SAFETY: the block lives until both handles are closed, and closing takes `self`.
        unsafe { self.block.as_ref() }
    }

    /// Has the watcher called before the loop looks for events the next time, and the loop not
    /// wait for them.
    pub fn ring(&self) {
        // SAFETY: an open handle, with the data that `rung` expects. It cannot fail.
        unsafe { uv_idle_start(self.block().idle.handle(), rung::<W>) };
    }

    /// Takes the ringing back.
    pub fn hush(&self) {
        // SAFETY: an open handle.
        unsafe { uv_idle_stop(self.block().idle.handle()) };
    }

    /// Whether the loop goes on for the sake of this watcher alone.
    pub fn hold(&self, on: bool) {
        let poll = self.block().poll.handle();
        // SAFETY: an open handle.
        unsafe {
            if on {
                uv_ref(poll);
            } else {
                uv_unref(poll);
            }
        }
    }

    /// Stops watching: the descriptor may be closed from now on. The watcher is let go of when
    /// the loop has let go of the handles.
    pub fn close(self) {
        for handle in [self.block().poll.handle(), self.block().idle.handle()] {
            // SAFETY: an open handle, with the data that `closed` expects; closed only here.
            unsafe { uv_close(handle, closed::<W>) };
        }
    }
}

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    Ok(())
}

/// The block of a handle.
///
/// # Safety
/// The handle is one of a `Block<W>` and not closed yet.
unsafe fn block_of<'a, W>(handle: *mut Handle) -> &'a Block<W> {
    // SAFETY: `Handles::open` has set the data, and the block lives while a handle is open.
    unsafe { &*uv_handle_get_data(handle).cast_const().cast::<Block<W>>() }
}

/// # Safety
/// Only libuv calls it, for the poll handle of a `Block<W>`.
unsafe extern "C" fn readable<W: Watcher>(handle: *mut Handle, _: c_int, _: c_int) {
    // SAFETY: see above. A failed descriptor is left to the watcher, who finds out by using it.
    unsafe { block_of::<W>(handle) }.watcher.readable();
}

/// # Safety
/// Only libuv calls it, for the idle handle of a `Block<W>`.
unsafe extern "C" fn rung<W: Watcher>(handle: *mut Handle) {
    // SAFETY: see above.
    unsafe { block_of::<W>(handle) }.watcher.rung();
}

/// # Safety
/// Only libuv calls it, once for each handle of a `Block<W>`.
unsafe extern "C" fn closed<W: Watcher>(handle: *mut Handle) {
    // SAFETY: as in `block_of`.
    let block = unsafe { uv_handle_get_data(handle).cast::<Block<W>>() };
    // SAFETY: the block lives until the second call.
    let open = unsafe { &(*block).open };
    open.set(open.get() - 1);
    if open.get() == 0 {
        // SAFETY: leaked in `Handles::open`, and nothing points to it any more.
        unsafe { Box::from_raw(block) }.watcher.closed();
    }
}
