//! What may befall a PostgreSQL server, its tables and its connections, under a load that checks
//! itself: every callback once, in order, and nothing lost that was acknowledged.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::load::under_load;
use crate::support::part::{self, Part};
use crate::support::{need_mounts, Client, Server, Told, PATIENCE};
use deepstream_connector::core::{Error, ErrorCode, Operation, Record};

use serde_json::{json, Value};

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(connections_that_an_administrator_ends_lose_nothing).class(Class::Works),
    test!(restarts_lose_nothing).class(Class::Works),
    test!(statements_that_are_cancelled_are_sent_again).class(Class::Works),
    test!(deadlocks_are_broken_up_and_tried_again),
    test!(a_full_disk_is_told_and_loses_nothing),
    test!(a_server_out_of_connections_is_waited_for),
    test!(a_host_that_is_not_there_is_passed_over_and_a_read_only_time_is_waited_out),
    test!(sixty_tables_are_made_by_four_processes_at_once).class(Class::Works),
    test!(a_write_that_hung_does_not_come_after_a_later_one),
    test!(a_write_that_hung_does_not_come_later_of_a_role_that_acts_as_another_one),
    test!(behind_a_pooler_a_write_that_hung_is_ended_and_nobody_elses_session_is),
    test!(sessions_have_their_own_name_again_where_none_is_to_be_ended),
    test!(the_session_of_commands_ends_alone),
    test!(one_more_connection_that_cannot_be_made_is_told),
    test!(who_reads_a_table_that_is_empty_now_keeps_nobody_from_it),
    test!(behind_a_pooler_no_write_lands_in_another_table).class(Class::Works),
    test!(behind_a_pooler_everything_works_without_prepared_statements),
    test!(a_column_that_changes_its_type_is_read_on),
    test!(a_locked_row_waits_alone),
    test!(a_query_that_timed_out_is_cancelled),
    test!(a_server_that_became_read_only_is_left),
    test!(an_idle_session_that_the_server_ends_is_no_outage_and_pings_keep_it),
];

fn open(server: &Server, options: &str) -> Client {
    Client::open(&configuration(server.port, options)).unwrap()
}

fn configuration(port: u16, options: &str) -> String {
    format!(
        r#"{{"type": "postgres", "host": "127.0.0.1", "port": {port}, "user": "connector", "password": "secret", "database": "records"{options}}}"#
    )
}

fn set(version: i64, data: &str) -> Operation {
    Operation::Set(Record { version, data: data.to_owned().into() })
}

const TERMINATE: &str =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'connector'";

fn connections_that_an_administrator_ends_lose_nothing() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, r#", "timeout": 60000"#);
    under_load(&client, || {
        for _ in 0..10 {
            server.client(&["-c", TERMINATE]);
            std::thread::sleep(Duration::from_millis(30));
            // In mid-statement as well: whatever writes waits for this a moment.
            server.client(&[
                "-c",
                &format!("BEGIN; LOCK TABLE ds.single; SELECT pg_sleep(0.05); {TERMINATE}; COMMIT"),
            ]);
        }
    });
}

fn restarts_lose_nothing() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, r#", "timeout": 60000"#);
    under_load(&client, || {
        for _ in 0..2 {
            server.ctl(&["restart"]);
        }
    });
}

fn statements_that_are_cancelled_are_sent_again() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, r#", "timeout": 60000"#);
    under_load(&client, || {
        for _ in 0..20 {
            let cancel = TERMINATE.replace("terminate", "cancel");
            server.client(&[
                "-c",
                &format!("BEGIN; LOCK TABLE ds.chain; SELECT pg_sleep(0.02); {cancel}; COMMIT"),
            ]);
        }
    });
    assert!(matches!(client.event(), Told::Ready));
    assert!(!client.told.try_iter().any(|told| matches!(told, Told::Error { .. })), "no connection was lost");
}

