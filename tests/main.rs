//! All tests that use the library as its users do, in one program: the conformance suite, what is
//! special to each database, the C contract, the header, the documentation.
//!
//! `cargo test --release --features full -p deepstream-connector-tests` runs all that can run on
//! this machine; a word after `--` selects tests by their names. What cannot run is a visible line,
//! and a failure where the environment has `CI`.
//!
//! `TEST_CLASSES=together` leaves out what measures time or memory, `TEST_CLASSES=alone` runs
//! nothing else: `tests/run` has other work done beside the first. `TEST_GROUPS=memory,sqlite`
//! leaves out other groups than these. `TEST_TIMES` names a file for
//! what each test took.

#[cfg(feature = "capi")]
mod c_lifecycle;
#[cfg(feature = "cassandra")]
mod cassandra;
#[cfg(feature = "cassandra")]
mod cassandra_cluster;
mod conformance;
#[cfg(feature = "couchdb")]
mod couchdb;
#[cfg(feature = "full")]
mod docs;
#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(feature = "elasticache")]
mod elasticache;
mod groups;
mod harness;
#[cfg(feature = "capi")]
mod header;
mod house;
#[cfg(feature = "ironcache")]
mod ironcache;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_faults;
#[cfg(feature = "postgres")]
mod postgres_logins;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_cluster;
#[cfg(feature = "redis")]
mod redis_replicas;
#[cfg(feature = "redis")]
mod redis_sentinel;
#[cfg(feature = "full")]
mod secrets;
#[cfg(feature = "sqlite")]
mod sqlite;
mod suites;
mod support;

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::{env, thread};

use libtest_mimic::{Arguments, Failed, Trial};

use harness::processors::Processors;
use harness::schedule::{self, Awaited, Limits, Watch};
use harness::{times, Class, Group, Job};
use support::{part, pool};

fn main() -> ExitCode {
    if let Some(run) = part::of_this_process(suites::PARTS) {
        run();
        return ExitCode::SUCCESS;
    }
    let mut arguments = Arguments::from_args();
    harness::silence_panics(conformance::ON_PURPOSE);
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let limits = Limits::of_machine(processors, arguments.test_threads);
    // The harness shows what the schedule has run, in the order of the list.
    arguments.test_threads = Some(1);

    let mut wanted: Vec<Job> = conformance::jobs().chain(suites::jobs()).filter(is_wanted).collect();
    schedule::sort(&mut wanted);
    let (mut trials, mut jobs) = (Vec::new(), Vec::new());
    for job in wanted {
        let (sender, outcome) = channel();
        let trial = Trial::ignorable_test(job.name.clone(), move || {
            outcome.recv().unwrap_or_else(|_| Err(Failed::from("it was given up with the whole run")))
        });
        if !arguments.list && !arguments.is_filtered_out(&trial) {
            jobs.push((job, sender));
        }
        trials.push(trial);
    }
    let running = thread::spawn(move || run(jobs, limits));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let faults = running.join().expect("the schedule catches what tests do");
    for fault in &faults {
        eprintln!("{fault}");
    }
    match faults.is_empty() {
        true => conclusion.exit_code(),
        false => ExitCode::FAILURE,
    }
}

/// Whether the environment wants tests of its group and class.
fn is_wanted(job: &Job) -> bool {
    if env::var("TEST_GROUPS").is_ok_and(|names| !names.split(',').any(|name| name == job.group.name)) {
        return false;
    }
    let is_alone = job.class == Class::Alone;
    match env::var("TEST_CLASSES").as_deref() {
        Ok("together") => !is_alone,
        Ok("alone") => is_alone,
        Ok(other) => panic!("TEST_CLASSES is \"{other}\" and may be \"together\" or \"alone\""),
        Err(_) => true,
    }
}

/// Runs the jobs; says what is wrong besides failed tests.
fn run(jobs: Vec<Awaited>, limits: Limits) -> Vec<String> {
    let machine = Machine { processors: Mutex::default() };
    let taken = schedule::run(jobs, limits, &machine);
    let mut faults = conformance::end_hosts();
    if let Some(path) = env::var_os("TEST_TIMES").map(PathBuf::from) {
        let written = times::write(&path, &taken);
        faults.extend(written.err().map(|error| format!("{} cannot be written: {error}", path.display())));
    }
    faults
}

/// This one. Servers end with their group.
struct Machine {
    processors: Mutex<Processors>,
}

impl Watch for Machine {
    fn is_busy(&self) -> bool {
        self.processors.lock().unwrap_or_else(PoisonError::into_inner).are_busy()
    }

    fn begins(&self, group: &'static Group) {
        pool::enter(group.name);
    }

    fn ended(&self, group: &'static Group) {
        conformance::end(group);
        pool::end(group.name);
    }
}
