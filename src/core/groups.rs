//! What the engine knows of each group of keys, which is mostly a server: how many batches it has
//! under way, whose turn is next, and whether it wants to be left alone for a while.

use std::time::{Duration, Instant};

use super::backend::Description;
use super::backoff::Backoff;
use super::error::Error;
use super::random::Random;
use super::request::Kind;
use super::watch::BatchNumber;

/// The kinds that change nothing, and those that do.
const CLASSES: [[Kind; 2]; 2] = [[Kind::Set, Kind::Delete], [Kind::Get, Kind::Head]];

/// The first and the longest pause of a server that passes nothing at the moment.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// So many operations go at once to a server that has refused, until it answers one.
const PROBE: usize = 64;

/// See the module.
pub(super) struct Group {
    classes: [Class; 2],
    /// It is to be left alone until then.
    rest: Option<Instant>,
    /// The last batch that went to it.
    last_sent: BatchNumber,
    /// It has refused, and nothing was answered that was sent since.
    refusal: Option<Refusal>,
    /// It said that it is back after this batch had gone: what it refuses of those is no news.
    back_after: BatchNumber,
    pauses: Backoff,
    /// About how many bytes an answer to a read has.
    answer: usize,
    /// Where there is room for one batch alone, reads and writes take turns.
    reads_are_next: bool,
    /// What was lost with the connection before goes next, alone.
    suspect_is_next: bool,
    /// It is under way.
    suspect_is_under_way: bool,
}

/// See [`Group::refusal`].
struct Refusal {
    /// The last batch that had gone to it by then.
    after: BatchNumber,
    error: Error,
}

/// Batches that write, or batches that read.
#[derive(Clone, Copy, Default)]
struct Class {
    under_way: usize,
    /// The kind of the last one: it lets the other one go first, so that none starves.
    last: Option<Kind>,
}

/// What may go next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub records: usize,
    pub bytes: usize,
}

impl Group {
    pub fn new(random: Random) -> Group {
        Group {
            classes: [Class::default(); 2],
            rest: None,
            last_sent: 0,
            refusal: None,
            back_after: 0,
            pauses: Backoff::with(PAUSES.0, PAUSES.1, random),
            answer: 0,
            reads_are_next: true,
            suspect_is_next: true,
            suspect_is_under_way: false,
        }
    }

    /// Whether reads are to go first, and writes, in the order in which they may go next.
    pub fn class_order(&self) -> [bool; 2] {
        [self.reads_are_next, !self.reads_are_next]
    }

    /// The kinds of a class in the order in which they may go next.
    pub fn order(&self, is_read: bool) -> [Kind; 2] {
        let [first, second] = CLASSES[usize::from(is_read)];
        match self.classes[usize::from(is_read)].last {
            Some(last) if last == first => [second, first],
            _ => [first, second],
        }
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.classes.iter().all(|class| class.under_way == 0)
    }

    /// Whether it is left alone at this time.
    pub fn rests(&self, now: Instant) -> bool {
        self.rest.is_some_and(|until| now < until)
    }

    /// Why it passes nothing at the moment, if it does not.
    pub fn trouble(&self) -> Option<&Error> {
        self.refusal.as_ref().map(|refusal| &refusal.error)
    }

    /// When that ends.
    pub fn rests_until(&self) -> Option<Instant> {
        self.rest
    }

    /// How much a batch of a class may take now; nothing if there is no room for one.
    pub fn room(&self, is_read: bool, limits: &Description) -> Option<Room> {
        if self.suspect_is_under_way {
            return None;
        }
        let most = if is_read { limits.read_batches } else { limits.write_batches };
        let mut records = limits.max_batch_records;
        if self.refusal.is_some() {
            // One at a time, to see how it is.
            if !self.is_idle() {
                return None;
            }
            records = records.min(PROBE);
        } else if self.classes[usize::from(is_read)].under_way >= most {
            return None;
        }
        if is_read && self.answer > 0 {
            records = records.min((limits.max_batch_bytes / self.answer).max(1));
        }
        Some(Room { records, bytes: limits.max_batch_bytes })
    }

    /// A batch goes; of what is to go alone, or of what is not.
    pub fn sent(&mut self, number: BatchNumber, kind: Kind, is_suspect: bool) {
        self.last_sent = number;
        // A pause that was over by then.
        self.rest = None;
        self.suspect_is_next &= !is_suspect;
        self.suspect_is_under_way = is_suspect;
        let class = &mut self.classes[usize::from(kind.is_read())];
        class.under_way += 1;
        if !is_suspect {
            // Suspects have turns of their own.
            class.last = Some(kind);
            self.reads_are_next = !kind.is_read();
        }
    }

    /// Others had their turn, reads and writes: it is a suspect's again.
    pub fn others_went(&mut self) {
        self.suspect_is_next = true;
    }

    /// A batch came back.
    pub fn came_back(&mut self, is_read: bool) {
        self.classes[usize::from(is_read)].under_way -= 1;
        self.suspect_is_under_way = false;
    }

