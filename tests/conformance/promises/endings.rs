//! However a connector ends, every accepted request has its callback, and has it once.

use std::time::{Duration, Instant};

use deepstream_connector::core::{Applied, ErrorCode};
use serde_json::json;

use super::{promise, Need, Promise, Scope};
use crate::conformance::faulty::Fate;
use crate::conformance::host::Verb;
use crate::conformance::stage::{Request, Stage};

pub const PROMISES: &[Promise] = &[
    promise!(close_drains).handful(),
    promise!(close_refuses_new_work).needs(&[Need::AfterClose]),
    promise!(close_needs_no_work),
    promise!(close_before_ready_is_safe),
    promise!(close_gives_up_at_its_timeout).scope(Scope::Server),
    promise!(close_does_not_wait_for_a_server_that_nobody_needs).scope(Scope::Server),
    promise!(close_takes_leave_of_the_server).scope(Scope::Faulty),
    promise!(free_calls_every_callback_once).needs(&[Need::Free]),
    promise!(free_cancels).scope(Scope::Server).needs(&[Need::Free]),
    promise!(free_right_after_create_is_safe).needs(&[Need::Free]),
    promise!(free_while_closing_ends_it).scope(Scope::Server).needs(&[Need::Free, Need::AfterClose]),
    promise!(free_in_callback_is_safe).needs(&[Need::Free]),
    promise!(free_in_callback_cancels_the_rest).scope(Scope::Faulty),
    promise!(many_connectors_live_side_by_side),
    promise!(a_process_may_exit_with_work_pending).needs(&[Need::Process]),
    promise!(a_process_ends_in_order_with_work_pending).needs(&[Need::Process]),
];

fn close_drains(stage: &mut Stage) {
    stage.open();
    let (sets, get) = stage.burst(|stage| {
        let sets: Vec<Request> =
            (0..1000).map(|index| stage.set(format!("k{}", index % 300), index, "{}")).collect();
        let get = stage.get("k0");
        stage.begin_to_close();
        (sets, get)
    });
    stage.wait_for("`closed`", Stage::is_closed);
    assert_eq!(stage.unanswered(), 0, "`close` was complete before the last callback had run");
    for set in sets {
        stage.succeeds(set);
    }
    assert_eq!(stage.succeeds(get).version, 900);
}

fn close_refuses_new_work(stage: &mut Stage) {
    stage.open();
    let (during_get, during_set) = stage.burst(|stage| {
        stage.set("a", 1, "{}");
        stage.begin_to_close();
        (stage.get("a"), stage.set("a", 2, "{}"))
    });
    for request in [during_get, during_set] {
        let message = stage.is_refused(request, ErrorCode::Closed);
        assert!(message.contains("closed"), "{message}");
    }
    stage.wait_for("`closed`", Stage::is_closed);
    let after = stage.get("a");
    stage.is_refused(after, ErrorCode::Closed);
    assert!(!stage.is_ready());
}

fn close_needs_no_work(stage: &mut Stage) {
    stage.open();
    stage.close();
}

fn close_before_ready_is_safe(stage: &mut Stage) {
    stage.begin_with(json!({}));
    stage.close();
}

fn close_gives_up_at_its_timeout(stage: &mut Stage) {
    stage.open_with(json!({"closeTimeout": 300, "timeout": 60_000}));
    stage.freeze();
    let requests = [stage.set("a", 1, "{}"), stage.get("a"), stage.get("b")];
    let began = Instant::now();
    stage.close();
    let took = began.elapsed();
    for request in requests {
        let message = stage.fails(request, ErrorCode::Closed);
        assert!(message.contains("closeTimeout"), "{message}");
    }
    let [written, read, other] = requests.map(|request| stage.applied(request));
    assert_eq!((written, read, other), (Applied::Unknown, Applied::No, Applied::No));
    assert!(took >= Duration::from_millis(300), "`close` gave up after {took:?}");
    assert!(took < Duration::from_secs(5), "`close` took {took:?}");
}

fn close_does_not_wait_for_a_server_that_nobody_needs(stage: &mut Stage) {
    stage.kill();
    stage.begin_with(json!({"closeTimeout": 60_000}));
    let began = Instant::now();
    stage.close();
    assert!(began.elapsed() < Duration::from_secs(10), "`close` took {:?}", began.elapsed());
}

