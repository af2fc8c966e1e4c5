//! One connection that many batches share: commands go out in the order in which they are
//! asked, replies come back in the same order.
//!
//! This is the hot path of every backend whose protocol we speak ourselves. What a reply looks
//! like is the matter of a [`Decode`], which does no I/O.

use std::collections::VecDeque;
use std::future::{poll_fn, Future};
use std::io;
use std::pin::{pin, Pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use futures_util::future::{select, BoxFuture, Either};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::tls;
use crate::core::Error;

/// Room for at least this many bytes before each read from the socket.
const READ_ROOM: usize = 16 * 1024;

/// Takes replies off the front of what was received.
pub(crate) trait Decode: Send + Unpin + 'static {
    /// One reply.
    type Reply: Send + 'static;

    /// The next whole reply, if there is one; its bytes are gone from the buffer then.
    ///
    /// # Errors
    /// The server does not speak this protocol. The connection is of no more use.
    fn next(&mut self, input: &mut BytesMut) -> Result<Option<Self::Reply>, Error>;
}

/// The replies to one question; mostly there is just one.
pub(crate) type Replies<R> = SmallVec<[R; 1]>;

/// Where commands are handed in. Clones share the connection.
pub(crate) struct Pipeline<R> {
    sender: mpsc::UnboundedSender<Question<R>>,
}

impl<R> Clone for Pipeline<R> {
    fn clone(&self) -> Self {
        Pipeline { sender: self.sender.clone() }
    }
}

struct Question<R> {
    commands: Vec<u8>,
    expected: Expected<R>,
}

/// Who waits for which of the replies to come.
struct Expected<R> {
    missing: usize,
    replies: Replies<R>,
    answer: oneshot::Sender<Replies<R>>,
}

impl<R: Send + 'static> Pipeline<R> {
    /// Takes a connected stream. The future does the work; it ends when the connection does.
    pub fn new<S, D>(stream: S, decoder: D) -> (Pipeline<R>, impl Future<Output = Error> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        D: Decode<Reply = R>,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut line = Line {
            stream,
            receiver,
            output: BytesMut::new(),
            unflushed: false,
            input: BytesMut::with_capacity(4 * READ_ROOM),
            decoder,
            waiting: VecDeque::new(),
        };
        (Pipeline { sender }, poll_fn(move |cx| line.poll(cx)))
    }

    /// Sends encoded commands and waits for that many replies to them, at least one.
    pub async fn ask(&self, commands: Vec<u8>, replies: usize) -> Result<Replies<R>, Error> {
        let (answer, answered) = oneshot::channel();
        let expected =
            Expected { missing: replies.max(1), replies: SmallVec::with_capacity(replies), answer };
        let gone = || Error::connection("the connection was closed");
        self.sender.send(Question { commands, expected }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

/// Does something with a connection whose background work nobody else has yet.
///
/// # Errors
/// The work's own, or that the connection was lost.
pub(crate) async fn while_alive<R>(
    lifeline: &mut BoxFuture<'static, Error>,
    work: impl Future<Output = Result<R, Error>>,
) -> Result<R, Error> {
    match select(pin!(work), lifeline).await {
        Either::Left((result, _)) => result,
        Either::Right((error, _)) => Err(error),
    }
}

/// The connection's own side.
struct Line<S: AsyncWrite + Unpin, D: Decode> {
    stream: S,
    receiver: mpsc::UnboundedReceiver<Question<D::Reply>>,
    output: BytesMut,
    unflushed: bool,
    input: BytesMut,
    decoder: D,
    waiting: VecDeque<Expected<D::Reply>>,
}

impl<S: AsyncWrite + Unpin, D: Decode> Drop for Line<S, D> {
    /// Where nothing is unanswered the server is told that this is an end, not a break.
    fn drop(&mut self) {
        if self.waiting.is_empty() {
            let _ = Pin::new(&mut self.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Decode> Line<S, D> {
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
                Poll::Ready(Err(error)) => return Err(broken(&error)),
                Poll::Pending => return Ok(()),
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(broken(&error)),
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
                Poll::Ready(Err(error)) => return Err(broken(&error)),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn hand_out(&mut self) -> Result<(), Error> {
        while let Some(reply) = self.decoder.next(&mut self.input)? {
            let Some(expected) = self.waiting.front_mut() else {
                return Err(Error::connection("the server answered what nobody asked"));
            };
            expected.replies.push(reply);
            expected.missing -= 1;
            if expected.missing == 0 {
                if let Some(Expected { replies, answer, .. }) = self.waiting.pop_front() {
                    // Nobody listens any more where a deadline has passed.
                    let _ = answer.send(replies);
                }
            }
        }
        Ok(())
    }
}

/// A failure of the socket, or of TLS on it.
fn broken(error: &io::Error) -> Error {
    tls::failure(error)
        .unwrap_or_else(|| Error::connection(format!("the connection broke: {}", error.kind())))
}
