//! The only place where raw pointers become references and owned values, and back.
//!
//! Whoever calls an `unsafe` function of this file passes on what the header demands of the
//! host: pointers are NULL or valid for what they are given for.

// `clippy.toml` forbids these everywhere else.
#![allow(clippy::disallowed_methods)]

use std::ffi::CString;
use std::os::raw::{c_char, c_void};
use std::ptr;
use std::sync::Arc;

use bytes::Bytes;

use super::handle::Connector;
use super::queue_types::{
    connector_completion_t, connector_operation_t, CONNECTOR_KIND_COMMAND, CONNECTOR_KIND_DELETE,
    CONNECTOR_KIND_DELETE_MANY, CONNECTOR_KIND_GET, CONNECTOR_KIND_GET_MANY, CONNECTOR_KIND_HEAD,
    CONNECTOR_KIND_HEAD_MANY, CONNECTOR_KIND_SCAN, CONNECTOR_KIND_SET, CONNECTOR_KIND_SET_MANY,
};
use super::types::{connector_entry_t, connector_events_t, connector_key_t, connector_t};
use crate::core::{check_document, Error, ErrorCode, Key, Listing, Operation, Question, Record};

/// No struct of this interface will ever be larger; a larger size is an uninitialised one.
const LARGEST_STRUCT: usize = 4096;

/// How many elements an array is given room for before they have been seen.
const TRUSTED_COUNT: usize = 1 << 16;

/// Gives the host, or a thread, its share of a connector.
pub(super) fn give_connector(connector: Arc<Connector>) -> *mut connector_t {
    Arc::into_raw(connector).cast_mut().cast()
}

/// A connector that the host names.
///
/// # Safety
/// `pointer` is NULL or comes from [`give_connector`], and that share lives during `'a`.
pub(super) unsafe fn connector<'a>(pointer: *const connector_t) -> Result<&'a Connector, Error> {
    // SAFETY: by this function's contract it is NULL or points to a connector that lives.
    unsafe { pointer.cast::<Connector>().as_ref() }
        .ok_or_else(|| invalid("the connector is NULL; give one from connector_create".into()))
}

/// One more share of a connector.
///
/// # Safety
/// `pointer` comes from [`give_connector`], and that share lives.
pub(super) unsafe fn share_connector(pointer: *const connector_t) -> *mut connector_t {
    // SAFETY: the pointer comes from `Arc::into_raw` and its share lives, so the count is not 0.
    unsafe { Arc::increment_strong_count(pointer.cast::<Connector>()) };
    pointer.cast_mut()
}

/// Takes a share back.
///
/// # Safety
/// `pointer` comes from [`give_connector`] or [`share_connector`] and is taken once.
pub(super) unsafe fn take_connector(pointer: *const connector_t) -> Arc<Connector> {
    // SAFETY: this share was given away by `Arc::into_raw` or counted since, and is used up here.
    unsafe { Arc::from_raw(pointer.cast::<Connector>()) }
}

/// Gives the host a string that it returns to [`take_string`].
pub(super) fn give_string(text: String) -> Result<*mut c_char, Error> {
    let text = CString::new(text)
        .map_err(|_| Error::new(ErrorCode::Panic, "a text of the library holds a NUL; this is a bug"))?;
    Ok(text.into_raw())
}

/// Releases a string.
///
/// # Safety
/// `pointer` is NULL or comes from [`give_string`] and is taken once.
pub(super) unsafe fn take_string(pointer: *mut c_char) {
    if !pointer.is_null() {
        // SAFETY: by this function's contract it comes from `CString::into_raw`, unchanged.
        drop(unsafe { CString::from_raw(pointer) });
    }
}

/// Refuses an output argument that is NULL.
pub(super) fn check_output<T>(out: *mut T, name: &str) -> Result<(), Error> {
    if out.is_null() {
        return Err(invalid(format!("the output argument {name} is NULL; give the address of a variable")));
    }
    Ok(())
}

