//! How much may be under way at once. What was admitted counts until it is handed out to the
//! host, not only until its answer is there.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use futures_util::task::AtomicWaker;

use super::error::{Error, ErrorCode};

/// What a request takes of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// One for each key.
    pub operations: usize,
    /// Keys, data, and the answer once it is there.
    pub bytes: usize,
}

/// The limits, and what is taken of them. Any thread may ask; who admits holds the lock of the
/// way in.
#[derive(Debug)]
pub(super) struct Admission {
    operations: AtomicUsize,
    bytes: AtomicUsize,
    max_operations: usize,
    max_bytes: usize,
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
            operations: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_operations,
            max_bytes,
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
    pub fn admit(&self, weight: Weight) -> Result<(), Error> {
        self.admit_some(
            "operations",
            "maxInFlight",
            weight.operations,
            &self.operations,
            self.max_operations,
        )?;
        self.admit_some("bytes", "maxBytesInFlight", weight.bytes, &self.bytes, self.max_bytes)?;
        self.operations.fetch_add(weight.operations, Ordering::Relaxed);
        self.bytes.fetch_add(weight.bytes, Ordering::Relaxed);
        Ok(())
    }

    fn admit_some(
        &self,
        what: &str,
        option: &str,
        wanted: usize,
        taken: &AtomicUsize,
        limit: usize,
    ) -> Result<(), Error> {
        if wanted > limit {
            // To wait for others does not help.
            return Err(Error::new(
                ErrorCode::InvalidArgument,
                format!(
                    "the request is for {wanted} {what} and {option} is {limit}; split it, or raise {option}"
                ),
            ));
        }
        let taken = taken.load(Ordering::Relaxed);
        if taken.saturating_add(wanted) > limit {
            return Err(Error::new(
                ErrorCode::Busy,
                format!(
                    "{taken} {what} are in flight already and {option} is {limit}; wait for some of them"
                ),
            ));
        }
        Ok(())
    }

    /// An answer of so many bytes waits to be handed out.
    pub fn grow(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A request was handed out.
    pub fn release(&self, weight: Weight) {
        self.operations.fetch_sub(weight.operations, Ordering::Relaxed);
        self.bytes.fetch_sub(weight.bytes, Ordering::SeqCst);
        if self.held_back.load(Ordering::SeqCst)
            && self.has_room()
            && self.held_back.swap(false, Ordering::SeqCst)
        {
            self.waker.wake();
        }
    }

    /// Whether answers may be asked for. If those that nobody has taken yet leave no room, the
    /// engine is woken when there is some again.
    pub fn may_read(&self) -> bool {
        if self.has_room() {
            return true;
        }
        self.held_back.store(true, Ordering::SeqCst);
        // Whoever has made room meanwhile may have seen nothing to wake.
        self.has_room()
    }

    fn has_room(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) <= self.max_bytes
    }

    /// How many operations there are.
    pub fn operations(&self) -> usize {
        self.operations.load(Ordering::Relaxed)
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
