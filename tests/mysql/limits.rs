//! What a server does not take, or not at the moment.

use std::sync::mpsc::channel;
use std::time::Duration;

use deepstream_connector::core::{Error, ErrorCode, Operation};

use crate::mysql::databases::{get_all, products, record, set_all, Database};
use crate::support::relay::Relay;
use crate::support::{Client, Told, PATIENCE};

use crate::harness::{test, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(a_record_larger_than_a_packet_is_refused_and_others_are_not),
    test!(records_larger_than_the_protocols_packets_come_back),
    test!(a_full_server_says_so_and_loses_nothing),
    test!(a_user_who_may_only_read_reads),
    test!(a_read_only_server_serves_reads_and_is_one_outage),
    test!(a_failover_behind_one_address_is_followed),
    test!(a_short_lock_of_another_program_only_delays),
    test!(a_locked_row_waits_alone),
    test!(a_lock_that_is_never_released_is_named_by_the_timeout),
    test!(a_deadlock_is_tried_again),
    test!(too_many_statements_or_connections_are_waited_out),
];

fn a_record_larger_than_a_packet_is_refused_and_others_are_not() {
    for product in products() {
        let database = Database::alone(product, &["--", "--max-allowed-packet=1M"]);
        let client = database.open("");
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        let operations: Vec<_> = [300_000, 600_000, 1_100_000, 1_000_000, 900_000, 10]
            .into_iter()
            .enumerate()
            .map(|(number, bytes)| {
                (format!("users/{number}").into(), Operation::Set(record(1, &text(bytes))))
            })
            .collect();
        for (number, result) in client.many(operations).into_iter().enumerate() {
            match number {
                2 => {
                    let error = result.unwrap_err();
                    assert_eq!(error.code(), ErrorCode::TooLarge);
                    let words = ["1100", "max_allowed_packet is 1048576", "raise that"];
                    assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
                }
                _ => drop(result.unwrap()),
            }
        }
        // What fits alone and not together goes in several statements, and comes so too.
        let keys: Vec<String> = [0, 1, 3, 4, 5].iter().map(|number| format!("users/{number}")).collect();
        let found = get_all(&client, keys.iter().map(String::as_str));
        let sizes: Vec<usize> = found.into_iter().map(|record| record.unwrap().data.len() - 2).collect();
        assert_eq!(sizes, [300_000, 600_000, 1_000_000, 900_000, 10]);
        assert_eq!(client.get("users/2").unwrap(), None);
    }
}

fn records_larger_than_the_protocols_packets_come_back() {
    for database in Database::each() {
        let client = database.open(r#", "timeout": 60000"#);
        let large = format!("\"{}\"", "large".repeat(3_600_000));
        set_all(&client, [("users/1", record(1, &large)), ("users/2", record(2, "{}"))]);
        assert_eq!(
            get_all(&client, ["users/1"])[0].as_ref().map(|record| record.data.len()),
            Some(large.len())
        );
        assert_eq!(client.get("users/1").unwrap(), Some((1, large)));
        assert_eq!(client.head("users/2").unwrap(), Some(2));
    }
}

fn a_full_server_says_so_and_loses_nothing() {
    for product in products() {
        let limit = if product == "mariadb" {
            "ibdata1:12M:autoextend:max:16M"
        } else {
            "ibdata1:12M:autoextend:max:14M"
        };
        let limit = format!("--innodb-data-file-path={limit}");
        let options = ["--", "--innodb-file-per-table=OFF", limit.as_str()];
        let database = Database::alone(product, &options);
        let client = database.open("");
        let data = format!("\"{}\"", "x".repeat(100_000));
        let mut stored = 0;
        let error = loop {
            match client.set(&format!("users/{stored}"), stored, &data) {
                Ok(()) => stored += 1,
                Err(error) => break error,
            }
            assert!(stored < 500, "the server takes all");
        };
        assert_eq!(error.code(), ErrorCode::Backend, "{error}");
        assert!(error.message().contains("no space left, and nothing was stored; free space"), "{error}");
        assert!(stored > 5, "only {stored} records fitted");
        client.connector.shut_down();
        let client = database.open("");
        for number in 0..stored {
            assert_eq!(client.get(&format!("users/{number}")).unwrap(), Some((number, data.clone())));
        }
        assert_eq!(client.get(&format!("users/{stored}")).unwrap(), None);
    }
}

fn a_user_who_may_only_read_reads() {
    for database in Database::each() {
        let client = database.open("");
        client.set("users/1", 1, "{}").unwrap();
        let reader = Client::open(&database.configuration_of("reader", "")).unwrap();
        assert_eq!(reader.get("users/1").unwrap(), Some((1, "{}".into())));
        assert_eq!(reader.list(10).len(), 1);
        let refused = [
            reader.set("users/1", 2, "{}").unwrap_err(),
            reader.set("new/1", 2, "{}").unwrap_err(),
            reader.delete("users/1").unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.code(), ErrorCode::Backend, "{error}");
            let words = ["(option \"user\") has not the right", "grant it SELECT, INSERT"];
            assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
        }
        assert_eq!(client.get("users/1").unwrap(), Some((1, "{}".into())));
    }
}

