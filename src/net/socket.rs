//! A TCP socket below a connection, which never sends what was given up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Half-open connections are noticed after about half a minute of silence.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// So are those on which the other side confirms nothing: keepalive does not probe while data is
/// unconfirmed, and the system itself would go on for a quarter of an hour.
#[cfg(target_os = "linux")]
const UNCONFIRMED: Duration = Duration::from_secs(30);

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

/// There are no vectored writes: what they call cannot say that a broken connection must not
/// raise SIGPIPE, which ends a C host.
impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
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
