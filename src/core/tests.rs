//! What the engine promises, on a made-up server that can be told to misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::*;

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

const TIMEOUT: Duration = Duration::from_millis(200);
const HOUR: Option<Duration> = Some(Duration::from_secs(3_600));

/// What the server does, and what it was asked.
#[derive(Default)]
struct World {
    records: BTreeMap<String, i64>,
    /// Nobody is there.
    absent: bool,
    /// It takes batches and questions, and answers none.
    silent: bool,
    /// What it says to each write of this version.
    refused: BTreeMap<i64, Error>,
    /// What it says to everybody.
    away: Option<Error>,
    /// It hangs up at each batch that has this key.
    poison: Option<&'static str>,
    /// How long the data of each record is.
    size: usize,
    /// So many batches are answered by a loss of the connection.
    losses: usize,
    /// So many batches end in a panic.
    panics: usize,
    lost: bool,
    /// It refuses the login.
    unwelcome: bool,
    /// The kind of each batch, and its keys.
    batches: Vec<(Kind, Vec<String>)>,
    connects: usize,
    wakers: Vec<Waker>,
}

#[derive(Clone)]
struct Server {
    world: Arc<Mutex<World>>,
    records_per_batch: usize,
}

impl Server {
    fn new(records_per_batch: usize) -> Server {
        Server { world: Arc::default(), records_per_batch }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        let mut world = self.world();
        change(&mut world);
        world.wakers.drain(..).for_each(Waker::wake);
    }

