//! Commands and events as bytes; see `tests/hosts/PROTOCOL.md`.

use std::io::{self, BufRead, Read};

use deepstream_connector::core::{Applied, Page};

use crate::conformance::host::{Answer, Command, Entry, Event, Failure};

/// Appends a command's line and payload.
pub fn encode(command: &Command, out: &mut Vec<u8>) {
    match command {
        Command::Create { connector, mode, configuration } => {
            line(out, format_args!("create {connector} {mode} {}", configuration.len()));
            out.extend_from_slice(configuration);
        }
        Command::One { verb, connector, request, timeout, key } => {
            line(out, format_args!("{} {connector} {request} {timeout} {}", verb.name(), key.len()));
            out.extend_from_slice(key);
        }
        Command::Set { connector, request, timeout, entry: Entry { key, version, data } } => {
            line(
                out,
                format_args!("set {connector} {request} {timeout} {version} {} {}", key.len(), data.len()),
            );
            out.extend_from_slice(key);
            out.extend_from_slice(data);
        }
        Command::Many { verb, connector, request, timeout, keys } => {
            let mut payload = Vec::new();
            for key in keys {
                counted(&mut payload, key);
            }
            line(
                out,
                format_args!(
                    "{}_many {connector} {request} {timeout} {} {}",
                    verb.name(),
                    keys.len(),
                    payload.len()
                ),
            );
            out.append(&mut payload);
        }
        Command::SetMany { connector, request, timeout, entries } => {
            let mut payload = Vec::new();
            for entry in entries {
                counted(&mut payload, &entry.key);
                payload.extend_from_slice(&entry.version.to_le_bytes());
                counted(&mut payload, &entry.data);
            }
            line(
                out,
                format_args!("set_many {connector} {request} {timeout} {} {}", entries.len(), payload.len()),
            );
            out.append(&mut payload);
        }
        Command::Scan { connector, request, timeout, limit, prefix, cursor } => {
            let (p, k) = (prefix.len(), cursor.len());
            line(out, format_args!("scan {connector} {request} {timeout} {limit} {p} {k}"));
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(cursor);
        }
        Command::Ask { connector, request, timeout, name, arguments } => {
            line(
                out,
                format_args!("command {connector} {request} {timeout} {} {}", name.len(), arguments.len()),
            );
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(arguments);
        }
        Command::IsReady { connector, request } => line(out, format_args!("is_ready {connector} {request}")),
        Command::Statistics { connector, request } => line(out, format_args!("stats {connector} {request}")),
        Command::Close { connector } => line(out, format_args!("close {connector}")),
        Command::Free { connector } => line(out, format_args!("free {connector}")),
        Command::FreeInCallback { connector, request, key } => {
            line(out, format_args!("free_in_callback {connector} {request} {}", key.len()));
            out.extend_from_slice(key);
        }
        Command::Burst(commands) => {
            line(out, format_args!("burst {}", commands.len()));
            for command in commands {
                encode(command, out);
            }
        }
        Command::Exit { status } => line(out, format_args!("exit {status}")),
    }
}

fn line(out: &mut Vec<u8>, words: std::fmt::Arguments<'_>) {
    out.extend_from_slice(words.to_string().as_bytes());
    out.push(b'\n');
}

fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("no test has 4 GiB of data");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a page as hosts report it: each record, then the cursor.
pub fn write_page(page: &Page) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, record) in &page.records {
        counted(&mut out, key.as_bytes());
        out.extend_from_slice(&record.version.to_le_bytes());
        counted(&mut out, &record.data);
    }
    out.extend_from_slice(page.next.as_deref().unwrap_or_default().as_bytes());
    out
}

/// Reads a page of so many records: the records, and the cursor, which is empty on the last one.
pub fn read_page(mut payload: &[u8], count: i64) -> Option<(Vec<Entry>, Vec<u8>)> {
    let mut entries = Vec::new();
    for _ in 0..count {
        let (key, rest) = take_counted(payload)?;
        let (version, rest) = rest.split_at_checked(8)?;
        let (data, rest) = take_counted(rest)?;
        let version = i64::from_le_bytes(version.try_into().ok()?);
        entries.push(Entry { key: key.to_vec(), version, data: data.to_vec() });
        payload = rest;
    }
    Some((entries, payload.to_vec()))
}

fn take_counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)
}

/// Reads a host's greeting: its language and the words for its features.
pub fn read_greeting(input: &mut impl BufRead) -> io::Result<(String, String)> {
    let line = read_line(input)?.ok_or_else(|| wrong("it ended without a greeting"))?;
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("hello"), Some(language), features, None) => {
            Ok((language.to_owned(), features.unwrap_or_default().to_owned()))
        }
        _ => Err(wrong(format!("it greeted with {line:?} instead of \"hello <language> <features>\""))),
    }
}

