//! The way in: a bounded queue that any thread may fill and the engine empties.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::admission::{Admission, Weight};
use super::backend::Listing;
use super::clock::Clock;
use super::error::{Error, ErrorCode};
use super::options::EngineOptions;
use super::record::{check_key, Key};
use super::request::{Body, Operation, Question, Request};
use super::stats::Statistics;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// What the engine and its submitters share.
pub(super) struct Shared<T> {
    inbox: Mutex<Inbox<T>>,
    /// What was accepted and not yet handed out to the host.
    pub admission: Arc<Admission>,
    pub clock: Clock,
    /// The connection stands.
    pub ready: AtomicBool,
    pub statistics: Mutex<Statistics>,
    timeout: Duration,
}

/// A queue that grew beyond so many requests gives its memory back once it is empty.
const MAX_KEPT_REQUESTS: usize = 1 << 14;

struct Inbox<T> {
    requests: VecDeque<Request<T>>,
    /// The engine was woken for them.
    is_announced: bool,
    ending: Ending,
}

/// How the connector shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It goes on.
    Open,
    /// Nothing new; what was accepted may finish until then.
    Draining(Instant),
    /// Everything unanswered fails at once.
    Cancelled,
}

impl<T> Shared<T> {
    pub fn new(options: &EngineOptions, clock: Clock) -> Shared<T> {
        Shared {
            inbox: Mutex::new(Inbox { requests: VecDeque::new(), is_announced: false, ending: Ending::Open }),
            admission: Arc::new(Admission::new(options.max_in_flight, options.max_bytes_in_flight)),
            clock,
            ready: AtomicBool::new(false),
            statistics: Mutex::new(Statistics::new()),
            timeout: options.timeout,
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox<T>> {
        // Nothing in here panics half-way, so a poisoned queue is still a whole one.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room, or says why there is none.
    fn admit(&self, inbox: &Inbox<T>, weight: Weight) -> Result<(), Error> {
        if inbox.ending != Ending::Open {
            return Err(Error::new(ErrorCode::Closed, "the connector is closed; nothing new is accepted"));
        }
        self.admission.admit(weight)
    }

    pub fn statistics(&self) -> MutexGuard<'_, Statistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Swaps the waiting requests into `into`, if that is empty, and tells how to go on.
    pub fn take_requests(&self, into: &mut VecDeque<Request<T>>) -> Ending {
        let mut inbox = self.inbox();
        if into.is_empty() {
            if into.capacity() > MAX_KEPT_REQUESTS {
                *into = VecDeque::new();
            }
            std::mem::swap(&mut inbox.requests, into);
            inbox.is_announced = false;
        }
        inbox.ending
    }

    /// Refuses new requests from now on; for an engine that has ended by itself.
    pub fn shut(&self) {
        self.inbox().ending = Ending::Cancelled;
    }
}

/// Hands requests to the engine. Clones submit to the same engine; any thread may use one.
pub struct Submitter<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Submitter<T> {
    fn clone(&self) -> Self {
        Submitter { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Submitter<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Submitter<T> {
        Submitter { shared }
    }

    /// Submits an operation on one key and wakes the engine. `timeout` replaces the
    /// connector's own; the clock starts now.
    ///
    /// # Errors
    /// `InvalidArgument` for a bad key, `Busy` at the limit, `Closed` after `close`: the request
    /// was not accepted, its ticket is dropped and there will be no completion.
    pub fn submit(
        &self,
        key: Key,
        operation: Operation,
        ticket: T,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        self.submit_quietly(key, operation, ticket, timeout)?;
        self.announce();
        Ok(())
    }

    /// Like [`submit`](Self::submit), for a host that drives the engine itself and will turn it
    /// soon, or that will [`announce`](Self::announce) several at once: the engine is not woken.
    pub fn submit_quietly(
        &self,
        key: Key,
        operation: Operation,
        ticket: T,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        check_key(&key)?;
        let weight = Weight { operations: 1, bytes: operation.bytes(&key) };
        self.push(weight, Body::One(key, operation), ticket, timeout)
    }

    /// Submits many requests for one key each at once. Those that are not accepted are given to
    /// `refused`, for the reasons for which [`submit`](Self::submit) fails. The engine is not
    /// woken.
    pub fn submit_each_quietly(&self, requests: Vec<(T, Key, Operation)>, mut refused: impl FnMut(T, Error)) {
        let shared = &*self.shared;
        let submitted = shared.clock.now();
        let deadline = submitted + shared.timeout;
        let mut inbox = shared.inbox();
        for (ticket, key, operation) in requests {
            let weight = Weight { operations: 1, bytes: operation.bytes(&key) };
            match check_key(&key).and_then(|()| shared.admit(&inbox, weight)) {
                Ok(()) => {
                    let body = Body::One(key, operation);
                    inbox.requests.push_back(Request { ticket, submitted, deadline, weight, body });
                }
                Err(error) => refused(ticket, error),
            }
        }
    }

    /// Submits operations on many keys that are answered together, and wakes the engine. An
    /// empty list is answered with an empty list.
    ///
    /// # Errors
    /// As for [`submit`](Self::submit); then no operation of the list is carried out.
    pub fn submit_many(
        &self,
        entries: Vec<(Key, Operation)>,
        ticket: T,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        self.submit_many_quietly(entries, ticket, timeout)?;
        self.announce();
        Ok(())
    }

    /// Like [`submit_many`](Self::submit_many), without waking the engine.
    pub fn submit_many_quietly(
        &self,
        entries: Vec<(Key, Operation)>,
        ticket: T,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        let mut weight = Weight { operations: entries.len(), bytes: 0 };
        for (key, operation) in &entries {
            check_key(key)?;
            weight.bytes += operation.bytes(key);
        }
        self.push(weight, Body::Many(entries), ticket, timeout)
    }

    /// Asks something that is of no one key, and wakes the engine. The answer says nothing of
    /// operations that are under way.
    ///
    /// # Errors
    /// As for [`submit`](Self::submit); `InvalidArgument` for a page without room.
    pub fn ask(&self, question: Question, ticket: T, timeout: Option<Duration>) -> Result<(), Error> {
        self.ask_quietly(question, ticket, timeout)?;
        self.announce();
        Ok(())
    }

    /// Like [`ask`](Self::ask), without waking the engine.
    pub fn ask_quietly(&self, question: Question, ticket: T, timeout: Option<Duration>) -> Result<(), Error> {
        if matches!(question, Question::Scan(Listing { limit: 0, .. })) {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "the limit of a scan is 0; give the most records that a page may have, such as 1000",
            ));
        }
        self.push(Weight { operations: 1, bytes: 0 }, Body::Ask(question), ticket, timeout)
    }

    fn push(&self, weight: Weight, body: Body, ticket: T, timeout: Option<Duration>) -> Result<(), Error> {
        let shared = &*self.shared;
        let submitted = shared.clock.now();
        let deadline = submitted + timeout.unwrap_or(shared.timeout);
        let mut inbox = shared.inbox();
        shared.admit(&inbox, weight)?;
        inbox.requests.push_back(Request { ticket, submitted, deadline, weight, body });
        Ok(())
    }

    /// Wakes the engine, unless it has seen everything or was woken for it before.
    pub fn announce(&self) {
        let mut inbox = self.shared.inbox();
        let is_needed = !inbox.requests.is_empty() && !std::mem::replace(&mut inbox.is_announced, true);
        drop(inbox);
        if is_needed {
            self.shared.admission.waker.wake();
        }
    }

    /// Whether there is something for which the engine was not woken.
    pub fn is_unannounced(&self) -> bool {
        let inbox = self.shared.inbox();
        !inbox.requests.is_empty() && !inbox.is_announced
    }

    /// Stops intake. What was accepted may finish until `grace` has passed and fails then with
    /// `Closed`; after that the engine ends with `Delivery::Closed`.
    pub fn close(&self, grace: Duration) {
        let mut inbox = self.shared.inbox();
        if inbox.ending == Ending::Open {
            inbox.ending = Ending::Draining(self.shared.clock.now() + grace);
        }
        drop(inbox);
        self.shared.admission.waker.wake();
    }

    /// Stops intake and fails everything unanswered with `Closed`, at once.
    pub fn cancel(&self) {
        self.shared.inbox().ending = Ending::Cancelled;
        self.shared.admission.waker.wake();
    }

    /// Whether the connection stands at this moment; no longer from [`cancel`](Self::cancel) on,
    /// though the engine may be about to see it.
    pub fn is_ready(&self) -> bool {
        self.shared.ready.load(Ordering::Acquire) && self.shared.inbox().ending != Ending::Cancelled
    }

    /// How many operations were accepted and not yet handed out to the host.
    pub fn in_flight(&self) -> usize {
        self.shared.admission.operations()
    }

    /// How many bytes they take, with keys, data and answers.
    pub fn bytes_in_flight(&self) -> usize {
        self.shared.admission.bytes()
    }

    /// The statistics as one JSON object; see [`Statistics`].
    pub fn statistics_json(&self) -> String {
        let ready = self.is_ready();
        self.shared.statistics().to_json(&self.shared.admission, ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::record::Record;

    fn submitter() -> Submitter<u32> {
        let shared = Shared::new(&EngineOptions::default(), Clock::system());
        shared.ready.store(true, Ordering::Release);
        Submitter::new(Arc::new(shared))
    }

    #[test]
    fn what_is_cancelled_is_not_ready_before_the_engine_sees_it() {
        let submitter = submitter();
        assert!(submitter.is_ready());
        submitter.cancel();
        assert!(!submitter.is_ready());
    }

    #[test]
    fn a_bulk_larger_than_the_limit_is_no_case_for_waiting() {
        let options = EngineOptions { max_in_flight: 2, ..EngineOptions::default() };
        let submitter = Submitter::<u32>::new(Arc::new(Shared::new(&options, Clock::system())));
        let gets = |count: usize| (0..count).map(|key| (format!("k{key}").into(), Operation::Get)).collect();
        let error = submitter.submit_many(gets(3), 1, None).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::InvalidArgument, false));
        assert!(error.message().contains("maxInFlight is 2"), "{error}");
        submitter.submit_many(gets(2), 2, None).unwrap();
        let error = submitter.submit_many(gets(2), 3, None).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Busy, true));
    }

    #[test]
    fn bytes_count_as_well_as_operations() {
        let options = EngineOptions { max_bytes_in_flight: 100, ..EngineOptions::default() };
        let submitter = Submitter::<u32>::new(Arc::new(Shared::new(&options, Clock::system())));
        let set = |size: usize| Operation::Set(Record { version: 1, data: "x".repeat(size).into() });
        submitter.submit("a".into(), set(59), 1, None).unwrap();
        assert_eq!((submitter.in_flight(), submitter.bytes_in_flight()), (1, 60));
        let error = submitter.submit("b".into(), set(40), 2, None).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Busy, true));
        assert!(error.message().contains("maxBytesInFlight is 100"), "{error}");
        let error = submitter.submit("b".into(), set(100), 3, None).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::InvalidArgument, false));
        let all = EngineOptions { max_in_flight: 1, max_bytes_in_flight: 10, ..EngineOptions::default() };
        let full = Submitter::<u32>::new(Arc::new(Shared::new(&all, Clock::system())));
        full.submit("a".into(), set(1), 1, None).unwrap();
        let error = full.submit("b".into(), set(10), 2, None).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "it can never be taken: {error}");
        submitter.submit("b".into(), set(39), 4, None).unwrap();
        assert_eq!((submitter.in_flight(), submitter.bytes_in_flight()), (2, 100));
    }

    #[test]
    fn what_finishes_its_work_is_ready_until_then() {
        let submitter = submitter();
        submitter.close(Duration::from_secs(1));
        assert!(submitter.is_ready());
    }
}
