//! Completions that the host fetches: a reactor thread drives the engine, and no thread of ours runs anything of the
//! host's.

use std::os::raw::c_char;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::callback_mode::no_thread;
use super::error::{view, view_text};
use super::queue_types::{
    connector_completion_t, CONNECTOR_KIND_CLOSED, CONNECTOR_KIND_ERROR, CONNECTOR_KIND_LOG,
    CONNECTOR_KIND_NOTIFICATION, CONNECTOR_KIND_READY,
};
use super::ticket::{Callback, Ticket};
use super::types::connector_error_t;
use super::views::{list_pointer, many, text_pointer, views, ManyView, PageView};
use crate::core::{CompletionQueue, Delivery, Engine, Error, ErrorCode, Outcome, Reactor, Reply, Submitter};

pub(super) struct QueueMode {
    queue: CompletionQueue<Ticket>,
    reactor: Mutex<Option<Reactor>>,
    fetched: Mutex<Fetched>,
    /// The host has stopped it.
    is_stopped: AtomicBool,
}

/// What the last fetch has given the host, which may look at it until the next one.
#[derive(Default)]
struct Fetched {
    deliveries: Vec<Delivery<Ticket>>,
    many: Vec<ManyView>,
    pages: Vec<PageView>,
    texts: Vec<String>,
}

/// How the connector has ended, for its last completion.
pub(super) struct End {
    pub number: u64,
    /// Why that was not in an orderly way, if so.
    pub interrupted: Option<&'static str>,
}

impl QueueMode {
    pub fn new(engine: Engine<Ticket>) -> Result<QueueMode, Error> {
        let (queue, reactor) = CompletionQueue::start(engine).map_err(no_thread)?;
        Ok(QueueMode {
            queue,
            reactor: Mutex::new(Some(reactor)),
            fetched: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        })
    }

    /// Readable as long as there is something to fetch.
    pub fn fd(&self) -> Result<i32, Error> {
        self.queue.descriptor().map_err(no_thread)
    }

    /// Releases what the last fetch has given; then gives `put` at most `most` completions, with their places from 0
    /// on, and returns how many. Waits so long for the first one, without an end for `None`. `end` is called for the
    /// connector's last completion.
    pub fn fetch(
        &self,
        most: usize,
        patience: Option<Duration>,
        end: impl Fn() -> End,
        mut put: impl FnMut(usize, connector_completion_t),
    ) -> Result<usize, Error> {
        let mut fetched =
            match self.fetched.try_lock() {
                Ok(fetched) => fetched,
                // Lists of what is borrowed are whole at any moment.
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Err(Error::new(
                    ErrorCode::Busy,
                    "another thread is in connector_next of this connector; fetch on one thread at a time",
                )),
            };
        let Fetched { deliveries, many, pages, texts } = &mut *fetched;
        many.clear();
        pages.clear();
        texts.clear();
        deliveries.clear();
        if !self.queue.take(most, patience, deliveries) {
            return Err(Error::new(
                ErrorCode::Closed,
                "the connector has ended, and its last completion was fetched; free it",
            ));
        }
        for (place, delivery) in deliveries.iter().enumerate() {
            put(place, completion(delivery, &end, many, pages, texts));
        }
        Ok(deliveries.len())
    }

