//! Hosts in this process that use the engine as the C and Node.js interfaces do: callbacks on
//! a dispatch thread, or on the host's own thread beside a file descriptor, or completions that the
//! host fetches. They also take the misbehaving backend (`"type": "faulty"`).

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use deepstream_connector::core::{
    check_document, CompletionQueue, Delivery, Engine, Error, Key, Listing, Operation, Outbox, Outcome,
    Pollable, Question, Reactor, Submitter,
};
use rustix::event::{poll, PollFd, PollFlags, Timespec};

use crate::conformance::backends::open;
use crate::conformance::host::{Command, Event, Failure, Features, Host};
use crate::conformance::rust_host::{
    answer, cursor_of, failure, log, many, operations, record, set_operations, tell, utf8,
};

/// Whose thread runs the callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivers {
    /// A dispatch thread's.
    ByThread,
    /// The host's own: the promise's thread is the event loop.
    OnPoll,
    /// Nobody's: the promise's thread fetches what there is.
    OnQueue,
}

pub struct CoreHost {
    way: Delivers,
    connectors: HashMap<u64, Running>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

/// What the engine hands back with an answer.
#[derive(Debug)]
struct Ticket {
    request: u64,
    frees: bool,
}

struct Running {
    submitter: Submitter<Ticket>,
    close_timeout: Duration,
    driver: Driver,
}

enum Driver {
    Thread { reactor: Reactor, dispatcher: JoinHandle<()> },
    Poll(Box<Pollable<Ticket>>),
    Queue { queue: CompletionQueue<Ticket>, reactor: Reactor },
}

/// So many completions are fetched at once.
const FETCHED: usize = 7;

impl CoreHost {
    pub fn new(way: Delivers) -> CoreHost {
        let (sender, receiver) = channel();
        CoreHost { way, connectors: HashMap::new(), sender, receiver }
    }

    fn create(&mut self, connector: u64, configuration: &[u8]) {
        let failure = match self.start(connector, configuration) {
            Ok(running) => {
                self.connectors.insert(connector, running);
                Failure::default()
            }
            Err(error) => failure(&error),
        };
        tell(&self.sender, Event::Created { connector, failure });
    }

    fn start(&self, connector: u64, configuration: &[u8]) -> Result<Running, Error> {
        let (backend, options) = open(configuration)?;
        let close_timeout = options.close_timeout;
        let (engine, submitter) = Engine::<Ticket>::new(backend, options);
        let driver = match self.way {
            Delivers::OnPoll => {
                let pollable = Pollable::new(engine, submitter.clone());
                Driver::Poll(Box::new(pollable.expect("the system gives file descriptors")))
            }
            Delivers::ByThread => {
                let (outbox, reactor) = Outbox::start(engine).expect("the system gives threads");
                let teller = Teller { connector, sender: self.sender.clone() };
                let canceller = submitter.clone();
                let name = "host-dispatch".to_owned();
                let dispatcher = std::thread::Builder::new().name(name).spawn(move || {
                    while let Some(delivery) = outbox.next() {
                        if teller.tell(delivery) {
                            canceller.cancel();
                            while let Some(delivery) = outbox.next() {
                                teller.tell(delivery);
                            }
                            tell(&teller.sender, Event::Freed { connector });
                        }
                    }
                });
                let dispatcher = dispatcher.expect("the system gives threads");
                Driver::Thread { reactor, dispatcher }
            }
            Delivers::OnQueue => {
                let (queue, reactor) = CompletionQueue::start(engine).expect("the system gives threads");
                Driver::Queue { queue, reactor }
            }
        };
        Ok(Running { submitter, close_timeout, driver })
    }

