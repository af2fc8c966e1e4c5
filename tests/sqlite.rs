//! What is special to SQLite: durability, other programs at the same file, full and read-only
//! disks, and tables that a person can query.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::part::{self, Part};
use crate::support::{need_mounts, race, Client, Told, PATIENCE};
use deepstream_connector::core::{Error, ErrorCode, Key, Operation, Record, Reply};
use deepstream_connector::Connector;
use rusqlite::Connection as Plain;
use tempfile::TempDir;

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(records_are_there_after_reopening),
    test!(the_documented_query_and_index_work),
    test!(collections_that_sqlite_would_confuse_stay_apart),
    test!(any_key_is_a_key),
    test!(the_exploits_of_the_official_connector_do_nothing),
    test!(tables_and_rows_of_somebody_else_are_not_listed),
    test!(a_listing_goes_on_past_a_bad_row_and_names_it),
    test!(a_file_that_is_no_database_is_refused),
    test!(a_folder_that_is_missing_is_named_and_waited_for),
    test!(a_damaged_page_fails_what_is_on_it_and_says_what_to_do),
    test!(a_read_only_file_is_refused),
    test!(a_disk_that_fills_up_loses_nothing_that_was_acknowledged),
    test!(a_file_that_is_removed_is_made_again_before_anything_is_acknowledged),
    test!(a_file_that_the_host_opened_itself_loses_nothing_that_was_acknowledged),
    test!(a_short_lock_of_another_program_only_delays),
    test!(a_lock_that_is_never_released_is_named_by_the_timeout),
    test!(a_file_that_is_locked_from_the_start_is_waited_for),
    test!(two_connectors_of_one_process_see_each_other),
    test!(four_processes_that_make_the_same_tables_at_once_lose_nothing).class(Class::Works),
    test!(a_killed_process_loses_no_acknowledged_write).class(Class::Works),
];

fn configuration(path: &Path, options: &str) -> String {
    format!(r#"{{"type": "sqlite", "path": {}{options}}}"#, serde_json::to_string(path).unwrap())
}

fn open(path: &Path, options: &str) -> Client {
    Client::open(&configuration(path, options)).unwrap()
}

/// A folder of its own, and a file in it that does not exist yet.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.sqlite");
    (folder, path)
}

/// The fatal event that says why the file can never do; operations fail at once with it.
fn refusal(path: &Path) -> Error {
    let client = open(path, "");
    let Told::Error { error, fatal: true } = client.event() else { panic!("no fatal error") };
    assert_eq!(error.code(), ErrorCode::Configuration);
    let began = Instant::now();
    assert_eq!(client.get("users/1").unwrap_err().code(), ErrorCode::Configuration);
    assert!(began.elapsed() < Duration::from_secs(2));
    error
}

// ---------------------------------------------------------------------------------------------
// Tables

