//! The two layouts in which deepstream's Redis connectors keep a record.

use bytes::Bytes;
use redis::{Pipeline, Value};

use super::cluster::slots;
use super::decode::Reply;
use super::replies;
use crate::config::{wrong, Settings};
use crate::core::{check_document, Error, ErrorCode, Key, Record};
use crate::net::pipeline::Replies;
use crate::records::{classic, envelope};

/// Makes commands from records and records from replies.
#[derive(Clone)]
pub(super) struct Layout {
    form: Form,
    prefix: String,
    /// The keys of one record have a hash tag, which puts them in one slot of a cluster.
    has_hash_tags: bool,
    /// In layout V1 a text may be any value.
    has_values: bool,
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

/// The names of one record's keys, in one buffer that is used again and again.
struct Names {
    buffer: Vec<u8>,
    prefix_length: usize,
    has_hash_tags: bool,
}

impl Names {
    fn of(&mut self, key: &str, suffix: &[u8]) -> &[u8] {
        self.buffer.truncate(self.prefix_length);
        if self.has_hash_tags {
            slots::put_tagged(&mut self.buffer, key);
        } else {
            self.buffer.extend_from_slice(key.as_bytes());
        }
        self.buffer.extend_from_slice(suffix);
        &self.buffer
    }
}

/// An encoded command, written in one pass into one buffer.
struct Command {
    bytes: Vec<u8>,
    digits: itoa::Buffer,
}

/// What an argument takes besides its bytes: `$length`, two line ends, and a hash tag.
const ARGUMENT_OVERHEAD: usize = 12 + slots::TAG_OVERHEAD;

impl Command {
    /// A command with so many arguments of so many bytes together; the count must be right.
    fn new(name: &str, arguments: usize, bytes: usize) -> Command {
        let capacity = bytes + (arguments + 2) * ARGUMENT_OVERHEAD;
        let mut command = Command { bytes: Vec::with_capacity(capacity), digits: itoa::Buffer::new() };
        command.header(b'*', arguments + 1);
        command.argument(name.as_bytes());
        command
    }