    fn submit(
        &mut self,
        connector: u64,
        request: u64,
        timeout: u64,
        what: Vec<(Key, Operation)>,
        together: bool,
        frees: bool,
    ) {
        let running = self.connectors.get(&connector).expect("promises use connectors that were created");
        let ticket = Ticket { request, frees };
        let timeout = (timeout > 0).then(|| Duration::from_millis(timeout));
        let checked = what.iter().try_for_each(|(_, operation)| match operation {
            Operation::Set(record) => check_document(&record.data),
            _ => Ok(()),
        });
        let submitter = &running.submitter;
        let accepted = checked.and_then(|()| {
            let mut what = what;
            match (self.way, what.len()) {
                (Delivers::ByThread | Delivers::OnQueue, 1) if !together => {
                    let (key, operation) = what.remove(0);
                    submitter.submit(key, operation, ticket, timeout)
                }
                (Delivers::ByThread | Delivers::OnQueue, _) => submitter.submit_many(what, ticket, timeout),
                // The end of the command flushes.
                (Delivers::OnPoll, 1) if !together => {
                    let (key, operation) = what.remove(0);
                    submitter.submit_quietly(key, operation, ticket, timeout)
                }
                (Delivers::OnPoll, _) => submitter.submit_many_quietly(what, ticket, timeout),
            }
        });
        if let Err(error) = accepted {
            tell(&self.sender, Event::Refused { connector, request, failure: failure(&error) });
        }
    }

    fn ask(&self, connector: u64, request: u64, timeout: u64, question: Result<Question, Error>) {
        let submitter = &self.connectors[&connector].submitter;
        let timeout = (timeout > 0).then(|| Duration::from_millis(timeout));
        let ticket = Ticket { request, frees: false };
        let accepted = question.and_then(|question| match self.way {
            Delivers::ByThread | Delivers::OnQueue => submitter.ask(question, ticket, timeout),
            // The end of the command flushes.
            Delivers::OnPoll => submitter.ask_quietly(question, ticket, timeout),
        });
        if let Err(error) = accepted {
            tell(&self.sender, Event::Refused { connector, request, failure: failure(&error) });
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Create { connector, configuration, .. } => self.create(connector, &configuration),
            Command::One { verb, connector, request, timeout, key } => {
                self.submit(connector, request, timeout, operations(verb, &[key]), false, false);
            }
            Command::Set { connector, request, timeout, entry } => {
                let what = vec![(utf8(&entry.key).into(), Operation::Set(record(&entry)))];
                self.submit(connector, request, timeout, what, false, false);
            }
            Command::Many { verb, connector, request, timeout, keys } => {
                self.submit(connector, request, timeout, operations(verb, &keys), true, false);
            }
            Command::SetMany { connector, request, timeout, entries } => {
                self.submit(connector, request, timeout, set_operations(&entries), true, false);
            }
            Command::Scan { connector, request, timeout, limit, prefix, cursor } => {
                let cursor = cursor_of(&cursor).map(str::to_owned);
                let listing = Listing { prefix, cursor, limit: limit as usize };
                self.ask(connector, request, timeout, Ok(Question::Scan(listing)));
            }
            Command::Ask { connector, request, timeout, name, arguments } => {
                self.ask(connector, request, timeout, Question::command(name, &arguments));
            }
            Command::FreeInCallback { connector, request, key } => {
                let what = vec![(utf8(&key).into(), Operation::Get)];
                self.submit(connector, request, 0, what, false, true);
            }
            Command::IsReady { connector, request } => {
                let ready = self.connectors[&connector].submitter.is_ready();
                tell(&self.sender, Event::IsReady { connector, request, ready });
            }
            Command::Statistics { connector, request } => {
                let json = self.connectors[&connector].submitter.statistics_json().into_bytes();
                tell(&self.sender, Event::Statistics { connector, request, json });
            }
            Command::Close { connector } => {
                let running = &self.connectors[&connector];
                running.submitter.close(running.close_timeout);
            }
            Command::Free { connector } => self.free(connector),
            Command::Burst(commands) => {
                commands.into_iter().for_each(|command| self.carry_out(command));
            }
            Command::Exit { .. } => unreachable!("only host programs end"),
        }
    }

    fn free(&mut self, connector: u64) {
        let Some(running) = self.connectors.remove(&connector) else { return };
        let teller = Teller { connector, sender: self.sender.clone() };
        match running.driver {
            Driver::Thread { reactor, dispatcher } => {
                running.submitter.cancel();
                reactor.join();
                dispatcher.join().expect("telling does not panic");
            }
            Driver::Poll(pollable) => {
                for delivery in pollable.finish(&running.submitter) {
                    teller.tell(delivery);
                }
            }
            Driver::Queue { queue, reactor } => {
                running.submitter.cancel();
                let mut fetched = Vec::new();
                while queue.take(FETCHED, None, &mut fetched) {
                    for delivery in fetched.drain(..) {
                        teller.tell(delivery);
                    }
                }
                reactor.join();
            }
        }
        tell(&self.sender, Event::Freed { connector });
    }