    /// Waits until there is something.
    async fn until<R>(&self, mut found: impl FnMut(&mut World) -> Option<R>) -> R {
        poll_fn(|cx| {
            let mut world = self.world();
            match found(&mut world) {
                Some(result) => Poll::Ready(result),
                None => {
                    world.wakers.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    async fn answer<R>(
        &self,
        kind: Kind,
        keys: Vec<String>,
        mut one: impl FnMut(&mut World, &str) -> Result<R, Error>,
    ) -> BatchResult<R> {
        self.world().batches.push((kind, keys.clone()));
        self.until(|world| {
            if world.silent {
                return None;
            }
            if world.panics > 0 {
                world.panics -= 1;
                return Some(None);
            }
            let poisoned = world.poison.is_some_and(|poison| keys.iter().any(|key| key == poison));
            if world.losses > 0 || poisoned {
                world.losses = world.losses.saturating_sub(1);
                return Some(Some(Err(Error::connection("it hung up"))));
            }
            if let Some(error) = &world.away {
                return Some(Some(Err(error.clone())));
            }
            Some(Some(Ok(keys.iter().map(|key| one(world, key)).collect())))
        })
        .await
        .expect("a panic was asked for")
    }
}

#[async_trait]
impl Backend for Server {
    fn describe(&self) -> Description {
        Description {
            target: "a made-up server".into(),
            max_batch_records: self.records_per_batch,
            max_batch_bytes: usize::MAX,
            read_batches: 1,
            write_batches: 1,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let mut world = self.world();
        if world.absent {
            return Err(Error::connection("nobody is there"));
        }
        if world.unwelcome {
            return Err(Error::new(ErrorCode::Authentication, "it refuses the login"));
        }
        world.connects += 1;
        world.lost = false;
        let server = self.clone();
        let lifeline = async move {
            server.until(|world| world.lost.then_some(())).await;
            Error::connection("it went away")
        };
        Ok(Link { connection: Arc::new(self.clone()), lifeline: Box::pin(lifeline) })
    }
}

#[async_trait]
impl Connection for Server {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        let get = |world: &mut World, key: &str| {
            let data = "x".repeat(world.size);
            Ok(world.records.get(key).map(|&version| Record { version, data: data.into() }))
        };
        self.answer(Kind::Get, names(keys), get).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        self.answer(Kind::Head, names(keys), |world, key| Ok(world.records.get(key).copied())).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let keys: Vec<Key> = entries.iter().map(|(key, _)| Arc::clone(key)).collect();
        let mut versions: VecDeque<i64> = entries.iter().map(|(_, record)| record.version).collect();
        let set = |world: &mut World, key: &str| {
            let version = versions.pop_front().unwrap_or_default();
            if let Some(error) = world.refused.get(&version) {
                return Err(error.clone());
            }
            world.records.insert(key.to_owned(), version);
            Ok(())
        };
        self.answer(Kind::Set, names(&keys), set).await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let delete = |world: &mut World, key: &str| {
            world.records.remove(key);
            Ok(())
        };
        self.answer(Kind::Delete, names(keys), delete).await
    }

    async fn scan(&self, _: &Listing) -> Result<Page, Error> {
        self.until(|world| (!world.silent).then_some(Ok(Page::default()))).await
    }

    async fn command(&self, name: &str, _: &Value) -> Result<Value, Error> {
        assert_ne!(name, "panic", "on purpose");
        self.until(|world| (!world.silent).then_some(Ok(Value::Null))).await
    }
}

fn names(keys: &[Key]) -> Vec<String> {
    keys.iter().map(|key| (**key).to_owned()).collect()
}

/// An engine that the test itself drives, in a time of its own.
struct Bench {
    clock: Clock,
    server: Server,
    engine: Engine<u32>,
    submitter: Submitter<u32>,
    answers: BTreeMap<u32, Result<Reply, Error>>,
    /// `ready`, and the message of each `error`.
    told: Vec<String>,
}

impl Bench {
    fn new(options: EngineOptions) -> Bench {
        Bench::with(Server::new(1), options)
    }

    fn with(server: Server, options: EngineOptions) -> Bench {
        let clock = Clock::by_hand();
        let (engine, submitter) = Engine::with_clock(Arc::new(server.clone()), options, clock.clone(), 1);
        Bench { clock, server, engine, submitter, answers: BTreeMap::new(), told: Vec::new() }
    }

    fn connected() -> Bench {
        Bench::new(options()).connect()
    }

    fn connect(mut self) -> Bench {
        self.turn();
        assert_eq!(self.told, ["ready"]);
        self.told.clear();
        self
    }

    fn submit(&self, ticket: u32, key: &str, operation: Operation, timeout: Option<Duration>) {
        self.submitter.submit(key.into(), operation, ticket, timeout).unwrap();
    }

    fn set(&self, ticket: u32, key: &str) {
        self.submit(ticket, key, set(ticket), None);
    }

    fn command(&self, ticket: u32, name: &str) {
        let question = Question::Command { name: name.into(), arguments: Value::Null };
        self.submitter.ask(question, ticket, None).unwrap();
    }

    /// A set, a delete, a get, a head, a command and a scan, with tickets from 1 on.
    fn one_of_each(&self) {
        self.set(1, "a");
        self.submit(2, "b", Operation::Delete, None);
        self.submit(3, "c", Operation::Get, None);
        self.submit(4, "d", Operation::Head, None);
        self.command(5, "something");
        self.submitter.ask(a_page(), 6, None).unwrap();
    }

    /// Polls until nothing more happens.
    fn turn(&mut self) {
        let mut out = self.engine.deliveries();
        for _ in 0..10 {
            self.poll(&mut out);
        }
        self.hand_out(&mut out);
    }

    /// One turn after a look at the sockets.
    fn poll(&mut self, out: &mut Deliveries<u32>) -> Progress {
        self.engine.looked();
        self.engine.poll(&mut Context::from_waker(Waker::noop()), out)
    }

    fn hand_out(&mut self, out: &mut Deliveries<u32>) {
        for delivery in out.by_ref() {
            match delivery {
                Delivery::Completion(ticket, Outcome::One(result)) => {
                    assert!(self.answers.insert(ticket, result).is_none(), "{ticket} was answered twice");
                }
                Delivery::Ready => self.told.push("ready".into()),
                Delivery::Failure { error, fatal } => {
                    assert_eq!(fatal, !error.is_retryable());
                    self.told.push(error.message().into());
                }
                _ => {}
            }
        }
    }

    fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&Bench) -> bool) {
        let deadline = self.clock.now() + PATIENCE;
        while !condition(self) {
            assert!(self.clock.now() < deadline, "{what}: {:?}, {:?}", self.told, self.answers);
            self.clock.advance(Duration::from_millis(1));
            self.turn();
        }
    }

    /// What became of a request: a code, or nothing.
    fn code(&self, ticket: u32) -> Option<ErrorCode> {
        self.answers[&ticket].as_ref().err().map(Error::code)
    }

    /// Whether a request that failed may have been carried out.
    fn applied(&self, ticket: u32) -> Applied {
        self.answers[&ticket].as_ref().unwrap_err().applied()
    }
}

fn options() -> EngineOptions {
    EngineOptions {
        timeout: TIMEOUT,
        reconnect_delay: Duration::from_millis(2),
        reconnect_max_delay: Duration::from_millis(2),
        ..EngineOptions::default()
    }
}

fn a_page() -> Question {
    Question::Scan(Listing { prefix: String::new(), cursor: None, limit: 1 })
}

fn set(version: u32) -> Operation {
    Operation::Set(Record { version: version.into(), data: "{}".into() })
}

#[test]
fn coalescing_costs_no_accepted_write() {
    let mut bench = Bench::connected();
    let too_large = Error::new(ErrorCode::TooLarge, "it is too large");
    bench.server.change(|world| world.refused.extend([(3, too_large.clone()), (4, too_large)]));
    for ticket in 1..=4 {
        bench.set(ticket, "a");
    }
    bench.submit(5, "a", Operation::Head, None);
    bench.turn();
    assert_eq!((bench.code(1), bench.code(2)), (None, None));
    assert_eq!((bench.code(3), bench.code(4)), (Some(ErrorCode::TooLarge), Some(ErrorCode::TooLarge)));
    assert_eq!(bench.answers[&5].as_ref().unwrap(), &Reply::Version(Some(2)));
    // The first of them was never worth a batch.
    assert_eq!(bench.server.world().batches.len(), 4);
}

#[test]
fn a_long_deadline_hides_no_hang() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.submit(1, "a", set(1), HOUR);
    bench.turn();
    bench.set(2, "b");
    bench.wait_for("`error`", |bench| !bench.told.is_empty());
    assert_eq!(bench.told, ["the server does not answer"]);
    assert_eq!(bench.code(2), Some(ErrorCode::Timeout));
    bench.server.change(|world| world.silent = false);
    bench.wait_for("the patient one", |bench| bench.answers.contains_key(&1));
    assert_eq!(bench.code(1), None);
}

#[test]
fn a_hang_is_noticed_by_scans_too() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.submitter.ask(a_page(), 1, None).unwrap();
    bench.wait_for("`error`", |bench| !bench.told.is_empty());
    assert_eq!(bench.told[0], "the server does not answer");
    assert_eq!(bench.code(1), Some(ErrorCode::Timeout));
    bench.server.change(|world| world.silent = false);
    bench.wait_for("the connection", |bench| bench.server.world().connects == 2);
}

#[test]
fn what_is_slow_alone_does_not_hang() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.submit(1, "a", set(1), HOUR);
    let scan = a_page();
    bench.submitter.ask(scan.clone(), 2, HOUR).unwrap();
    // Its caller has little patience, but the server may yet have it.
    bench.submitter.ask(scan, 3, Some(TIMEOUT / 4)).unwrap();
    let began = bench.clock.now();
    bench.wait_for("half the time", |bench| bench.clock.now() - began > TIMEOUT / 2);
    assert_eq!(bench.code(3), Some(ErrorCode::Timeout));
    bench.server.change(|world| world.silent = false);
    bench.turn();
    bench.server.change(|world| world.silent = true);
    bench.submit(4, "a", set(4), HOUR);
    bench.wait_for("thrice the time", |bench| bench.clock.now() - began > TIMEOUT * 3);
    assert_eq!((bench.code(1), bench.code(2)), (None, None));
    assert!(!bench.answers.contains_key(&4));
    assert_eq!((bench.told.len(), bench.server.world().connects), (0, 1), "{:?}", bench.told);
}

