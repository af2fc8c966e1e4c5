//! Who is told that there is something to do.

/// What the event loop calls.
pub trait Watcher: 'static {
    /// The file descriptor is readable. Called again at the next turn if it still is.
    fn readable(&self);

    /// The bell was rung. With libuv the loop is about to look for events, and all of this turn's
    /// JavaScript has run.
    fn rung(&self);

    /// The environment ends, and takes with it all that is JavaScript's: nothing of that may be
    /// used or given back. Only a [`Bell`](crate::raw::Bell) says so.
    fn abandoned(&self);

    /// The loop has let go of the watcher; the last call of all.
    fn closed(&self);
}
