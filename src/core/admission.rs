//! How much may be under way at once. What was admitted counts until it is handed out to the
//! host, not only until its answer is there.

use futures_util::task::AtomicWaker;

use super::error::{Error, ErrorCode};
use crate::sync::atomic::{fence, AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What a request takes of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// One for each key.
    pub operations: usize,
    /// Keys, data, and the answer once it is there.
    pub bytes: usize,
}

/// The limits, and what is taken of them. Any thread may ask; who admits holds the lock of the
/// way in, and one at a time hands out.
#[derive(Debug)]
pub(super) struct Admission {
    admitted: Counter,
    released: Counter,
    bytes: AtomicUsize,
    max_operations: usize,
    max_bytes: usize,
    /// Completions that were made, and those of them that the host has taken.
    completed: Counter,
    taken: Counter,
    /// The engine reads nothing more until there is room.
    held_back: AtomicBool,
    /// Wakes whoever drives the engine.
    pub waker: AtomicWaker,
    lost_notifications: AtomicU64,
    lost_lines: AtomicU64,
}

impl Admission {
    pub fn new(max_operations: usize, max_bytes: usize) -> Admission {
        Admission {
            admitted: Counter::default(),
            released: Counter::default(),
            bytes: AtomicUsize::new(0),
            max_operations,
            max_bytes,
            completed: Counter::default(),
            taken: Counter::default(),
            held_back: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            lost_notifications: AtomicU64::new(0),
            lost_lines: AtomicU64::new(0),
        }
    }

    /// Makes room, or says why there is none.
    ///
    /// # Errors
    /// `InvalidArgument` for what would never have room, `Busy` for what has none now.
    #[inline]
    pub fn admit(&self, weight: Weight) -> Result<(), Error> {
        let Weight { operations, bytes } = weight;
        let taken = Weight { operations: self.operations(), bytes: self.bytes.load(Ordering::Relaxed) };
        let fits = taken.operations.checked_add(operations).is_some_and(|sum| sum <= self.max_operations)
            && taken.bytes.checked_add(bytes).is_some_and(|sum| sum <= self.max_bytes);
        if !fits {
            return Err(self.refusal(weight, taken));
        }
        self.admitted.add(operations);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Why there is no room. What can never be taken is told so, whatever there is at the moment.
    #[cold]
    fn refusal(&self, wanted: Weight, taken: Weight) -> Error {
        let limits = [
            Limit {
                what: "operations",
                option: "maxInFlight",
                wanted: wanted.operations,
                taken: taken.operations,
                most: self.max_operations,
            },
            Limit {
                what: "bytes",
                option: "maxBytesInFlight",
                wanted: wanted.bytes,
                taken: taken.bytes,
                most: self.max_bytes,
            },
        ];
        let never = limits.iter().find(|limit| limit.wanted > limit.most).map(Limit::never);
        never.unwrap_or_else(|| limits[usize::from(limits[0].has_room())].busy())
    }

    /// An answer of so many bytes waits to be handed out.
    pub fn grow(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A completion waits to be handed out.
    pub fn wait(&self) {
        self.completed.add(1);
    }

    /// A completion was handed out.
    pub fn release(&self, weight: Weight) {
        self.released.add(weight.operations);
        self.taken.add(1);
        let before = self.bytes.fetch_sub(weight.bytes, Ordering::Relaxed);
        // The engine is held back at no other time.
        if before > self.max_bytes {
            // Either this one sees that it is, or it sees what this one has made of the numbers.
            fence(Ordering::SeqCst);
            let is_held_back = self.held_back.load(Ordering::Relaxed);
            if is_held_back && self.has_room() && self.held_back.swap(false, Ordering::Relaxed) {
                self.waker.wake();
            }
        }
    }

    /// Whether answers may be asked for. If those that the host could take leave no room, the
    /// engine is woken when there is some again.
    pub fn may_read(&self) -> bool {
        if self.has_room() {
            return true;
        }
        self.held_back.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Whoever has made room meanwhile may have seen nothing to wake.
        self.has_room()
    }

    /// With nothing to take, to wait for the host would be to wait for ever: what takes the room
    /// are the parts of a bulk that is not whole, or writes behind reads.
    fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= self.max_bytes || self.taken.get() == self.completed.get()
    }

    /// How many operations there are.
    pub fn operations(&self) -> usize {
        // In this order: what is released was admitted before.
        let released = self.released.get();
        self.admitted.get().wrapping_sub(released)
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn notification_lost(&self) {
        self.lost_notifications.fetch_add(1, Ordering::Relaxed);
    }

    pub fn line_lost(&self) {
        self.lost_lines.fetch_add(1, Ordering::Relaxed);
    }

    /// How many notifications, and how many lines of the log, the host was too slow for.
    pub fn lost(&self) -> (u64, u64) {
        (self.lost_notifications.load(Ordering::Relaxed), self.lost_lines.load(Ordering::Relaxed))
    }
}

/// A count that only grows and that one at a time writes, which costs no more than a variable.
#[derive(Debug, Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn add(&self, count: usize) {
        self.0.store(self.get().wrapping_add(count), Ordering::Release);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// One of the limits, what is taken of it, and what a request wants.
struct Limit {
    what: &'static str,
    option: &'static str,
    wanted: usize,
    taken: usize,
    most: usize,
}

impl Limit {
    fn has_room(&self) -> bool {
        self.taken.saturating_add(self.wanted) <= self.most
    }

    /// There would never be room.
    fn never(&self) -> Error {
        let Limit { what, option, wanted, most, .. } = self;
        Error::new(
            ErrorCode::InvalidArgument,
            format!("the request is for {wanted} {what} and {option} is {most}; split it, or raise {option}"),
        )
    }

    /// There is none beside what is taken.
    fn busy(&self) -> Error {
        let Limit { what, option, taken, most, .. } = self;
        Error::new(
            ErrorCode::Busy,
            format!("{taken} {what} are in flight already and {option} is {most}; wait for some of them"),
        )
    }
}