/// Writes to an output argument, unless it is NULL.
///
/// # Safety
/// `out` is NULL or may be written to.
pub(super) unsafe fn put<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: by this function's contract there is room for a `T`, aligned or not.
        unsafe { out.write_unaligned(value) };
    }
}

/// The bytes of an input argument.
///
/// # Safety
/// `pointer` is NULL or has `length` bytes that do not change during `'a`.
pub(super) unsafe fn bytes<'a>(pointer: *const c_char, length: usize, name: &str) -> Result<&'a [u8], Error> {
    if pointer.is_null() {
        if length == 0 {
            return Ok(&[]);
        }
        return Err(invalid(format!("the {name} is NULL but its length is {length}")));
    }
    if isize::try_from(length).is_err() {
        return Err(invalid(format!("the {name} has {length} bytes, which no memory holds")));
    }
    // SAFETY: not NULL, of a possible length, and valid by this function's contract.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
}

/// A copy of a key. Its length is checked by the engine.
///
/// # Safety
/// As for [`bytes`].
pub(super) unsafe fn key(pointer: *const c_char, length: usize) -> Result<Key, Error> {
    // SAFETY: the same contract.
    let bytes = unsafe { bytes(pointer, length, "key") }?;
    Ok(text(bytes, "key")?.into())
}

/// A copy of a record, whose data is seen to be JSON.
///
/// # Safety
/// As for [`bytes`].
pub(super) unsafe fn record(version: i64, pointer: *const c_char, length: usize) -> Result<Record, Error> {
    // SAFETY: the same contract.
    let bytes = unsafe { bytes(pointer, length, "data") }?;
    check_document(bytes)?;
    Ok(Record { version, data: Bytes::copy_from_slice(bytes) })
}

/// Structs that hosts fill in. They start with their size.
///
/// # Safety
/// The type is `repr(C)`, its first field is its size as a `usize`, and all zeroes are a value.
pub(super) unsafe trait Extensible: Copy {
    /// The size of its first version, which every host has.
    const SMALLEST: usize;
    const NAME: &'static str;
}

// SAFETY: `repr(C)`, size first; NULL pointers and absent callbacks are zeroes.
unsafe impl Extensible for connector_events_t {
    const SMALLEST: usize = 5 * size_of::<usize>();
    const NAME: &'static str = "connector_events_t";
}

// SAFETY: `repr(C)`, size first; a NULL pointer and a length are zeroes.
unsafe impl Extensible for connector_key_t {
    const SMALLEST: usize = size_of::<connector_key_t>();
    const NAME: &'static str = "connector_key_t";
}

// SAFETY: `repr(C)`, size first; NULL pointers and numbers are zeroes.
unsafe impl Extensible for connector_entry_t {
    const SMALLEST: usize = size_of::<connector_entry_t>();
    const NAME: &'static str = "connector_entry_t";
}

// SAFETY: `repr(C)`, size first; NULL pointers and numbers are zeroes.
unsafe impl Extensible for connector_operation_t {
    const SMALLEST: usize = size_of::<connector_operation_t>();
    const NAME: &'static str = "connector_operation_t";
}

// SAFETY: `repr(C)`, size first; NULL pointers, numbers and flags are zeroes.
unsafe impl Extensible for connector_completion_t {
    const SMALLEST: usize = size_of::<connector_completion_t>();
    const NAME: &'static str = "connector_completion_t";
}

/// The size that a struct gives itself, if it is a possible one.
///
/// # Safety
/// `pointer` has at least a `usize`.
unsafe fn declared_size<T: Extensible>(pointer: *const T) -> Result<usize, Error> {
    // SAFETY: the size is the first field, and is there by this function's contract.
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    check_size::<T>(size)?;
    Ok(size)
}

fn check_size<T: Extensible>(size: usize) -> Result<(), Error> {
    if !(T::SMALLEST..=LARGEST_STRUCT).contains(&size) {
        return Err(invalid(format!("the size of a {0} is {size}; set it to sizeof({0})", T::NAME)));
    }
    Ok(())
}

