//! Real servers that crash, lie, fall silent or are far away.

use std::time::{Duration, Instant};

use deepstream_connector::core::ErrorCode;
use serde_json::json;

use super::{promise, Need, Promise, Scope};
use crate::conformance::backends::WRONG_PASSWORD;
use crate::conformance::chance::Chance;
use crate::conformance::sequence::Sequence;
use crate::conformance::stage::{name_of, Request, Stage};
use crate::harness::Class;

pub const PROMISES: &[Promise] = &[
    promise!(a_crash_in_the_middle_of_100_000_operations_loses_nothing)
        .scope(Scope::Crash)
        .needs(&[Need::Speed]),
    promise!(crashes_lose_nothing_that_was_acknowledged).scope(Scope::Crash),
    promise!(a_thawed_server_does_not_undo_what_came_later).scope(Scope::Server),
    promise!(a_wrong_password_is_fatal_and_in_no_message).scope(Scope::Credentials),
    promise!(a_password_that_becomes_right_is_found_out).scope(Scope::Credentials),
    promise!(nonsense_is_an_outage).scope(Scope::Network),
    promise!(nonsense_at_the_start_is_waited_out).scope(Scope::Network),
    promise!(silence_is_an_outage).scope(Scope::Network),
    promise!(silence_at_the_start_is_waited_out).scope(Scope::Network),
    promise!(a_distant_server_costs_its_distance_once).scope(Scope::Network).needing(Class::Alone),
    promise!(connections_that_end_again_and_again_lose_nothing).scope(Scope::Network),
    promise!(connections_that_are_reset_lose_nothing).scope(Scope::Network),
];

const KEYS: usize = 2_000;

fn a_crash_in_the_middle_of_100_000_operations_loses_nothing(stage: &mut Stage) {
    stage.open_without_haste();
    let mut chance = Chance::of_this_run();
    let mut sequence = Sequence::new();
    let keys: Vec<String> = (0..KEYS).map(|index| format!("key {index}")).collect();
    for round in 0..20 {
        stage.burst(|stage| {
            for _ in 0..5_000 {
                let key = &keys[chance.below(KEYS)];
                match chance.once_in(4) {
                    true => sequence.get(stage, key),
                    false => sequence.set(stage, key),
                };
            }
        });
        match round {
            // Some are answered, some are under way, some wait.
            6 => {
                stage.wait_for("some answers", |stage| stage.answers() > 10_000);
                stage.kill();
                stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
            }
            13 => stage.restart(),
            _ => {}
        }
    }
    stage.wait_for("all answers", |stage| stage.unanswered() == 0);
    assert_eq!(stage.troubles().len(), 1, "one crash was told as {:?}", stage.troubles());
    assert!(!stage.troubles()[0].fatal);
    assert_eq!(stage.times_ready(), 2);
    let expected: Vec<Option<i64>> = keys.iter().map(|key| sequence.version(key)).collect();
    sequence.check_answers(stage);
    let stored = stage.place.stored_versions(&keys);
    let both = keys.iter().zip(expected.iter().zip(&stored));
    let lost: Vec<_> = both.filter(|(_, (expected, stored))| expected != stored).take(5).collect();
    assert!(lost.is_empty(), "records are not what was acknowledged (expected, stored): {lost:?}");
}

/// Without the help of later writes: what was acknowledged before each crash is there after it.
fn crashes_lose_nothing_that_was_acknowledged(stage: &mut Stage) {
    stage.open_without_haste();
    let keys: Vec<String> = (0..500).map(|index| format!("key {index}")).collect();
    for round in 1..=3 {
        let sets: Vec<Request> =
            stage.burst(|stage| keys.iter().map(|key| stage.set(key, round, "{}")).collect());
        stage.settle(sets[100]);
        stage.kill();
        let acknowledged: Vec<bool> = sets.iter().map(|set| stage.is_settled(*set)).collect();
        stage.restart();
        // The connector may have sent the rest again by now, so nothing is said about that.
        let stored = stage.place.stored_versions(&keys);
        for (key, (acknowledged, stored)) in keys.iter().zip(acknowledged.iter().zip(stored)) {
            assert!(!acknowledged || stored == Some(round), "{key} was acknowledged and is {stored:?}");
        }
        for set in sets {
            stage.succeeds(set);
        }
    }
}

