//! Hands out credentials, and has new ones before the old ones expire.
//!
//! The rules are those by which AWS's SDKs keep going while a service of credentials does not: what
//! has not expired is good, whatever becomes of its renewal; and where nothing new is to be had, even
//! what has expired is tried, since only AWS knows whether it bears it a little longer.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, Shared};
use futures_util::task::AtomicWaker;

use super::chain::Chain;
use super::keys::Credentials;
use crate::core::{Backoff, Error, ErrorCode, Notice, Remedy};

/// New ones are fetched so long before the old ones expire.
const EARLY: Duration = Duration::from_secs(5 * 60);

/// Pauses after a renewal that failed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Where credentials come from.
pub(in crate::backends::dynamodb) enum Source {
    /// The options.
    Options(Arc<Credentials>),
    /// The chain.
    Chain(Arc<Chain>),
}

/// See the module.
pub(in crate::backends::dynamodb) struct Provider {
    source: Source,
    state: Mutex<State>,
    /// Who waits for the time of the next renewal.
    renewer: AtomicWaker,
}

type Found = Result<Arc<Credentials>, Error>;

struct State {
    known: Option<Arc<Credentials>>,
    /// AWS has refused those.
    is_refused: bool,
    /// What all wait for who need new ones, with its number.
    under_way: Option<Shared<BoxFuture<'static, Found>>>,
    number: u64,
    /// When to renew; never where they never expire.
    next: Option<Instant>,
    pauses: Backoff,
    /// What the host has not been told yet.
    notice: Option<Notice>,
    /// It was told that renewals fail.
    is_told: bool,
}

impl Provider {
    pub fn new(source: Source) -> Provider {
        let state = State {
            known: None,
            is_refused: false,
            under_way: None,
            number: 0,
            next: None,
            pauses: Backoff::new(PAUSES.0, PAUSES.1),
            notice: None,
            is_told: false,
        };
        Provider { source, state: Mutex::new(state), renewer: AtomicWaker::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Credentials to sign with now.
    ///
    /// # Errors
    /// There are none to be found. Where there were some, the failure of a service passes.
    pub async fn current(&self) -> Found {
        let chain = match &self.source {
            Source::Options(credentials) => return Ok(Arc::clone(credentials)),
            Source::Chain(chain) => chain,
        };
        let (known, is_refused) = {
            let state = self.state();
            if let Some(known) = state.usable() {
                return Ok(known);
            }
            (state.known.clone(), state.is_refused)
        };
        let error = match (self.renew(chain).await, known) {
            (Ok(found), _) => return Ok(found),
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) if !passes(&error) => return Err(error),
            (Err(_), Some(known)) if !is_refused => return Ok(known),
            (Err(error), Some(_)) => error,
        };
        let words =
            format!("the AWS credentials have expired, and there are no new ones: {}", error.message());
        Err(Error::transient(ErrorCode::Unavailable, words).of_server())
    }

    /// AWS refuses these. Whether others may be had.
    pub fn refuse(&self, credentials: &Arc<Credentials>) -> bool {
        let mut state = self.state();
        if state.known.as_ref().is_some_and(|known| Arc::ptr_eq(known, credentials)) {
            state.is_refused = true;
        }
        matches!(self.source, Source::Chain(_))
    }

    /// Renews what is about to expire, as long as it is polled.
    pub async fn keep_fresh(&self) -> Infallible {
        let Source::Chain(chain) = &self.source else { return pending().await };
        loop {
            poll_fn(|cx| self.poll_due(cx)).await;
            // Told below, and tried again.
            let _ = self.renew(chain).await;
        }
    }

    fn poll_due(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.renewer.register(cx.waker());
        match self.state().next {
            Some(next) if next <= Instant::now() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// For [`Connection::wake_at`](crate::core::Connection::wake_at).
    pub fn wake_at(&self) -> Option<Instant> {
        let state = self.state();
        state.next.filter(|_| state.under_way.is_none())
    }

    /// For [`Connection::waits_for_timer`](crate::core::Connection::waits_for_timer).
    pub fn waits_for_timer(&self) -> bool {
        self.state().under_way.is_some()
    }

    /// For [`Connection::poll_notice`](crate::core::Connection::poll_notice), which is asked again
    /// whenever a renewal has moved.
    pub fn poll_notice(&self) -> Poll<Notice> {
        self.state().notice.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// One search, however many wait for it.
    async fn renew(&self, chain: &Arc<Chain>) -> Found {
        let (number, under_way) = {
            let mut state = self.state();
            let had_any = state.known.is_some();
            let chain = Arc::clone(chain);
            let under_way = state.under_way.get_or_insert_with(|| {
                async move { chain.search(had_any).await.map(Arc::new) }.boxed().shared()
            });
            let under_way = under_way.clone();
            (state.number, under_way)
        };
        let found = under_way.await;
        let mut state = self.state();
        if state.number == number {
            state.settle(&found);
            self.renewer.wake();
        }
        found
    }
}

impl State {
    /// Those that need not be renewed first: what has expired is, as often as that may be tried.
    fn usable(&self) -> Option<Arc<Credentials>> {
        let known = self.known.as_ref().filter(|_| !self.is_refused)?;
        let rests = self.next.is_some_and(|next| Instant::now() < next);
        (rests || !known.have_expired()).then(|| Arc::clone(known))
    }

    fn settle(&mut self, found: &Found) {
        self.under_way = None;
        self.number += 1;
        match found {
            Ok(found) => {
                self.known = Some(Arc::clone(found));
                self.is_refused = false;
                let left = found.left();
                // A service that hands out old ones has new ones soon.
                let pause = match left {
                    Some(Duration::ZERO) => Some(self.pauses.next()),
                    Some(left) if left <= EARLY => Some((left / 4).clamp(PAUSES.0, PAUSES.1)),
                    left => left.map(|left| left - EARLY),
                };
                if left != Some(Duration::ZERO) {
                    self.pauses.reset();
                    self.is_told = false;
                }
                self.next = pause.map(|pause| Instant::now() + pause);
            }
            Err(error) => {
                self.next = Some(Instant::now() + self.pauses.next());
                if self.known.is_some() && !std::mem::replace(&mut self.is_told, true) {
                    let words = error.message();
                    let line = format!("the AWS credentials could not be renewed and are used on: {words}");
                    self.notice = Some(Notice::Warning(line));
                }
            }
        }
    }
}

/// Whether the next search may succeed.
fn passes(error: &Error) -> bool {
    error.remedy() != Remedy::Report
}
