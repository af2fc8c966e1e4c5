//! A backend that misbehaves as told, for what no real server does on demand. It also watches
//! the engine: what the engine promises its backends is checked with every batch.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use deepstream_connector::core::{
    Backend, BatchResult, Connection, Description, Error, ErrorCode, Key, Kind, Link, Listing, Notice, Page,
    Record,
};
use serde_json::Value;
use tokio::sync::watch;

/// Panics with this text are meant, and not printed.
pub const ON_PURPOSE: &str = "a panic on purpose";

/// How an attempt to connect goes.
#[derive(Clone, Debug)]
pub enum Attempt {
    Succeed,
    Fail(Error),
    Hang,
    Panic,
}

/// How a batch goes.
#[derive(Clone, Debug)]
pub enum Fate {
    /// As it should.
    Answer,
    /// It is carried out, but nothing is ever answered.
    HangAfter,
    /// Nothing is carried out or answered.
    Hang,
    /// As `Hang`, and giving it up panics.
    HangAndPanicWhenDropped,
    Panic,
    /// One error for all.
    Fail(Error),
    /// This error for one key, and the rest goes as it should.
    FailKey(&'static str, Error),
    /// One result less than there are keys.
    WrongCount,
    /// So many keys are carried out, then the connection ends without an answer.
    LoseAfter(usize),
    /// So many keys are carried out and answered; for the others the batch says itself that
    /// the connection has ended.
    BreakAfter(usize),
    /// Waits, then goes as it should.
    Pause(Duration),
}

/// One operation that the backend carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub kind: Kind,
    pub key: Key,
    /// Of a `set`.
    pub version: Option<i64>,
}

/// What it looks like to the engine.
#[derive(Clone, Debug)]
pub struct Shape {
    pub max_batch_records: usize,
    pub max_batch_bytes: usize,
    pub read_batches: usize,
    pub write_batches: usize,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { max_batch_records: 100, max_batch_bytes: 1 << 20, read_batches: 1, write_batches: 1 }
    }
}

/// Draws the fate of each batch that no one planned.
pub type Chance = Box<dyn FnMut(Kind, usize) -> Fate + Send>;

/// The server and the handle to it. Clones are the same server.
#[derive(Clone)]
pub struct Faulty {
    shared: Arc<Shared>,
}

struct Shared {
    number: u64,
    state: Mutex<State>,
    /// Something changed that a waiting future may wait for.
    changed: watch::Sender<()>,
}

struct State {
    shape: Shape,
    records: HashMap<Key, Record>,
    attempts: VecDeque<Attempt>,
    otherwise: Attempt,
    attempted: usize,
    fates: VecDeque<Fate>,
    chance: Option<Chance>,
    held: bool,
    /// The connection that stands, or the last that did.
    connection: u64,
    /// Why it does not stand any more.
    lost: Option<Error>,
    lifeline_panics_when_dropped: bool,
    under_way: HashSet<Key>,
    reading: usize,
    writing: usize,
    batches: Vec<(Kind, usize)>,
    applied: Vec<Applied>,
    violations: Vec<String>,
    said_goodbye: bool,
    /// The commands that came.
    commands: Vec<String>,
    /// How many pages were asked for.
    scans: usize,
    notices: VecDeque<Notice>,
    notice_reader: Option<Waker>,
}

