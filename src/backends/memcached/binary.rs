//! The binary protocol (<https://docs.memcached.org/protocols/binary/>), which is all that a
//! server with SASL (`-S`) speaks: commands as bytes, and bytes as replies, without any I/O.

use bytes::{Buf, BytesMut};

use super::reply::{malformed, ErrorKind, Reply};
use crate::core::Error;
use crate::net::pipeline::make_room;

const REQUEST_MAGIC: u8 = 0x80;
const RESPONSE_MAGIC: u8 = 0x81;
const HEADER_LENGTH: usize = 24;

/// No reply is larger: memcached's own upper bound of an item, and room for the rest.
const MAX_BODY_LENGTH: usize = (1 << 30) + 4096;

/// The client flags of a value that is JSON, by the npm client.
const CLIENT_FLAGS: u32 = 2;

mod opcode {
    pub const GET: u8 = 0x00;
    pub const SET: u8 = 0x01;
    pub const DELETE: u8 = 0x04;
    pub const NO_OP: u8 = 0x0A;
    pub const STAT: u8 = 0x10;
    pub const SASL_AUTH: u8 = 0x21;
}

pub(super) fn get(out: &mut Vec<u8>, key: &[u8]) {
    request(out, opcode::GET, &[], key, &[]);
}

pub(super) fn set(out: &mut Vec<u8>, key: &[u8], exptime: u32, value: &[u8]) {
    let extras = [CLIENT_FLAGS.to_be_bytes(), exptime.to_be_bytes()].concat();
    request(out, opcode::SET, &extras, key, value);
}

pub(super) fn delete(out: &mut Vec<u8>, key: &[u8]) {
    request(out, opcode::DELETE, &[], key, &[]);
}

/// The no-op: a reply shows that the server is alive and authenticated.
pub(super) fn no_op(out: &mut Vec<u8>) {
    request(out, opcode::NO_OP, &[], &[], &[]);
}

/// The settings, of which `item_size_max` is the reply.
pub(super) fn stats_settings(out: &mut Vec<u8>) {
    request(out, opcode::STAT, &[], b"settings", &[]);
}

/// SASL's mechanism PLAIN (RFC 4616).
pub(super) fn authenticate(out: &mut Vec<u8>, username: &str, password: &str) {
    let message = [b"\0", username.as_bytes(), b"\0", password.as_bytes()].concat();
    request(out, opcode::SASL_AUTH, &[], b"PLAIN", &message);
}

fn request(out: &mut Vec<u8>, opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) {
    // Keys have 250 bytes at most, extras 8; values larger than 4 GiB are in no batch.
    let key_length = u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes();
    let extras_length = u8::try_from(extras.len()).unwrap_or(u8::MAX);
    let body = u32::try_from(extras.len() + key.len() + value.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&[REQUEST_MAGIC, opcode, key_length[0], key_length[1], extras_length, 0, 0, 0]);
    out.extend_from_slice(&body);
    // Opaque and cas: replies come in order, and every set is unconditional.
    out.extend_from_slice(&[0; 12]);
    for part in [extras, key, value] {
        out.extend_from_slice(part);
    }
}

/// Decodes replies from the front of what was received.
#[derive(Default)]
pub(super) struct Decoder {
    item_size_max: Option<usize>,
}

impl Decoder {
    /// The next whole reply, if there is one; its bytes are gone from the buffer then.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, Error> {
        while input.len() >= HEADER_LENGTH {
            let body = usize::try_from(u32::from_be_bytes([input[8], input[9], input[10], input[11]]));
            let body = body.ok().filter(|body| *body <= MAX_BODY_LENGTH).ok_or_else(malformed)?;
            let (key, extras) =
                (usize::from(u16::from_be_bytes([input[2], input[3]])), usize::from(input[4]));
            if input[0] != RESPONSE_MAGIC || key + extras > body {
                return Err(malformed());
            }
            if input.len() < HEADER_LENGTH + body {
                make_room(input, HEADER_LENGTH + body - input.len());
                return Ok(None);
            }
            let header = input.split_to(HEADER_LENGTH);
            let mut body = input.split_to(body).freeze();
            let status = u16::from_be_bytes([header[6], header[7]]);
            body.advance(extras);
            let key = body.split_to(key);
            match (header[1], status) {
                (opcode::STAT, 0) if key.is_empty() => {
                    return Ok(Some(Reply::ItemSizeMax(self.item_size_max.take())))
                }
                (opcode::STAT, 0) => {
                    if &key[..] == b"item_size_max" {
                        self.item_size_max =
                            std::str::from_utf8(&body).ok().and_then(|digits| digits.parse().ok());
                    }
                }
                (opcode::GET, 0) => return Ok(Some(Reply::Value(body))),
                (_, 0) => return Ok(Some(Reply::Success)),
                (_, 1) => return Ok(Some(Reply::NotFound)),
                (_, status) => {
                    let text = format!("{} (status {status:#x})", String::from_utf8_lossy(&body));
                    return Ok(Some(Reply::Error(error_kind(status), text)));
                }
            }
        }
        Ok(None)
    }
}

