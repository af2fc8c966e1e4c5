//! Documents as DynamoDB's own attribute values and back, in the JSON of its interface.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html>

use std::iter::Peekable;

use crate::core::document::{tokens, unescape, Token, Tokens, Writer};
use crate::records::members::MemberNames;
use crate::records::numbers::Decimal;

/// How deep an attribute's lists and maps may be nested.
pub(super) const DEEPEST: usize = 31;

/// The most digits of a number, without zeros at either end.
const MOST_DIGITS: usize = 38;

/// The powers of ten of a number's first digit.
const POWERS: std::ops::RangeInclusive<i64> = -130..=125;

/// The longest name in a map, in bytes.
const LONGEST_NAME: usize = 65_535;

/// What every list and every map takes besides its elements, and each element besides itself, by
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>.
const CONTAINER_BYTES: usize = 3;
const ELEMENT_BYTES: usize = 1;

/// Writes a document as one attribute value, and counts the bytes that DynamoDB counts for it.
/// `None` where DynamoDB could not give it back equal; what was written is of no use then.
pub(super) fn encode(document: &[u8], writer: &mut Writer) -> Option<usize> {
    let mut size = 0;
    let mut names = MemberNames::default();
    let mut pieces = tokens(document);
    while let Some(token) = pieces.next() {
        if pieces.depth() > DEEPEST {
            return None;
        }
        match token {
            Token::ObjectStart | Token::ArrayStart => {
                size += CONTAINER_BYTES + ELEMENT_BYTES;
                writer.object_start();
                if token == Token::ObjectStart {
                    names.open();
                    writer.raw_name("M");
                    writer.object_start();
                } else {
                    writer.raw_name("L");
                    writer.array_start();
                }
                continue;
            }
            Token::ObjectEnd => {
                if !names.close() {
                    return None;
                }
                writer.object_end();
            }
            Token::ArrayEnd => writer.array_end(),
            Token::Name(raw) => {
                let name = unescape(raw).ok()?;
                if name.is_empty() || name.len() > LONGEST_NAME {
                    return None;
                }
                size += name.len();
                names.add(name);
                writer.raw_name(raw);
                continue;
            }
            Token::Text(raw) => {
                size += ELEMENT_BYTES + unescape(raw).ok()?.len();
                writer.object_start();
                writer.raw_name("S");
                writer.raw_text(raw);
            }
            Token::Number(number) => {
                size += ELEMENT_BYTES + number_bytes(number)?;
                writer.object_start();
                writer.raw_name("N");
                writer.raw_text(number);
            }
            Token::Bool(value) => {
                size += ELEMENT_BYTES + 1;
                writer.object_start();
                writer.raw_name("BOOL");
                writer.raw(if value { "true" } else { "false" });
            }
            Token::Null => {
                size += ELEMENT_BYTES + 1;
                writer.object_start();
                writer.raw_name("NULL");
                writer.raw("true");
            }
        }
        writer.object_end();
    }
    Some(size)
}

/// The bytes that DynamoDB counts for a number; `None` where it cannot keep it.
fn number_bytes(number: &str) -> Option<usize> {
    let number = Decimal::read(number)?;
    if number.is_zero() {
        // It keeps no sign of a zero.
        return (!number.is_negative()).then_some(1);
    }
    let fits = number.significant() <= MOST_DIGITS && POWERS.contains(&number.power()?);
    fits.then(|| number.significant().div_ceil(2) + 1 + usize::from(number.is_negative()))
}

/// Makes a document of one attribute value. Sets and binary values, which only others write, are
/// lists and base64 text. `None` where it is no attribute value.
pub(super) fn decode(value: &str) -> Option<Vec<u8>> {
    let mut reader =
        Reader { pieces: tokens(value.as_bytes()).peekable(), writer: Writer::with_capacity(value.len()) };
    // Of the maps and lists that are open: whether each is a map.
    let mut open: Vec<bool> = Vec::new();
    loop {
        if let Some(is_map) = reader.begin_value()? {
            open.push(is_map);
        }
        // Until there is one more value to read.
        loop {
            let Some(is_map) = open.last() else { return reader.finish() };
            match (is_map, reader.pieces.peek()?) {
                (true, Token::Name(raw)) => {
                    reader.writer.raw_name(raw);
                    reader.pieces.next();
                    break;
                }
                (false, Token::ObjectStart) => break,
                (true, Token::ObjectEnd) => reader.writer.object_end(),
                (false, Token::ArrayEnd) => reader.writer.array_end(),
                _ => return None,
            }
            reader.pieces.next();
            reader.end_wrapper()?;
            open.pop();
        }
    }
}

struct Reader<'a> {
    pieces: Peekable<Tokens<'a>>,
    writer: Writer,
}

