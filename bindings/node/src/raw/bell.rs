//! A bell for environments whose event loop is not libuv: a thread-safe function of Node-API, which
//! any thread has called on the environment's own.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi_sys as sys;

use super::node_api::{check, contained, Env, Failure, Scope, NAME};
use crate::watcher::Watcher;

/// Rings a bell from any thread; without effect before the bell is there and after its end.
#[derive(Clone, Default)]
pub struct Rope(Arc<Mutex<Option<Function>>>);

/// What the environment has to call.
struct Function {
    raw: sys::napi_threadsafe_function,
    /// It will be called, and once is enough.
    rung: bool,
}

// SAFETY: a thread-safe function may be called on any thread until it is released, which happens
// only after it was taken out of its rope.
unsafe impl Send for Function {}

impl Rope {
    /// Has the watcher called at one of the next turns of its loop.
    pub fn pull(&self) {
        if let Some(function) = &mut *self.function() {
            if !function.rung {
                // SAFETY: it is not released while it is in the rope, which is locked.
                function.rung = check(unsafe {
                    sys::napi_call_threadsafe_function(
                        function.raw,
                        ptr::null_mut(),
                        sys::ThreadsafeFunctionCallMode::nonblocking,
                    )
                })
                .is_ok();
            }
        }
    }

    /// The call has come. Returns whether somebody is to hear of it.
    fn answer(&self) -> bool {
        self.function().as_mut().map(|function| function.rung = false).is_some()
    }

    fn function(&self) -> MutexGuard<'_, Option<Function>> {
        // It is whole at any moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bell for one watcher, which also tells it that the environment ends. It does not keep the
/// environment unless [`hold`](Self::hold) says so.
pub struct Bell<W: Watcher> {
    env: Env,
    raw: sys::napi_threadsafe_function,
    rope: Rope,
    /// Lives as long as the function is in the rope.
    context: *mut Context<W>,
}

/// What the environment calls with.
struct Context<W> {
    watcher: Rc<W>,
    rope: Rope,
    /// The environment has said that it ends.
    ended: Cell<bool>,
}

impl<W: Watcher> Bell<W> {
    /// Ties a bell to a rope.
    pub fn open(scope: &Scope, rope: Rope, watcher: Rc<W>) -> Result<Bell<W>, Failure> {
        let name = scope.ascii(NAME)?;
        let context =
            Box::into_raw(Box::new(Context { watcher, rope: rope.clone(), ended: Cell::new(false) }));
        let mut raw = ptr::null_mut();
        // SAFETY: the name is of an open scope; the context is what both functions expect, and lives
        // until `finalize`; the result is a place to write to.
        let made = check(unsafe {
            sys::napi_create_threadsafe_function(
                scope.0,
                ptr::null_mut(),
                ptr::null_mut(),
                name.0,
                0,
                1,
                context.cast(),
                Some(finalize::<W>),
                context.cast(),
                Some(rung::<W>),
                &mut raw,
            )
        });
        if made.is_err() {
            // SAFETY: from `into_raw` above, and nobody else has it.
            drop(unsafe { Box::from_raw(context) });
            return Err(Failure);
        }
        let bell = Bell { env: scope.env(), raw, rope, context };
        bell.hold(false);
        *bell.rope.function() = Some(Function { raw, rung: false });
        // SAFETY: the environment lives; the context lives until the hook has run or is taken back.
        let hooked =
            check(unsafe { sys::napi_add_env_cleanup_hook(scope.0, Some(ends::<W>), context.cast()) });
        if hooked.is_err() {
            bell.close();
            return Err(Failure);
        }
        Ok(bell)
    }

    /// As any thread does by the rope.
    pub fn ring(&self) {
        self.rope.pull();
    }

    /// Whether the environment goes on for the sake of this watcher alone.
    pub fn hold(&self, on: bool) {
        // SAFETY: this is the environment's thread, and the function was not released: that takes
        // `self`. It fails only while the environment ends.
        unsafe {
            if on {
                sys::napi_ref_threadsafe_function(self.env.0, self.raw);
            } else {
                sys::napi_unref_threadsafe_function(self.env.0, self.raw);
            }
        }
    }

    /// Nobody rings any more. The watcher is let go of when the environment has let go of the bell.
    pub fn close(self) {
        if self.rope.function().take().is_some() {
            // SAFETY: the function was in the rope.
            unsafe { unhook(self.env.0, self.context) };
            // SAFETY: not released yet, and nobody can call it any more.
            unsafe {
                sys::napi_release_threadsafe_function(self.raw, sys::ThreadsafeFunctionReleaseMode::abort);
            }
        }
    }
}

/// Takes back what [`Bell::open`] has asked for, unless it has happened.
///
/// # Safety
/// The context lives, and so does its environment.
unsafe fn unhook<W: Watcher>(env: sys::napi_env, context: *mut Context<W>) {
    // SAFETY: see above.
    if !unsafe { (*context).ended.get() } {
        // SAFETY: it was added with this context.
        unsafe { sys::napi_remove_env_cleanup_hook(env, Some(ends::<W>), context.cast()) };
    }
}

/// # Safety
/// Only the environment calls it, once, with a context whose function is in its rope.
unsafe extern "C" fn ends<W: Watcher>(context: *mut c_void) {
    // SAFETY: see above.
    let context = unsafe { &*context.cast_const().cast::<Context<W>>() };
    context.ended.set(true);
    // Closing the bell, it may have the context go.
    let watcher = Rc::clone(&context.watcher);
    contained(|| watcher.abandoned());
}

/// # Safety
/// Only the environment calls it, on its own thread, with the context of a function that was not
/// finalized, or else without an environment.
unsafe extern "C" fn rung<W: Watcher>(
    env: sys::napi_env,
    _: sys::napi_value,
    context: *mut c_void,
    _: *mut c_void,
) {
    if env.is_null() {
        // The environment ends.
        return;
    }
    // SAFETY: see above.
    let context = unsafe { &*context.cast_const().cast::<Context<W>>() };
    // It may close the bell, and the context go with it.
    let watcher = Rc::clone(&context.watcher);
    if context.rope.answer() {
        watcher.rung();
    }
}

/// # Safety
/// Only the environment calls it, once, on its own thread, and nothing after it.
unsafe extern "C" fn finalize<W: Watcher>(env: sys::napi_env, context: *mut c_void, _: *mut c_void) {
    let context = context.cast::<Context<W>>();
    // SAFETY: see above; it lives until the end of this function.
    let Context { watcher, rope, .. } = unsafe { &*context };
    if rope.function().take().is_some() {
        // The environment ends, and has not said so.
        // SAFETY: as above.
        unsafe { unhook(env, context) };
        contained(|| watcher.abandoned());
    }
    // SAFETY: from `into_raw` in `Bell::open`, and given up by the environment here.
    unsafe { Box::from_raw(context) }.watcher.closed();
}
