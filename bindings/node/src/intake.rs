//! The way from JavaScript into the engine for what gathers while JavaScript runs: numbers for
//! each request in memory that both sides see, and one string with all names and documents in a
//! row. See `submissions.js`.

use std::cell::RefCell;
use std::ops::Range;
use std::str;

use bytes::Bytes;
use deepstream_connector::core::{Key, Operation, Record};

use crate::cells::submissions::{self as what, CELLS, COMES, COUNT, FIRST, MAX};
use crate::raw::{Callback, Cells, Env, Failure, Scope, Value};

/// The way in of one connector.
pub struct Intake {
    collect: Callback,
    cells: RefCell<Cells>,
}

/// A request as JavaScript has made it.
pub type Gathered = (u32, Key, Operation);

impl Intake {
    /// `collect()` has JavaScript submit what has gathered in `cells`.
    pub fn new(scope: &Scope, collect: Value<'_>, cells: Value<'_>) -> Result<Intake, Failure> {
        let mut cells = Cells::new(scope, cells)?;
        if cells.numbers().len() < FIRST + MAX * CELLS {
            return Err(Failure);
        }
        let collect = Callback::new(scope, collect)?;
        Ok(Intake { collect, cells: RefCell::new(cells) })
    }

    /// From now on until [`close`](Self::close) requests may gather.
    pub fn open(&self) {
        self.cells.borrow_mut().numbers()[COMES] = 1.0;
    }

    /// From now on requests go by themselves again. Returns whether some have gathered.
    pub fn close(&self) -> bool {
        let mut cells = self.cells.borrow_mut();
        let cells = cells.numbers();
        cells[COMES] = 0.0;
        cells[COUNT] > 0.0
    }

    /// Has JavaScript submit what has gathered.
    pub fn collect(&self, scope: &Scope) {
        // It fails only while the environment is being stopped; nobody misses the requests.
        let _ = self.collect.call(scope, &[]);
    }

    /// Takes so many requests whose texts are in a row in `text`. `None` if they cannot be told
    /// apart there, because of names with halves of surrogate pairs.
    pub fn take(&self, count: usize, text: &Bytes) -> Option<Vec<Gathered>> {
        let mut cells = self.cells.borrow_mut();
        let cells = cells.numbers()[FIRST..].chunks_exact(CELLS).take(count);
        let mut pieces = Pieces::of(text)?;
        let mut requests = Vec::with_capacity(cells.len());
        for cell in cells {
            let &[id, version, name, what] = cell else { return None };
            let key = Key::from(pieces.name(name)?);
            let operation = match what {
                what::GET => Operation::Get,
                what::HEAD => Operation::Head,
                what::DELETE => Operation::Delete,
                length => Operation::Set(Record { version: version as i64, data: pieces.document(length)? }),
            };
            requests.push((id as u32, key, operation));
        }
        Some(requests)
    }

    /// Lets go of what is JavaScript's.
    pub fn delete(self, env: Env) {
        self.collect.delete(env);
        self.cells.into_inner().delete(env);
    }
}

/// Texts in a row, to be taken by their lengths in UTF-16.
struct Pieces<'a> {
    whole: &'a Bytes,
    text: &'a str,
    is_ascii: bool,
    at: usize,
}

impl<'a> Pieces<'a> {
    fn of(whole: &'a Bytes) -> Option<Pieces<'a>> {
        let text = str::from_utf8(whole).ok()?;
        let is_ascii = text.is_ascii();
        // Every lone surrogate is read as U+FFFD, and two names must not become one.
        let replaced = !is_ascii && text.contains('\u{FFFD}');
        (!replaced).then_some(Pieces { whole, text, is_ascii, at: 0 })
    }

    fn name(&mut self, units: f64) -> Option<&'a str> {
        let range = self.next(units)?;
        self.text.get(range)
    }

    fn document(&mut self, units: f64) -> Option<Bytes> {
        let range = self.next(units)?;
        Some(self.whole.slice(range))
    }

    fn next(&mut self, units: f64) -> Option<Range<usize>> {
        let units = units as usize;
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = if self.is_ascii { units } else { bytes_of(rest, units)? };
        let start = self.at;
        self.at = start.checked_add(length).filter(|&end| end <= self.text.len())?;
        Some(start..self.at)
    }
}

/// How many bytes the first so many UTF-16 units of a text take; `None` if the last one is the
/// first half of a pair, or missing.
fn bytes_of(text: &[u8], units: usize) -> Option<usize> {
    let mut left = units;
    let mut length = 0;
    while left > 0 {
        let (bytes, units) = match text.get(length)? {
            0..=0x7F => (1, 1),
            0x80..=0xDF => (2, 1),
            0xE0..=0xEF => (3, 1),
            _ => (4, 2),
        };
        length += bytes;
        left = left.checked_sub(units)?;
    }
    Some(length)
}
