//! The way in: a bounded queue that any thread may fill and the engine empties.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

use super::error::{Error, ErrorCode};
use super::options::EngineOptions;

use super::record::{check_key, Key};
use super::request::{Body, Operation, Question, Request};
use super::stats::Statistics;

/// What the engine and its submitters share.
pub(super) struct Shared<T> {
    inbox: Mutex<Inbox<T>>,
    /// Operations accepted and not yet answered; one per key of a bulk request.
    pub in_flight: AtomicUsize,
    /// The connection stands.
    pub ready: AtomicBool,
    /// Wakes whoever drives the engine.
    pub waker: AtomicWaker,
    pub statistics: Mutex<Statistics>,
    max_in_flight: usize,
    timeout: Duration,
}

struct Inbox<T> {
    requests: VecDeque<Request<T>>,
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
    pub fn new(options: &EngineOptions) -> Shared<T> {
        Shared {
            inbox: Mutex::new(Inbox { requests: VecDeque::new(), ending: Ending::Open }),
            in_flight: AtomicUsize::new(0),
            ready: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            statistics: Mutex::new(Statistics::new()),
            max_in_flight: options.max_in_flight,
            timeout: options.timeout,
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox<T>> {
        // Nothing in here panics half-way, so a poisoned queue is still a whole one.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for so many operations, or says why there is none.
    fn admit(&self, inbox: &Inbox<T>, operations: usize) -> Result<(), Error> {
        if inbox.ending != Ending::Open {
            return Err(Error::new(ErrorCode::Closed, "the connector is closed; nothing new is accepted"));
        }
        if operations > self.max_in_flight {
            // To wait for others does not help.
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!(
                    "the request is for {operations} operations and maxInFlight is {}; split it, or raise maxInFlight",
                    self.max_in_flight
                ),
            ));
        }
        let waiting = self.in_flight.load(Ordering::Relaxed);
        if waiting + operations > self.max_in_flight {
            return Err(Error::new(
                ErrorCode::Busy,
                format!(
                    "{waiting} operations are waiting already and maxInFlight is {}; wait for some of them",
                    self.max_in_flight
                ),
            ));
        }
        self.in_flight.fetch_add(operations, Ordering::Relaxed);
        Ok(())
    }

    pub fn statistics(&self) -> MutexGuard<'_, Statistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Swaps the waiting requests into `into`, which must be empty, and tells how to go on.
    pub fn take_requests(&self, into: &mut VecDeque<Request<T>>) -> Ending {
        let mut inbox = self.inbox();
        std::mem::swap(&mut inbox.requests, into);
        inbox.ending
    }

    /// Refuses new requests from now on; for an engine that has ended by itself.
    pub fn shut(&self) {
        self.inbox().ending = Ending::Cancelled;
    }
}

/// Whether the engine has to be woken after a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Wake {
    /// The engine has seen everything before this request: wake it.
    Needed,
    /// An earlier request's wake-up is still on its way.
    Pending,
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
        let wake = self.submit_quietly(key, operation, ticket, timeout)?;
        self.wake_if(wake);
        Ok(())
    }

    /// Like [`submit`](Self::submit), for a host that drives the engine itself and will turn it
    /// soon: the engine is not woken.
    pub fn submit_quietly(
        &self,
        key: Key,
        operation: Operation,
        ticket: T,
        timeout: Option<Duration>,
    ) -> Result<Wake, Error> {
        check_key(&key)?;
        self.push(1, Body::One(key, operation), ticket, timeout)
    }

    /// Submits many requests for one key each at once. Those that are not accepted are given to
    /// `refused`, for the reasons for which [`submit`](Self::submit) fails. The engine is not
    /// woken.
    pub fn submit_each_quietly(&self, requests: Vec<(T, Key, Operation)>, mut refused: impl FnMut(T, Error)) {
        let shared = &*self.shared;
        let submitted = Instant::now();
        let deadline = submitted + shared.timeout;
        let mut inbox = shared.inbox();
        for (ticket, key, operation) in requests {
            match check_key(&key).and_then(|()| shared.admit(&inbox, 1)) {
                Ok(()) => {
                    let body = Body::One(key, operation);
                    inbox.requests.push_back(Request { ticket, submitted, deadline, body });
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
        let wake = self.submit_many_quietly(entries, ticket, timeout)?;
        self.wake_if(wake);
        Ok(())
    }

    /// Like [`submit_many`](Self::submit_many), without waking the engine.
    pub fn submit_many_quietly(
        &self,
        entries: Vec<(Key, Operation)>,
        ticket: T,
        timeout: Option<Duration>,
    ) -> Result<Wake, Error> {
        for (key, _) in &entries {
            check_key(key)?;
        }
        self.push(entries.len(), Body::Many(entries), ticket, timeout)
    }

    /// Asks something that is of no one key, and wakes the engine. The answer says nothing of
    /// operations that are under way.
    ///
    /// # Errors
    /// As for [`submit`](Self::submit); `InvalidArgument` for a page without room.
    pub fn ask(&self, question: Question, ticket: T, timeout: Option<Duration>) -> Result<(), Error> {
        let wake = self.ask_quietly(question, ticket, timeout)?;
        self.wake_if(wake);
        Ok(())
    }

    /// Like [`ask`](Self::ask), without waking the engine.
    pub fn ask_quietly(
        &self,
        question: Question,
        ticket: T,
        timeout: Option<Duration>,
    ) -> Result<Wake, Error> {
        if matches!(question, Question::Scan { limit: 0, .. }) {
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                "the limit of a scan is 0; give the most records that a page may have, such as 1000",
            ));
        }
        self.push(1, Body::Ask(question), ticket, timeout)
    }

    fn push(
        &self,
        operations: usize,
        body: Body,
        ticket: T,
        timeout: Option<Duration>,
    ) -> Result<Wake, Error> {
        let shared = &*self.shared;
        let submitted = Instant::now();
        let deadline = submitted + timeout.unwrap_or(shared.timeout);
        let mut inbox = shared.inbox();
        shared.admit(&inbox, operations)?;
        let wake = if inbox.requests.is_empty() { Wake::Needed } else { Wake::Pending };
        inbox.requests.push_back(Request { ticket, submitted, deadline, body });
        Ok(wake)
    }

    fn wake_if(&self, wake: Wake) {
        if wake == Wake::Needed {
            self.wake();
        }
    }

    /// Wakes the engine, after quiet submissions.
    pub fn wake(&self) {
        self.shared.waker.wake();
    }

    /// Stops intake. What was accepted may finish until `grace` has passed and fails then with
    /// `Closed`; after that the engine ends with `Delivery::Closed`.
    pub fn close(&self, grace: Duration) {
        let mut inbox = self.shared.inbox();
        if inbox.ending == Ending::Open {
            inbox.ending = Ending::Draining(Instant::now() + grace);
        }
        drop(inbox);
        self.shared.waker.wake();
    }

    /// Stops intake and fails everything unanswered with `Closed`, at once.
    pub fn cancel(&self) {
        self.shared.inbox().ending = Ending::Cancelled;
        self.shared.waker.wake();
    }

    /// Whether the connection stands at this moment; no longer from [`cancel`](Self::cancel) on,
    /// though the engine may be about to see it.
    pub fn is_ready(&self) -> bool {
        self.shared.ready.load(Ordering::Acquire) && self.shared.inbox().ending != Ending::Cancelled
    }

    /// How many operations were accepted and not yet answered.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// The statistics as one JSON object; see [`Statistics`].
    pub fn statistics_json(&self) -> String {
        let (in_flight, ready) = (self.in_flight(), self.is_ready());
        self.shared.statistics().to_json(in_flight, ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submitter() -> Submitter<u32> {
        let shared = Shared::new(&EngineOptions::default());
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
        let submitter = Submitter::<u32>::new(Arc::new(Shared::new(&options)));
        let gets = |count: usize| (0..count).map(|key| (format!("k{key}").into(), Operation::Get)).collect();
        let error = submitter.submit_many(gets(3), 1, None).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::InvalidArgument, false));
        assert!(error.message().contains("maxInFlight is 2"), "{error}");
        submitter.submit_many(gets(2), 2, None).unwrap();
        let error = submitter.submit_many(gets(2), 3, None).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Busy, true));
    }

    #[test]
    fn what_finishes_its_work_is_ready_until_then() {
        let submitter = submitter();
        submitter.close(Duration::from_secs(1));
        assert!(submitter.is_ready());
    }
}
