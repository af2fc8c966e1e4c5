//! JSON documents piece by piece, for backends that store them in a form of their own. Nothing
//! here recurses, so that no depth of nesting can exhaust the stack.

use std::borrow::Cow;
use std::fmt;

/// A piece of a document. Text is what stands between the quotes, escapes and all; see
/// [`unescape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// The name of an object's member; its value follows.
    Name(&'a str),
    /// A string.
    Text(&'a str),
    /// A number, digit by digit as it was written.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`
    Null,
}

/// The pieces of a document, in order; see [`tokens`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
    /// Of the containers that are open: whether each is an object.
    open: Vec<bool>,
    expects_name: bool,
}

/// Takes a document apart that [`check_document`](super::check_document) found good, as all
/// data are that reach a backend. Of other text the pieces are whatever they are; there is no
/// panic, and there is an end.
pub fn tokens(document: &[u8]) -> Tokens<'_> {
    let text = std::str::from_utf8(document).unwrap_or_default();
    Tokens { text, at: 0, open: Vec::new(), expects_name: false }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            let start = self.at;
            self.at += 1;
            return Some(match byte {
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b':' => {
                    self.expects_name = false;
                    continue;
                }
                b',' => {
                    self.expects_name = self.open.last() == Some(&true);
                    continue;
                }
                b'{' => {
                    self.open.push(true);
                    self.expects_name = true;
                    Token::ObjectStart
                }
                b'[' => {
                    self.open.push(false);
                    self.expects_name = false;
                    Token::ArrayStart
                }
                b'}' | b']' => {
                    self.open.pop();
                    self.expects_name = false;
                    if byte == b'}' {
                        Token::ObjectEnd
                    } else {
                        Token::ArrayEnd
                    }
                }
                b'"' => {
                    let text = self.string();
                    if self.expects_name {
                        Token::Name(text)
                    } else {
                        Token::Text(text)
                    }
                }
                b't' => self.word("true", Token::Bool(true)),
                b'f' => self.word("false", Token::Bool(false)),
                b'n' => self.word("null", Token::Null),
                _ => {
                    let rest = &bytes[start..];
                    let is_end =
                        |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}');
                    let length = rest.iter().position(is_end).unwrap_or(rest.len()).max(1);
                    self.at = start + length;
                    Token::Number(self.text.get(start..self.at).unwrap_or_default())
                }
            });
        }
    }
}

impl<'a> Tokens<'a> {
    /// How many containers are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Token<'a> {
        self.at += word.len() - 1;
        token
    }

    /// What is left of a string after its opening quote.
    fn string(&mut self) -> &'a str {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return &self.text[start..self.at - 1];
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.text.get(start..).unwrap_or_default()
    }
}

/// How deep a document's containers are nested: 0 for a number, 1 for `[]`.
pub fn depth(document: &[u8]) -> usize {
    let mut pieces = tokens(document);
    let mut deepest = 0;
    while pieces.next().is_some() {
        deepest = deepest.max(pieces.depth());
    }
    deepest
}

/// A string holds half of a surrogate pair, which JSON can escape and UTF-8 cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoneSurrogate;

impl fmt::Display for LoneSurrogate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string holds half of a surrogate pair")
    }
}

impl std::error::Error for LoneSurrogate {}

/// The characters of a [`Token::Name`] or [`Token::Text`].
///
/// # Errors
/// There is half of a surrogate pair among them.
pub fn unescape(raw: &str) -> Result<Cow<'_, str>, LoneSurrogate> {
    let Some(first) = raw.find('\\') else { return Ok(Cow::Borrowed(raw)) };
    let mut text = String::with_capacity(raw.len());
    let (plain, mut rest) = raw.split_at(first);
    text.push_str(plain);
    while let Some(escaped) = rest.strip_prefix('\\') {
        let (letter, after) = escaped.split_at(escaped.chars().next().map_or(0, char::len_utf8));
        rest = after;
        match letter {
            "b" => text.push('\u{8}'),
            "f" => text.push('\u{c}'),
            "n" => text.push('\n'),
            "r" => text.push('\r'),
            "t" => text.push('\t'),
            "u" => {
                let (unit, after) = unit(rest).ok_or(LoneSurrogate)?;
                rest = after;
                match char::from_u32(unit) {
                    Some(character) => text.push(character),
                    None => {
                        let low = rest.strip_prefix("\\u").and_then(self::unit);
                        let (low, after) = low.ok_or(LoneSurrogate)?;
                        rest = after;
                        let both = [unit, low].map(|unit| u16::try_from(unit).unwrap_or_default());
                        match char::decode_utf16(both).next() {
                            Some(Ok(character)) => text.push(character),
                            _ => return Err(LoneSurrogate),
                        }
                    }
                }
            }
            other => text.push_str(other),
        }
        let next = rest.find('\\').unwrap_or(rest.len());
        let (plain, after) = rest.split_at(next);
        text.push_str(plain);
        rest = after;
    }
    Ok(Cow::Owned(text))
}

/// Four hexadecimal digits and what follows them.
fn unit(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, &text[4..]))
}

/// Puts a document together again. It sets the commas and colons; that containers are closed in
/// the right order is the caller's part.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    follows_value: bool,
}