/// What was told beside lines of the log: errors and their ends.
fn outages(client: &Client) -> (usize, usize) {
    let (mut errors, mut ends) = (0, 0);
    for told in client.told.try_iter() {
        match told {
            Told::Error { error, fatal } => {
                assert!(!fatal && error.message().contains("read-only"), "{error}");
                errors += 1;
            }
            Told::Ready => ends += 1,
            Told::Log(_) => {}
        }
    }
    (errors, ends)
}

fn a_read_only_server_serves_reads_and_is_one_outage() {
    for product in products() {
        let database = Database::alone(product, &[]);
        let client = database.open("");
        client.set("users/1", 1, "{}").unwrap();
        let hasty = database.open(r#", "timeout": 1500"#);
        assert_eq!(hasty.head("users/1").unwrap(), Some(1));
        assert_eq!((outages(&client), outages(&hasty)), ((0, 1), (0, 1)));
        database.sql("SET GLOBAL read_only = 1");
        let before = connections_made(&database);
        let (sender, results) = channel();
        let sets = (0..2_000)
            .map(|number| (format!("users/{number}").into(), Operation::Set(record(3, "{}"))))
            .chain([
                ("users/gone".into(), Operation::Delete),
                ("new/1".into(), Operation::Set(record(3, "{}"))),
            ]);
        client.connector.many(sets.collect(), move |results| sender.send(results).unwrap()).unwrap();
        // Beside all that waits, reads are answered.
        let (sender, late) = channel();
        let written = move |result: Result<(), Error>| sender.send(result).unwrap();
        hasty.connector.set("users/late", record(2, "{}"), written).unwrap();
        let error = loop {
            assert_eq!(client.head("users/other").unwrap(), None);
            assert!(hasty.get("users/1").unwrap().is_some());
            if let Ok(result) = late.try_recv() {
                break result.unwrap_err();
            }
        };
        assert_eq!(error.code(), ErrorCode::Timeout);
        assert!(error.message().contains("read-only"), "{error}");
        // For each attempt one is made, to see whether another server takes writes by now.
        let made = connections_made(&database) - before;
        assert!(made < 40, "{made} connections were made");
        assert_eq!((outages(&client), outages(&hasty)), ((1, 0), (1, 0)));
        database.sql("SET GLOBAL read_only = 0");
        assert!(results.recv_timeout(PATIENCE).unwrap().into_iter().all(|result| result.is_ok()));
        assert_eq!(client.head("users/7").unwrap(), Some(3));
        assert_eq!(outages(&client), (0, 1));
    }
}

/// How many connections the server was asked for, that of this question too.
fn connections_made(database: &Database) -> usize {
    let status = database.sql("SHOW GLOBAL STATUS LIKE 'Connections'");
    status.split_whitespace().last().and_then(|count| count.parse().ok()).unwrap()
}

/// The old primary goes on as a replica, and new connections lead to another server.
fn a_failover_behind_one_address_is_followed() {
    let (old, new) = (Database::alone("mariadb", &[]), Database::alone("mariadb", &["--", "--server-id=2"]));
    new.server.client_with_input(&format!("CREATE DATABASE IF NOT EXISTS {};", old.name));
    let place = |port: u16| old.configuration("").replace(&old.server.port.to_string(), &port.to_string());
    let relay = Relay::start(old.server.port);
    let client = Client::open(&place(relay.port)).unwrap();
    client.set("users/1", 1, "{}").unwrap();
    relay.lead_to(new.server.port);
    old.sql("SET GLOBAL read_only = 1");
    client.set("users/1", 2, "{}").unwrap();
    assert_eq!(client.get("users/1").unwrap(), Some((2, "{}".into())));
    assert_eq!(old.sql("SELECT version FROM users"), "1");
    assert_eq!(outages(&client), (1, 2));
    // Of several addresses that counts where writes are taken.
    let both = format!("127.0.0.1:{},127.0.0.1:{}", old.server.port, new.server.port);
    let client = Client::open(&old.configuration(&format!(r#", "host": "{both}""#))).unwrap();
    assert_eq!(client.head("users/1").unwrap(), Some(2));
    client.set("users/1", 3, "{}").unwrap();
    // And where nobody does, they are read.
    new.server.client_with_input("SET GLOBAL read_only = 1;");
    let client = Client::open(&old.configuration(&format!(r#", "host": "{both}""#))).unwrap();
    assert_eq!(client.head("users/1").unwrap(), Some(1));
}

const LOCK_ONE: &str = "BEGIN; UPDATE users SET version = 100 WHERE id = '1'";

fn a_short_lock_of_another_program_only_delays() {
    for database in Database::each() {
        // With so much time a lock is waited for longer.
        let client = database.open(r#", "timeout": 40000"#);
        client.set("users/1", 1, "{}").unwrap();
        database.while_locked(LOCK_ONE, "ROLLBACK", || {
            std::thread::scope(|scope| {
                scope.spawn(|| database.wake_when_waited_for());
                client.set("users/1", 2, "{}").unwrap();
            });
        });
        assert_eq!(client.head("users/1").unwrap(), Some(2));
    }
}

fn a_locked_row_waits_alone() {
    for database in Database::each() {
        let client = database.open(r#", "timeout": 120000"#);
        // What the first one is asked of these keys waits for its writes.
        let reader = database.open("");
        set_all(&client, [("users/locked", record(1, "{}")), ("users/gone", record(1, "{}"))]);
        // One that is changed, one that is removed, and one that is put in, none of it committed.
        let locks =
            "BEGIN; UPDATE users SET version = 100 WHERE id = 'locked'; DELETE FROM users WHERE id = 'gone';
            INSERT INTO users (id, version, data) VALUES ('new', 100, '{}')";
        let (sender, results) = channel();
        let waiting = ["users/locked", "users/gone", "users/new"];
        database.while_locked(&locks.replace('\n', " "), "ROLLBACK", || {
            for kind in 0..2 {
                for key in waiting {
                    let operation =
                        if kind == 0 { Operation::Delete } else { Operation::Set(record(2, "[]")) };
                    let sender = sender.clone();
                    client
                        .connector
                        .many(vec![(key.into(), operation)], move |done| sender.send(done).unwrap())
                        .unwrap();
                }
            }
            // Others of the same table, in the same batches, and of another one go on; none waits for
            // a lock but in the beginning.
            for round in 0..4 {
                let keys: Vec<String> =
                    (0..300).map(|number| format!("users/free{number}")).chain(["orders/1".into()]).collect();
                set_all(&client, keys.iter().map(|key| (&**key, record(round, "{}"))));
                client.delete("users/free7").unwrap();
                assert_eq!(reader.head("users/locked").unwrap(), Some(1));
            }
            if let Ok(done) = results.try_recv() {
                panic!("a row that is locked was answered: {done:?}");
            }
        });
        for _ in 0..2 * waiting.len() {
            assert!(results.recv_timeout(PATIENCE).unwrap().iter().all(Result::is_ok));
        }
        for key in waiting {
            assert_eq!(client.get(key).unwrap(), Some((2, "[]".into())));
        }
        assert!(!client.told.try_iter().any(|told| matches!(told, Told::Error { .. })));
    }
}

fn a_lock_that_is_never_released_is_named_by_the_timeout() {
    for database in Database::each() {
        let client = database.open(r#", "timeout": 3000"#);
        client.set("users/1", 1, "{}").unwrap();
        database.while_locked(LOCK_ONE, "ROLLBACK", || {
            let error = client.set("users/1", 2, "{}").unwrap_err();
            assert_eq!(error.code(), ErrorCode::Timeout);
            assert!(error.message().contains("holds a lock on the record"), "{error}");
            // Meanwhile reads go on.
            assert_eq!(client.head("users/2").unwrap(), None);
        });
    }
}

fn a_deadlock_is_tried_again() {
    for database in Database::each() {
        let client = database.open(r#", "timeout": 40000"#);
        set_all(&client, [("users/1", record(0, "{}")), ("users/2", record(0, "{}"))]);
        // It has the second row, and wants the first one when we have that and wait for the second.
        let lock = "BEGIN; UPDATE users SET version = 100 WHERE id = '2'";
        database.while_locked(lock, "UPDATE users SET version = 100 WHERE id = '1'; ROLLBACK", || {
            std::thread::scope(|scope| {
                scope.spawn(|| database.wake_when_waited_for());
                set_all(&client, [("users/1", record(1, "{}")), ("users/2", record(1, "{}"))]);
            });
        });
        assert_eq!(client.head("users/1").unwrap(), Some(1));
        assert_eq!(client.head("users/2").unwrap(), Some(1));
        let deadlocks = match database.is_mariadb() {
            true => "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'",
            false => {
                "SELECT name, count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
            }
        };
        let count = database.sql(deadlocks);
        assert!(!count.ends_with("\t0"), "there was no deadlock: {count}");
    }
}

fn too_many_statements_or_connections_are_waited_out() {
    let database = Database::alone("mariadb", &[]);
    let client = database.open(r#", "connectionLimit": 2"#);
    database.sql("SET GLOBAL max_prepared_stmt_count = 3");
    for number in 0..20 {
        let key = format!("collection{number}/1");
        client.set(&key, number, "{}").unwrap();
        assert_eq!(client.head(&key).unwrap(), Some(number));
    }
    database.sql("SET GLOBAL max_prepared_stmt_count = DEFAULT; SET GLOBAL max_connections = 10");
    // There is room for a few of them, and each does with what it gets.
    let large = database.open(r#", "connectionLimit": 20"#);
    let keys: Vec<String> = (0..2_000).map(|number| format!("users/{number}")).collect();
    set_all(&large, keys.iter().map(|key| (&**key, record(1, "{}"))));
    assert!(get_all(&large, keys.iter().map(|key| &**key)).iter().all(|found| found.is_some()));
    let others: Vec<Client> = (0..12).map(|_| database.open(r#", "timeout": 20000"#)).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            database.sql("SET GLOBAL max_connections = 100");
        });
        others.iter().for_each(|other| other.set("users/1", 1, "{}").unwrap());
    });
    let lines: Vec<String> = others
        .iter()
        .flat_map(|other| other.told.try_iter())
        .filter_map(|told| if let Told::Log(line) = told { Some(line) } else { None })
        .collect();
    assert!(lines.iter().any(|line| line.contains("too many connections")), "{lines:?}");
}