static SERVERS: Mutex<Vec<(u64, Faulty)>> = Mutex::new(Vec::new());
static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Faulty {
    /// A server that behaves, and can be found by its number.
    pub fn start() -> Faulty {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let state = State {
            shape: Shape::default(),
            records: HashMap::new(),
            attempts: VecDeque::new(),
            otherwise: Attempt::Succeed,
            attempted: 0,
            fates: VecDeque::new(),
            chance: None,
            held: false,
            connection: 0,
            lost: None,
            lifeline_panics_when_dropped: false,
            under_way: HashSet::new(),
            reading: 0,
            writing: 0,
            batches: Vec::new(),
            applied: Vec::new(),
            violations: Vec::new(),
            said_goodbye: false,
            commands: Vec::new(),
            scans: 0,
            notices: VecDeque::new(),
            notice_reader: None,
        };
        let shared = Shared { number, state: Mutex::new(state), changed: watch::Sender::new(()) };
        let server = Faulty { shared: Arc::new(shared) };
        SERVERS.lock().expect("no one panics with it").push((number, server.clone()));
        server
    }

    /// The server of that number.
    pub fn find(number: u64) -> Option<Faulty> {
        let servers = SERVERS.lock().expect("no one panics with it");
        servers.iter().find(|(other, _)| *other == number).map(|(_, server)| server.clone())
    }

    /// Forgets the server; for the end of a promise.
    pub fn stop(&self) {
        SERVERS.lock().expect("no one panics with it").retain(|(number, _)| *number != self.shared.number);
    }

    pub fn number(&self) -> u64 {
        self.shared.number
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no one panics with it")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.changed.send_replace(());
    }

    pub fn set_shape(&self, shape: Shape) {
        self.change(|state| state.shape = shape);
    }

    /// How the next attempts to connect go, in turn.
    pub fn plan_attempts(&self, attempts: impl IntoIterator<Item = Attempt>) {
        self.change(|state| state.attempts.extend(attempts));
    }

    /// How all attempts go that no one planned.
    pub fn answer_attempts(&self, otherwise: Attempt) {
        self.change(|state| state.otherwise = otherwise);
    }

    /// How the next batches go, in turn.
    pub fn plan(&self, fates: impl IntoIterator<Item = Fate>) {
        self.change(|state| state.fates.extend(fates));
    }

    /// Draws the fate of every batch that no one planned.
    pub fn leave_to_chance(&self, chance: impl FnMut(Kind, usize) -> Fate + Send + 'static) {
        self.change(|state| state.chance = Some(Box::new(chance)));
    }

    /// Batches that begin now wait for `release`, and are then carried out.
    pub fn hold(&self) {
        self.change(|state| state.held = true);
    }

    pub fn release(&self) {
        self.change(|state| state.held = false);
    }

    /// Ends the connection that stands.
    pub fn lose(&self, reason: &str) {
        self.change(|state| state.lost = Some(Error::connection(reason)));
    }

    /// Has the engine itself panic when it gives the connection up.
    pub fn panic_when_dropped(&self) {
        self.change(|state| state.lifeline_panics_when_dropped = true);
    }

    /// Behaves well from now on.
    pub fn behave(&self) {
        self.change(|state| {
            state.attempts.clear();
            state.otherwise = Attempt::Succeed;
            state.fates.clear();
            state.chance = None;
            state.held = false;
        });
    }

    pub fn attempted(&self) -> usize {
        self.state().attempted
    }

    pub fn applied(&self) -> Vec<Applied> {
        self.state().applied.clone()
    }

    /// Kind and size of each batch that came.
    pub fn batches(&self) -> Vec<(Kind, usize)> {
        self.state().batches.clone()
    }

    /// The names of the commands that came.
    pub fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }

    pub fn scans(&self) -> usize {
        self.state().scans
    }

    pub fn record(&self, key: &str) -> Option<Record> {
        self.state().records.get(key).cloned()
    }

    pub fn said_goodbye(&self) -> bool {
        self.state().said_goodbye
    }

    /// What the engine did that it must never do to a backend.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// Completes when `ready` gives something.
    async fn when<R>(&self, mut ready: impl FnMut(&mut State) -> Option<R>) -> R {
        let mut changed = self.shared.changed.subscribe();
        loop {
            if let Some(value) = ready(&mut self.state()) {
                return value;
            }
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[async_trait]
impl Backend for Faulty {
    fn describe(&self) -> Description {
        let shape = self.state().shape.clone();
        Description {
            target: "the faulty server".into(),
            max_batch_records: shape.max_batch_records,
            max_batch_bytes: shape.max_batch_bytes,
            read_batches: shape.read_batches,
            write_batches: shape.write_batches,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let attempt = {
            let mut state = self.state();
            state.attempted += 1;
            state.attempts.pop_front().unwrap_or_else(|| state.otherwise.clone())
        };
        match attempt {
            Attempt::Succeed => {}
            Attempt::Fail(error) => return Err(error),
            Attempt::Hang => return std::future::pending().await,
            Attempt::Panic => panic!("{ON_PURPOSE}"),
        }
        let (connection, drops_badly) = {
            let mut state = self.state();
            state.connection += 1;
            state.lost = None;
            state.under_way.clear();
            (state.reading, state.writing) = (0, 0);
            (state.connection, state.lifeline_panics_when_dropped)
        };
        let server = self.clone();
        let loss = async move {
            server
                .when(|state| match &state.lost {
                    Some(error) if state.connection == connection => Some(error.clone()),
                    _ => None,
                })
                .await
        };
        let lifeline = Lifeline { loss: Box::pin(loss), _bomb: drops_badly.then(|| PanicWhenDropped) };
        Ok(Link {
            connection: Arc::new(FaultyConnection { server: self.clone(), number: connection }),
            lifeline: Box::pin(lifeline),
        })
    }
}

/// A future of its own, since a block would drop the bomb where its panic is caught: at its end.
struct Lifeline {
    loss: Pin<Box<dyn Future<Output = Error> + Send>>,
    _bomb: Option<PanicWhenDropped>,
}

impl Future for Lifeline {
    type Output = Error;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        self.loss.as_mut().poll(cx)
    }
}

struct FaultyConnection {
    server: Faulty,
    number: u64,
}

/// A batch that is under way; dropping it takes note that it is no more.
struct UnderWay<'a> {
    connection: &'a FaultyConnection,
    kind: Kind,
    keys: Vec<Key>,
}

impl FaultyConnection {
    fn begin(&self, kind: Kind, keys: Vec<Key>) -> (UnderWay<'_>, Fate) {
        let mut state = self.server.state();
        if state.connection != self.number || state.lost.is_some() {
            // It may not know yet that the connection has ended; it must not expect an answer.
            drop(state);
            return (UnderWay { connection: self, kind, keys: Vec::new() }, Fate::Hang);
        }
        let shape = state.shape.clone();
        let (count, limit) = match kind.is_read() {
            true => (&mut state.reading, shape.read_batches),
            false => (&mut state.writing, shape.write_batches),
        };
        *count += 1;
        let count = *count;
        if count > limit {
            state.violations.push(format!("{count} batches at once where {limit} are possible ({kind:?})"));
        }
        if keys.is_empty() || keys.len() > shape.max_batch_records {
            state.violations.push(format!("a batch of {} keys", keys.len()));
        }
        for key in &keys {
            if !state.under_way.insert(key.clone()) {
                state.violations.push(format!("the key {key:?} is twice under way"));
            }
        }
        state.batches.push((kind, keys.len()));
        let fate = state.fates.pop_front().unwrap_or_else(|| {
            let size = keys.len();
            match &mut state.chance {
                Some(chance) => chance(kind, size),
                None => Fate::Answer,
            }
        });
        drop(state);
        (UnderWay { connection: self, kind, keys }, fate)
    }

    /// Carries a batch out as its fate wants it; `one` does one key's part.
    async fn carry_out<R: Send>(
        &self,
        kind: Kind,
        keys: Vec<Key>,
        one: impl Fn(&mut State, usize) -> R + Send,
    ) -> BatchResult<R> {
        let (under_way, fate) = self.begin(kind, keys);
        let number = self.number;
        self.server.when(|state| (!state.held || state.connection != number).then_some(())).await;
        let all = under_way.keys.len();
        // A connection that was lost meanwhile carries nothing out.
        let apply = |count: usize| {
            let mut state = self.server.state();
            let stands = state.connection == number && state.lost.is_none();
            stands.then(|| (0..count.min(all)).map(|index| one(&mut state, index)).collect::<Vec<R>>())
        };
        let answered = |results: Vec<R>| results.into_iter().map(Ok).collect::<Vec<_>>();
        let results = match fate {
            Fate::Answer => apply(all).map(answered),
            Fate::Pause(pause) => {
                tokio::time::sleep(pause).await;
                apply(all).map(answered)
            }
            Fate::HangAfter => {
                apply(all);
                None
            }
            Fate::Hang => None,
            Fate::HangAndPanicWhenDropped => {
                let _bomb = PanicWhenDropped;
                return forever().await;
            }
            Fate::Panic => panic!("{ON_PURPOSE}"),
            Fate::Fail(error) => return Err(error),
            Fate::FailKey(key, error) => apply(all).map(|results| {
                let keys = under_way.keys.iter();
                keys.zip(results)
                    .map(|(other, result)| if &**other == key { Err(error.clone()) } else { Ok(result) })
                    .collect()
            }),
            Fate::WrongCount => apply(all).map(|mut results| {
                results.pop();
                answered(results)
            }),
            Fate::LoseAfter(count) => {
                apply(count);
                self.end("the server went away");
                None
            }
            Fate::BreakAfter(count) => apply(count).map(|results| {
                self.end("the server hung up");
                let mut results = answered(results);
                results.resize_with(all, || Err(Error::connection("the server hung up")));
                results
            }),
        };
        match results {
            Some(results) => Ok(results),
            None => forever().await,
        }
    }

    /// Ends this connection, if it is still the one that stands.
    fn end(&self, reason: &str) {
        self.server.change(|state| {
            if state.connection == self.number {
                state.lost = Some(Error::connection(reason));
            }
        });
    }
}

fn forever<R>() -> impl Future<Output = R> {
    std::future::pending()
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // A panic on purpose unwinds through here; the lock is not held then.
        let mut state = self.connection.server.state();
        if state.connection != self.connection.number || self.keys.is_empty() {
            return;
        }
        for key in &self.keys {
            state.under_way.remove(key);
        }
        match self.kind.is_read() {
            true => state.reading -= 1,
            false => state.writing -= 1,
        }
    }
}

