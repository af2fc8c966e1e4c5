//! One connection that many batches share: commands go out in the order in which they are
//! asked, replies come back in the same order.
//!
//! This is the hot path, and so it is our own; commands are encoded, and all replies but the
//! plain ones decoded, by the `redis` crate.

use std::collections::VecDeque;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::decode::{Decoder, Reply};
use super::replies;
use crate::core::Error;

/// Room for at least this many bytes before each read from the socket.
const READ_ROOM: usize = 16 * 1024;

/// Where commands are handed in. Clones share the connection.
#[derive(Clone)]
pub(super) struct Wire {
    sender: mpsc::UnboundedSender<Question>,
}

struct Question {
    commands: Vec<u8>,
    expected: Expected,
}

/// Who waits for which of the replies to come.
struct Expected {
    /// Replies before the one that counts: those inside a transaction.
    skip: usize,
    /// The first error among them: it says more than the error that follows from it.
    error: Option<Error>,
    answer: oneshot::Sender<Result<Reply, Error>>,
}

impl Wire {
    /// Takes a connected stream. The future does the work; it ends when the connection does.
    pub fn new<S>(stream: S) -> (Wire, impl Future<Output = Error> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut line = Line {
            stream,
            receiver,
            output: BytesMut::new(),
            unflushed: false,
            input: BytesMut::with_capacity(4 * READ_ROOM),
            decoder: Decoder::default(),
            waiting: VecDeque::new(),
        };
        (Wire { sender }, poll_fn(move |cx| line.poll(cx)))
    }

    /// Sends encoded commands and waits for the reply after `skip` others. An error reply, of
    /// any of them, is an error.
    pub async fn ask(&self, commands: Vec<u8>, skip: usize) -> Result<Reply, Error> {
        let (answer, answered) = oneshot::channel();
        let expected = Expected { skip, error: None, answer };
        let gone = || Error::connection("the connection was closed");
        self.sender.send(Question { commands, expected }).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// The connection's own side.
struct Line<S> {
    stream: S,
    receiver: mpsc::UnboundedReceiver<Question>,
    output: BytesMut,
    unflushed: bool,
    input: BytesMut,
    decoder: Decoder,
    waiting: VecDeque<Expected>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        while let Poll::Ready(question) = self.receiver.poll_recv(cx) {
            let Some(Question { commands, expected }) = question else {
                return Poll::Ready(Error::connection("the connection is not used any more"));
            };
            self.waiting.push_back(expected);
            if self.output.is_empty() {
                self.output = bytes::Bytes::from(commands).into();
            } else {
                self.output.extend_from_slice(&commands);
            }
        }
        // Both sides move on each time, so that neither can wait for the other for ever.
        if let Err(error) = self.write(cx).and_then(|()| self.read(cx)) {
            return Poll::Ready(error);
        }
        Poll::Pending
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while !self.output.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.output) {
                Poll::Ready(Ok(0)) => return Err(Error::connection("the connection takes no more data")),
                Poll::Ready(Ok(written)) => {
                    self.output.advance(written);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(replies::io_error(&error)),
                Poll::Pending => return Ok(()),
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(replies::io_error(&error)),
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        loop {
            self.input.reserve(READ_ROOM);
            let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
            match read {
                Poll::Ready(Ok(0)) => return Err(Error::connection("the server closed the connection")),
                Poll::Ready(Ok(_)) => self.hand_out()?,
                Poll::Ready(Err(error)) => return Err(replies::io_error(&error)),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn hand_out(&mut self) -> Result<(), Error> {
        while let Some(reply) = self.decoder.next(&mut self.input)? {
            let Some(expected) = self.waiting.front_mut() else {
                return Err(Error::connection("the server answered what nobody asked"));
            };
            let result = reply.into_result();
            if expected.skip > 0 {
                expected.skip -= 1;
                expected.error = expected.error.take().or(result.err());
                continue;
            }
            if let Some(expected) = self.waiting.pop_front() {
                let result = match expected.error {
                    Some(error) => result.and(Err(error.clone())).map_err(|_| error),
                    None => result,
                };
                // Nobody listens any more where a deadline has passed.
                let _ = expected.answer.send(result);
            }
        }
        Ok(())
    }
}
