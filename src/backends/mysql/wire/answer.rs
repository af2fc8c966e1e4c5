//! The answers that every command may get: done, or refused.

use bytes::Bytes;

use super::bytes::{nonsense, Reader};
use crate::core::Error;

/// The first byte of an answer.
pub(super) const OK: u8 = 0x00;
pub(super) const EOF: u8 = 0xfe;
pub(super) const REFUSED: u8 = 0xff;

/// The server's refusal: a number that says what it is, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backends::mysql) struct Refusal {
    /// As in the servers' lists of errors.
    pub code: u16,
    /// The server's own words. They may hold record data: for us to look at, not to hand on.
    pub words: String,
}

/// A statement that came to nothing.
#[derive(Debug)]
pub(in crate::backends::mysql) enum Failure {
    /// The server refused it; the connection stands.
    Refused(Refusal),
    /// The connection is of no more use, or never was.
    Lost(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Lost(error)
    }
}

/// Reads a refusal, if the packet is one.
pub(super) fn refusal(packet: &Bytes) -> Option<Refusal> {
    let mut reader = Reader::new(packet.clone());
    if reader.byte().ok()? != REFUSED {
        return None;
    }
    let code = reader.u16().ok()?;
    if reader.peek() == Some(b'#') {
        reader.take(6).ok()?;
    }
    Some(Refusal { code, words: String::from_utf8_lossy(&reader.rest()).into_owned() })
}

/// Whether a packet ends a list.
pub(super) fn is_end(packet: &Bytes) -> bool {
    packet.first() == Some(&EOF) && packet.len() < 9
}

/// Sees that a packet ends a list.
pub(super) fn expect_end(packet: &Bytes) -> Result<(), Error> {
    match is_end(packet) {
        true => Ok(()),
        false => Err(nonsense()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_a_number_and_words() {
        let read = |bytes: &'static [u8]| refusal(&Bytes::from_static(bytes));
        let wanted = |code, words: &str| Some(Refusal { code, words: words.into() });
        assert_eq!(read(b"\xff\x15\x04#28000Access denied"), wanted(1045, "Access denied"));
        // Before the login there is no SQL state.
        assert_eq!(read(b"\xff\x10\x04Too many connections"), wanted(1040, "Too many connections"));
        assert_eq!(read(b"\x00\x00\x00"), None);
        assert_eq!(read(b"\xff"), None);
    }
}
