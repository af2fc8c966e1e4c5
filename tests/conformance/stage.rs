//! What a promise acts on: a host, a place to store records, and a watch over every callback.
//!
//! All methods panic when what they are for does not happen; the suite makes a failed test of
//! it, with the tail of the log kept here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deepstream_connector::core::{Applied, ErrorCode};
use serde_json::{json, Map, Value};

use crate::conformance::backends::{Place, Server};
use crate::conformance::faulty::Faulty;
use crate::conformance::host::{Answer, Command, Entry, Event, Failure, Features, Host, Verb};
use crate::conformance::json::{self, Numbers};
use crate::conformance::protocol;

/// How many lines of the log a failed promise shows.
const LOG_LINES: usize = 40;

/// Connectors and requests are numbered through, since hosts serve several promises.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// A request that was sent to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request(u64);

/// An error that a connector reported for no operation.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub failure: Failure,
    pub fatal: bool,
}

pub struct Stage {
    host: Box<dyn Host>,
    mode: String,
    pub place: Box<dyn Place>,
    pub features: Features,
    /// How long anything may take that is to happen.
    pub patience: Duration,
    /// See [`patiently`](Self::patiently).
    is_patient: bool,
    /// The connector that commands are about.
    connector: u64,
    open: HashSet<u64>,
    requests: HashMap<u64, State>,
    waiting: usize,
    timeout: u64,
    burst: Option<Vec<Command>>,
    created: HashMap<u64, Failure>,
    closed: HashMap<u64, Failure>,
    freed: HashSet<u64>,
    ready: usize,
    answers_before_ready: usize,
    troubles: Vec<Trouble>,
    /// Those of a server that was slow to take the first connection.
    troubles_at_start: Vec<Trouble>,
    lines: Vec<(String, String)>,
    notifications: Vec<(String, String)>,
    answers: usize,
    log: VecDeque<String>,
    began: Instant,
}

fn without_haste() -> Value {
    json!({"timeout": 120_000})
}

enum State {
    Waiting,
    Refused(Failure),
    Done(Answer),
    Many(Failure, Vec<Answer>),
    Ready(bool),
    Statistics(Vec<u8>),
}

impl Stage {
    pub fn new(host: Box<dyn Host>, mode: &str, place: Box<dyn Place>, patience: Duration) -> Stage {
        Stage {
            features: host.features(),
            host,
            mode: mode.to_owned(),
            place,
            patience,
            is_patient: false,
            connector: 0,
            open: HashSet::new(),
            requests: HashMap::new(),
            waiting: 0,
            timeout: 0,
            burst: None,
            created: HashMap::new(),
            closed: HashMap::new(),
            freed: HashSet::new(),
            ready: 0,
            answers_before_ready: 0,
            troubles: Vec::new(),
            troubles_at_start: Vec::new(),
            lines: Vec::new(),
            notifications: Vec::new(),
            answers: 0,
            log: VecDeque::new(),
            began: Instant::now(),
        }
    }

    // Making connectors.

    /// Makes a connector at the place, and waits until it is ready.
    pub fn open(&mut self) {
        self.open_with(Value::Null);
    }

    /// The same for promises about so much work that a busy machine takes longer than the usual
    /// deadline, or about a server that is started again, which may take a minute: what is promised is
    /// no matter of time.
    pub fn open_without_haste(&mut self) {
        self.open_with(without_haste());
    }

    /// The same, and does not wait.
    pub fn begin_without_haste(&mut self) {
        self.begin_with(without_haste());
    }

    /// The same with more options. On a busy machine a server may take its time for the first connection,
    /// which is an outage by itself, and over then.
    pub fn open_with(&mut self, options: Value) {
        // A thread of the host may report it before the call that makes the connector returns.
        let (ready, troubles) = (self.ready, self.troubles.len());
        self.begin_with(options);
        self.wait_for("the connector to be ready", |stage| stage.ready > ready);
        let at_start = self.troubles.split_off(troubles);
        self.troubles_at_start.extend(at_start);
    }

    /// The same, where the host takes any value of JSON's without a version, as Node.js does with the classic
    /// interface: versions are 0 from then on.
    pub fn open_for_values(&mut self) {
        self.mode = "values".to_owned();
        self.open();
    }

