//! Node-API's functions and values.
//!
//! What makes them safe: an [`Env`] stays on its thread and is not used after its environment has
//! told [`CleanupHook`] that it ends; a [`Value`] cannot leave the [`Scope`] it was made in; a
//! panic never crosses into Node.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::rc::Rc;
use std::str;

use deepstream_connector::core::{Error, ErrorCode};
use napi_sys as sys;

use crate::uv;

/// A JavaScript environment: the main thread's or a worker's.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Env(pub(super) sys::napi_env);

/// A call of Node-API failed: an exception is pending, or the environment is ending.
#[derive(Clone, Copy, Debug)]
pub struct Failure;

/// Why a function of ours did not succeed; either becomes an exception.
pub enum Fault {
    /// One of Node's.
    Node,
    /// One of ours.
    Ours(Error),
}

impl From<Failure> for Fault {
    fn from(_: Failure) -> Fault {
        Fault::Node
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Ours(error)
    }
}

pub(super) fn check(status: sys::napi_status) -> Result<(), Failure> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(Failure)
    }
}

/// A value of JavaScript's, valid in its scope.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Value<'s>(pub(super) sys::napi_value, PhantomData<&'s ()>);

impl Env {
    /// Runs code that makes what the addon exports, when Node asks for it; if it fails, that is thrown.
    pub fn load(self, body: impl FnOnce(&Scope) -> Result<(), Failure>) {
        // Node keeps a scope open meanwhile.
        let scope = Scope(self.0);
        let loaded = caught(|| {
            #[cfg(target_env = "msvc")]
            find_node();
            body(&scope).map_err(|_| {
                Fault::Ours(Error::new(ErrorCode::Unavailable, "the addon's functions cannot be made"))
            })
        });
        if let Err(fault) = loaded {
            throw(&scope, fault);
        }
    }

    /// Runs code that makes values, outside of a call from JavaScript.
    pub fn in_scope<R>(self, body: impl FnOnce(&Scope) -> R) -> R {
        let mut handle = ptr::null_mut();
        // SAFETY: the environment lives (see the module), and the handle is a place to write to.
        let opened = check(unsafe { sys::napi_open_handle_scope(self.0, &mut handle) });
        let result = body(&Scope(self.0));
        if opened.is_ok() {
            // SAFETY: opened above; scopes nest because closures do.
            unsafe { sys::napi_close_handle_scope(self.0, handle) };
        }
        result
    }

    /// Runs code for a call by the event loop; a panic becomes an uncaught exception.
    pub fn guard(self, body: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            self.in_scope(|scope| {
                if let Ok(error) = scope.error(&panicked()) {
                    // SAFETY: the environment lives, and the value is of the open scope.
                    unsafe { sys::napi_fatal_exception(self.0, error.0) };
                }
            });
        }
    }

    /// The environment's event loop.
    pub fn event_loop(self) -> Result<*mut uv::Loop, Failure> {
        let mut result = ptr::null_mut();
        // SAFETY: the environment lives; the result is a place to write to.
        check(unsafe { sys::napi_get_uv_event_loop(self.0, &mut result) })?;
        Ok(result.cast())
    }
}

/// Finds Node's functions by their names, where no linker does it.
#[cfg(target_env = "msvc")]
fn find_node() {
    static FOUND: std::sync::Once = std::sync::Once::new();
    // SAFETY: it happens once, before any of the functions is called; what it found them in is
    // never let go of.
    FOUND.call_once(|| std::mem::forget(unsafe { sys::setup() }));
}

/// Runs code of ours; a panic becomes an error.
fn caught<R>(body: impl FnOnce() -> Result<R, Fault>) -> Result<R, Fault> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(Fault::Ours(panicked())))
}

fn panicked() -> Error {
    Error::new(ErrorCode::Panic, "a panic was caught in the Node.js addon; this is a bug, please report it")
}

/// Where values are made. It stays open as long as it is borrowed.
pub struct Scope(pub(super) sys::napi_env);