    fn header(&mut self, kind: u8, number: usize) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(self.digits.format(number).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn argument(&mut self, argument: &[u8]) {
        self.header(b'$', argument.len());
        self.bytes.extend_from_slice(argument);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

impl Layout {
    pub fn new(v1: bool, prefix: &str) -> Layout {
        let form = if v1 { Form::V1 } else { Form::V2 };
        Layout { form, prefix: prefix.to_owned(), has_hash_tags: false, has_values: false }
    }

    /// The layout that the options ask for.
    pub fn from_settings(settings: &Settings) -> Layout {
        let is_v1 = settings.text("layout") == Some("V1");
        let layout = Layout::new(is_v1, settings.text("keyPrefix").unwrap_or_default());
        Layout { has_values: classic::has_values(settings), ..layout }
    }

    /// The same for a cluster, where all keys of a record must be in one slot.
    pub fn for_cluster(settings: &Settings) -> Result<Layout, Error> {
        let mut layout = Layout::from_settings(settings);
        layout.has_hash_tags = layout.form == Form::V2;
        let mut names = layout.names();
        let version = slots::key_slot(names.of("name", VERSION));
        if layout.has_hash_tags && version != slots::key_slot(names.of("name", DATA)) {
            return Err(wrong("the option \"keyPrefix\" begins an empty hash tag (`{}`), so that version and data would be apart; leave the braces out"));
        }
        Ok(layout)
    }

    /// The slot of a record's keys in a cluster.
    pub fn slot(&self, key: &str) -> u16 {
        let suffix = match self.form {
            Form::V1 => b"",
            Form::V2 => VERSION,
        };
        slots::key_slot(self.names().of(key, suffix))
    }

    fn names(&self) -> Names {
        let buffer = self.prefix.as_bytes().to_vec();
        Names { buffer, prefix_length: self.prefix.len(), has_hash_tags: self.has_hash_tags }
    }

    /// Reads records, or only their versions; see [`values`](Self::values). A version in a key of
    /// its own counts while the data are there, which `EXISTS` tells without bringing them.
    pub fn read(&self, keys: &[Key], head: bool) -> Vec<u8> {
        let per_key = self.values_per_read(head);
        let bytes: usize = keys.iter().map(|key| key.len()).sum();
        let mut command =
            Command::new("MGET", per_key * keys.len(), per_key * (bytes + self.prefix.len() * keys.len()));
        let mut names = self.names();
        for key in keys {
            match self.form {
                Form::V1 => command.argument(names.of(key, b"")),
                Form::V2 => {
                    command.argument(names.of(key, VERSION));
                    if !head {
                        command.argument(names.of(key, DATA));
                    }
                }
            }
        }
        if self.asks_for_data(head) {
            for key in keys {
                command.header(b'*', 2);
                command.argument(b"EXISTS");
                command.argument(names.of(key, DATA));
            }
        }
        command.bytes
    }

    /// Whether a read asks beside each version whether there are data.
    fn asks_for_data(&self, head: bool) -> bool {
        head && self.form == Form::V2
    }

    /// How many values [`read`](Self::read) brings for each key.
    pub fn values_per_read(&self, head: bool) -> usize {
        match (self.form, head) {
            (Form::V2, false) => 2,
            _ => 1,
        }
    }

    /// How many replies [`read`](Self::read) of so many keys has.
    pub fn replies_per_read(&self, keys: usize, head: bool) -> usize {
        if self.asks_for_data(head) {
            1 + keys
        } else {
            1
        }
    }

    /// The values in the replies to [`read`](Self::read) of so many keys.
    ///
    /// # Errors
    /// They are other replies.
    pub fn values(
        &self,
        replies: Replies<Reply>,
        keys: usize,
        head: bool,
    ) -> Result<Vec<Option<Bytes>>, Error> {
        let mut replies = replies.into_iter();
        let first = replies.next().ok_or_else(replies::unexpected)?;
        let mut values = first.into_bulk_strings(keys * self.values_per_read(head))?;
        if self.asks_for_data(head) {
            for value in &mut values {
                match replies.next() {
                    Some(Reply::Value(Value::Int(1))) => {}
                    Some(Reply::Value(Value::Int(0))) => *value = None,
                    _ => return Err(replies::unexpected()),
                }
            }
        }
        Ok(values)
    }

    /// Stores records.
    pub fn write(&self, entries: &[(Key, Record)]) -> Vec<u8> {
        let arguments = self.arguments_per_write() * entries.len();
        let bytes: usize =
            entries.iter().map(|(key, record)| 2 * (key.len() + self.prefix.len()) + record.data.len()).sum();
        let mut command = Command::new("MSET", arguments, bytes);
        let mut names = self.names();
        let mut digits = itoa::Buffer::new();
        for (key, record) in entries {
            match self.form {
                Form::V1 => {
                    command.argument(names.of(key, b""));
                    command.argument(&self.text(record));
                }
                Form::V2 => {
                    command.argument(names.of(key, VERSION));
                    command.argument(digits.format(record.version).as_bytes());
                    command.argument(names.of(key, DATA));
                    command.argument(&record.data);
                }
            }
        }
        command.bytes
    }

    /// What layout V1 stores.
    fn text(&self, record: &Record) -> Bytes {
        let value = if self.has_values { classic::value(&record.data) } else { None };
        value.unwrap_or_else(|| envelope::write(envelope::Form::V1, record, None).into())
    }

    fn arguments_per_write(&self) -> usize {
        match self.form {
            Form::V1 => 2,
            Form::V2 => 4,
        }
    }

    /// Stores records that are gone after so many seconds, all in one transaction.
    pub fn write_expiring(&self, entries: &[(Key, Record)], ttl: i64) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(2 * entries.len());
        pipeline.atomic();
        let mut names = self.names();
        for (key, record) in entries {
            match self.form {
                Form::V1 => {
                    pipeline
                        .cmd("SET")
                        .arg(names.of(key, b""))
                        .arg(&self.text(record)[..])
                        .arg("EX")
                        .arg(ttl);
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
    pub fn remove(&self, keys: &[Key]) -> Vec<u8> {
        let per_key = self.values_per_read(false);
        let bytes: usize = keys.iter().map(|key| key.len()).sum();
        let mut command =
            Command::new("DEL", per_key * keys.len(), per_key * (bytes + self.prefix.len() * keys.len()));
        let mut names = self.names();
        for key in keys {
            match self.form {
                Form::V1 => command.argument(names.of(key, b"")),
                Form::V2 => {
                    command.argument(names.of(key, VERSION));
                    command.argument(names.of(key, DATA));
                }
            }
        }
        command.bytes
    }

    /// The records in the values that a read of whole records brought.
    pub fn records(&self, values: Vec<Option<Bytes>>) -> Vec<Result<Option<Record>, Error>> {
        match self.form {
            Form::V1 => values.into_iter().map(|value| self.unwrap(value)).collect(),
            Form::V2 => {
                let mut records = Vec::with_capacity(values.len() / 2);
                let mut values = values.into_iter();
                while let (Some(version_text), Some(data)) = (values.next(), values.next()) {
                    records.push(record(version_text, data));
                }
                records
            }
        }
    }

    /// The versions in the values that a read of heads brought.
    pub fn versions(&self, values: Vec<Option<Bytes>>) -> Vec<Result<Option<i64>, Error>> {
        values
            .into_iter()
            .map(|value| match self.form {
                Form::V1 => Ok(self.unwrap(value)?.map(|record| record.version)),
                Form::V2 => version(value),
            })
            .collect()
    }

    fn unwrap(&self, value: Option<Bytes>) -> Result<Option<Record>, Error> {
        let Some(text) = value else { return Ok(None) };
        let (record, meant) = if self.has_values {
            (classic::read(&text), "the value is not JSON")
        } else {
            (envelope::read(&text), "the value is not {\"_v\": version, \"_d\": data}; is the layout V2?")
        };
        record.map(Some).ok_or_else(|| corrupt(meant))
    }
}

/// Another client's version and data need not expire together: both or none.
fn record(version_text: Option<Bytes>, data: Option<Bytes>) -> Result<Option<Record>, Error> {
    let (Some(version), Some(data)) = (version(version_text)?, data) else { return Ok(None) };
    check_document(&data).map_err(|_| corrupt("its data is not JSON"))?;
    Ok(Some(Record { version, data }))
}

fn version(value: Option<Bytes>) -> Result<Option<i64>, Error> {
    let Some(text) = value else { return Ok(None) };
    std::str::from_utf8(&text)
        .ok()
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| corrupt("the version is not a whole number"))
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorCode::Corrupt, format!("what Redis holds under this key is not a record: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the crate would send.
    fn reference(words: &[&str]) -> Vec<u8> {
        words[1..]
            .iter()
            .fold(redis::cmd(words[0]), |mut command, word| {
                command.arg(*word);
                command
            })
            .get_packed_command()
    }

    #[test]
    fn commands_are_encoded_as_the_crate_does() {
        let (v1, v2) = (Layout::new(true, ""), Layout::new(false, "p:"));
        let keys: [Key; 2] = ["a".into(), "ü\r\n$".into()];
        let record = Record { version: -7, data: Bytes::from_static(b"[1]") };
        let entries = keys.clone().map(|key| (key, record.clone()));
        assert_eq!(v1.read(&keys, false), reference(&["MGET", "a", "ü\r\n$"]));
        assert_eq!(
            v2.read(&keys, true),
            [
                reference(&["MGET", "p:a_v", "p:ü\r\n$_v"]),
                reference(&["EXISTS", "p:a_d"]),
                reference(&["EXISTS", "p:ü\r\n$_d"]),
            ]
            .concat()
        );
        assert_eq!(v2.read(&keys[..1], false), reference(&["MGET", "p:a_v", "p:a_d"]));
        assert_eq!(v1.remove(&keys[..1]), reference(&["DEL", "a"]));
        assert_eq!(v2.remove(&keys[..1]), reference(&["DEL", "p:a_v", "p:a_d"]));
        let text = r#"{"_v":-7,"_d":[1]}"#;
        assert_eq!(v1.write(&entries), reference(&["MSET", "a", text, "ü\r\n$", text]));
        assert_eq!(v2.write(&entries[..1]), reference(&["MSET", "p:a_v", "-7", "p:a_d", "[1]"]));
    }

    #[test]
    fn what_is_not_json_is_corrupt_alone() {
        let some = |text: &'static [u8]| Some(Bytes::from_static(text));
        let corrupt = |result: &Result<Option<Record>, Error>| {
            result.as_ref().is_err_and(|error| error.code() == ErrorCode::Corrupt)
        };
        for bad in [&b"hunter2 is no JSON"[..], b"", b"{", b"{} {}", b"\"\xff\""] {
            let records =
                Layout::new(false, "").records(vec![some(b"1"), some(bad), some(b"2"), some(b"[1]")]);
            assert!(corrupt(&records[0]), "{bad:?}");
            assert!(!format!("{:?}", records[0]).contains("hunter2"));
            assert!(matches!(&records[1], Ok(Some(record)) if record.version == 2));
            let envelope = Bytes::from([b"{\"_v\":1,\"_d\":", bad, b"}"].concat());
            let records = Layout::new(true, "").records(vec![Some(envelope), some(b"{\"_v\":2,\"_d\":[1]}")]);
            assert!(corrupt(&records[0]), "{bad:?}");
            assert!(matches!(&records[1], Ok(Some(record)) if record.version == 2));
        }
    }

    #[test]
    fn a_classic_value_is_stored_as_its_text_and_comes_back_equal() {
        let layout = Layout { has_values: true, ..Layout::new(true, "") };
        for text in
            [r#"{"firstname":"Wolfram"}"#, r#"{"_v":3,"_d":{},"by":1}"#, "5", "null", r#"{"_v":3,"_d":[]}"#]
        {
            let records = layout.records(vec![Some(Bytes::from(text))]);
            let [Ok(Some(record))] = &records[..] else { panic!("{text}") };
            assert_eq!(layout.text(record), text);
            assert_eq!(layout.write(&[("a".into(), record.clone())]), reference(&["MSET", "a", text]));
        }
        // Who knows no values has data that look like one, and passes other members over.
        let other = Layout::new(true, "");
        let record = Record { version: 1, data: Bytes::from_static(b"{\"__dsValue\":1}") };
        assert_eq!(other.text(&record), r#"{"_v":1,"_d":{"__dsValue":1}}"#);
        let records = other.records(vec![Some(Bytes::from_static(b"{\"_v\":3,\"_d\":[],\"by\":1}"))]);
        assert!(matches!(&records[0], Ok(Some(record)) if record.version == 3));
    }

    #[test]
    fn a_version_without_data_is_no_head() {
        let layout = Layout::new(false, "");
        let version = || Some(Bytes::from_static(b"5"));
        let replies: Replies<Reply> = [
            Reply::BulkStrings(vec![version(), version(), None]),
            Reply::Value(Value::Int(1)),
            Reply::Value(Value::Int(0)),
            Reply::Value(Value::Int(1)),
        ]
        .into_iter()
        .collect();
        assert_eq!(replies.len(), layout.replies_per_read(3, true));
        let values = layout.values(replies, 3, true).unwrap();
        let heads: Vec<_> = layout.versions(values).into_iter().map(Result::unwrap).collect();
        assert_eq!(heads, [Some(5), None, None]);
    }
}