/// Two transactions that lock the same rows in opposite order: the server ends one of them.
fn deadlocks_are_broken_up_and_tried_again() {
    let server = Server::start("postgres", &[]);
    server.client(&["-c", "ALTER SYSTEM SET deadlock_timeout = '50ms'", "-c", "SELECT pg_reload_conf()"]);
    let client = open(&server, "");
    let both = |version| vec![("users/a".into(), set(version, "{}")), ("users/b".into(), set(version, "{}"))];
    assert!(client.many(both(1)).iter().all(Result::is_ok));
    let results = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let sql = "BEGIN; UPDATE ds.users SET version = 5 WHERE id = 'b'; SELECT pg_sleep(0.3);
                 UPDATE ds.users SET version = 5 WHERE id = 'a'; COMMIT";
            // One of the two is the victim, and it may be this one.
            server.client_with_input(&format!("\\set ON_ERROR_STOP off\n{sql};\n"))
        });
        std::thread::sleep(Duration::from_millis(100));
        let results = client.many(both(2));
        other.join().unwrap();
        results
    });
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

fn a_full_disk_is_told_and_loses_nothing() {
    need_mounts();
    let server = Server::start("postgres", &["small-disk=8m"]);
    server.client(&["-c", "ALTER ROLE connector SET default_tablespace TO small"]);
    let client = open(&server, "");
    // What does not compress.
    let mut state = 7u64;
    let mut noise = || -> String {
        let letter = |state: &mut u64| {
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            char::from(b'a' + (*state >> 60) as u8)
        };
        format!("\"{}\"", (0..20_000).map(|_| letter(&mut state)).collect::<String>())
    };
    let mut stored = HashMap::new();
    let error = (0..2_000)
        .find_map(|index| {
            let (key, data) = (format!("big/{index}"), noise());
            match client.set(&key, index, &data) {
                Ok(()) => {
                    stored.insert(key, (index, data));
                    None
                }
                Err(error) => Some(error),
            }
        })
        .expect("8 MB are full some time");
    assert_eq!(error.code(), ErrorCode::Backend, "{error}");
    assert!(error.message().contains("disk") && error.message().contains("free space"), "{error}");
    assert!(stored.len() > 10);
    for (key, record) in &stored {
        assert_eq!(client.get(key).unwrap().as_ref(), Some(record), "{key}");
    }
    server.client(&["-c", "DROP TABLE ds.big"]);
    client.set("big/again", 1, "{}").unwrap();
}

fn a_server_out_of_connections_is_waited_for() {
    let server = Server::start(
        "postgres",
        &["--", "-c", "max_connections=6", "-c", "superuser_reserved_connections=2"],
    );
    let others: Vec<Client> = (0..4)
        .map(|_| {
            let client = open(&server, "");
            client.get("a").unwrap();
            client
        })
        .collect();
    let client = open(&server, "");
    let (sender, receiver) = channel();
    client.connector.get("a", move |result| sender.send(result).unwrap()).unwrap();
    assert!(receiver.recv_timeout(Duration::from_millis(300)).is_err(), "there was room for one more");
    // Those that are in do with what they have.
    let many = (0..500).map(|index| (format!("t{}/{index}", index % 7).into(), set(1, "{}"))).collect();
    assert!(others[0].many(many).iter().all(Result::is_ok));
    drop(others);
    assert!(receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap().is_none());
}

fn a_host_that_is_not_there_is_passed_over_and_a_read_only_time_is_waited_out() {
    let server = Server::start("postgres", &[]);
    let nobody = 1;
    let client = Client::open(&format!(
        r#"{{"type": "postgres", "host": "127.0.0.1,127.0.0.1", "port": "{nobody},{}", "user": "connector", "password": "secret", "database": "records"}}"#,
        server.port
    ))
    .unwrap();
    client.set("a", 1, "{}").unwrap();
    server.client(&["-c", "ALTER ROLE connector SET default_transaction_read_only TO on", "-c", TERMINATE]);
    let (sender, receiver) = channel();
    let record = Record { version: 2, data: "{}".into() };
    client.connector.set("a", record, move |result| sender.send(result).unwrap()).unwrap();
    assert!(receiver.recv_timeout(Duration::from_millis(500)).is_err());
    server.client(&["-c", "ALTER ROLE connector RESET default_transaction_read_only", "-c", TERMINATE]);
    receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(2));
}

