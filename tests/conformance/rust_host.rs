//! The Rust host: this process, through the public [`Connector`].

use std::collections::HashMap;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deepstream_connector::core::{Error, ErrorCode, Key, LogLevel, Operation, Record, Reply};
use deepstream_connector::{Connector, Events, Handle};

use crate::conformance::host::{Answer, Command, Entry, Event, Failure, Features, Host, Verb};
use crate::conformance::protocol::write_page;

pub struct RustHost {
    connectors: HashMap<u64, Slot>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

/// Shared with the callback that ends the connector.
type Slot = Arc<Mutex<Option<Connector>>>;

impl RustHost {
    pub fn new() -> RustHost {
        let (sender, receiver) = channel();
        RustHost { connectors: HashMap::new(), sender, receiver }
    }

    fn report(&self, event: Event) {
        tell(&self.sender, event);
    }

    /// Calls `submit` with a way to the connector that has this timeout, and reports if that refuses.
    fn submit(
        &self,
        connector: u64,
        request: u64,
        timeout: u64,
        submit: impl FnOnce(&Handle, Sender<Event>) -> Result<(), Error>,
    ) {
        let slot = self.connectors.get(&connector).expect("promises use connectors that were created");
        let refusal = match &*slot.lock().expect("no callback panics") {
            Some(open) if timeout == 0 => submit(open, self.sender.clone()).err(),
            Some(open) => submit(&open.within(Duration::from_millis(timeout)), self.sender.clone()).err(),
            None => Some(Error::new(ErrorCode::Closed, "the suite dropped this connector")),
        };
        if let Some(error) = refusal {
            self.report(Event::Refused { connector, request, failure: failure(&error) });
        }
    }

    fn create(&mut self, connector: u64, configuration: &[u8]) {
        let listener = Listener { connector, sender: self.sender.clone() };
        // A Rust host has text, so it can only hand over text.
        let configuration = String::from_utf8_lossy(configuration);
        let failure = match Connector::open(&configuration, listener) {
            Ok(open) => {
                self.connectors.insert(connector, Arc::new(Mutex::new(Some(open))));
                Failure::default()
            }
            Err(error) => failure(&error),
        };
        self.report(Event::Created { connector, failure });
    }

    fn one(&self, connector: u64, request: u64, timeout: u64, verb: Verb, key: &[u8]) {
        let key = utf8(key);
        self.submit(connector, request, timeout, |open, sender| match verb {
            Verb::Get => open.get(key, move |result| {
                done(&sender, connector, request, answer(result.map(Reply::Record)));
            }),
            Verb::Head => open.head(key, move |result| {
                done(&sender, connector, request, answer(result.map(Reply::Version)));
            }),
            Verb::Delete => open.delete(key, move |result| {
                done(&sender, connector, request, answer(result.map(|()| Reply::Done)));
            }),
        });
    }

    fn many(&self, connector: u64, request: u64, timeout: u64, operations: Vec<(Key, Operation)>) {
        self.submit(connector, request, timeout, |open, sender| {
            open.many(operations, move |results| {
                tell(&sender, many(connector, request, results));
            })
        });
    }

    fn take(&self, connector: u64) -> Option<Connector> {
        self.connectors.get(&connector)?.lock().expect("no callback panics").take()
    }
}

impl Host for RustHost {
    fn features(&self) -> Features {
        // Keys are text, and `shut_down` takes the connector away.
        Features { bytes: false, after_close: false, ..Features::ALL }
    }

    fn send(&mut self, command: Command) {
        match command {
            Command::Create { connector, configuration, .. } => self.create(connector, &configuration),
            Command::One { verb, connector, request, timeout, key } => {
                self.one(connector, request, timeout, verb, &key);
            }
            Command::Set { connector, request, timeout, entry } => {
                self.submit(connector, request, timeout, |open, sender| {
                    open.set(utf8(&entry.key), record(&entry), move |result| {
                        done(&sender, connector, request, answer(result.map(|()| Reply::Done)));
                    })
                });
            }
            Command::Many { verb, connector, request, timeout, keys } => {
                self.many(connector, request, timeout, operations(verb, &keys));
            }
            Command::SetMany { connector, request, timeout, entries } => {
                self.many(connector, request, timeout, set_operations(&entries));
            }
            Command::Scan { connector, request, timeout, limit, prefix, cursor } => {
                self.submit(connector, request, timeout, |open, sender| {
                    open.scan_prefix(&prefix, cursor_of(&cursor), limit as usize, move |result| {
                        let result = result.map(|page| Reply::Page(Box::new(page)));
                        done(&sender, connector, request, answer(result));
                    })
                });
            }
            Command::Ask { connector, request, timeout, name, arguments } => {
                self.submit(connector, request, timeout, |open, sender| {
                    let arguments = serde_json::from_slice(&arguments).expect("promises give JSON");
                    open.command(&name, arguments, move |result| {
                        done(&sender, connector, request, answer(result.map(Reply::Answer)));
                    })
                });
            }
            Command::IsReady { connector, request } => {
                let slot = self.connectors.get(&connector);
                let ready = slot.is_some_and(|slot| {
                    slot.lock().expect("no callback panics").as_ref().is_some_and(|open| open.is_ready())
                });
                self.report(Event::IsReady { connector, request, ready });
            }
            Command::Statistics { connector, request } => {
                let json = self.connectors[&connector]
                    .lock()
                    .expect("no callback panics")
                    .as_ref()
                    .map(|open| open.statistics_json())
                    .unwrap_or_default();
                self.report(Event::Statistics { connector, request, json: json.into_bytes() });
            }
            Command::Close { connector } => {
                let open = self.take(connector).expect("promises close what is open");
                let sender = self.sender.clone();
                // Shutting down waits; what the promise does meanwhile must go on.
                std::thread::spawn(move || {
                    open.shut_down();
                    tell(&sender, Event::Closed { connector, failure: Failure::default() });
                });
            }
            Command::Free { connector } => {
                drop(self.take(connector));
                self.report(Event::Freed { connector });
            }
            Command::FreeInCallback { connector, request, key } => {
                let slot = Arc::clone(&self.connectors[&connector]);
                self.submit(connector, request, 0, |open, sender| {
                    open.get(utf8(&key), move |result| {
                        done(&sender, connector, request, answer(result.map(Reply::Record)));
                        let open = slot.lock().expect("no callback panics").take();
                        drop(open);
                        tell(&sender, Event::Freed { connector });
                    })
                });
            }
            Command::Burst(commands) => commands.into_iter().for_each(|command| self.send(command)),
            Command::Exit { .. } => unreachable!("only host programs end"),
        }
    }

