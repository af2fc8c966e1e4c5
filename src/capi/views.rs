//! Results as C sees them. Each view borrows from the result, which has to stay where it is as long as the view is used.

use std::os::raw::c_char;
use std::ptr;

use super::error::view;
use super::types::{
    connector_error_t, connector_named_record_t, connector_page_t, connector_record_t, connector_result_t,
};
use crate::core::{Error, Outcome, Page, Reply};

/// Where a list begins; NULL where it is empty. What Rust has there is no address, and a host that moves what is
/// on its stack, as Go's does, may take it for one.
pub(super) fn list_pointer<T>(list: &[T]) -> *const T {
    if list.is_empty() {
        ptr::null()
    } else {
        list.as_ptr()
    }
}

/// Where text begins; where it is empty that of some that never ends, so that NULL means that there is none.
pub(super) fn text_pointer(text: &[u8]) -> *const c_char {
    if text.is_empty() {
        c"".as_ptr()
    } else {
        text.as_ptr().cast()
    }
}

/// What there is of an error and a record in a result.
pub(super) fn views(
    result: &Result<Reply, Error>,
) -> (Option<connector_error_t>, Option<connector_record_t>) {
    let size = size_of::<connector_record_t>();
    match result {
        Ok(Reply::Record(Some(record))) => (
            None,
            Some(connector_record_t {
                size,
                version: record.version,
                data: record.data.as_ptr().cast(),
                data_length: record.data.len(),
            }),
        ),
        Ok(Reply::Version(Some(version))) => {
            (None, Some(connector_record_t { size, version: *version, data: ptr::null(), data_length: 0 }))
        }
        Ok(Reply::Record(None) | Reply::Version(None) | Reply::Done | Reply::Page(_) | Reply::Answer(_)) => {
            (None, None)
        }
        Err(error) => (Some(view(error)), None),
    }
}

/// A result, and what it points to.
struct View {
    result: connector_result_t,
    error: Option<connector_error_t>,
    record: Option<connector_record_t>,
}

/// The results of a request for many keys.
pub(super) struct ManyView {
    /// It has its full length from the start, so that what is pointed to does not move.
    list: Vec<View>,
    pointers: Vec<*const connector_result_t>,
}

impl ManyView {
    pub fn new(results: &[Result<Reply, Error>]) -> ManyView {
        let size = size_of::<connector_result_t>();
        let mut list: Vec<View> = Vec::with_capacity(results.len());
        list.extend(results.iter().map(views).map(|(error, record)| View {
            result: connector_result_t { size, error: ptr::null(), record: ptr::null() },
            error,
            record,
        }));
        for one in &mut list {
            one.result.error = pointer(one.error.as_ref());
            one.result.record = pointer(one.record.as_ref());
        }
        let pointers = list.iter().map(|one| &raw const one.result).collect();
        ManyView { list, pointers }
    }

    pub fn pointers(&self) -> &[*const connector_result_t] {
        &self.pointers
    }

    /// The error of the first key that has one.
    pub fn first_error(&self) -> Option<&connector_error_t> {
        self.list.iter().find_map(|one| one.error.as_ref())
    }
}

/// A page of records.
pub(super) struct PageView {
    /// One element, which does not move when the view does.
    page: Vec<connector_page_t>,
    /// What the page points to, and what that points to.
    _pointers: Vec<*const connector_named_record_t>,
    _records: Vec<connector_named_record_t>,
}

impl PageView {
    pub fn new(page: &Page) -> PageView {
        let records: Vec<_> = page
            .records
            .iter()
            .map(|(key, record)| connector_named_record_t {
                size: size_of::<connector_named_record_t>(),
                key: key.as_ptr().cast(),
                key_length: key.len(),
                version: record.version,
                data: record.data.as_ptr().cast(),
                data_length: record.data.len(),
            })
            .collect();
        let pointers: Vec<_> = records.iter().map(ptr::from_ref).collect();
        let page = vec![connector_page_t {
            size: size_of::<connector_page_t>(),
            records: list_pointer(&pointers),
            count: records.len(),
            cursor: page.next.as_ref().map_or(ptr::null(), |next| next.as_ptr().cast()),
            cursor_length: page.next.as_ref().map_or(0, String::len),
        }];
        PageView { page, _pointers: pointers, _records: records }
    }

    pub fn pointer(&self) -> *const connector_page_t {
        self.page.as_ptr()
    }
}

pub(super) fn pointer<T>(value: Option<&T>) -> *const T {
    value.map_or(ptr::null(), ptr::from_ref)
}

/// The answer to a request that is not for many keys.
pub(super) fn one(outcome: &Outcome) -> &Result<Reply, Error> {
    many(outcome).first().unwrap_or(&Ok(Reply::Done))
}

pub(super) fn many(outcome: &Outcome) -> &[Result<Reply, Error>] {
    match outcome {
        Outcome::One(result) => std::slice::from_ref(result),
        Outcome::Many(results) => results,
    }
}
