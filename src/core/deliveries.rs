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

/// A delivery with its place among all there ever were.
struct Numbered<D> {
    number: u64,
    delivery: D,
}

/// See the module. The engine fills one; whoever drives it may gather several in another.
pub struct Deliveries<T> {
    admission: Arc<Admission>,
    next: u64,
    /// Bounded by admission: completions, and a few events for each connection.
    bounded: VecDeque<Numbered<(Delivery<T>, Weight)>>,
    notifications: VecDeque<Numbered<(String, String)>>,
    lines: VecDeque<Numbered<(LogLevel, String)>>,
}

impl<T> Deliveries<T> {
    pub(super) fn new(admission: Arc<Admission>) -> Deliveries<T> {
        Deliveries {
            admission,
            next: 0,
            bounded: VecDeque::new(),
            notifications: VecDeque::new(),
            lines: VecDeque::new(),
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
                let number = self.number();
                self.notifications.push_back(Numbered { number, delivery: (channel, payload) });
            }
            Delivery::Log(level, line) => {
                let number = self.number();
                self.lines.push_back(Numbered { number, delivery: (level, line) });
            }
            other => self.put(other, Weight::default()),
        }
        self.forget_oldest();
    }

    fn put(&mut self, delivery: Delivery<T>, weight: Weight) {
        let number = self.number();
        self.bounded.push_back(Numbered { number, delivery: (delivery, weight) });
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
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

    /// Takes over all that is in another list of the same engine, which is younger.
    pub(super) fn append(&mut self, other: &mut Deliveries<T>) {
        self.bounded.append(&mut other.bounded);
        self.notifications.append(&mut other.notifications);
        self.lines.append(&mut other.lines);
        self.forget_oldest();
        other.shrink();
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.bounded.is_empty() && self.notifications.is_empty() && self.lines.is_empty()
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

    fn next(&mut self) -> Option<Delivery<T>> {
        let bounded = number_of(&self.bounded);
        let notification = number_of(&self.notifications);
        let line = number_of(&self.lines);
        let delivery = if bounded < notification && bounded < line {
            let (delivery, weight) = self.bounded.pop_front()?.delivery;
            if let Delivery::Completion(..) = delivery {
                self.admission.release(weight);
            }
            delivery
        } else if notification < line {
            let (channel, payload) = self.notifications.pop_front()?.delivery;
            Delivery::Notification(channel, payload)
        } else {
            let (level, line) = self.lines.pop_front()?.delivery;
            Delivery::Log(level, line)
        };
        if self.bounded.is_empty() {
            self.shrink();
        }
        Some(delivery)
    }
}

/// The place of the first one; none is after all others.
fn number_of<D>(list: &VecDeque<Numbered<D>>) -> u64 {
    list.front().map_or(u64::MAX, |first| first.number)
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
