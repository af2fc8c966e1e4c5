//! The meta commands of memcached 1.6 and what goes with them: commands as bytes, and bytes as
//! replies, without any I/O. See <https://docs.memcached.org/protocols/meta/> and
//! <https://github.com/memcached/memcached/blob/master/doc/protocol.txt>.

use bytes::{Buf, BytesMut};

use super::reply::{malformed, ErrorKind, Reply};
use crate::core::Error;
use crate::net::pipeline::make_room;

/// No line of a reply is longer; whoever sends more is no memcached.
const MAX_LINE: usize = 8 * 1024;

/// No item is larger: memcached's own upper bound.
const MAX_VALUE: usize = 1 << 30;

/// The client flags of a value that is JSON, by the npm client.
const CLIENT_FLAGS: &[u8] = b"2";

pub(super) fn get(out: &mut Vec<u8>, key: &[u8]) {
    put(out, &[b"mg ", key, b" v\r\n"]);
}

pub(super) fn set(out: &mut Vec<u8>, key: &[u8], exptime: u32, value: &[u8]) {
    let mut digits = itoa::Buffer::new();
    put(out, &[b"ms ", key, b" ", digits.format(value.len()).as_bytes(), b" F", CLIENT_FLAGS]);
    if exptime != 0 {
        put(out, &[b" T", digits.format(exptime).as_bytes()]);
    }
    put(out, &[b"\r\n", value, b"\r\n"]);
}

pub(super) fn delete(out: &mut Vec<u8>, key: &[u8]) {
    put(out, &[b"md ", key, b"\r\n"]);
}

/// The no-op: a reply shows that the server is alive and authenticated.
pub(super) fn no_op(out: &mut Vec<u8>) {
    put(out, &[b"mn\r\n"]);
}

/// The settings, of which `item_size_max` is the reply.
pub(super) fn stats_settings(out: &mut Vec<u8>) {
    put(out, &[b"stats settings\r\n"]);
}

