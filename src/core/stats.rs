//! Counters and latency percentiles, kept by the engine and read by anybody.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;

use super::admission::Admission;
use super::request::Kind;

/// What a connector has done since it was made.
///
/// Latency is measured from submission to completion in microseconds, queueing included, with
/// two significant digits; it is capped at one hour.
pub struct Statistics {
    operations: [PerOperation; 4],
    batch_sizes: Histogram<u64>,
    batches: u64,
    coalesced: u64,
    retries: u64,
    connects: u64,
    outages: u64,
}

struct PerOperation {
    count: u64,
    errors: u64,
    latency: Histogram<u64>,
}

const HOUR_IN_MICROSECONDS: u64 = 3_600_000_000;

/// A histogram from 1 to `high` with two significant digits.
fn histogram(high: u64) -> Histogram<u64> {
    Histogram::new_with_bounds(1, high, 2).expect("the bounds are constants that the crate accepts")
}

impl Statistics {
    pub(super) fn new() -> Statistics {
        let fresh = || PerOperation { count: 0, errors: 0, latency: histogram(HOUR_IN_MICROSECONDS) };
        Statistics {
            operations: [fresh(), fresh(), fresh(), fresh()],
            batch_sizes: histogram(1 << 24),
            batches: 0,
            coalesced: 0,
            retries: 0,
            connects: 0,
            outages: 0,
        }
    }

    pub(super) fn answered(&mut self, kind: Kind, latency: Duration, failed: bool) {
        let operation = &mut self.operations[kind as usize];
        operation.count += 1;
        operation.errors += u64::from(failed);
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        operation.latency.saturating_record(microseconds.max(1));
    }

    pub(super) fn batch_sent(&mut self, records: usize) {
        self.batches += 1;
        self.batch_sizes.saturating_record(records as u64);
    }

    pub(super) fn coalesced(&mut self) {
        self.coalesced += 1;
    }

    pub(super) fn retried(&mut self, operations: usize) {
        self.retries += operations as u64;
    }

    pub(super) fn connected(&mut self) {
        self.connects += 1;
    }

    pub(super) fn lost(&mut self) {
        self.outages += 1;
    }

    /// One JSON object: `ready`, `inFlight`, `bytesInFlight`, `operations.{get,head,set,delete}` with `count`,
    /// `errors` and `latencyMicroseconds.{p50,p90,p99,max}`, `batches.{count,p50,max}`,
    /// `coalesced`, `retries`, `connects`, `outages`, `lost.{notifications,logLines}`: those that
    /// the host was too slow for.
    pub(super) fn to_json(&self, admission: &Admission, ready: bool) -> String {
        let (lost_notifications, lost_lines) = admission.lost();
        let mut operations = serde_json::Map::new();
        for kind in Kind::ALL {
            let operation = &self.operations[kind as usize];
            let latency = &operation.latency;
            operations.insert(
                kind.name().to_owned(),
                json!({
                    "count": operation.count,
                    "errors": operation.errors,
                    "latencyMicroseconds": {
                        "p50": latency.value_at_quantile(0.5),
                        "p90": latency.value_at_quantile(0.9),
                        "p99": latency.value_at_quantile(0.99),
                        "max": latency.max(),
                    },
                }),
            );
        }
        json!({
            "ready": ready,
            "inFlight": admission.operations(),
            "bytesInFlight": admission.bytes(),
            "operations": operations,
            "batches": {
                "count": self.batches,
                "p50": self.batch_sizes.value_at_quantile(0.5),
                "max": self.batch_sizes.max(),
            },
            "coalesced": self.coalesced,
            "retries": self.retries,
            "connects": self.connects,
            "outages": self.outages,
            "lost": { "notifications": lost_notifications, "logLines": lost_lines },
        })
        .to_string()
    }
}
