//! Replies in the protocol RESP2 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>),
//! without any I/O.
//!
//! Finds where a reply ends, as its bytes arrive and without reading any of them twice. An array
//! of bulk strings, the reply to `MGET`, is handed out as slices of the buffer; any other reply
//! is given to the parser of the `redis` crate.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use redis::Value;

use super::replies;
use crate::core::Error;

/// A line that is longer than this is no Redis reply.
const LONGEST_LINE: usize = 64 * 1024;

/// The longest bulk string of a Redis server, as `proto-max-bulk-len` has it unless it is changed.
const LONGEST_BULK_STRING: usize = 1 << 29;

/// The longest array that is accepted.
const LONGEST_ARRAY: usize = 1 << 24;

/// One reply.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// An array of bulk strings, with `None` for each null.
    BulkStrings(Vec<Option<Bytes>>),
    /// Anything else.
    Value(Value),
}

impl Reply {
    /// An error reply as the error that it is.
    pub fn into_result(self) -> Result<Reply, Error> {
        match self {
            Reply::Value(Value::ServerError(error)) => Err(replies::server_error(error)),
            other => Ok(other),
        }
    }

    /// The bulk strings of an array of so many.
    ///
    /// # Errors
    /// The reply is something else.
    pub fn into_bulk_strings(self, count: usize) -> Result<Vec<Option<Bytes>>, Error> {
        match self {
            Reply::BulkStrings(strings) if strings.len() == count => Ok(strings),
            _ => Err(replies::unexpected()),
        }
    }
}

/// Decodes replies from the front of a buffer.
#[derive(Default)]
pub(super) struct Decoder {
    /// How much of the reply at the front is decoded.
    progress: Option<Progress>,
}

struct Progress {
    /// Everything before it is decoded.
    position: usize,
    /// Elements that are still to come, whatever array they belong to.
    missing: usize,
    /// The bulk strings so far.
    strings: Vec<Option<Range<usize>>>,
    /// The reply is an array of bulk strings, as far as it has come.
    is_bulk_strings: bool,
}

/// One element of a reply; of an array the first line.
enum Element {
    /// A simple string, an error or an integer: the line is all there is.
    Line,
    Null,
    BulkString(Range<usize>),
    Array(usize),
}

impl Decoder {
    /// The next whole reply, if there is one; its bytes are gone from the buffer then.
    ///
    /// # Errors
    /// This is not RESP2. The connection is of no more use.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, Error> {
        if buffer.is_empty() {
            return Ok(None);
        }
        let progress = self.progress.get_or_insert_with(|| Progress {
            position: 0,
            missing: 1,
            strings: Vec::new(),
            is_bulk_strings: buffer[0] == b'*',
        });
        while progress.missing > 0 {
            let Some((element, end)) = element(buffer, progress.position)? else { return Ok(None) };
            progress.missing -= 1;
            match element {
                Element::Array(length) if progress.position == 0 => {
                    progress.missing = length;
                    progress.strings.reserve(length.min(LONGEST_LINE));
                }
                Element::Array(length) => {
                    progress.missing += length;
                    progress.is_bulk_strings = false;
                }
                Element::BulkString(range) => progress.strings.push(Some(range)),
                Element::Null => {
                    // A null that is the whole reply is no array.
                    progress.is_bulk_strings &= progress.position > 0;
                    progress.strings.push(None);
                }
                Element::Line => progress.is_bulk_strings = false,
            }
            progress.position = end;
        }
        let Some(progress) = self.progress.take() else { return Ok(None) };
        let frame = buffer.split_to(progress.position).freeze();
        if progress.is_bulk_strings {
            let strings = progress.strings.into_iter().map(|range| range.map(|range| frame.slice(range)));
            return Ok(Some(Reply::BulkStrings(strings.collect())));
        }
        redis::parse_redis_value(&frame).map(Reply::Value).map(Some).map_err(|_| replies::malformed())
    }
}

