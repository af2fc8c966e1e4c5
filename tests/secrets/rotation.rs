//! A password that changes while the connector runs: the next connection has the new one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{json, Value};

use crate::harness::{test, Test};
use crate::support::{free_port, wait_until, Client, Server, Told};

/// Every test.
pub const TESTS: &[Test] = &[
    test!(redis_has_the_password_that_a_file_holds),
    test!(postgres_has_the_password_that_a_command_prints),
    test!(mariadb_has_the_password_that_a_file_holds),
    test!(couchdb_is_shown_the_new_password_when_it_refuses_the_old_one),
    test!(a_password_that_is_not_to_be_had_is_waited_for),
];

/// Opens a connector with a password from `path`, changes it everywhere, has `kill` end the connections, and
/// sees that all goes on.
fn rotate(server: &Server, options: Value, path: &Path, kill: impl Fn()) {
    std::fs::write(path, "secret\n").unwrap();
    let client = Client::open(&options.to_string()).unwrap();
    client.set("users/1", 1, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    std::fs::write(path, "another one\n").unwrap();
    server.ctl(&["password", "another one"]);
    kill();
    client.set("users/1", 2, "{}").unwrap();
    assert_eq!(client.head("users/1").unwrap(), Some(2));
    // The end of a connection that nobody uses is no outage, unless it was a young one.
    let told: Vec<_> = client.told.try_iter().filter(|told| !matches!(told, Told::Log(..))).collect();
    let is_one_outage = matches!(&told[..], [Told::Error { fatal: false, .. }, Told::Ready]);
    assert!(told.is_empty() || is_one_outage, "{told:?}");
}

fn redis_has_the_password_that_a_file_holds() {
    let server = Server::start("redis", &["password=secret"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let options =
        json!({"type": "redis", "host": "127.0.0.1", "port": server.port, "password": {"file": path}});
    rotate(&server, options, &path, || {
        let mut client = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        client.write_all(b"AUTH \"another one\"\r\nCLIENT KILL TYPE normal\r\nQUIT\r\n").unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(!said.contains('-'), "{said}");
    });
}

fn postgres_has_the_password_that_a_command_prints() {
    let server = Server::start("postgres", &[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let password = json!({"command": ["cat", path]});
    let options = json!({"type": "postgres", "host": "127.0.0.1", "port": server.port, "user": "connector",
        "password": password, "database": "records"});
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'connector'";
    rotate(&server, options, &path, || drop(server.client(&["-c", kill])));
}

fn mariadb_has_the_password_that_a_file_holds() {
    let server = Server::start("mariadb", &[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let options = json!({"type": "mariadb", "host": "127.0.0.1", "port": server.port, "user": "connector",
        "password": {"file": path}, "database": "records"});
    rotate(&server, options, &path, || drop(server.client(&["-e", "KILL USER connector"])));
}

/// Whatever it is asked, once the login is right, it is a database.
fn couchdb_is_shown_the_new_password_when_it_refuses_the_old_one() {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    // "ada:one" and "ada:two", as the header has them.
    let wanted = Arc::new(Mutex::new("Basic YWRhOm9uZQ=="));
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let (wanted_too, accepted_too) = (Arc::clone(&wanted), Arc::clone(&accepted));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (wanted, accepted) = (Arc::clone(&wanted_too), Arc::clone(&accepted_too));
            thread::spawn(move || answer(client, &wanted, &accepted));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "one").unwrap();
    let options = json!({"type": "couchdb", "url": format!("http://127.0.0.1:{port}/d"), "user": "ada",
        "password": {"file": path}});
    let client = Client::open(&options.to_string()).unwrap();
    assert!(matches!(client.event(), Told::Ready));
    std::fs::write(&path, "two").unwrap();
    *wanted.lock().unwrap() = "Basic YWRhOnR3bw==";
    let _ = client.get("users/1");
    wait_until("the new password is shown", || accepted.lock().unwrap().contains(&"Basic YWRhOnR3bw=="));
}

fn answer(mut client: TcpStream, wanted: &Mutex<&'static str>, accepted: &Mutex<Vec<&'static str>>) {
    let mut asked = vec![0; 64 << 10];
    while let Ok(length @ 1..) = client.read(&mut asked) {
        let asked = String::from_utf8_lossy(&asked[..length]);
        let wanted = *wanted.lock().unwrap();
        let (status, body) = match asked.contains(wanted) {
            true => (200, r#"{"db_name": "d", "rows": [], "results": []}"#),
            false => (401, r#"{"error": "unauthorized"}"#),
        };
        if status == 200 {
            accepted.lock().unwrap().push(wanted);
        }
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if client.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn a_password_that_is_not_to_be_had_is_waited_for() {
    let server = Server::start("redis", &["password=secret"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let options =
        json!({"type": "redis", "host": "127.0.0.1", "port": server.port, "password": {"file": path}});
    let client = Client::open(&options.to_string()).unwrap();
    let told = client.event();
    assert!(
        matches!(&told, Told::Error { error, fatal: false } if error.message().contains("the file of the option \"password\"")),
        "{told:?}"
    );
    std::fs::write(&path, "secret").unwrap();
    client.set("users/1", 1, "{}").unwrap();
}
