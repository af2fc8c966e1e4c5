//! The conformance suite: one list of named promises, held against every backend in every host, as
//! `matrix` says. Names are `backend::host::promise`.
//!
//! What cannot run is one visible line for each backend or host, and a failure where the
//! environment has `CI`.
//!
//! `CONFORMANCE_BACKENDS=memory,sqlite` leaves the other backends out.
//! `CONFORMANCE_VALGRIND=1` adds the C host in valgrind for all backends; with `CI` it runs for
//! the memory backend at least. `CONFORMANCE_EVERY_WAY=1` holds every promise everywhere,
//! `CONFORMANCE_QUICK=1` all of them in Rust alone, and a handful in the other languages.
//! `CONFORMANCE_SEED` is the seed of what is drawn at random.

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
mod matrix;
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
#[cfg(feature = "full")]
mod table;

use std::sync::Arc;

use libtest_mimic::{Completion, Failed};

use crate::harness::{caught, is_ci, skipped_or_failed, test, try_catch, Class, Group, Job, Outcome, Test};
use backends::{BackendKind, FAULTY};
use hosts::HostKind;
use matrix::Extent;
use promises::{Need, Promise, Scope};
use stage::Stage;

pub use faulty::ON_PURPOSE;
pub use hosts::end_all as end_hosts;

/// The tests of the suite itself.
pub const TESTS: &[Test] = &[
    test!(json_is_compared_exactly),
    #[cfg(feature = "full")]
    test!(the_table_of_promises_is_of_this_suite),
];

fn json_is_compared_exactly() {
    json::self_test();
}

#[cfg(feature = "full")]
fn the_table_of_promises_is_of_this_suite() {
    table::check();
}

/// All promises, against all backends that are selected.
pub fn jobs() -> impl Iterator<Item = Job> {
    let backends = backends::selected().into_iter();
    let hosts: Vec<Arc<Here>> =
        hosts::ALL.iter().map(|host| Arc::new(Here { host, missing: host.missing() })).collect();
    backends.flat_map(move |backend| {
        let missing = (backend.missing)();
        let jobs: Vec<Job> =
            hosts.iter().flat_map(|here| jobs_of(backend, here, missing.as_deref())).collect();
        jobs
    })
}

/// A host on this machine.
struct Here {
    host: &'static HostKind,
    missing: Option<String>,
}

fn jobs_of(backend: &'static BackendKind, here: &Here, missing: Option<&str>) -> Vec<Job> {
    let host = here.host;
    let extent = Extent::of_this_run();
    let promises: Vec<_> =
        promises::all().filter(|promise| matrix::holds(backend, host, promise, extent)).collect();
    let reason = here.missing.as_deref().or(missing).map(str::to_owned);
    match reason {
        Some(reason) if !promises.is_empty() => vec![Job {
            name: format!("{}::{}::every_promise", backend.name, host.name),
            group: &backend.group,
            class: Class::Waits,
            has_server: false,
            promise: None,
            run: Box::new(move || match is_ci() {
                true => Err(Failed::from(reason)),
                false => Ok(Completion::ignored_with(reason)),
            }),
        }],
        _ => promises.into_iter().map(|promise| job(backend, host, promise)).collect(),
    }
}

fn job(backend: &'static BackendKind, host: &'static HostKind, promise: &'static Promise) -> Job {
    let is_hurt = matches!(promise.scope, Scope::Server | Scope::Crash | Scope::Network | Scope::Credentials);
    Job {
        name: format!("{}::{}::{}", backend.name, host.name, promise.name),
        group: &backend.group,
        class: if host.is_slow() { Class::Works } else { promise.class() },
        has_server: is_hurt && backend.name != FAULTY,
        promise: Some(promise.name),
        run: Box::new(move || hold(backend, host, promise)),
    }
}

/// Ends what the promises of a group shared, besides servers of the pool.
pub fn end(group: &Group) {
    #[cfg(feature = "redis")]
    redis_places::end(group.name);
    #[cfg(not(feature = "redis"))]
    let _ = group;
}

/// Holds one promise against one backend in one host.
fn hold(backend: &BackendKind, host: &HostKind, promise: &Promise) -> Outcome {
    if promise.needs.contains(&Need::Speed) && host.is_slow() {
        return Ok(Completion::ignored_with("it would take too long in here"));
    }
    if let Some(reason) = backends::exception(backend, promise) {
        return Ok(Completion::ignored_with(reason));
    }
    let alone = promise.needs.contains(&Need::Process);
    if alone && !host.is_program() {
        return Ok(Completion::ignored_with("it needs a process of its own"));
    }
    let opened = try_catch(|| {
        let place = (backend.place)(promise.scope);
        let program = if alone { host.start() } else { host.take() };
        Stage::new(program, host.mode, place, host.patience())
    });
    let mut stage = match opened {
        Ok(stage) => stage,
        Err(panicked) => return skipped_or_failed(panicked),
    };
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
