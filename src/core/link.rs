//! The connection's life: connecting, standing, lost, and the pauses between attempts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};

use super::backend::{Backend, Connection, Link, Notice};
use super::backoff::Backoff;
use super::error::{Error, ErrorCode};
use super::options::EngineOptions;
use super::random::Random;

/// What happened to the connection.
pub(super) enum LinkEvent {
    /// It stands.
    Up,
    /// It stood and broke.
    Lost(Error),
    /// An attempt failed, and more will follow. `news` is true for the first of an outage.
    Absent { error: Error, news: bool },
    /// It stands, and one of several servers behind it has news.
    Noticed(Notice),
    /// The server refused us. `news` is true for the first time in a row.
    Refused { error: Error, news: bool },
}

enum State {
    Waiting {
        until: Instant,
    },
    Connecting {
        attempt: BoxFuture<'static, Result<Link, Error>>,
        give_up: Instant,
    },
    Up {
        connection: Arc<dyn Connection>,
        lifeline: BoxFuture<'static, Error>,
    },
    /// The reason is to be told at the next poll.
    Broken(Error),
    Ended,
}

/// Keeps one connection to the backend, making a new one whenever it breaks.
pub(super) struct Supervisor {
    backend: Arc<dyn Backend>,
    connect_timeout: Duration,
    backoff: Backoff,
    state: State,
    refusal: Option<Error>,
    outage_told: bool,
    /// The host has heard that the server refuses us, and no connection stood since.
    refusal_told: bool,
    /// Why there is no connection, as far as is known.
    trouble: Option<Error>,
}

impl Supervisor {
    pub fn new(
        backend: Arc<dyn Backend>,
        options: &EngineOptions,
        random: Random,
        now: Instant,
    ) -> Supervisor {
        Supervisor {
            backend,
            connect_timeout: options.connect_timeout,
            backoff: Backoff::with(options.reconnect_delay, options.reconnect_max_delay, random),
            state: State::Waiting { until: now },
            refusal: None,
            outage_told: false,
            refusal_told: false,
            trouble: None,
        }
    }

    /// Moves the connection on until nothing more happens; returns what did, one at a time. An
    /// attempt is given up that was late at `judged`, since when the sockets were looked at.
    pub fn poll(&mut self, cx: &mut Context<'_>, now: Instant, judged: Option<Instant>) -> Option<LinkEvent> {
        loop {
            match &mut self.state {
                State::Waiting { until } if now < *until => return None,
                State::Waiting { .. } => {
                    let backend = Arc::clone(&self.backend);
                    self.state = State::Connecting {
                        attempt: Box::pin(async move { backend.connect().await }),
                        give_up: now + self.connect_timeout,
                    };
                }
                State::Connecting { attempt, give_up } => match poll_caught(attempt, cx) {
                    Poll::Ready(Ok(Ok(link))) => {
                        self.state = State::Up { connection: link.connection, lifeline: link.lifeline };
                        self.refusal = None;
                        self.trouble = None;
                        self.outage_told = false;
                        self.refusal_told = false;
                        return Some(LinkEvent::Up);
                    }
                    Poll::Ready(Ok(Err(error))) => return Some(self.attempt_failed(error, now)),
                    Poll::Ready(Err(error)) => return Some(self.attempt_failed(error, now)),
                    Poll::Pending if judged.is_some_and(|judged| judged >= *give_up) => {
                        let error = Error::connection(format!(
                            "no connection within connectTimeout ({} ms)",
                            self.connect_timeout.as_millis()
                        ));
                        return Some(self.attempt_failed(error, now));
                    }
                    Poll::Pending => return None,
                },
                State::Up { lifeline, connection } => match poll_caught(lifeline, cx) {
                    Poll::Ready(Ok(error) | Err(error)) => self.state = State::Broken(error),
                    Poll::Pending => {
                        return match connection.poll_notice(cx) {
                            Poll::Ready(notice) => Some(LinkEvent::Noticed(notice)),
                            Poll::Pending => None,
                        }
                    }
                },
                State::Broken(error) => {
                    let error = error.clone();
                    self.trouble = Some(error.clone());
                    self.outage_told = true;
                    self.state = State::Waiting { until: now + self.backoff.next() };
                    return Some(LinkEvent::Lost(error));
                }
                State::Ended => return None,
            }
        }
    }

    fn attempt_failed(&mut self, error: Error, now: Instant) -> LinkEvent {
        if matches!(error.code(), ErrorCode::Authentication | ErrorCode::Configuration) {
            let news = !std::mem::replace(&mut self.refusal_told, true);
            self.refusal = Some(error.clone());
            self.state = State::Waiting { until: now + self.backoff.longest() };
            return LinkEvent::Refused { error, news };
        }
        self.refusal = None;
        self.trouble = Some(error.clone());
        self.state = State::Waiting { until: now + self.backoff.next() };
        let news = !self.outage_told;
        self.outage_told = true;
        LinkEvent::Absent { error, news }
    }

    /// The connection, if it stands.
    pub fn connection(&self) -> Option<Arc<dyn Connection>> {
        match &self.state {
            State::Up { connection, .. } => Some(Arc::clone(connection)),
            _ => None,
        }
    }

    /// Whether the backend may have one of the runtime's timers running.
    pub fn waits_for_timer(&self) -> bool {
        match &self.state {
            State::Connecting { .. } => true,
            State::Up { connection, .. } => connection.waits_for_timer(),
            _ => false,
        }
    }

    /// Why the server refuses us, while it does: operations need not wait then.
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// Why there is no connection at the moment; `None` while it stands or was never tried.
    pub fn trouble(&self) -> Option<&Error> {
        self.trouble.as_ref()
    }

    /// Gives a standing connection up; the next poll tells.
    pub fn lose(&mut self, error: Error) {
        if matches!(self.state, State::Up { .. }) {
            self.state = State::Broken(error);
        }
    }

    /// Whether it is given up and that is still to be told.
    pub fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken(_))
    }

    /// A batch was answered: the next outage begins with a short pause again.
    pub fn proved_good(&mut self) {
        self.backoff.reset();
    }

    /// Whether an attempt to connect has taken too long, unless the sockets know better.
    pub fn is_late(&self, now: Instant) -> bool {
        matches!(self.state, State::Connecting { give_up, .. } if give_up <= now)
    }

    /// When to poll again at the latest.
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Connecting { give_up, .. } => Some(*give_up),
            State::Up { connection, .. } => connection.wake_at(),
            _ => None,
        }
    }

    /// Drops the connection for good.
    pub fn end(&mut self) {
        self.state = State::Ended;
    }
}

/// Polls backend code; a panic in it is an error like a lost connection.
fn poll_caught<R>(future: &mut BoxFuture<'static, R>, cx: &mut Context<'_>) -> Poll<Result<R, Error>> {
    match std::panic::catch_unwind(AssertUnwindSafe(|| future.poll_unpin(cx))) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(Err(Error::connection(
            "a panic was caught in the connection; this is a bug, please report it",
        ))),
    }
}
