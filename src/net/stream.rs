//! Connected streams for every backend that talks over a socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;

use super::tls::Tls;
use crate::core::Error;

/// Half-open connections are noticed after about half a minute of silence.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// A connected stream.
pub(crate) enum Stream {
    /// Unprotected.
    Tcp(TcpStream),
    /// Protected by TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// Within this machine.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Has the system forget what it has not sent yet when this is dropped. It would send it later
    /// otherwise, even minutes later when the network is back, and the server would do what nobody
    /// wants any more.
    #[cfg(feature = "http")]
    pub fn forget_unsent(&self) {
        let socket = match self {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Tls(stream) => SockRef::from(stream.get_ref().0),
            #[cfg(unix)]
            Stream::Unix(_) => return,
        };
        // It fails only where the connection is gone already.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }

    /// Shakes hands for TLS in the middle of a conversation, as some protocols have it. What
    /// does not leave this machine stays as it is.
    #[cfg(feature = "mysql")]
    pub async fn secure(self, tls: &Tls) -> Result<Stream, Error> {
        match self {
            Stream::Tcp(stream) => Ok(Stream::Tls(Box::new(tls.connect(stream).await?))),
            other => Ok(other),
        }
    }
}

/// Connects over TCP, and shakes hands where TLS is asked for.
pub(crate) async fn dial(host: &str, port: u16, tls: Option<&Tls>) -> Result<Stream, Error> {
    let stream = TcpStream::connect((host, port)).await.map_err(|error| unreachable(&error))?;
    stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(|error| unreachable(&error))?;
    match tls {
        Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(stream).await?))),
        None => Ok(Stream::Tcp(stream)),
    }
}

/// Connects to a Unix socket.
#[cfg(unix)]
pub(crate) async fn dial_unix(path: &str) -> Result<Stream, Error> {
    UnixStream::connect(path).await.map(Stream::Unix).map_err(|error| unreachable(&error))
}

/// There is no such thing here.
#[cfg(not(unix))]
pub(crate) async fn dial_unix(_: &str) -> Result<Stream, Error> {
    Err(crate::config::wrong("this system has no Unix sockets; give \"host\" and \"port\""))
}

/// Host and port as a person writes them.
pub(crate) fn in_words(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn unreachable(error: &io::Error) -> Error {
    Error::connection(format!("cannot connect: {error}"))
}

/// Hands a call on to whichever stream it is.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Tcp($inner) => $call,
            Stream::Tls($inner) => $call,
            #[cfg(unix)]
            Stream::Unix($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_read(cx, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write(cx, data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
