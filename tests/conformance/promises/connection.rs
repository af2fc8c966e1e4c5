//! The connection comes and goes; operations wait for it, keep their order and are not lost.

use std::time::{Duration, Instant};

use deepstream_connector::core::{Error, ErrorCode};
use serde_json::json;

use super::{promise, Promise, Scope};
use crate::conformance::chance::Chance;
use crate::conformance::faulty::{refusal, Applied, Attempt, Fate, Shape};
use crate::conformance::sequence::Sequence;
use crate::conformance::stage::{name_of, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(ready_comes_before_the_first_answer),
    promise!(is_ready_follows_ready),
    promise!(is_ready_is_false_until_the_connection_stands).scope(Scope::Server),
    promise!(operations_wait_for_the_connection_at_start).scope(Scope::Server),
    promise!(the_log_says_what_is_waited_for).scope(Scope::Server),
    promise!(an_outage_is_told_once_and_its_end_too).scope(Scope::Server),
    promise!(a_second_outage_is_told_too).scope(Scope::Server),
    promise!(operations_wait_out_an_outage).scope(Scope::Server).handful(),
    promise!(order_survives_an_outage).scope(Scope::Server),
    promise!(a_frozen_server_is_given_up_and_found_again).scope(Scope::Server),
    promise!(what_was_unanswered_is_sent_again_in_its_place).scope(Scope::Faulty),
    promise!(what_was_answered_is_not_sent_again).scope(Scope::Faulty),
    promise!(a_refusal_fails_operations_at_once_and_is_fatal_once).scope(Scope::Faulty),
    promise!(a_refusal_ends_when_the_server_accepts).scope(Scope::Faulty),
    promise!(a_refusal_after_an_outage_fails_what_waits).scope(Scope::Faulty),
    promise!(an_attempt_that_hangs_is_given_up).scope(Scope::Faulty),
    promise!(an_attempt_that_panics_is_repeated).scope(Scope::Faulty),
    promise!(attempts_have_growing_pauses).scope(Scope::Faulty),
    promise!(transient_errors_are_retried_in_place).scope(Scope::Faulty),
    promise!(transient_errors_are_retried_until_the_deadline).scope(Scope::Faulty),
    promise!(a_transient_error_may_say_how_long_to_rest).scope(Scope::Faulty),
];

fn ready_comes_before_the_first_answer(stage: &mut Stage) {
    stage.begin_with(json!({}));
    let gets = stage.burst(|stage| (0..20).map(|index| stage.get(format!("k{index}"))).collect::<Vec<_>>());
    for get in gets {
        stage.succeeds(get);
    }
    stage.wait_for("`ready`", |stage| stage.times_ready() == 1);
    assert_eq!(stage.answers_before_ready(), 0);
}

fn is_ready_follows_ready(stage: &mut Stage) {
    stage.open();
    assert!(stage.is_ready());
    assert_eq!(stage.times_ready(), 1);
}

fn is_ready_is_false_until_the_connection_stands(stage: &mut Stage) {
    stage.kill();
    stage.begin_with(json!({}));
    assert!(!stage.is_ready());
    stage.watch(Duration::from_millis(100));
    assert!(!stage.is_ready());
    assert_eq!(stage.times_ready(), 0);
    stage.restart();
    stage.wait_for("the connector to be ready", |stage| stage.times_ready() == 1);
    assert!(stage.is_ready());
}

fn operations_wait_for_the_connection_at_start(stage: &mut Stage) {
    stage.kill();
    stage.begin_without_haste();
    let mut sequence = Sequence::new();
    let mut chance = Chance::of_this_run();
    stage.burst(|stage| {
        for _ in 0..200 {
            let key = ["a", "b", "c"][chance.below(3)];
            sequence.any_operation(stage, &mut chance, key);
        }
    });
    stage.watch(Duration::from_millis(200));
    assert_eq!(stage.answers(), 0, "there is an answer, and there was no server");
    stage.restart();
    sequence.check(stage);
}

