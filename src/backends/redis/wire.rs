//! Commands to one Redis server, and its replies as results.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::decode::{Decoder, Reply};
use super::replies::unexpected;
use crate::core::Error;
use crate::net::pipeline::{Decode, Pipeline, Replies};

/// Where commands are handed in. Clones share the connection.
#[derive(Clone)]
pub(super) struct Wire {
    pipeline: Pipeline<Reply>,
    position: Position,
}

/// How far the data of the server at the other end had come by its last word, as an offset in
/// the stream of its replication; equal only to itself, that is, on one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Position(Arc<AtomicI64>);

impl Position {
    /// Notes what the server says, and returns the furthest that it said.
    pub fn advance(&self, offset: i64) -> i64 {
        self.0.fetch_max(offset, Ordering::Relaxed).max(offset)
    }
}

impl PartialEq for Position {
    fn eq(&self, other: &Position) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Decode for Decoder {
    type Reply = Reply;

    fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, Error> {
        Decoder::next(self, input)
    }
}

impl Wire {
    /// Takes a connected stream. The future does the work; it ends when the connection does.
    pub fn new<S>(stream: S) -> (Wire, impl Future<Output = Error> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (pipeline, lifeline) = Pipeline::new(stream, Decoder::default());
        (Wire { pipeline, position: Position::default() }, lifeline)
    }

    /// See [`Position`].
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Sends encoded commands and waits for the reply after `skip` others, those inside a
    /// transaction. An error reply, of any of them, is an error; the first says the most.
    pub async fn ask(&self, commands: Vec<u8>, skip: usize) -> Result<Reply, Error> {
        all_well(self.pipeline.ask(commands, skip + 1).await?)
    }

    /// Sends encoded commands and waits for so many replies, as they are.
    pub async fn ask_each(&self, commands: Vec<u8>, replies: usize) -> Result<Replies<Reply>, Error> {
        self.pipeline.ask(commands, replies).await
    }
}

/// The last of some replies; the first error among them, if there is one.
pub(super) fn all_well(replies: Replies<Reply>) -> Result<Reply, Error> {
    replies.into_iter().map(Reply::into_result).reduce(Result::and).unwrap_or_else(|| Err(unexpected()))
}