    /// Has every engine that this thread drives do what it can, and runs the callbacks.
    fn turn(&mut self, only_flush: bool) {
        let mut freed = Vec::new();
        for (&connector, running) in &mut self.connectors {
            let teller = Teller { connector, sender: self.sender.clone() };
            let pollable = match &mut running.driver {
                Driver::Thread { .. } => continue,
                Driver::Queue { queue, .. } => {
                    let (mut fetched, mut frees) = (Vec::new(), false);
                    queue.take(FETCHED, Some(Duration::ZERO), &mut fetched);
                    // What was fetched together is told before the end.
                    for delivery in fetched {
                        frees |= teller.tell(delivery);
                    }
                    freed.extend(frees.then_some(connector));
                    continue;
                }
                Driver::Poll(pollable) => pollable,
            };
            // An engine that has ended stays, so that it can refuse new requests.
            if only_flush {
                pollable.flush();
            } else {
                pollable.turn();
            }
            for delivery in pollable.by_ref() {
                if teller.tell(delivery) {
                    freed.push(connector);
                    break;
                }
            }
        }
        for connector in freed {
            self.free(connector);
        }
    }
}

impl Host for CoreHost {
    fn features(&self) -> Features {
        Features { bytes: false, ..Features::ALL }
    }

    fn send(&mut self, command: Command) {
        self.carry_out(command);
        self.turn(true);
    }

    fn receive(&mut self, deadline: Instant) -> Option<Event> {
        if self.way == Delivers::ByThread {
            return self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
        }
        loop {
            if let Ok(event) = self.receiver.try_recv() {
                return Some(event);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.wait(left);
            self.turn(false);
        }
    }
}

impl CoreHost {
    /// Sleeps until a connector has something to do, as any event loop would.
    fn wait(&self, longest: Duration) {
        let mut descriptors = Vec::new();
        for running in self.connectors.values() {
            let descriptor = match &running.driver {
                Driver::Thread { .. } => continue,
                Driver::Poll(pollable) => pollable.poll_fd(),
                Driver::Queue { queue, .. } => queue.descriptor().expect("the system gives file descriptors"),
            };
            // SAFETY: the connector stays where it is, so its descriptor stays open.
            let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
            descriptors.push(PollFd::from_borrowed_fd(borrowed, PollFlags::IN));
        }
        let limit = Timespec {
            tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(longest.subsec_nanos()),
        };
        // An interrupted wait is a wait that ends early.
        let _ = poll(&mut descriptors, Some(&limit));
    }
}

impl Drop for CoreHost {
    fn drop(&mut self) {
        let left: Vec<u64> = self.connectors.keys().copied().collect();
        left.into_iter().for_each(|connector| self.free(connector));
    }
}

/// Reports what an engine delivers.
struct Teller {
    connector: u64,
    sender: Sender<Event>,
}

impl Teller {
    /// Returns whether the callback wants to end the connector.
    fn tell(&self, delivery: Delivery<Ticket>) -> bool {
        let connector = self.connector;
        let mut frees = false;
        let event = match delivery {
            Delivery::Completion(ticket, Outcome::One(result)) => {
                frees = ticket.frees;
                Event::Done { connector, request: ticket.request, answer: answer(result) }
            }
            Delivery::Completion(ticket, Outcome::Many(results)) => many(connector, ticket.request, results),
            Delivery::Ready => Event::Ready { connector },
            Delivery::Failure { error, fatal } => Event::Error { connector, failure: failure(&error), fatal },
            Delivery::Notification(channel, payload) => Event::Notification { connector, channel, payload },
            Delivery::Log(level, line) => log(connector, level, &line),
            // Also of an engine that ended by itself, or was ended.
            Delivery::Closed => Event::Closed { connector, failure: Failure::default() },
        };
        tell(&self.sender, event);
        frees
    }
}
