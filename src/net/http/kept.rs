//! One kept-alive connection, and how it may break.

use std::error::Error as _;
use std::future::{poll_fn, Future};
use std::io;
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::Request;
use hyper_util::rt::TokioIo;

use super::answer::Answer;
use super::wire::Wire;
use crate::core::{Error, ErrorCode};
use crate::net::stream::Stream;
use crate::net::tls;

/// A connection that was idle for so long may have been closed by the server on purpose; one that
/// was just used broke for another reason.
const LONG: Duration = Duration::from_secs(1);

type Line = Pin<Box<http1::Connection<TokioIo<Wire>, Full<Bytes>>>>;

/// See the module.
pub(super) struct Kept {
    sender: http1::SendRequest<Full<Bytes>>,
    line: Line,
    /// Whether a request is without its answer.
    is_asked: Arc<AtomicBool>,
    /// When it was made, or last used.
    since: Instant,
    has_served: bool,
}

impl Kept {
    pub async fn new(stream: Stream) -> Result<Kept, Broken> {
        let is_asked = Arc::new(AtomicBool::new(false));
        let wire = Wire::new(stream, Arc::clone(&is_asked));
        let (sender, line) = http1::handshake(TokioIo::new(wire)).await?;
        Ok(Kept { sender, line: Box::pin(line), is_asked, since: Instant::now(), has_served: false })
    }

    /// Whether its end is no surprise.
    pub fn was_idle_for_long(&self) -> bool {
        self.since.elapsed() >= LONG
    }

    /// Whether it was of use, so that another one probably is too.
    pub fn has_proved_good(&self) -> bool {
        self.has_served || self.was_idle_for_long()
    }

    /// Lets an idle connection see what the server did; false where that was to close it.
    pub fn poll_alive(&mut self, cx: &mut Context<'_>) -> bool {
        self.line.as_mut().poll(cx).is_pending() && !self.sender.is_closed()
    }

    pub async fn exchange(&mut self, request: Request<Bytes>, longest: usize) -> Result<Answer, Broken> {
        let Kept { sender, line, is_asked, .. } = self;
        driven(line, poll_fn(|cx| sender.poll_ready(cx))).await?;
        is_asked.store(true, Ordering::Relaxed);
        let response = driven(line, sender.send_request(request.map(Full::new))).await?;
        let (head, body) = response.into_parts();
        let body = driven(line, Limited::new(body, longest).collect()).await?;
        is_asked.store(false, Ordering::Relaxed);
        self.has_served = true;
        self.since = Instant::now();
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    /// Whether the connection stays open after an answer.
    pub async fn can_be_kept(&mut self) -> bool {
        poll_fn(|cx| {
            let alive = self.line.as_mut().poll(cx).is_pending();
            Poll::Ready(alive && self.sender.is_ready())
        })
        .await
    }
}

/// Polls `work`, and `line` with it, until the first is done; the line is what the work waits for.
async fn driven<L, R, E>(line: &mut L, work: impl Future<Output = Result<R, E>>) -> Result<R, Broken>
where
    L: Future<Output = hyper::Result<()>> + Unpin,
    Broken: From<E>,
{
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(result) = work.as_mut().poll(cx) {
            return Poll::Ready(result.map_err(Broken::from));
        }
        let ended = match pin!(&mut *line).poll(cx) {
            Poll::Ready(ended) => ended,
            Poll::Pending => return Poll::Pending,
        };
        // The line has told the work how it ended, unless it had nothing to tell.
        match work.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(Broken::from)),
            Poll::Pending => Poll::Ready(Err(ended.err().map_or_else(Broken::closed, |error| error.into()))),
        }
    })
    .await
}

/// Why a connection is of no more use.
pub(super) enum Broken {
    /// The server, or the network, closed it.
    Closed(Error),
    /// The answer is longer than what is taken.
    TooLong,
    /// All else.
    Other(Error),
}

impl Broken {
    pub fn closed() -> Broken {
        Broken::Closed(Error::connection("the server closed the connection"))
    }

    /// `longest` is what was taken.
    pub fn into_error(self, longest: usize) -> Error {
        match self {
            Broken::Closed(error) | Broken::Other(error) => error,
            Broken::TooLong => Error::new(
                ErrorCode::Backend,
                format!("the server's answer is longer than {longest} bytes; ask for less at once"),
            ),
        }
    }
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Broken {
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(io) = inner.downcast_ref::<io::Error>() {
                return from_socket(io);
            }
            cause = inner.source();
        }
        if error.is_parse() {
            return Broken::Other(Error::connection("the server answers what is not HTTP"));
        }
        Broken::closed()
    }
}

fn from_socket(error: &io::Error) -> Broken {
    match tls::failure(error) {
        Some(failure) => Broken::Other(failure),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Broken::closed(),
        None => Broken::Closed(Error::connection(format!("the connection broke: {}", error.kind()))),
    }
}

/// What reading a body with a limit gives.
impl From<Box<dyn std::error::Error + Send + Sync>> for Broken {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Broken {
        if error.is::<LengthLimitError>() {
            return Broken::TooLong;
        }
        match error.downcast::<hyper::Error>() {
            Ok(error) => Broken::from(*error),
            Err(_) => Broken::closed(),
        }
    }
}
