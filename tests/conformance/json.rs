//! Equality of JSON documents, stricter than any parser at hand: numbers to the last digit,
//! strings with unpaired surrogates, any depth that a record may have.

use std::collections::BTreeMap;

/// A document, so that equal documents are equal values: members of objects in any order,
/// strings as UTF-16 (JSON may escape unpaired surrogates), numbers by their value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(Vec<u16>),
    Array(Vec<Json>),
    Object(BTreeMap<Vec<u16>, Json>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Number {
    /// Sign, digits without zeros at either end, and the power of ten of the last digit.
    Exact(bool, String, i64),
    /// What JavaScript makes of it.
    Double(u64),
}

/// How well a host keeps numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Every digit.
    Exact,
    /// As the nearest 64-bit floating point number, without a negative zero.
    Doubles,
}

/// Whether two documents are equal; the error says why they cannot be compared.
pub fn equal(left: &[u8], right: &[u8], numbers: Numbers) -> Result<bool, String> {
    Ok(read(left, numbers)? == read(right, numbers)?)
}

fn read(document: &[u8], numbers: Numbers) -> Result<Json, String> {
    let text = std::str::from_utf8(document).map_err(|error| format!("not UTF-8: {error}"))?;
    let mut reader = Reader { text: text.as_bytes(), at: 0, numbers };
    let value = reader.value()?;
    reader.skip_space();
    match reader.at == text.len() {
        true => Ok(value),
        false => reader.wrong("more than one document"),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    numbers: Numbers,
}

impl Reader<'_> {
    fn wrong<R>(&self, what: &str) -> Result<R, String> {
        Err(format!("no JSON at byte {}: {what}", self.at))
    }

    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(|byte| b" \t\r\n".contains(byte)) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> u8 {
        self.skip_space();
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, String> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return self.wrong("an unknown word");
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self) -> Result<Json, String> {
        match self.next() {
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'"' => self.string().map(Json::String),
            b'[' => self.array(),
            b'{' => self.object(),
            b'-' | b'0'..=b'9' => self.number().map(Json::Number),
            _ => self.wrong("no value"),
        }
    }

    fn array(&mut self) -> Result<Json, String> {
        self.at += 1;
        let mut elements = Vec::new();
        if self.next() == b']' {
            self.at += 1;
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            match self.next() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(Json::Array(elements));
                }
                _ => return self.wrong("neither a comma nor the end of a list"),
            }
        }
    }

    fn object(&mut self) -> Result<Json, String> {
        self.at += 1;
        let mut members = BTreeMap::new();
        if self.next() == b'}' {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            if self.next() != b'"' {
                return self.wrong("no member name");
            }
            let name = self.string()?;
            if self.next() != b':' {
                return self.wrong("no colon");
            }
            self.at += 1;
            members.insert(name, self.value()?);
            match self.next() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Json::Object(members));
                }
                _ => return self.wrong("neither a comma nor the end of an object"),
            }
        }
    }

    fn string(&mut self) -> Result<Vec<u16>, String> {
        self.at += 1;
        let mut units = Vec::new();
        loop {
            let start = self.at;
            while self.text.get(self.at).is_some_and(|&byte| byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            // The whole text is UTF-8, and it is cut at ASCII characters alone.
            let plain = std::str::from_utf8(&self.text[start..self.at]).expect("cut at ASCII");
            if plain.chars().any(|character| character < ' ') {
                return self.wrong("a control character in a string");
            }
            units.extend(plain.encode_utf16());
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(units);
                }
                Some(_) => units.push(self.escape()?),
                None => return self.wrong("a string without an end"),
            }
        }
    }

    fn escape(&mut self) -> Result<u16, String> {
        let letter = self.text.get(self.at + 1).copied().unwrap_or(0);
        self.at += 2;
        Ok(match letter {
            b'"' | b'\\' | b'/' => u16::from(letter),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
                self.at += 4;
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                u16::from_str_radix(digits, 16).map_err(|_| format!("a bad escape: {digits:?}"))?
            }
            _ => return self.wrong("an unknown escape"),
        })
    }

    fn number(&mut self) -> Result<Number, String> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|byte| b"+-.eE0123456789".contains(byte)) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).expect("ASCII");
        let wrong = || format!("no number: {text:?}");
        if self.numbers == Numbers::Doubles {
            let double: f64 = text.parse().map_err(|_| wrong())?;
            // Adding zero makes a negative zero a positive one.
            return Ok(Number::Double((double + 0.0).to_bits()));
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| wrong())?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let power = exponent - i64::try_from(fraction.len()).expect("a short number");
        let trimmed = digits.trim_end_matches('0');
        let power = power + i64::try_from(digits.len() - trimmed.len()).expect("a short number");
        let trimmed = trimmed.trim_start_matches('0');
        let power = if trimmed.is_empty() { 0 } else { power };
        Ok(Number::Exact(negative, trimmed.to_owned(), power))
    }
}

/// The comparison is itself compared with what is known.
pub fn self_test() {
    let same = [
        ("[1.50e3, 2]", "[1500,2.0]"),
        (r#"{"a":1,"b":2}"#, r#"{ "b" : 2, "a" : 1 }"#),
        (r#""\u00e9\n\ud83d\ude00""#, "\"é\\n😀\""),
        ("12345678901234567890123", "12345678901234567890123"),
        ("0.0", "0"),
    ];
    for (left, right) in same {
        assert_eq!(equal(left.as_bytes(), right.as_bytes(), Numbers::Exact), Ok(true), "{left} {right}");
    }
    let different = [
        ("12345678901234567890123", "12345678901234567890124"),
        ("0.1", "0.10000000000000001"),
        ("[]", "{}"),
        ("-0", "0"),
        (r#""\ud800""#, r#""\udc00""#),
        ("[[]]", "[[],[]]"),
        ("null", "false"),
        (r#"{"a":null}"#, "{}"),
    ];
    for (left, right) in different {
        assert_eq!(equal(left.as_bytes(), right.as_bytes(), Numbers::Exact), Ok(false), "{left} {right}");
    }
    assert_eq!(equal(b"0.1", b"0.10000000000000001", Numbers::Doubles), Ok(true));
    assert_eq!(equal(b"-0", b"0", Numbers::Doubles), Ok(true));
    for bad in ["", "{", "[1,]", "\"", "nul", "1 2", "\"\\x\"", "{\"a\" 1}"] {
        assert!(equal(bad.as_bytes(), b"1", Numbers::Exact).is_err(), "{bad:?} is no JSON");
    }
}