    /// Makes a connector at the place with more options, and does not wait.
    pub fn begin_with(&mut self, options: Value) {
        let mut all = self.place.options();
        if let Value::Object(options) = options {
            all.extend(options);
        }
        if let Err(failure) = self.create(Value::Object(all).to_string().as_bytes()) {
            panic!("no connector was made: {failure}");
        }
    }

    /// Makes a connector from exactly these bytes.
    pub fn create(&mut self, configuration: &[u8]) -> Result<(), Failure> {
        let connector = number();
        self.send(Command::Create {
            connector,
            mode: self.mode.clone(),
            configuration: configuration.into(),
        });
        self.wait_for("`created`", |stage| stage.created.contains_key(&connector));
        let failure = self.created[&connector].clone();
        if failure.code != 0 {
            return Err(failure);
        }
        self.connector = connector;
        self.open.insert(connector);
        Ok(())
    }

    /// The message with which a configuration is refused.
    pub fn refused_configuration(&mut self, configuration: &[u8]) -> String {
        match self.create(configuration) {
            Ok(()) => panic!("a connector was made from {}", crate::conformance::host::shown(configuration)),
            Err(failure) => {
                assert_eq!(
                    name_of(failure.code),
                    ErrorCode::Configuration.name(),
                    "the code for {}: {}",
                    crate::conformance::host::shown(configuration),
                    failure.message
                );
                failure.message
            }
        }
    }

    /// The connector that requests are about.
    pub fn connector(&self) -> u64 {
        self.connector
    }

    /// Has requests be about another connector that was made before.
    pub fn switch_to(&mut self, connector: u64) {
        self.connector = connector;
    }

    // Requests. Those within `burst` are sent together, those within `within` have that timeout.

    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Request {
        self.one(Verb::Get, key)
    }

    pub fn head(&mut self, key: impl AsRef<[u8]>) -> Request {
        self.one(Verb::Head, key)
    }

    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Request {
        self.one(Verb::Delete, key)
    }

    pub fn set(&mut self, key: impl AsRef<[u8]>, version: i64, data: impl AsRef<[u8]>) -> Request {
        let (connector, timeout) = (self.connector, self.timeout);
        let entry = entry(key, version, data);
        self.request(|request| Command::Set { connector, request, timeout, entry })
    }

    pub fn many<K: AsRef<[u8]>>(&mut self, verb: Verb, keys: impl IntoIterator<Item = K>) -> Request {
        let (connector, timeout) = (self.connector, self.timeout);
        let keys = keys.into_iter().map(|key| key.as_ref().to_vec()).collect();
        self.request(|request| Command::Many { verb, connector, request, timeout, keys })
    }

    pub fn set_many(&mut self, entries: Vec<Entry>) -> Request {
        let (connector, timeout) = (self.connector, self.timeout);
        self.request(|request| Command::SetMany { connector, request, timeout, entries })
    }

    /// A page of all records, after that cursor if it is not empty.
    pub fn scan(&mut self, cursor: impl AsRef<[u8]>, limit: u64) -> Request {
        self.scan_prefix("", cursor, limit)
    }

    /// The same of the records whose keys begin with a prefix.
    pub fn scan_prefix(&mut self, prefix: &str, cursor: impl AsRef<[u8]>, limit: u64) -> Request {
        let (connector, timeout) = (self.connector, self.timeout);
        let (prefix, cursor) = (prefix.to_owned(), cursor.as_ref().to_vec());
        self.request(|request| Command::Scan { connector, request, timeout, limit, prefix, cursor })
    }

    /// A command of the backend's own.
    pub fn command(&mut self, name: &str, arguments: &Value) -> Request {
        let (connector, timeout) = (self.connector, self.timeout);
        let (name, arguments) = (name.to_owned(), arguments.to_string().into_bytes());
        self.request(|request| Command::Ask { connector, request, timeout, name, arguments })
    }

    pub fn free_in_callback(&mut self, key: impl AsRef<[u8]>) -> Request {
        let connector = self.connector;
        self.open.remove(&connector);
        let key = key.as_ref().to_vec();
        self.request(|request| Command::FreeInCallback { connector, request, key })
    }

