//! How long a server may keep silent about the batches that it was sent.

use std::time::{Duration, Instant};

/// The batches under way, and when nobody waits for them any more.
///
/// A batch may have to wait for those sent before it, so each answer gives the batches sent
/// after it more time; one that later batches overtake gets none.
pub(super) struct Watch {
    patience: Duration,
    /// In the order of their sending.
    batches: Vec<Watched>,
    next: BatchNumber,
}

/// Batches are numbered in the order of their sending.
pub(super) type BatchNumber = u64;

struct Watched {
    number: BatchNumber,
    due: Instant,
}

impl Watch {
    pub fn new(patience: Duration) -> Watch {
        Watch { patience, batches: Vec::new(), next: 0 }
    }

    /// A batch is sent; the last of those who wait for it gives up at `deadline`.
    pub fn sent(&mut self, now: Instant, deadline: Option<Instant>) -> BatchNumber {
        let patience = now + self.patience;
        let due = deadline.map_or(patience, |deadline| deadline.max(patience));
        self.next += 1;
        self.batches.push(Watched { number: self.next, due });
        self.next
    }

    /// A batch was answered.
    pub fn answered(&mut self, now: Instant, number: BatchNumber) {
        self.batches.retain(|batch| batch.number != number);
        let patience = now + self.patience;
        for batch in self.batches.iter_mut().filter(|batch| batch.number > number) {
            batch.due = batch.due.max(patience);
        }
    }

    /// No batch is under way any more.
    pub fn clear(&mut self) {
        self.batches.clear();
    }

    /// When the server must have answered.
    pub fn due(&self) -> Option<Instant> {
        self.batches.iter().map(|batch| batch.due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_batch_is_due_when_its_last_waiter_gives_up() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        assert_eq!(watch.due(), None);
        let first = watch.sent(start, Some(seconds(start, 3)));
        assert_eq!(watch.due(), Some(seconds(start, 10)));
        let second = watch.sent(start, Some(seconds(start, 60)));
        watch.answered(start, first);
        assert_eq!(watch.due(), Some(seconds(start, 60)));
        watch.answered(start, second);
        assert_eq!(watch.due(), None);
    }

    #[test]
    fn an_answer_gives_later_batches_more_time() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        let first = watch.sent(start, None);
        watch.sent(start, None);
        watch.answered(seconds(start, 8), first);
        assert_eq!(watch.due(), Some(seconds(start, 18)));
    }

    #[test]
    fn a_batch_that_others_overtake_stays_due() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        watch.sent(start, None);
        for second in 1..9 {
            let other = watch.sent(seconds(start, second), None);
            watch.answered(seconds(start, second), other);
        }
        assert_eq!(watch.due(), Some(seconds(start, 10)));
        watch.clear();
        assert_eq!(watch.due(), None);
    }
}
