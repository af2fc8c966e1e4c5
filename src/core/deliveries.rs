//! What the host is still to be told, in order. Taking a completion off is what gives its room
//! back, whoever does it and on whichever thread; notifications and log lines, which nothing
//! admits, lose their oldest instead of growing without end.

use std::collections::VecDeque;
use std::sync::Arc;

use super::admission::{Admission, Weight};
use super::request::{Delivery, LogLevel, Outcome};

/// So many notifications wait at most, and so many lines of the log.
const MAX_NEWS: usize = 4096;

/// A list that grew beyond so many deliveries gives its memory back once it is empty.
const MAX_KEPT: usize = 1 << 14;

/// News, with their place among all other deliveries.
struct Placed<N> {
    /// So many completions and events were made before.
    after: u64,
    /// So many news were.
    number: u64,
    news: N,
}

/// See the module. The engine fills one; whoever drives it may gather several in another.
pub struct Deliveries<T> {
    admission: Arc<Admission>,
    /// Bounded by admission: completions, and a few events for each connection.
    bounded: VecDeque<(Delivery<T>, Weight)>,
    /// How many were made, and how many of them were taken off.
    made: u64,
    taken: u64,
    notifications: VecDeque<Placed<(String, String)>>,
    lines: VecDeque<Placed<(LogLevel, String)>>,
    /// How many news were made.
    news: u64,
}

impl<T> Deliveries<T> {
    pub(super) fn new(admission: Arc<Admission>) -> Deliveries<T> {
        Deliveries {
            admission,
            bounded: VecDeque::new(),
            made: 0,
            taken: 0,
            notifications: VecDeque::new(),
            lines: VecDeque::new(),
            news: 0,
        }
    }

    /// An empty list of the same engine.
    pub(super) fn another(&self) -> Deliveries<T> {
        Deliveries::new(Arc::clone(&self.admission))
    }

    /// An answer of so many bytes is kept until it is handed out.
    pub(super) fn hold(&self, bytes: usize) {
        self.admission.grow(bytes);
    }

    /// The answer to a request that takes so much of the limits.
    pub(super) fn complete(&mut self, ticket: T, outcome: Outcome, weight: Weight) {
        self.admission.wait();
        self.put(Delivery::Completion(ticket, outcome), weight);
    }

    /// An event: one that answers no request.
    pub(super) fn push(&mut self, delivery: Delivery<T>) {
        match delivery {
            Delivery::Notification(channel, payload) => {
                let placed = self.place((channel, payload));
                self.notifications.push_back(placed);
            }
            Delivery::Log(level, line) => {
                let placed = self.place((level, line));
                self.lines.push_back(placed);
            }
            other => self.put(other, Weight::default()),
        }
        self.forget_oldest();
    }

    #[inline]
    fn put(&mut self, delivery: Delivery<T>, weight: Weight) {
        self.made += 1;
        self.bounded.push_back((delivery, weight));
    }

    fn place<N>(&mut self, news: N) -> Placed<N> {
        self.news += 1;
        Placed { after: self.made, number: self.news, news }
    }

    fn forget_oldest(&mut self) {
        while self.notifications.len() > MAX_NEWS {
            self.notifications.pop_front();
            self.admission.notification_lost();
        }
        while self.lines.len() > MAX_NEWS {
            self.lines.pop_front();
            self.admission.line_lost();
        }
    }

    /// Takes over all that is in the list of an engine that is always given to this one.
    pub(super) fn append(&mut self, engines: &mut Deliveries<T>) {
        self.bounded.append(&mut engines.bounded);
        self.notifications.append(&mut engines.notifications);
        self.lines.append(&mut engines.lines);
        self.forget_oldest();
        engines.shrink();
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bounded.is_empty() && self.has_no_news()
    }

    fn has_no_news(&self) -> bool {
        self.notifications.is_empty() && self.lines.is_empty()
    }

