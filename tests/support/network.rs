//! A network of a test's own, in which everything can be lost for a while.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use deepstream_connector::core::Record;

use super::part;
use super::{wait_until, Client, Server, Told, PATIENCE};
use crate::harness::skip;

/// Runs a part in a network of its own, or skips the test where there can be none.
pub fn run(recipe: &str, name: &str) {
    if let Some(reason) = Server::missing(recipe) {
        skip(reason);
    }
    let tried = Command::new("unshare").args(["--net", "ip", "link"]).stdout(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        skip("a network of its own is for root alone, with \"ip\" of iproute2");
    }
    let part = part::command(name);
    let mut command = Command::new("unshare");
    command.arg("--net").arg(part.get_program());
    for (name, value) in part.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    assert!(command.status().unwrap().success(), "see above");
}

fn link(state: &str) {
    assert!(Command::new("ip").args(["link", "set", "lo", state]).status().unwrap().success());
}

/// Whether the system holds something that it will still send to a port.
fn is_to_be_sent(port: u16) -> bool {
    let to = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|columns| {
        matches!(&columns[..], [_, _, remote, _, queues, ..]
            if remote.ends_with(&to) && !queues.starts_with("00000000:"))
    })
}

/// The part: a write is lost on its way, the next one is acknowledged on another connection, and
/// what the system held of the first one does not come after it.
pub fn a_lost_write_does_not_come_after_a_later_one(recipe: &'static str, configuration: &str) {
    link("up");
    let server = Server::start(recipe, &[]);
    let client = Client::open(&configuration.replace("PORT", &server.port.to_string())).unwrap();
    client.set("a", 0, "{}").unwrap();
    assert!(matches!(client.event(), Told::Ready));
    link("down");
    let (sender, receiver) = channel();
    let first = Record { version: 1, data: "{}".into() };
    client.connector.set("a", first, move |result| sender.send(result).unwrap()).unwrap();
    wait_until("the write is on its way", || is_to_be_sent(server.port));
    assert!(matches!(client.event(), Told::Error { fatal: false, .. }), "nobody noticed the silence");
    link("up");
    // It may have been too late for it.
    let _ = receiver.recv_timeout(PATIENCE).expect("a callback is missing");
    assert!(matches!(client.event(), Told::Ready));
    client.set("a", 2, "{}").unwrap();
    wait_until("nothing is on its way any more", || !is_to_be_sent(server.port));
    assert_eq!(client.head("a").unwrap(), Some(2));
    // The server may have read what it has not carried out.
    assert_eq!(client.head("a").unwrap(), Some(2));
}