impl Scope {
    /// The environment.
    pub fn env(&self) -> Env {
        Env(self.0)
    }

    /// Makes a value by a function of Node-API that writes it to a place.
    fn make(
        &self,
        maker: impl FnOnce(sys::napi_env, *mut sys::napi_value) -> sys::napi_status,
    ) -> Result<Value<'_>, Failure> {
        let mut value = ptr::null_mut();
        check(maker(self.0, &mut value))?;
        Ok(Value(value, PhantomData))
    }

    /// `undefined`.
    pub fn undefined(&self) -> Result<Value<'_>, Failure> {
        // SAFETY: `make` passes a living environment and a place to write to; so below.
        self.make(|env, value| unsafe { sys::napi_get_undefined(env, value) })
    }

    /// A number.
    pub fn number(&self, number: f64) -> Result<Value<'_>, Failure> {
        // SAFETY: as in `undefined`.
        self.make(|env, value| unsafe { sys::napi_create_double(env, number, value) })
    }

    /// `true` or `false`.
    pub fn flag(&self, flag: bool) -> Result<Value<'_>, Failure> {
        // SAFETY: as in `undefined`.
        self.make(|env, value| unsafe { sys::napi_get_boolean(env, flag, value) })
    }

    /// A string of ASCII characters; others come out wrong.
    pub fn ascii(&self, bytes: &[u8]) -> Result<Value<'_>, Failure> {
        let (start, length) = (bytes.as_ptr().cast(), bytes.len() as isize);
        // SAFETY: as in `undefined`; the bytes are copied before the call returns.
        self.make(|env, value| unsafe { sys::napi_create_string_latin1(env, start, length, value) })
    }

    /// A string from UTF-8; what is none becomes U+FFFD.
    pub fn text(&self, bytes: &[u8]) -> Result<Value<'_>, Failure> {
        if DECODED_HERE.contains(&bytes.len()) && !bytes.is_ascii() {
            if let Ok(text) = str::from_utf8(bytes) {
                return self.decoded(text);
            }
        }
        let (start, length) = (bytes.as_ptr().cast(), bytes.len() as isize);
        // SAFETY: as in `ascii`.
        self.make(|env, value| unsafe { sys::napi_create_string_utf8(env, start, length, value) })
    }

    /// A string by way of UTF-16.
    fn decoded(&self, text: &str) -> Result<Value<'_>, Failure> {
        let mut units = Vec::with_capacity(text.len());
        units.extend(text.encode_utf16());
        let (start, length) = (units.as_ptr(), units.len() as isize);
        // SAFETY: as in `ascii`.
        self.make(|env, value| unsafe { sys::napi_create_string_utf16(env, start, length, value) })
    }

    /// An array.
    pub fn array<'s>(&'s self, elements: &[Value<'s>]) -> Result<Value<'s>, Failure> {
        // SAFETY: as in `undefined`.
        let array = self
            .make(|env, value| unsafe { sys::napi_create_array_with_length(env, elements.len(), value) })?;
        for (index, element) in (0u32..).zip(elements) {
            // SAFETY: both values are of this scope.
            check(unsafe { sys::napi_set_element(self.0, array.0, index, element.0) })?;
        }
        Ok(array)
    }

    /// An object without properties.
    pub fn object(&self) -> Result<Value<'_>, Failure> {
        // SAFETY: as in `undefined`.
        self.make(|env, value| unsafe { sys::napi_create_object(env, value) })
    }

    /// An `Error` with `code`, `retryable` and `applied`.
    pub fn error(&self, error: &Error) -> Result<Value<'_>, Failure> {
        let code = self.ascii(error.code().name().as_bytes())?;
        let message = self.text(error.message().as_bytes())?;
        let retryable = self.flag(error.is_retryable())?;
        let applied = self.ascii(error.applied().name().as_bytes())?;
        let made =
            // SAFETY: as in `undefined`; both strings are of this scope.
            self.make(|env, value| unsafe { sys::napi_create_error(env, code.0, message.0, value) })?;
        self.set(made, "retryable", retryable)?;
        self.set(made, "applied", applied)?;
        Ok(made)
    }

    /// Sets a property of an object of ours.
    pub fn set(&self, object: Value<'_>, name: &str, value: Value<'_>) -> Result<(), Failure> {
        let name = self.text(name.as_bytes())?;
        // SAFETY: all values are of an open scope.
        check(unsafe { sys::napi_set_property(self.0, object.0, name.0, value.0) })
    }

    /// Makes a JavaScript function of a function of ours, which holds on to its host. `name` is
    /// what it is called in stack traces.
    pub fn function<H: 'static>(
        &self,
        name: &str,
        function: Function<H>,
        host: &Rc<H>,
    ) -> Result<Value<'_>, Failure> {
        let data = Box::into_raw(Box::new(Bound { function, host: Rc::clone(host) })).cast::<c_void>();
        let (start, length) = (name.as_ptr().cast(), name.len() as isize);
        let made = self
            // SAFETY: as in `undefined`; `data` is what `enter::<H>` expects, and stays alive until
            // the function is collected.
            .make(|env, value| unsafe {
                sys::napi_create_function(env, start, length, Some(enter::<H>), data, value)
            })
            .and_then(|function| {
                // SAFETY: the function is of this scope; `data` is what `release` expects.
                check(unsafe {
                    sys::napi_add_finalizer(
                        self.0,
                        function.0,
                        data,
                        Some(release::<H>),
                        ptr::null_mut(),
                        ptr::null_mut(),
                    )
                })?;
                Ok(function)
            });
        if made.is_err() {
            // SAFETY: from `into_raw` above. A function without finalizer is not handed out.
            drop(unsafe { Box::from_raw(data.cast::<Bound<H>>()) });
        }
        made
    }

    fn is_exception_pending(&self) -> bool {
        let mut pending = false;
        // SAFETY: the environment lives; the result is a place to write to.
        check(unsafe { sys::napi_is_exception_pending(self.0, &mut pending) }).is_ok() && pending
    }

    /// Reads a whole number from 0 to 2³²-1.
    pub fn read_number(&self, value: Value<'_>) -> Result<u32, Failure> {
        let mut number = 0;
        // SAFETY: the value is of an open scope; the result is a place to write to.
        check(unsafe { sys::napi_get_value_uint32(self.0, value.0, &mut number) })?;
        Ok(number)
    }

    /// Reads a number; what is no whole number is rounded.
    pub fn read_integer(&self, value: Value<'_>) -> Result<i64, Failure> {
        let mut number = 0;
        // SAFETY: as in `read_number`.
        check(unsafe { sys::napi_get_value_int64(self.0, value.0, &mut number) })?;
        Ok(number)
    }

    /// Reads `true` or `false`.
    pub fn read_flag(&self, value: Value<'_>) -> Result<bool, Failure> {
        let mut flag = false;
        // SAFETY: as in `read_number`.
        check(unsafe { sys::napi_get_value_bool(self.0, value.0, &mut flag) })?;
        Ok(flag)
    }

    /// Reads a string as UTF-8 into `into`, whose contents are replaced. A lone surrogate
    /// becomes U+FFFD.
    pub fn read_text(&self, value: Value<'_>, into: &mut Vec<u8>) -> Result<(), Failure> {
        into.clear();
        into.reserve(MIN_TEXT_BUFFER);
        let written = self.write_utf8(value, into)?;
        // The longest character has 4 bytes, and NUL takes one: with less room left, something
        // may be missing.
        if written + 5 > into.capacity() {
            let mut length = 0;
            // SAFETY: without a buffer only the length is written, to a place of ours.
            check(unsafe {
                sys::napi_get_value_string_utf8(self.0, value.0, ptr::null_mut(), 0, &mut length)
            })?;
            into.clear();
            into.reserve_exact(length + 1);
            self.write_utf8(value, into)?;
        }
        Ok(())
    }

    fn write_utf8(&self, value: Value<'_>, into: &mut Vec<u8>) -> Result<usize, Failure> {
        let mut written = 0;
        // SAFETY: the value is of an open scope; the buffer has the capacity that it is said to
        // have.
        check(unsafe {
            sys::napi_get_value_string_utf8(
                self.0,
                value.0,
                into.as_mut_ptr().cast(),
                into.capacity(),
                &mut written,
            )
        })?;
        // SAFETY: so many bytes were written from the start, and they are fewer than there is
        // room for.
        unsafe { into.set_len(written) };
        Ok(written)
    }

    /// Whether a string has a surrogate without its other half.
    pub fn has_lone_surrogate(&self, value: Value<'_>) -> Result<bool, Failure> {
        let mut length = 0;
        // SAFETY: without a buffer only the length is written, to a place of ours.
        check(unsafe { sys::napi_get_value_string_utf16(self.0, value.0, ptr::null_mut(), 0, &mut length) })?;
        let mut units = vec![0u16; length + 1];
        // SAFETY: the buffer has the size that it is said to have.
        check(unsafe {
            sys::napi_get_value_string_utf16(self.0, value.0, units.as_mut_ptr(), units.len(), &mut length)
        })?;
        Ok(char::decode_utf16(units.into_iter().take(length)).any(|unit| unit.is_err()))
    }

    /// How many elements an array has.
    pub fn length_of(&self, array: Value<'_>) -> Result<u32, Failure> {
        let mut length = 0;
        // SAFETY: as in `read_number`.
        check(unsafe { sys::napi_get_array_length(self.0, array.0, &mut length) })?;
        Ok(length)
    }

    /// Reads every element of an array.
    pub fn read_each<T>(
        &self,
        array: Value<'_>,
        mut read: impl FnMut(&Scope, Value<'_>) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let one = |index| {
            // A scope of its own, or ten thousand names need ten thousand handles.
            self.env().in_scope(|inner| {
                // SAFETY: as in `undefined`; the array is of an open scope.
                let element =
                    inner.make(|env, value| unsafe { sys::napi_get_element(env, array.0, index, value) })?;
                read(inner, element)
            })
        };
        (0..self.length_of(array)?).map(one).collect()
    }
}