fn close_takes_leave_of_the_server(stage: &mut Stage) {
    stage.open();
    stage.store("a", 1, "{}");
    assert!(!stage.faulty().said_goodbye());
    stage.close();
    assert!(stage.faulty().said_goodbye());
}

fn free_calls_every_callback_once(stage: &mut Stage) {
    stage.open();
    let requests = stage.burst(|stage| {
        let sets = (0..500).map(|index| stage.set(format!("k{}", index % 100), index, "{}"));
        let mut requests: Vec<Request> = sets.collect();
        if stage.features.head_many {
            requests.push(stage.many(Verb::Head, ["k1", "k2"]));
        }
        requests.push(stage.get("k1"));
        requests
    });
    stage.free();
    assert_eq!(stage.unanswered(), 0, "`free` returned before the last callback had run");
    for request in requests {
        let code = stage.code(request);
        assert!(code == 0 || code == ErrorCode::Closed as i32, "the code of {request:?} is {code}");
    }
}

fn free_cancels(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    stage.freeze();
    let requests = stage.burst(|stage| {
        let sets = (0..200).map(|index| stage.set(format!("k{}", index % 50), index, "{}"));
        let mut requests: Vec<Request> = sets.collect();
        requests.push(stage.get("k1"));
        requests.push(stage.delete("k2"));
        requests
    });
    let began = Instant::now();
    stage.free();
    assert!(began.elapsed() < Duration::from_secs(5), "`free` took {:?}", began.elapsed());
    assert_eq!(stage.unanswered(), 0, "`free` returned before the last callback had run");
    for request in requests {
        stage.fails(request, ErrorCode::Closed);
    }
}

fn free_right_after_create_is_safe(stage: &mut Stage) {
    for _ in 0..20 {
        stage.begin_with(json!({}));
        let request = stage.set("a", 1, "{}");
        stage.free();
        let code = stage.code(request);
        assert!(code == 0 || code == ErrorCode::Closed as i32, "the code is {code}");
    }
}

fn free_while_closing_ends_it(stage: &mut Stage) {
    stage.open_with(json!({"closeTimeout": 60_000, "timeout": 60_000}));
    stage.freeze();
    let set = stage.set("a", 1, "{}");
    stage.begin_to_close();
    stage.free();
    stage.fails(set, ErrorCode::Closed);
}

fn free_in_callback_is_safe(stage: &mut Stage) {
    stage.open();
    stage.store("a", 7, "{}");
    let requests = stage.burst(|stage| {
        for index in 0..100 {
            stage.set(format!("k{index}"), index, "{}");
        }
        stage.free_in_callback("a")
    });
    assert_eq!(stage.succeeds(requests).version, 7);
    stage.wait_until_freed();
    stage.wait_for("the answers to all requests", |stage| stage.unanswered() == 0);
}

fn free_in_callback_cancels_the_rest(stage: &mut Stage) {
    stage.open_with(json!({"timeout": 60_000}));
    stage.faulty().plan([Fate::Hang]);
    let sets: Vec<Request> = (0..20).map(|index| stage.set(format!("k{}", index % 5), index, "{}")).collect();
    let server = stage.faulty();
    stage.wait_for("the batch of sets", |_| server.batches().len() == 1);
    let get = stage.free_in_callback("a");
    stage.succeeds(get);
    stage.wait_until_freed();
    for set in sets {
        stage.fails(set, ErrorCode::Closed);
    }
}

fn many_connectors_live_side_by_side(stage: &mut Stage) {
    for _ in 0..8 {
        stage.open();
        stage.store("a", 1, "{}");
    }
    // `finish` closes all of them.
}

fn a_process_may_exit_with_work_pending(stage: &mut Stage) {
    stage.open();
    work(stage);
    stage.exit(7);
}

fn a_process_ends_in_order_with_work_pending(stage: &mut Stage) {
    stage.open();
    work(stage);
    stage.end();
}

fn work(stage: &mut Stage) {
    stage.burst(|stage| {
        for index in 0..2000 {
            stage.set(format!("k{}", index % 500), index, "{\"some\":[\"data\"]}");
        }
    });
}
