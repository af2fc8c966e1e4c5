//! The way from the engine into JavaScript: one flat batch, one call.
//!
//! A batch is three numbers for each delivery in memory that both sides see, one string with all
//! small ASCII documents in a row, and a function that makes whatever fits in neither, one after the
//! other: of many large answers one alone is a string at a time. A string of its own for each
//! document would take longer than everything else here together.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::Bytes;
use deepstream_connector::core::document::Writer;
use deepstream_connector::core::{
    check_document, Applied, Delivery, Error, ErrorCode, Key, Outcome, Page, Record, Reply,
};

use crate::cells::deliveries::{self as what, CELLS, MAX, PART};
use crate::cells::failures;
use crate::parts::{Parts, Piece};
use crate::raw::{Callback, Cells, Env, Failure, Scope, Value};

/// A string beyond this size is slower to make than two.
const MAX_TEXT: usize = 64 * 1024;

/// A document beyond this size is not copied into the common string.
const MAX_SHARED_DOCUMENT: usize = 16 * 1024;

/// A batch ends with what lies beside the common string, once that has so many bytes.
const MAX_BESIDE: usize = 256 * 1024;

/// A list of a page's records ends once it has so many bytes.
const MAX_LIST: usize = 1 << 20;

/// The greatest whole number up to which JavaScript's numbers have no gaps.
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// What fits neither into a number nor into the common string.
enum Extra {
    Document(Bytes),
    Sentence(String),
    /// Records of a page, one of several lists.
    Records(Vec<(Key, Record)>),
}

impl Extra {
    /// About what it takes.
    fn bytes(&self) -> usize {
        match self {
            Extra::Document(data) => data.len(),
            Extra::Sentence(line) => line.len(),
            Extra::Records(records) => {
                records.iter().map(|(key, record)| key.len() + record.data.len()).sum()
            }
        }
    }

    fn value<'s>(self, scope: &'s Scope) -> Result<Value<'s>, Failure> {
        match self {
            Extra::Document(data) => scope.text(&data),
            Extra::Sentence(line) => scope.text(line.as_bytes()),
            Extra::Records(records) => scope.text(&listed(&records)),
        }
    }
}

/// The extras of a batch, and what they take.
#[derive(Default)]
struct Extras {
    list: VecDeque<Extra>,
    bytes: usize,
}

impl Extras {
    fn push(&mut self, extra: Extra) {
        self.bytes += extra.bytes();
        self.list.push_back(extra);
    }

    fn clear(&mut self) {
        self.list.clear();
        self.bytes = 0;
    }
}

/// The way out of one connector.
pub struct Outlet {
    drain: Callback,
    cells: Cells,
    text: Vec<u8>,
    extras: RefCell<Extras>,
    parts: Parts,
}

/// A batch that was written and is to be handed over.
pub struct Batch {
    /// How many deliveries.
    pub deliveries: usize,
    /// How many of them answer an operation.
    pub completions: usize,
    /// The last one says that the connector has ended.
    pub closed: bool,
}

impl Outlet {
    /// `drain(count, text, next)` runs the callbacks of a batch that is in `cells`; it gets what is
    /// beside them from [`next_extra`](Self::next_extra), in order.
    pub fn new(scope: &Scope, drain: Value<'_>, cells: Value<'_>) -> Result<Outlet, Failure> {
        let mut cells = Cells::new(scope, cells)?;
        if cells.numbers().len() < MAX * CELLS {
            return Err(Failure);
        }
        let drain = Callback::new(scope, drain)?;
        Ok(Outlet { drain, cells, text: Vec::new(), extras: RefCell::default(), parts: Parts::default() })
    }

    /// Writes the next batch of at most `limit` deliveries.
    pub fn write(&mut self, from: &mut impl Iterator<Item = Delivery<u32>>, limit: usize) -> Batch {
        let mut batch = Batch { deliveries: 0, completions: 0, closed: false };
        let Outlet { cells, text, extras, parts, .. } = self;
        let extras = extras.get_mut();
        text.clear();
        extras.clear();
        for cell in cells.numbers().chunks_exact_mut(CELLS).take(limit.min(MAX)) {
            if text.len() > MAX_TEXT || extras.bytes > MAX_BESIDE {
                break;
            }
            let Some(piece) = parts.next(from) else { break };
            batch.deliveries += 1;
            let mut id = 0.0;
            let (what, value) = match piece {
                Piece::Part(result) => {
                    id = PART;
                    one(result, text, extras)
                }
                Piece::Whole(Delivery::Completion(ticket, outcome)) => {
                    id = f64::from(ticket);
                    batch.completions += 1;
                    match outcome {
                        Outcome::One(result) => one(result, text, extras),
                        Outcome::Many(_) => (what::MANY, 0.0),
                    }
                }
                Piece::Whole(Delivery::Ready) => (what::READY, 0.0),
                Piece::Whole(Delivery::Failure { error, fatal }) => {
                    let (_, value) = failed(&error, extras);
                    (if fatal { what::FATAL } else { what::PROBLEM }, value)
                }
                Piece::Whole(Delivery::Notification(channel, payload)) => {
                    let mut list = Writer::default();
                    list.array_start();
                    list.text(&channel);
                    list.text(&payload);
                    list.array_end();
                    extras.push(Extra::Document(list.finish().into()));
                    (what::NOTIFICATION, 0.0)
                }
                Piece::Whole(Delivery::Log(level, line)) => {
                    extras.push(Extra::Sentence(line));
                    (what::LOG, f64::from(level as i32))
                }
                Piece::Whole(Delivery::Closed) => {
                    batch.closed = true;
                    (what::CLOSED, 0.0)
                }
            };
            cell[0] = id;
            cell[1] = what;
            cell[2] = value;
        }
        batch
    }

