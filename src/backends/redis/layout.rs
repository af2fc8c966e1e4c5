//! The two layouts in which deepstream's Redis connectors keep a record.

use bytes::Bytes;
use redis::{Cmd, Pipeline, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::core::{Error, ErrorCode, Key, Record};

/// Makes commands from records and records from replies.
#[derive(Clone)]
pub(super) struct Layout {
    form: Form,
    prefix: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One key: `name` holds `{"_v":version,"_d":data}`.
    V1,
    /// Two keys: `name_v` holds the version in decimal, `name_d` the data.
    V2,
}

const VERSION: &[u8] = b"_v";
const DATA: &[u8] = b"_d";

/// A record of layout V1. Other fields are passed over.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "_v")]
    version: i64,
    #[serde(rename = "_d", borrow)]
    data: &'a RawValue,
}

/// The names of one record's keys, in one buffer that is used again and again.
struct Names {
    buffer: Vec<u8>,
    prefix_length: usize,
}

impl Names {
    fn of(&mut self, key: &str, suffix: &[u8]) -> &[u8] {
        self.buffer.truncate(self.prefix_length);
        self.buffer.extend_from_slice(key.as_bytes());
        self.buffer.extend_from_slice(suffix);
        &self.buffer
    }
}

impl Layout {
    pub fn new(v1: bool, prefix: &str) -> Layout {
        Layout { form: if v1 { Form::V1 } else { Form::V2 }, prefix: prefix.to_owned() }
    }

    fn names(&self) -> Names {
        Names { buffer: self.prefix.as_bytes().to_vec(), prefix_length: self.prefix.len() }
    }

    /// A command with room for so many keys of a batch.
    fn command(&self, name: &str, keys: impl Iterator<Item = usize> + Clone) -> Cmd {
        let (count, bytes) = keys.fold((0, 0), |(count, bytes), length| (count + 1, bytes + length));
        let mut command = Cmd::with_capacity(1 + 4 * count, 8 + bytes + count * (2 * self.prefix.len() + 32));
        command.arg(name);
        command
    }

    /// Reads records, or only what holds their versions.
    pub fn read(&self, keys: &[Key], head: bool) -> Cmd {
        let mut command = self.command("MGET", keys.iter().map(|key| 2 * key.len()));
        let mut names = self.names();
        for key in keys {
            match self.form {
                Form::V1 => {
                    command.arg(names.of(key, b""));
                }
                Form::V2 => {
                    command.arg(names.of(key, VERSION));
                    if !head {
                        command.arg(names.of(key, DATA));
                    }
                }
            }
        }
        command
    }

    /// How many values [`read`](Self::read) brings for each key.
    pub fn values_per_read(&self, head: bool) -> usize {
        match (self.form, head) {
            (Form::V2, false) => 2,
            _ => 1,
        }
    }

    /// Stores records.
    pub fn write(&self, entries: &[(Key, Record)]) -> Cmd {
        let mut command =
            self.command("MSET", entries.iter().map(|(key, record)| 2 * key.len() + record.data.len()));
        let mut names = self.names();
        for (key, record) in entries {
            match self.form {
                Form::V1 => {
                    command.arg(names.of(key, b"")).arg(envelope(record));
                }
                Form::V2 => {
                    command.arg(names.of(key, VERSION)).arg(record.version);
                    command.arg(names.of(key, DATA)).arg(&record.data[..]);
                }
            }
        }
        command
    }

    /// Stores records that are gone after so many seconds, all in one transaction.
    pub fn write_expiring(&self, entries: &[(Key, Record)], ttl: i64) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(2 * entries.len());
        pipeline.atomic();
        let mut names = self.names();
        for (key, record) in entries {
            match self.form {
                Form::V1 => {
                    pipeline.cmd("SET").arg(names.of(key, b"")).arg(envelope(record)).arg("EX").arg(ttl);
                }
                Form::V2 => {
                    pipeline.cmd("SET").arg(names.of(key, VERSION)).arg(record.version).arg("EX").arg(ttl);
                    pipeline.cmd("SET").arg(names.of(key, DATA)).arg(&record.data[..]).arg("EX").arg(ttl);
                }
            }
        }
        pipeline
    }

    /// Removes records.
    pub fn remove(&self, keys: &[Key]) -> Cmd {
        let mut command = self.command("DEL", keys.iter().map(|key| 2 * key.len()));
        let mut names = self.names();
        for key in keys {
            match self.form {
                Form::V1 => {
                    command.arg(names.of(key, b""));
                }
                Form::V2 => {
                    command.arg(names.of(key, VERSION));
                    command.arg(names.of(key, DATA));
                }
            }
        }
        command
    }

    /// The records in the values that a read of whole records brought.
    pub fn records(&self, values: Vec<Value>) -> Vec<Result<Option<Record>, Error>> {
        match self.form {
            Form::V1 => {
                values.into_iter().map(|value| Ok(unwrap(value)?.map(|(_, record)| record))).collect()
            }
            Form::V2 => {
                let mut records = Vec::with_capacity(values.len() / 2);
                let mut values = values.into_iter();
                while let (Some(version), Some(data)) = (values.next(), values.next()) {
                    records.push(record(version, data));
                }
                records
            }
        }
    }

    /// The versions in the values that a read of heads brought.
    pub fn versions(&self, values: Vec<Value>) -> Vec<Result<Option<i64>, Error>> {
        values
            .into_iter()
            .map(|value| match self.form {
                Form::V1 => Ok(unwrap(value)?.map(|(version, _)| version)),
                Form::V2 => version(&value),
            })
            .collect()
    }
}

fn envelope(record: &Record) -> Vec<u8> {
    let mut text = format!("{{\"_v\":{},\"_d\":", record.version).into_bytes();
    text.extend_from_slice(&record.data);
    text.push(b'}');
    text
}

fn unwrap(value: Value) -> Result<Option<(i64, Record)>, Error> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(text) => {
            let envelope: Envelope<'_> = serde_json::from_slice(&text).map_err(|_| {
                corrupt("the value is not {\"_v\": version, \"_d\": data}; is the layout V2?")
            })?;
            let data = Bytes::copy_from_slice(envelope.data.get().as_bytes());
            Ok(Some((envelope.version, Record { version: envelope.version, data })))
        }
        _ => Err(corrupt("the value is not a string")),
    }
}

fn record(version_value: Value, data: Value) -> Result<Option<Record>, Error> {
    let Some(version) = version(&version_value)? else { return Ok(None) };
    match data {
        // Another client's version and data need not expire together.
        Value::Nil => Ok(None),
        Value::BulkString(data) => Ok(Some(Record { version, data: data.into() })),
        _ => Err(corrupt("the data is not a string")),
    }
}

fn version(value: &Value) -> Result<Option<i64>, Error> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or_else(|| corrupt("the version is not a whole number")),
        _ => Err(corrupt("the version is not a string")),
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorCode::Corrupt, format!("what Redis holds under this key is not a record: {what}"))
}
