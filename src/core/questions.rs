//! What is asked of a database beside operations on keys: pages of all records, and commands of
//! a backend's own. They have no order among each other, nor with operations on keys, and go
//! out as soon as there is a connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::{abortable, AbortHandle, Abortable, BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::backend::Connection;
use super::budget::Budget;
use super::error::{panicked, Error, ErrorCode, Remedy};
use super::random::{growing, Random};
use super::request::{Question, Reply};

/// A question on its way.
struct Asked<T> {
    ticket: T,
    question: Question,
    deadline: Instant,
    /// It was given to a connection at least once.
    sent: bool,
    /// Why the last attempt failed.
    cause: Option<Error>,
    /// How often it was refused for a while.
    refusals: u8,
    attempt: Option<Attempt>,
}

impl<T> Asked<T> {
    /// Its error where there is no answer.
    fn unanswered(&self, error: Error) -> Error {
        if self.sent && !self.question.is_harmless() {
            return error.maybe_applied();
        }
        error
    }
}

/// An answer that is under way.
struct Attempt {
    /// Gives it up.
    handle: AbortHandle,
    /// Nobody may wait for it then; until then an answer shows that the server lives.
    until: Instant,
}

/// What came back.
pub(super) enum Heard<T> {
    /// The answer to somebody.
    Answered(T, Result<Reply, Error>),
    /// An answer that nobody waits for any more.
    Late,
    /// Not an answer: the server passes nothing at the moment.
    Refused,
}

type Answer = (u64, Result<Reply, Error>);

/// All questions that are not answered yet.
pub(super) struct Questions<T> {
    asked: BTreeMap<u64, Asked<T>>,
    /// Those that are to be sent; some may be answered by now.
    waiting: VecDeque<u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// Those that may be sent again at these times.
    resting: BTreeSet<(Instant, u64)>,
    /// Answers that are under way though their deadlines have passed.
    missed: BTreeMap<u64, Attempt>,
    patience: Duration,
    next: u64,
    under_way: FuturesUnordered<Abortable<BoxFuture<'static, Answer>>>,
}

impl<T> Questions<T> {
    /// `patience` is how long a server may keep silent.
    pub fn new(patience: Duration) -> Questions<T> {
        Questions {
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            deadlines: BTreeSet::new(),
            resting: BTreeSet::new(),
            missed: BTreeMap::new(),
            patience,
            next: 0,
            under_way: FuturesUnordered::new(),
        }
    }

    /// Whether nobody waits for an answer.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether a connection has any of them.
    pub fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Takes a question in; [`send`](Self::send) asks it.
    pub fn push(&mut self, ticket: T, question: Question, deadline: Instant) {
        self.next += 1;
        let asked =
            Asked { ticket, question, deadline, sent: false, cause: None, refusals: 0, attempt: None };
        self.asked.insert(self.next, asked);
        self.waiting.push_back(self.next);
        self.deadlines.insert((deadline, self.next));
    }

    /// Asks what is not under way, unless its deadline has passed. Returns how many there were.
    pub fn send(&mut self, now: Instant, connection: &Arc<dyn Connection>, budget: &mut Budget) -> usize {
        let mut count = 0;
        while let Some(&(until, number)) = self.resting.first().filter(|(until, _)| *until <= now) {
            self.resting.remove(&(until, number));
            self.waiting.push_back(number);
        }
        while budget.is_left() {
            let Some(number) = self.waiting.pop_front() else { break };
            let Some(asked) = self.asked.get_mut(&number).filter(|asked| asked.deadline > now) else {
                continue;
            };
            budget.spend(1, 0);
            count += 1;
            asked.sent = true;
            let work = ask(Arc::clone(connection), asked.question.clone());
            let answer: BoxFuture<'static, Answer> = Box::pin(work.map(move |result| (number, result)));
            let (answer, handle) = abortable(answer);
            asked.attempt = Some(Attempt { handle, until: now + self.patience });
            self.under_way.push(answer);
        }
        count
    }

