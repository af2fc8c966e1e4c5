//! Records as lines of JSON: `{"key": …, "version": …, "data": …}`.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Read};

use deepstream_connector::core::{check_key, Key, Record};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::Value;

/// Longer lines are no records: no database takes them.
const LONGEST: u64 = 1 << 30;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    version: i64,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A record's line, without its end. Of the data only line breaks between values change, which are spaces there.
pub fn write(key: &str, record: &Record) -> Vec<u8> {
    let mut line = Vec::with_capacity(key.len() + record.data.len() + 40);
    line.extend_from_slice(b"{\"key\":");
    line.extend_from_slice(Value::from(key).to_string().as_bytes());
    line.extend_from_slice(format!(",\"version\":{},\"data\":", record.version).as_bytes());
    line.extend(record.data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    line.push(b'}');
    line
}

/// Reads a record from its line.
///
/// # Errors
/// What is wrong with it, without a word of it.
pub fn read(line: &[u8]) -> Result<(Key, Record), String> {
    let text =
        std::str::from_utf8(line).map_err(|error| format!("no UTF-8 at byte {}", error.valid_up_to()))?;
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| {
        let what = if error.is_data() { "no \"key\", \"version\" and \"data\"" } else { "no JSON" };
        format!(
            "{what} (column {}); give {{\"key\": text, \"version\": number, \"data\": document}}",
            error.column()
        )
    })?;
    check_key(&line.key).map_err(|error| error.message().to_owned())?;
    let record = Record { version: line.version, data: line.data.get().to_owned().into() };
    Ok((line.key.as_ref().into(), record))
}

/// The lines of a text, one after the other.
pub struct Lines {
    reader: BufReader<Box<dyn Read>>,
    /// The number of the last one.
    pub number: u64,
}

impl Lines {
    pub fn new(text: Box<dyn Read>) -> Lines {
        Lines { reader: BufReader::with_capacity(1 << 16, text), number: 0 }
    }

    /// The next line that is not empty; none at the end.
    pub fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            if (&mut self.reader).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.len() as u64 == LONGEST {
                return Err(io::Error::other(format!("line {} is longer than any record", self.number)));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back() {
        for data in ["[1,\n2]", r#"{"a":"\ud800","b":1e400}"#, "12345678901234567890.10", "\"\u{2028}\""] {
            let record = Record { version: -7, data: data.as_bytes().to_vec().into() };
            let line = write("a\n\"b\u{0}", &record);
            assert!(!line.contains(&b'\n'));
            let (key, read) = read(&line).unwrap();
            assert_eq!(&*key, "a\n\"b\u{0}");
            assert_eq!((read.version, read.data), (-7, data.replace('\n', " ").into()));
        }
        let deep =
            Record { version: 1, data: format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into() };
        assert_eq!(read(&write("k", &deep)).unwrap().1, deep);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_text() {
        for line in [&b"{\"hunter2\""[..], b"{\"key\":\"hunter2\"}", b"[\"hunter2\"]", b"\"hunter2\xff\""] {
            let message = read(line).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(read(br#"{"key":"","version":1,"data":1}"#).unwrap_err().contains("empty"));
    }
}