fn the_log_says_what_is_waited_for(stage: &mut Stage) {
    stage.kill();
    stage.begin_with(json!({}));
    let about = |stage: &Stage| stage.lines().iter().filter(|(level, _)| level == "warn").count();
    stage.wait_for("a warning", |stage| about(stage) > 0);
    let (_, line) = stage.lines().iter().find(|(level, _)| level == "warn").expect("there is one").clone();
    assert!(line.starts_with("waiting for "), "{line}");
    stage.watch(Duration::from_millis(200));
    assert_eq!(about(stage), 1, "each attempt has a warning of its own");
    stage.restart();
}

fn an_outage_is_told_once_and_its_end_too(stage: &mut Stage) {
    stage.open();
    stage.kill();
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    stage.watch(Duration::from_millis(300));
    assert!(!stage.is_ready());
    assert_eq!(stage.troubles().len(), 1, "one outage was told as {:?}", stage.troubles());
    let trouble = stage.troubles()[0].clone();
    assert!(!trouble.fatal, "an outage is not the end");
    assert_eq!(name_of(trouble.failure.code), "UNAVAILABLE", "{}", trouble.failure);
    stage.restart();
    stage.wait_for("`ready` again", |stage| stage.times_ready() == 2);
    assert!(stage.is_ready());
    stage.store("a", 1, "{}");
    assert_eq!(stage.troubles().len(), 1, "the end of an outage was told as {:?}", stage.troubles());
}

fn a_second_outage_is_told_too(stage: &mut Stage) {
    stage.open();
    for outage in 1..=3 {
        stage.kill();
        stage.wait_for("`error`", |stage| stage.troubles().len() == outage);
        stage.restart();
        stage.wait_for("`ready` again", |stage| stage.times_ready() == outage + 1);
    }
}

fn operations_wait_out_an_outage(stage: &mut Stage) {
    stage.open_without_haste();
    stage.kill();
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    let requests = stage.burst(|stage| [stage.set("a", 2, "{}"), stage.get("a"), stage.delete("b")]);
    stage.watch(Duration::from_millis(200));
    assert_eq!(stage.answers(), 0, "there is an answer, and there was no server");
    stage.restart();
    for request in requests {
        stage.succeeds(request);
    }
    stage.assert_holds("a", 2, "{}");
}

fn order_survives_an_outage(stage: &mut Stage) {
    stage.open_without_haste();
    let mut chance = Chance::of_this_run();
    let mut sequence = Sequence::new();
    for round in 0..6 {
        stage.burst(|stage| {
            for _ in 0..300 {
                let key = ["a", "b", "c", "d", "e"][chance.below(5)];
                sequence.any_operation(stage, &mut chance, key);
            }
        });
        match round {
            1 => stage.kill(),
            3 => stage.restart(),
            _ => {}
        }
    }
    sequence.check(stage);
}

/// A server that answers nothing keeps its connections; only its silence tells.
fn a_frozen_server_is_given_up_and_found_again(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 200, "connectTimeout": 200}));
    stage.freeze();
    let set = stage.set("a", 1, "{}");
    stage.fails(set, ErrorCode::Timeout);
    stage.wait_for("`error`", |stage| !stage.troubles().is_empty());
    stage.thaw();
    stage.wait_for("`ready` again", |stage| stage.times_ready() >= 2);
    stage.wait_for_recovery("a");
    stage.patiently(|stage| {
        stage.store("a", 2, "{}");
        stage.assert_holds("a", 2, "{}");
    });
}

fn what_was_unanswered_is_sent_again_in_its_place(stage: &mut Stage) {
    for fate in [Fate::LoseAfter(2), Fate::LoseAfter(0), Fate::HangAfter, Fate::BreakAfter(3)] {
        let loses = !matches!(fate, Fate::HangAfter);
        let server = stage.faulty();
        stage.open_with(json!({"timeout": 30_000}));
        let (troubles, before) = (stage.troubles().len(), server.batches().len());
        server.plan([fate]);
        let mut sequence = Sequence::new();
        stage.burst(|stage| {
            for key in ["a", "b", "c", "d", "e"] {
                sequence.set(stage, key);
            }
            for key in ["a", "c", "e"] {
                sequence.get(stage, key);
                sequence.set(stage, key);
                sequence.delete(stage, key);
                sequence.get(stage, key);
            }
            sequence.set(stage, "a");
        });
        if !loses {
            stage.wait_for("a batch", |_| server.batches().len() > before);
            server.lose("it was hanging");
        }
        sequence.check(stage);
        assert_eq!(stage.troubles().len(), troubles + 1);
    }
}