/// Texts of so many bytes that are not ASCII are decoded here, in a third of the time that V8 takes. A longer one would need
/// twice its memory beside it.
const DECODED_HERE: Range<usize> = 64..16 << 20;

/// Most names and records fit, so that one call reads them.
const MIN_TEXT_BUFFER: usize = 16 * 1024;

/// A function of ours that JavaScript can call, with what it belongs to.
pub type Function<H> = for<'s> fn(&'s Call, &H) -> Result<Value<'s>, Fault>;

/// A function of ours, as one of JavaScript holds on to it.
struct Bound<H> {
    function: Function<H>,
    host: Rc<H>,
}

/// The most arguments that a function of ours has.
const MAX_ARGUMENTS: usize = 7;

/// A call from JavaScript.
pub struct Call {
    scope: Scope,
    arguments: [sys::napi_value; MAX_ARGUMENTS],
    /// How many were passed.
    count: usize,
}

impl Call {
    /// Where the call's values live.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// An argument; `undefined` where none was given.
    pub fn argument(&self, position: usize) -> Value<'_> {
        Value(self.arguments[position], PhantomData)
    }

    /// An argument, if it was passed.
    pub fn passed(&self, position: usize) -> Option<Value<'_>> {
        (position < self.count).then(|| self.argument(position))
    }
}

