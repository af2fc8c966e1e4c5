//! All records of a database, page by page; the next one is under way while the last one is worked on.

use std::future::Future;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use deepstream_connector::core::{Error, Key, Page, Record};
use deepstream_connector::Handle;

use crate::connection::wait;
use crate::failure::Failure;

/// The most records on a page.
const MOST: usize = 1000;

/// How many records the first page has: nobody knows yet how large they are.
const FIRST: usize = 25;

/// What a page should hold: pages of large records are made shorter.
const BYTES: usize = 4 << 20;

/// How long one page may take; a lost answer costs no more.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two questions that failed.
const PAUSE: Duration = Duration::from_millis(200);

type Asked = Pin<Box<dyn Future<Output = Result<Page, Error>> + Send>>;

/// A listing under way.
pub struct Listing {
    handle: Handle,
    prefix: String,
    patience: Duration,
    most: usize,
    limit: usize,
    /// The page that was asked for, and the cursor it was asked with.
    next: Option<(Option<String>, Asked)>,
}

/// Some of all records.
pub struct Part {
    pub records: Vec<(Key, Record)>,
    /// Where the next part begins; none on the last one.
    pub next: Option<String>,
}

impl Listing {
    /// Begins at a cursor, with the keys that begin with `prefix`. An outage may last as long as the
    /// patience.
    pub fn begin(handle: &Handle, prefix: &str, cursor: Option<String>, patience: Duration) -> Listing {
        Listing::with_pages(handle, prefix, cursor, patience, MOST)
    }

    /// The same with at most so many records on a page.
    pub fn with_pages(
        handle: &Handle,
        prefix: &str,
        cursor: Option<String>,
        patience: Duration,
        most: usize,
    ) -> Listing {
        let most = most.clamp(1, MOST);
        let handle = handle.within(PAGE_TIMEOUT.min(patience));
        let prefix = prefix.to_owned();
        let mut listing = Listing { handle, prefix, patience, most, limit: most.min(FIRST), next: None };
        listing.ask(cursor);
        listing
    }

    fn ask(&mut self, cursor: Option<String>) {
        let page = self.page(cursor.as_deref());
        self.next = Some((cursor, page));
    }

    fn page(&self, cursor: Option<&str>) -> Asked {
        Box::pin(self.handle.scan_prefix_async(&self.prefix, cursor, self.limit))
    }

    /// The next part; none behind the last one.
    pub fn next(&mut self) -> Result<Option<Part>, Failure> {
        let Some((cursor, page)) = self.next.take() else { return Ok(None) };
        let page = self.patiently(cursor, page)?;
        let bytes: usize = page.records.iter().map(|(key, record)| key.len() + record.data.len()).sum();
        if !page.records.is_empty() {
            let each = 1 + bytes / page.records.len();
            self.limit = (BYTES / each).clamp(1, self.most).min(self.limit.saturating_mul(4));
        }
        if let Some(next) = &page.next {
            self.ask(Some(next.clone()));
        }
        Ok(Some(Part { records: page.records, next: page.next }))
    }

    fn patiently(&self, cursor: Option<String>, page: Asked) -> Result<Page, Failure> {
        let began = Instant::now();
        let mut page = page;
        loop {
            match wait(page) {
                Ok(page) => return Ok(page),
                Err(error) if !error.is_retryable() || began.elapsed() >= self.patience => {
                    return Err(error.into())
                }
                Err(_) => {
                    thread::sleep(PAUSE);
                    page = self.page(cursor.as_deref());
                }
            }
        }
    }
}
