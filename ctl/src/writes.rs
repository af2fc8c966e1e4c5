//! Writes in bounded groups: what came of each record, with outages waited out.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use deepstream_connector::core::{Error, ErrorCode, Key, Operation, Record, Reply};
use deepstream_connector::Handle;

use crate::connection::wait;
use crate::failure::{Exit, Failure};

/// So many records, or bytes, go in one group.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

/// So many groups are under way at once.
const GROUPS: usize = 6;

/// So many that are refused one after the other are no fault of theirs.
const IN_A_ROW: usize = 1000;

/// Nor are so many that go together and are refused with the same words: a disk that is full, say.
const ALIKE: usize = 100;

/// Between two tries where the library has no room.
const PAUSE: Duration = Duration::from_millis(10);

type Answer = Pin<Box<dyn Future<Output = Result<Vec<Result<Reply, Error>>, Error>> + Send>>;

/// Writes to one database. `M` is what the caller wants to know again when a group is stored.
pub struct Writes<M> {
    handle: Handle,
    patience: Duration,
    groups: VecDeque<Group<M>>,
    in_a_row: usize,
}

struct Group<M> {
    records: Vec<(Key, Record)>,
    answer: Answer,
    mark: Option<M>,
}

/// What came of a group.
pub struct Settled<M> {
    pub stored: u64,
    pub rejected: Vec<(Key, Error)>,
    /// What the caller gave with the last of the records.
    pub mark: Option<M>,
}

impl<M> Writes<M> {
    /// An outage may last as long as the patience.
    pub fn new(handle: &Handle, patience: Duration) -> Writes<M> {
        Writes { handle: handle.within(patience), patience, groups: VecDeque::new(), in_a_row: 0 }
    }

    /// Begins to store records, and gives what came of earlier ones where too many are under way. The mark comes back
    /// when these and all before them are settled.
    pub fn add(&mut self, records: Vec<(Key, Record)>, mark: M) -> Result<Vec<Settled<M>>, Failure> {
        let mut settled = Vec::new();
        let mut mark = Some(mark);
        let mut rest = VecDeque::from(records);
        loop {
            let mut group = Vec::new();
            let mut bytes = 0;
            while let Some((key, record)) = rest.pop_front() {
                bytes += key.len() + record.data.len();
                group.push((key, record));
                if group.len() == RECORDS || bytes >= BYTES {
                    break;
                }
            }
            let is_last = rest.is_empty();
            let operations =
                group.iter().map(|(key, record)| (key.clone(), Operation::Set(record.clone()))).collect();
            let answer: Answer = Box::pin(self.handle.many_async(operations));
            self.groups.push_back(Group { records: group, answer, mark: mark.take_if(|_| is_last) });
            while self.groups.len() > GROUPS {
                settled.extend(self.settle()?);
            }
            if is_last {
                return Ok(settled);
            }
        }
    }

    /// Waits for the oldest group; none where nothing is under way.
    pub fn settle(&mut self) -> Result<Option<Settled<M>>, Failure> {
        let Some(Group { records, answer, mark }) = self.groups.pop_front() else { return Ok(None) };
        let mut settled = Settled { stored: 0, rejected: Vec::new(), mark };
        match wait(answer) {
            Ok(results) => {
                if let Some(error) = common_refusal(&results) {
                    let message =
                        format!("{} records together were rejected: {}", results.len(), error.message());
                    return Err(Failure { exit: Exit::Failed, code: error.code().name(), message });
                }
                for ((key, _), result) in records.into_iter().zip(results) {
                    self.one(&mut settled, key, result.map(drop))?;
                }
            }
            // The group was not accepted: for one of its records, or since there is no room for all of it.
            Err(_) => {
                for (key, record) in records {
                    let result = self.alone(&key, &record);
                    self.one(&mut settled, key, result)?;
                }
            }
        }
        Ok(Some(settled))
    }

    fn alone(&self, key: &Key, record: &Record) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            match wait(self.handle.set_async(key, record.clone())) {
                Err(error) if error.code() == ErrorCode::Busy && began.elapsed() < self.patience => {
                    thread::sleep(PAUSE);
                }
                result => return result,
            }
        }
    }

    fn one(&mut self, settled: &mut Settled<M>, key: Key, result: Result<(), Error>) -> Result<(), Failure> {
        let Err(error) = result else {
            self.in_a_row = 0;
            settled.stored += 1;
            return Ok(());
        };
        let is_of_record = matches!(
            error.code(),
            ErrorCode::InvalidArgument
                | ErrorCode::TooLarge
                | ErrorCode::Corrupt
                | ErrorCode::Unsupported
                | ErrorCode::Backend
        );
        if !is_of_record || error.is_retryable() {
            return Err(error.into());
        }
        self.in_a_row += 1;
        if self.in_a_row >= IN_A_ROW {
            let message = format!("{IN_A_ROW} records in a row were rejected: {}", error.message());
            return Err(Failure { exit: Exit::Failed, code: error.code().name(), message });
        }
        settled.rejected.push((key, error));
        Ok(())
    }
}

/// What all of many records were refused with, in the same words.
fn common_refusal(results: &[Result<Reply, Error>]) -> Option<&Error> {
    let first = results.first().filter(|_| results.len() >= ALIKE)?.as_ref().err()?;
    let is_alike = |result: &Result<Reply, Error>| {
        result.as_ref().is_err_and(|error| error.message() == first.message())
    };
    (first.code() == ErrorCode::Backend && results.iter().all(is_alike)).then_some(first)
}
