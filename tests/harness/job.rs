//! A test, and what it needs.

use libtest_mimic::{Completion, Failed};

use super::caught::{skipped_or_failed, try_catch};

/// How a test ended; a failure says why.
pub type Outcome = Result<Completion, Failed>;

/// What a test needs of the machine while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Hardly anything: it waits for servers, pauses and deadlines most of the time.
    Waits,
    /// A processor, most of the time.
    Works,
    /// All of it: it measures time or memory.
    Alone,
}

/// Tests that use the same servers.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    pub name: &'static str,
    /// How much memory its servers take, in megabytes.
    pub memory: u64,
    /// How many of its tests that have a server of their own may run at once.
    pub servers: usize,
}

impl Group {
    /// One whose servers are small.
    pub const fn small(name: &'static str) -> Group {
        Group { name, memory: 100, servers: 4 }
    }

    pub const fn memory(self, memory: u64) -> Group {
        Group { memory, ..self }
    }

    pub const fn servers(self, servers: usize) -> Group {
        Group { servers, ..self }
    }
}

/// A test that can be run.
pub struct Job {
    pub name: String,
    pub group: &'static Group,
    pub class: Class,
    /// Whether it starts a server, or may have to.
    pub has_server: bool,
    /// The promise that it holds, if it is one of the conformance suite.
    pub promise: Option<&'static str>,
    pub run: Box<dyn FnOnce() -> Outcome + Send>,
}

/// A function that panics where what it is named for does not hold.
pub struct Test {
    pub name: &'static str,
    pub run: fn(),
    pub class: Class,
}

impl Test {
    pub const fn class(self, class: Class) -> Test {
        Test { class, ..self }
    }
}

/// A test by the name of its function. A function that is in no list is dead code, and found so.
macro_rules! test {
    ($name:ident) => {
        $crate::harness::Test { name: stringify!($name), run: $name, class: $crate::harness::Class::Waits }
    };
}
pub(crate) use test;

/// The tests of a module.
pub struct Suite {
    pub name: &'static str,
    pub group: Group,
    pub tests: &'static [Test],
}

impl Suite {
    pub fn jobs(&'static self) -> impl Iterator<Item = Job> {
        self.tests.iter().map(|test| Job {
            name: format!("{}::{}", self.name, test.name),
            group: &self.group,
            class: test.class,
            has_server: true,
            promise: None,
            run: Box::new(|| match try_catch(test.run) {
                Ok(()) => Ok(Completion::Completed),
                Err(panicked) => skipped_or_failed(panicked),
            }),
        })
    }
}

/// Whether nothing may be skipped.
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
