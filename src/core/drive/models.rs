//! The models of who turns the engine and of the ways out; see `src/core/models.rs`.

use std::sync::Arc;
use std::task::{Context, Wake};

use loom::thread;

use super::waker::QuietWaker;
use super::way_out::{Bell, WayOut};
use crate::core::admission::{Admission, Weight};
use crate::core::clock::Clock;
use crate::core::deliveries::Deliveries;
use crate::core::engine::Progress;
use crate::core::options::EngineOptions;
use crate::core::request::{Delivery, Operation, Outcome, Reply};
use crate::core::submission::{Shared, Submitter};
use crate::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use crate::sync::Condvar;

/// Somebody has work and wakes the engine while it is polled: it sees the work, or its driver is
/// notified.
pub(in crate::core) fn a_wake_up_is_passed_on_or_seen() {
    let notified = Arc::new(AtomicUsize::new(0));
    let work = Arc::new(AtomicUsize::new(0));
    let waker = {
        let notified = Arc::clone(&notified);
        QuietWaker::new(move || {
            notified.fetch_add(1, SeqCst);
        })
    };
    let other = {
        let (waker, work) = (Arc::clone(&waker), Arc::clone(&work));
        thread::spawn(move || {
            work.fetch_add(1, SeqCst);
            waker.wake_by_ref();
        })
    };
    let mut done = 0;
    let progress = waker.poll(|_: &mut Context<'_>| {
        done += work.swap(0, SeqCst);
        Progress { wake_at: None, finished: false, more: false }
    });
    let is_told = progress.more || notified.load(SeqCst) > 0;
    other.join().unwrap();
    let is_told = is_told || notified.load(SeqCst) > 0;
    assert!(done == 1 || is_told, "nobody polls again");
}

/// A dispatch thread waits while the reactor delivers, and ends.
pub(in crate::core) fn who_waits_gets_everything() {
    let admission = Arc::new(Admission::new(10, 10));
    let list = Deliveries::<u32>::new(Arc::clone(&admission));
    let mut news = list.another();
    let way = WayOut::new(list, Bell::Thread(Condvar::new()));
    let sender = way.sender();
    let reactor = thread::spawn(move || {
        for ticket in 0..2 {
            admission.admit(Weight { operations: 1, bytes: 1 }).unwrap();
            let weight = Weight { operations: 1, bytes: 1 };
            news.complete(ticket, Outcome::One(Ok(Reply::Done)), weight);
            sender.send(&mut news);
        }
    });
    let mut got = Vec::new();
    loop {
        while let Some(Delivery::Completion(ticket, _)) = way.next() {
            got.push(ticket);
        }
        if !way.wait() {
            break;
        }
    }
    reactor.join().unwrap();
    assert_eq!(got, [0, 1]);
}

/// A thread fetches several at once while the reactor delivers, and ends.
pub(in crate::core) fn who_fetches_gets_everything() {
    let admission = Arc::new(Admission::new(10, 10));
    let list = Deliveries::<u32>::new(Arc::clone(&admission));
    let mut news = list.another();
    let way = WayOut::new(list, Bell::Thread(Condvar::new()));
    let sender = way.sender();
    let reactor = thread::spawn(move || {
        let weight = Weight { operations: 1, bytes: 1 };
        admission.admit(weight).unwrap();
        news.complete(0, Outcome::One(Ok(Reply::Done)), weight);
        sender.send(&mut news);
        admission.admit(weight).unwrap();
        news.complete(1, Outcome::One(Ok(Reply::Done)), weight);
        news.push(Delivery::Closed);
        sender.send(&mut news);
    });
    let mut got = Vec::new();
    let mut fetched = Vec::new();
    while way.take_some(2, None, &mut fetched) {
        assert!((1..=2).contains(&fetched.len()), "it waits for one, and gives no more than asked for");
        got.append(&mut fetched);
    }
    reactor.join().unwrap();
    assert!(matches!(&got[..], [Delivery::Completion(0, _), Delivery::Completion(1, _), Delivery::Closed]));
}

/// From a delivery on callbacks may run, although the thread that waits for them has not woken up yet.
pub(in crate::core) fn who_was_given_something_is_busy() {
    let admission = Arc::new(Admission::new(10, 10));
    let list = Deliveries::<u32>::new(Arc::clone(&admission));
    let mut news = list.another();
    let way = WayOut::new(list, Bell::Thread(Condvar::new()));
    let sender = way.sender();
    let dispatcher = {
        let way = Arc::clone(&way);
        thread::spawn(move || way.wait())
    };
    let weight = Weight { operations: 1, bytes: 1 };
    admission.admit(weight).unwrap();
    news.complete(1, Outcome::One(Ok(Reply::Done)), weight);
    sender.send(&mut news);
    assert!(sender.is_busy(), "nobody looks for what the callback submits");
    assert!(dispatcher.join().unwrap());
}

/// A callback submits quietly while another thread submits aloud: the engine is woken, at the
/// latest when the callbacks are over.
pub(in crate::core) fn quiet_submissions_are_announced() {
    struct Counter(AtomicUsize);
    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let shared = Arc::new(Shared::<u32>::new(&EngineOptions::default(), Clock::system()));
    let woken = Arc::new(Counter(AtomicUsize::new(0)));
    shared.admission.waker.register(&Arc::clone(&woken).into());
    let aloud = Submitter::new(Arc::clone(&shared));
    let other = thread::spawn(move || aloud.submit("a".into(), Operation::Get, 1, None).map_err(drop));
    let submitter = Submitter::new(Arc::clone(&shared));
    submitter.submit_quietly("b".into(), Operation::Get, 2, None).unwrap();
    submitter.announce();
    assert_eq!(other.join().unwrap(), Ok(()));
    assert_eq!(woken.0.load(SeqCst), 1, "once for both");
    let mut inbox = Default::default();
    shared.take_requests(&mut inbox);
    assert_eq!(inbox.len(), 2);
}
