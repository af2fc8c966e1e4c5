//! The conformance suite: one list of named promises, held against every backend in every host.
//!
//! `cargo test --release --test conformance` runs all that can run on this machine; a word
//! after `--` selects tests by their names, `backend::host::promise`. What cannot run is one
//! visible line for each backend or host, and a failure where the environment has `CI`.
//!
//! `CONFORMANCE_BACKENDS=memory,sqlite` leaves the other backends out.
//! `CONFORMANCE_VALGRIND=1` adds the C host in valgrind for all backends; with `CI` it runs for
//! the memory backend at least. `CONFORMANCE_EVERY_WAY=1` has all backends in all hosts, and not
//! the most of them once in each language. `CONFORMANCE_SEED` is the seed of what is drawn at
//! random.

mod backends;
#[cfg(feature = "cassandra")]
mod cassandra_places;
mod chance;
mod core_host;
#[cfg(feature = "couchdb")]
mod couchdb_places;
mod documents;
#[cfg(feature = "dynamodb")]
mod dynamodb_places;
#[cfg(feature = "elasticache")]
mod elasticache_places;
mod faulty;
mod host;
mod hosts;
#[cfg(feature = "ironcache")]
mod ironcache_places;
mod json;
#[cfg(feature = "memcached")]
mod memcached_places;
#[cfg(feature = "mongodb")]
mod mongodb_places;
#[cfg(feature = "mysql")]
mod mysql_places;
#[cfg(feature = "postgres")]
mod postgres_places;
mod program_host;
mod promises;
mod protocol;
#[cfg(feature = "redis")]
mod redis_places;
mod rust_host;
mod sequence;
mod servers;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::any::Any;
use std::cell::Cell;
use std::env;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::thread;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use backends::{BackendKind, FAULTY};
use hosts::{HostKind, Program};
use promises::{Need, Promise, Scope};
use stage::Stage;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Tests wait for servers and for clocks most of the time, so one more than there are cores.
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(cores + 1);
    silence_panics();
    let mut trials = vec![Trial::test("suite::json_is_compared_exactly", || {
        json::self_test();
        Ok(())
    })];
    for backend in backends::selected() {
        for host in hosts::ALL.iter().filter(|host| meet(backend, host)) {
            trials.extend(trials_of(backend, host));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let faults = hosts::end_all();
    #[cfg(feature = "redis")]
    redis_places::end_all();
    servers::end_all();
    for fault in &faults {
        eprintln!("{fault}");
    }
    match faults.is_empty() {
        true => conclusion.exit_code(),
        false => ExitCode::FAILURE,
    }
}

/// Whether a backend is tested in a host at all.
fn meet(backend: &BackendKind, host: &HostKind) -> bool {
    let everywhere = env::var_os("CONFORMANCE_VALGRIND").is_some();
    match host.program {
        // The misbehaving backend is for the engine, which is the same in all hosts.
        Program::Core(_) if backend.name == FAULTY => true,
        _ if backend.name == FAULTY => false,
        // The public Rust interface is the dispatch thread's way already, and the host's own thread
        // drives every backend in the C and Node.js hosts.
        Program::Core(way) => way == core_host::Delivers::OnPoll && backend.shows_every_way(),
        Program::CInValgrind => everywhere || (is_ci() && backend.name == "memory"),
        // Every backend is held to every promise once in each language.
        Program::Rust | Program::C | Program::Node | Program::Python => {
            backend.shows_every_way()
                || env::var_os("CONFORMANCE_EVERY_WAY").is_some()
                || matches!(host.name, "rust" | "c" | "node" | "python")
        }
    }
}

/// What survives a crash does not depend on the host, and Cassandra takes its time to start again.
fn is_left_out(backend: &BackendKind, host: &HostKind, scope: Scope) -> bool {
    backend.name == "cassandra" && scope == Scope::Crash && !matches!(host.name, "rust" | "node")
}

fn is_ci() -> bool {
    env::var_os("CI").is_some()
}

fn trials_of(backend: &'static BackendKind, host: &'static HostKind) -> Vec<Trial> {
    if let Some(reason) = host.missing().or_else(backend.missing) {
        let name = format!("{}::{}::every_promise", backend.name, host.name);
        return vec![Trial::ignorable_test(name, move || match is_ci() {
            true => Err(Failed::from(reason)),
            false => Ok(Completion::ignored_with(reason)),
        })];
    }
    promises::all()
        .filter(|promise| {
            backend.scopes.contains(&promise.scope) && !is_left_out(backend, host, promise.scope)
        })
        .map(|promise| {
            let name = format!("{}::{}::{}", backend.name, host.name, promise.name);
            Trial::ignorable_test(name, move || hold(backend, host, promise))
        })
        .collect()
}

/// Holds one promise against one backend in one host.
fn hold(backend: &BackendKind, host: &HostKind, promise: &Promise) -> Result<Completion, Failed> {
    servers::turn_to(backend.name);
    if promise.needs.contains(&Need::Speed) && host.is_slow() {
        return Ok(Completion::ignored_with("it would take too long in here"));
    }
    let alone = promise.needs.contains(&Need::Process);
    if alone && !host.is_program() {
        return Ok(Completion::ignored_with("it needs a process of its own"));
    }
    let opened = caught(|| {
        let place = (backend.place)(promise.scope);
        let program = if alone { host.start() } else { host.take() };
        Stage::new(program, host.mode, place, host.patience())
    });
    let mut stage = opened.map_err(Failed::from)?;
    if let Some(missing) = promise.needs.iter().find(|need| !need.is_met_by(&stage.features)) {
        host.give_back(stage.into_host());
        return Ok(Completion::ignored_with(format!("the host cannot do this: {missing:?}")));
    }
    let held = caught(|| {
        (promise.run)(&mut stage);
        if !alone {
            stage.finish();
        }
    });
    match held {
        Ok(()) => {
            if !alone {
                host.give_back(stage.into_host());
            }
            Ok(Completion::Completed)
        }
        Err(message) => Err(format!("{message}\nthe last of the log:\n{}", stage.log_tail()).into()),
    }
}

thread_local! {
    /// Where this thread panicked last.
    static PANICKED_AT: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs something and makes an error of its panic.
fn caught<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let text = text_of(&*payload).unwrap_or("a panic without a text").to_owned();
        match PANICKED_AT.take() {
            Some(place) => format!("{text}\n(at {place})"),
            None => text,
        }
    })
}

fn text_of(payload: &(dyn Any + Send)) -> Option<&str> {
    payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied())
}

/// A failed promise is reported once, by the harness, and a panic on purpose not at all.
fn silence_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICKED_AT.set(info.location().map(ToString::to_string));
        let on_purpose = text_of(info.payload()) == Some(faulty::ON_PURPOSE);
        // The harness gives its threads no names; all others have one.
        let in_a_promise = thread::current().name().is_none_or(|name| name == "main");
        if !on_purpose && !in_a_promise {
            usual(info);
        }
    }));
}
