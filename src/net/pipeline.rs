//! Pipelining: one connection that many batches share. Commands go out in the order in which
//! they are sent, and the replies come back in the same order.
//!
//! This is the hot path of every backend whose protocol we speak ourselves. What a reply looks
//! like is the matter of a [`Decode`], which does no I/O.

use std::collections::VecDeque;
use std::future::{poll_fn, Future};
use std::io;
use std::pin::{pin, Pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use futures_util::future::{select, BoxFuture, Either};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use super::{renewal, tls};
use crate::config::Settings;
use crate::core::Error;

/// Room for at least this many bytes before each read from the socket.
const READ_ROOM: usize = 16 * 1024;

/// Decodes replies from the front of what was received.
pub(crate) trait Decode: Send + Unpin + 'static {
    /// One reply.
    type Reply: Send + 'static;

    /// The next whole reply, if there is one; its bytes are gone from the buffer then.
    ///
    /// # Errors
    /// The server does not speak this protocol. The connection is of no more use.
    fn next(&mut self, input: &mut BytesMut) -> Result<Option<Self::Reply>, Error>;
}

/// Makes room for a reply of which so many bytes are still missing, by what the server says: for no
/// more than have come already, since that may be a lie.
pub(crate) fn make_room(input: &mut BytesMut, missing: usize) {
    input.reserve(missing.min(input.len()));
}

/// The replies to one request; mostly there is just one.
pub(crate) type Replies<R> = SmallVec<[R; 1]>;

/// How idle connections are kept open. Clones share the clock, so that one time says when the next of
/// all their connections is to be used.
#[derive(Clone)]
pub(crate) struct Pings {
    every: Duration,
    /// One command with one reply.
    command: Arc<[u8]>,
    next: Arc<Mutex<Option<Instant>>>,
}

impl Pings {
    /// Sends a command, which has one reply, on each connection without another for so long.
    pub fn new(every: Duration, command: &[u8]) -> Pings {
        Pings { every, command: command.into(), next: Arc::default() }
    }

    /// By the option `pingInterval`; none where it is 0.
    pub fn from_settings(settings: &Settings, command: &[u8]) -> Option<Pings> {
        renewal::ping_interval(settings).map(|every| Pings::new(every, command))
    }

    /// For [`Connection::wake_at`](crate::core::Connection::wake_at).
    pub fn wake_at(&self) -> Option<Instant> {
        // Whoever was to send the next one may be gone.
        self.next().map(|next| next.max(Instant::now() + Duration::from_millis(5)))
    }