    #[inline]
    fn next_bounded(&mut self) -> Option<Delivery<T>> {
        let (delivery, weight) = self.bounded.pop_front()?;
        self.taken += 1;
        if let Delivery::Completion(..) = delivery {
            self.admission.release(weight);
        }
        if self.bounded.is_empty() {
            self.shrink();
        }
        Some(delivery)
    }

    /// The older one of the oldest notification and line, unless something comes before both.
    fn next_news(&mut self) -> Option<Delivery<T>> {
        let notification = self.notifications.front().map(|placed| (placed.number, placed.after));
        let line = self.lines.front().map(|placed| (placed.number, placed.after));
        let (number, after) = notification.into_iter().chain(line).min()?;
        if after > self.taken && !self.bounded.is_empty() {
            return None;
        }
        if notification.is_some_and(|(other, _)| other == number) {
            let (channel, payload) = self.notifications.pop_front()?.news;
            return Some(Delivery::Notification(channel, payload));
        }
        let (level, line) = self.lines.pop_front()?.news;
        Some(Delivery::Log(level, line))
    }

    fn shrink(&mut self) {
        if self.bounded.is_empty() && self.bounded.capacity() > MAX_KEPT {
            self.bounded = VecDeque::new();
        }
    }
}

/// Whoever takes a completion has its request no more in flight.
impl<T> Iterator for Deliveries<T> {
    type Item = Delivery<T>;

    #[inline]
    fn next(&mut self) -> Option<Delivery<T>> {
        if self.has_no_news() {
            return self.next_bounded();
        }
        self.next_news().or_else(|| self.next_bounded())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::request::Reply;

    fn one() -> Outcome {
        Outcome::One(Ok(Reply::Done))
    }

    #[test]
    fn room_comes_back_when_a_completion_is_handed_out() {
        let admission = Arc::new(Admission::new(10, 100));
        let mut list = Deliveries::new(Arc::clone(&admission));
        let weight = Weight { operations: 2, bytes: 30 };
        admission.admit(weight).unwrap();
        list.complete(1, one(), weight);
        assert_eq!((admission.operations(), admission.bytes()), (2, 30));
        assert!(matches!(list.next(), Some(Delivery::Completion(1, _))));
        assert_eq!((admission.operations(), admission.bytes()), (0, 0));
    }

    #[test]
    fn news_lose_their_oldest_and_keep_their_order() {
        let admission = Arc::new(Admission::new(10, 100));
        let mut list = Deliveries::<u32>::new(Arc::clone(&admission));
        list.push(Delivery::Ready);
        for number in 0..MAX_NEWS + 3 {
            list.push(Delivery::Notification("c".into(), number.to_string()));
            list.push(Delivery::Log(LogLevel::Info, number.to_string()));
        }
        list.push(Delivery::Closed);
        assert_eq!(admission.lost(), (3, 3));
        assert!(matches!(list.next(), Some(Delivery::Ready)));
        for number in 3..MAX_NEWS + 3 {
            let expected = number.to_string();
            assert!(matches!(list.next(), Some(Delivery::Notification(_, payload)) if payload == expected));
            assert!(matches!(list.next(), Some(Delivery::Log(_, line)) if line == expected));
        }
        assert!(matches!(list.next(), Some(Delivery::Closed)));
        assert!(list.next().is_none() && list.is_empty());
    }

    #[test]
    fn a_list_gives_its_memory_back_after_a_burst() {
        let admission = Arc::new(Admission::new(1 << 20, 100));
        let mut list = Deliveries::new(Arc::clone(&admission));
        for ticket in 0..2 * MAX_KEPT {
            let weight = Weight { operations: 1, bytes: 0 };
            admission.admit(weight).unwrap();
            list.complete(ticket, one(), weight);
        }
        while list.next().is_some() {}
        assert!(list.bounded.capacity() <= MAX_KEPT);
    }
}
