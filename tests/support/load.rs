//! A load that checks itself, to disturb servers under: every callback once, in order for each
//! key, every read as the writes before it have it, and nothing lost that was acknowledged.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::Duration;

use deepstream_connector::core::{Error, Operation, Record, Reply};

use super::{Client, PATIENCE};

/// Keys that are written again and again.
const CHAINS: usize = 60;

/// Operations that wait for their answers at once.
const WINDOW: usize = 300;

/// Answers before the disturbance, and after it.
const LEAD: usize = 2_000;

/// Runs the load while `disturb` does what it does, and until the load goes on after it.
pub fn under_load(client: &Client, disturb: impl FnOnce() + Send) {
    let answers = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _end = SetOnDrop(&is_over);
            while answers.load(Ordering::Relaxed) < LEAD {
                assert!(!is_over.load(Ordering::Relaxed), "the load failed");
                std::thread::sleep(Duration::from_millis(1));
            }
            disturb();
        });
        let _end = SetOnDrop(&is_over);
        Load::new(client, &answers).run(&is_over);
    });
}

/// So that one of them ends when the other panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Load<'a> {
    client: &'a Client,
    answers: &'a AtomicUsize,
    sender: Sender<Answer>,
    receiver: Receiver<Answer>,
    chains: Vec<Chain>,
    /// How many keys were written that are written once.
    single: usize,
    waiting: usize,
}

#[derive(Default, Clone)]
struct Chain {
    version: i64,
    submitted: usize,
    answered: usize,
}

struct Answer {
    /// The key's number and the operation's number on that key; `None` for keys written once.
    place: Option<(usize, usize)>,
    /// What a read must bring.
    expected: Option<i64>,
    result: Result<Option<Record>, Error>,
}

impl<'a> Load<'a> {
    fn new(client: &'a Client, answers: &'a AtomicUsize) -> Load<'a> {
        let (sender, receiver) = channel();
        Load {
            client,
            answers,
            sender,
            receiver,
            chains: vec![Chain::default(); CHAINS],
            single: 0,
            waiting: 0,
        }
    }

    fn run(mut self, is_over: &AtomicBool) {
        let mut step = 0;
        let mut end = usize::MAX;
        while self.answers.load(Ordering::Relaxed) < end {
            if end == usize::MAX && is_over.load(Ordering::Relaxed) {
                end = self.answers.load(Ordering::Relaxed) + LEAD;
            }
            self.submit(step);
            step += 1;
            while self.waiting > WINDOW {
                self.take_answer();
            }
        }
        while self.waiting > 0 {
            self.take_answer();
        }
        assert!(self.receiver.try_recv().is_err(), "there is an answer too many");
        self.check_what_is_stored();
    }

    fn submit(&mut self, step: usize) {
        let index = step * 7 % CHAINS;
        if step % 3 == 2 {
            let place = self.place(index);
            let expected = self.chains[index].version;
            let sender = self.sender.clone();
            let done = move |result| {
                let _ = sender.send(Answer { place: Some(place), expected: Some(expected), result });
            };
            self.client.connector.get(&chain(index), done).unwrap();
        } else {
            self.chains[index].version += 1;
            let place = self.place(index);
            self.set(&chain(index), self.chains[index].version, Some(place));
            self.set(&single(self.single), 1, None);
            self.single += 1;
        }
        self.waiting += 1;
    }

    fn place(&mut self, index: usize) -> (usize, usize) {
        self.chains[index].submitted += 1;
        (index, self.chains[index].submitted)
    }

    fn set(&mut self, key: &str, version: i64, place: Option<(usize, usize)>) {
        let sender = self.sender.clone();
        let record = Record { version, data: data(version).into() };
        let done = move |result: Result<(), Error>| {
            let _ = sender.send(Answer { place, expected: None, result: result.map(|()| None) });
        };
        self.client.connector.set(key, record, done).unwrap();
        if place.is_none() {
            self.waiting += 1;
        }
    }

    fn take_answer(&mut self) {
        // The load waits out whatever is done to the servers.
        let answer = self.receiver.recv_timeout(3 * PATIENCE).expect("a callback is missing");
        self.waiting -= 1;
        self.answers.fetch_add(1, Ordering::Relaxed);
        let record = answer.result.unwrap_or_else(|error| panic!("an operation failed: {error}"));
        if let Some((index, number)) = answer.place {
            self.chains[index].answered += 1;
            assert_eq!(self.chains[index].answered, number, "answers for one key are out of order");
        }
        if let Some(version) = answer.expected {
            check(record.as_ref(), version, "a read");
        }
    }

    fn check_what_is_stored(&self) {
        let mut keys: Vec<(String, i64)> =
            self.chains.iter().enumerate().map(|(index, known)| (chain(index), known.version)).collect();
        keys.extend((0..self.single).map(|index| (single(index), 1)));
        for part in keys.chunks(1_000) {
            let gets = part.iter().map(|(key, _)| (key.as_str().into(), Operation::Get)).collect();
            for ((key, version), result) in part.iter().zip(self.client.many(gets)) {
                let Ok(Reply::Record(record)) = result else { panic!("{key}: {result:?}") };
                check(record.as_ref(), *version, key);
            }
        }
    }
}

fn chain(index: usize) -> String {
    format!("chain/{index}")
}

fn single(index: usize) -> String {
    format!("single/{index}")
}

fn data(version: i64) -> String {
    format!("{{\"n\":{version}}}")
}

fn check(record: Option<&Record>, version: i64, what: &str) {
    match record {
        None => assert_eq!(version, 0, "{what}: what was acknowledged is lost"),
        Some(record) => {
            assert_eq!(record.version, version, "{what} is not as the last write has it");
            assert_eq!(record.data, data(version), "{what} has the data of another version");
        }
    }
}