/// What a connection that was given up still has in the server's buffers is as old as it is.
fn a_thawed_server_does_not_undo_what_came_later(stage: &mut Stage) {
    let soon = stage.place.soon();
    stage.open_with(json!({"timeout": soon, "connectTimeout": 60_000}));
    let count = i64::try_from(stage.place.soon_done()).unwrap_or(i64::MAX);
    stage.patiently(|stage| stage.store("warm", 1, "{}"));
    let large = json!({ "text": "x".repeat(4_000) }).to_string();
    stage.freeze();
    let old: Vec<Request> =
        stage.burst(|stage| (0..count).map(|index| stage.set(format!("k{index}"), 1, &large)).collect());
    for set in old {
        stage.fails(set, ErrorCode::Timeout);
    }
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    stage.thaw();
    stage.wait_for("`ready` again", |stage| stage.times_ready() == 2);
    let new: Vec<Request> = stage.within(60_000, |stage| {
        stage.burst(|stage| (0..count).map(|index| stage.set(format!("k{index}"), 2, "{}")).collect())
    });
    for (index, set) in new.into_iter().enumerate() {
        if stage.is_late(set) {
            stage.patiently(|stage| stage.store(format!("k{index}"), 2, "{}"));
        } else {
            stage.succeeds(set);
        }
    }
    stage.watch(Duration::from_millis(200));
    // Read by somebody who has nothing of these connections, nor the short timeout.
    stage.open();
    for index in 0..count {
        stage.assert_holds(format!("k{index}"), 2, "{}");
    }
}

fn a_wrong_password_is_fatal_and_in_no_message(stage: &mut Stage) {
    stage.begin_with(json!({"logLevel": "debug", "reconnectMaxDelay": 50}));
    let requests = stage.burst(|stage| [stage.get("a"), stage.set("a", 1, "{}"), stage.delete("a")]);
    for request in requests {
        let message = stage.fails(request, ErrorCode::Authentication);
        assert!(message.contains(stage.place.credentials()), "{message}");
    }
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    stage.watch(Duration::from_millis(300));
    assert!(!stage.is_ready());
    assert_eq!(stage.troubles().len(), 1, "{:?}", stage.troubles());
    assert!(stage.troubles()[0].fatal, "waiting does not help");
    stage.statistics();
    for line in stage.everything_said() {
        assert!(!line.contains(WRONG_PASSWORD), "{line}");
    }
}

fn a_password_that_becomes_right_is_found_out(stage: &mut Stage) {
    stage.begin_with(json!({"reconnectMaxDelay": 50}));
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    stage.place.accept_credentials();
    stage.wait_for("`ready`", |stage| stage.times_ready() == 1);
    stage.store("a", 1, "{}");
    stage.assert_holds("a", 1, "{}");
}

fn nonsense_is_an_outage(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 20_000}));
    stage.store("a", 1, "{}");
    stage.spoil_network(&["garbage"]);
    let requests = stage.burst(|stage| [stage.get("a"), stage.set("a", 2, "{}"), stage.get("a")]);
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    stage.watch(Duration::from_millis(300));
    let trouble = &stage.troubles()[0];
    assert_eq!(
        (name_of(trouble.failure.code).as_str(), trouble.fatal),
        ("UNAVAILABLE", false),
        "{trouble:?}"
    );
    assert_eq!(stage.troubles().len(), 1, "one outage was told as {:?}", stage.troubles());
    assert!(!stage.is_ready());
    stage.spoil_network(&["pass"]);
    let versions = requests.map(|request| stage.succeeds(request).version);
    assert_eq!((versions[0], versions[2]), (1, 2));
}

fn nonsense_at_the_start_is_waited_out(stage: &mut Stage) {
    stage.spoil_network(&["garbage"]);
    waited_out(stage);
}

fn silence_at_the_start_is_waited_out(stage: &mut Stage) {
    stage.spoil_network(&["blackhole"]);
    waited_out(stage);
}

fn waited_out(stage: &mut Stage) {
    stage.begin_with(json!({"timeout": 20_000, "connectTimeout": 1_000}));
    let set = stage.set("a", 1, "{}");
    stage.wait_for("the log to say what is waited for", |stage| {
        stage.lines().iter().any(|(_, line)| line.starts_with("waiting for "))
    });
    assert!(!stage.is_ready());
    assert!(!stage.is_settled(set), "there is an answer, and there was no server");
    assert!(stage.troubles().iter().all(|trouble| !trouble.fatal), "{:?}", stage.troubles());
    stage.spoil_network(&["pass"]);
    stage.succeeds(set);
    stage.assert_holds("a", 1, "{}");
}

