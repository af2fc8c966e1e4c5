//! Standard output: data, and nothing else.

use std::io::{self, ErrorKind, StdoutLock, Write};
use std::process;

use serde_json::Value;

use crate::failure::Failure;

/// Lines for whoever reads them.
pub struct Output(io::BufWriter<StdoutLock<'static>>);

impl Output {
    pub fn new() -> Output {
        Output(io::BufWriter::new(io::stdout().lock()))
    }

    pub fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        checked(self.0.write_all(line).and_then(|()| self.0.write_all(b"\n")))
    }

    pub fn text(&mut self, line: &str) -> Result<(), Failure> {
        self.line(line.as_bytes())
    }

    pub fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.text(&value.to_string())
    }

    /// Whoever writes has to see that it arrived.
    pub fn finish(mut self) -> Result<(), Failure> {
        checked(self.0.flush())
    }
}

/// A reader that has seen enough, such as `head`, ends the program without a word, as SIGPIPE would.
pub fn checked(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(128 + 13),
        Err(error) => Err(Failure::file("standard output", &error)),
    }
}

/// A key in a line of text: as it is, or as JSON where it could be taken for something else.
pub fn shown(key: &str) -> String {
    let is_plain = !key.starts_with(['"', ' ']) && !key.ends_with(' ') && !key.chars().any(char::is_control);
    if is_plain {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_one_line() {
        assert_eq!(shown("users/1"), "users/1");
        assert_eq!(shown("a\nb"), r#""a\nb""#);
        assert_eq!(shown("\"x\""), r#""\"x\"""#);
        assert_eq!(shown("a "), r#""a ""#);
    }
}