/// Reads one event; `None` at the end of the host's output.
pub fn read_event(input: &mut impl BufRead) -> io::Result<Option<Event>> {
    let Some(line) = read_line(input)? else { return Ok(None) };
    let mut words = Words { line: &line, rest: line.split(' ') };
    let event = match words.word()? {
        "created" => {
            let (connector, code, length) = (words.number()?, words.number()?, words.number()?);
            Event::Created { connector, failure: failure(code, text(input, length)?) }
        }
        "refused" => {
            let (connector, request) = (words.number()?, words.number()?);
            let (code, length) = (words.number()?, words.number()?);
            Event::Refused { connector, request, failure: failure(code, text(input, length)?) }
        }
        "done" => {
            let (connector, request, code) = (words.number()?, words.number()?, words.number()?);
            let (retryable, applied) = (words.flag()?, applied(words.flag()?));
            let (found, version) = (words.flag()?, words.number()?);
            let (message, data) = (words.number()?, words.number()?);
            let (message, data) = (text(input, message)?, bytes(input, data)?);
            let answer = Answer { code, retryable, message, applied, found, version, data };
            Event::Done { connector, request, answer }
        }
        "many" => {
            let (connector, request, code) = (words.number()?, words.number()?, words.number()?);
            let applied = applied(words.flag()?);
            let (message, count, length) = (words.number()?, words.number()?, words.number()?);
            let message = text(input, message)?;
            let payload = bytes(input, length)?;
            let answers = read_answers(&payload, count).ok_or_else(|| {
                wrong(format!("the payload of {line:?} is no list of {count} answers: {payload:?}"))
            })?;
            Event::Many { connector, request, failure: Failure { code, message, applied }, answers }
        }
        "is_ready" => {
            Event::IsReady { connector: words.number()?, request: words.number()?, ready: words.flag()? }
        }
        "stats" => {
            let (connector, request, length) = (words.number()?, words.number()?, words.number()?);
            Event::Statistics { connector, request, json: bytes(input, length)? }
        }
        "ready" => Event::Ready { connector: words.number()? },
        "error" => {
            let (connector, code, fatal) = (words.number()?, words.number()?, words.flag()?);
            let message = text(input, words.number()?)?;
            Event::Error { connector, failure: failure(code, message), fatal }
        }
        "log" => {
            let (connector, level) = (words.number()?, level_name(words.number()?)?);
            let message = text(input, words.number()?)?;
            Event::Log { connector, level, message }
        }
        "notification" => {
            let (connector, channel, payload) = (words.number()?, words.number()?, words.number()?);
            let (channel, payload) = (text(input, channel)?, text(input, payload)?);
            Event::Notification { connector, channel, payload }
        }
        "closed" => {
            let (connector, code, length) = (words.number()?, words.number()?, words.number()?);
            Event::Closed { connector, failure: failure(code, text(input, length)?) }
        }
        "freed" => Event::Freed { connector: words.number()? },
        _ => return Err(wrong(format!("{line:?} is no event of the protocol"))),
    };
    match words.rest.next() {
        None => Ok(Some(event)),
        Some(_) => Err(wrong(format!("{line:?} has too many words"))),
    }
}

fn level_name(number: usize) -> io::Result<String> {
    let names = ["debug", "info", "warn", "error"];
    let name = names.get(number).ok_or_else(|| wrong(format!("{number} is no level of the log")))?;
    Ok((*name).to_owned())
}

struct Words<'a> {
    line: &'a str,
    rest: std::str::Split<'a, char>,
}

impl<'a> Words<'a> {
    fn word(&mut self) -> io::Result<&'a str> {
        self.rest.next().ok_or_else(|| wrong(format!("{:?} has too few words", self.line)))
    }

    fn number<N: std::str::FromStr>(&mut self) -> io::Result<N> {
        let word = self.word()?;
        word.parse().map_err(|_| wrong(format!("{word:?} in {:?} is no number here", self.line)))
    }

    fn flag(&mut self) -> io::Result<bool> {
        match self.word()? {
            "0" => Ok(false),
            "1" => Ok(true),
            word => Err(wrong(format!("{word:?} in {:?} is neither 0 nor 1", self.line))),
        }
    }
}

fn failure(code: i32, message: String) -> Failure {
    Failure { code, message, applied: Applied::No }
}

fn applied(may_be: bool) -> Applied {
    if may_be {
        Applied::Unknown
    } else {
        Applied::No
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    match line.pop() {
        Some(b'\n') => {}
        _ => return Err(wrong(format!("it ended in the middle of a line: {:?}", shown(&line)))),
    }
    String::from_utf8(line)
        .map(Some)
        .map_err(|error| wrong(format!("a line is not ASCII: {:?}", shown(error.as_bytes()))))
}

fn bytes(input: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    input.take(length as u64).read_to_end(&mut payload)?;
    match payload.len() {
        read if read == length => Ok(payload),
        read => Err(wrong(format!("it ended after {read} of {length} bytes of a payload"))),
    }
}

fn text(input: &mut impl BufRead, length: usize) -> io::Result<String> {
    String::from_utf8(bytes(input, length)?)
        .map_err(|error| wrong(format!("a message is not UTF-8: {:?}", shown(error.as_bytes()))))
}

fn read_answers(mut payload: &[u8], count: usize) -> Option<Vec<Answer>> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let (head, rest) = payload.split_at_checked(4 + 1 + 1 + 8 + 4)?;
        let code = i32::from_le_bytes(head[..4].try_into().ok()?);
        let (applied, found) = (applied(head[4] != 0), head[5] != 0);
        let version = i64::from_le_bytes(head[6..14].try_into().ok()?);
        let length = u32::from_le_bytes(head[14..].try_into().ok()?);
        let (data, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let data = data.to_vec();
        answers.push(Answer { code, applied, found, version, data, ..Answer::default() });
        payload = rest;
    }
    payload.is_empty().then_some(answers)
}

fn shown(bytes: &[u8]) -> String {
    crate::conformance::host::shown(bytes)
}

fn wrong(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}
