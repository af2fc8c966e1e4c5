//! The embedded cache: records in this process's memory, the least recently used goes first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use lru::LruCache;

use crate::config::{OptionKind, OptionSpec, Settings};
use crate::core::{Backend, BatchResult, Connection, Description, Error, ErrorCode, Key, Link, Record};

/// What a record takes besides its key and data: the list's links, the table's slot, the
/// reference counts. Measured on 64-bit systems.
const OVERHEAD_BYTES: usize = 160;

const DEFAULT_MAX_BYTES: usize = 1 << 30;

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "maxEntries",
        kind: OptionKind::Integer(1, 1 << 40),
        default: "no limit",
        meaning: "How many records are kept; the least recently used goes first.",
    },
    OptionSpec {
        name: "maxBytes",
        kind: OptionKind::Integer(1, 1 << 50),
        default: "1073741824",
        meaning:
            "How many bytes all records may take together, keys and 160 bytes each for bookkeeping included.",
    },
    OptionSpec {
        name: "ttl",
        kind: OptionKind::Integer(1, 1 << 40),
        default: "none",
        meaning: "Seconds after its last `set` at which a record is gone.",
    },
];

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    let limits = Limits {
        entries: settings.count("maxEntries").unwrap_or(usize::MAX),
        bytes: settings.count("maxBytes").unwrap_or(DEFAULT_MAX_BYTES),
        ttl: settings.count("ttl").map(|seconds| Duration::from_secs(seconds as u64)),
    };
    Ok(Arc::new(Memory { store: Arc::new(Store { limits, contents: Mutex::new(Contents::new()) }) }))
}

struct Memory {
    store: Arc<Store>,
}

struct Limits {
    entries: usize,
    bytes: usize,
    ttl: Option<Duration>,
}

struct Store {
    limits: Limits,
    contents: Mutex<Contents>,
}

struct Contents {
    entries: LruCache<Key, Entry>,
    bytes: usize,
}

struct Entry {
    record: Record,
    expires: Option<Instant>,
}

#[async_trait]
impl Backend for Memory {
    fn describe(&self) -> Description {
        Description {
            target: "the memory cache".into(),
            max_batch_records: 1024,
            max_batch_bytes: usize::MAX,
            read_batches: 1,
            write_batches: 1,
            host_driven: true,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        Ok(Link {
            connection: Arc::clone(&self.store) as Arc<dyn Connection>,
            lifeline: Box::pin(std::future::pending()),
        })
    }
}

impl Contents {
    fn new() -> Contents {
        Contents { entries: LruCache::unbounded(), bytes: 0 }
    }

    /// The record under a key, which becomes the most recently used.
    fn find(&mut self, key: &Key, now: Option<Instant>) -> Option<&Record> {
        let expired = self.entries.peek(key)?.has_expired(now);
        if expired {
            self.remove(key);
            return None;
        }
        self.entries.get(key).map(|entry| &entry.record)
    }

    fn remove(&mut self, key: &Key) {
        if let Some((key, entry)) = self.entries.pop_entry(key) {
            self.bytes -= size(&key, &entry.record);
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((key, entry)) = self.entries.pop_lru() {
            self.bytes -= size(&key, &entry.record);
        }
    }

    fn insert(&mut self, key: Key, entry: Entry, limits: &Limits) -> Result<(), Error> {
        let needed = size(&key, &entry.record);
        if needed > limits.bytes {
            return Err(Error::new(
                ErrorCode::TooLarge,
                format!("the record takes {needed} bytes and maxBytes is {}; raise maxBytes", limits.bytes),
            ));
        }
        self.remove(&key);
        while self.entries.len() >= limits.entries || self.bytes + needed > limits.bytes {
            self.remove_oldest();
        }
        self.bytes += needed;
        self.entries.push(key, entry);
        Ok(())
    }
}

impl Entry {
    fn has_expired(&self, now: Option<Instant>) -> bool {
        matches!((self.expires, now), (Some(expires), Some(now)) if expires <= now)
    }
}

fn size(key: &Key, record: &Record) -> usize {
    key.len() + record.data.len() + OVERHEAD_BYTES
}

impl Store {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        // No step leaves the contents half-changed, so a poisoned lock guards whole ones.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, where anything depends on it.
    fn now(&self) -> Option<Instant> {
        self.limits.ttl.map(|_| Instant::now())
    }
}

#[async_trait]
impl Connection for Store {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        let (mut contents, now) = (self.contents(), self.now());
        Ok(keys.iter().map(|key| Ok(contents.find(key, now).cloned())).collect())
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        let (mut contents, now) = (self.contents(), self.now());
        Ok(keys.iter().map(|key| Ok(contents.find(key, now).map(|record| record.version))).collect())
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let (mut contents, now) = (self.contents(), self.now());
        let expires = now.zip(self.limits.ttl).and_then(|(now, ttl)| now.checked_add(ttl));
        Ok(entries
            .iter()
            .map(|(key, record)| {
                // A copy, because the record may be a part of something larger that stays for its sake.
                let data = Bytes::copy_from_slice(&record.data);
                let entry = Entry { record: Record { version: record.version, data }, expires };
                contents.insert(key.clone(), entry, &self.limits)
            })
            .collect())
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let mut contents = self.contents();
        Ok(keys
            .iter()
            .map(|key| {
                contents.remove(key);
                Ok(())
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::FutureExt;

    fn store(entries: usize, bytes: usize, ttl: Option<Duration>) -> Store {
        Store { limits: Limits { entries, bytes, ttl }, contents: Mutex::new(Contents::new()) }
    }

    fn set(store: &Store, key: &str, data: &str) -> Result<(), Error> {
        let record = Record { version: 1, data: data.to_owned().into() };
        store.set_many(&[(key.into(), record)]).now_or_never().unwrap().unwrap().remove(0)
    }

    fn has(store: &Store, key: &str) -> bool {
        store.head_many(&[key.into()]).now_or_never().unwrap().unwrap().remove(0).unwrap().is_some()
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let store = store(2, usize::MAX, None);
        set(&store, "a", "1").unwrap();
        set(&store, "b", "1").unwrap();
        assert!(has(&store, "a"));
        set(&store, "c", "1").unwrap();
        assert!(has(&store, "a") && !has(&store, "b") && has(&store, "c"));
    }

    #[test]
    fn bytes_are_bounded_and_counted_back() {
        let store = store(usize::MAX, 3 * (OVERHEAD_BYTES + 11), None);
        for key in ["a", "b", "c", "d"] {
            set(&store, key, "\"12345678\"").unwrap();
        }
        assert!(!has(&store, "a") && has(&store, "b") && has(&store, "d"));
        for key in ["a", "b", "c", "d"] {
            store.delete_many(&[key.into()]).now_or_never().unwrap().unwrap();
        }
        assert_eq!(store.contents().bytes, 0);
    }

    #[test]
    fn a_record_over_the_limit_is_refused_and_the_old_one_stays() {
        let store = store(usize::MAX, OVERHEAD_BYTES + 10, None);
        set(&store, "a", "1").unwrap();
        let error = set(&store, "a", "\"far too long for it\"").unwrap_err();
        assert_eq!(error.code(), ErrorCode::TooLarge);
        assert!(has(&store, "a"));
    }

    #[test]
    fn records_expire() {
        let store = store(usize::MAX, usize::MAX, Some(Duration::from_millis(20)));
        set(&store, "a", "1").unwrap();
        assert!(has(&store, "a"));
        std::thread::sleep(Duration::from_millis(30));
        assert!(!has(&store, "a"));
        assert_eq!(store.contents().bytes, 0);
    }
}