/// Copies a struct by the size that it gives itself: fields that the host lacks are zeroes, and
/// fields that we lack must be.
///
/// # Safety
/// `pointer` has as many bytes as the struct's first field says.
unsafe fn extensible<T: Extensible>(pointer: *const T) -> Result<T, Error> {
    // SAFETY: the first field is there.
    let size = unsafe { declared_size(pointer) }?;
    // SAFETY: all zeroes are a value of a `T` by the trait's contract.
    let mut copy: T = unsafe { std::mem::zeroed() };
    let known = size.min(size_of::<T>());
    // SAFETY: `known` is within both by its making, and a local does not overlap the host's.
    unsafe { ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut copy).cast::<u8>(), known) };
    // SAFETY: the rest, up to `size`, is the host's by this function's contract.
    let unknown = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if unknown.iter().any(|&byte| byte != 0) {
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!("a field of {} is set that this version of the library does not have", T::NAME),
        ));
    }
    Ok(copy)
}

/// The elements of an array, one after the other by the size of the first.
///
/// # Safety
/// `pointer` is NULL or has `count` structs, each as [`extensible`] demands.
pub(super) unsafe fn elements<T: Extensible>(
    pointer: *const T,
    count: usize,
) -> Result<impl Iterator<Item = Result<T, Error>>, Error> {
    let stride = match (count, pointer.is_null()) {
        (0, _) => 0,
        (_, true) => return Err(invalid(format!("the array of {} is NULL but has {count}", T::NAME))),
        // SAFETY: there is at least one element.
        (_, false) => unsafe { declared_size(pointer) }?,
    };
    check_extent::<T>(count, stride)?;
    Ok((0..count).map(move |index| {
        // SAFETY: within the array, whose bytes were just seen to be countable.
        let element = unsafe { pointer.byte_add(index * stride) };
        // SAFETY: every element has its size field; the array's contract.
        if unsafe { declared_size(element) }? != stride {
            return Err(invalid(format!("the sizes in an array of {} differ", T::NAME)));
        }
        // SAFETY: the array's contract.
        unsafe { extensible(element) }
    }))
}

fn check_extent<T: Extensible>(count: usize, stride: usize) -> Result<(), Error> {
    if count.checked_mul(stride).is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err(invalid(format!("no memory holds {count} {}", T::NAME)));
    }
    Ok(())
}

/// An array of the host's that is filled in, one struct after the other by the host's size of them.
pub(super) struct Places<T> {
    first: *mut T,
    stride: usize,
}

impl<T: Extensible> Places<T> {
    pub fn new(first: *mut T, stride: usize, capacity: usize) -> Result<Places<T>, Error> {
        check_size::<T>(stride)?;
        check_extent::<T>(capacity, stride)?;
        match (first.is_null(), capacity) {
            (true, _) => Err(invalid(format!("the array of {} is NULL; give one", T::NAME))),
            (_, 0) => Err(invalid(format!("the array of {} has no room; give it some", T::NAME))),
            _ => Ok(Places { first, stride }),
        }
    }

    /// Fills one in: fields that the host does not have are left out, and those that we do not have are zeroes.
    ///
    /// # Safety
    /// The array has that place, and it may be written to.
    pub unsafe fn put(&self, place: usize, value: T) {
        // SAFETY: within the array by this function's contract, and its extent was seen to be possible.
        let at = unsafe { self.first.byte_add(place * self.stride) }.cast::<u8>();
        let known = self.stride.min(size_of::<T>());
        // SAFETY: there are `stride` bytes for it, of which `known` are not more.
        unsafe { ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), at, known) };
        // SAFETY: as above; the rest of them. The size is the first field, which is in every version.
        unsafe {
            ptr::write_bytes(at.add(known), 0, self.stride - known);
            at.cast::<usize>().write_unaligned(known);
        }
    }
}

/// The host's events; NULL means that nobody listens.
///
/// # Safety
/// `pointer` is NULL or has as many bytes as its first field says.
pub(super) unsafe fn events(pointer: *const connector_events_t) -> Result<connector_events_t, Error> {
    if pointer.is_null() {
        let size = size_of::<connector_events_t>();
        return Ok(connector_events_t {
            size,
            userdata: ptr::null_mut(),
            ready: None,
            error: None,
            log: None,
            notification: None,
        });
    }
    // SAFETY: not NULL; the same contract.
    unsafe { extensible(pointer) }
}