#[async_trait]
impl Connection for FaultyConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        self.carry_out(Kind::Get, keys.to_vec(), |state, index| {
            state.applied.push(Applied { kind: Kind::Get, key: keys[index].clone(), version: None });
            state.records.get(&keys[index]).cloned()
        })
        .await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        self.carry_out(Kind::Head, keys.to_vec(), |state, index| {
            state.applied.push(Applied { kind: Kind::Head, key: keys[index].clone(), version: None });
            state.records.get(&keys[index]).map(|record| record.version)
        })
        .await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let keys = entries.iter().map(|(key, _)| key.clone()).collect();
        self.carry_out(Kind::Set, keys, |state, index| {
            let (key, record) = entries[index].clone();
            state.applied.push(Applied { kind: Kind::Set, key: key.clone(), version: Some(record.version) });
            state.records.insert(key, record);
        })
        .await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        self.carry_out(Kind::Delete, keys.to_vec(), |state, index| {
            state.applied.push(Applied { kind: Kind::Delete, key: keys[index].clone(), version: None });
            state.records.remove(&keys[index]);
        })
        .await
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        let (cursor, limit) = (listing.cursor.as_deref(), listing.limit);
        self.server.change(|state| state.scans += 1);
        let number = self.number;
        self.server.when(|state| (!state.held && state.connection == number).then_some(())).await;
        let state = self.server.state();
        let no_cursor = || Error::new(ErrorCode::InvalidArgument, "that is no cursor of the faulty server");
        let after = cursor.map_or(Ok(""), |cursor| cursor.strip_prefix("after ").ok_or_else(no_cursor))?;
        let mut keys: Vec<&Key> = state.records.keys().filter(|key| &***key > after).collect();
        keys.sort_unstable();
        let next = keys.get(limit).is_some().then(|| format!("after {}", keys[limit - 1]));
        let records = keys.iter().take(limit).map(|key| ((*key).clone(), state.records[*key].clone()));
        Ok(Page { records: records.collect(), next })
    }

    async fn command(&self, name: &str, arguments: &Value) -> Result<Value, Error> {
        self.server.change(|state| state.commands.push(name.to_owned()));
        match name {
            "echo" => Ok(arguments.clone()),
            "hang" => forever().await,
            "lose" => {
                self.end("the server went away");
                forever().await
            }
            "panic" => panic!("{ON_PURPOSE}"),
            "notify" => {
                let mut state = self.server.state();
                let notification =
                    Notice::Notification { channel: "news".into(), payload: arguments.to_string() };
                state.notices.push_back(notification);
                if let Some(reader) = state.notice_reader.take() {
                    reader.wake();
                }
                Ok(Value::Null)
            }
            _ => Err(Error::new(ErrorCode::Unsupported, "the faulty server has no such command")),
        }
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        let mut state = self.server.state();
        match state.notices.pop_front() {
            Some(notice) => Poll::Ready(notice),
            None => {
                state.notice_reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    async fn close(&self) {
        self.server.change(|state| state.said_goodbye = true);
    }
}

struct PanicWhenDropped;

impl Drop for PanicWhenDropped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{ON_PURPOSE}");
        }
    }
}

/// What a server says that does not like the credentials.
pub fn refusal() -> Error {
    Error::new(ErrorCode::Authentication, "the faulty server refused the credentials; check them")
}