#[test]
fn no_kind_of_operation_starves() {
    let mut bench = Bench::connected();
    for index in 0..20 {
        bench.set(100 + index, &format!("s{index}"));
        bench.submit(200 + index, &format!("g{index}"), Operation::Get, None);
    }
    bench.submit(1, "d", Operation::Delete, None);
    bench.submit(2, "h", Operation::Head, None);
    bench.turn();
    let world = bench.server.world();
    for kind in [Kind::Delete, Kind::Head] {
        let place = world.batches.iter().position(|(other, _)| *other == kind);
        assert!(place.is_some_and(|place| place < 4), "{kind:?} went as number {place:?}");
    }
}

#[test]
fn an_absent_server_is_told_once() {
    let mut bench = Bench::new(options());
    bench.server.change(|world| world.absent = true);
    bench.turn();
    assert_eq!(bench.told, ["nobody is there"]);
    let began = bench.clock.now();
    bench.wait_for("more attempts", |bench| bench.clock.now() - began > TIMEOUT / 4);
    bench.server.change(|world| world.absent = false);
    bench.wait_for("`ready`", |bench| bench.submitter.is_ready());
    assert_eq!(bench.told, ["nobody is there", "ready"]);
}

#[test]
fn a_server_that_greets_and_hangs_up_is_one_outage() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.losses = 5);
    bench.submit(1, "a", set(1), HOUR);
    bench.wait_for("the answer", |bench| bench.answers.contains_key(&1));
    assert_eq!(bench.told, ["it hung up", "ready"]);
    assert_eq!(bench.server.world().connects, 6);
    // The next one is another one.
    bench.server.change(|world| world.lost = true);
    bench.wait_for("`ready`", |bench| bench.told.len() == 4);
    assert_eq!(bench.told[2..], ["it went away", "ready"]);
}

