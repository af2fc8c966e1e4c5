//! How the tests are run: each says what it needs of the machine, and gets it.

pub mod caught;
pub mod job;
pub mod processors;
pub mod schedule;
pub mod tests;
pub mod times;

pub use caught::{caught, ignore, silence_panics, skip, skipped_or_failed, try_catch};
pub(crate) use job::test;
pub use job::{is_ci, Class, Group, Job, Outcome, Suite, Test};