    /// Everything unanswered fails with `Closed`, at once.
    pub fn stop(&self, submitter: &Submitter<Ticket>) {
        self.is_stopped.store(true, Ordering::Relaxed);
        submitter.cancel();
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Waits for the reactor thread, which has no server to wait for then. What is not fetched goes with the connector.
    pub fn finish(&self, submitter: &Submitter<Ticket>) {
        submitter.cancel();
        let reactor = self.reactor().take();
        if let Some(reactor) = reactor {
            reactor.join();
        }
    }

    fn reactor(&self) -> MutexGuard<'_, Option<Reactor>> {
        // Assignments alone happen under it, so a poisoned one is whole.
        self.reactor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A delivery as the host sees it. It borrows from the delivery and the three lists.
fn completion(
    delivery: &Delivery<Ticket>,
    end: impl Fn() -> End,
    lists: &mut Vec<ManyView>,
    pages: &mut Vec<PageView>,
    texts: &mut Vec<String>,
) -> connector_completion_t {
    match delivery {
        Delivery::Completion(ticket, outcome) => {
            // A connector of this mode accepts no others.
            let Callback::Queued { kind, number } = ticket.callback else { return event(0) };
            let done = connector_completion_t { number, ..event(kind) };
            match outcome {
                Outcome::One(result) => one(done, result, pages, texts),
                Outcome::Many(_) => {
                    let view = ManyView::new(many(outcome));
                    let (results, count) = (list_pointer(view.pointers()), view.pointers().len());
                    let done = failed(done, view.first_error());
                    lists.push(view);
                    connector_completion_t { results, count, ..done }
                }
            }
        }
        Delivery::Ready => event(CONNECTOR_KIND_READY),
        Delivery::Failure { error, fatal } => {
            let failure = failed(event(CONNECTOR_KIND_ERROR), Some(&view(error)));
            connector_completion_t { fatal: *fatal, ..failure }
        }
        Delivery::Notification(channel, payload) => {
            let (channel, channel_length) = text(channel);
            let (data, data_length) = text(payload);
            let notification = event(CONNECTOR_KIND_NOTIFICATION);
            connector_completion_t { channel, channel_length, data, data_length, ..notification }
        }
        Delivery::Log(level, line) => {
            let (message, message_length) = text(line);
            let level = *level as i32;
            connector_completion_t { level, message, message_length, ..event(CONNECTOR_KIND_LOG) }
        }
        Delivery::Closed => {
            let End { number, interrupted } = end();
            let error = interrupted.map(|message| view_text(ErrorCode::Closed, message));
            failed(connector_completion_t { number, ..event(CONNECTOR_KIND_CLOSED) }, error.as_ref())
        }
    }
}

/// What became of an operation that is not on many keys.
fn one(
    done: connector_completion_t,
    result: &Result<Reply, Error>,
    pages: &mut Vec<PageView>,
    texts: &mut Vec<String>,
) -> connector_completion_t {
    match result {
        Ok(Reply::Page(page)) => {
            let view = PageView::new(page);
            let page = view.pointer();
            pages.push(view);
            connector_completion_t { page, ..done }
        }
        Ok(Reply::Answer(answer)) => {
            let answer = answer.to_string();
            let (data, data_length) = text(&answer);
            // Its bytes stay where they are when it moves.
            texts.push(answer);
            connector_completion_t { data, data_length, ..done }
        }
        _ => match views(result) {
            (None, Some(record)) => connector_completion_t {
                found: true,
                version: record.version,
                data: record.data,
                data_length: record.data_length,
                ..done
            },
            (error, _) => failed(done, error.as_ref()),
        },
    }
}

/// With an error, if there is one.
fn failed(done: connector_completion_t, error: Option<&connector_error_t>) -> connector_completion_t {
    let Some(error) = error else { return done };
    connector_completion_t {
        code: error.code,
        applied: error.applied,
        retryable: error.retryable,
        message: error.message,
        message_length: error.message_length,
        ..done
    }
}

fn text(text: &str) -> (*const c_char, usize) {
    (text_pointer(text.as_bytes()), text.len())
}

/// A completion of which nothing but the kind is to be said.
fn event(kind: i32) -> connector_completion_t {
    connector_completion_t {
        size: size_of::<connector_completion_t>(),
        kind,
        code: 0,
        number: 0,
        applied: 0,
        level: 0,
        retryable: false,
        fatal: false,
        found: false,
        version: 0,
        data: ptr::null(),
        data_length: 0,
        message: ptr::null(),
        message_length: 0,
        channel: ptr::null(),
        channel_length: 0,
        results: ptr::null(),
        count: 0,
        page: ptr::null(),
    }
}