fn silence_is_an_outage(stage: &mut Stage) {
    let soon = stage.place.soon();
    stage.open_with(json!({"timeout": soon, "connectTimeout": soon}));
    stage.patiently(|stage| stage.store("a", 1, "{}"));
    stage.spoil_network(&["blackhole"]);
    let set = stage.set("a", 2, "{}");
    let message = stage.fails(set, ErrorCode::Timeout);
    assert!(message.contains("it was sent and may have been applied"), "{message}");
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    stage.spoil_network(&["pass"]);
    stage.wait_for_recovery("a");
    // Requests vanished on the way, and nobody waits for this one any more.
    stage.patiently(|stage| stage.assert_holds("a", 1, "{}"));
}

fn a_distant_server_costs_its_distance_once(stage: &mut Stage) {
    stage.open();
    stage.spoil_network(&["latency", "100"]);
    let began = Instant::now();
    let mut chance = Chance::of_this_run();
    let mut sequence = Sequence::new();
    stage.burst(|stage| {
        for _ in 0..1_000 {
            let key = format!("k{}", chance.below(700));
            sequence.any_operation(stage, &mut chance, &key);
        }
    });
    stage.wait_for("all answers", |stage| stage.unanswered() == 0);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(100), "1000 operations took {took:?} at a distance of 100 ms");
    assert!(took < Duration::from_secs(5), "1000 operations took {took:?} at a distance of 100 ms");
    stage.spoil_network(&["pass"]);
    sequence.check(stage);
}

fn connections_that_end_again_and_again_lose_nothing(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 30_000, "reconnectDelay": 5, "reconnectMaxDelay": 20}));
    // Enough for the handshake and some answers, in the middle of one of which it ends.
    let enough = stage.place.some_answers().to_string();
    stage.spoil_network(&["limit", &enough]);
    let mut chance = Chance::of_this_run();
    let mut sequence = Sequence::new();
    // On a busy machine much of it becomes one operation, and takes more rounds to be enough.
    for round in 0..200 {
        if round >= 10 {
            stage.wait_for("all answers", |stage| stage.unanswered() == 0);
            if !stage.troubles().is_empty() {
                break;
            }
        }
        stage.burst(|stage| {
            for _ in 0..100 {
                let key = format!("k{}", chance.below(20));
                sequence.any_operation(stage, &mut chance, &key);
            }
        });
    }
    stage.wait_for("all answers", |stage| stage.unanswered() == 0);
    assert!(!stage.troubles().is_empty(), "no connection ended");
    stage.spoil_network(&["pass"]);
    sequence.check(stage);
}

fn connections_that_are_reset_lose_nothing(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 30_000, "reconnectDelay": 5, "reconnectMaxDelay": 20}));
    // The reset takes its time to come, and is to find something under way.
    stage.spoil_network(&["latency", "100"]);
    let mut chance = Chance::of_this_run();
    let mut sequence = Sequence::new();
    for round in 0..100 {
        // A connection that nobody used at the moment may have been replaced unnoticed.
        if round >= 5 {
            stage.wait_for("all answers", |stage| stage.unanswered() == 0);
            // Where that is no outage, there are as many rounds as find one under way.
            let is_enough = !stage.place.misses_idle_connections() && round >= 20;
            if is_enough || !stage.troubles().is_empty() {
                break;
            }
        }
        stage.burst(|stage| {
            for _ in 0..200 {
                let key = format!("k{}", chance.below(50));
                sequence.any_operation(stage, &mut chance, &key);
            }
        });
        if round % 2 == 1 {
            // On a busy machine nothing might be sent yet.
            let before = stage.answers();
            stage.wait_for("an answer", |stage| stage.answers() > before);
        }
        stage.spoil_network(&["reset"]);
    }
    stage.wait_for("all answers", |stage| stage.unanswered() == 0);
    let is_told = !stage.place.misses_idle_connections() || !stage.troubles().is_empty();
    assert!(is_told, "no connection was reset");
    stage.spoil_network(&["pass"]);
    sequence.check(stage);
}
