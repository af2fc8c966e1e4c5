//! The memory that a connector takes, counted to the byte: this program's allocator adds up what
//! is allocated. `growth.js` runs it and makes a table of what it prints, one line for each number
//! that it is given: the number, and bytes.
//!
//! `bench_footprint records N…`: bytes for each of N records in the memory backend.
//! `bench_footprint in-flight PORT W…`: bytes for each of W operations in flight to Redis, at the
//! highest point.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;

use deepstream_connector::core::Record;
use deepstream_connector::{Connector, Events};

type Failure = Box<dyn Error>;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which also counts.
struct Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let allocated = ALLOCATED.fetch_add(layout.size(), Relaxed) + layout.size();
        HIGHEST.fetch_max(allocated, Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many operations are in flight while records are written.
const FILL_IN_FLIGHT: usize = 64;

/// Operations for each place in flight, so that the highest point is seen.
const TURNS: usize = 20;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers = |from: usize| {
        arguments.iter().skip(from).map(|text| text.parse::<usize>()).collect::<Result<Vec<_>, _>>()
    };
    match arguments.first().map(String::as_str) {
        Some("records") => {
            for count in numbers(1)? {
                println!("{count} {:.1}", bytes_per_record(count)?);
            }
        }
        Some("in-flight") => {
            let port = arguments.get(1).ok_or("the port is missing")?;
            for in_flight in numbers(2)? {
                println!("{in_flight} {:.1}", bytes_in_flight(port, in_flight)?);
            }
        }
        _ => return Err("usage: bench_footprint records N… | in-flight PORT W…".into()),
    }
    Ok(())
}

fn bytes_per_record(count: usize) -> Result<f64, Failure> {
    let load =
        Load::connect(&format!(r#"{{"type":"memory","maxEntries":{},"maxBytes":4294967296}}"#, 2 * count))?;
    // What the connector takes for itself is there after the first operations.
    load.run(FILL_IN_FLIGHT, FILL_IN_FLIGHT);
    let before = ALLOCATED.load(Relaxed);
    load.run(count, FILL_IN_FLIGHT);
    let written = count - FILL_IN_FLIGHT;
    Ok((ALLOCATED.load(Relaxed) - before) as f64 / written as f64)
}

fn bytes_in_flight(port: &str, in_flight: usize) -> Result<f64, Failure> {
    let load = Load::connect(&format!(r#"{{"type":"redis","host":"127.0.0.1","port":{port}}}"#))?;
    let before = ALLOCATED.load(Relaxed);
    HIGHEST.store(before, Relaxed);
    load.run(in_flight * TURNS, in_flight);
    Ok((HIGHEST.load(Relaxed) - before) as f64 / in_flight as f64)
}

/// A connector that writes the records 0, 1, 2, ….
struct Load {
    connector: Arc<Connector>,
}

struct Run {
    connector: Arc<Connector>,
    count: usize,
    next: AtomicUsize,
    done: Sender<()>,
}

impl Load {
    fn connect(configuration: &str) -> Result<Load, Failure> {
        let (sender, ready) = channel();
        let connector = Connector::open(configuration, Ready(sender))?;
        ready.recv()?;
        Ok(Load { connector: Arc::new(connector) })
    }

    fn run(&self, count: usize, in_flight: usize) {
        let (done, finished) = channel();
        let run = Run { connector: Arc::clone(&self.connector), count, next: AtomicUsize::new(0), done };
        let run = Arc::new(run);
        for _ in 0..in_flight.min(count) {
            run.go_on();
        }
        // The last callback drops the last sender.
        drop(run);
        assert!(finished.recv().is_ok(), "not all operations were done");
        while finished.recv().is_ok() {}
    }
}

impl Run {
    fn go_on(self: &Arc<Self>) {
        let number = self.next.fetch_add(1, Relaxed);
        if number >= self.count {
            return;
        }
        let run = Arc::clone(self);
        let submitted = self.connector.set(&format!("users/{number:07}"), record(number), move |result| {
            result.expect("a set failed");
            if number + 1 == run.count {
                run.done.send(()).expect("the main thread waits");
            }
            run.go_on();
        });
        submitted.expect("a set was not accepted");
    }
}

struct Ready(Sender<()>);

impl Events for Ready {
    fn ready(&mut self) {
        let _ = self.0.send(());
    }
}

fn record(number: usize) -> Record {
    let data =
        format!(r#"{{"id":{number},"name":"Ada Lovelace","email":"ada@example.com","fill":"{:x<58}"}}"#, "");
    Record { version: 1, data: data.into() }
}
