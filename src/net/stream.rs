//! Connected streams for every backend that talks over a socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
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
    Tls(Box<TlsStream<Silent>>),
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
            Stream::Tls(stream) => SockRef::from(&stream.get_ref().0 .0),
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
            Stream::Tcp(stream) => Ok(Stream::Tls(Box::new(tls.connect(Silent(stream)).await?))),
            other => Ok(other),
        }
    }
}

/// What TLS writes to. It writes lists of buffers, for which the standard library has no way to
/// say that a connection which was closed is no reason for `SIGPIPE`. That would end the host.
pub(crate) struct Silent(TcpStream);

/// What says so. Elsewhere the standard library says it once for each socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_SIGNAL: i32 = 0;

impl AsyncRead for Silent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, into)
    }
}

impl AsyncWrite for Silent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = &self.0;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            let send = || SockRef::from(stream).send_vectored_with_flags(data, NO_SIGNAL);
            match stream.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
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
        Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(Silent(stream)).await?))),
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::future::poll_fn;

    use nix::sys::signal::{SigSet, Signal};
    use tokio::net::TcpListener;

    use super::*;

    /// Writes lists of buffers until the peer, which has closed, says so; whether that was a
    /// signal, too. Blocked, it stays with this thread.
    fn is_signalled<S: AsyncWrite + Send + Unpin + 'static>(wrap: fn(TcpStream) -> S) -> bool {
        let write = async move {
            let mut ports = 21_000..32_768;
            let listener = loop {
                let port = ports.next().expect("one port is free");
                if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
                    break listener;
                }
            };
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            drop(listener.accept().await.unwrap());
            let mut stream = wrap(stream);
            let block = [0; 20_000];
            let list = [IoSlice::new(&block), IoSlice::new(&block)];
            loop {
                let written = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &list)).await;
                match written {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                    Err(error) => return assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
                }
            }
        };
        let thread = std::thread::spawn(move || {
            SigSet::from_iter([Signal::SIGPIPE]).thread_block().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(write);
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:")).unwrap();
            u64::from_str_radix(pending.trim(), 16).unwrap() & (1 << (Signal::SIGPIPE as i32 - 1)) != 0
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_peer_that_closes_is_no_signal() {
        assert!(is_signalled(|stream| stream), "the system has changed; `Silent` is of no use");
        assert!(!is_signalled(Silent));
    }
}