    fn one(&mut self, verb: Verb, key: impl AsRef<[u8]>) -> Request {
        let (connector, timeout) = (self.connector, self.timeout);
        let key = key.as_ref().to_vec();
        self.request(|request| Command::One { verb, connector, request, timeout, key })
    }

    fn request(&mut self, command: impl FnOnce(u64) -> Command) -> Request {
        let request = number();
        self.requests.insert(request, State::Waiting);
        self.waiting += 1;
        self.send(command(request));
        Request(request)
    }

    /// Requests with this timeout in milliseconds.
    pub fn within<R>(&mut self, milliseconds: u64, requests: impl FnOnce(&mut Stage) -> R) -> R {
        let before = std::mem::replace(&mut self.timeout, milliseconds);
        let result = requests(self);
        self.timeout = before;
        result
    }

    /// Requests that the host makes without returning to its event loop.
    pub fn burst<R>(&mut self, requests: impl FnOnce(&mut Stage) -> R) -> R {
        self.burst = Some(Vec::new());
        let result = requests(self);
        let commands = self.burst.take().expect("bursts are not nested");
        self.send(Command::Burst(commands));
        result
    }

    fn send(&mut self, command: Command) {
        match &mut self.burst {
            Some(commands) => commands.push(command),
            None => {
                self.note(format!("> {command}"));
                if let Command::Burst(commands) = &command {
                    let first = commands.len().saturating_sub(LOG_LINES / 2);
                    let last: Vec<String> = commands[first..].iter().map(ToString::to_string).collect();
                    last.into_iter().for_each(|line| self.note(format!(">   {line}")));
                }
                self.host.send(command);
            }
        }
    }

    // Answers.

    /// Waits for a request's success.
    pub fn succeeds(&mut self, request: Request) -> Answer {
        self.settle(request);
        match &self.requests[&request.0] {
            State::Done(answer) if answer.code == 0 => answer.clone(),
            other => panic!("r{} should have succeeded; {}", request.0, other.shown()),
        }
    }

    /// Waits for a request's failure, as the answer or (where hosts report that) already as a
    /// refusal; returns the message.
    pub fn fails(&mut self, request: Request, code: ErrorCode) -> String {
        self.settle(request);
        let failure = match &self.requests[&request.0] {
            State::Refused(failure) => failure.clone(),
            State::Done(answer) if answer.code != 0 => {
                Failure { code: answer.code, message: answer.message.clone(), applied: answer.applied }
            }
            State::Many(failure, _) if failure.code != 0 => failure.clone(),
            other => panic!("r{} should have failed with {}; {}", request.0, code.name(), other.shown()),
        };
        assert_eq!(name_of(failure.code), code.name(), "the code of r{}: {}", request.0, failure.message);
        failure.message
    }

    /// As `fails`, for what the submitting call itself must refuse where hosts report that.
    pub fn is_refused(&mut self, request: Request, code: ErrorCode) -> String {
        let message = self.fails(request, code);
        if self.features.refusal {
            let state = &self.requests[&request.0];
            assert!(
                matches!(state, State::Refused(_)),
                "r{} should have been refused; {}",
                request.0,
                state.shown()
            );
        }
        message
    }

    /// Waits for the answers to a request for many keys, which must not fail as a whole.
    pub fn all(&mut self, request: Request) -> Vec<Answer> {
        self.settle(request);
        match &self.requests[&request.0] {
            State::Many(failure, answers) if failure.code == 0 => answers.clone(),
            other => panic!("r{} should have succeeded; {}", request.0, other.shown()),
        }
    }

    /// Waits for a page: its records, and the cursor, which is empty on the last one.
    pub fn page(&mut self, request: Request) -> (Vec<Entry>, Vec<u8>) {
        let answer = self.succeeds(request);
        protocol::read_page(&answer.data, answer.version).expect("the host reports a page")
    }

    /// Reads all pages of at most so many records.
    pub fn pages(&mut self, limit: u64) -> Vec<Entry> {
        self.pages_of("", limit)
    }