    fn receive(&mut self, deadline: Instant) -> Option<Event> {
        self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
    }
}

struct Listener {
    connector: u64,
    sender: Sender<Event>,
}

impl Events for Listener {
    fn ready(&mut self) {
        tell(&self.sender, Event::Ready { connector: self.connector });
    }

    fn error(&mut self, error: Error, fatal: bool) {
        let event = Event::Error { connector: self.connector, failure: failure(&error), fatal };
        tell(&self.sender, event);
    }

    fn notification(&mut self, channel: &str, payload: &str) {
        let (channel, payload) = (channel.to_owned(), payload.to_owned());
        tell(&self.sender, Event::Notification { connector: self.connector, channel, payload });
    }

    fn log(&mut self, level: LogLevel, line: &str) {
        tell(&self.sender, log(self.connector, level, line));
    }
}

/// Nobody receives only after a promise has failed.
pub fn tell(sender: &Sender<Event>, event: Event) {
    let _ = sender.send(event);
}

fn done(sender: &Sender<Event>, connector: u64, request: u64, answer: Answer) {
    tell(sender, Event::Done { connector, request, answer });
}

pub fn log(connector: u64, level: LogLevel, line: &str) -> Event {
    Event::Log { connector, level: level.name().to_owned(), message: line.to_owned() }
}

pub fn many(connector: u64, request: u64, results: Vec<Result<Reply, Error>>) -> Event {
    let answers = results.into_iter().map(answer).collect();
    Event::Many { connector, request, failure: Failure::default(), answers }
}

pub fn answer(result: Result<Reply, Error>) -> Answer {
    let none = Answer::default();
    match result {
        Ok(Reply::Record(Some(record))) => {
            Answer { found: true, version: record.version, data: record.data.to_vec(), ..none }
        }
        Ok(Reply::Version(Some(version))) => Answer { found: true, version, ..none },
        Ok(Reply::Record(None) | Reply::Version(None) | Reply::Done) => none,
        Ok(Reply::Page(page)) => {
            let version = i64::try_from(page.records.len()).expect("no page is that long");
            Answer { found: true, version, data: write_page(&page), ..none }
        }
        Ok(Reply::Answer(value)) => Answer { found: true, data: value.to_string().into_bytes(), ..none },
        Err(error) => Answer {
            code: error.code() as i32,
            retryable: error.is_retryable(),
            message: error.message().to_owned(),
            applied: error.applied(),
            ..none
        },
    }
}

pub fn failure(error: &Error) -> Failure {
    Failure { code: error.code() as i32, message: error.message().to_owned(), applied: error.applied() }
}

pub fn record(entry: &Entry) -> Record {
    Record { version: entry.version, data: entry.data.clone().into() }
}

pub fn utf8(key: &[u8]) -> &str {
    std::str::from_utf8(key).expect("only hosts with the feature `bytes` get keys that are no text")
}

/// The cursor of a command; an empty one is none.
pub fn cursor_of(bytes: &[u8]) -> Option<&str> {
    Some(utf8(bytes)).filter(|cursor| !cursor.is_empty())
}

pub fn operations(verb: Verb, keys: &[Vec<u8>]) -> Vec<(Key, Operation)> {
    let operation = match verb {
        Verb::Get => Operation::Get,
        Verb::Head => Operation::Head,
        Verb::Delete => Operation::Delete,
    };
    keys.iter().map(|key| (utf8(key).into(), operation.clone())).collect()
}

pub fn set_operations(entries: &[Entry]) -> Vec<(Key, Operation)> {
    entries.iter().map(|entry| (utf8(&entry.key).into(), Operation::Set(record(entry)))).collect()
}
