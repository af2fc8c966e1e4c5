//! The protocol's numbers and strings, taken from the front of a packet. What is not there is
//! an error and never a panic: the server may be anybody.

use bytes::{Buf, Bytes};

use crate::core::Error;

/// Takes a packet apart.
pub(super) struct Reader(Bytes);

impl Reader {
    pub fn new(packet: Bytes) -> Reader {
        Reader(packet)
    }

    /// The next byte, which stays.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub fn byte(&mut self) -> Result<u8, Error> {
        self.0.try_get_u8().map_err(|_| nonsense())
    }

    pub fn u16(&mut self) -> Result<u16, Error> {
        self.0.try_get_u16_le().map_err(|_| nonsense())
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        self.0.try_get_u32_le().map_err(|_| nonsense())
    }

    pub fn u64(&mut self) -> Result<u64, Error> {
        self.0.try_get_u64_le().map_err(|_| nonsense())
    }

    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Result<Bytes, Error> {
        match count <= self.0.len() {
            true => Ok(self.0.split_to(count)),
            false => Err(nonsense()),
        }
    }

    /// What is left.
    pub fn rest(self) -> Bytes {
        self.0
    }

    /// Bytes up to a NUL, or all that are left.
    pub fn until_nul(&mut self) -> Bytes {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.0.split_to(end.unwrap_or(self.0.len()));
        if end.is_some() {
            self.0.advance(1);
        }
        text
    }

    /// A number of one to nine bytes.
    pub fn length(&mut self) -> Result<u64, Error> {
        match self.byte()? {
            0xfc => self.u16().map(u64::from),
            0xfd => Ok(u64::from(self.u16()?) | u64::from(self.byte()?) << 16),
            0xfe => self.u64(),
            // NULL, or the beginning of an error, is no number.
            0xfb | 0xff => Err(nonsense()),
            small => Ok(u64::from(small)),
        }
    }

    /// Bytes after their number.
    pub fn text(&mut self) -> Result<Bytes, Error> {
        let length = self.length()?;
        self.take(usize::try_from(length).map_err(|_| nonsense())?)
    }
}

/// Appends a number of one to nine bytes.
pub(super) fn put_length(packet: &mut Vec<u8>, length: usize) {
    match length {
        0..=0xfa => packet.push(length as u8),
        0xfb..=0xffff => {
            packet.push(0xfc);
            packet.extend_from_slice(&(length as u16).to_le_bytes());
        }
        0x1_0000..=0xff_ffff => {
            packet.push(0xfd);
            packet.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
        }
        _ => {
            packet.push(0xfe);
            packet.extend_from_slice(&(length as u64).to_le_bytes());
        }
    }
}

/// Appends bytes after their number.
pub(super) fn put_text(packet: &mut Vec<u8>, text: &[u8]) {
    put_length(packet, text.len());
    packet.extend_from_slice(text);
}

/// The server does not speak this protocol.
pub(super) fn nonsense() -> Error {
    Error::connection("the server answers what is not of the MySQL protocol")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_as_many_bytes_as_they_need() {
        for (number, bytes) in [
            (0, 1),
            (250, 1),
            (251, 3),
            (65_535, 3),
            (65_536, 4),
            (16_777_215, 4),
            (16_777_216, 9),
            (usize::MAX, 9),
        ] {
            let mut packet = Vec::new();
            put_length(&mut packet, number);
            assert_eq!(packet.len(), bytes, "{number}");
            assert_eq!(Reader::new(packet.into()).length().unwrap(), number as u64);
        }
    }

    proptest! {
        #[test]
        fn nothing_a_server_sends_is_a_panic(packet in any::<Vec<u8>>()) {
            let fresh = || Reader::new(packet.clone().into());
            let _ = fresh().length();
            let _ = fresh().text();
            let _ = fresh().until_nul();
            let _ = fresh().u64();
        }

        #[test]
        fn text_comes_back(text in any::<Vec<u8>>()) {
            let mut packet = Vec::new();
            put_text(&mut packet, &text);
            let mut reader = Reader::new(packet.into());
            prop_assert_eq!(reader.text().unwrap(), text);
            prop_assert!(reader.rest().is_empty());
        }
    }
}
