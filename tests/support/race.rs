//! Several processes that write to one database at the same moment, each to every collection,
//! none of which is there yet.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use deepstream_connector::core::{Error, Record};

use super::part::{self, Part};
use super::Client;

pub const PROCESSES: usize = 4;

/// How many collections there are, named by `collection`.
pub const COLLECTIONS: usize = 60;

/// How many records each process writes.
const RECORDS: usize = 1200;

/// How many records are in each collection in the end.
pub const RECORDS_IN_EACH: usize = PROCESSES * RECORDS / COLLECTIONS;

const CONFIGURATION: &str = "RACE_CONFIGURATION";
const NUMBER: &str = "RACE_NUMBER";

pub fn collection(number: usize) -> String {
    format!("collection{}", number % COLLECTIONS)
}

/// The part of a test that each of the processes is.
pub const PART: Part = ("race", run_child);

/// Runs the race.
pub fn run(configuration: &str) {
    let start = |number: usize| {
        part::command(PART.0)
            .env(CONFIGURATION, configuration)
            .env(NUMBER, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(start).collect();
    for child in &mut children {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(&format!("counted {RECORDS}")), "{text}");
    }
}

/// One process's part.
fn run_child() {
    let configuration = std::env::var(CONFIGURATION).unwrap();
    let process = std::env::var(NUMBER).unwrap();
    // The others are there too.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let client = Client::open(&configuration).unwrap();
    let (sender, receiver) = channel();
    for number in 0..RECORDS {
        let key = format!("{}/{process}-{number}", collection(number));
        let sender = sender.clone();
        let done = move |result: Result<(), Error>| sender.send((number, result)).unwrap();
        let record = Record { version: number as i64, data: "{}".into() };
        client.connector.set(&key, record, done).unwrap();
        if number % 100 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    drop(sender);
    let mut calls: HashMap<usize, usize> = HashMap::new();
    for _ in 0..RECORDS {
        let (number, result) = receiver.recv_timeout(Duration::from_secs(90)).unwrap();
        result.unwrap();
        *calls.entry(number).or_default() += 1;
    }
    client.connector.shut_down();
    assert!(receiver.recv().is_err(), "a callback was called twice");
    assert!(calls.len() == RECORDS && calls.values().all(|&count| count == 1));
    println!("\ncounted {RECORDS}");
}
