//! Whether two documents are equal: members in any order, numbers by their value to the last digit. Nothing recurses.

use deepstream_connector::core::document::{tokens, unescape, Token};
use deepstream_connector::core::Record;

/// Whether two records are equal.
pub fn records(one: &Record, other: &Record) -> bool {
    one.version == other.version && documents(&one.data, &other.data)
}

/// Whether two documents are equal.
pub fn documents(one: &[u8], other: &[u8]) -> bool {
    one == other || canonical(one) == canonical(other)
}

/// An open container of a document.
struct Open {
    is_object: bool,
    /// Where its members begin, and the length of each one's name.
    members: Vec<(usize, usize)>,
}

/// The same bytes for equal documents: each value has a letter and its length or end, members are sorted by name.
fn canonical(document: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(document.len());
    let mut open: Vec<Open> = Vec::new();
    for token in tokens(document) {
        match token {
            Token::ObjectStart => {
                out.push(b'{');
                open.push(Open { is_object: true, members: Vec::new() });
            }
            Token::ArrayStart => {
                out.push(b'[');
                open.push(Open { is_object: false, members: Vec::new() });
            }
            Token::ObjectEnd | Token::ArrayEnd => {
                if let Some(Open { is_object: true, members }) = open.pop() {
                    sort(&mut out, &members);
                }
                out.push(b'}');
            }
            Token::Name(raw) => {
                let start = out.len();
                text(&mut out, raw);
                let length = out.len() - start;
                if let Some(Open { is_object: true, members }) = open.last_mut() {
                    members.push((start, length));
                }
            }
            Token::Text(raw) => text(&mut out, raw),
            Token::Number(digits) => number(&mut out, digits),
            Token::Bool(value) => out.push(if value { b't' } else { b'f' }),
            Token::Null => out.push(b'n'),
        }
    }
    out
}

/// Puts an object's members into the order of their names; of two with one name the last one counts.
fn sort(out: &mut Vec<u8>, members: &[(usize, usize)]) {
    let name = |(start, length): &(usize, usize)| &out[*start..start + length];
    if members.windows(2).all(|pair| name(&pair[0]) < name(&pair[1])) {
        return;
    }
    let first = members[0].0;
    let ends = members.iter().skip(1).map(|(start, _)| *start).chain([out.len()]);
    let mut parts: Vec<(&[u8], &[u8])> =
        members.iter().zip(ends).map(|(member, end)| (name(member), &out[member.0..end])).collect();
    parts.sort_by(|one, other| one.0.cmp(other.0));
    let mut sorted = Vec::with_capacity(out.len() - first);
    for (at, (name, part)) in parts.iter().enumerate() {
        if parts.get(at + 1).is_none_or(|(next, _)| next != name) {
            sorted.extend_from_slice(part);
        }
    }
    out.truncate(first);
    out.extend(sorted);
}

/// A string, by its characters however they were escaped.
fn text(out: &mut Vec<u8>, raw: &str) {
    let plain = unescape(raw);
    // UTF-8 has no byte 0xff: what has half of a surrogate pair equals nothing else.
    let bytes = match &plain {
        Ok(plain) => plain.as_bytes().to_vec(),
        Err(_) => halves(raw),
    };
    out.push(b'"');
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(&bytes);
}

/// A string with half of a surrogate pair: 16-bit units, behind a byte that no UTF-8 has.
fn halves(raw: &str) -> Vec<u8> {
    let mut bytes = vec![0xff];
    let mut rest = raw;
    while let Some(letter) = rest.chars().next() {
        let length =
            if rest.starts_with("\\u") { 6 } else { usize::from(letter == '\\') + letter.len_utf8() };
        let length = (length..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        match unescape(piece) {
            Ok(plain) => plain.encode_utf16().for_each(|unit| bytes.extend(unit.to_be_bytes())),
            Err(_) => {
                let unit = piece
                    .get(2..)
                    .and_then(|digits| u16::from_str_radix(digits, 16).ok())
                    .unwrap_or_default();
                bytes.extend(unit.to_be_bytes());
            }
        }
    }
    bytes
}

/// A number: its sign, its digits without zeros at either end, and the power of ten of the last one.
fn number(out: &mut Vec<u8>, text: &str) {
    let (is_negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (digits, power) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let kept = all.trim_end_matches('0');
    let dropped = all.len() - kept.len();
    let kept = kept.trim_start_matches('0');
    out.push(b'#');
    if kept.is_empty() {
        out.push(b'0');
    } else {
        let length = |count: usize| i128::try_from(count).unwrap_or_default();
        // Beyond that the digits of the exponent count.
        let power = match power.parse::<i64>() {
            Ok(power) => (i128::from(power) + length(dropped) - length(fraction.len())).to_string(),
            Err(_) => format!("{power} {dropped} {}", fraction.len()),
        };
        out.extend_from_slice(format!("{}{kept}e{power}", if is_negative { "-" } else { "" }).as_bytes());
    }
    out.push(b';');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_documents_are_equal() {
        for (one, other) in [
            ("{\"a\":1,\"b\":[{\"y\":1,\"x\":2}]}", "{ \"b\" : [{\"x\":2.0,\"y\":1}], \"\\u0061\":1 }"),
            ("[1, 10, 0.5, -0]", "[1.0,1e1,5e-1,0]"),
            ("\"\\ud83d\\ude00\\/\"", "\"😀/\""),
            ("\"\\ud800x\"", "\"\\uD800\\u0078\""),
            ("{\"a\":1,\"a\":2}", "{\"a\":2}"),
            ("12345678901234567890", "1234567890123456789e1"),
        ] {
            assert!(documents(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn different_documents_are_not() {
        for (one, other) in [
            ("[1]", "[1,1]"),
            ("[[],1]", "[[1]]"),
            ("{\"a\":{},\"b\":1}", "{\"a\":{\"b\":1}}"),
            ("\"1\"", "1"),
            ("\"true\"", "true"),
            ("12345678901234567890", "12345678901234567891"),
            ("0.1", "0.10000000000000001"),
            ("\"\\ud800\"", "\"\\ud801\""),
            ("\"\\ud800\\u0041\"", "\"\\ud800A\\u0000\""),
            ("{\"a\":\"b\"}", "[\"a\",\"b\"]"),
            ("1", "-1"),
            ("[\"a\",\"b\"]", "[\"b\",\"a\"]"),
            ("null", "{}"),
        ] {
            assert!(!documents(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn depth_and_size_do_no_harm() {
        let deep = |leaf: &str| format!("{}{leaf}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(documents(deep("1").as_bytes(), deep("1.0").as_bytes()));
        assert!(!documents(deep("1").as_bytes(), deep("2").as_bytes()));
    }
}
