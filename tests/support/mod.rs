//! What integration tests share: servers from `tests/servers/ctl`, and a connector whose
//! callbacks can be waited for.

pub mod load;
pub mod network;
pub mod part;
pub mod pool;
pub mod race;
pub mod relay;
pub mod workshop;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::{Duration, Instant};

use deepstream_connector::core::{Error, Key, LogLevel, Operation, Page, Record, Reply};
use deepstream_connector::{Connector, Events};

use crate::harness::skip;

/// The folder of the project.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Longer than any test should take, so that a lost callback fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server of one of the recipes in `tests/servers`, ended when dropped.
pub struct Server {
    recipe: &'static str,
    folder: tempfile::TempDir,
    /// The address it listens on is `127.0.0.1` with this port.
    pub port: u16,
}

impl Server {
    /// Why servers of a recipe cannot be had here, if so.
    pub fn missing(recipe: &str) -> Option<String> {
        let (is_available, words) = ctl(recipe, None, &["available"]);
        (!is_available).then(|| words.trim().to_owned())
    }

    /// Starts a server, or skips the test where there is none.
    pub fn start(recipe: &'static str, variants: &[&str]) -> Server {
        if let Some(reason) = Server::missing(recipe) {
            skip(reason);
        }
        if variants.iter().any(|variant| variant.starts_with("tls")) {
            need_certificates();
        }
        let folder = match std::env::var_os("DSC_TEST_DATA") {
            Some(data) => tempfile::tempdir_in(data).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
        let owner = std::process::id().to_string();
        let mut arguments = vec!["start", "--owner", &owner];
        arguments.extend(variants);
        let (ok, address) = ctl(recipe, Some(folder.path()), &arguments);
        assert!(ok, "{recipe} does not start: {address}");
        let port = address.trim().rsplit(':').next().unwrap().parse().unwrap();
        Server { recipe, folder, port }
    }

    /// The folder of the instance.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    /// Runs one of `ctl`'s commands on it and returns what it printed.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let (ok, output) = ctl(self.recipe, Some(self.folder.path()), arguments);
        assert!(ok, "{} {arguments:?}: {output}", self.recipe);
        output.trim_end_matches('\n').to_owned()
    }

    /// The same where it may fail: `None` then.
    pub fn attempt(&self, arguments: &[&str]) -> Option<String> {
        let (ok, output) = ctl(self.recipe, Some(self.folder.path()), arguments);
        ok.then_some(output)
    }

    /// What a Redis node says that it is, "master" or "slave" first. Nothing where it cannot be asked: sentinels that
    /// give a server another role end its connections.
    pub fn role(&self, node: &str) -> String {
        self.attempt(&["node", node, "ROLE"]).unwrap_or_default()
    }

    /// Runs the server's own client.
    pub fn client(&self, arguments: &[&str]) -> String {
        self.ctl(&[&["client"], arguments].concat())
    }

    /// Has the server's own client carry out commands, one in each line, and returns what it printed.
    pub fn client_with_input(&self, commands: &str) -> String {
        let mut client = command(self.recipe, Some(self.folder.path()), &["client"]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = client.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || input.write_all(commands.as_bytes()).unwrap());
            let output = client.wait_with_output().unwrap();
            assert!(output.status.success(), "{} client: {output:?}", self.recipe);
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        ctl(self.recipe, Some(self.folder.path()), &["wipe"]);
    }
}

