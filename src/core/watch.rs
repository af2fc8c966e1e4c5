//! What is under way, and how long a server may keep silent about it.

use std::time::{Duration, Instant};

use super::queues::LaneId;

/// What is under way, and when the server must have said something.
///
/// A server hangs when it is silent: nothing has moved for so long in a group while something was
/// under way, whatever deadlines that has. Where the connection counts its bytes each one ends
/// the silence; elsewhere each answer does, and since a lonely batch with much time may be slow,
/// silence is borne longer there unless somebody missed a deadline meanwhile.
///
/// And a batch hangs that nobody waits for any more: it may have had to wait for those sent before
/// it, so each answer gives the batches sent after it more time; one that later batches overtake
/// gets none.
pub(super) struct Watch {
    patience: Duration,
    /// In the order of their sending.
    batches: Vec<Sent>,
    next: BatchNumber,
    silences: Vec<Silence>,
}

/// Batches are numbered in the order of their sending.
pub(super) type BatchNumber = u64;

/// A count of the bytes that came from the server of a group, or went to it.
pub(super) type Moved<'a> = &'a dyn Fn(usize) -> Option<u64>;

/// How long silence is borne at least where nobody counts bytes and nobody has missed a deadline,
/// and a batch that nobody waits for while bytes move. It is long enough for the largest batches
/// on slow networks.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// A turn, and what the host does before the next one, may take so long without having been stopped.
const LONGEST_TURN: Duration = Duration::from_millis(100);

/// A batch that is under way.
pub(super) struct Sent {
    number: BatchNumber,
    pub group: usize,
    pub is_read: bool,
    pub lanes: Vec<LaneId>,
    at: Instant,
    due: Instant,
    /// The count of bytes when that was last looked at.
    moved: Option<u64>,
}

/// What one group has not answered.
#[derive(Clone, Copy, Default)]
struct Silence {
    batches: usize,
    questions: usize,
    /// The last sign of life, or when there was first something to answer.
    since: Option<Instant>,
    /// The count of bytes at that time.
    moved: Option<u64>,
    /// Somebody's deadline has passed since then.
    missed: bool,
}

impl Silence {
    fn begin(&mut self, now: Instant, moved: Option<u64>) {
        if self.since.is_none() {
            self.since = Some(now);
            self.moved = moved;
        }
    }

    fn end(&mut self, now: Instant) {
        self.since = (self.batches + self.questions > 0).then_some(now);
        self.missed = false;
    }

    fn due(&self, patience: Duration) -> Option<Instant> {
        let patience = match (self.missed, self.batches, self.moved) {
            (true, ..) | (false, 1.., Some(_)) => patience,
            // A command takes as long as it takes.
            (false, 0, None) => return None,
            (false, ..) => patience.max(LONGEST_SILENCE),
        };
        Some(self.since? + patience)
    }

    /// Whether anything has moved since it was last asked; where so, the silence begins anew.
    fn is_broken(&mut self, now: Instant, moved: Option<u64>) -> bool {
        let is_broken = moved.is_some() && moved != self.moved;
        if is_broken {
            self.moved = moved;
            self.end(now);
        }
        is_broken
    }
}

impl Watch {
    pub fn new(patience: Duration) -> Watch {
        Watch { patience, batches: Vec::new(), next: 0, silences: Vec::new() }
    }

    /// A batch is sent to a group; the last of those who wait for it gives up at `deadline`.
    pub fn sent(
        &mut self,
        now: Instant,
        (group, is_read): (usize, bool),
        lanes: Vec<LaneId>,
        deadline: Option<Instant>,
        moved: Moved<'_>,
    ) -> BatchNumber {
        let patience = now + self.patience;
        let due = deadline.map_or(patience, |deadline| deadline.max(patience));
        self.next += 1;
        let moved = moved(group);
        self.batches.push(Sent { number: self.next, group, is_read, lanes, at: now, due, moved });
        let silence = self.silence(group);
        silence.batches += 1;
        silence.begin(now, moved);
        self.next
    }

    /// A batch was answered.
    pub fn answered(&mut self, now: Instant, number: BatchNumber) -> Option<Sent> {
        let place = self.batches.iter().position(|batch| batch.number == number)?;
        let batch = self.batches.remove(place);
        let patience = now + self.patience;
        for later in &mut self.batches[place..] {
            later.due = later.due.max(patience);
        }
        let silence = self.silence(batch.group);
        silence.batches -= 1;
        silence.end(now);
        Some(batch)
    }

