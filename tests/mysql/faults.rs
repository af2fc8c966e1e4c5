//! Servers that go away, hang, or end connections in the middle of a load, and processes that
//! meet in one database.

use std::sync::mpsc::channel;
use std::time::Duration;

use deepstream_connector::core::Operation;

use crate::mysql::databases::{products, record, Database};
use crate::support::load::under_load;
use crate::support::{race, wait_until, Told, PATIENCE};

use crate::harness::{test, Class, Test};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(four_processes_that_make_the_same_tables_at_once_lose_nothing).class(Class::Works),
    test!(connections_that_the_administrator_ends_in_mid_batch_lose_nothing).class(Class::Works),
    test!(an_idle_connection_that_ends_is_replaced_and_is_no_outage),
    test!(pings_keep_idle_connections_open),
    test!(one_of_several_idle_connections_that_ends_is_replaced_alone),
    test!(a_restart_in_the_middle_of_a_load_loses_nothing).class(Class::Works),
    test!(a_crash_in_the_middle_of_a_load_loses_nothing).class(Class::Works),
    test!(a_hang_in_the_middle_of_a_load_loses_nothing).class(Class::Works),
    test!(a_connection_that_was_given_up_is_ended_at_the_server),
    test!(a_server_that_is_absent_at_the_start_is_waited_for),
];

