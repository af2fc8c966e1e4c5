//! Runs the engine in a made-up world and in virtual time, from seeds. `docs/simulation.md` says
//! what the world does, what is checked, and how to replay a seed.
//!
//! The environment says which seeds: `SEEDS` how many, `FIRST_SEED` from which on, `SEED` a single
//! one, with a trace of the shortest history that fails. `FAILURES` is how many are enough.

mod chance;
mod checks;
mod driver;
mod failure;
mod host;
mod ledger;
mod scenario;
mod shrink;
mod time;
mod trace;
mod world;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Instant;

use failure::Failure;
use scenario::Scenario;
use time::{HOUR, SECOND};

/// How many seeds there are if nobody says so.
const SEEDS: u64 = 20_000;

/// After so many failures it ends, if nobody says so.
const FAILURES: u64 = 10;

fn main() -> ExitCode {
    match number("SEED") {
        Some(seed) => replay(seed),
        None => explore(number("FIRST_SEED").unwrap_or(1), number("SEEDS").unwrap_or(SEEDS)),
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => {
            eprintln!("{name} is {text:?}; give a number");
            std::process::exit(2);
        }
    }
}

/// Runs many seeds on all processors.
fn explore(first: u64, count: u64) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let (simulated, faults, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let failures: Mutex<Vec<(u64, Failure)>> = Mutex::new(Vec::new());
    let enough = number("FAILURES").unwrap_or(FAILURES) as usize;
    let has_enough = || failures.lock().is_ok_and(|failures| failures.len() >= enough);
    let work = || {
        while !has_enough() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            let outcome = driver::run(&Scenario::new(seed), false);
            // In seconds: hours of a million seeds are too many nanoseconds.
            simulated.fetch_add(outcome.simulated / SECOND, Ordering::Relaxed);
            faults.fetch_add(outcome.faults, Ordering::Relaxed);
            done.fetch_add(1, Ordering::Relaxed);
            if let (Some(failure), Ok(mut failures)) = (outcome.failure, failures.lock()) {
                println!("seed {seed}: {}: {}\n  make simulate SEED={seed}", failure.check, failure.words);
                failures.push((seed, failure));
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let simulated = simulated.into_inner();
    println!(
        "{} seeds, {} simulated hours, {} faults, {:.0} times faster than real time",
        done.into_inner(),
        simulated / (HOUR / SECOND),
        faults.into_inner(),
        simulated as f64 / began.elapsed().as_secs_f64()
    );
    let has_failed = failures.into_inner().map_or(true, |failures| !failures.is_empty());
    if has_failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Runs one seed, and shows what happens in it.
fn replay(seed: u64) -> ExitCode {
    let mut scenario = Scenario::new(seed);
    let steps = scenario.steps.len();
    let failure = driver::run(&scenario, false).failure;
    if let Some(failure) = &failure {
        scenario = shrink::shrink(&scenario, failure.check);
    }
    println!("seed {seed}: {:#?}", scenario.setup);
    let outcome = driver::run(&scenario, true);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    match outcome.failure {
        Some(failure) => {
            println!("{} of {steps} steps: {}: {}", scenario.steps.len(), failure.check, failure.words);
            ExitCode::FAILURE
        }
        None => {
            println!("{steps} steps, and every promise was kept");
            ExitCode::SUCCESS
        }
    }
}