    /// Reads all pages of the records whose keys begin with a prefix.
    pub fn pages_of(&mut self, prefix: &str, limit: u64) -> Vec<Entry> {
        let (mut entries, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let request = self.scan_prefix(prefix, &cursor, limit);
            let (page, next) = self.page(request);
            assert!(page.len() as u64 <= limit, "{} records on a page of {limit}", page.len());
            entries.extend(page);
            if next.is_empty() {
                return entries;
            }
            cursor = next;
        }
    }

    /// Waits for the answer to a command.
    pub fn answered(&mut self, request: Request) -> Value {
        let answer = self.succeeds(request);
        serde_json::from_slice(&answer.data).expect("the host reports JSON")
    }

    /// Waits for the end of a request, whatever it is, and gives its code; 0 is success.
    pub fn code(&mut self, request: Request) -> i32 {
        self.settle(request);
        match &self.requests[&request.0] {
            State::Refused(failure) => failure.code,
            State::Done(answer) => answer.code,
            State::Many(failure, _) => failure.code,
            State::Waiting | State::Ready(_) | State::Statistics(_) => 0,
        }
    }

    /// Waits for the end of a request, and tells whether it may have been carried out although it
    /// failed; for many keys, whether any may have been.
    pub fn applied(&mut self, request: Request) -> Applied {
        self.settle(request);
        match &self.requests[&request.0] {
            State::Done(answer) if answer.code != 0 => answer.applied,
            State::Many(failure, _) if failure.code != 0 => failure.applied,
            State::Many(_, answers) if answers.iter().any(|answer| answer.applied != Applied::No) => {
                Applied::Unknown
            }
            State::Refused(_) | State::Many(..) => Applied::No,
            other => panic!("r{} should have failed; {}", request.0, other.shown()),
        }
    }

    /// The code of a request with the message.
    pub fn outcome(&mut self, request: Request) -> Answer {
        self.settle(request);
        match &self.requests[&request.0] {
            State::Done(answer) => answer.clone(),
            other => panic!("r{} should have been answered; {}", request.0, other.shown()),
        }
    }

    /// The same where a refusal counts as an answer.
    pub fn outcome_or_refusal(&mut self, request: Request) -> Answer {
        self.settle(request);
        match &self.requests[&request.0] {
            State::Refused(Failure { code, message, .. }) => {
                Answer { code: *code, message: message.clone(), ..Answer::default() }
            }
            _ => self.outcome(request),
        }
    }

    /// Waits until a request is answered or refused.
    pub fn settle(&mut self, request: Request) {
        self.wait_for(&format!("the end of r{}", request.0), |stage| stage.is_settled(request));
    }

    pub fn is_settled(&self, request: Request) -> bool {
        !matches!(self.requests[&request.0], State::Waiting)
    }

    /// Stores a record and waits.
    pub fn store(&mut self, key: impl AsRef<[u8]>, version: i64, data: impl AsRef<[u8]>) {
        self.answer_to(|stage| stage.set(&key, version, &data));
    }

    /// Reads a record and waits; `None` is a miss.
    pub fn load(&mut self, key: impl AsRef<[u8]>) -> Option<(i64, Vec<u8>)> {
        found(self.answer_to(|stage| stage.get(&key)))
    }

    /// Stores and loads have a minute however short the connector's own timeout is: it is there for what is to be late.
    /// Where a host has no other for one operation, they are asked again.
    pub fn patiently<R>(&mut self, requests: impl FnOnce(&mut Stage) -> R) -> R {
        self.is_patient = true;
        let result = self.within(60_000, requests);
        self.is_patient = false;
        result
    }

    fn answer_to(&mut self, ask: impl Fn(&mut Stage) -> Request) -> Answer {
        let deadline = Instant::now() + self.patience;
        loop {
            let request = ask(self);
            if !self.is_patient || !self.is_late(request) || Instant::now() > deadline {
                return self.succeeds(request);
            }
        }
    }

    /// Whether a request ended at the connector's own timeout, and the host could give it no other.
    pub fn is_late(&mut self, request: Request) -> bool {
        !self.features.timeout && name_of(self.code(request)) == "TIMEOUT"
    }