    /// A connection is to be used at this time.
    fn schedule(&self, now: Instant, at: Instant) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = Some(next.filter(|next| *next > now).map_or(at, |next| next.min(at)));
    }

    fn next(&self) -> Option<Instant> {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where commands are sent. Clones share the connection.
pub(crate) struct Pipeline<R> {
    sender: mpsc::UnboundedSender<Request<R>>,
}

impl<R> Clone for Pipeline<R> {
    fn clone(&self) -> Self {
        Pipeline { sender: self.sender.clone() }
    }
}

struct Request<R> {
    commands: Vec<u8>,
    pending: Pending<R>,
}

/// A request that is sent, and the replies to it so far.
struct Pending<R> {
    missing: usize,
    replies: Replies<R>,
    receiver: oneshot::Sender<Replies<R>>,
}

impl<R: Send + 'static> Pipeline<R> {
    /// Takes a connected stream. The future does the work; it ends when the connection does.
    pub fn new<S, D>(stream: S, decoder: D) -> (Pipeline<R>, impl Future<Output = Error> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        D: Decode<Reply = R>,
    {
        Pipeline::pinging(stream, decoder, None)
    }

    /// The same for a connection that is kept open while it is idle.
    pub fn pinging<S, D>(
        stream: S,
        decoder: D,
        pings: Option<Pings>,
    ) -> (Pipeline<R>, impl Future<Output = Error> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        D: Decode<Reply = R>,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut driver = Driver {
            stream,
            receiver,
            output: BytesMut::new(),
            unflushed: false,
            input: BytesMut::with_capacity(4 * READ_ROOM),
            decoder,
            pending: VecDeque::new(),
            pings: pings.map(|pings| (pings, Instant::now())),
        };
        (Pipeline { sender }, poll_fn(move |cx| driver.poll(cx)))
    }

    /// Sends encoded commands and waits for that many replies to them, at least one.
    pub async fn send(&self, commands: Vec<u8>, replies: usize) -> Result<Replies<R>, Error> {
        let (receiver, received) = oneshot::channel();
        let pending =
            Pending { missing: replies.max(1), replies: SmallVec::with_capacity(replies), receiver };
        let closed = || Error::connection("the connection was closed");
        self.sender.send(Request { commands, pending }).map_err(|_| closed())?;
        received.await.map_err(|_| closed())
    }
}

/// Does something with a connection while its background work, which nobody else polls yet, goes
/// on.
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

/// The background work: writes commands to the socket, and hands replies to who waits for them.
struct Driver<S: AsyncWrite + Unpin, D: Decode> {
    stream: S,
    receiver: mpsc::UnboundedReceiver<Request<D::Reply>>,
    output: BytesMut,
    unflushed: bool,
    input: BytesMut,
    decoder: D,
    pending: VecDeque<Pending<D::Reply>>,
    /// How it is kept open, and when it was last used.
    pings: Option<(Pings, Instant)>,
}

impl<S: AsyncWrite + Unpin, D: Decode> Drop for Driver<S, D> {
    /// Where nothing is unanswered the server is told that this is an end, not a break.
    fn drop(&mut self) {
        if self.pending.is_empty() {
            let _ = Pin::new(&mut self.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Decode> Driver<S, D> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        while let Poll::Ready(request) = self.receiver.poll_recv(cx) {
            let Some(Request { commands, pending }) = request else {
                return Poll::Ready(Error::connection("the connection is not used any more"));
            };
            self.pending.push_back(pending);
            if self.output.is_empty() {
                self.output = bytes::Bytes::from(commands).into();
            } else {
                self.output.extend_from_slice(&commands);
            }
        }
        self.ping();
        // Both sides move on each time, so that neither can wait for the other for ever.
        if let Err(error) = self.write(cx).and_then(|()| self.read(cx)) {
            return Poll::Ready(error);
        }
        Poll::Pending
    }

    /// Uses a connection that nobody has used for some time.
    fn ping(&mut self) {
        let Some((pings, last_used)) = &mut self.pings else { return };
        let now = Instant::now();
        if !self.pending.is_empty() {
            *last_used = now;
        } else if now >= *last_used + pings.every {
            *last_used = now;
            self.output.extend_from_slice(&pings.command);
            // Nobody waits for the reply.
            let (receiver, _) = oneshot::channel();
            self.pending.push_back(Pending { missing: 1, replies: SmallVec::new(), receiver });
        }
        pings.schedule(now, *last_used + pings.every);
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
                Poll::Ready(Ok(_)) => self.dispatch_replies()?,
                Poll::Ready(Err(error)) => return Err(broken(&error)),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn dispatch_replies(&mut self) -> Result<(), Error> {
        while let Some(reply) = self.decoder.next(&mut self.input)? {
            let Some(pending) = self.pending.front_mut() else {
                return Err(Error::connection("the server answered what nobody asked"));
            };
            pending.replies.push(reply);
            pending.missing -= 1;
            if pending.missing == 0 {
                if let Some(Pending { replies, receiver, .. }) = self.pending.pop_front() {
                    // Nobody receives them any more where a deadline has passed.
                    let _ = receiver.send(replies);
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

#[cfg(test)]
mod tests {
    use super::*;

    use futures_util::future::FutureExt;
    use tokio::io::{duplex, AsyncWriteExt};
    use tokio::time::{sleep, timeout};

    /// Replies of one byte.
    struct Byte;

    impl Decode for Byte {
        type Reply = u8;

        fn next(&mut self, input: &mut BytesMut) -> Result<Option<u8>, Error> {
            Ok(if input.is_empty() { None } else { Some(input.get_u8()) })
        }
    }

    #[test]
    fn an_idle_connection_is_used_and_a_busy_one_is_not() {
        let every = Duration::from_millis(40);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = duplex(64);
            let pings = Pings::new(every, b"?");
            let (pipeline, lifeline) = Pipeline::pinging(ours, Byte, Some(pings.clone()));
            let mut lifeline = Box::pin(lifeline);
            assert!(lifeline.as_mut().now_or_never().is_none());
            let due = pings.wake_at().expect("it is to be used later");
            assert!(due > Instant::now() && due <= Instant::now() + every);
            // Somebody waits for an answer: that is use enough.
            let request = pipeline.send(b"!".to_vec(), 1);
            let mut request = std::pin::pin!(request);
            assert!(request.as_mut().now_or_never().is_none());
            sleep(every * 2).await;
            assert!(lifeline.as_mut().now_or_never().is_none());
            theirs.write_u8(7).await.unwrap();
            assert!(lifeline.as_mut().now_or_never().is_none());
            assert_eq!(request.await.unwrap()[0], 7);
            sleep(every * 2).await;
            assert!(lifeline.as_mut().now_or_never().is_none());
            theirs.write_u8(8).await.unwrap();
            assert!(lifeline.as_mut().now_or_never().is_none());
            assert!(pings.wake_at().is_some_and(|next| next > Instant::now()));
            let request = pipeline.send(b"!".to_vec(), 1);
            let mut request = std::pin::pin!(request);
            assert!(request.as_mut().now_or_never().is_none());
            assert!(lifeline.as_mut().now_or_never().is_none());
            theirs.write_u8(9).await.unwrap();
            assert!(lifeline.as_mut().now_or_never().is_none());
            assert_eq!(request.await.unwrap()[0], 9, "the answer to what we sent is nobody else's");
            let mut said = [0; 3];
            timeout(every, theirs.read_exact(&mut said)).await.unwrap().unwrap();
            assert_eq!(&said, b"!?!");
        });
    }
}
