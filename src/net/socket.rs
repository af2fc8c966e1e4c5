//! A TCP socket below a connection, which never sends what was given up.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Half-open connections are noticed after about half a minute of silence.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// So are those on which the other side confirms nothing: keepalive does not probe while data is
/// unconfirmed, and the system itself would go on for a quarter of an hour.
#[cfg(target_os = "linux")]
const UNCONFIRMED: Duration = Duration::from_secs(30);

/// How many bytes the system takes from us beyond those that are on their way, so that what it
/// takes tells how the server gets on, and little of it is left to be sent silently at the end.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 * 1024;

/// A connected socket. Dropped without [`poll_shutdown`](AsyncWrite::poll_shutdown) it has the
/// system forget what is not sent yet: that would be sent later otherwise, even minutes later
/// when the network is back, and undo what was written on another connection meanwhile.
pub(crate) struct Socket {
    stream: TcpStream,
    has_said_goodbye: bool,
}

impl Socket {
    /// Takes a stream that was just connected.
    ///
    /// # Errors
    /// The system's: the connection is gone already.
    pub fn new(stream: TcpStream) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(UNCONFIRMED))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_notsent_lowat(UNSENT)?;
        Ok(Socket { stream, has_said_goodbye: false })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.has_said_goodbye {
            // It fails only where the connection is gone already.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

/// What says that a connection which was closed is no reason for `SIGPIPE`, which would end the
/// host. The standard library says so for single buffers, not for lists of them, as TLS writes.
/// Elsewhere it says so once for each socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_SIGNAL: i32 = 0;

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = &self.stream;
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
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.has_said_goodbye = true;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::future::poll_fn;
    use std::io::Read;
    use std::net::TcpListener;

    use tokio::runtime::Builder;

    /// Writes more than the system holds for a server that reads nothing, gives the connection up
    /// one way or the other, and says what the server then reads at the end.
    fn what_the_server_sees(says_goodbye: bool) -> io::Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let mut socket =
            runtime.block_on(async { Socket::new(TcpStream::connect(address).await.unwrap()).unwrap() });
        let (mut server, _) = listener.accept().unwrap();
        runtime.block_on(async {
            let lot = vec![b'x'; 1 << 20];
            // Until the system takes no more, or, where everything is to arrive, once.
            poll_fn(|cx| loop {
                match Pin::new(&mut socket).poll_write(cx, &lot) {
                    Poll::Ready(written) if written.is_ok() && !says_goodbye => {}
                    _ => return Poll::Ready(()),
                }
            })
            .await;
            if says_goodbye {
                poll_fn(|cx| Pin::new(&mut socket).poll_shutdown(cx)).await.unwrap();
            }
            drop(socket);
        });
        let mut everything = Vec::new();
        server.read_to_end(&mut everything)
    }

    #[test]
    fn what_was_not_sent_is_forgotten_with_the_connection() {
        assert_eq!(what_the_server_sees(false).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn an_orderly_goodbye_sends_everything() {
        assert!(what_the_server_sees(true).unwrap() > 0);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod signals {
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
        assert!(is_signalled(|stream| stream), "the system has changed; `Socket` need not mind");
        assert!(!is_signalled(|stream| Socket::new(stream).unwrap()));
    }
}
