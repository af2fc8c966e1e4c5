//! What must hold in every order in which threads may meet, for loom; see `simulation/models`.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use loom::thread;

use super::admission::{Admission, Weight};
use super::clock::Clock;
use super::drive::models as drive;
use super::options::EngineOptions;
use super::request::Operation;
use super::submission::{Shared, Submitter};
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A model by its name.
pub type Model = (&'static str, fn());

/// Every model.
pub const ALL: [Model; 7] = [
    ("what is submitted is seen, or the engine was woken since", what_is_submitted_is_seen),
    ("room that comes back wakes who was held back", room_wakes_who_was_held_back),
    ("a wake-up is passed on or seen", drive::a_wake_up_is_passed_on_or_seen),
    ("who waits at the way out gets everything and the end", drive::who_waits_gets_everything),
    ("who fetches from the way out gets everything and the end", drive::who_fetches_gets_everything),
    ("who was given something is busy", drive::who_was_given_something_is_busy),
    ("what a callback submits quietly is announced before it waits", drive::quiet_submissions_are_announced),
];

/// Counts how often it is woken.
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Two hosts submit while the engine takes: whatever it has not taken, it was woken for after it
/// looked.
fn what_is_submitted_is_seen() {
    let shared = Arc::new(Shared::<u32>::new(&EngineOptions::default(), Clock::system()));
    let woken = Arc::new(Counter(AtomicUsize::new(0)));
    shared.admission.waker.register(&Waker::from(Arc::clone(&woken)));
    let hosts: Vec<_> = (0..2)
        .map(|ticket| {
            let submitter = Submitter::new(Arc::clone(&shared));
            thread::spawn(move || submitter.submit("a".into(), Operation::Get, ticket, None).map_err(drop))
        })
        .collect();
    let mut inbox = Default::default();
    shared.take_requests(&mut inbox);
    let seen = inbox.len();
    let woken_by_then = woken.0.load(SeqCst);
    for host in hosts {
        assert_eq!(host.join().unwrap(), Ok(()));
    }
    inbox.clear();
    shared.take_requests(&mut inbox);
    assert_eq!(seen + inbox.len(), 2);
    // The waker is taken by the first wake-up, which the engine has not answered yet.
    assert!(inbox.is_empty() || woken.0.load(SeqCst) > 0, "{seen} seen, woken {woken_by_then} times by then");
}

/// The engine asks whether it may read while the host takes the last completion.
fn room_wakes_who_was_held_back() {
    let admission = Arc::new(Admission::new(10, 10));
    let weight = Weight { operations: 1, bytes: 10 };
    admission.admit(weight).unwrap();
    admission.wait();
    let woken = Arc::new(Counter(AtomicUsize::new(0)));
    admission.waker.register(&Waker::from(Arc::clone(&woken)));
    let host = {
        let admission = Arc::clone(&admission);
        thread::spawn(move || admission.release(Weight { operations: 1, bytes: 8 }))
    };
    // A part of a bulk.
    admission.grow(5);
    let may_read = admission.may_read();
    host.join().unwrap();
    assert!(may_read || woken.0.load(SeqCst) == 1, "it waits for ever");
    assert_eq!((admission.operations(), admission.bytes()), (0, 7));
}
