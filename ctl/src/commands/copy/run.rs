//! The copying: pages of the source, what the target has under the same keys, and writes of what differs.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use deepstream_connector::core::{Key, Record};
use deepstream_connector::Handle;

use crate::checkpoint::{Checkpoint, Stage, State};
use crate::cli::CopyArgs;
use crate::failure::Failure;
use crate::listing::Listing;
use crate::progress::Progress;
use crate::reads::{self, Found, Reading};
use crate::rejects::Rejects;
use crate::same;
use crate::writes::{Settled, Writes};

/// So many pages are compared at once.
const PAGES: usize = 3;

pub struct Copying<'a> {
    pub arguments: &'a CopyArgs,
    pub patience: Duration,
    pub from: &'a Handle,
    pub to: &'a Handle,
    pub checkpoint: &'a mut Checkpoint,
    pub rejects: &'a mut Rejects,
}

/// How far it is when all before it is settled.
#[derive(Clone)]
struct Mark {
    cursor: Option<String>,
    read: u64,
    same: u64,
    kept: u64,
}

/// A page, and what the target was asked for.
struct Page {
    records: Vec<(Key, Record)>,
    reading: Reading,
    cursor: Option<String>,
}

impl Copying<'_> {
    /// Copies from where the state says on, and leaves behind what comes next.
    pub fn run(mut self, state: &mut State) -> Result<(), Failure> {
        let mut pages = VecDeque::new();
        let mut writes = Writes::new(self.to, self.patience);
        let mut progress = Progress::begin("copying", state.read, state.total);
        let mut mark =
            Mark { cursor: state.cursor.clone(), read: state.read, same: state.same, kept: state.kept };
        let mut pace = Pace::new(self.arguments.rate);
        let most = self.arguments.rate.map_or(usize::MAX, |rate| usize::try_from(rate).unwrap_or(usize::MAX));
        let mut listing =
            Listing::with_pages(self.from, &self.arguments.prefix, state.cursor.clone(), self.patience, most);
        loop {
            let part = listing.next()?;
            let is_end = part.is_none();
            if let Some(part) = part {
                pace.wait(part.records.len());
                let keys = part.records.iter().map(|(key, _)| key.clone()).collect();
                let reading = reads::ask(self.to, keys, self.patience);
                pages.push_back(Page { records: part.records, reading, cursor: part.next });
            }
            while pages.len() > if is_end { 0 } else { PAGES } {
                let Some(page) = pages.pop_front() else { break };
                self.page(page, &mut mark, &mut writes, state)?;
                progress.at(mark.read);
            }
            if is_end {
                break;
            }
        }
        while let Some(settled) = writes.settle()? {
            self.settled(settled, state)?;
        }
        state.stage = if self.arguments.no_verify { Stage::Done } else { Stage::Verifying };
        state.cursor = None;
        self.note(state, true)
    }

    /// Compares a page and begins to write what differs.
    fn page(
        &mut self,
        page: Page,
        mark: &mut Mark,
        writes: &mut Writes<Mark>,
        state: &mut State,
    ) -> Result<(), Failure> {
        let found = page.reading.wait()?;
        let mut wanted = Vec::new();
        for ((key, record), found) in page.records.into_iter().zip(found) {
            mark.read += 1;
            match choose(&record, &found, self.arguments.newer_only) {
                Choice::Write => wanted.push((key, record)),
                Choice::Same => mark.same += 1,
                Choice::Keep => mark.kept += 1,
                Choice::Conflict => {
                    let reason = "the target has other data under the same version; copy without --newer-only to replace them";
                    self.rejects.record(&key, "CONFLICT", reason)?;
                }
            }
        }
        mark.cursor = page.cursor;
        if self.arguments.dry_run {
            state.written += wanted.len() as u64;
            (state.read, state.same, state.kept) = (mark.read, mark.same, mark.kept);
            return Ok(());
        }
        for settled in writes.add(wanted, mark.clone())? {
            self.settled(settled, state)?;
        }
        Ok(())
    }

    fn settled(&mut self, settled: Settled<Mark>, state: &mut State) -> Result<(), Failure> {
        state.written += settled.stored;
        for (key, error) in settled.rejected {
            self.rejects.record(&key, error.code().name(), error.message())?;
        }
        if let Some(mark) = settled.mark {
            (state.read, state.same, state.kept) = (mark.read, mark.same, mark.kept);
            // The last page has no cursor: what comes behind it is another stage.
            if mark.cursor.is_some() {
                state.cursor = mark.cursor;
                self.note(state, false)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, state: &State, is_needed: bool) -> Result<(), Failure> {
        match (self.arguments.dry_run, is_needed) {
            (true, _) => Ok(()),
            (false, true) => self.checkpoint.save(state),
            (false, false) => self.checkpoint.note(state),
        }
    }
}

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Write,
    Same,
    Keep,
    Conflict,
}

/// What the target cannot read is replaced, unless only what is newer is wanted.
fn choose(record: &Record, found: &Found, newer_only: bool) -> Choice {
    match found {
        Ok(Some(there)) if same::records(record, there) => Choice::Same,
        Ok(Some(there)) if newer_only && there.version > record.version => Choice::Keep,
        Ok(Some(there)) if newer_only && there.version == record.version => Choice::Conflict,
        _ => Choice::Write,
    }
}

/// Holds it back to so many records in a second.
struct Pace {
    rate: Option<u64>,
    began: Instant,
    count: u64,
}

impl Pace {
    fn new(rate: Option<u64>) -> Pace {
        Pace { rate, began: Instant::now(), count: 0 }
    }

    /// Waits until so many more may go.
    fn wait(&mut self, records: usize) {
        let Some(rate) = self.rate else { return };
        self.count += records as u64;
        let due = Duration::from_millis(self.count.saturating_mul(1000) / rate);
        thread::sleep(due.saturating_sub(self.began.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer_stays_where_that_is_wanted() {
        let record = |version, data: &str| Record { version, data: data.to_owned().into() };
        let source = record(2, "[1]");
        for (there, plain, newer_only) in [
            (None, Choice::Write, Choice::Write),
            (Some(record(2, "[1.0]")), Choice::Same, Choice::Same),
            (Some(record(2, "[2]")), Choice::Write, Choice::Conflict),
            (Some(record(1, "[1]")), Choice::Write, Choice::Write),
            (Some(record(3, "[1]")), Choice::Write, Choice::Keep),
        ] {
            let found = Ok(there);
            assert_eq!(choose(&source, &found, false), plain, "{found:?}");
            assert_eq!(choose(&source, &found, true), newer_only, "{found:?}");
        }
    }
}
