//! The replicas of one primary: those that the options name, or those that it names itself.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::Value;

use super::address::Address;
use super::decode::Reply;
use super::readers::{Answer, Marks, ReaderLogin, Readers};
use super::wire::Wire;
use crate::core::Error;
use crate::net::fleet::{Node, Timing};

/// Where reads go first.
pub(super) struct Replicas {
    readers: Readers,
    nodes: Mutex<Vec<Node>>,
    /// The primary says which they are, whenever it is asked how far it is.
    is_told: bool,
}

impl Replicas {
    /// Those that the options name. The future does the work.
    pub fn named(
        login: &Address,
        nodes: &[Node],
        timing: Timing,
        marks: &Marks,
    ) -> (Replicas, impl Future<Output = Error> + Send + 'static) {
        Replicas::start(login, nodes.to_vec(), false, timing, marks)
    }

    /// Those that follow a primary, which gave this answer to [`ROLE`](super::readers::ROLE).
    pub fn followers(
        login: &Address,
        role: &Reply,
        timing: Timing,
        marks: &Marks,
    ) -> (Replicas, impl Future<Output = Error> + Send + 'static) {
        Replicas::start(login, followers(role).unwrap_or_default(), true, timing, marks)
    }

    fn start(
        login: &Address,
        nodes: Vec<Node>,
        is_told: bool,
        timing: Timing,
        marks: &Marks,
    ) -> (Replicas, impl Future<Output = Error> + Send + 'static) {
        let login = ReaderLogin { address: login.clone(), is_cluster: false };
        let (readers, run) = Readers::start(login, nodes.clone(), timing, marks.clone());
        (Replicas { readers, nodes: Mutex::new(nodes), is_told }, run)
    }

    /// Asks one of them; `None` where none can answer now.
    pub async fn ask(&self, commands: &[u8], replies: usize) -> Option<Answer> {
        let nodes = self.nodes().clone();
        self.readers.ask(&nodes, commands, replies).await
    }

    /// See [`Readers::is_fresh`].
    pub fn is_fresh(&self, slot: u16, primary: &Wire, offset: i64) -> bool {
        self.readers.is_fresh(slot, primary, offset)
    }

    /// See [`Readers::wrote`].
    pub fn wrote(&self, slots: impl Iterator<Item = u16>, primary: &Wire, role: Option<Reply>) {
        self.heard(role.as_ref());
        self.readers.wrote(slots, primary, role);
    }

    /// See [`Readers::read`].
    pub fn read(&self, slots: impl Iterator<Item = u16>, primary: &Wire, role: Option<Reply>) {
        self.heard(role.as_ref());
        self.readers.read(slots, primary, role);
    }

    /// See [`Readers::waits_for_timer`].
    pub fn waits_for_timer(&self) -> bool {
        self.readers.waits_for_timer()
    }

    fn heard(&self, role: Option<&Reply>) {
        let Some(followers) = role.filter(|_| self.is_told).and_then(followers) else { return };
        let mut nodes = self.nodes();
        if *nodes != followers {
            self.readers.set_nodes(followers.iter().cloned());
            *nodes = followers;
        }
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The replicas in a primary's answer; those that do not follow at the moment are not in it.
fn followers(role: &Reply) -> Option<Vec<Node>> {
    let Reply::Value(Value::Array(parts)) = role else { return None };
    match parts.as_slice() {
        [Value::BulkString(role), _, Value::Array(list)] if role == b"master" => {
            list.iter().map(follower).collect()
        }
        _ => None,
    }
}

fn follower(value: &Value) -> Option<Node> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(host), Value::BulkString(port), ..] = parts.as_slice() else { return None };
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    Some(Node { host: text(host)?, port: text(port)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::decode::Decoder;
    use super::*;

    fn reply(text: &str) -> Reply {
        Decoder::default().next(&mut BytesMut::from(text)).unwrap().unwrap()
    }

    #[test]
    fn a_primary_names_its_replicas() {
        let two = "*3\r\n$6\r\nmaster\r\n:7\r\n*2\r\n*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n7\r\n\
            *3\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\n6\r\n";
        let node = |host: &str, port| Node { host: host.into(), port };
        assert_eq!(followers(&reply(two)), Some(vec![node("a", 1), node("b", 2)]));
        assert_eq!(followers(&reply("*3\r\n$6\r\nmaster\r\n:7\r\n*0\r\n")), Some(Vec::new()));
        assert_eq!(followers(&reply("-NOPERM no\r\n")), None);
        let replica = "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:7\r\n";
        assert_eq!(followers(&reply(replica)), None);
    }
}