    /// Calls JavaScript with the batch that was written.
    pub fn hand_over(&self, scope: &Scope, batch: &Batch) -> Result<(), Failure> {
        let count = scope.number(batch.deliveries as f64)?;
        let text = scope.ascii(&self.text)?;
        self.drain.call(scope, &[count, text])
    }

    /// The next of what is neither a number nor in the common string.
    ///
    /// # Errors
    /// It is longer than a string can be; it counts as taken.
    pub fn next_extra<'s>(&self, scope: &'s Scope) -> Result<Value<'s>, Failure> {
        let extra = self.extras.borrow_mut().list.pop_front();
        extra.ok_or(Failure)?.value(scope)
    }

    /// Whether there is more to write of an answer that has begun.
    pub fn has_rest(&self) -> bool {
        self.parts.is_open()
    }

    /// Lets go of what is JavaScript's.
    pub fn delete(self, env: Env) {
        self.drain.delete(env);
        self.cells.delete(env);
    }
}

fn one(result: Result<Reply, Error>, text: &mut Vec<u8>, extras: &mut Extras) -> (f64, f64) {
    match result {
        Ok(Reply::Done) => (what::DONE, 0.0),
        Ok(Reply::Record(None)) => (what::MISS, 0.0),
        Ok(Reply::Record(Some(record))) => match number(record.version) {
            Ok(version) if record.data.len() <= MAX_SHARED_DOCUMENT && record.data.is_ascii() => {
                text.extend_from_slice(&record.data);
                (record.data.len() as f64, version)
            }
            Ok(version) => {
                extras.push(Extra::Document(record.data));
                (what::RECORD, version)
            }
            Err(error) => failed(&error, extras),
        },
        Ok(Reply::Version(None)) => (what::VERSION, f64::NAN),
        Ok(Reply::Version(Some(version))) => match number(version) {
            Ok(version) => (what::VERSION, version),
            Err(error) => failed(&error, extras),
        },
        Ok(Reply::Page(page)) => paged(*page, extras),
        Ok(Reply::Answer(value)) => answer(value.to_string().into_bytes(), extras),
        Err(error) => failed(&error, extras),
    }
}

fn answer(document: Vec<u8>, extras: &mut Extras) -> (f64, f64) {
    extras.push(Extra::Document(document.into()));
    (what::ANSWER, 0.0)
}

/// A page as JavaScript has it: lists of `{"name":…,"version":…,"data":…}`, and at last
/// `{"cursor":…,"failed":[[name, failure, message]…]}`, the failure as a number.
fn paged(page: Page, extras: &mut Extras) -> (f64, f64) {
    let mut rest = Writer::default();
    rest.object_start();
    rest.name("cursor");
    match &page.next {
        Some(next) => rest.text(next),
        None => rest.raw("null"),
    }
    rest.name("failed");
    rest.array_start();
    let (mut list, mut bytes, mut texts) = (Vec::new(), 0, 1);
    for (key, record) in page.records {
        if let Err(error) = readable(&record) {
            rest.array_start();
            rest.text(&key);
            rest.raw(&number_of(&error).to_string());
            rest.text(error.message());
            rest.array_end();
            continue;
        }
        bytes += key.len() + record.data.len();
        list.push((key, record));
        if bytes > MAX_LIST {
            extras.push(Extra::Records(std::mem::take(&mut list)));
            (bytes, texts) = (0, texts + 1);
        }
    }
    rest.array_end();
    rest.object_end();
    extras.push(Extra::Records(list));
    extras.push(Extra::Document(rest.finish().into()));
    (what::PAGE, f64::from(texts + 1))
}

/// Whether JavaScript can have a record.
fn readable(record: &Record) -> Result<(), Error> {
    number(record.version)?;
    check_document(&record.data)
        .map_err(|_| Error::new(ErrorCode::Corrupt, "what is stored under this name is not JSON"))
}

fn listed(records: &[(Key, Record)]) -> Vec<u8> {
    let mut list = Writer::default();
    list.array_start();
    for (name, record) in records {
        list.object_start();
        list.name("name");
        list.text(name);
        list.name("version");
        list.raw(&record.version.to_string());
        list.name("data");
        list.raw(&String::from_utf8_lossy(&record.data));
        list.object_end();
    }
    list.array_end();
    list.finish()
}

fn failed(error: &Error, extras: &mut Extras) -> (f64, f64) {
    extras.push(Extra::Sentence(error.message().to_owned()));
    (what::FAILED, f64::from(number_of(error)))
}

/// See `failures`.
fn number_of(error: &Error) -> i32 {
    let mut value = error.code() as i32 * failures::CODE;
    if error.is_retryable() {
        value += failures::RETRYABLE;
    }
    if error.applied() == Applied::Unknown {
        value += failures::APPLIED_UNKNOWN;
    }
    value
}

/// A version as a number of JavaScript's.
fn number(version: i64) -> Result<f64, Error> {
    if version.unsigned_abs() <= MAX_SAFE_INTEGER as u64 {
        return Ok(version as f64);
    }
    Err(Error::new(
        ErrorCode::Unsupported,
        format!(
            "the record's version is {version}; JavaScript's numbers are exact up to {MAX_SAFE_INTEGER} only"
        ),
    ))
}