#[test]
fn an_outage_ends_although_nobody_waits_for_a_proof_any_more() {
    let mut bench = Bench::connected();
    bench.submit(1, "a", set(1), Some(TIMEOUT / 2));
    bench.server.change(|world| (world.silent, world.lost) = (true, true));
    bench.wait_for("the timeout", |bench| bench.answers.contains_key(&1));
    bench.wait_for("`ready`", |bench| bench.submitter.is_ready());
    assert_eq!(bench.told, ["it went away", "ready"]);
}

#[test]
fn what_has_expired_is_not_sent() {
    let mut bench = Bench::connected();
    bench.submit(1, "a", set(1), Some(Duration::from_millis(1)));
    bench.submit(2, "b", set(2), HOUR);
    // Whoever drives the engine was busy meanwhile.
    bench.clock.advance(Duration::from_millis(20));
    bench.turn();
    assert_eq!((bench.code(1), bench.code(2)), (Some(ErrorCode::Timeout), None));
    let message = bench.answers[&1].as_ref().unwrap_err().message().to_owned();
    assert!(message.contains("it was not sent"), "{message}");
    assert_eq!(bench.server.world().batches, [(Kind::Set, vec!["b".to_owned()])]);
}

#[test]
fn an_answer_that_is_here_is_not_called_late() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.set(1, "a");
    bench.turn();
    bench.server.change(|world| world.silent = false);
    // Whoever drives the engine was busy meanwhile.
    bench.clock.advance(TIMEOUT + Duration::from_millis(20));
    bench.turn();
    assert_eq!(bench.code(1), None);
}

#[test]
fn an_operation_is_in_flight_until_it_is_handed_out() {
    let mut bench = Bench::new(EngineOptions { max_in_flight: 3, ..options() }).connect();
    let mut out = bench.engine.deliveries();
    for ticket in 0..3 {
        bench.set(ticket, &format!("k{ticket}"));
    }
    for _ in 0..10 {
        bench.poll(&mut out);
    }
    assert_eq!(bench.server.world().batches.len(), 3, "all are answered");
    assert_eq!(bench.submitter.in_flight(), 3);
    let refused = bench.submitter.submit("k".into(), Operation::Get, 9, None).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Busy);
    assert!(matches!(out.next(), Some(Delivery::Completion(0, _))));
    assert_eq!(bench.submitter.in_flight(), 2);
    bench.submit(9, "k", Operation::Get, None);
    bench.hand_out(&mut out);
    bench.turn();
    assert_eq!((bench.submitter.in_flight(), bench.submitter.bytes_in_flight()), (0, 0));
}

#[test]
fn answers_that_nobody_takes_hold_up_reads_and_nothing_else() {
    let mut bench = Bench::new(EngineOptions { max_bytes_in_flight: 10_000, ..options() }).connect();
    bench.server.change(|world| {
        world.size = 3_000;
        world.records.extend((0..100).map(|key| (format!("k{key}"), 1)));
    });
    let mut out = bench.engine.deliveries();
    for ticket in 0..100 {
        bench.submit(ticket, &format!("k{ticket}"), Operation::Get, HOUR);
    }
    for _ in 0..200 {
        bench.poll(&mut out);
    }
    assert_eq!(bench.server.world().batches.len(), 4, "the fourth answer is the first beyond the limit");
    assert!(bench.submitter.bytes_in_flight() <= 10_000 + 3_000 + 400);
    bench.hand_out(&mut out);
    bench.set(200, "w");
    bench.wait_for("all", |bench| bench.answers.len() == 101);
    assert_eq!(bench.submitter.bytes_in_flight(), 0);
}

