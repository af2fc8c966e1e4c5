//! What a connection promises the engine, by batches.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection as Plain;
use tempfile::TempDir;

use crate::backends;
use crate::core::{Backend, Connection, Error, ErrorCode, Key, Record, Remedy};

/// A file, a connection of the backend to it, and what is needed to wait for its answers.
struct Fixture {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
    connection: Option<Arc<dyn Connection>>,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with("")
    }

    fn with(options: &str) -> Fixture {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut fixture = Fixture { folder: tempfile::tempdir().unwrap(), runtime, connection: None };
        fixture.connect(options).unwrap();
        fixture
    }

    fn connect(&mut self, options: &str) -> Result<(), Error> {
        let link = self.runtime.block_on(open(&self.path(), options).connect())?;
        self.connection = Some(link.connection);
        Ok(())
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("records.sqlite")
    }

    /// Somebody else's connection to the file.
    fn plain(&self) -> Plain {
        Plain::open(self.path()).unwrap()
    }

    fn connection(&self) -> &Arc<dyn Connection> {
        self.connection.as_ref().unwrap()
    }

    fn set_many(&self, keys: &[&str]) -> Result<Vec<Result<(), Error>>, Error> {
        let entries: Vec<(Key, Record)> =
            keys.iter().map(|key| ((*key).into(), record(1, &format!("\"{}\"", key.len())))).collect();
        self.runtime.block_on(self.connection().set_many(&entries))
    }

    fn set(&self, key: &str, version: i64, data: &str) -> Result<(), Error> {
        self.runtime.block_on(self.connection().set_many(&[(key.into(), record(version, data))]))?.remove(0)
    }

    fn get_many(&self, keys: &[&str]) -> Vec<Result<Option<Record>, Error>> {
        let keys: Vec<Key> = keys.iter().map(|key| (*key).into()).collect();
        self.runtime.block_on(self.connection().get_many(&keys)).unwrap()
    }

    fn get(&self, key: &str) -> Result<Option<Record>, Error> {
        self.get_many(&[key]).remove(0)
    }

    fn head(&self, key: &str) -> Result<Option<i64>, Error> {
        self.runtime.block_on(self.connection().head_many(&[key.into()])).unwrap().remove(0)
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        self.runtime.block_on(self.connection().delete_many(&[key.into()])).unwrap().remove(0)
    }

    fn tables(&self) -> Vec<String> {
        let plain = self.plain();
        let mut statement =
            plain.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.collect::<Result<_, _>>().unwrap()
    }
}