/// The same operation on each key of an array.
///
/// # Safety
/// `pointer` is NULL or has `count` keys, whose pointers are as for [`bytes`].
pub(super) unsafe fn operations(
    pointer: *const connector_key_t,
    count: usize,
    operation: &Operation,
) -> Result<Vec<(Key, Operation)>, Error> {
    let mut list = Vec::with_capacity(count.min(TRUSTED_COUNT));
    // SAFETY: the same contract.
    for element in unsafe { elements(pointer, count) }? {
        let element = element?;
        // SAFETY: the same contract.
        list.push((unsafe { key(element.key, element.key_length) }?, operation.clone()));
    }
    Ok(list)
}

/// The writes of an array.
///
/// # Safety
/// `pointer` is NULL or has `count` entries, whose pointers are as for [`bytes`].
pub(super) unsafe fn writes(
    pointer: *const connector_entry_t,
    count: usize,
) -> Result<Vec<(Key, Operation)>, Error> {
    let mut list = Vec::with_capacity(count.min(TRUSTED_COUNT));
    // SAFETY: the same contract.
    for element in unsafe { elements(pointer, count) }? {
        let element = element?;
        // SAFETY: the same contract.
        let key = unsafe { key(element.key, element.key_length) }?;
        // SAFETY: the same contract.
        let record = unsafe { record(element.version, element.data, element.data_length) }?;
        list.push((key, Operation::Set(record)));
    }
    Ok(list)
}

/// Which page of all records: `prefix` and `cursor` may be NULL.
///
/// # Safety
/// As for [`bytes`], twice.
pub(super) unsafe fn listing(
    (prefix, prefix_length): (*const c_char, usize),
    (cursor, cursor_length): (*const c_char, usize),
    limit: usize,
) -> Result<Question, Error> {
    // SAFETY: the same contract.
    let prefix = unsafe { optional_text(prefix, prefix_length, "prefix") }?.unwrap_or_default();
    // SAFETY: the same contract.
    let cursor = unsafe { optional_text(cursor, cursor_length, "cursor") }?;
    Ok(Question::Scan(Listing { prefix, cursor, limit }))
}

/// Text that may be NULL.
///
/// # Safety
/// As for [`bytes`].
unsafe fn optional_text(start: *const c_char, length: usize, what: &str) -> Result<Option<String>, Error> {
    if start.is_null() && length == 0 {
        return Ok(None);
    }
    // SAFETY: the same contract.
    Ok(Some(text(unsafe { bytes(start, length, what) }?, what)?.to_owned()))
}

/// Something to ask: a command of the backend's own.
///
/// # Safety
/// As for [`bytes`], twice.
pub(super) unsafe fn command(
    name: *const c_char,
    name_length: usize,
    arguments: *const c_char,
    arguments_length: usize,
) -> Result<Question, Error> {
    // SAFETY: the same contract.
    let (name, arguments) =
        unsafe { (bytes(name, name_length, "name")?, bytes(arguments, arguments_length, "arguments")?) };
    Question::command(text(name, "name")?, arguments)
}

/// What an operation for a completion queue asks for.
pub(super) enum Wanted {
    One(Key, Operation),
    Many(Vec<(Key, Operation)>),
    Answer(Question),
}