/// The entry from JavaScript into every function of ours.
///
/// # Safety
/// Only Node calls it, for a function made by [`Scope::function`].
unsafe extern "C" fn enter<H>(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut call =
        Call { scope: Scope(env), arguments: [ptr::null_mut(); MAX_ARGUMENTS], count: MAX_ARGUMENTS };
    let mut data = ptr::null_mut();
    // SAFETY: Node passes a living environment and call; the places are as large as said. What
    // was not passed is filled with `undefined`.
    let got = check(unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &mut call.count,
            call.arguments.as_mut_ptr(),
            ptr::null_mut(),
            &mut data,
        )
    });
    if got.is_err() {
        return ptr::null_mut();
    }
    // SAFETY: `data` is from `Scope::function`, and lives at least as long as the function that is
    // being called.
    let Bound { function, host } = unsafe { &*data.cast_const().cast::<Bound<H>>() };
    match caught(|| function(&call, host)) {
        Ok(value) => value.0,
        Err(fault) => {
            throw(&call.scope, fault);
            ptr::null_mut()
        }
    }
}

fn throw(scope: &Scope, fault: Fault) {
    let error = match fault {
        Fault::Ours(error) => error,
        Fault::Node if scope.is_exception_pending() => return,
        Fault::Node => Error::new(ErrorCode::InvalidArgument, "an argument has the wrong type"),
    };
    if let Ok(error) = scope.error(&error) {
        // SAFETY: the value is of an open scope.
        unsafe { sys::napi_throw(scope.0, error.0) };
    }
}