    /// What came back next. An error that ends the connection is given to `broken`, and the
    /// question waits for the next connection.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        random: &mut Random,
        broken: &mut Option<Error>,
    ) -> Poll<Heard<T>> {
        while let Poll::Ready(Some(answer)) = self.under_way.poll_next_unpin(cx) {
            // What was given up has no answer any more.
            let Ok((number, result)) = answer else { continue };
            self.missed.remove(&number);
            let ends = |error: &Error| {
                error.remedy() == Remedy::Reconnect || error.code() == ErrorCode::Authentication
            };
            match result {
                Err(error) if ends(&error) => *broken = Some(error),
                Err(error)
                    if error.remedy() == Remedy::TryAgain && self.rests(number, &error, now, random) =>
                {
                    return Poll::Ready(Heard::Refused);
                }
                result => {
                    return Poll::Ready(match self.remove(number) {
                        None => Heard::Late,
                        Some(asked) => {
                            let result = result.map_err(|error| match error.code() {
                                ErrorCode::Panic => asked.unanswered(error),
                                // Somewhere on its way, perhaps after it was carried out.
                                _ if error.remedy() == Remedy::TryAgain => asked.unanswered(error),
                                _ => error,
                            });
                            Heard::Answered(asked.ticket, result)
                        }
                    });
                }
            }
        }
        Poll::Pending
    }

    /// Has a question that was refused for a while asked again later, if it may be. True also for
    /// one that nobody waits for any more.
    fn rests(&mut self, number: u64, error: &Error, now: Instant, random: &mut Random) -> bool {
        let Some(asked) = self.asked.get_mut(&number) else { return true };
        if !asked.question.is_harmless() {
            return false;
        }
        asked.attempt = None;
        asked.cause = Some(error.clone());
        asked.refusals = asked.refusals.saturating_add(1);
        let pause = growing(asked.refusals, random).max(error.pause().unwrap_or_default());
        self.resting.insert((now + pause, number));
        true
    }

    /// The connection broke: what may be asked again waits for the next one, and the rest is
    /// given out, since nobody knows what became of it.
    pub fn lost(&mut self, error: &Error) -> Vec<(T, Error)> {
        self.under_way = FuturesUnordered::new();
        self.missed.clear();
        self.waiting.clear();
        self.resting.clear();
        for (&number, asked) in &mut self.asked {
            if asked.attempt.take().is_some() {
                asked.cause = Some(error.clone());
            }
            self.waiting.push_back(number);
        }
        let uncertain = self.remove_if(|asked| asked.sent && !asked.question.is_harmless());
        let text = format!("the command was sent and may have been carried out ({})", error.message());
        let error = Error::new(ErrorCode::Unavailable, text);
        unanswered(uncertain, &error)
    }

    /// Those whose deadline has passed.
    pub fn expire(
        &mut self,
        now: Instant,
        target: &str,
        trouble: Option<&Error>,
        budget: &mut Budget,
    ) -> Vec<(T, Error)> {
        let mut errors = Vec::new();
        while let (true, Some(&(deadline, number))) = (budget.is_left(), self.deadlines.first()) {
            if deadline > now {
                break;
            }
            budget.spend(1, 0);
            let Some(asked) = self.remove(number) else { break };
            let error = too_late(&asked, target, trouble);
            self.missed.extend(asked.attempt.map(|attempt| (number, attempt)));
            errors.push((asked.ticket, error));
        }
        errors
    }

    /// When the next deadline passes, an answer is given up, or one is asked again.
    pub fn next_look(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|&(deadline, _)| deadline);
        let given_up = self.missed.values().map(|attempt| attempt.until).min();
        let rest = self.resting.first().map(|&(until, _)| until);
        deadline.into_iter().chain(given_up).chain(rest).min()
    }

    fn remove(&mut self, number: u64) -> Option<Asked<T>> {
        let asked = self.asked.remove(&number)?;
        self.deadlines.remove(&(asked.deadline, number));
        Some(asked)
    }

    /// Gives up the answers for which nobody may wait any more; returns how many.
    pub fn give_up(&mut self, now: Instant) -> usize {
        let before = self.missed.len();
        self.missed.retain(|_, attempt| {
            let stays = attempt.until > now;
            if !stays {
                attempt.handle.abort();
            }
            stays
        });
        before - self.missed.len()
    }

    /// Fails all that are not under way, or all there are.
    pub fn fail(&mut self, error: &Error, even_under_way: bool) -> Vec<(T, Error)> {
        let failed = self.remove_if(|asked| even_under_way || asked.attempt.is_none());
        unanswered(failed, error)
    }

    fn remove_if(&mut self, condition: impl Fn(&Asked<T>) -> bool) -> Vec<Asked<T>> {
        let numbers: Vec<u64> =
            self.asked.iter().filter(|(_, asked)| condition(asked)).map(|(&number, _)| number).collect();
        numbers.into_iter().filter_map(|number| self.remove(number)).collect()
    }

    /// Drops what the backend still has of them.
    pub fn take_under_way(&mut self) -> impl Send + 'static {
        std::mem::take(&mut self.under_way)
    }
}

/// An error for each of those who get no answer.
fn unanswered<T>(asked: Vec<Asked<T>>, error: &Error) -> Vec<(T, Error)> {
    asked
        .into_iter()
        .map(|asked| {
            let error = asked.unanswered(error.clone());
            (asked.ticket, error)
        })
        .collect()
}

fn too_late<T>(asked: &Asked<T>, target: &str, trouble: Option<&Error>) -> Error {
    let fate = match (asked.question.is_harmless(), asked.sent) {
        (true, _) => "",
        (false, true) => "; the command was sent and may have been carried out",
        (false, false) => "; the command was not sent",
    };
    let cause =
        trouble.or(asked.cause.as_ref()).map(|error| format!(" ({})", error.message())).unwrap_or_default();
    asked.unanswered(Error::new(
        ErrorCode::Timeout,
        format!("no answer from {target} within the operation's timeout{fate}{cause}"),
    ))
}

/// Asks. A panic of the backend fails the question, not the engine.
async fn ask(connection: Arc<dyn Connection>, question: Question) -> Result<Reply, Error> {
    let work = AssertUnwindSafe(async {
        match question {
            Question::Scan(listing) => {
                let page = connection.scan(&listing).await?;
                Ok(Reply::Page(Box::new(page.within(&listing))))
            }
            Question::Command { name, arguments } => {
                connection.command(&name, &arguments).await.map(Reply::Answer)
            }
        }
    });
    work.catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
}