fn records_are_there_after_reopening() {
    let (_folder, path) = place();
    let client = open(&path, "");
    client.set("users/1", 7, r#"{"name":"Ada"}"#).unwrap();
    client.set("plain", -1, "[]").unwrap();
    client.set("users/2", 1, "{}").unwrap();
    client.delete("users/2").unwrap();
    client.connector.shut_down();
    let client = open(&path, "");
    assert_eq!(client.get("users/1").unwrap(), Some((7, r#"{"name":"Ada"}"#.into())));
    assert_eq!(client.head("plain").unwrap(), Some(-1));
    assert_eq!(client.get("users/2").unwrap(), None);
}

fn the_documented_query_and_index_work() {
    let (_folder, path) = place();
    let client = open(&path, "");
    client.set("users/1", 1, r#"{"name":"Ada","age":36}"#).unwrap();
    client.set("users/2", 1, r#"{"name":"Kim","age":12}"#).unwrap();
    let plain = Plain::open(&path).unwrap();
    let query = "SELECT id, version, data->>'$.name' AS name FROM users WHERE data->>'$.age' > 30";
    let found = |plain: &Plain| -> (String, i64, String) {
        plain.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    };
    let ada = ("1".to_owned(), 1, "Ada".to_owned());
    assert_eq!(found(&plain), ada);
    plain.execute_batch("CREATE INDEX users_by_age ON users (data->>'$.age')").unwrap();
    assert_eq!(found(&plain), ada);
    let plan: String = plain.query_row(&format!("EXPLAIN QUERY PLAN {query}"), [], |row| row.get(3)).unwrap();
    assert!(plan.contains("USING INDEX users_by_age"), "{plan}");
    client.set("users/2", 2, r#"{"name":"Kim","age":13}"#).unwrap();
    client.set("users/3", 1, r#"["no object at all"]"#).unwrap();
    assert_eq!(found(&plain), ada);
}

fn collections_that_sqlite_would_confuse_stay_apart() {
    let (_folder, path) = place();
    let client = open(&path, "");
    let keys = [
        "x",
        "default/x",
        "Default/x",
        "users/x",
        "Users/x",
        "USERS/x",
        "~users/x",
        "/x",
        "~2/x",
        "~3default/x",
        "sqlite_master/x",
        "SQLITE_master/x",
        "~1sqlite_master/x",
        "a\0/x",
        "a~0/x",
        "a/x",
        "größe/x",
        "GRößE/x",
    ];
    for (version, key) in keys.iter().enumerate() {
        client.set(key, version as i64, &format!("[{version}]")).unwrap();
    }
    client.connector.shut_down();
    let client = open(&path, "");
    for (version, key) in keys.iter().enumerate() {
        assert_eq!(client.get(key).unwrap(), Some((version as i64, format!("[{version}]"))), "{key}");
    }
    let plain = Plain::open(&path).unwrap();
    let tables: i64 = plain
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, keys.len() as i64);
}

fn any_key_is_a_key() {
    let (_folder, path) = place();
    let client = open(&path, "");
    let long = "k".repeat(64 * 1024);
    let long_collection = format!("{}/id", "Ü\"".repeat(20_000));
    let capitals = format!("{}/", "A".repeat(64 * 1024 - 1));
    let mut keys: Vec<&str> = vec![
        "'; DROP TABLE users; --",
        "users/'; DROP TABLE users; --",
        "\"; DROP TABLE users; --/1",
        "\"\"/\"\"",
        "[users]/1",
        "`users`/1",
        "'/'",
        "a b/c d",
        "a\nb/c\nd",
        "\0",
        "\0/\0",
        "/",
        "//",
        "///",
        "__proto__",
        "__proto__/constructor",
        "😀/😀",
        "\u{feff}/\u{ffff}",
        "e\u{301}/1",
        "é/1",
        "?1/?1",
        ":id/$id",
        "users/%",
        "%/_",
        "select/from",
        "main.users/1",
        "temp/1",
        "rowid/1",
        "users.id/1",
        "--/1",
        "/*/1",
        ";/1",
        "-1",
        "1.0",
        "1",
        "NULL/NULL",
        "true",
        "json_each/1",
        "pragma_table_info/1",
        "sqlite_schema/1",
        "sqlite_sequence/1",
    ];
    keys.extend([&*long, &*long_collection, &*capitals]);
    let sets: Vec<(Key, Operation)> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| ((*key).into(), Operation::Set(record(number as i64, &format!("[{number}]")))))
        .collect();
    client.many(sets).into_iter().for_each(|result| drop(result.unwrap()));
    let gets = || keys.iter().map(|key| ((*key).into(), Operation::Get)).collect();
    let check = |client: &Client| {
        for (number, result) in client.many(gets()).into_iter().enumerate() {
            let Ok(Reply::Record(Some(found))) = result else { panic!("{:?} is lost", keys[number]) };
            assert_eq!(found, record(number as i64, &format!("[{number}]")));
        }
    };
    check(&client);
    client.connector.shut_down();
    let client = open(&path, "");
    check(&client);
    for key in keys {
        client.delete(key).unwrap();
        assert_eq!(client.get(key).unwrap(), None);
    }
}

fn record(version: i64, data: &str) -> Record {
    Record { version, data: data.to_owned().into() }
}

/// What opened the official PostgreSQL connector to anybody who could name a record.
fn the_exploits_of_the_official_connector_do_nothing() {
    let (_folder, path) = place();
    let client = open(&path, "");
    client.set("users/1", 1, r#"{"name":"Ada"}"#).unwrap();
    let exploit = "users/x' OR 'a'='a";
    assert_eq!(client.get(exploit).unwrap(), None);
    assert_eq!(client.head(exploit).unwrap(), None);
    client.delete(exploit).unwrap();
    client.set(exploit, 2, "[]").unwrap();
    assert_eq!(client.get(exploit).unwrap(), Some((2, "[]".into())));
    assert_eq!(client.get("users/1").unwrap(), Some((1, r#"{"name":"Ada"}"#.into())));
    // A quote in one name fails no other one of its batch, and no name stops later writes.
    let names = ["users/it's", "users/__proto__", "users/;\"", "a;b/1", "a\"b/1", "ab/1", "users/\"; --"];
    let sets = names.iter().map(|name| ((*name).into(), Operation::Set(record(7, "{}")))).collect();
    client.many(sets).into_iter().for_each(|result| drop(result.unwrap()));
    for (version, name) in (100..).zip(names) {
        client.set(name, version, "{}").unwrap();
    }
    for (version, name) in (100..).zip(names) {
        assert_eq!(client.head(name).unwrap(), Some(version), "{name}");
    }
    client.set("users/large", i64::MAX, "{}").unwrap();
    assert_eq!(client.head("users/large").unwrap(), Some(i64::MAX));
}

fn tables_and_rows_of_somebody_else_are_not_listed() {
    let (_folder, path) = place();
    let client = open(&path, "");
    client.set("users/1", 1, "{}").unwrap();
    client.set("plain", 2, "[]").unwrap();
    let plain = Plain::open(&path).unwrap();
    plain
        .execute_batch(
            "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1);
             CREATE TABLE Upper (id TEXT PRIMARY KEY, version INTEGER, data TEXT);
             INSERT INTO Upper VALUES ('x', 1, '{}');
             INSERT INTO \"default\" VALUES ('by/hand', 1, '{}');",
        )
        .unwrap();
    let mut keys: Vec<String> = client.list(1).into_iter().map(|(key, _)| key.to_string()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["plain", "users/1"]);
    plain.execute_batch("UPDATE users SET data = 'nonsense'").unwrap();
    let keys: Vec<String> = client.list(10).into_iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["plain"]);
}

// ---------------------------------------------------------------------------------------------
// Files that will not do

fn a_listing_goes_on_past_a_bad_row_and_names_it() {
    let (_folder, path) = place();
    let client = open(&path, "");
    for key in ["lists/1", "users/1", "users/2", "users/3"] {
        client.set(key, 1, "{}").unwrap();
    }
    let plain = Plain::open(&path).unwrap();
    plain
        .execute_batch(
            "UPDATE users SET data = 'hunter2' WHERE id = '2';
             INSERT INTO users (id, version, data) VALUES (NULL, 1, '{}'), (NULL, 2, '{}'), (x'00', 3, '{}');",
        )
        .unwrap();
    for limit in [1, 2, 100] {
        let listed = client.list(limit);
        assert_eq!(
            listed.iter().map(|(key, _)| &**key).collect::<Vec<_>>(),
            ["lists/1", "users/1", "users/3"]
        );
        let line = loop {
            match client.told.recv_timeout(PATIENCE).expect("nobody names the bad row") {
                Told::Log(line) if line.contains("left out") => break line,
                _ => {}
            }
        };
        assert!(line.contains("\"users/2\"") && !line.contains("hunter2"), "{line}");
    }
}

fn a_file_that_is_no_database_is_refused() {
    let (_folder, path) = place();
    let text = "This is somebody's diary, and it is not to be written over. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let message = refusal(&path).message().to_owned();
    assert!(message.contains("\"path\") is not an SQLite database; give another file"), "{message}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

fn a_folder_that_is_missing_is_named_and_waited_for() {
    let (folder, _) = place();
    let inner = folder.path().join("not yet");
    let path = inner.join("records.sqlite");
    let message = refusal(&path).message().to_owned();
    assert!(message.contains("the folder of") && message.contains("does not exist; create it"), "{message}");
    let client = open(&path, "");
    assert!(matches!(client.event(), Told::Error { fatal: true, .. }));
    std::fs::create_dir(&inner).unwrap();
    assert!(matches!(client.event(), Told::Ready));
    client.set("users/1", 1, "{}").unwrap();
}

fn a_damaged_page_fails_what_is_on_it_and_says_what_to_do() {
    let (_folder, path) = place();
    let client = open(&path, "");
    let sets = |prefix: &str| -> Vec<(Key, Operation)> {
        let data = format!("\"{}\"", "x".repeat(1000));
        (0..200)
            .map(|number| (format!("{prefix}/{number}").into(), Operation::Set(record(1, &data))))
            .collect()
    };
    for collection in ["good", "bad"] {
        client.many(sets(collection)).into_iter().for_each(|result| drop(result.unwrap()));
    }
    client.connector.shut_down();
    let plain = Plain::open(&path).unwrap();
    let root: i64 = plain
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'bad'", [], |row| row.get(0))
        .unwrap();
    drop(plain);
    let mut bytes = std::fs::read(&path).unwrap();
    let begin = (root as usize - 1) * 4096;
    bytes[begin..begin + 4096].fill(0xee);
    std::fs::write(&path, bytes).unwrap();
    let client = open(&path, r#", "timeout": 3000"#);
    let error = client.get("bad/1").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Backend);
    assert!(error.message().contains("is damaged; restore it from a backup"), "{error}");
    assert!(client.get("good/1").unwrap().is_some());
    let error = client.set("bad/1", 1, "{}").unwrap_err();
    assert!(error.message().contains("is damaged"), "{error}");
}

/// A file system in memory, gone when dropped. `None`, visibly, where we may not mount.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: &str) -> SmallDisk {
        need_mounts();
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0777");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "no file system in memory was mounted");
        SmallDisk(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a thread may still be closing its file.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn a_read_only_file_is_refused() {
    let disk = SmallDisk::mount("4m");
    let path = disk.path().join("records.sqlite");
    let client = open(&path, "");
    client.set("users/1", 1, "{}").unwrap();
    client.connector.shut_down();
    let status = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.path()).status().unwrap();
    assert!(status.success());
    let message = refusal(&path).message().to_owned();
    assert!(message.contains("is read-only; allow writing"), "{message}");
    let message = refusal(&disk.path().join("new.sqlite")).message().to_owned();
    assert!(message.contains("cannot be opened or made"), "{message}");
}

fn a_disk_that_fills_up_loses_nothing_that_was_acknowledged() {
    let disk = SmallDisk::mount("1m");
    let path = disk.path().join("records.sqlite");
    let client = open(&path, "");
    let data = format!("\"{}\"", "x".repeat(20_000));
    client.set("users/0", 0, &data).unwrap();
    let mut stored = 1;
    let error = loop {
        match client.set(&format!("users/{stored}"), stored, &data) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "1 MB has taken {stored} records of 20 kB");
    };
    assert_eq!(error.code(), ErrorCode::Backend);
    assert!(error.message().contains("is full, and nothing was stored; free space"), "{error}");
    assert!(stored > 5, "only {stored} records fitted");
    let all_there = |client: &Client| {
        for number in 0..stored {
            assert_eq!(client.get(&format!("users/{number}")).unwrap(), Some((number, data.clone())));
        }
        assert_eq!(client.get(&format!("users/{stored}")).unwrap(), None);
    };
    all_there(&client);
    let status = Command::new("mount").args(["-o", "remount,size=8m"]).arg(disk.path()).status().unwrap();
    assert!(status.success());
    client.set("later", 1, &data).unwrap();
    client.connector.shut_down();
    let client = open(&path, "");
    all_there(&client);
    assert!(client.get("later").unwrap().is_some());
}

fn a_file_that_is_removed_is_made_again_before_anything_is_acknowledged() {
    let (_folder, path) = place();
    let client = open(&path, "");
    assert!(matches!(client.event(), Told::Ready));
    client.set("users/1", 1, "{}").unwrap();
    for name in ["records.sqlite", "records.sqlite-wal", "records.sqlite-shm"] {
        std::fs::remove_file(path.with_file_name(name)).unwrap();
    }
    client.set("users/2", 2, "{}").unwrap();
    let Told::Error { error, fatal: false } = client.event() else { panic!("no event") };
    assert!(error.message().contains("was removed or replaced"), "{error}");
    assert!(matches!(client.event(), Told::Ready));
    client.connector.shut_down();
    assert_eq!(open(&path, "").head("users/2").unwrap(), Some(2));
}

// ---------------------------------------------------------------------------------------------
// Other programs at the same file

fn a_short_lock_of_another_program_only_delays() {
    let (_folder, path) = place();
    let client = open(&path, "");
    client.set("users/1", 1, "{}").unwrap();
    let plain = Plain::open(&path).unwrap();
    plain.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let (sender, receiver) = channel();
    client.connector.set("users/1", record(2, "{}"), move |result| sender.send(result).unwrap()).unwrap();
    // Meanwhile reads go on.
    assert!(client.get("users/2").unwrap().is_none());
    assert!(receiver.recv_timeout(Duration::from_millis(300)).is_err());
    plain.execute_batch("ROLLBACK").unwrap();
    receiver.recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(client.head("users/1").unwrap(), Some(2));
}

fn a_lock_that_is_never_released_is_named_by_the_timeout() {
    let (_folder, path) = place();
    let client = open(&path, r#", "timeout": 500"#);
    client.set("users/1", 1, "{}").unwrap();
    let plain = Plain::open(&path).unwrap();
    plain.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = client.set("users/1", 2, "{}").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Timeout);
    assert!(error.message().contains("another program holds a lock on"), "{error}");
    assert!(error.message().contains("may have been applied"), "{error}");
    assert_eq!(client.head("users/2").unwrap(), None);
    // Nobody waits for the lock when the connector goes.
    let began = Instant::now();
    drop(client);
    assert!(began.elapsed() < Duration::from_secs(2));
    plain.execute_batch("ROLLBACK").unwrap();
    assert_eq!(open(&path, "").head("users/1").unwrap(), Some(1));
}

fn a_file_that_is_locked_from_the_start_is_waited_for() {
    let (_folder, path) = place();
    let plain = Plain::open(&path).unwrap();
    plain.execute_batch("CREATE TABLE theirs (a); BEGIN EXCLUSIVE").unwrap();
    let client = open(&path, r#", "timeout": 500"#);
    let error = client.set("users/1", 1, "{}").unwrap_err();
    assert_eq!(error.code(), ErrorCode::Timeout);
    assert!(error.message().contains("another program holds a lock on"), "{error}");
    plain.execute_batch("COMMIT").unwrap();
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }));
    assert!(matches!(client.event(), Told::Ready));
    client.set("users/1", 1, "{}").unwrap();
}

fn two_connectors_of_one_process_see_each_other() {
    let (_folder, path) = place();
    let (one, other) = (open(&path, ""), open(&path, ""));
    for version in 0..50 {
        one.set("users/1", version, "{}").unwrap();
        assert_eq!(other.head("users/1").unwrap(), Some(version));
        other.set("lists/1", version, "[]").unwrap();
        assert_eq!(one.head("lists/1").unwrap(), Some(version));
    }
}

/// How many users another program finds, which opens the file and closes it.
fn users_for_others(path: &Path) -> usize {
    const VISIT: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(database.execute('SELECT count(*) FROM users').fetchone()[0])
database.close()";
    let output = Command::new("python3").args(["-c", VISIT]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Whoever closes a descriptor of the file in this process drops SQLite's locks.
fn a_file_that_the_host_opened_itself_loses_nothing_that_was_acknowledged() {
    let (_folder, path) = place();
    let (client, idle) = (open(&path, ""), open(&path, ""));
    for client in [&client, &idle] {
        assert!(matches!(client.event(), Told::Ready));
    }
    client.set("users/before", 1, "{}").unwrap();
    drop(std::fs::File::open(&path).unwrap());
    assert_eq!(users_for_others(&path), 1);
    for number in 1..=10 {
        client.set(&format!("users/{number}"), 1, "{}").unwrap();
    }
    let Told::Error { error, fatal: false } = client.event() else { panic!("nobody told of it") };
    assert!(error.message().contains("-wal file"), "{error}");
    assert!(matches!(client.event(), Told::Ready));
    assert_eq!(users_for_others(&path), 11);
    idle.set("users/idle", 1, "{}").unwrap();
    assert_eq!(users_for_others(&path), 12);
    client.connector.shut_down();
    idle.connector.shut_down();
    assert_eq!(users_for_others(&path), 12);
    let check: String =
        Plain::open(&path).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// Tells the writer the number of its first record, and the file.
const FIRST: &str = "SQLITE_WRITER_FIRST";
const PATH: &str = "SQLITE_WRITER_PATH";

/// A process that writes until it is killed.
pub const WRITER: Part = ("sqlite writer", write_until_killed);

fn start_writer(first: usize, path: &Path) -> Child {
    part::command(WRITER.0)
        .env(FIRST, first.to_string())
        .env(PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn four_processes_that_make_the_same_tables_at_once_lose_nothing() {
    let (_folder, path) = place();
    race::run(&configuration(&path, r#", "timeout": 60000"#));
    let plain = Plain::open(&path).unwrap();
    for number in 0..race::COLLECTIONS {
        let query = format!("SELECT count(*) FROM {}", race::collection(number));
        let count: i64 = plain.query_row(&query, [], |row| row.get(0)).unwrap();
        assert_eq!(count, race::RECORDS_IN_EACH as i64);
    }
    let check: String = plain.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

const COLLECTIONS: usize = 10;

/// Goes on writing, with many writes under way, and prints the number of each that is
/// acknowledged.
fn write_until_killed() {
    let path = PathBuf::from(std::env::var_os(PATH).unwrap());
    let first: usize = std::env::var(FIRST).unwrap().parse().unwrap();
    struct Load {
        connector: Connector,
        next: AtomicUsize,
    }
    fn go_on(load: &Arc<Load>) {
        let number = load.next.fetch_add(1, Ordering::SeqCst);
        let again = Arc::clone(load);
        let done = move |result: Result<(), Error>| {
            result.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "stored {number}").unwrap();
            out.flush().unwrap();
            drop(out);
            go_on(&again);
        };
        let key = format!("collection{}/{number}", number % COLLECTIONS);
        load.connector.set(&key, record(number as i64, &format!("[{number}]")), done).unwrap();
    }
    let connector = Connector::open(&configuration(&path, ""), ()).unwrap();
    let load = Arc::new(Load { connector, next: AtomicUsize::new(first) });
    for _ in 0..64 {
        go_on(&load);
    }
    loop {
        std::thread::park();
    }
}

fn a_killed_process_loses_no_acknowledged_write() {
    let (_folder, path) = place();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut child = start_writer(round * 1_000_000, &path);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let before = acknowledged.len();
        for line in lines {
            // A line that the kill has cut short says nothing.
            let Some(number) = line.strip_prefix("stored ").and_then(|text| text.parse::<usize>().ok())
            else {
                continue;
            };
            acknowledged.push(number);
            if acknowledged.len() == before + 500 + 177 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.len() >= before + 500, "the child ended by itself");
        // The last number may be cut short to one that is another's.
        acknowledged.pop();
        let client = open(&path, "");
        let gets = acknowledged
            .iter()
            .map(|number| (format!("collection{}/{number}", number % COLLECTIONS).into(), Operation::Get))
            .collect();
        for (number, result) in acknowledged.iter().zip(client.many(gets)) {
            let Ok(Reply::Record(Some(found))) = result else { panic!("{number} of round {round} is lost") };
            assert_eq!(found, record(*number as i64, &format!("[{number}]")));
        }
    }
}
