//! What a connector tells about itself: statistics that count what happened, and no secrets.

use deepstream_connector::core::{Error, ErrorCode};
use serde_json::{json, Value};

use super::{promise, Need, Promise, Scope};
use crate::conformance::faulty::Fate;
use crate::conformance::host::Verb;
use crate::conformance::stage::Stage;

pub const PROMISES: &[Promise] = &[
    promise!(statistics_count_what_happened),
    promise!(statistics_count_each_name_of_a_bulk).needs(&[Need::DeleteMany]),
    promise!(statistics_count_what_waits).scope(Scope::Server),
    promise!(statistics_count_outages_and_retries).scope(Scope::Faulty),
    promise!(statistics_measure_latency).scope(Scope::Faulty),
    promise!(record_data_is_in_no_message),
    promise!(record_data_is_in_no_message_of_a_fault).scope(Scope::Faulty),
    promise!(log_lines_below_the_level_are_dropped).scope(Scope::Server),
];

fn statistics_count_what_happened(stage: &mut Stage) {
    stage.open();
    for version in 1..=3 {
        stage.store("a", version, "{}");
    }
    stage.load("a");
    stage.load("nobody");
    let delete = stage.delete("a");
    stage.succeeds(delete);
    if stage.features.head {
        let head = stage.head("a");
        stage.succeeds(head);
    }
    let heads = u64::from(stage.features.head);
    let statistics = stage.statistics();
    assert_eq!(counts(&statistics), [(2, 0), (heads, 0), (3, 0), (1, 0)], "{statistics}");
    assert_eq!(statistics["ready"], true);
    assert_eq!(statistics["inFlight"], 0);
    assert_eq!(statistics["connects"], 1);
    assert_eq!(statistics["outages"], 0);
    assert_eq!(statistics["retries"], 0);
    assert_eq!(statistics["coalesced"], 0);
    assert_eq!(statistics["batches"]["count"], 6 + heads, "{statistics}");
    assert_eq!(statistics["batches"]["max"], 1);
}

fn statistics_count_each_name_of_a_bulk(stage: &mut Stage) {
    stage.open();
    let request = stage.many(Verb::Delete, (0..30).map(|index| format!("k{index}")));
    stage.all(request);
    let statistics = stage.statistics();
    assert_eq!(counts(&statistics)[3], (30, 0), "{statistics}");
    assert!(number(&statistics["batches"]["max"]) > 1, "{statistics}");
}

fn statistics_count_what_waits(stage: &mut Stage) {
    stage.open();
    stage.freeze();
    for index in 0..7 {
        stage.set(format!("k{index}"), index, "{}");
    }
    assert_eq!(stage.statistics()["inFlight"], 7);
    stage.thaw();
    stage.wait_for("all answers", |stage| stage.unanswered() == 0);
    assert_eq!(stage.statistics()["inFlight"], 0);
}

fn statistics_count_outages_and_retries(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.plan([
        Fate::LoseAfter(0),
        Fate::Fail(Error::transient(ErrorCode::Backend, "loading")),
        Fate::Fail(Error::new(ErrorCode::Backend, "no")),
    ]);
    let set = stage.set("a", 1, "{}");
    stage.fails(set, ErrorCode::Backend);
    let statistics = stage.statistics();
    assert_eq!(counts(&statistics)[2], (1, 1), "{statistics}");
    assert_eq!(statistics["outages"], 1);
    assert_eq!(statistics["connects"], 2);
    assert_eq!(statistics["retries"], 2, "one after the loss, one after the transient error");
    assert_eq!(statistics["batches"]["count"], 3);
}

fn statistics_measure_latency(stage: &mut Stage) {
    stage.open();
    let server = stage.faulty();
    server.plan([Fate::Pause(std::time::Duration::from_millis(100))]);
    stage.store("a", 1, "{}");
    for _ in 0..9 {
        stage.store("a", 1, "{}");
    }
    let statistics = stage.statistics();
    let latency = &statistics["operations"]["set"]["latencyMicroseconds"];
    assert!(number(&latency["max"]) >= 99_000, "{latency}");
    assert!(number(&latency["p50"]) < 99_000, "{latency}");
    assert!(number(&latency["p90"]) <= number(&latency["p99"]), "{latency}");
}

/// By name, `(count, errors)` each: get, head, set, delete.
fn counts(statistics: &Value) -> [(u64, u64); 4] {
    ["get", "head", "set", "delete"].map(|name| {
        let operation = &statistics["operations"][name];
        (number(&operation["count"]), number(&operation["errors"]))
    })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

const SECRET: &str = "correct horse battery staple";

fn record_data_is_in_no_message(stage: &mut Stage) {
    stage.open_with(json!({"logLevel": "debug"}));
    let document = json!({ "secret": SECRET }).to_string();
    stage.store("a", 1, &document);
    stage.load("a");
    if stage.features.exact {
        let broken = stage.set("a", 2, format!("{{\"secret\":\"{SECRET}\""));
        stage.fails(broken, ErrorCode::InvalidArgument);
    }
    stage.statistics();
    stage.close();
    assert_no_secret(stage);
}

fn record_data_is_in_no_message_of_a_fault(stage: &mut Stage) {
    stage.open_with(json!({"logLevel": "debug"}));
    let server = stage.faulty();
    let document = json!({ "secret": SECRET }).to_string();
    for fate in [Fate::Panic, Fate::WrongCount, Fate::Hang, Fate::LoseAfter(0)] {
        server.plan([fate]);
        let set = stage.within(100, |stage| stage.set("a", 1, &document));
        stage.settle(set);
    }
    assert_no_secret(stage);
}

fn assert_no_secret(stage: &Stage) {
    for line in stage.everything_said() {
        assert!(!line.contains(SECRET), "{line}");
    }
}

fn log_lines_below_the_level_are_dropped(stage: &mut Stage) {
    stage.open_with(json!({"logLevel": "error"}));
    // A busy server may have failed the first attempt to connect.
    let (troubles, ready) = (stage.troubles().len(), stage.times_ready());
    stage.kill();
    stage.wait_for("`error`", |stage| stage.troubles().len() > troubles);
    stage.restart();
    stage.wait_for("`ready` again", |stage| stage.times_ready() > ready);
    assert_eq!(stage.lines(), []);
}
