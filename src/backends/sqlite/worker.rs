//! The two threads of a connection, and the engine's way to them.

use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use crossbeam_channel::{unbounded, Sender};
use tokio::sync::oneshot;

use super::inbox::{Inbox, Message};
use super::options::Options;
use super::patience::Stop;
use super::place::{self, Staleness};
use super::reader::{self, Read};
use super::session::Session;
use super::writer::{self, Changes, Write};
use crate::core::{
    without_signals, BatchResult, Connection, Error, ErrorCode, Key, Listing, Notice, Page, Record,
};
use crate::records::paging::Cursor;

/// The engine's end. Dropping it ends both threads; a transaction that is under way is rolled
/// back, unless its commit has begun.
pub(super) struct Client {
    writer: Sender<Message<Write>>,
    reader: Sender<Message<Read>>,
    options: Arc<Options>,
    _stop: StopOnDrop,
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Opens the file and starts the threads. Tells also when the files turn out to be others.
pub(super) async fn start(options: &Arc<Options>) -> Result<(Client, Staleness), Error> {
    place::until_others_are_closed(&options.path).await;
    // Dropped with this future too, when connecting takes too long.
    let stop = StopOnDrop(Stop::default());
    let (writer, staleness) = spawn("ds-sqlite-write", options, &stop.0, writer::run).await?;
    let (reader, _) = spawn("ds-sqlite-read", options, &stop.0, reader::run).await?;
    Ok((Client { writer, reader, options: Arc::clone(options), _stop: stop }, staleness))
}

async fn spawn<W: Send + 'static>(
    name: &str,
    options: &Arc<Options>,
    stop: &Stop,
    run: fn(&Session, &mut Inbox<W>),
) -> Result<(Sender<Message<W>>, Staleness), Error> {
    let (sender, receiver) = unbounded();
    let (opened, is_open) = oneshot::channel();
    let (options, stop) = (Arc::clone(options), stop.clone());
    let work = move || {
        let session = match Session::open(&options, &stop) {
            Ok(session) => session,
            Err(error) => return drop(opened.send(Err(error))),
        };
        let mut inbox = Inbox { receiver, farewell: None };
        if opened.send(Ok(session.place.staleness())).is_ok() {
            run(&session, &mut inbox);
        }
        drop(session);
        if let Some(done) = inbox.farewell {
            // Nobody hears it when time is up for the close.
            let _ = done.send(());
        }
    };
    let builder = std::thread::Builder::new().name(name.into());
    without_signals(|| builder.spawn(work))
        .map_err(|error| Error::connection(format!("the system gives no thread for SQLite: {error}")))?;
    let staleness = is_open.await.unwrap_or_else(|_| Err(panicked()))?;
    Ok((sender, staleness))
}

impl Client {
    async fn write(&self, changes: Changes) -> BatchResult<()> {
        ask(&self.writer, |answer| Write { changes, answer }).await
    }
}

#[async_trait]
impl Connection for Client {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        ask(&self.reader, |answer| Read::Records(keys.to_vec(), answer)).await
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        ask(&self.reader, |answer| Read::Versions(keys.to_vec(), answer)).await
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        self.write(Changes::Set(entries.to_vec())).await
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        self.write(Changes::Delete(keys.to_vec())).await
    }

    async fn scan(&self, listing: &Listing) -> Result<Page, Error> {
        let cursor = listing.cursor.as_deref().map(Cursor::read).transpose()?;
        ask(&self.reader, |answer| Read::Page(cursor, listing.clone(), answer)).await
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.options.omissions.poll(cx)
    }

    async fn close(&self) {
        // The writer last: with the last connection to a file SQLite removes the -wal file.
        farewell(&self.reader).await;
        farewell(&self.writer).await;
    }
}

async fn ask<W, R>(
    thread: &Sender<Message<W>>,
    work: impl FnOnce(oneshot::Sender<Result<R, Error>>) -> W,
) -> Result<R, Error> {
    let (answer, result) = oneshot::channel();
    thread
        .send(Message::Work(work(answer)))
        .map_err(|_| Error::connection("the thread for SQLite has ended"))?;
    result.await.unwrap_or_else(|_| Err(panicked()))
}

async fn farewell<W>(thread: &Sender<Message<W>>) {
    let (done, is_done) = oneshot::channel();
    if thread.send(Message::Close(done)).is_ok() {
        // It fails when the thread ended before.
        let _ = is_done.await;
    }
}

fn panicked() -> Error {
    Error::new(
        ErrorCode::Panic,
        "a panic was caught in the thread for SQLite; this is a bug, please report it",
    )
}
