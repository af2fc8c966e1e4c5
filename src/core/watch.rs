//! How long a server may keep silent about what it was sent.

use std::time::{Duration, Instant};

/// What is under way, and when the server must have said something.
///
/// Two things make a server one that hangs. A batch that nobody waits for any more: it may have
/// had to wait for those sent before it, so each answer gives the batches sent after it more
/// time; one that later batches overtake gets none. And silence: no answer at all from a group
/// for so long while something was under way, whatever deadlines that has. A lonely batch with
/// much time may be slow, so its silence is borne longer, unless somebody else missed a deadline
/// meanwhile.
pub(super) struct Watch {
    patience: Duration,
    /// In the order of their sending.
    batches: Vec<Watched>,
    next: BatchNumber,
    silences: Vec<Silence>,
}

/// Batches are numbered in the order of their sending.
pub(super) type BatchNumber = u64;

/// How long the silence about a batch is borne at least while nobody has missed a deadline. It is
/// long enough for the largest batches on slow networks.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

struct Watched {
    number: BatchNumber,
    group: usize,
    due: Instant,
}

/// What one group has not answered.
#[derive(Clone, Copy, Default)]
struct Silence {
    batches: usize,
    questions: usize,
    /// The last answer, or when there was first something to answer.
    since: Option<Instant>,
    /// Somebody's deadline has passed since then.
    missed: bool,
}

impl Silence {
    fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.since = (self.batches + self.questions > 0).then_some(now);
        self.missed = false;
    }

    fn due(&self, patience: Duration) -> Option<Instant> {
        // A command takes as long as it takes.
        let patience = match (self.missed, self.batches) {
            (true, _) => patience,
            (false, 0) => return None,
            (false, _) => patience.max(LONGEST_SILENCE),
        };
        Some(self.since? + patience)
    }
}

impl Watch {
    pub fn new(patience: Duration) -> Watch {
        Watch { patience, batches: Vec::new(), next: 0, silences: Vec::new() }
    }

    /// A batch is sent to a group; the last of those who wait for it gives up at `deadline`.
    pub fn sent(&mut self, now: Instant, group: usize, deadline: Option<Instant>) -> BatchNumber {
        let patience = now + self.patience;
        let due = deadline.map_or(patience, |deadline| deadline.max(patience));
        self.next += 1;
        self.batches.push(Watched { number: self.next, group, due });
        let silence = self.silence(group);
        silence.batches += 1;
        silence.begin(now);
        self.next
    }

    /// A batch was answered.
    pub fn answered(&mut self, now: Instant, number: BatchNumber) {
        let Some(place) = self.batches.iter().position(|batch| batch.number == number) else { return };
        let group = self.batches.remove(place).group;
        let patience = now + self.patience;
        for batch in &mut self.batches[place..] {
            batch.due = batch.due.max(patience);
        }
        let silence = self.silence(group);
        silence.batches -= 1;
        silence.end(now);
    }

    /// So many questions were asked. They belong to no group, so they are the first one's.
    pub fn asked(&mut self, now: Instant, questions: usize) {
        if questions > 0 {
            let silence = self.silence(0);
            silence.questions += questions;
            silence.begin(now);
        }
    }

    /// A question was answered.
    pub fn replied(&mut self, now: Instant) {
        let silence = self.silence(0);
        // What was asked before a loss is not counted any more.
        silence.questions = silence.questions.saturating_sub(1);
        silence.end(now);
    }

    /// So many questions will have no answer, since nobody waits for it.
    pub fn given_up(&mut self, questions: usize) {
        if questions == 0 {
            return;
        }
        let silence = self.silence(0);
        silence.questions = silence.questions.saturating_sub(questions);
        if silence.batches + silence.questions == 0 {
            silence.since = None;
        }
    }

    /// A deadline of somebody with a key of this group, or with a question, has passed.
    pub fn missed(&mut self, group: usize) {
        let silence = self.silence(group);
        silence.missed = silence.since.is_some();
    }

    /// Nothing is under way any more.
    pub fn clear(&mut self) {
        self.batches.clear();
        self.silences.clear();
    }

    /// When the server must have answered.
    pub fn due(&self) -> Option<Instant> {
        let silences = self.silences.iter().filter_map(|silence| silence.due(self.patience));
        self.batches.iter().map(|batch| batch.due).chain(silences).min()
    }

    fn silence(&mut self, group: usize) -> &mut Silence {
        if group >= self.silences.len() {
            self.silences.resize(group + 1, Silence::default());
        }
        &mut self.silences[group]
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
        let first = watch.sent(start, 0, Some(seconds(start, 3)));
        assert_eq!(watch.due(), Some(seconds(start, 10)));
        let second = watch.sent(start, 0, Some(seconds(start, 40)));
        watch.answered(start, first);
        assert_eq!(watch.due(), Some(seconds(start, 40)));
        watch.answered(start, second);
        assert_eq!(watch.due(), None);
    }

    #[test]
    fn an_answer_gives_later_batches_more_time() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        let first = watch.sent(start, 0, None);
        watch.sent(start, 0, None);
        watch.answered(seconds(start, 8), first);
        assert_eq!(watch.due(), Some(seconds(start, 18)));
    }

    #[test]
    fn a_batch_that_others_overtake_stays_due() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        watch.sent(start, 0, None);
        for second in 1..9 {
            let other = watch.sent(seconds(start, second), 0, None);
            watch.answered(seconds(start, second), other);
        }
        assert_eq!(watch.due(), Some(seconds(start, 10)));
        watch.clear();
        assert_eq!(watch.due(), None);
    }

    #[test]
    fn a_long_deadline_hides_no_hang() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        let hour = Some(seconds(start, 3600));
        let first = watch.sent(start, 0, hour);
        watch.sent(start, 0, hour);
        // Slow is not dead, up to a point.
        assert_eq!(watch.due(), Some(start + LONGEST_SILENCE));
        watch.answered(seconds(start, 50), first);
        assert_eq!(watch.due(), Some(seconds(start, 50) + LONGEST_SILENCE));
        // Others suffer from it.
        watch.missed(0);
        assert_eq!(watch.due(), Some(seconds(start, 60)));
    }

    #[test]
    fn a_group_that_hangs_is_not_hidden_by_one_that_answers() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        watch.sent(start, 1, Some(seconds(start, 3600)));
        let living = watch.sent(start, 0, None);
        watch.missed(1);
        watch.answered(seconds(start, 5), living);
        assert_eq!(watch.due(), Some(seconds(start, 10)));
    }

    #[test]
    fn questions_are_watched_once_somebody_gives_up() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        watch.missed(0);
        watch.asked(start, 2);
        assert_eq!(watch.due(), None);
        watch.missed(0);
        assert_eq!(watch.due(), Some(seconds(start, 10)));
        watch.replied(seconds(start, 8));
        assert_eq!(watch.due(), None);
        watch.missed(0);
        assert_eq!(watch.due(), Some(seconds(start, 18)));
        watch.given_up(1);
        watch.missed(0);
        assert_eq!(watch.due(), None);
    }
}