    /// So many questions were asked. They belong to no group, so they are the first one's.
    pub fn asked(&mut self, now: Instant, questions: usize, moved: Moved<'_>) {
        if questions > 0 {
            let silence = self.silence(0);
            silence.questions += questions;
            silence.begin(now, moved(0));
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

    /// Nobody looked at the sockets for so long, for whatever reason: that was no silence of the
    /// server's.
    pub fn postpone(&mut self, by: Duration) {
        for since in self.silences.iter_mut().filter_map(|silence| silence.since.as_mut()) {
            *since += by;
        }
        for batch in &mut self.batches {
            batch.due += by;
        }
    }

    /// The same, where the next look was to be at once: what a host does between two turns is no stop.
    pub fn was_left_alone(&mut self, time: Duration) {
        if time > (self.patience / 10).min(LONGEST_TURN) {
            self.postpone(time);
        }
    }

    /// Nothing is under way any more: gives out what was, in the order of its sending.
    pub fn clear(&mut self) -> Vec<LaneId> {
        self.silences.clear();
        std::mem::take(&mut self.batches).into_iter().flat_map(|batch| batch.lanes).collect()
    }

    /// When the server must have given a sign of life.
    pub fn due(&self) -> Option<Instant> {
        let silences = self.silences.iter().filter_map(|silence| silence.due(self.patience));
        self.batches.iter().map(|batch| batch.due).chain(silences).min()
    }

    /// Whether a server has been silent for too long. What has moved gives it more time.
    pub fn hangs(&mut self, now: Instant, moved: Moved<'_>) -> bool {
        let patience = self.patience;
        for (group, silence) in self.silences.iter_mut().enumerate() {
            let is_due = silence.due(patience).is_some_and(|due| due <= now);
            if is_due && !silence.is_broken(now, moved(group)) {
                return true;
            }
        }
        for batch in self.batches.iter_mut().filter(|batch| batch.due <= now) {
            let moved = moved(batch.group);
            let longest = batch.at + patience.max(LONGEST_SILENCE);
            if moved.is_none() || moved == batch.moved || longest <= now {
                return true;
            }
            batch.moved = moved;
            batch.due = (now + patience).min(longest);
        }
        false
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

    /// Nobody counts.
    fn nothing(_: usize) -> Option<u64> {
        None
    }

    /// A batch with no lanes.
    fn sent(watch: &mut Watch, now: Instant, group: usize, deadline: Option<Instant>) -> BatchNumber {
        watch.sent(now, (group, false), Vec::new(), deadline, &nothing)
    }

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_batch_is_due_when_its_last_waiter_gives_up() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        assert_eq!(watch.due(), None);
        let first = sent(&mut watch, start, 0, Some(seconds(start, 3)));
        assert_eq!(watch.due(), Some(seconds(start, 10)));
        let second = sent(&mut watch, start, 0, Some(seconds(start, 40)));
        watch.answered(start, first);
        assert_eq!(watch.due(), Some(seconds(start, 40)));
        watch.answered(start, second);
        assert_eq!(watch.due(), None);
    }

    #[test]
    fn an_answer_gives_later_batches_more_time() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        let first = sent(&mut watch, start, 0, None);
        sent(&mut watch, start, 0, None);
        watch.answered(seconds(start, 8), first);
        assert_eq!(watch.due(), Some(seconds(start, 18)));
    }

    #[test]
    fn a_batch_that_others_overtake_stays_due() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        sent(&mut watch, start, 0, None);
        for second in 1..9 {
            let other = sent(&mut watch, seconds(start, second), 0, None);
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
        let first = sent(&mut watch, start, 0, hour);
        sent(&mut watch, start, 0, hour);
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
        sent(&mut watch, start, 1, Some(seconds(start, 3600)));
        let living = sent(&mut watch, start, 0, None);
        watch.missed(1);
        watch.answered(seconds(start, 5), living);
        assert_eq!(watch.due(), Some(seconds(start, 10)));
    }

    #[test]
    fn questions_are_watched_once_somebody_gives_up() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        watch.missed(0);
        watch.asked(start, 2, &nothing);
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

    #[test]
    fn a_slow_transfer_is_progress_and_silence_is_a_hang() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        let hour = Some(seconds(start, 3600));
        watch.sent(start, (0, true), Vec::new(), hour, &|_| Some(7));
        assert_eq!(watch.due(), Some(seconds(start, 10)));
        for round in 1..6 {
            assert!(!watch.hangs(seconds(start, 10 * round), &|_| Some(7 + round)));
            assert_eq!(watch.due(), Some(seconds(start, 10 * round + 10)));
        }
        assert!(watch.hangs(seconds(start, 60), &|_| Some(12)));
    }

    #[test]
    fn a_batch_that_nobody_waits_for_has_an_end_though_bytes_move() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        watch.sent(start, (0, true), Vec::new(), None, &|_| Some(0));
        for second in 1..6 {
            assert!(!watch.hangs(seconds(start, 10 * second), &|_| Some(second)));
        }
        assert!(watch.hangs(start + LONGEST_SILENCE, &|_| Some(9)));
    }

    #[test]
    fn a_time_in_which_nobody_looked_is_no_silence() {
        let start = Instant::now();
        let mut watch = Watch::new(PATIENCE);
        sent(&mut watch, start, 0, Some(seconds(start, 3)));
        watch.missed(0);
        watch.postpone(Duration::from_secs(7));
        assert_eq!(watch.due(), Some(seconds(start, 17)));
        assert!(!watch.hangs(seconds(start, 16), &nothing) && watch.hangs(seconds(start, 17), &nothing));
    }
}