/// The authentication at a server with `-Y`: a `set` with any key.
pub(super) fn authenticate(out: &mut Vec<u8>, username: &str, password: &str) {
    let length = (username.len() + 1 + password.len()).to_string();
    put(out, &[b"set auth 0 0 ", length.as_bytes(), b"\r\n"]);
    put(out, &[username.as_bytes(), b" ", password.as_bytes(), b"\r\n"]);
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Decodes replies from the front of what was received.
#[derive(Default)]
pub(super) struct Decoder {
    /// While the lines of `stats settings` come: `item_size_max`, if it was among them.
    item_size_max: Option<Option<usize>>,
    /// How much of the line that is not whole yet has no line end.
    searched: usize,
}

impl Decoder {
    /// The next whole reply, if there is one; its bytes are gone from the buffer then.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, Error> {
        loop {
            let Some(end) = self.find_line(input)? else { return Ok(None) };
            if let Some(rest) = input[..end].strip_prefix(b"VA ") {
                let length =
                    first_number(rest).filter(|length| *length <= MAX_VALUE).ok_or_else(malformed)?;
                // Line, value, and the line ends after both.
                let whole = end + 2 + length + 2;
                if input.len() < whole {
                    make_room(input, whole - input.len());
                    return Ok(None);
                }
                self.searched = 0;
                if &input[whole - 2..whole] != b"\r\n" {
                    return Err(malformed());
                }
                input.advance(end + 2);
                let value = input.split_to(length).freeze();
                input.advance(2);
                return Ok(Some(Reply::Value(value)));
            }
            self.searched = 0;
            let line = input.split_to(end + 2);
            if let Some(reply) = self.line(&line[..end])? {
                return Ok(Some(reply));
            }
        }
    }

    /// Where the first line ends.
    fn find_line(&mut self, input: &BytesMut) -> Result<Option<usize>, Error> {
        let found = input[self.searched..].windows(2).position(|two| two == b"\r\n");
        match found {
            Some(end) => {
                // Asked again with more of the value, it is found at once.
                self.searched += end;
                Ok(Some(self.searched))
            }
            None if input.len() > MAX_LINE => Err(malformed()),
            None => {
                // The first half of a line end may be there.
                self.searched = input.len().saturating_sub(1);
                Ok(None)
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, Error> {
        if let Some(statistic) = line.strip_prefix(b"STAT ") {
            let item_size_max = self.item_size_max.get_or_insert(None);
            if let Some(value) = statistic.strip_prefix(b"item_size_max ") {
                *item_size_max = first_number(value);
            }
            return Ok(None);
        }
        let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        Ok(Some(match word {
            b"HD" | b"MN" | b"STORED" => Reply::Success,
            b"EN" | b"NF" => Reply::NotFound,
            b"END" => Reply::ItemSizeMax(self.item_size_max.take().ok_or_else(malformed)?),
            b"NS" => error(ErrorKind::Other, "the item was not stored"),
            b"ERROR" => error(ErrorKind::UnknownCommand, "ERROR"),
            b"CLIENT_ERROR" | b"SERVER_ERROR" => {
                let text = String::from_utf8_lossy(line);
                error(error_kind(&text), &text)
            }
            _ => return Err(malformed()),
        }))
    }
}

fn error(kind: ErrorKind, text: &str) -> Reply {
    Reply::Error(kind, text.to_owned())
}

/// By the texts that memcached has.
fn error_kind(text: &str) -> ErrorKind {
    if text.contains("authentica") {
        ErrorKind::Authentication
    } else if text.contains("too large") {
        ErrorKind::TooLarge
    } else if text.contains("temporary failure") {
        ErrorKind::Temporary
    } else {
        ErrorKind::Other
    }
}

fn first_number(text: &[u8]) -> Option<usize> {
    let digits = text.split(|byte| *byte == b' ').next()?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPLIES: &str =
        "VA 5 f2\r\na\r\nbc\r\nEN\r\nHD\r\nSTAT maxbytes 1\r\nSTAT item_size_max 1048576\r\n\
        END\r\nVA 0\r\n\r\nSERVER_ERROR object too large for cache\r\nCLIENT_ERROR unauthenticated\r\nNF\r\n\
        MN\r\nERROR\r\n";

    fn expected() -> Vec<Reply> {
        let error = |kind, text: &str| Reply::Error(kind, text.into());
        vec![
            Reply::Value("a\r\nbc".into()),
            Reply::NotFound,
            Reply::Success,
            Reply::ItemSizeMax(Some(1_048_576)),
            Reply::Value("".into()),
            error(ErrorKind::TooLarge, "SERVER_ERROR object too large for cache"),
            error(ErrorKind::Authentication, "CLIENT_ERROR unauthenticated"),
            Reply::NotFound,
            Reply::Success,
            error(ErrorKind::UnknownCommand, "ERROR"),
        ]
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for bad in [
            "HTTP/1.1 200 OK\r\n",
            "VA x\r\n",
            "VA -1 \r\n",
            "VA 99999999999\r\n",
            "VA 1\r\nabc",
            "END\r\n",
            "\r\n",
        ] {
            assert!(Decoder::default().next(&mut BytesMut::from(bad)).is_err(), "{bad:?}");
        }
        assert!(Decoder::default().next(&mut BytesMut::from(&[b'x'; MAX_LINE + 1][..])).is_err());
    }

    #[test]
    fn what_is_announced_takes_no_room_until_it_comes() {
        let mut input = BytesMut::from("VA 1073741824\r\nabc");
        assert!(Decoder::default().next(&mut input).unwrap().is_none());
        assert!(input.capacity() < 1024, "{}", input.capacity());
        assert!(Decoder::default().next(&mut BytesMut::from("VA 1073741825\r\n")).is_err());
    }

    #[test]
    fn commands_are_as_the_protocol_has_them() {
        let mut out = Vec::new();
        get(&mut out, b"k");
        set(&mut out, b"k", 0, b"{}");
        set(&mut out, b"k", 60, b"");
        delete(&mut out, b"k");
        authenticate(&mut out, "me", "word");
        let expected =
            "mg k v\r\nms k 2 F2\r\n{}\r\nms k 0 F2 T60\r\n\r\nmd k\r\nset auth 0 0 7\r\nme word\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    /// All replies, and whether an error came then.
    fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Reply>, bool) {
        let (mut decoder, mut input, mut replies) = (Decoder::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match decoder.next(&mut input) {
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(_) => return (replies, true),
                }
            }
        }
        (replies, false)
    }

    proptest! {
        #[test]
        fn replies_may_come_in_any_pieces(cuts in proptest::collection::vec(1_usize..20, 1..60)) {
            let mut decoder = Decoder::default();
            let mut input = BytesMut::new();
            let mut rest = REPLIES.as_bytes();
            let mut replies = Vec::new();
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
            prop_assert_eq!(replies, expected());
        }

        #[test]
        fn pieces_mean_what_the_whole_means(
            lines in proptest::collection::vec("(VA [0-3] f2|HD|EN|NF|END|STAT item_size_max 5|ab|SERVER_ERROR x)?(\r\n|\r|\n)?", 0..20),
            cuts in proptest::collection::vec(1_usize..9, 1..20),
        ) {
            let text = lines.concat();
            let whole = decode(std::iter::once(text.as_bytes()));
            let mut rest = text.as_bytes();
            let pieces = cuts.iter().cycle().map_while(|cut| {
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                rest = later;
                (!piece.is_empty()).then_some(piece)
            });
            prop_assert_eq!(decode(pieces), whole);
        }

        #[test]
        fn no_bytes_break_the_decoder(pieces in proptest::collection::vec(
            prop_oneof![
                "VA [0-9]{1,3} f2\r\n",
                "(HD|EN|NF|END|STAT item_size_max 5|SERVER_ERROR x|VA )(\r\n)?",
                any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            ],
            0..20,
        )) {
            let mut decoder = Decoder::default();
            let mut input = BytesMut::new();
            for piece in pieces {
                input.extend_from_slice(piece.as_bytes());
                loop {
                    let before = input.len();
                    match decoder.next(&mut input) {
                        Ok(Some(_)) => prop_assert!(input.len() < before),
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
        }
    }
}
