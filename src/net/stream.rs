//! Connected streams for every backend that talks over a socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;

use super::dial;
use super::socket::Socket;
use super::tls::Tls;
use super::traffic::{Counted, Traffic};
use crate::core::Error;

/// A connected stream.
pub(crate) enum Stream {
    /// Unprotected.
    Tcp(Counted<Socket>),
    /// Protected by TLS.
    Tls(Box<TlsStream<Counted<Socket>>>),
    /// Within this machine.
    #[cfg(unix)]
    Unix(Counted<UnixStream>),
}

impl Stream {
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

/// Connects over TCP, and shakes hands where TLS is asked for. `traffic` counts what moves, below
/// TLS.
pub(crate) async fn dial(
    host: &str,
    port: u16,
    tls: Option<&Tls>,
    traffic: &Traffic,
) -> Result<Stream, Error> {
    let socket =
        dial::connect(host, port).await.and_then(Socket::new).map_err(|error| unreachable(&error))?;
    let socket = Counted::new(socket, traffic);
    match tls {
        Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(socket).await?))),
        None => Ok(Stream::Tcp(socket)),
    }
}

/// Connects to a Unix socket. `traffic` counts what moves.
#[cfg(unix)]
pub(crate) async fn dial_unix(path: &str, traffic: &Traffic) -> Result<Stream, Error> {
    let socket = UnixStream::connect(path).await.map_err(|error| unreachable(&error))?;
    Ok(Stream::Unix(Counted::new(socket, traffic)))
}

/// There is no such thing here.
#[cfg(not(unix))]
pub(crate) async fn dial_unix(_: &str, _: &Traffic) -> Result<Stream, Error> {
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