    /// Checks that a record is there, with this version and a document equal to this one.
    pub fn assert_holds(&mut self, key: impl AsRef<[u8]>, version: i64, document: impl AsRef<[u8]>) {
        let shown_key = crate::conformance::host::shown(key.as_ref());
        match self.load(key) {
            Some((found, data)) => {
                assert_eq!(found, version, "the version of {shown_key}");
                self.assert_same(document.as_ref(), &data, &shown_key);
            }
            None => panic!("there is no record {shown_key}"),
        }
    }

    /// Checks that two documents are equal as far as this host keeps numbers.
    pub fn assert_same(&self, expected: &[u8], given: &[u8], what: &str) {
        let numbers = if self.features.exact { Numbers::Exact } else { Numbers::Doubles };
        let (shown_expected, shown_given) =
            (crate::conformance::host::shown(expected), crate::conformance::host::shown(given));
        match json::equal(expected, given, numbers) {
            Ok(true) => {}
            Ok(false) => panic!("the document of {what} is {shown_given} instead of {shown_expected}"),
            Err(reason) => panic!("the document of {what}, {shown_given}: {reason}"),
        }
    }

    // The connector.

    pub fn is_ready(&mut self) -> bool {
        let connector = self.connector;
        let request = self.request(|request| Command::IsReady { connector, request });
        self.settle(request);
        matches!(self.requests[&request.0], State::Ready(true))
    }

    pub fn statistics(&mut self) -> Value {
        let connector = self.connector;
        let request = self.request(|request| Command::Statistics { connector, request });
        self.settle(request);
        match &self.requests[&request.0] {
            State::Statistics(json) => serde_json::from_slice(json).unwrap_or_else(|error| {
                panic!("the statistics are no JSON ({error}): {}", crate::conformance::host::shown(json))
            }),
            other => panic!("there are no statistics; {}", other.shown()),
        }
    }

    /// Begins to close the connector.
    pub fn begin_to_close(&mut self) {
        let connector = self.connector;
        self.open.remove(&connector);
        self.send(Command::Close { connector });
    }

    /// Whether `close` is complete.
    pub fn is_closed(&self) -> bool {
        self.closed.contains_key(&self.connector)
    }