impl Writer {
    /// Room for so many bytes at first.
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { out: Vec::with_capacity(bytes), follows_value: false }
    }

    fn begin(&mut self, follows_value: bool) -> &mut Vec<u8> {
        if self.follows_value {
            self.out.push(b',');
        }
        self.follows_value = follows_value;
        &mut self.out
    }

    /// `{`
    pub fn object_start(&mut self) {
        self.begin(false).push(b'{');
    }

    /// `}`
    pub fn object_end(&mut self) {
        self.out.push(b'}');
        self.follows_value = true;
    }

    /// `[`
    pub fn array_start(&mut self) {
        self.begin(false).push(b'[');
    }

    /// `]`
    pub fn array_end(&mut self) {
        self.out.push(b']');
        self.follows_value = true;
    }

    /// A member's name, in plain characters; its value is next.
    pub fn name(&mut self, name: &str) {
        let out = self.begin(false);
        quote(out, name);
        out.push(b':');
    }

    /// A string, in plain characters.
    pub fn text(&mut self, text: &str) {
        quote(self.begin(true), text);
    }

    /// A member's name as it stood between its quotes; its value is next.
    pub fn raw_name(&mut self, raw: &str) {
        self.raw_text(raw);
        self.out.push(b':');
        self.follows_value = false;
    }

    /// A string as it stood between its quotes.
    pub fn raw_text(&mut self, raw: &str) {
        let out = self.begin(true);
        out.push(b'"');
        out.extend_from_slice(raw.as_bytes());
        out.push(b'"');
    }

    /// A number, `true`, `false`, `null`, or any other value that is JSON already.
    pub fn raw(&mut self, value: &str) {
        self.begin(true).extend_from_slice(value.as_bytes());
    }

    /// The document.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

fn quote(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1f => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[from..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let digit = |value: u8| HEX[usize::from(value)];
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
        from = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What a backend does: takes it apart and puts it together.
    fn copy(document: &[u8]) -> Vec<u8> {
        let mut writer = Writer::with_capacity(document.len());
        for token in tokens(document) {
            match token {
                Token::ObjectStart => writer.object_start(),
                Token::ObjectEnd => writer.object_end(),
                Token::ArrayStart => writer.array_start(),
                Token::ArrayEnd => writer.array_end(),
                Token::Name(raw) => writer.name(&unescape(raw).unwrap()),
                Token::Text(raw) => writer.text(&unescape(raw).unwrap()),
                Token::Number(number) => writer.raw(number),
                Token::Bool(value) => writer.raw(if value { "true" } else { "false" }),
                Token::Null => writer.raw("null"),
            }
        }
        writer.finish()
    }

    #[test]
    fn pieces_come_in_order() {
        let document = br#" { "a\"" : [1.50, -2e3, true,false , null, {}], "b":"\u00e9" } "#;
        let pieces: Vec<Token<'_>> = tokens(document).collect();
        assert_eq!(
            pieces,
            [
                Token::ObjectStart,
                Token::Name("a\\\""),
                Token::ArrayStart,
                Token::Number("1.50"),
                Token::Number("-2e3"),
                Token::Bool(true),
                Token::Bool(false),
                Token::Null,
                Token::ObjectStart,
                Token::ObjectEnd,
                Token::ArrayEnd,
                Token::Name("b"),
                Token::Text("\\u00e9"),
                Token::ObjectEnd,
            ]
        );
    }

    #[test]
    fn raw_text_stays_as_it_is() {
        let mut writer = Writer::default();
        writer.object_start();
        writer.raw_name("a\\u0041");
        writer.raw_text("\\ud800");
        writer.raw_name("b");
        writer.raw("1");
        writer.object_end();
        assert_eq!(writer.finish(), br#"{"a\u0041":"\ud800","b":1}"#);
    }

    #[test]
    fn the_depth_is_counted_without_recursion() {
        assert_eq!(depth(b"7"), 0);
        assert_eq!(depth(b"[]"), 1);
        assert_eq!(depth(br#"{"a":[{"b":"[[["}],"c":[]}"#), 3);
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(depth(deep.as_bytes()), 1_000_000);
    }

    #[test]
    fn escapes_become_characters() {
        let plain = r#"\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00é"#;
        assert_eq!(unescape(plain).unwrap(), "\"\\/\u{8}\u{c}\n\r\t\0é😀é");
        for lone in [r"\ud83d", r"\ude00", r"\ud83dx", r"\ud83d\u0041", r"\ud83d\ud83d"] {
            assert_eq!(unescape(lone), Err(LoneSurrogate), "{lone}");
        }
    }

    #[test]
    fn text_that_is_no_document_ends_as_well() {
        for bad in [&b"\"abc\\"[..], b"tr", b"}}]", b"\"", b"{\"a", b"\xff", b"x\"", b"n"] {
            assert!(tokens(bad).count() < 10);
        }
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_copy_is_equal(document in documents(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_vec_pretty(&document) } else { serde_json::to_vec(&document) }.unwrap();
            let copied = copy(&text);
            prop_assert_eq!(serde_json::from_slice::<Value>(&copied).unwrap(), document);
        }

        #[test]
        fn any_text_has_an_end(text in "[\\[\\]{}:,\"\\\\ a-fntru0-9.-]{0,40}") {
            prop_assert!(tokens(text.as_bytes()).count() <= text.len());
            if let Ok(text) = unescape(&text) {
                prop_assert!(text.len() <= 200);
            }
        }
    }
}