impl<'a> Reader<'a> {
    /// A whole value, or the beginning of a map (`true`) or a list (`false`).
    fn begin_value(&mut self) -> Option<Option<bool>> {
        let (Token::ObjectStart, Token::Name(kind)) = (self.pieces.next()?, self.pieces.next()?) else {
            return None;
        };
        match (kind, self.pieces.next()?) {
            ("S" | "B", Token::Text(raw)) => self.writer.raw_text(raw),
            ("N", Token::Text(number)) => self.number(number)?,
            ("BOOL", Token::Bool(value)) => self.writer.raw(if value { "true" } else { "false" }),
            ("NULL", Token::Bool(_)) => self.writer.raw("null"),
            ("SS" | "NS" | "BS", Token::ArrayStart) => self.set(kind == "NS")?,
            ("M", Token::ObjectStart) => {
                self.writer.object_start();
                return Some(Some(true));
            }
            ("L", Token::ArrayStart) => {
                self.writer.array_start();
                return Some(Some(false));
            }
            _ => return None,
        }
        self.end_wrapper()?;
        Some(None)
    }

    fn set(&mut self, of_numbers: bool) -> Option<()> {
        self.writer.array_start();
        loop {
            match self.pieces.next()? {
                Token::Text(number) if of_numbers => self.number(number)?,
                Token::Text(raw) => self.writer.raw_text(raw),
                Token::ArrayEnd => break,
                _ => return None,
            }
        }
        self.writer.array_end();
        Some(())
    }

    fn number(&mut self, number: &'a str) -> Option<()> {
        let is_number = number.starts_with(|first: char| first == '-' || first.is_ascii_digit())
            && serde_json::from_str::<serde::de::IgnoredAny>(number).is_ok();
        is_number.then(|| self.writer.raw(number))
    }

    /// The brace that ends `{"S": …}`.
    fn end_wrapper(&mut self) -> Option<()> {
        (self.pieces.next()? == Token::ObjectEnd).then_some(())
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.pieces.next().is_none().then(|| self.writer.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn encoded(document: &str) -> Option<(String, usize)> {
        let mut writer = Writer::default();
        let size = encode(document.as_bytes(), &mut writer)?;
        Some((String::from_utf8(writer.finish()).unwrap(), size))
    }

    #[test]
    fn every_kind_of_value_has_its_attribute() {
        let (text, size) = encoded(r#" {"a":[1, "x", true ,null,{}],"b.$":""} "#).unwrap();
        assert_eq!(
            text,
            r#"{"M":{"a":{"L":[{"N":"1"},{"S":"x"},{"BOOL":true},{"NULL":true},{"M":{}}]},"b.$":{"S":""}}}"#
        );
        assert_eq!(size, 4 + 1 + 4 + (3 + 2 + 2 + 2 + 4) + 3 + 1);
        assert_eq!(decode(&text).unwrap(), br#"{"a":[1,"x",true,null,{}],"b.$":""}"#);
    }

    #[test]
    fn numbers_beyond_what_dynamodb_keeps_are_not_encoded() {
        let (most, more) = ("1".repeat(38), "1".repeat(39));
        for good in
            ["0", "0.0", "-1.5", "1e125", "1E-130", "100000000000000000000000000000000000000000e3", &most]
        {
            assert!(encoded(good).is_some(), "{good}");
        }
        for bad in ["-0", "-0.0e5", "1e126", "1e-131", "1e400", "5e-324", "0.1e99999999999999999999", &more] {
            assert!(encoded(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_would_not_come_back_is_not_encoded() {
        for bad in [r#"{"":1}"#, r#""\ud800""#, r#"{"a":1,"\u0061":2}"#, r#"{"\udc00":1}"#] {
            assert!(encoded(bad).is_none(), "{bad}");
        }
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(encoded(&nested(DEEPEST)).is_some());
        assert!(encoded(&nested(DEEPEST + 1)).is_none());
        assert!(encoded(&nested(1_000_000)).is_none());
        // The same name in different objects is no name twice.
        assert!(encoded(r#"{"a":{"a":1,"b":2},"b":{"a":1}}"#).is_some());
    }

    #[test]
    fn sets_and_bytes_of_others_can_be_read() {
        let value = r#"{"L":[{"SS":["a","b"]},{"NS":["1","2.5"]},{"B":"AAE="},{"BS":[]}]}"#;
        assert_eq!(decode(value).unwrap(), br#"[["a","b"],[1,2.5],"AAE=",[]]"#);
    }

    #[test]
    fn what_is_no_attribute_value_is_seen() {
        for bad in [
            "",
            "{}",
            "7",
            r#"{"S":7}"#,
            r#"{"N":"x"}"#,
            r#"{"N":"[]"}"#,
            r#"{"X":"a"}"#,
            r#"{"S":"a","N":"1"}"#,
            r#"{"L":[7]}"#,
            r#"{"M":{"a":1}}"#,
            r#"{"S":"a"}{"S":"b"}"#,
            r#"{"L":[{"S":"a"}"#,
            "[[[",
        ] {
            assert!(decode(bad).is_none(), "{bad}");
        }
        assert!(decode(&r#"{"L":["#.repeat(100_000)).is_none());
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((".+", inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_comes_back_equal(document in documents()) {
            let (text, size) = encoded(&document.to_string()).unwrap();
            let back = decode(&text).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&back).unwrap(), document);
            prop_assert!(size <= text.len() + 4);
        }

        #[test]
        fn any_text_is_decoded_or_not(text in "[\\[\\]{}:,\"\\\\SNML a01.-]{0,40}") {
            if let Some(document) = decode(&text) {
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&document).is_ok());
            }
        }
    }
}