/// Whether the system has a tool.
pub fn is_here(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// The folder of certificates that TLS servers show, made where there is none.
pub fn certificates() -> PathBuf {
    need_certificates();
    let output = Command::new(ctl_path()).arg("certs").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn need_certificates() {
    if !is_here("openssl") {
        skip("openssl is missing, which makes the certificates of the tests");
    }
}

/// Skips a test that has a file system of its own where none can be mounted.
pub fn need_mounts() {
    let tried = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        skip("a file system in memory can be mounted by root alone");
    }
}

/// A port for a listener of a test's own: one that no killed server waits for.
pub fn free_port() -> u16 {
    let output = Command::new(ctl_path()).arg("port").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn ctl_path() -> PathBuf {
    Path::new(ROOT).join("tests/servers/ctl")
}

fn command(recipe: &str, folder: Option<&Path>, arguments: &[&str]) -> Command {
    let mut command = Command::new(ctl_path());
    command.arg(recipe).arg(arguments[0]);
    if let Some(folder) = folder {
        command.arg("--dir").arg(folder.join("server"));
    }
    command.args(&arguments[1..]);
    command
}

fn ctl(recipe: &str, folder: Option<&Path>, arguments: &[&str]) -> (bool, String) {
    let output = command(recipe, folder, arguments).output().unwrap();
    let text = if output.status.success() { output.stdout } else { [output.stdout, output.stderr].concat() };
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// What a connector told besides answers.
#[derive(Debug)]
pub enum Told {
    Ready,
    Error { error: Error, fatal: bool },
    Log(String),
}

struct Listener(Sender<Told>);

impl Events for Listener {
    fn ready(&mut self) {
        let _ = self.0.send(Told::Ready);
    }

    fn error(&mut self, error: Error, fatal: bool) {
        let _ = self.0.send(Told::Error { error, fatal });
    }

    fn log(&mut self, _level: LogLevel, line: &str) {
        let _ = self.0.send(Told::Log(line.to_owned()));
    }
}

/// A connector with blocking methods, one operation at a time.
pub struct Client {
    pub connector: Connector,
    pub told: Receiver<Told>,
}

impl Client {
    pub fn open(configuration: &str) -> Result<Client, Error> {
        let (sender, told) = channel();
        Ok(Client { connector: Connector::open(configuration, Listener(sender))?, told })
    }

    pub fn set(&self, key: &str, version: i64, data: &str) -> Result<(), Error> {
        let record = Record { version, data: data.to_owned().into() };
        wait(|done| self.connector.set(key, record, done))
    }

    pub fn get(&self, key: &str) -> Result<Option<(i64, String)>, Error> {
        let record: Option<Record> = wait(|done| self.connector.get(key, done))?;
        Ok(record.map(|record| (record.version, String::from_utf8(record.data.to_vec()).unwrap())))
    }

    pub fn head(&self, key: &str) -> Result<Option<i64>, Error> {
        wait(|done| self.connector.head(key, done))
    }

    pub fn delete(&self, key: &str) -> Result<(), Error> {
        wait(|done| self.connector.delete(key, done))
    }

    /// The page at a cursor.
    pub fn page(&self, cursor: Option<&str>, limit: usize) -> Result<Page, Error> {
        wait(|done| self.connector.scan(cursor, limit, done))
    }

    /// All records, by pages of at most `limit`.
    pub fn list(&self, limit: usize) -> Vec<(Key, Record)> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.page(cursor.as_deref(), limit).unwrap();
            assert!(page.records.len() <= limit, "a page of {} records", page.records.len());
            all.extend(page.records);
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    pub fn many(&self, operations: Vec<(Key, Operation)>) -> Vec<Result<Reply, Error>> {
        let (sender, receiver) = channel();
        self.connector.many(operations, move |results| sender.send(results).unwrap()).unwrap();
        receiver.recv_timeout(PATIENCE).expect("a callback is missing")
    }

    /// Waits for a line of the log with these words; what is told before it is forgotten.
    pub fn line_with(&self, words: &str) -> String {
        loop {
            match self.told.recv_timeout(PATIENCE).expect("a line is missing") {
                Told::Log(line) if line.contains(words) => return line,
                _ => {}
            }
        }
    }

    /// The next event that is not a line of the log.
    pub fn event(&self) -> Told {
        loop {
            match self.told.recv_timeout(PATIENCE).expect("an event is missing") {
                Told::Log(..) => {}
                other => return other,
            }
        }
    }
}

type Done<R> = Box<dyn FnOnce(Result<R, Error>) + Send>;

fn wait<R: Send + 'static>(submit: impl FnOnce(Done<R>) -> Result<(), Error>) -> Result<R, Error> {
    let (sender, receiver) = channel();
    submit(Box::new(move |result| sender.send(result).unwrap()))?;
    receiver.recv_timeout(PATIENCE).expect("a callback is missing")
}

/// PostgreSQL's way to wait until there is a table, for half a minute at most.
pub fn wait_for_table_sql(schema: &str, table: &str) -> String {
    format!(
        "DO 'BEGIN FOR i IN 1..600 LOOP
             EXIT WHEN EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = ''{schema}'' AND tablename = ''{table}'');
             PERFORM pg_sleep(0.05);
         END LOOP; END';"
    )
}

pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
