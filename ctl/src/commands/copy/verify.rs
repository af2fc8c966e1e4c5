//! The look afterwards: everything is read once more on both sides.

use std::collections::VecDeque;
use std::time::Duration;

use deepstream_connector::core::{Key, Record};
use deepstream_connector::Handle;

use crate::checkpoint::{Checkpoint, State};
use crate::cli::CopyArgs;
use crate::failure::Failure;
use crate::listing::Listing;
use crate::progress::Progress;
use crate::reads::{self, Found, Reading};
use crate::rejects::Rejects;
use crate::same;

const PAGES: usize = 3;

pub struct Verifying<'a> {
    pub arguments: &'a CopyArgs,
    pub patience: Duration,
    pub from: &'a Handle,
    pub to: &'a Handle,
    pub checkpoint: &'a mut Checkpoint,
    pub rejects: &'a mut Rejects,
}

struct Page {
    records: Vec<(Key, Record)>,
    reading: Reading,
    cursor: Option<String>,
}

impl Verifying<'_> {
    /// How many records differ, besides those that were rejected.
    pub fn run(self, state: &mut State) -> Result<u64, Failure> {
        let mut pages: VecDeque<Page> = VecDeque::new();
        let mut progress = Progress::begin("verifying", state.verified, Some(state.read));
        let mut listing =
            Listing::begin(self.from, &self.arguments.prefix, state.cursor.clone(), self.patience);
        let mut different = 0;
        loop {
            let part = listing.next()?;
            let is_end = part.is_none();
            if let Some(part) = part {
                let keys = part.records.iter().map(|(key, _)| key.clone()).collect();
                let reading = reads::ask(self.to, keys, self.patience);
                pages.push_back(Page { records: part.records, reading, cursor: part.next });
            }
            while pages.len() > if is_end { 0 } else { PAGES } {
                let Some(page) = pages.pop_front() else { break };
                for ((key, record), found) in page.records.into_iter().zip(page.reading.wait()?) {
                    state.verified += 1;
                    if !self.is_there(&record, &found) && !self.rejects.has(&key) {
                        different += u64::from(!self.is_there_now(&key)?);
                    }
                }
                progress.at(state.verified);
                // What differs is told at the end: where something does, a run that goes on looks at everything again.
                if different == 0 && page.cursor.is_some() {
                    state.cursor = page.cursor;
                    self.checkpoint.note(state)?;
                }
            }
            if is_end {
                return Ok(different);
            }
        }
    }

    fn is_there(&self, record: &Record, found: &Found) -> bool {
        match found {
            Ok(Some(there)) if self.arguments.newer_only && there.version > record.version => true,
            Ok(Some(there)) => same::records(record, there),
            _ => false,
        }
    }

    /// A second look: others may write meanwhile.
    fn is_there_now(&self, key: &Key) -> Result<bool, Failure> {
        let source = reads::alone(self.from, key, self.patience)?;
        let target = reads::alone(self.to, key, self.patience)?;
        Ok(match source {
            Ok(Some(record)) => self.is_there(&record, &target),
            // It was removed since.
            Ok(None) => true,
            Err(_) => false,
        })
    }
}
