//! The program, run as a user runs it, in a folder of its own.

#![allow(dead_code)] // Each test program uses a part of it.

pub mod server;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What no output may ever hold.
pub const SECRET: &str = "hunter2";

/// A folder with nothing of anybody's in it.
pub struct Place(TempDir);

/// What the program said, and its exit code.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Place {
        Place(TempDir::new().expect("the system has room for a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn file(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("files can be written");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names of its files.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder is readable");
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program with these words, to be run here. It sees nothing of the user's.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connectorctl"));
        command.args(words).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("HOME", self.0.path()).env("SECRET", SECRET);
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        command
    }

    pub fn run(&self, words: &[&str]) -> Said {
        said(self.command(words).output().expect("the program starts"))
    }

    /// The same with standard input.
    pub fn run_with(&self, words: &[&str], input: &[u8]) -> Said {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut pipe = child.stdin.take().expect("it is piped");
        let input = input.to_owned();
        // One that ends early does not read it all.
        let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("it ends");
        said(output)
    }

    /// Runs what has to succeed; gives standard output.
    pub fn ok(&self, words: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said.out
    }
}

pub fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what it says is UTF-8");
    let said = Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!said.out.contains(SECRET) && !said.err.contains(SECRET), "a secret is told: {said:?}");
    said
}

/// One JSON object from each line.
pub fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

impl Place {
    /// A command whose output and input are a terminal; none where there is no `script` to make one.
    pub fn at_terminal(&self, command: &str) -> Option<Child> {
        let is_here = Command::new("script").arg("--version").output().is_ok();
        if !is_here {
            assert!(std::env::var_os("CI").is_none(), "there is no program `script`");
            eprintln!("SKIPPED: there is no program `script`");
            return None;
        }
        let mut script = Command::new("script");
        script.args(["-qec", command, "/dev/null"]).current_dir(self.0.path()).env("HOME", self.0.path());
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Some(script.spawn().expect("it starts"))
    }

    /// A script for a shell, to be run here.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.0.path()).env("HOME", self.0.path());
        command
    }
}

/// Records that databases and files like to spoil, a line for each.
pub fn hostile_lines() -> String {
    let long = "k".repeat(5000);
    let keys = [
        "plain",
        "users/1",
        "users/'; DROP TABLE users; --",
        "a/b/c",
        "__proto__",
        "line\nbreak",
        "tab\t \"quotes\"",
        "é😀/\u{2028}",
        "$dollar.dot/$x.y",
        "_id",
        " space ",
        "%s%00",
        "UPPER/x",
        "upper/x",
        "\u{1}control",
        "/",
        "//",
        "a/",
        "ds_key/1",
        &long,
    ];
    let documents = [
        "{}",
        "[]",
        "null",
        "0",
        "-0.0",
        "1e308",
        "0.1",
        "9007199254740993",
        "\"text\"",
        r#""\u0000""#,
        r#"{"_id":1,"_rev":"x","ds_key":2,"ds_version":3,"__ds":{"_v":1}}"#,
        r#"{"$set":{"a.b":1},"":[[],{},null,true,false]}"#,
        r#"{"__proto__":{"x":1},"constructor":null}"#,
        r#"["\ud83d\ude00","é","\\","\"","/"]"#,
        r#"{"a":{"b":{"c":[{"d":[[[[1.50]]]]}]}}}"#,
        r#"{"big":12345678901234567890,"small":-1e-300}"#,
    ];
    let mut lines = String::new();
    for (at, key) in keys.iter().enumerate() {
        let data = documents[at % documents.len()];
        lines += &format!("{{\"key\":{},\"version\":{at},\"data\":{data}}}\n", Value::from(*key));
    }
    for (at, data) in documents.iter().enumerate() {
        lines += &format!("{{\"key\":\"documents/{at}\",\"version\":{at},\"data\":{data}}}\n");
    }
    for depth in [100, 1000] {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        lines += &format!("{{\"key\":\"deep/{depth}\",\"version\":1,\"data\":{data}}}\n");
    }
    lines
}

/// Small records with these numbers, a line for each.
pub fn many_lines(numbers: std::ops::Range<u64>) -> String {
    numbers
        .map(|n| {
            format!(
                "{{\"key\":\"many/{n}\",\"version\":{n},\"data\":{{\"n\":{n},\"text\":\"{}\"}}}}\n",
                "x".repeat(40)
            )
        })
        .collect()
}

/// The lines of a text in an order of their own.
pub fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Waits for something that comes by itself.
pub fn until(mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !condition() {
        assert!(std::time::Instant::now() < end, "it did not come");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

pub fn signal(child: &std::process::Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("there is kill").success());
}
