//! One connection to a Redis server, on which many batches are pipelined.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::decode::{Decoder, Reply};
use super::replies::unexpected;
use crate::core::Error;
use crate::net::pipeline::{Decode, Pings, Pipeline, Replies};

/// Where commands are sent. Clones share the connection.
#[derive(Clone)]
pub(super) struct MultiplexedConnection {
    pipeline: Pipeline<Reply>,
    /// Where writes go, if they go by a connection of their own.
    writes: Option<Pipeline<Reply>>,
    replication_offset: ReplicationOffset,
    pings: Option<Pings>,
}

/// The replication offset of the server, as its last reply told. Equal only to itself, that is,
/// on one connection: offsets of different servers, or of one before and after a restart, do not
/// compare.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplicationOffset(Arc<AtomicI64>);

impl ReplicationOffset {
    /// Takes an offset from a reply, and returns the highest so far.
    pub fn advance(&self, offset: i64) -> i64 {
        self.0.fetch_max(offset, Ordering::Relaxed).max(offset)
    }
}

impl PartialEq for ReplicationOffset {
    fn eq(&self, other: &ReplicationOffset) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Decode for Decoder {
    type Reply = Reply;

    fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, Error> {
        Decoder::next(self, input)
    }
}

impl MultiplexedConnection {
    /// Takes a connected stream. The future does the work; it ends when the connection does.
    /// `pings` keep it open while it is idle.
    pub fn new<S>(
        stream: S,
        pings: Option<Pings>,
    ) -> (MultiplexedConnection, impl Future<Output = Error> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (pipeline, lifeline) = Pipeline::pinging(stream, Decoder::default(), pings.clone());
        let replication_offset = ReplicationOffset::default();
        (MultiplexedConnection { pipeline, writes: None, replication_offset, pings }, lifeline)
    }

    /// When it is to be used, if it is idle until then.
    pub fn wake_at(&self) -> Option<Instant> {
        self.pings.as_ref().and_then(Pings::wake_at)
    }

    /// See [`ReplicationOffset`].
    pub fn replication_offset(&self) -> &ReplicationOffset {
        &self.replication_offset
    }

    /// Sends encoded commands and waits for the reply after `skip` others, those inside a
    /// transaction. An error reply, of any of them, is an error; the first says the most.
    pub async fn send(&self, commands: Vec<u8>, skip: usize) -> Result<Reply, Error> {
        last_reply(self.pipeline.send(commands, skip + 1).await?)
    }

    /// The same with another connection to the same server for writes, which may wait for
    /// replicas and hold up all that is behind them.
    pub fn with_writes(self, writes: &MultiplexedConnection) -> MultiplexedConnection {
        MultiplexedConnection { writes: Some(writes.pipeline.clone()), ..self }
    }

    /// Sends a pipeline that writes and waits for so many replies, as they are.
    pub async fn send_writes(&self, commands: Vec<u8>, replies: usize) -> Result<Replies<Reply>, Error> {
        self.writes.as_ref().unwrap_or(&self.pipeline).send(commands, replies).await
    }

    /// Sends a pipeline of encoded commands and waits for so many replies, as they are.
    pub async fn send_pipeline(&self, commands: Vec<u8>, replies: usize) -> Result<Replies<Reply>, Error> {
        self.pipeline.send(commands, replies).await
    }
}

/// Replies without an error among them; else the first, which says the most.
pub(super) fn good_replies(replies: Replies<Reply>) -> Result<Replies<Reply>, Error> {
    replies.into_iter().map(Reply::into_result).collect()
}

/// The last of some replies; the first error among them, if there is one.
pub(super) fn last_reply(replies: Replies<Reply>) -> Result<Reply, Error> {
    good_replies(replies)?.pop().ok_or_else(unexpected)
}
