//! Names of prepared statements that no other session has. The client library counts them up from
//! nothing in every process, and behind a pooler, where sessions change hands, a name of one would
//! be another one's statement. So each connection puts a prefix of its own before them on their way
//! out.
//!
//! Source: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use std::io;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::noise::noise;
use super::require_auth::{Allowed, Guard};
use crate::core::Error;

/// How much is taken before it is written.
const CHUNK: usize = 256 << 10;

/// A stream of PostgreSQL's protocol on which statements have other names, and a server may ask for
/// what is allowed alone.
pub(super) struct Renamed<S> {
    inner: S,
    guard: Option<Guard>,
    renaming: Renaming,
    /// What goes out before anything else.
    out: BytesMut,
}

/// Where in the conversation it is.
struct Renaming {
    prefix: String,
    /// The first message has no type.
    has_begun: bool,
    /// The beginning of a message, until it is known whether a name is in it.
    head: Vec<u8>,
    /// How much of a message is left after that.
    body: usize,
}

impl<S> Renamed<S> {
    /// With a prefix of its own.
    pub fn new(inner: S, allowed: Option<&Allowed>) -> Result<Renamed<S>, Error> {
        let prefix = format!("dsc_{:016x}_", noise()?);
        let renaming = Renaming { prefix, has_begun: false, head: Vec::new(), body: 0 };
        let guard = allowed.cloned().map(Guard::new);
        Ok(Renamed { inner, guard, renaming, out: BytesMut::new() })
    }

    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl Renaming {
    fn take(&mut self, mut data: &[u8], out: &mut BytesMut) {
        while let [first, rest @ ..] = data {
            if self.body > 0 {
                let (now, later) = data.split_at(self.body.min(data.len()));
                out.extend_from_slice(now);
                self.body -= now.len();
                data = later;
                continue;
            }
            self.head.push(*first);
            data = rest;
            self.end_head(out);
        }
    }

    /// Sends the beginning of a message on if that is all that must be known of it.
    fn end_head(&mut self, out: &mut BytesMut) {
        let at = usize::from(self.has_begun);
        let Some(length) = self.head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()) else { return };
        let length = u32::from_be_bytes(length);
        let name = if self.has_begun { name_in(&self.head) } else { Name::None };
        match name {
            Name::NotYet => return,
            Name::None => out.extend_from_slice(&self.head),
            Name::At(place) => {
                let longer = length.saturating_add(self.prefix.len() as u32);
                out.extend_from_slice(&self.head[..1]);
                out.extend_from_slice(&longer.to_be_bytes());
                out.extend_from_slice(&self.head[5..place]);
                out.extend_from_slice(self.prefix.as_bytes());
                out.extend_from_slice(&self.head[place..]);
            }
        }
        self.body = (length as usize + at).saturating_sub(self.head.len());
        self.head.clear();
        self.has_begun = true;
    }
}

/// The name of a statement in the beginning of a message.
enum Name {
    /// More must be known.
    NotYet,
    None,
    At(usize),
}

fn name_in(head: &[u8]) -> Name {
    let end_from = |from: usize| head.iter().skip(from).position(|byte| *byte == 0).map(|at| from + at);
    let start = match head[0] {
        b'P' => Some(5),
        // The name of a portal comes first.
        b'B' => end_from(5).map(|end| end + 1),
        b'D' | b'C' => match head.get(5) {
            None => None,
            Some(b'S') => Some(6),
            Some(_) => return Name::None,
        },
        _ => return Name::None,
    };
    match start.and_then(|start| Some((start, end_from(start)?))) {
        None => Name::NotYet,
        Some((start, end)) if start == end => Name::None,
        Some((start, _)) => Name::At(start),
    }
}

impl<S: AsyncWrite + Unpin> Renamed<S> {
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.out.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Renamed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, into))?;
        Poll::Ready(match &mut self.guard {
            Some(guard) => guard.take(&into.filled()[before..]),
            None => Ok(()),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Renamed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_out(cx))?;
        let taken = &data[..data.len().min(CHUNK)];
        this.renaming.take(taken, &mut this.out);
        // What does not go at once goes before what is next, or with the flush.
        if let Poll::Ready(Err(error)) = this.poll_out(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: &[u8], body: &[u8]) -> Vec<u8> {
        [kind, &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    /// What is sent, in pieces of a length.
    fn renamed(sent: &[u8], piece: usize) -> Vec<u8> {
        let mut renaming = Renaming { prefix: "own_".into(), has_begun: false, head: Vec::new(), body: 0 };
        let mut out = BytesMut::new();
        sent.chunks(piece).for_each(|piece| renaming.take(piece, &mut out));
        out.to_vec()
    }

    #[test]
    fn names_of_statements_get_the_prefix_and_nothing_else_does() {
        let same = [
            message(b"", b"\0\x03\0\0user\0P\0\0"),
            message(b"p", b"S1\0secret"),
            message(b"Q", b"SELECT 's1'\0"),
            message(b"P", b"\0SELECT $1\0\0\0"),
            message(b"B", b"p1\0\0\0\0\0\0\0\0"),
            message(b"D", b"Pp1\0"),
            message(b"C", b"S\0"),
            message(b"S", b""),
        ];
        let sent = [
            message(b"P", b"s1\0SELECT $1\0\0\0"),
            message(b"B", b"\0s1\0\0\0\0\0\0\0"),
            message(b"B", b"portal\0s12\0\0\0\0\0\0\0"),
            message(b"D", b"Ss1\0"),
            message(b"C", b"Ss1\0"),
        ];
        let expected = [
            message(b"P", b"own_s1\0SELECT $1\0\0\0"),
            message(b"B", b"\0own_s1\0\0\0\0\0\0\0"),
            message(b"B", b"portal\0own_s12\0\0\0\0\0\0\0"),
            message(b"D", b"Sown_s1\0"),
            message(b"C", b"Sown_s1\0"),
        ];
        let all = |last: &[Vec<u8>]| [same.concat(), last.concat(), same[1..].concat()].concat();
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(renamed(&all(&sent), piece), all(&expected), "pieces of {piece}");
        }
    }

    #[test]
    fn no_two_connections_have_one_prefix() {
        let prefix = || Renamed::new((), None).unwrap().renaming.prefix;
        assert_ne!(prefix(), prefix());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>, piece in 1usize..9) {
            drop(renamed(&bytes, piece));
        }
    }
}
