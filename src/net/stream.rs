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

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const BLOCK: usize = 64 * 1024;
    const BLOCKS: usize = 60;

    /// Takes one block after the other, with a pause before each, and then answers with a byte.
    fn slow_server(listener: TcpListener, pause: Duration) {
        SockRef::from(&listener).set_recv_buffer_size(BLOCK).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for _ in 0..BLOCKS {
                std::thread::sleep(pause);
                stream.read_exact(&mut [0; BLOCK]).unwrap();
            }
            stream.write_all(&[1]).unwrap();
        });
    }

    #[test]
    fn an_upload_to_a_slow_server_is_progress() {
        let patience = Duration::from_millis(400);
        let listener = (21_000..32_768).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap();
        let port = listener.local_addr().unwrap().port();
        slow_server(listener, patience / 16);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let traffic = Traffic::default();
            let mut stream = dial("127.0.0.1", port, None, &traffic).await.unwrap();
            let begin = Instant::now();
            let exchange = async {
                stream.write_all(&vec![0; BLOCK * BLOCKS]).await?;
                stream.read_u8().await
            };
            let answer = traffic.while_moving(patience, exchange).await;
            assert_eq!(answer.expect("it was taken for silence").unwrap(), 1);
            assert!(begin.elapsed() >= patience * 3, "it was not slow");
        });
    }
}