/// A copy of what an operation asks for.
///
/// # Safety
/// The pointers that its kind names are as for [`bytes`], [`operations`] and [`writes`].
pub(super) unsafe fn wanted(operation: &connector_operation_t) -> Result<Wanted, Error> {
    let &connector_operation_t { key: text, key_length, version, data, data_length, count, keys, .. } =
        operation;
    // SAFETY: the same contract.
    let one = |operation| Ok(Wanted::One(unsafe { key(text, key_length) }?, operation));
    // SAFETY: the same contract.
    let many = |operation| Ok(Wanted::Many(unsafe { operations(keys, count, &operation) }?));
    match operation.kind {
        CONNECTOR_KIND_GET => one(Operation::Get),
        CONNECTOR_KIND_HEAD => one(Operation::Head),
        CONNECTOR_KIND_DELETE => one(Operation::Delete),
        // SAFETY: the same contract.
        CONNECTOR_KIND_SET => one(Operation::Set(unsafe { record(version, data, data_length) }?)),
        CONNECTOR_KIND_GET_MANY => many(Operation::Get),
        CONNECTOR_KIND_HEAD_MANY => many(Operation::Head),
        CONNECTOR_KIND_DELETE_MANY => many(Operation::Delete),
        // SAFETY: the same contract.
        CONNECTOR_KIND_SET_MANY => Ok(Wanted::Many(unsafe { writes(operation.entries, count) }?)),
        CONNECTOR_KIND_SCAN => {
            // SAFETY: the same contract.
            Ok(Wanted::Answer(unsafe { listing((data, data_length), (text, key_length), count) }?))
        }
        CONNECTOR_KIND_COMMAND => {
            // SAFETY: the same contract.
            Ok(Wanted::Answer(unsafe { command(text, key_length, data, data_length) }?))
        }
        0 => Err(invalid("the kind of an operation is 0; set it to a CONNECTOR_KIND_* number".into())),
        kind => Err(Error::new(
            ErrorCode::Unsupported,
            format!("no operation of this version has the kind {kind}; take a CONNECTOR_KIND_* number"),
        )),
    }
}

fn text<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|error| {
        invalid(format!("the {what} is not UTF-8 (byte {}); give text in UTF-8", error.valid_up_to()))
    })
}

/// What a thread is given to start with.
pub(super) fn thread_argument(connector: Arc<Connector>) -> *mut c_void {
    give_connector(connector).cast()
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> connector_key_t {
        connector_key_t {
            size: size_of::<connector_key_t>(),
            key: text.as_ptr().cast(),
            key_length: text.len(),
        }
    }

    #[test]
    fn what_a_newer_host_leaves_empty_is_taken_and_what_it_sets_is_refused() {
        #[repr(C)]
        struct Newer {
            known: connector_key_t,
            added: usize,
        }
        let mut newer = [Newer { known: given("a"), added: 0 }, Newer { known: given("b"), added: 0 }];
        for element in &mut newer {
            element.known.size = size_of::<Newer>();
        }
        // SAFETY: two elements of the size that they give themselves.
        let keys = unsafe { operations(newer.as_ptr().cast(), 2, &Operation::Get) }.unwrap();
        assert_eq!(keys.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["a", "b"]);
        newer[1].added = 1;
        // SAFETY: as above.
        let error = unsafe { operations(newer.as_ptr().cast(), 2, &Operation::Get) }.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported);
    }

    #[test]
    fn impossible_sizes_and_pointers_are_refused() {
        let mut keys = [given("a"), given("b")];
        for size in [0, 8, usize::MAX] {
            keys[0].size = size;
            // SAFETY: the size is refused before anything is read by it.
            assert!(unsafe { operations(keys.as_ptr(), 2, &Operation::Get) }.is_err());
        }
        keys[0].size = size_of::<connector_key_t>();
        keys[1].size += 8;
        // SAFETY: as above.
        assert!(unsafe { operations(keys.as_ptr(), 2, &Operation::Get) }.is_err());
        // SAFETY: NULL is allowed.
        assert!(unsafe { operations(ptr::null(), 1, &Operation::Get) }.is_err());
        // SAFETY: NULL is allowed.
        assert!(unsafe { operations(ptr::null(), 0, &Operation::Get) }.unwrap().is_empty());
        // SAFETY: the length is refused before anything is read by it.
        assert!(unsafe { bytes(c"x".as_ptr(), usize::MAX, "key") }.is_err());
        // SAFETY: NULL is allowed.
        assert!(unsafe { key(ptr::null(), 1) }.is_err());
        // SAFETY: one valid byte that is not UTF-8.
        assert!(unsafe { key(c"\xff".as_ptr(), 1) }.is_err());
    }
}