fn four_processes_that_make_the_same_tables_at_once_lose_nothing() {
    for database in Database::each() {
        race::run(&database.configuration(r#", "timeout": 60000"#));
        let counts: Vec<String> = (0..race::COLLECTIONS)
            .map(|number| format!("SELECT COUNT(*) FROM {}", race::collection(number)))
            .collect();
        let counts = database.sql(&counts.join(" UNION ALL "));
        assert_eq!(counts, vec![race::RECORDS_IN_EACH.to_string(); race::COLLECTIONS].join("\n"));
    }
}

const PATIENT: &str = r#", "timeout": 60000"#;

/// The numbers of our connections.
fn connections(database: &Database) -> Vec<String> {
    let query = "SELECT id FROM information_schema.processlist WHERE user = 'connector'";
    database.sql(query).lines().map(str::to_owned).collect()
}

fn connections_that_the_administrator_ends_in_mid_batch_lose_nothing() {
    for product in products() {
        let database = Database::alone(product, &[]);
        let client = database.open(PATIENT);
        under_load(&client, || {
            for _ in 0..5 {
                let kills: Vec<String> =
                    connections(&database).iter().map(|number| format!("KILL CONNECTION {number}")).collect();
                // Some have ended by themselves meanwhile, as others of the same link.
                database.server.attempt(&["client", "--force", "-e", &kills.join(";")]);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
    }
}

/// The numbers of our connections that nobody has used for a second.
fn idle_connections(database: &Database) -> Vec<String> {
    let mark = format!("db = '{}' AND user = 'connector' AND time >= 1", database.name);
    let query = format!("SELECT id FROM information_schema.processlist WHERE {mark}");
    database.sql(&query).lines().map(str::to_owned).collect()
}

fn an_idle_connection_that_ends_is_replaced_and_is_no_outage() {
    for database in Database::each() {
        let client = database.open("");
        assert!(matches!(client.event(), Told::Ready));
        client.set("users/1", 1, "{}").unwrap();
        wait_until("the connection is idle", || !idle_connections(&database).is_empty());
        let first = idle_connections(&database);
        let [number] = &first[..] else { panic!("{first:?}") };
        database.server.attempt(&["client", "--force", "-e", &format!("KILL CONNECTION {number}")]);
        wait_until("there is another one", || {
            let now = idle_connections(&database);
            !now.is_empty() && now != first
        });
        assert!(client.told.try_iter().all(|told| matches!(told, Told::Log(_))));
        assert_eq!(client.head("users/1").unwrap(), Some(1));
    }
}

fn pings_keep_idle_connections_open() {
    for database in Database::each() {
        let client = database.open(r#", "pingInterval": 100"#);
        client.set("users/1", 1, "{}").unwrap();
        let mark = format!("db = '{}' AND user = 'connector'", database.name);
        let times = format!("SELECT id, time_ms FROM information_schema.processlist WHERE {mark}");
        let times = if database.is_mariadb() { times } else { times.replace("time_ms", "time * 1000") };
        let begin = std::time::Instant::now();
        wait_until("more than two seconds have passed", || {
            for line in database.sql(&times).lines() {
                let (_, idle) = line.split_once('\t').expect(line);
                let idle: f64 = idle.parse().expect(line);
                assert!(idle < 2000.0, "{line}");
            }
            begin.elapsed() > Duration::from_secs(3)
        });
        assert!(client.told.try_iter().all(|told| !matches!(told, Told::Error { .. })));
    }
}

fn one_of_several_idle_connections_that_ends_is_replaced_alone() {
    for database in Database::each() {
        let client = database.open("");
        assert!(matches!(client.event(), Told::Ready));
        client.set("users/1", 1, "{}").unwrap();
        let ours = || {
            let mark = format!("db = '{}' AND user = 'connector'", database.name);
            let query = format!("SELECT id FROM information_schema.processlist WHERE {mark}");
            database.sql(&query).lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(ours().len(), 1);
        let (sender, results) = channel();
        // A read and a write that both have to wait take a connection each.
        database.while_locked("LOCK TABLES users WRITE", "UNLOCK TABLES", || {
            let operations =
                vec![("users/1".into(), Operation::Set(record(2, "{}"))), ("users/2".into(), Operation::Get)];
            client.connector.many(operations, move |results| sender.send(results).unwrap()).unwrap();
            wait_until("there are two connections", || ours().len() == 2);
        });
        assert!(results.recv_timeout(PATIENCE).unwrap().into_iter().all(|result| result.is_ok()));
        let two = ours();
        database.server.attempt(&["client", "--force", "-e", &format!("KILL CONNECTION {}", two[0])]);
        wait_until("one of them has ended", || !ours().contains(&two[0]));
        assert_eq!(client.head("users/1").unwrap(), Some(2));
        client.set("users/1", 3, "{}").unwrap();
        assert!(ours().contains(&two[1]));
        assert!(client.told.try_iter().all(|told| matches!(told, Told::Log(_))));
    }
}

fn a_restart_in_the_middle_of_a_load_loses_nothing() {
    for product in products() {
        let database = Database::alone(product, &[]);
        let client = database.open(PATIENT);
        under_load(&client, || drop(database.server.ctl(&["restart"])));
    }
}

fn a_crash_in_the_middle_of_a_load_loses_nothing() {
    let database = Database::alone("mariadb", &[]);
    let client = database.open(PATIENT);
    under_load(&client, || {
        database.server.ctl(&["kill"]);
        database.server.ctl(&["restart"]);
    });
}

fn a_hang_in_the_middle_of_a_load_loses_nothing() {
    let database = Database::alone("mariadb", &[]);
    let client = database.open(PATIENT);
    under_load(&client, || {
        database.server.ctl(&["freeze"]);
        std::thread::sleep(Duration::from_secs(1));
        database.server.ctl(&["thaw"]);
    });
}

/// What a connection that was given up still had to do is not done after what came later.
fn a_connection_that_was_given_up_is_ended_at_the_server() {
    for database in Database::each() {
        let maker = database.open("");
        maker.set("users/1", 1, "{}").unwrap();
        maker.connector.shut_down();
        let of_ours = || {
            let query = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND user = 'connector'";
            database.sql(query)
        };
        wait_until("the connection that made the table has ended", || of_ours() == "0");
        // Shorter than a lock is waited for.
        let client = database.open(r#", "timeout": 800, "connectionLimit": 2"#);
        assert_eq!(client.head("users/1").unwrap(), Some(1));
        assert_eq!(of_ours(), "1");
        // Nobody can wait for that as long as it is held.
        database.while_locked("LOCK TABLES users WRITE", "UNLOCK TABLES", || {
            client.set("users/1", 2, "{}").unwrap_err();
        });
        client.set("users/1", 3, "{}").unwrap();
        wait_until("there is only the new connection", || of_ours() == "1");
        assert_eq!(client.head("users/1").unwrap(), Some(3));
    }
}

fn a_server_that_is_absent_at_the_start_is_waited_for() {
    let database = Database::alone("mariadb", &[]);
    database.server.ctl(&["stop"]);
    let client = database.open(PATIENT);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            database.server.ctl(&["restart"]);
        });
        client.set("users/1", 1, "{}").unwrap();
    });
    assert_eq!(client.head("users/1").unwrap(), Some(1));
}