fn what_was_answered_is_not_sent_again(stage: &mut Stage) {
    let server = stage.faulty();
    // All sets wait until they make one batch.
    server.hold();
    stage.open_with(json!({"timeout": 30_000}));
    let other = stage.set("other", 1, "{}");
    stage.wait_for("the first batch", |_| server.batches().len() == 1);
    server.plan([Fate::BreakAfter(2)]);
    let sets = stage.burst(|stage| ["a", "b", "c", "d"].map(|key| stage.set(key, 1, "{}")));
    server.release();
    stage.succeeds(other);
    for set in sets {
        stage.succeeds(set);
    }
    let times = |key: &str| server.applied().iter().filter(|applied| &*applied.key == key).count();
    let times = ["a", "b", "c", "d"].map(times);
    assert_eq!(times, [1, 1, 1, 1], "how often each set was carried out: {:?}", server.applied());
}

fn a_refusal_fails_operations_at_once_and_is_fatal_once(stage: &mut Stage) {
    let server = stage.faulty();
    server.answer_attempts(Attempt::Fail(refusal()));
    stage.begin_with(json!({"reconnectMaxDelay": 20, "timeout": 60_000}));
    let get = stage.get("a");
    let message = stage.fails(get, ErrorCode::Authentication);
    assert!(message.contains("refused the credentials"), "{message}");
    let set = stage.set("a", 1, "{}");
    stage.fails(set, ErrorCode::Authentication);
    stage.wait_for("more attempts", |_| server.attempted() > 5);
    assert!(!stage.is_ready());
    assert_eq!(stage.troubles().len(), 1, "{:?}", stage.troubles());
    assert!(stage.troubles()[0].fatal, "waiting does not help");
    assert_eq!(name_of(stage.troubles()[0].failure.code), "AUTHENTICATION");
}

fn a_refusal_ends_when_the_server_accepts(stage: &mut Stage) {
    let server = stage.faulty();
    server.answer_attempts(Attempt::Fail(refusal()));
    stage.begin_with(json!({"reconnectMaxDelay": 20}));
    stage.wait_for("`error`", |stage| stage.troubles().len() == 1);
    server.answer_attempts(Attempt::Succeed);
    stage.wait_for("`ready`", |stage| stage.times_ready() == 1);
    stage.store("a", 1, "{}");
    // The next refusal is news again.
    server.answer_attempts(Attempt::Fail(refusal()));
    server.lose("it wants to see the credentials again");
    stage.wait_for("`error` for the loss and for the refusal", |stage| stage.troubles().len() == 3);
    let fatal: Vec<bool> = stage.troubles().iter().map(|trouble| trouble.fatal).collect();
    assert_eq!(fatal, [true, false, true]);
}

fn a_refusal_after_an_outage_fails_what_waits(stage: &mut Stage) {
    let server = stage.faulty();
    stage.open_with(json!({"timeout": 60_000}));
    server.answer_attempts(Attempt::Fail(Error::connection("not yet")));
    server.plan([Fate::LoseAfter(0)]);
    let requests = stage.burst(|stage| {
        [stage.set("a", 1, "{}"), stage.get("a"), stage.set("a", 2, "{}"), stage.set("b", 1, "{}")]
    });
    stage.wait_for("some attempts", |_| server.attempted() > 3);
    assert_eq!(stage.answers(), 0);
    server.answer_attempts(Attempt::Fail(refusal()));
    for request in requests {
        stage.fails(request, ErrorCode::Authentication);
    }
}