/// Gives what a function holds on to back when the function is collected.
///
/// # Safety
/// Only Node calls it, once, with data from `Box::into_raw` of a `Box<Bound<H>>`.
unsafe extern "C" fn release<H>(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: see above.
    let bound = unsafe { Box::from_raw(data.cast::<Bound<H>>()) };
    contained(|| drop(bound));
}

/// A value that is kept from collection until [`delete`](Self::delete).
struct Reference(sys::napi_ref);

impl Reference {
    fn new(scope: &Scope, value: Value<'_>) -> Result<Reference, Failure> {
        let mut reference = ptr::null_mut();
        // SAFETY: the value is of an open scope; the result is a place to write to.
        check(unsafe { sys::napi_create_reference(scope.0, value.0, 1, &mut reference) })?;
        Ok(Reference(reference))
    }

    fn get<'s>(&self, scope: &'s Scope) -> Result<Value<'s>, Failure> {
        // SAFETY: the reference was made in this environment and was not deleted: that takes
        // `self`.
        scope.make(|env, value| unsafe { sys::napi_get_reference_value(env, self.0, value) })
    }

    fn delete(self, env: Env) {
        // SAFETY: as above.
        unsafe { sys::napi_delete_reference(env.0, self.0) };
    }
}

/// What tools for asynchronous code show.
pub(super) const NAME: &[u8] = b"deepstream-connector";

/// A JavaScript function that the event loop calls.
pub struct Callback {
    function: Reference,
    receiver: Reference,
    context: sys::napi_async_context,
}

impl Callback {
    /// Keeps `function`.
    pub fn new(scope: &Scope, function: Value<'_>) -> Result<Callback, Failure> {
        let receiver = scope.object()?;
        let name = scope.ascii(NAME)?;
        let mut context = ptr::null_mut();
        // SAFETY: the values are of an open scope; the result is a place to write to.
        check(unsafe { sys::napi_async_init(scope.0, receiver.0, name.0, &mut context) })?;
        Ok(Callback {
            function: Reference::new(scope, function)?,
            receiver: Reference::new(scope, receiver)?,
            context,
        })
    }