/// The element at `position` and where it ends, if it is all there.
fn element(buffer: &[u8], position: usize) -> Result<Option<(Element, usize)>, Error> {
    let Some(&kind) = buffer.get(position) else { return Ok(None) };
    if !matches!(kind, b'+' | b'-' | b':' | b'$' | b'*') {
        return Err(replies::malformed());
    }
    let rest = &buffer[position + 1..];
    let searched = &rest[..rest.len().min(LONGEST_LINE)];
    let Some(length) = searched.windows(2).position(|pair| pair == b"\r\n") else {
        return if searched.len() == LONGEST_LINE { Err(replies::malformed()) } else { Ok(None) };
    };
    let start = position + 1 + length + 2;
    if !matches!(kind, b'$' | b'*') {
        return Ok(Some((Element::Line, start)));
    }
    if &rest[..length] == b"-1" {
        return Ok(Some((Element::Null, start)));
    }
    let number = number(&rest[..length]).ok_or_else(replies::malformed)?;
    if kind == b'*' {
        return if number <= LONGEST_ARRAY {
            Ok(Some((Element::Array(number), start)))
        } else {
            Err(replies::malformed())
        };
    }
    if number > LONGEST_BULK_STRING {
        return Err(replies::malformed());
    }
    let end = start + number;
    match buffer.get(end..end + 2) {
        Some(b"\r\n") => Ok(Some((Element::BulkString(start..end), end + 2))),
        Some(_) => Err(replies::malformed()),
        None => Ok(None),
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0usize, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(value: &Value, into: &mut Vec<u8>) {
        match value {
            Value::Nil => into.extend_from_slice(b"$-1\r\n"),
            Value::Int(number) => into.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            Value::Okay => into.extend_from_slice(b"+OK\r\n"),
            Value::SimpleString(text) => into.extend_from_slice(format!("+{text}\r\n").as_bytes()),
            Value::BulkString(bytes) => {
                into.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
                into.extend_from_slice(bytes);
                into.extend_from_slice(b"\r\n");
            }
            Value::Array(items) => {
                into.extend_from_slice(format!("*{}\r\n", items.len()).as_bytes());
                items.iter().for_each(|item| encode(item, into));
            }
            other => unreachable!("{other:?} is not made here"),
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            Just(Value::Okay),
            "[a-z ]{1,20}".prop_map(Value::SimpleString),
            proptest::collection::vec(any::<u8>(), 0..200).prop_map(Value::BulkString),
        ];
        leaf.prop_recursive(3, 40, 8, |inner| proptest::collection::vec(inner, 0..8).prop_map(Value::Array))
    }

    /// The reply as the crate would have it.
    fn as_value(reply: Reply) -> Value {
        match reply {
            Reply::Value(value) => value,
            Reply::BulkStrings(strings) => Value::Array(
                strings
                    .into_iter()
                    .map(|string| string.map_or(Value::Nil, |bytes| Value::BulkString(bytes.to_vec())))
                    .collect(),
            ),
        }
    }

    proptest! {
        #[test]
        fn replies_come_out_whole_however_they_are_cut(
            sent in proptest::collection::vec(values(), 1..6),
            cuts in proptest::collection::vec(1usize..50, 1..200),
        ) {
            let mut bytes = Vec::new();
            sent.iter().for_each(|value| encode(value, &mut bytes));
            let (mut decoder, mut buffer, mut received) = (Decoder::default(), BytesMut::new(), Vec::new());
            let (mut rest, mut cuts) = (&bytes[..], cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                rest = later;
                buffer.extend_from_slice(piece);
                while let Some(reply) = decoder.next(&mut buffer).unwrap() {
                    received.push(as_value(reply));
                }
            }
            prop_assert_eq!(received, sent);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn garbage_neither_panics_nor_hangs(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::from(&bytes[..]));
            while let Ok(Some(_)) = decoder.next(&mut buffer) {}
        }
    }

    #[test]
    fn an_array_of_bulk_strings_is_not_copied() {
        let mut buffer = BytesMut::from(&b"*3\r\n$1\r\na\r\n$-1\r\n$0\r\n\r\n+rest"[..]);
        let reply = Decoder::default().next(&mut buffer).unwrap();
        let expected = vec![Some(Bytes::from_static(b"a")), None, Some(Bytes::new())];
        assert_eq!(reply, Some(Reply::BulkStrings(expected)));
        assert_eq!(&buffer[..], b"+rest");
    }

    #[test]
    fn what_is_announced_takes_no_room_until_it_comes() {
        let mut input = BytesMut::from(&b"*1\r\n$536870912\r\nabc"[..]);
        assert!(Decoder::default().next(&mut input).unwrap().is_none());
        assert!(input.capacity() < 1024, "{}", input.capacity());
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        for bad in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"$x\r\n",
            b"$3\r\nabcde",
            b"*99999999999\r\n",
            b"$9999999999\r\n",
            b"$536870913\r\n",
        ] {
            assert!(Decoder::default().next(&mut BytesMut::from(bad)).is_err(), "{bad:?}");
        }
        let mut endless = BytesMut::from(&vec![b'+'; LONGEST_LINE + 2][..]);
        assert!(Decoder::default().next(&mut endless).is_err());
    }
}