const TABLES: usize = 60;
const PROCESSES: usize = 4;

/// One of several processes that make the same tables.
pub const TABLE_MAKER: Part = ("postgres table maker", make_tables);

fn make_tables() {
    let port = std::env::var("RACE_PORT").unwrap();
    let mine = std::env::var("RACE_NUMBER").unwrap();
    let told = r#", "notifications": {"INSERT": true, "CREATE_TABLE": true}"#;
    let client = Client::open(&configuration(port.parse().unwrap(), told)).unwrap();
    let (sender, receiver) = channel();
    for table in 0..TABLES {
        let sender = sender.clone();
        let record = Record { version: 1, data: "{}".into() };
        let done = move |result| sender.send((table, result)).unwrap();
        client.connector.set(&format!("table{table}/{mine}"), record, done).unwrap();
    }
    drop(sender);
    let mut calls = vec![0; TABLES];
    while let Ok((table, result)) = receiver.recv_timeout(PATIENCE) {
        result.unwrap_or_else(|error| panic!("table {table}: {error}"));
        calls[table] += 1;
    }
    assert_eq!(calls, vec![1; TABLES], "each callback comes once");
}

fn sixty_tables_are_made_by_four_processes_at_once() {
    let server = Server::start("postgres", &[]);
    let processes: Vec<_> = (0..PROCESSES)
        .map(|number| {
            part::command(TABLE_MAKER.0)
                .env("RACE_PORT", server.port.to_string())
                .env("RACE_NUMBER", number.to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
        );
    }
    let count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'ds'";
    assert_eq!(server.client(&["-c", count]), TABLES.to_string());
    let client = open(&server, "");
    let keys =
        (0..TABLES).flat_map(|table| (0..PROCESSES).map(move |number| format!("table{table}/{number}")));
    let heads: Vec<_> = keys.map(|key| (key.into(), Operation::Head)).collect();
    for result in client.many(heads) {
        assert_eq!(result.unwrap(), deepstream_connector::core::Reply::Version(Some(1)));
    }
    let triggers = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal";
    assert_eq!(server.client(&["-c", triggers]), TABLES.to_string());
}

/// What is left in the server of a connection that was lost in the middle of a write must not
/// come after what was sent again.
fn a_write_that_hung_does_not_come_after_a_later_one() {
    let server = Server::start("postgres", &[]);
    hang_a_write(&server);
}

/// As Vault sets roles up. The role that acts has no right over sessions of the one that logged in.
fn a_write_that_hung_does_not_come_later_of_a_role_that_acts_as_another_one() {
    let server = Server::start("postgres", &[]);
    let sql = "CREATE ROLE owner; GRANT owner TO connector; GRANT ALL ON DATABASE records TO owner; ALTER ROLE connector SET role TO owner";
    server.client(&["-c", sql]);
    hang_a_write(&server);
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'users'";
    assert_eq!(server.client(&["-c", owner]), "owner");
}

fn hang_a_write(server: &Server) {
    let proxy = Server::start("proxy", &["--", "--target", &format!("127.0.0.1:{}", server.port)]);
    let client = Client::open(&configuration(proxy.port, r#", "timeout": 60000"#)).unwrap();
    client.set("users/1", 1, "{}").unwrap();
    let is_locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'ds.users'::regclass";
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'ds.users'::regclass";
    let process = "SELECT string_agg(pid::text, ' ') FROM pg_locks WHERE NOT granted AND relation = 'ds.users'::regclass";
    let server_ref = server;
    std::thread::scope(|scope| {
        // Version 2 waits in the server for this lock, and its connection is gone meanwhile.
        let sql = format!(
            "BEGIN; LOCK TABLE ds.users; {} COMMIT;",
            crate::support::wait_for_table_sql("public", "go")
        );
        let lock = scope.spawn(move || server_ref.client_with_input(&sql));
        crate::support::wait_until("the table is locked", || server.client(&["-c", is_locked]) == "1");
        let (sender, receiver) = channel();
        let write = |version| {
            let sender = sender.clone();
            let record = Record { version, data: "{}".into() };
            client.connector.set("users/1", record, move |result| sender.send(result).unwrap()).unwrap();
        };
        write(2);
        crate::support::wait_until("the write waits in the server", || server.client(&["-c", waits]) == "1");
        let first = server.client(&["-c", process]);
        proxy.ctl(&["set", "reset"]);
        proxy.ctl(&["set", "pass"]);
        write(3);
        crate::support::wait_until("the write waits on another connection alone", || {
            let now = server.client(&["-c", process]);
            !now.is_empty() && now != first && !now.contains(' ')
        });
        server.client(&["-c", "CREATE TABLE public.go ()"]);
        lock.join().unwrap();
        for _ in 0..2 {
            receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
        }
    });
    assert_eq!(client.head("users/1").unwrap(), Some(3));
}

/// Somebody else's payment has the session in which ours began, by the time that ours is lost.
fn behind_a_pooler_a_write_that_hung_is_ended_and_nobody_elses_session_is() {
    let server = Server::start("postgres", &[]);
    server.client(&["-c", "CREATE TABLE payments (amount int); GRANT ALL ON payments TO connector"]);
    for (round, options) in ["", r#", "preparedStatements": false"#].into_iter().enumerate() {
        let pooler = Server::start("pgbouncer", &[&format!("server={}", server.port)]);
        let proxy = Server::start("proxy", &["--", "--target", &format!("127.0.0.1:{}", pooler.port)]);
        let options = format!(r#", "timeout": 60000, "lock_timeout": 0, "maxConnections": 1{options}"#);
        let client = Client::open(&configuration(proxy.port, &options)).unwrap();
        client.set("users/1", 1, "{}").unwrap();
        let waits = "SELECT string_agg(pid::text, ' ') FROM pg_locks WHERE NOT granted AND relation = 'ds.users'::regclass";
        let is_locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'ds.users'::regclass";
        let pays = "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock' AND relation = 'payments'::regclass";
        let (server_ref, pooler_ref) = (&server, &pooler);
        std::thread::scope(|scope| {
            let go = |table: &str| crate::support::wait_for_table_sql("public", &format!("{table}{round}"));
            let sql = format!("BEGIN; LOCK TABLE ds.users; {} COMMIT;\n", go("unlock"));
            let lock = scope.spawn(move || server_ref.client_with_input(&sql));
            crate::support::wait_until("the table is locked", || server.client(&["-c", is_locked]) == "1");
            let sql = format!("BEGIN; INSERT INTO payments VALUES ({round}); {} COMMIT;\n", go("paid"));
            let payment = scope.spawn(move || pooler_ref.client_with_input(&sql));
            crate::support::wait_until("a payment is under way", || server.client(&["-c", pays]) == "1");
            let (sender, receiver) = channel();
            let write = |version| {
                let sender = sender.clone();
                let record = Record { version, data: "{}".into() };
                client.connector.set("users/1", record, move |result| sender.send(result).unwrap()).unwrap();
            };
            write(2);
            crate::support::wait_until("the write waits in the server", || {
                !server.client(&["-c", waits]).is_empty()
            });
            let first = server.client(&["-c", waits]);
            proxy.ctl(&["set", "reset"]);
            proxy.ctl(&["set", "pass"]);
            write(3);
            crate::support::wait_until("the write waits in another session alone", || {
                let now = server.client(&["-c", waits]);
                !now.is_empty() && now != first && !now.contains(' ')
            });
            server.client(&["-c", &format!("CREATE TABLE public.paid{round} ()")]);
            payment.join().expect("the payment is carried out");
            server.client(&["-c", &format!("CREATE TABLE public.unlock{round} ()")]);
            lock.join().unwrap();
            for _ in 0..2 {
                receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
            }
        });
        assert_eq!(client.head("users/1").unwrap(), Some(3));
        let paid = format!("SELECT count(*) FROM payments WHERE amount = {round}");
        assert_eq!(server.client(&["-c", &paid]), "1");
    }
}

fn sessions_have_their_own_name_again_where_none_is_to_be_ended() {
    let server = Server::start("postgres", &[]);
    let name = "SELECT application_name FROM pg_stat_activity WHERE usename = 'connector'";
    let client = open(&server, "");
    client.get("a").unwrap();
    let given = server.client(&["-c", name]);
    let number = given.strip_prefix("deepstream-connector ").expect("it begins so");
    assert!(number.len() == 16 && number.bytes().all(|digit| digit.is_ascii_hexdigit()), "{given}");
    drop(client);
    crate::support::wait_until("it is gone", || server.client(&["-c", name]).is_empty());
    let long = "é".repeat(60);
    let client = open(&server, &format!(r#", "application_name": "{long}""#));
    client.get("a").unwrap();
    let cut = server.client(&["-c", name]);
    assert!(cut.len() == 63 && cut.starts_with(&"?".repeat(46)), "{cut}");
    drop(client);
    crate::support::wait_until("it is gone", || server.client(&["-c", name]).is_empty());
    let client = open(&server, r#", "terminateSessions": false"#);
    client.get("a").unwrap();
    assert_eq!(server.client(&["-c", name]), "deepstream-connector");
}

/// What listens goes on listening on another connection.
fn the_session_of_commands_ends_alone() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, r#", "maxConnections": 1"#);
    client.set("users/1", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    let of_guest = |call: &str| {
        format!("SELECT count({call}) FROM pg_stat_activity WHERE usename = 'connector' AND query LIKE '%by the host%'")
    };
    query(&client, "SELECT 1 AS \"by the host\"", json!([])).unwrap();
    assert_eq!(server.client(&["-c", &of_guest("pg_terminate_backend(pid)")]), "1");
    crate::support::wait_until("it is gone", || server.client(&["-c", &of_guest("*")]) == "0");
    client.set("users/1", 2, "{}").unwrap();
    query(&client, "SELECT 1", json!([])).unwrap();

    let (sender, receiver) = channel();
    let done = move |answer| sender.send(answer).unwrap();
    client.connector.command("subscribe", json!({"schema": "news"}), done).unwrap();
    receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap();
    let listens = "SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE usename = 'connector' AND query LIKE 'LISTEN%'";
    let first = server.client(&["-c", listens]);
    server.client(&["-c", &format!("SELECT pg_terminate_backend({first})")]);
    crate::support::wait_until("another one listens", || {
        let now = server.client(&["-c", listens]);
        now != "0" && now != first
    });
    client.set("users/1", 3, "{}").unwrap();
    let mut lines = client.told.try_iter().map(|told| match told {
        Told::Log(line) => line,
        other => panic!("nothing is lost: {other:?}"),
    });
    assert!(lines.any(|line| line.contains("notifications")));
}

fn one_more_connection_that_cannot_be_made_is_told() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, "");
    client.set("users/1", 1, "{}").unwrap();
    server.client(&["-c", "ALTER ROLE connector PASSWORD 'another'"]);
    let line = "a further connection could not be made";
    let is_told = |told: Told| matches!(told, Told::Log(words) if words.contains(line) && words.contains("refused the login"));
    crate::support::wait_until("it is told", || {
        let (sender, receiver) = channel();
        for index in 0..20 {
            let (stored, read) = (sender.clone(), sender.clone());
            let record = Record { version: 2, data: "{}".into() };
            let (key, done) = (format!("users/{index}"), move |result| stored.send(result).unwrap());
            client.connector.set(&key, record, done).unwrap();
            client.connector.get(&key, move |got| read.send(got.map(drop)).unwrap()).unwrap();
        }
        (0..40).for_each(|_| receiver.recv_timeout(PATIENCE).expect("a callback is missing").unwrap());
        client.told.try_iter().any(is_told)
    });
}

/// A lock that is waited for would keep everybody else waiting behind it.
fn who_reads_a_table_that_is_empty_now_keeps_nobody_from_it() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, r#", "dropEmptyTables": true, "lock_timeout": 0"#);
    client.set("users/1", 1, "{}").unwrap();
    let reads =
        "SELECT count(*) FROM pg_locks WHERE mode = 'AccessShareLock' AND relation = 'ds.users'::regclass";
    let server_ref = &server;
    std::thread::scope(|scope| {
        let sql = format!(
            "BEGIN; SELECT FROM ds.users; {} COMMIT;\n",
            crate::support::wait_for_table_sql("public", "go")
        );
        let reader = scope.spawn(move || server_ref.client_with_input(&sql));
        crate::support::wait_until("the table is read", || server.client(&["-c", reads]) == "1");
        let deleted = client.delete("users/1");
        let found = client.get("users/1");
        server.client(&["-c", "CREATE TABLE public.go ()"]);
        reader.join().unwrap();
        deleted.unwrap();
        assert_eq!(found.unwrap(), None);
    });
    client.set("users/2", 1, "{}").unwrap();
    client.delete("users/2").unwrap();
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'ds'";
    assert_eq!(server.client(&["-c", tables]), "0", "nobody reads it any more");
}

const POOLED_WRITES: i64 = 300;

/// One of several processes that write through one pooler, each into a table of its own.
pub const POOLED_WRITER: Part = ("postgres pooled writer", write_through_a_pooler);

fn write_through_a_pooler() {
    let port: u16 = std::env::var("POOLER_PORT").unwrap().parse().unwrap();
    let table = std::env::var("POOLER_TABLE").unwrap();
    let options = std::env::var("POOLER_OPTIONS").unwrap();
    let client = Client::open(&configuration(port, &format!(r#", "maxConnections": 1{options}"#))).unwrap();
    for version in 1..=POOLED_WRITES {
        let (key, data) = (format!("{table}/{version}"), format!("\"{table}\""));
        client.set(&key, version, &data).unwrap();
        assert_eq!(client.get(&key).unwrap(), Some((version, data)));
    }
}

/// The client library counts the names of statements up alike in each process.
fn behind_a_pooler_no_write_lands_in_another_table() {
    let server = Server::start("postgres", &[]);
    let pooler = Server::start("pgbouncer", &[&format!("server={}", server.port)]);
    for options in ["", r#", "preparedStatements": false"#] {
        let tables = ["cars", "users"];
        let mut processes: Vec<_> = tables
            .iter()
            .map(|table| {
                part::command(POOLED_WRITER.0)
                    .env("POOLER_PORT", pooler.port.to_string())
                    .env("POOLER_TABLE", table)
                    .env("POOLER_OPTIONS", options)
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        // A third one holds a session now and then, so that the two of them do not keep theirs.
        while processes.iter_mut().any(|process| process.try_wait().unwrap().is_none()) {
            pooler.client(&["-c", "SELECT pg_sleep(0.02)"]);
        }
        for process in processes {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
        }
        for table in tables {
            let rows = format!("SELECT count(*), min(val), max(val) FROM ds.{table}");
            let expected = format!("{POOLED_WRITES}|\"{table}\"|\"{table}\"");
            assert_eq!(server.client(&["-c", &rows]), expected, "{options}");
        }
        server.client(&["-c", "DROP TABLE ds.cars, ds.users"]);
    }
}

fn behind_a_pooler_everything_works_without_prepared_statements() {
    let server = Server::start("postgres", &[]);
    let pooler = Server::start("pgbouncer", &[&format!("server={}", server.port)]);
    let client = Client::open(&format!(
        r#"{{"type": "postgres", "url": "postgres://connector@127.0.0.1:{}/records?pgbouncer=true"}}"#,
        pooler.port
    ))
    .unwrap();
    let many: Vec<_> =
        (0..200).map(|index| (format!("t{}/{index}", index % 5).into(), set(1, "[1]"))).collect();
    assert!(client.many(many).iter().all(Result::is_ok));
    let long = "k".repeat(3_000);
    client.set(&long, 7, r#""\\ and '""#).unwrap();
    assert_eq!(client.get(&long).unwrap(), Some((7, r#""\\ and '""#.to_owned())));
    assert_eq!(client.head("t1/1").unwrap(), Some(1));
    client.delete("t1/1").unwrap();
    assert_eq!(client.head("t1/1").unwrap(), None);
    assert_eq!(client.list(30).len(), 200);
    let rows = query(&client, "SELECT $1::int + 1 AS sum", json!([41])).unwrap();
    assert_eq!(rows["rows"][0]["sum"], 42);
    let kept = "SELECT setting FROM pg_settings WHERE name = 'lock_timeout' AND source = 'session'";
    assert_eq!(query(&client, kept, json!([])).unwrap()["rowCount"], 0);
}

fn query(client: &Client, text: &str, values: Value) -> Result<Value, Error> {
    let (sender, receiver) = channel();
    let arguments = json!({"text": text, "values": values});
    client.connector.command("query", arguments, move |answer| sender.send(answer).unwrap()).unwrap();
    receiver.recv_timeout(PATIENCE).expect("a callback is missing")
}

fn a_column_that_changes_its_type_is_read_on() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, "");
    client.set("users/1", 1, "[1]").unwrap();
    assert_eq!(client.get("users/1").unwrap(), Some((1, "[1]".to_owned())));
    server.client(&["-c", "ALTER TABLE ds.users ALTER COLUMN id TYPE varchar(200)"]);
    assert_eq!(client.get("users/1").unwrap(), Some((1, "[1]".to_owned())));
    assert_eq!(client.head("users/1").unwrap(), Some(1));
    client.set("users/1", 2, "[2]").unwrap();
    assert_eq!(client.get("users/1").unwrap(), Some((2, "[2]".to_owned())));
}

fn a_locked_row_waits_alone() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, "");
    let all = |version| -> Vec<_> {
        ["users/locked", "users/free", "orders/1"].map(|key| (key.into(), set(version, "{}"))).into()
    };
    assert!(client.many(all(1)).iter().all(Result::is_ok));
    let is_locked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FOR UPDATE; DO%' AND state = 'active' AND pid <> pg_backend_pid()";
    let server_ref = &server;
    std::thread::scope(|scope| {
        let sql = format!(
            "BEGIN; SELECT 1 FROM ds.users WHERE id = 'locked' FOR UPDATE\\; {} COMMIT;",
            crate::support::wait_for_table_sql("public", "go")
        );
        let lock = scope.spawn(move || server_ref.client_with_input(&sql));
        crate::support::wait_until("the row is locked", || server.client(&["-c", is_locked]) == "1");
        let (sender, receiver) = channel();
        for version in [2, 3] {
            let begin = Instant::now();
            for key in ["users/locked", "users/free", "orders/1"] {
                let sender = sender.clone();
                let record = Record { version, data: "{}".into() };
                let done = move |result| sender.send((key, result)).unwrap();
                client.connector.set(key, record, done).unwrap();
            }
            for _ in 0..2 {
                let (key, result) = receiver.recv_timeout(PATIENCE).expect("a callback is missing");
                assert!(result.is_ok() && key != "users/locked", "{key}: {result:?}");
            }
            assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        }
        assert!(receiver.try_recv().is_err(), "the row is locked");
        server.client(&["-c", "CREATE TABLE public.go ()"]);
        lock.join().unwrap();
        for _ in 0..2 {
            let (key, result) = receiver.recv_timeout(PATIENCE).expect("a callback is missing");
            assert!(result.is_ok() && key == "users/locked", "{key}: {result:?}");
        }
    });
    assert_eq!(client.head("users/locked").unwrap(), Some(3));
    let events: Vec<_> = client.told.try_iter().filter(|told| matches!(told, Told::Error { .. })).collect();
    assert!(events.is_empty(), "{events:?}");
}

fn a_query_that_timed_out_is_cancelled() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, r#", "timeout": 2000"#);
    let slow = query(&client, "SELECT pg_sleep(60)", json!([]));
    assert_eq!(slow.unwrap_err().code(), ErrorCode::Timeout);
    let quick = query(&client, "SELECT 1 AS one", json!([]));
    assert_eq!(quick.unwrap()["rows"][0]["one"], 1);
    let sleeping =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'WITH q%pg_sleep%' AND state = 'active'";
    assert_eq!(server.client(&["-c", sleeping]), "0");
}

/// A session that was made before a failover, behind one address.
fn a_server_that_became_read_only_is_left() {
    let server = Server::start("postgres", &[]);
    let client = open(&server, r#", "maxConnections": 1"#);
    client.set("a", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    let sessions = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE usename = 'connector'";
    let first = server.client(&["-c", sessions]);
    server.client(&["-c", "ALTER ROLE connector SET default_transaction_read_only TO on", "-c", TERMINATE]);
    crate::support::wait_until("there is another session", || {
        let now = server.client(&["-c", sessions]);
        !now.is_empty() && now != first
    });
    server.client(&["-c", "ALTER ROLE connector RESET default_transaction_read_only"]);
    // It is still read-only on the session that was made meanwhile.
    client.set("a", 2, "{}").unwrap();
    assert_eq!(client.head("a").unwrap(), Some(2));
}

fn an_idle_session_that_the_server_ends_is_no_outage_and_pings_keep_it() {
    let server = Server::start("postgres", &[]);
    server.client(&["-c", "ALTER ROLE connector SET idle_session_timeout = '1s'"]);
    let quiet = open(&server, r#", "application_name": "quiet""#);
    let kept = open(&server, r#", "application_name": "kept", "pingInterval": 200"#);
    for client in [&quiet, &kept] {
        client.set("users/1", 1, "{}").unwrap();
        assert!(matches!(client.event(), Told::Ready));
    }
    let sessions = |name: &str| {
        let sql =
            format!("SELECT pid FROM pg_stat_activity WHERE application_name LIKE '{name}%' ORDER BY pid");
        server.client(&["-c", &sql])
    };
    let (mut seen, kept_ones) = (vec![sessions("quiet")], sessions("kept"));
    let begin = Instant::now();
    while seen.len() < 3 {
        if begin.elapsed() > PATIENCE {
            let told: Vec<_> = quiet.told.try_iter().collect();
            panic!("the server ends no idle session: {seen:?}, {told:?}");
        }
        let now = sessions("quiet");
        if !now.is_empty() && !seen.contains(&now) {
            seen.push(now);
        }
    }
    assert_eq!(sessions("kept"), kept_ones);
    for client in [&quiet, &kept] {
        assert!(client.told.try_iter().all(|told| matches!(told, Told::Log(_))));
        assert_eq!(client.head("users/1").unwrap(), Some(1));
    }
    server.ctl(&["kill"]);
    for client in [&quiet, &kept] {
        assert!(matches!(client.event(), Told::Error { fatal: false, .. }), "a crash is an outage");
    }
}