#[test]
fn a_turn_ends_however_much_was_submitted() {
    let mut bench = Bench::with(Server::new(10_000), options()).connect();
    let total: u32 = 100_000;
    for ticket in 0..total {
        bench.submit(ticket, &format!("k{ticket}"), Operation::Head, None);
    }
    let mut out = bench.engine.deliveries();
    let mut turns = 0;
    let mut most = 0;
    while bench.answers.len() < total as usize {
        let before = bench.answers.len();
        let progress = bench.poll(&mut out);
        bench.hand_out(&mut out);
        most = most.max(bench.answers.len() - before);
        turns += 1;
        assert!(progress.more || bench.answers.len() == total as usize, "nothing else would go on");
    }
    assert!(turns >= 20 && most <= 10_000, "{turns} turns, {most} at most");
}

#[test]
fn a_server_that_passes_nothing_is_asked_a_little_and_in_order() {
    let mut bench = Bench::with(Server::new(512), options()).connect();
    let loading = Error::transient(ErrorCode::Unavailable, "it is loading").of_server();
    bench.server.change(|world| world.away = Some(loading));
    for ticket in 0..10_000 {
        bench.submit(ticket, &format!("k{ticket}"), set(ticket), HOUR);
    }
    let start = bench.clock.now();
    bench.wait_for("five seconds", |bench| bench.clock.now() - start > Duration::from_secs(5));
    let asked: usize = bench.server.world().batches.iter().map(|(_, keys)| keys.len()).sum();
    assert!(asked < 2_000, "{asked} sets were sent in vain");
    let tried = bench.server.world().batches.len();
    bench.server.change(|world| world.away = None);
    bench.wait_for("all", |bench| bench.answers.len() == 10_000);
    let world = bench.server.world();
    let keys: Vec<&String> = world.batches[tried..].iter().flat_map(|(_, keys)| keys).collect();
    let in_order: Vec<String> = (0..10_000).map(|key| format!("k{key}")).collect();
    assert!(keys.into_iter().eq(&in_order), "they went in the order of their submission, each once");
}

#[test]
fn what_was_never_sent_says_why_its_server_passes_nothing() {
    let mut bench = Bench::with(Server::new(512), options()).connect();
    let loading = Error::transient(ErrorCode::Unavailable, "it is loading").of_server();
    bench.server.change(|world| world.away = Some(loading.after(TIMEOUT * 10)));
    bench.submit(1, "a", set(1), HOUR);
    bench.turn();
    // In the pause.
    bench.set(2, "b");
    bench.wait_for("the timeout", |bench| bench.answers.contains_key(&2));
    let message = bench.answers[&2].as_ref().unwrap_err().message().to_owned();
    assert!(message.ends_with("; it was not sent (it is loading)"), "{message}");
}

#[test]
fn what_waits_behind_a_refused_one_says_why() {
    let mut bench = Bench::connected();
    let locked = Error::transient(ErrorCode::Backend, "the row is locked");
    bench.server.change(|world| world.refused.extend([(1, locked)]));
    bench.submit(1, "a", set(1), HOUR);
    bench.turn();
    bench.submit(2, "a", Operation::Get, None);
    bench.wait_for("the timeout", |bench| bench.answers.contains_key(&2));
    let message = bench.answers[&2].as_ref().unwrap_err().message().to_owned();
    assert!(message.ends_with("timeout (the row is locked)"), "{message}");
}

#[test]
fn one_operation_at_which_the_server_hangs_up_stops_no_other() {
    let mut bench = Bench::with(Server::new(512), options()).connect();
    bench.server.change(|world| world.poison = Some("poison"));
    let few_seconds = Some(Duration::from_secs(5));
    bench.submit(1_000, "poison", set(1), few_seconds);
    for ticket in 0..200 {
        bench.submit(ticket, &format!("k{ticket}"), set(ticket), few_seconds);
    }
    bench.wait_for("the others", |bench| bench.answers.len() == 200);
    assert!((0..200).all(|ticket| bench.code(ticket).is_none()));
    bench.wait_for("the poison", |bench| bench.answers.len() == 201);
    // Twice with all; then half of what was lost twice goes together, and so it is alone before long.
    let world = bench.server.world();
    let with_poison = world.batches.iter().filter(|(_, keys)| keys.iter().any(|key| key == "poison"));
    let sizes: Vec<usize> = with_poison.map(|(_, keys)| keys.len()).collect();
    assert_eq!(sizes[2], 100, "{sizes:?}");
    let in_company = sizes.iter().filter(|&&size| size > 1).count();
    assert!(in_company <= 8, "{sizes:?}");
    assert_eq!(sizes.last(), Some(&1), "{sizes:?}");
    drop(world);
    let message = bench.answers[&1_000].as_ref().unwrap_err().message().to_owned();
    assert!(message.contains("the connection was lost") && message.contains("times with it"), "{message}");
    assert!(bench.server.world().connects < 20, "{} connections", bench.server.world().connects);
}

