//! Random operations against a server that fails at random: every answer must be one that the
//! operations before it, as far as they may have been carried out, explain.

use std::time::Duration;

use deepstream_connector::core::{Error, ErrorCode};
use serde_json::json;

use super::{promise, Promise, Scope};
use crate::conformance::chance::{seed, Chance};
use crate::conformance::faulty::{Fate, Faulty, Shape};
use crate::conformance::host::Answer;
use crate::conformance::stage::{name_of, Request, Stage};
use crate::harness::Class;

pub const PROMISES: &[Promise] = &[
    promise!(random_work_survives_random_faults).scope(Scope::Faulty).needing(Class::Works),
    promise!(random_work_survives_random_faults_over_several_lanes)
        .scope(Scope::Faulty)
        .needing(Class::Works),
];

const KEYS: [&str; 4] = ["k0", "k1", "k2", "k3"];
const ROUNDS: usize = 60;
const OPERATIONS_A_ROUND: usize = 40;

fn random_work_survives_random_faults(stage: &mut Stage) {
    random_work(stage, Shape { max_batch_records: 3, ..Shape::default() }, 1);
}

fn random_work_survives_random_faults_over_several_lanes(stage: &mut Stage) {
    random_work(
        stage,
        Shape { max_batch_records: 2, read_batches: 3, write_batches: 2, ..Shape::default() },
        2,
    );
}

#[derive(Clone, Copy, Debug)]
enum Did {
    Get,
    Head,
    Set(i64),
    Delete,
}

fn random_work(stage: &mut Stage, shape: Shape, salt: u64) {
    let mut chance = Chance::new(seed().wrapping_add(salt));
    let server = stage.faulty();
    server.set_shape(shape);
    stage.open_with(json!({"timeout": 30_000, "maxInFlight": 400, "logLevel": "error"}));
    misbehave(&server, Chance::new(chance.draw()));
    let mut done: Vec<(usize, Did, Request)> = Vec::new();
    let mut version = 0;
    for _ in 0..ROUNDS {
        stage.burst(|stage| {
            for _ in 0..OPERATIONS_A_ROUND {
                let key = chance.below(KEYS.len());
                let timeout = if chance.once_in(6) { 1 + chance.below(40) as u64 } else { 0 };
                let did = match chance.below(9) {
                    0..=3 => {
                        version += 1;
                        Did::Set(version)
                    }
                    4..=5 => Did::Get,
                    6 => Did::Head,
                    _ => Did::Delete,
                };
                let request = stage.within(timeout, |stage| match did {
                    Did::Get => stage.get(KEYS[key]),
                    Did::Head => stage.head(KEYS[key]),
                    Did::Set(version) => stage.set(KEYS[key], version, "{}"),
                    Did::Delete => stage.delete(KEYS[key]),
                });
                done.push((key, did, request));
            }
        });
        stage.watch(Duration::from_millis(chance.below(12) as u64));
        match chance.below(4) {
            0 => server.lose("it went away"),
            1 => server.freeze_for_a_moment(stage, &mut chance),
            _ => {}
        }
    }
    let freed = chance.once_in(2);
    if freed {
        stage.free();
    } else {
        server.behave();
        server.lose("to end what hangs");
    }
    stage.wait_for("all answers", |stage| stage.unanswered() == 0);
    for (index, key) in KEYS.iter().enumerate() {
        let of_key = done.iter().filter(|(other, ..)| *other == index);
        let outcomes: Vec<(Did, Answer)> =
            of_key.map(|(_, did, request)| (*did, stage.outcome_or_refusal(*request))).collect();
        let end = server.record(key).map(|record| record.version);
        if let Err(fault) = explain(&outcomes, end) {
            panic!("with CONFORMANCE_SEED={}, {key}: {fault}", seed());
        }
    }
}

fn misbehave(server: &Faulty, mut chance: Chance) {
    let transient = Error::transient(ErrorCode::Backend, "the server is loading");
    server.leave_to_chance(move |_, size| match chance.below(24) {
        0 => Fate::LoseAfter(chance.below(size + 1)),
        1 => Fate::BreakAfter(chance.below(size + 1)),
        2 => Fate::Fail(transient.clone()),
        3 => Fate::FailKey(KEYS[chance.below(KEYS.len())], transient.clone()),
        4 if chance.once_in(4) => Fate::Hang,
        5 if chance.once_in(4) => Fate::HangAfter,
        6..=12 => Fate::Pause(Duration::from_millis(chance.below(8) as u64)),
        _ => Fate::Answer,
    });
}

impl Faulty {
    fn freeze_for_a_moment(&self, stage: &mut Stage, chance: &mut Chance) {
        self.hold();
        stage.watch(Duration::from_millis(chance.below(10) as u64));
        self.release();
    }
}

/// Follows what one key's record may have been; an answer that is none of that is a fault.
fn explain(outcomes: &[(Did, Answer)], end: Option<i64>) -> Result<(), String> {
    let mut possible: Vec<Option<i64>> = vec![None];
    for (index, (did, answer)) in outcomes.iter().enumerate() {
        let code = name_of(answer.code);
        let applied = match code.as_str() {
            "code 0" => Applied::Yes,
            "BUSY" => Applied::No,
            "TIMEOUT" if answer.message.contains("it was not sent") => Applied::No,
            "TIMEOUT" | "CLOSED" => Applied::Perhaps,
            _ => return Err(format!("operation {index}, {did:?}, has the answer {answer}")),
        };
        let value = match did {
            Did::Set(version) => Some(*version),
            Did::Delete => None,
            Did::Get | Did::Head => {
                if applied == Applied::Yes {
                    let seen = answer.found.then_some(answer.version);
                    if !possible.contains(&seen) {
                        return Err(format!("operation {index}, {did:?}, saw {seen:?}, not of {possible:?}"));
                    }
                    possible = vec![seen];
                }
                continue;
            }
        };
        match applied {
            Applied::Yes => possible = vec![value],
            Applied::Perhaps if !possible.contains(&value) => possible.push(value),
            Applied::Perhaps | Applied::No => {}
        }
    }
    match possible.contains(&end) {
        true => Ok(()),
        false => Err(format!("in the end there is {end:?}, not of {possible:?}")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applied {
    Yes,
    No,
    Perhaps,
}