    /// After hurt servers are well again: waits until the connection to the one that has this
    /// key stands. It may not have noticed yet that it does not.
    pub fn wait_for_recovery(&mut self, key: &str) {
        let deadline = Instant::now() + self.patience;
        loop {
            let get = self.get(key);
            if self.code(get) == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "the connector does not recover");
        }
    }

    /// Has the host program end at once with this status.
    pub fn exit(&mut self, status: i32) {
        self.note(format!("> exit {status}"));
        if let Err(fault) = self.host.exit(status, self.patience) {
            panic!("the program did not exit as told: {fault}");
        }
    }

    /// Ends the host program's input, and waits for its end.
    pub fn end(&mut self) {
        self.note("> end of input".to_owned());
        if let Err(fault) = self.host.end(self.patience) {
            panic!("the program did not end in order: {fault}");
        }
    }

    /// Closes the connector and waits for the end of that.
    pub fn close(&mut self) {
        self.begin_to_close();
        self.wait_for("`closed`", Stage::is_closed);
    }

    /// Ends the connector at once and waits until the host's call has returned.
    pub fn free(&mut self) {
        let connector = self.connector;
        self.open.remove(&connector);
        self.send(Command::Free { connector });
        self.wait_until_freed();
    }

    pub fn wait_until_freed(&mut self) {
        let connector = self.connector;
        self.wait_for("`freed`", |stage| stage.freed.contains(&connector));
    }

    /// Requests that were sent and are neither answered nor refused.
    pub fn unanswered(&self) -> usize {
        self.waiting
    }

    /// How often a connector became ready.
    pub fn times_ready(&self) -> usize {
        self.ready
    }

    /// How many callbacks with answers ran.
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// How many of them ran before the first connector was ready.
    pub fn answers_before_ready(&self) -> usize {
        self.answers_before_ready
    }

    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// The messages of the database: channel and payload.
    pub fn notifications(&self) -> &[(String, String)] {
        &self.notifications
    }

    /// The lines for the host's log: level and text.
    pub fn lines(&self) -> &[(String, String)] {
        &self.lines
    }

    /// Everything the connectors ever said, for a search for what must not be in it.
    pub fn everything_said(&self) -> Vec<String> {
        let failures = self.requests.values().filter_map(|state| match state {
            State::Refused(failure) => Some(failure.message.clone()),
            State::Done(answer) => Some(answer.message.clone()),
            State::Many(failure, _) => Some(failure.message.clone()),
            State::Statistics(json) => Some(String::from_utf8_lossy(json).into_owned()),
            State::Waiting | State::Ready(_) => None,
        });
        let troubles = self.troubles.iter().chain(&self.troubles_at_start);
        let troubles = troubles.map(|trouble| trouble.failure.message.clone());
        let lines = self.lines.iter().map(|(_, line)| line.clone());
        failures.chain(troubles).chain(lines).collect()
    }

    /// The server answers nothing any more, until `thaw`.
    pub fn freeze(&self) {
        self.server().freeze();
    }

    pub fn thaw(&self) {
        self.server().thaw();
    }

    /// The server ends at once, until `restart`.
    pub fn kill(&self) {
        self.server().kill();
    }

    pub fn restart(&self) {
        self.server().restart();
    }

    /// Spoils the network to the server, by the words of `tests/servers/proxy.js`.
    pub fn spoil_network(&self, words: &[&str]) {
        self.place.spoil_network(words);
    }

    fn server(&self) -> &dyn Server {
        self.place.server().expect("the suite gives it to those who ask")
    }

    /// The misbehaving server, for promises that ask for it.
    pub fn faulty(&self) -> Faulty {
        self.place.faulty().expect("the suite gives it to those who ask").clone()
    }

    // Waiting.

    /// Takes what the host reports until `condition` holds, as long as there is progress: operations
    /// are answered one after the other, or those of a bulk, of which the host hears together, are carried out.
    pub fn wait_for(&mut self, what: &str, condition: impl Fn(&Stage) -> bool) {
        let mut deadline = Instant::now() + self.patience;
        let mut progress = None;
        while !condition(self) {
            let now = Instant::now();
            if now >= deadline {
                let carried_out = self.carried_out();
                let goes_on = progress.replace(carried_out).is_some_and(|before| carried_out > before);
                assert!(goes_on, "waited {:?} in vain for {what}", self.patience);
                deadline = now + self.patience;
            } else if progress.is_none() && now + self.patience / 2 >= deadline {
                progress = Some(self.carried_out());
            }
            // The condition may depend on more than events.
            let soon = deadline.min(now + Duration::from_millis(5));
            let before = self.answers;
            if let Some(event) = self.host.receive(soon) {
                self.take(event);
            }
            if self.answers > before {
                deadline = Instant::now() + self.patience;
                progress = None;
            }
        }
    }

    /// How many operations the connector has carried out, by its own count; none, where it does not say at once.
    fn carried_out(&mut self) -> u64 {
        let connector = self.connector;
        if !self.open.contains(&connector) {
            return 0;
        }
        let Request(request) = self.request(|request| Command::Statistics { connector, request });
        let deadline = Instant::now() + self.patience / 10;
        while let State::Waiting = self.requests[&request] {
            let Some(event) = self.host.receive(deadline) else { return 0 };
            self.take(event);
        }
        let State::Statistics(json) = &self.requests[&request] else { return 0 };
        let statistics: Value = serde_json::from_slice(json).unwrap_or_default();
        let operations = statistics["operations"].as_object().into_iter().flat_map(|all| all.values());
        let count = |operation: &Value, name: &str| operation[name].as_u64().unwrap_or(0);
        operations.map(|operation| count(operation, "count") - count(operation, "errors")).sum()
    }

    /// Takes what the host reports for some time, for what must not happen meanwhile.
    pub fn watch(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Some(event) = self.host.receive(deadline) {
            self.take(event);
        }
    }

    /// Has everything reported that happened until now: the host does one thing after the other.
    pub fn catch_up(&mut self) {
        let refusal = self.create(br#"{"type": "no such backend"}"#);
        assert!(refusal.is_err(), "a connector was made to no such backend");
    }

    fn take(&mut self, event: Event) {
        self.note(format!("< {event}"));
        match event {
            Event::Created { connector, failure } => {
                self.created.insert(connector, failure);
            }
            Event::Refused { request, failure, .. } => self.conclude(request, State::Refused(failure)),
            Event::Done { request, answer, .. } => self.conclude(request, State::Done(answer)),
            Event::Many { request, failure, answers, .. } => {
                self.conclude(request, State::Many(failure, answers));
            }
            Event::IsReady { request, ready, .. } => self.conclude(request, State::Ready(ready)),
            Event::Statistics { request, json, .. } => self.conclude(request, State::Statistics(json)),
            Event::Ready { .. } => {
                if self.ready == 0 {
                    self.answers_before_ready = self.answers;
                }
                self.ready += 1;
            }
            Event::Error { failure, fatal, .. } => self.troubles.push(Trouble { failure, fatal }),
            Event::Log { level, message, .. } => self.lines.push((level, message)),
            Event::Notification { channel, payload, .. } => self.notifications.push((channel, payload)),
            Event::Closed { connector, failure } => {
                let again = self.closed.insert(connector, failure).is_some();
                assert!(!again, "`close` was reported as complete twice");
            }
            Event::Freed { connector } => {
                self.freed.insert(connector);
            }
            Event::Ended(reason) => panic!("the host ended: {reason}"),
        }
    }

    fn conclude(&mut self, request: u64, end: State) {
        if matches!(end, State::Done(_) | State::Many(..)) {
            self.answers += 1;
        }
        match self.requests.insert(request, end) {
            Some(State::Waiting) => self.waiting -= 1,
            Some(before) => panic!("r{request} was answered twice; before that {}", before.shown()),
            None => panic!("r{request} was answered and never made"),
        }
    }

    fn note(&mut self, line: String) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:9.3} ms  {line}", self.began.elapsed().as_secs_f64() * 1e3));
    }

    /// The last lines of what went to the host and came from it.
    pub fn log_tail(&self) -> String {
        self.log.iter().map(|line| format!("    {line}\n")).collect()
    }

    /// Ends a promise that was held so far: closes what is open, and checks that every request
    /// has its one answer. Returns the host for the next promise.
    pub fn finish(&mut self) {
        self.place.heal();
        for connector in self.open.clone() {
            self.connector = connector;
            self.close();
        }
        self.wait_for("the answers to all requests", |stage| stage.unanswered() == 0);
        if self.features.free {
            for connector in self.closed.keys().copied().collect::<Vec<_>>() {
                self.connector = connector;
                if !self.freed.contains(&connector) {
                    self.free();
                }
            }
        }
        // What comes too late, or twice, has come by then.
        self.catch_up();
        if let Some(server) = self.place.faulty() {
            let violations = server.violations();
            assert!(violations.is_empty(), "the engine gave the backend what it must not: {violations:?}");
        }
    }

    /// Gives the host back after `finish`.
    pub fn into_host(self) -> Box<dyn Host> {
        self.host
    }
}

impl State {
    fn shown(&self) -> String {
        match self {
            State::Waiting => "it is not answered".into(),
            State::Refused(failure) => format!("it was refused: {failure}"),
            State::Done(answer) => format!("the answer: {answer}"),
            State::Many(failure, answers) => format!("{} answers: {failure}", answers.len()),
            State::Ready(ready) => format!("ready: {ready}"),
            State::Statistics(_) => "statistics".into(),
        }
    }
}

fn number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

pub fn entry(key: impl AsRef<[u8]>, version: i64, data: impl AsRef<[u8]>) -> Entry {
    Entry { key: key.as_ref().to_vec(), version, data: data.as_ref().to_vec() }
}

/// The record in an answer.
pub fn found(answer: Answer) -> Option<(i64, Vec<u8>)> {
    answer.found.then_some((answer.version, answer.data))
}

/// A code's name, for messages.
pub fn name_of(code: i32) -> String {
    match ErrorCode::ALL.iter().find(|known| **known as i32 == code) {
        Some(known) => known.name().to_owned(),
        None => format!("code {code}"),
    }
}

/// An object's members, for options.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}