#[test]
fn a_host_that_was_stopped_sees_no_outage() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.set(1, "a");
    bench.turn();
    // All is overdue; the answer is in a socket, which the look between two turns finds.
    bench.clock.advance(TIMEOUT * 100);
    let mut out = bench.engine.deliveries();
    let progress = bench.poll(&mut out);
    assert!(progress.more && out.is_empty(), "nothing is called late at first sight");
    bench.server.change(|world| world.silent = false);
    bench.poll(&mut out);
    bench.hand_out(&mut out);
    assert_eq!(bench.code(1), None);
    assert_eq!((bench.told.len(), bench.server.world().connects), (0, 1));
}

#[test]
fn a_host_that_is_stopped_while_there_is_more_to_do_sees_no_outage() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.set(1, "a");
    bench.turn();
    // Late at first sight, it asks for another look at once, and that comes much later.
    bench.submitter.ask(a_page(), 2, Some(Duration::ZERO)).unwrap();
    let mut out = bench.engine.deliveries();
    assert!(bench.poll(&mut out).more);
    bench.clock.advance(TIMEOUT * 100);
    bench.turn();
    assert_eq!((bench.code(1), bench.code(2)), (Some(ErrorCode::Timeout), Some(ErrorCode::Timeout)));
    assert_eq!((bench.told.len(), bench.server.world().connects), (0, 1), "{:?}", bench.told);
    // Silence that somebody hears is one.
    bench.wait_for("an outage", |bench| !bench.told.is_empty());
}

#[test]
fn many_deadlines_cost_no_more_than_their_number() {
    let mut bench = Bench::new(EngineOptions { max_in_flight: 1 << 20, ..options() });
    bench.server.change(|world| world.absent = true);
    bench.turn();
    for ticket in 0..200_000 {
        let timeout = Duration::from_millis(100 + u64::from(ticket) / 100);
        bench.submit(ticket, &format!("k{ticket}"), set(ticket), Some(timeout));
    }
    bench.wait_for("all", |bench| bench.answers.len() == 200_000);
    assert!((0..200_000).all(|ticket| bench.code(ticket) == Some(ErrorCode::Timeout)));
    assert_eq!(bench.submitter.in_flight(), 0);
}

/// What [`Bench::one_of_each`] sent before it failed: the made-up server takes one write at a time.
const SET_AND_COMMAND: [Applied; 6] =
    [Applied::Unknown, Applied::No, Applied::No, Applied::No, Applied::Unknown, Applied::No];

const EACH: [u32; 6] = [1, 2, 3, 4, 5, 6];

#[test]
fn what_timed_out_tells_whether_it_may_have_been_applied() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.one_of_each();
    bench.turn();
    bench.wait_for("the timeouts", |bench| bench.answers.len() == 6);
    assert_eq!(EACH.map(|ticket| bench.code(ticket)), [Some(ErrorCode::Timeout); 6]);
    assert_eq!(EACH.map(|ticket| bench.applied(ticket)), SET_AND_COMMAND);
}

#[test]
fn what_was_never_sent_was_not_applied() {
    let mut bench = Bench::new(options());
    bench.server.change(|world| world.absent = true);
    bench.one_of_each();
    bench.turn();
    bench.wait_for("the timeouts", |bench| bench.answers.len() == 6);
    assert_eq!(EACH.map(|ticket| bench.applied(ticket)), [Applied::No; 6]);
}

