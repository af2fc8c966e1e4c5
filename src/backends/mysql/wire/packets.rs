//! Packets on a stream: three bytes of length, a number that counts them, and what is in them.
//! What is longer than 16 MiB goes in several.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::bytes::nonsense;
use crate::core::Error;
use crate::net::stream::Stream;
use crate::net::tls::{self, Tls};

/// The most in one packet; one that is as long as this is followed by another.
const MOST: usize = 0xff_ffff;

/// Room for at least this many bytes before each read from the socket.
const READ_ROOM: usize = 16 * 1024;

/// One connection's packets in both directions.
pub(super) struct Packets {
    stream: Stream,
    input: BytesMut,
    /// What the next packet's number must be, in either direction.
    number: u8,
}

impl Packets {
    pub fn new(stream: Stream) -> Packets {
        Packets { stream, input: BytesMut::new(), number: 0 }
    }

    /// Goes on with TLS. Nothing has been received that was not taken.
    pub async fn secure(self, tls: &Tls) -> Result<Packets, Error> {
        if !self.input.is_empty() {
            // Somebody between us and the server could have put it there.
            return Err(nonsense());
        }
        Ok(Packets { stream: self.stream.secure(tls).await?, ..self })
    }

    /// Whether nobody else can read what is sent.
    pub fn is_private(&self) -> bool {
        !matches!(self.stream, Stream::Tcp(_))
    }

    /// Begins a command: packets are counted from 0 again.
    pub fn begin(&mut self) {
        self.number = 0;
    }

    /// Sends one packet, or as many as it takes.
    pub async fn send(&mut self, content: &[u8]) -> Result<(), Error> {
        let mut output = Vec::with_capacity(content.len() + 4 * (content.len() / MOST + 1));
        let mut rest = content;
        loop {
            let (part, after) = rest.split_at(rest.len().min(MOST));
            output.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
            output.push(self.number);
            output.extend_from_slice(part);
            self.number = self.number.wrapping_add(1);
            rest = after;
            if part.len() < MOST {
                break;
            }
        }
        self.write(&output).await
    }

    /// Sends what are packets already.
    pub async fn write(&mut self, output: &[u8]) -> Result<(), Error> {
        self.stream.write_all(output).await.map_err(|error| broken(&error))?;
        self.stream.flush().await.map_err(|error| broken(&error))
    }

    /// Receives one packet, put together where it came in several.
    pub async fn receive(&mut self) -> Result<Bytes, Error> {
        let first = self.receive_part().await?;
        if first.len() < MOST {
            return Ok(first);
        }
        let mut whole = BytesMut::from(first);
        loop {
            let part = self.receive_part().await?;
            whole.extend_from_slice(&part);
            if part.len() < MOST {
                return Ok(whole.freeze());
            }
        }
    }

    async fn receive_part(&mut self) -> Result<Bytes, Error> {
        let header = self.gather(4).await?;
        let length = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
        if header[3] != self.number {
            return Err(nonsense());
        }
        self.number = self.number.wrapping_add(1);
        self.input.advance(4);
        self.gather(length).await?;
        Ok(self.input.split_to(length).freeze())
    }

    /// Waits until at least so many bytes are there.
    async fn gather(&mut self, count: usize) -> Result<&BytesMut, Error> {
        while self.input.len() < count {
            // Not what the header promises: it may be a lie.
            self.input.reserve(READ_ROOM);
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Err(Error::connection("the server closed the connection")),
                Ok(_) => {}
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(&self.input)
    }

    /// Whether the connection, on which nothing is under way, has ended or says something.
    pub fn poll_disturbed(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let mut space = [0; 256];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(broken(&error)),
            // A server may say why before it closes, in words of its own.
            Poll::Ready(Ok(())) => Poll::Ready(Error::connection("the server ended the connection")),
        }
    }

    /// Says that nothing more will be sent.
    pub async fn shut_down(&mut self) {
        // The connection is over either way.
        let _ = poll_fn(|cx| tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.stream), cx)).await;
    }
}

/// A failure of the socket, or of TLS on it.
fn broken(error: &io::Error) -> Error {
    tls::failure(error)
        .unwrap_or_else(|| Error::connection(format!("the connection broke: {}", error.kind())))
}