fn open(path: &Path, options: &str) -> Arc<dyn Backend> {
    let path = serde_json::to_string(path).unwrap();
    let configuration = format!(r#"{{"type": "sqlite", "path": {path}{options}}}"#);
    backends::open(configuration.as_bytes()).unwrap().0
}

fn record(version: i64, data: &str) -> Record {
    Record { version, data: data.to_owned().into() }
}

fn refusal(configuration: &str) -> String {
    let Err(error) = backends::open(configuration.as_bytes()) else { panic!("{configuration} is taken") };
    assert_eq!(error.code(), ErrorCode::Configuration);
    error.message().to_owned()
}

#[test]
fn options_that_cannot_be_right_are_named() {
    assert!(refusal(r#"{"type": "sqlite"}"#).contains("\"path\" is missing; give the file"));
    assert!(refusal(r#"{"type": "sqlite", "path": ""}"#).contains("\"path\" is empty"));
    assert!(refusal(r#"{"type": "sqlite", "path": ":memory:"}"#).contains("the type \"memory\""));
    assert!(refusal(r#"{"type": "sqlite", "path": "a\u0000b"}"#).contains("NUL"));
    assert!(refusal(r#"{"type": "sqlite", "path": "a", "splitChar": ""}"#).contains("\"splitChar\" is empty"));
    assert!(refusal(r#"{"type": "sqlite", "path": "a", "defaultTable": ""}"#).contains("\"defaultTable\""));
    let wrong_word = refusal(r#"{"type": "sqlite", "path": "a", "synchronous": "FUL"}"#);
    assert!(wrong_word.contains("FULL, NORMAL, OFF, EXTRA") && wrong_word.contains("did you mean \"FULL\""));
    assert!(refusal(r#"{"type": "sqlite", "path": "a", "paht": "b"}"#).contains("did you mean"));
    let lower_case = br#"{"type": "sqlite", "path": "a", "synchronous": "normal", "busyTimeout": 0}"#;
    assert!(backends::open(lower_case).is_ok());
}

#[test]
fn a_path_is_a_path_even_if_it_looks_like_a_uri() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let odd = folder.path().join("file:a?mode=memory");
    let link = runtime.block_on(open(&odd, "").connect()).unwrap();
    runtime.block_on(link.connection.set_many(&[("a".into(), record(1, "{}"))])).unwrap().remove(0).unwrap();
    assert!(odd.exists());
}

#[test]
fn reading_and_deleting_make_no_table() {
    let fixture = Fixture::new();
    for key in ["users/1", "1", "json_each/1", "pragma_table_info/1", "dbstat/1", "sqlite_schema/name"] {
        assert_eq!(fixture.get(key).unwrap(), None);
        assert_eq!(fixture.head(key).unwrap(), None);
        fixture.delete(key).unwrap();
    }
    assert_eq!(fixture.tables(), [""; 0]);
}

#[test]
fn collections_named_like_sqlites_own_tables_are_ordinary() {
    let fixture = Fixture::new();
    let keys = ["json_each/1", "pragma_table_info/1", "dbstat/1", "sqlite_schema/1", "fts5/1", "main/1"];
    for key in keys {
        fixture.set(key, 7, "[1]").unwrap();
        assert_eq!(fixture.get(key).unwrap(), Some(record(7, "[1]")), "{key}");
        assert_eq!(fixture.head(key).unwrap(), Some(7));
    }
    for key in keys {
        fixture.delete(key).unwrap();
        assert_eq!(fixture.get(key).unwrap(), None);
    }
}

#[test]
fn data_comes_back_byte_for_byte() {
    let fixture = Fixture::new();
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    let texts = [
        " { \"a\" : 1.0 ,\r\n\t\"b\":[ ] } ",
        r#""\u0000\ud83d\ude00""#,
        "\"\u{fffe}\u{ffff}\u{feff}\u{10ffff}😀\"",
        r#"{"id":1,"version":2,"data":3,"__proto__":{},"a.b":"$","":null}"#,
        "-0",
        "1e400",
        "123456789012345678901234567890",
        "null",
        &deep,
    ];
    for (version, text) in [i64::MIN, -1, 0, i64::MAX].into_iter().cycle().zip(texts) {
        fixture.set("users/1", version, text).unwrap();
        assert_eq!(fixture.get("users/1").unwrap(), Some(record(version, text)));
        assert_eq!(fixture.head("users/1").unwrap(), Some(version));
    }
}

#[test]
fn ids_are_compared_byte_for_byte() {
    let fixture = Fixture::new();
    let keys = [
        "users/a",
        "users/A",
        "users/a ",
        "users/",
        "users/\0",
        "users/\0\0",
        "users/a\0",
        "users/a\0b",
        "users/é",
        "users/e\u{301}",
        "users/1",
        "users/1.0",
        "users/01",
        "users//a",
    ];
    fixture.set_many(&keys).unwrap().into_iter().for_each(Result::unwrap);
    let count: i64 = fixture.plain().query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(count, keys.len() as i64);
    for key in keys {
        assert_eq!(fixture.get(key).unwrap(), Some(record(1, &format!("\"{}\"", key.len()))));
    }
    fixture.delete("users/a\0").unwrap();
    assert!(fixture.get("users/a").unwrap().is_some() && fixture.get("users/a\0").unwrap().is_none());
}

#[test]
fn a_separator_may_be_longer_than_a_character() {
    let fixture = Fixture::with(r#", "splitChar": "::", "defaultTable": "Rest""#);
    fixture
        .set_many(&["users::1", "users:1", "::1", "Rest::1"])
        .unwrap()
        .into_iter()
        .for_each(Result::unwrap);
    assert_eq!(fixture.tables(), ["users", "~2", "~3~rest", "~rest"]);
}

#[test]
fn a_row_that_is_refused_leaves_the_others_of_its_batch_alone() {
    let fixture = Fixture::new();
    let all = ["users/1", "users/bad", "lists/2", "users/worse", "users/3", "users/large"];
    fixture.set("users/0", 1, "{}").unwrap();
    fixture
        .plain()
        .execute_batch(
            "CREATE TRIGGER a BEFORE INSERT ON users WHEN new.id = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END;
             CREATE TRIGGER b BEFORE INSERT ON users WHEN new.id = 'worse' BEGIN SELECT RAISE(ROLLBACK, 'no'); END;
             CREATE TRIGGER c BEFORE INSERT ON users WHEN new.id = 'large' BEGIN SELECT zeroblob(2000000000); END;",
        )
        .unwrap();
    let results = fixture.set_many(&all).unwrap();
    let codes: Vec<Option<ErrorCode>> =
        results.iter().map(|result| result.as_ref().err().map(Error::code)).collect();
    let (refused, large) = (Some(ErrorCode::Backend), Some(ErrorCode::TooLarge));
    assert_eq!(codes, [None, refused, None, refused, None, large]);
    let stored: Vec<bool> =
        fixture.get_many(&all).into_iter().map(|result| result.unwrap().is_some()).collect();
    assert_eq!(stored, [true, false, true, false, true, false]);
    let message = results[1].as_ref().unwrap_err().message();
    assert!(message.contains("constraint or trigger") && !message.contains("users"), "{message}");
}

#[test]
fn a_table_of_somebody_elses_making_fails_its_records_alone() {
    let fixture = Fixture::new();
    fixture
        .plain()
        .execute_batch(
            "CREATE TABLE theirs (name TEXT); CREATE TABLE keyless (id TEXT, version INTEGER, data TEXT);
             CREATE VIEW seen AS SELECT 'a' AS id, 1 AS version, '{}' AS data;
             CREATE INDEX named ON theirs (name);",
        )
        .unwrap();
    let keys = ["theirs/1", "keyless/1", "seen/1", "named/1", "ours/1"];
    let results = fixture.set_many(&keys).unwrap();
    for result in &results[..4] {
        let error = result.as_ref().unwrap_err();
        assert_eq!((error.code(), error.remedy()), (ErrorCode::Backend, Remedy::Report));
        assert!(error.message().contains("is not one for records"), "{error}");
        assert!(!["theirs", "keyless", "seen"].iter().any(|name| error.message().contains(name)));
    }
    results[4].as_ref().unwrap();
    let read = fixture.get_many(&["theirs/1", "named/1", "ours/1", "seen/a"]);
    assert_eq!(read[0].as_ref().unwrap_err().code(), ErrorCode::Backend);
    assert_eq!(read[1].as_ref().unwrap(), &None);
    assert!(read[2].as_ref().unwrap().is_some());
    assert_eq!(read[3].as_ref().unwrap(), &Some(record(1, "{}")));
    assert_eq!(fixture.delete("theirs/1").unwrap_err().code(), ErrorCode::Backend);
}

#[test]
fn a_table_that_is_dropped_under_us_is_made_again() {
    let fixture = Fixture::new();
    fixture.set_many(&["users/1", "users/2"]).unwrap();
    assert!(fixture.get("users/1").unwrap().is_some());
    fixture.plain().execute_batch("DROP TABLE users").unwrap();
    assert_eq!(fixture.get("users/1").unwrap(), None);
    assert_eq!(fixture.head("users/1").unwrap(), None);
    fixture.delete("users/1").unwrap();
    fixture.set_many(&["users/1", "users/2"]).unwrap().into_iter().for_each(Result::unwrap);
    fixture.plain().execute_batch("DROP TABLE users").unwrap();
    fixture.set_many(&["users/1", "users/2"]).unwrap().into_iter().for_each(Result::unwrap);
    assert!(fixture.get("users/2").unwrap().is_some());
}

#[test]
fn columns_and_indexes_that_a_person_adds_do_no_harm() {
    let fixture = Fixture::new();
    fixture.set("users/1", 1, r#"{"name":"Ada"}"#).unwrap();
    fixture
        .plain()
        .execute_batch(
            "ALTER TABLE users ADD COLUMN note TEXT DEFAULT 'none';
             ALTER TABLE users ADD COLUMN name TEXT AS (data->>'$.name');
             CREATE INDEX by_name ON users (name); UPDATE users SET note = 'kept';",
        )
        .unwrap();
    fixture.set("users/1", 2, r#"{"name":"Grace"}"#).unwrap();
    assert_eq!(fixture.get("users/1").unwrap(), Some(record(2, r#"{"name":"Grace"}"#)));
    let row: (String, String) = fixture
        .plain()
        .query_row("SELECT name, note FROM users", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(row, ("Grace".into(), "kept".into()));
}

#[test]
fn a_row_that_is_no_record_is_corrupt_and_harms_nobody_else() {
    let fixture = Fixture::new();
    fixture.set("users/good", 1, "{}").unwrap();
    fixture
        .plain()
        .execute_batch(
            "INSERT INTO users VALUES ('version', 'seven', '{}'), ('json', 1, '{nonsense'),
                                      ('blob', 1, x'7b7d'), ('number', '8', 5);",
        )
        .unwrap();
    let results =
        fixture.get_many(&["users/version", "users/json", "users/blob", "users/good", "users/number"]);
    for result in &results[..3] {
        assert_eq!(result.as_ref().unwrap_err().code(), ErrorCode::Corrupt);
    }
    assert!(results[3].as_ref().unwrap().is_some());
    assert_eq!(results[4].as_ref().unwrap(), &Some(record(8, "5")));
    assert_eq!(fixture.head("users/version").unwrap_err().code(), ErrorCode::Corrupt);
    fixture.set("users/version", 1, "{}").unwrap();
    assert!(fixture.get("users/version").unwrap().is_some());
}

#[test]
fn a_read_waits_for_no_writer_and_sees_all_that_was_acknowledged() {
    let fixture = Fixture::new();
    fixture.set("users/1", 1, "{}").unwrap();
    let plain = fixture.plain();
    plain.execute_batch("BEGIN IMMEDIATE; UPDATE users SET version = 2").unwrap();
    let began = Instant::now();
    assert_eq!(fixture.head("users/1").unwrap(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(1));
    plain.execute_batch("COMMIT").unwrap();
    assert_eq!(fixture.head("users/1").unwrap(), Some(2));
    for version in 0..500 {
        fixture.set("users/1", version, "{}").unwrap();
        assert_eq!(fixture.head("users/1").unwrap(), Some(version));
    }
}

#[test]
fn a_lock_of_somebody_else_passes() {
    let fixture = Fixture::with(r#", "busyTimeout": 50"#);
    let plain = fixture.plain();
    plain.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = fixture.set("users/1", 1, "{}").unwrap_err();
    assert_eq!((error.code(), error.remedy()), (ErrorCode::Unavailable, Remedy::TryAgain));
    assert!(error.message().contains("another program holds a lock on"), "{error}");
    plain.execute_batch("ROLLBACK").unwrap();
    fixture.set("users/1", 1, "{}").unwrap();
}

#[test]
fn what_was_given_up_is_never_written_later() {
    let mut fixture = Fixture::new();
    fixture.set("users/1", 1, "{}").unwrap();
    let plain = fixture.plain();
    plain.execute_batch("BEGIN IMMEDIATE").unwrap();
    let connection = fixture.connection.take().unwrap();
    fixture.runtime.block_on(async {
        let entries = [("users/1".into(), record(2, "{}"))];
        let set = connection.set_many(&entries);
        assert!(tokio::time::timeout(Duration::from_millis(50), set).await.is_err());
    });
    drop(connection);
    plain.execute_batch("ROLLBACK").unwrap();
    fixture.connect("").unwrap();
    fixture.set("users/2", 3, "{}").unwrap();
    assert_eq!(fixture.head("users/1").unwrap(), Some(1));
}

#[test]
fn a_file_that_was_removed_or_replaced_is_noticed_before_anything_is_acknowledged() {
    let mut fixture = Fixture::new();
    fixture.set("users/1", 1, "{}").unwrap();
    std::fs::remove_file(fixture.path()).unwrap();
    let error = fixture.set("users/2", 1, "{}").unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reconnect);
    assert!(error.message().contains("was removed or replaced"), "{error}");
    let keys: [Key; 1] = ["users/1".into()];
    let error = fixture.runtime.block_on(fixture.connection().get_many(&keys)).unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reconnect);
    let old = fixture.connection.take();
    fixture.connect("").unwrap();
    fixture.set("users/3", 1, "{}").unwrap();
    // The end of the old connection takes nothing of the new one with it.
    drop(old);
    std::thread::sleep(Duration::from_millis(200));
    assert!(fixture.folder.path().join("records.sqlite-wal").exists());
    fixture.set("users/4", 1, "{}").unwrap();
    drop(fixture.connection.take());
    fixture.connect("").unwrap();
    assert_eq!(fixture.get("users/1").unwrap(), None);
    assert!(fixture.get("users/3").unwrap().is_some() && fixture.get("users/4").unwrap().is_some());
}

#[test]
fn a_close_leaves_one_tidy_file() {
    let fixture = Fixture::new();
    fixture.set("users/1", 1, "{}").unwrap();
    fixture.runtime.block_on(fixture.connection().close());
    let names: Vec<_> =
        std::fs::read_dir(fixture.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["records.sqlite"]);
}

#[test]
fn a_file_that_can_never_do_is_refused() {
    let mut fixture = Fixture::new();
    let mut refused = |make: &dyn Fn(&Path)| {
        fixture.connection = None;
        let folder = tempfile::tempdir().unwrap();
        make(&folder.path().join("records.sqlite"));
        fixture.folder = folder;
        let error = fixture.connect("").unwrap_err();
        assert_eq!(error.code(), ErrorCode::Configuration);
        error.message().to_owned()
    };
    let noise: Vec<u8> = (0..20_000u32).map(|number| (number * 7 % 251) as u8).collect();
    assert!(refused(&|path| std::fs::write(path, &noise).unwrap()).contains("is not an SQLite database"));
    assert!(refused(&|path| std::fs::create_dir(path).unwrap()).contains("is a folder"));
    assert!(refused(&|path| {
        let plain = Plain::open(path).unwrap();
        plain.execute_batch("PRAGMA encoding = 'UTF-16'; CREATE TABLE a (b)").unwrap();
    })
    .contains("text in UTF-16le"));
    let damaged = |path: &Path| {
        let plain = Plain::open(path).unwrap();
        plain.execute_batch("CREATE TABLE a (b)").unwrap();
        drop(plain);
        let mut bytes = std::fs::read(path).unwrap();
        bytes[100..4096].fill(7);
        std::fs::write(path, bytes).unwrap();
    };
    assert!(refused(&damaged).contains("is damaged; restore it"));
}