    /// So many answers to reads took so many bytes.
    pub fn answered(&mut self, answers: usize, bytes: usize) {
        if let Some(mean) = bytes.checked_div(answers) {
            // Quick to believe in large ones, slow to forget them.
            self.answer = if mean > self.answer { mean } else { (7 * self.answer + mean) / 8 };
        }
    }

    /// A batch found a server that passes nothing: it is left alone, once for all that was under
    /// way together, at least for as long as the error says.
    pub fn refuse(&mut self, number: BatchNumber, now: Instant, error: Error) {
        if number <= self.back_after {
            return;
        }
        let mut pause = error.pause().unwrap_or_default();
        if self.refusal.as_ref().is_none_or(|refusal| number > refusal.after) {
            self.refusal = Some(Refusal { after: self.last_sent, error });
            pause = pause.max(self.pauses.next());
        }
        if pause > Duration::ZERO {
            self.rest = self.rest.max(Some(now + pause));
        }
    }

    /// A batch was answered.
    pub fn prove(&mut self, number: BatchNumber) {
        if self.refusal.as_ref().is_some_and(|refusal| number > refusal.after) {
            self.recover();
        }
    }

    /// The server says that it is back, whatever it may have refused before.
    pub fn is_back(&mut self) {
        self.back_after = self.last_sent;
        self.recover();
    }

    /// No more waiting.
    fn recover(&mut self) {
        self.refusal = None;
        self.rest = None;
        self.pauses.reset();
    }

    /// Whether a suspect goes before others. They take turns as long as there are any.
    pub fn suspect_is_next(&self) -> bool {
        self.suspect_is_next
    }

    /// The connection was lost: nothing is under way.
    pub fn lost(&mut self) {
        self.classes = [Class::default(); 2];
        self.suspect_is_under_way = false;
        self.rest = None;
        self.refusal = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::ErrorCode;
    use super::*;

    fn busy() -> Error {
        Error::transient(ErrorCode::Unavailable, "it is busy").of_server()
    }

    fn limits() -> Description {
        Description {
            target: "a server".into(),
            max_batch_records: 512,
            max_batch_bytes: 1000,
            read_batches: 2,
            write_batches: 1,
            host_driven: true,
        }
    }

    #[test]
    fn refusals_of_one_wave_are_one_pause_and_pauses_grow() {
        let start = Instant::now();
        let mut group = Group::new(Random::from_seed(1));
        let mut now = start + Duration::from_millis(1);
        let mut pauses = Vec::new();
        for wave in 0..8 {
            let numbers = wave * 100 + 1..wave * 100 + 101;
            numbers.clone().for_each(|number| group.sent(number, Kind::Set, false));
            numbers.for_each(|number| group.refuse(number, now, busy()));
            let until = group.rests_until().unwrap();
            pauses.push(until - now);
            assert!(group.rests(now) && !group.rests(until));
            now = until;
        }
        for (pause, full) in pauses.iter().zip([20, 40, 80, 160, 320, 640, 1000, 1000]) {
            let full = Duration::from_millis(full);
            assert!(*pause <= full && *pause >= full / 2, "{pauses:?}");
        }
        group.prove(800);
        assert!(group.rests(now - Duration::from_millis(1)), "what was sent before proves nothing");
        group.prove(801);
        group.refuse(802, now, busy());
        assert!(group.rests_until().unwrap() - now <= PAUSES.0);
    }

    #[test]
    fn what_was_refused_before_a_server_was_back_is_no_news() {
        let now = Instant::now();
        let mut group = Group::new(Random::from_seed(1));
        group.sent(1, Kind::Set, false);
        group.is_back();
        group.refuse(1, now, busy());
        assert_eq!(group.rests_until(), None);
        group.sent(2, Kind::Set, false);
        group.refuse(2, now, busy());
        assert!(group.rests(now));
    }

    #[test]
    fn a_server_that_refused_is_asked_a_little() {
        let now = Instant::now();
        let mut group = Group::new(Random::from_seed(1));
        group.sent(1, Kind::Get, false);
        group.came_back(true);
        group.refuse(1, now, busy().after(Duration::from_secs(3)));
        assert_eq!(group.rests_until(), Some(now + Duration::from_secs(3)));
        assert_eq!(group.room(true, &limits()), Some(Room { records: PROBE, bytes: 1000 }));
        group.sent(2, Kind::Get, false);
        assert_eq!((group.room(true, &limits()), group.room(false, &limits())), (None, None));
        group.came_back(true);
        group.prove(2);
        assert_eq!(group.room(true, &limits()), Some(Room { records: 512, bytes: 1000 }));
    }

    #[test]
    fn reads_are_bounded_by_what_came() {
        let mut group = Group::new(Random::from_seed(1));
        group.answered(10, 2500);
        assert_eq!(group.room(true, &limits()).unwrap().records, 4);
        group.answered(1, 100_000);
        assert_eq!(group.room(true, &limits()).unwrap().records, 1);
        for _ in 0..100 {
            group.answered(1, 1);
        }
        assert!(group.room(true, &limits()).unwrap().records > 100);
    }
}