#[test]
fn what_the_end_interrupts_tells_whether_it_may_have_been_applied() {
    let ends: [fn(&Submitter<u32>); 2] =
        [|submitter| submitter.close(Duration::from_millis(1)), |submitter| submitter.cancel()];
    for end in ends {
        let mut bench = Bench::connected();
        bench.server.change(|world| world.silent = true);
        bench.one_of_each();
        bench.turn();
        end(&bench.submitter);
        bench.wait_for("the end", |bench| bench.answers.len() == 6);
        assert_eq!(EACH.map(|ticket| bench.code(ticket)), [Some(ErrorCode::Closed); 6]);
        assert_eq!(EACH.map(|ticket| bench.applied(ticket)), SET_AND_COMMAND);
        let refused = bench.submitter.submit("a".into(), set(7), 7, None).unwrap_err();
        assert_eq!((refused.code(), refused.applied()), (ErrorCode::Closed, Applied::No));
    }
}

#[test]
fn a_command_whose_connection_broke_may_have_been_applied() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.command(1, "something");
    bench.turn();
    bench.server.change(|world| world.lost = true);
    bench.wait_for("the error", |bench| bench.answers.contains_key(&1));
    assert_eq!((bench.code(1), bench.applied(1)), (Some(ErrorCode::Unavailable), Applied::Unknown));
}

#[test]
fn what_panicked_may_have_been_applied() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.panics = 3);
    bench.set(1, "a");
    bench.submit(2, "b", Operation::Delete, None);
    bench.submit(3, "c", Operation::Get, None);
    bench.command(4, "panic");
    bench.turn();
    let tickets = [1, 2, 3, 4];
    assert_eq!(tickets.map(|ticket| bench.code(ticket)), [Some(ErrorCode::Panic); 4]);
    let applied = [Applied::Unknown, Applied::Unknown, Applied::No, Applied::Unknown];
    assert_eq!(tickets.map(|ticket| bench.applied(ticket)), applied);
}

#[test]
fn a_refused_write_was_not_applied_unless_an_earlier_attempt_has_no_answer() {
    let mut bench = Bench::connected();
    let refusal = Error::new(ErrorCode::Backend, "no");
    bench.server.change(|world| world.refused.extend([(1, refusal.clone()), (2, refusal)]));
    bench.set(1, "a");
    bench.turn();
    bench.server.change(|world| world.losses = 1);
    bench.set(2, "a");
    bench.wait_for("the second refusal", |bench| bench.answers.contains_key(&2));
    assert_eq!((bench.code(1), bench.applied(1)), (Some(ErrorCode::Backend), Applied::No));
    assert_eq!((bench.code(2), bench.applied(2)), (Some(ErrorCode::Backend), Applied::Unknown));
}

#[test]
fn a_value_that_takes_the_place_of_a_refused_one_was_not_sent_with_it() {
    let mut bench = Bench::connected();
    let refusal = Error::new(ErrorCode::TooLarge, "it is too large");
    bench.server.change(|world| {
        world.losses = 1;
        world.refused.extend([(1, refusal.clone()), (2, refusal)]);
    });
    bench.set(1, "a");
    bench.set(2, "a");
    bench.wait_for("both refusals", |bench| bench.answers.len() == 2);
    assert_eq!((bench.applied(2), bench.applied(1)), (Applied::Unknown, Applied::No));
}

#[test]
fn what_a_refused_login_ends_tells_whether_it_was_sent_before() {
    let mut bench = Bench::connected();
    bench.server.change(|world| world.silent = true);
    bench.submit(1, "a", set(1), HOUR);
    bench.turn();
    bench.submit(2, "b", set(2), HOUR);
    bench.server.change(|world| (world.unwelcome, world.lost) = (true, true));
    bench.wait_for("the refusals", |bench| bench.answers.len() == 2);
    let refused = Some(ErrorCode::Authentication);
    assert_eq!((bench.code(1), bench.code(2)), (refused, refused));
    assert_eq!((bench.applied(1), bench.applied(2)), (Applied::Unknown, Applied::No));
}

#[test]
fn what_is_refused_at_its_submission_was_not_applied() {
    let bench = Bench::new(EngineOptions { max_in_flight: 1, ..options() });
    bench.set(1, "a");
    let busy = bench.submitter.submit("b".into(), set(2), 2, None).unwrap_err();
    assert_eq!((busy.code(), busy.applied()), (ErrorCode::Busy, Applied::No));
    let wrong = bench.submitter.submit("".into(), set(3), 3, None).unwrap_err();
    assert_eq!((wrong.code(), wrong.applied()), (ErrorCode::InvalidArgument, Applied::No));
}