    /// Calls it, then runs what it left to `process.nextTick` and promises. An exception is
    /// reported as uncaught.
    pub fn call(&self, scope: &Scope, arguments: &[Value<'_>]) -> Result<(), Failure> {
        let receiver = self.receiver.get(scope)?;
        let function = self.function.get(scope)?;
        // Deno writes it without asking whether it is wanted.
        let mut result = ptr::null_mut();
        // SAFETY: a `Value` is a `napi_value` and nothing else, all of them of open scopes; the
        // context lives until `delete`; the result is a place to write to.
        let called = check(unsafe {
            sys::napi_make_callback(
                scope.0,
                self.context,
                receiver.0,
                function.0,
                arguments.len(),
                arguments.as_ptr().cast(),
                &mut result,
            )
        });
        if called.is_err() && scope.is_exception_pending() {
            let mut exception = ptr::null_mut();
            // SAFETY: the result is a place to write to; the exception is of the open scope.
            unsafe {
                if check(sys::napi_get_and_clear_last_exception(scope.0, &mut exception)).is_ok() {
                    sys::napi_fatal_exception(scope.0, exception);
                }
            }
        }
        called
    }

    /// Lets go of the function.
    pub fn delete(self, env: Env) {
        // SAFETY: made in `new` for this environment and given up here.
        unsafe { sys::napi_async_destroy(env.0, self.context) };
        self.function.delete(env);
        self.receiver.delete(env);
    }
}

/// Memory of a `Float64Array` that both sides see.
pub struct Cells {
    array: Reference,
    start: *mut f64,
    length: usize,
}

impl Cells {
    /// Takes a `Float64Array` that nobody ever detaches.
    pub fn new(scope: &Scope, array: Value<'_>) -> Result<Cells, Failure> {
        let (mut kind, mut length) = (0, 0);
        let (mut start, mut buffer, mut offset) = (ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: the value is of an open scope; the results are places to write to.
        check(unsafe {
            sys::napi_get_typedarray_info(
                scope.0,
                array.0,
                &mut kind,
                &mut length,
                &mut start,
                &mut buffer,
                &mut offset,
            )
        })?;
        if kind != sys::TypedarrayType::float64_array || start.is_null() {
            return Err(Failure);
        }
        Ok(Cells { array: Reference::new(scope, array)?, start: start.cast(), length })
    }

    /// The numbers. No JavaScript can run while they are borrowed: that needs the owner of this.
    pub fn numbers(&mut self) -> &mut [f64] {
        // SAFETY: the array is kept by the reference, and an array's memory never moves; it was
        // checked to hold so many numbers.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }

    /// Lets go of the array.
    pub fn delete(self, env: Env) {
        self.array.delete(env);
    }
}

/// Somebody who has to know that the environment ends.
pub trait EnvironmentEnd: 'static {
    /// Lets go of everything. The environment waits until the hook is given back.
    fn environment_ends(&self);
}

/// A promise of the environment to tell when it ends, and to wait then until this is dropped.
pub struct CleanupHook(sys::napi_async_cleanup_hook_handle);

impl CleanupHook {
    /// Asks for it. `listener` is kept alive by whoever keeps the hook.
    pub fn new<L: EnvironmentEnd>(env: Env, listener: &Rc<L>) -> Result<CleanupHook, Failure> {
        let mut handle = ptr::null_mut();
        let data = Rc::as_ptr(listener).cast_mut().cast();
        // SAFETY: the environment lives; the listener outlives the hook, see `uv.rs`: it is held
        // until both handles are closed, and the hook is dropped right then.
        check(unsafe {
            sys::napi_add_async_cleanup_hook(env.0, Some(environment_ends::<L>), data, &mut handle)
        })?;
        Ok(CleanupHook(handle))
    }
}

impl Drop for CleanupHook {
    fn drop(&mut self) {
        // SAFETY: the handle is given up here. Before the environment's end that cancels the
        // hook, at its end it says that we are done.
        unsafe { sys::napi_remove_async_cleanup_hook(self.0) };
    }
}

/// # Safety
/// Only Node calls it, with the data of a hook that was not dropped.
unsafe extern "C" fn environment_ends<L: EnvironmentEnd>(
    _: sys::napi_async_cleanup_hook_handle,
    data: *mut c_void,
) {
    // SAFETY: see `CleanupHook::new`.
    let listener = unsafe { &*data.cast_const().cast::<L>() };
    contained(|| listener.environment_ends());
}

/// Runs code of ours at an end; a panic ends here, too. The panic hook has printed it, and nobody is
/// left who could be told.
pub(super) fn contained(body: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(body)));
}