fn an_attempt_that_hangs_is_given_up(stage: &mut Stage) {
    let server = stage.faulty();
    server.plan_attempts([Attempt::Hang, Attempt::Hang]);
    let began = Instant::now();
    stage.begin_with(json!({"connectTimeout": 100, "logLevel": "debug"}));
    let set = stage.set("a", 1, "{}");
    stage.succeeds(set);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(200), "two attempts of 100 ms took {took:?}");
    assert_eq!(server.attempted(), 3);
    assert!(stage.lines().iter().any(|(_, line)| line.contains("connectTimeout (100 ms)")));
}

fn an_attempt_that_panics_is_repeated(stage: &mut Stage) {
    let server = stage.faulty();
    server.plan_attempts([Attempt::Panic, Attempt::Panic]);
    stage.begin_with(json!({}));
    let set = stage.set("a", 1, "{}");
    stage.succeeds(set);
    assert_eq!(server.attempted(), 3);
}

fn attempts_have_growing_pauses(stage: &mut Stage) {
    let server = stage.faulty();
    server.answer_attempts(Attempt::Fail(Error::connection("nobody there")));
    let began = Instant::now();
    stage.begin_with(json!({"reconnectDelay": 10, "reconnectMaxDelay": 160}));
    stage.wait_for("eight attempts", |_| server.attempted() >= 8);
    // At least 5, 10, 20, 40, 80, 80, 80 ms between them. That they are not longer, no clock of a busy
    // machine tells.
    let least = Duration::from_millis(5 + 10 + 20 + 40 + 3 * 80);
    assert!(began.elapsed() >= least, "eight attempts within {:?}", began.elapsed());
}

fn transient_errors_are_retried_in_place(stage: &mut Stage) {
    let server = stage.faulty();
    server.set_shape(Shape { write_batches: 4, read_batches: 4, ..Shape::default() });
    stage.open_with(json!({"timeout": 30_000}));
    let passing = Error::transient(ErrorCode::Backend, "the server is loading");
    server.plan([Fate::Fail(passing.clone()), Fate::FailKey("a", passing.clone()), Fate::Fail(passing)]);
    let mut sequence = Sequence::new();
    stage.burst(|stage| {
        for _ in 0..3 {
            for key in ["a", "b"] {
                sequence.set(stage, key);
                sequence.get(stage, key);
                sequence.delete(stage, key);
                sequence.set(stage, key);
                sequence.get(stage, key);
            }
        }
    });
    sequence.check(stage);
    assert_eq!(stage.times_ready(), 1, "the connection was of use all the time");
    let sets: Vec<_> = server.applied().into_iter().filter(|applied| &*applied.key == "a").collect();
    let in_order = sets.iter().filter_map(|Applied { version, .. }| *version).is_sorted();
    assert!(in_order, "{sets:?}");
}

fn transient_errors_are_retried_until_the_deadline(stage: &mut Stage) {
    let server = stage.faulty();
    stage.open_with(json!({"timeout": 60_000}));
    server.leave_to_chance(|_, _| Fate::Fail(Error::transient(ErrorCode::Backend, "the server is loading")));
    let set = stage.within(200, |stage| stage.set("a", 1, "{}"));
    let behind = stage.get("a");
    let message = stage.fails(set, ErrorCode::Timeout);
    assert!(message.contains("the server is loading"), "{message}");
    assert!(server.batches().len() > 2, "it was tried {} times", server.batches().len());
    assert!(!stage.is_settled(behind));
    server.behave();
    assert!(!stage.succeeds(behind).found);
}

fn a_transient_error_may_say_how_long_to_rest(stage: &mut Stage) {
    let server = stage.faulty();
    stage.open_with(json!({"timeout": 60_000}));
    let rest = Duration::from_millis(400);
    let busy = Error::transient(ErrorCode::Backend, "the server is asked too much").after(rest);
    server.plan([Fate::FailKey("a", busy)]);
    let began = Instant::now();
    let (rests, other) = stage.burst(|stage| (stage.set("a", 1, "{}"), stage.set("b", 1, "{}")));
    stage.succeeds(other);
    assert!(!stage.is_settled(rests), "other keys need not rest");
    stage.succeeds(rests);
    assert!(began.elapsed() >= rest, "it rested for {:?}", began.elapsed());
    assert_eq!(stage.statistics()["retries"], 1);
}
