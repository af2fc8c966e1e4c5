//! `bench`: how many operations a database takes with W of them under way, and how long each takes.

use std::sync::mpsc::{channel, Sender};
use std::time::{Duration, Instant};

use deepstream_connector::core::{Error, Key, Operation, Record};
use deepstream_connector::Handle;
use hdrhistogram::Histogram;
use serde_json::{json, Value};

use crate::cli::{BenchArgs, Measured};
use crate::config;
use crate::connection::{wait, Connection};
use crate::console::console;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;

/// What the names of its records begin with.
const PREFIX: &str = "connectorctl-bench/";

/// Latencies are told up to a minute, in microseconds.
const LONGEST: u64 = 60_000_000;

/// So many keys are stored or removed at once besides the measuring.
const GROUP: usize = 1000;

/// How wide a histogram's bars are, in characters.
const WIDTH: u64 = 40;

/// What one kind of operation came to.
struct Measurement {
    name: &'static str,
    seconds: f64,
    latencies: Histogram<u64>,
    failures: u64,
}

pub fn bench(arguments: &BenchArgs) -> Result<Exit, Failure> {
    let connection = Connection::open(&config::one(&arguments.connection)?)?;
    let handle = connection.handle();
    let keys: Vec<Key> = (0..arguments.records).map(|n| format!("{PREFIX}{n}").into()).collect();
    let filled = "x".repeat((arguments.size as usize).saturating_sub(2));
    let record = Record { version: 1, data: format!("\"{filled}\"").into() };
    let set = |key: &Key| (key.clone(), Operation::Set(record.clone()));
    let results = (|| {
        many(handle, &keys, set)?;
        let each = |kind: &Measured| measure(handle, *kind, &keys, &record, arguments);
        arguments.operations.iter().map(each).collect::<Result<Vec<_>, Failure>>()
    })();
    // Whatever came of it.
    let removed = many(handle, &keys, |key| (key.clone(), Operation::Delete));
    let results = results?;
    removed?;
    let mut output = Output::new();
    for result in &results {
        if console().json() {
            output.json(&result.json(arguments))?;
        } else {
            result.print(&mut output)?;
        }
    }
    output.finish()?;
    connection.close();
    Ok(if results.iter().any(|result| result.failures > 0) { Exit::No } else { Exit::Done })
}

fn many(handle: &Handle, keys: &[Key], operation: impl Fn(&Key) -> (Key, Operation)) -> Result<(), Failure> {
    for group in keys.chunks(GROUP) {
        for result in wait(handle.many_async(group.iter().map(&operation).collect()))? {
            result?;
        }
    }
    Ok(())
}

fn measure(
    handle: &Handle,
    kind: Measured,
    keys: &[Key],
    record: &Record,
    arguments: &BenchArgs,
) -> Result<Measurement, Failure> {
    let name = match kind {
        Measured::Set => "set",
        Measured::Get => "get",
        Measured::Head => "head",
    };
    let histogram = Histogram::new_with_bounds(1, LONGEST, 3);
    let mut result = Measurement {
        name,
        seconds: 0.0,
        latencies: histogram.map_err(|_| Failure::failed("there is no room for a histogram"))?,
        failures: 0,
    };
    let (sender, answers) = channel::<(Duration, Option<Error>)>();
    let mut next = keys.iter().cycle();
    let mut submit = || match next.next() {
        Some(key) => submit_one(handle, kind, key, record, sender.clone()),
        None => Ok(()),
    };
    let mut progress = Progress::begin(name, 0, None);
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(arguments.seconds);
    let mut under_way: u64 = 0;
    for _ in 0..arguments.window {
        submit()?;
        under_way += 1;
    }
    while under_way > 0 {
        let Ok((latency, error)) = answers.recv() else { break };
        under_way -= 1;
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        result.latencies.saturating_record(microseconds.max(1));
        result.failures += u64::from(error.is_some());
        if let Some(error) = error.filter(|error| !error.is_retryable()) {
            return Err(error.into());
        }
        if Instant::now() < end {
            submit()?;
            under_way += 1;
        }
        progress.at(result.latencies.len());
    }
    result.seconds = began.elapsed().as_secs_f64();
    Ok(result)
}

fn submit_one(
    handle: &Handle,
    kind: Measured,
    key: &Key,
    record: &Record,
    sender: Sender<(Duration, Option<Error>)>,
) -> Result<(), Failure> {
    let began = Instant::now();
    // Nobody receives any more only after a failure.
    let answered = move |error: Option<Error>| drop(sender.send((began.elapsed(), error)));
    match kind {
        Measured::Set => handle.set(key, record.clone(), move |result| answered(result.err())),
        Measured::Get => handle.get(key, move |result| answered(result.err())),
        Measured::Head => handle.head(key, move |result| answered(result.err())),
    }?;
    Ok(())
}

impl Measurement {
    #[allow(clippy::cast_precision_loss)]
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds.max(1e-9)
    }

    fn json(&self, arguments: &BenchArgs) -> Value {
        let at = |quantile| self.latencies.value_at_quantile(quantile);
        json!({
            "operation": self.name, "window": arguments.window, "size": arguments.size,
            "count": self.latencies.len(), "failures": self.failures, "seconds": self.seconds,
            "perSecond": self.rate().round(),
            "latencyMicroseconds": {
                "min": self.latencies.min(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
                "max": self.latencies.max(),
            },
        })
    }

    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let at = |quantile| in_words(self.latencies.value_at_quantile(quantile));
        output.text(&format!(
            "{}: {:.0}/s ({} in {:.1} s, {} failed); p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
            self.name,
            self.rate(),
            self.latencies.len(),
            self.seconds,
            self.failures,
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            in_words(self.latencies.max())
        ))?;
        let bars = bars(&self.latencies);
        let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
        for (high, count) in bars {
            let length = usize::try_from(count.saturating_mul(WIDTH).div_ceil(most)).unwrap_or_default();
            output.text(&format!("  up to {:>9} {:>9} {}", in_words(high), count, "#".repeat(length)))?;
        }
        Ok(())
    }
}

/// How many latencies there are up to each power of two, from the first to the last that has some.
fn bars(latencies: &Histogram<u64>) -> Vec<(u64, u64)> {
    let mut bars = Vec::new();
    let mut high = 1;
    let mut counted = 0;
    while counted < latencies.len() {
        let upto = latencies.iter_recorded().filter(|value| value.value_iterated_to() <= high);
        let below: u64 = upto.map(|value| value.count_at_value()).sum();
        let is_last = high >= LONGEST;
        let below = if is_last { latencies.len() } else { below };
        if below > 0 {
            bars.push((high, below - counted));
        }
        counted = below;
        high = high.saturating_mul(2);
    }
    bars
}

/// Microseconds as a person says them.
#[allow(clippy::cast_precision_loss)]
fn in_words(microseconds: u64) -> String {
    match microseconds {
        0..=999 => format!("{microseconds} µs"),
        1000..=999_999 => format!("{:.1} ms", microseconds as f64 / 1e3),
        _ => format!("{:.1} s", microseconds as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_hold_each_latency_once() {
        let mut latencies = Histogram::new_with_bounds(1, LONGEST, 3).unwrap();
        for microseconds in [3, 4, 5, 100, 100, 20_000_000] {
            latencies.saturating_record(microseconds);
        }
        let bars = bars(&latencies);
        assert_eq!(bars.iter().map(|(_, count)| count).sum::<u64>(), 6);
        assert_eq!(bars[..2], [(4, 2), (8, 1)]);
        assert!(bars.contains(&(128, 2)));
    }
}