fn error_kind(status: u16) -> ErrorKind {
    match status {
        0x03 => ErrorKind::TooLarge,
        // Wrong, or another step is wanted, which PLAIN has not.
        0x20 | 0x21 => ErrorKind::Authentication,
        0x81 | 0x83 => ErrorKind::UnknownCommand,
        0x85 | 0x86 => ErrorKind::Temporary,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(opcode: u8, status: u16, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        request(&mut bytes, opcode, extras, key, value);
        bytes[0] = RESPONSE_MAGIC;
        bytes[6..8].copy_from_slice(&status.to_be_bytes());
        bytes
    }

    #[test]
    fn a_get_is_as_the_specification_has_it() {
        let mut out = Vec::new();
        get(&mut out, b"Hello");
        let mut expected = vec![0x80, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 5];
        expected.extend([0; 12]);
        expected.extend(b"Hello");
        assert_eq!(out, expected);
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        assert!(Decoder::default().next(&mut BytesMut::from("HTTP/1.1 400 Bad Request\r\n")).is_err());
        let mut short = response(opcode::GET, 0, &[0; 4], b"key", b"value");
        short[8..12].copy_from_slice(&3_u32.to_be_bytes());
        assert!(Decoder::default().next(&mut BytesMut::from(&short[..])).is_err());
        let mut long = response(opcode::GET, 0, &[], b"", b"");
        long[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(Decoder::default().next(&mut BytesMut::from(&long[..])).is_err());
    }

    #[test]
    fn what_is_announced_takes_no_room_until_it_comes() {
        let mut long = response(opcode::GET, 0, &[], b"", b"");
        long[8..12].copy_from_slice(&(1_u32 << 30).to_be_bytes());
        let mut input = BytesMut::from(&long[..]);
        assert!(Decoder::default().next(&mut input).unwrap().is_none());
        assert!(input.capacity() < 1024, "{}", input.capacity());
    }

    proptest! {
        #[test]
        fn replies_may_come_in_any_pieces(cuts in proptest::collection::vec(1_usize..40, 1..20)) {
            let responses = [
                response(opcode::GET, 0, &[0, 0, 0, 2], b"", b"{}"),
                response(opcode::GET, 1, &[], b"", b"Not found"),
                response(opcode::SET, 0, &[], b"", b""),
                response(opcode::SET, 3, &[], b"", b"Too large."),
                response(opcode::STAT, 0, &[], b"maxbytes", b"7"),
                response(opcode::STAT, 0, &[], b"item_size_max", b"1048576"),
                response(opcode::STAT, 0, &[], b"", b""),
                response(opcode::SASL_AUTH, 0x20, &[], b"", b"Auth failure"),
            ]
            .concat();
            let mut decoder = Decoder::default();
            let (mut input, mut rest, mut replies) = (BytesMut::new(), &responses[..], Vec::new());
            for cut in cuts.iter().cycle() {
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                input.extend_from_slice(piece);
                rest = later;
                while let Some(reply) = decoder.next(&mut input).unwrap() {
                    replies.push(reply);
                }
                if rest.is_empty() {
                    break;
                }
            }
            let error = |kind, text: &str| Reply::Error(kind, text.into());
            prop_assert_eq!(replies, vec![
                Reply::Value("{}".into()),
                Reply::NotFound,
                Reply::Success,
                error(ErrorKind::TooLarge, "Too large. (status 0x3)"),
                Reply::ItemSizeMax(Some(1_048_576)),
                error(ErrorKind::Authentication, "Auth failure (status 0x20)"),
            ]);
        }

        #[test]
        fn no_bytes_break_the_decoder(mut bytes in any::<Vec<u8>>(), is_response: bool) {
            if let (true, Some(first)) = (is_response, bytes.first_mut()) {
                *first = RESPONSE_MAGIC;
            }
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = Decoder::default().next(&mut input) {}
        }
    }
}
