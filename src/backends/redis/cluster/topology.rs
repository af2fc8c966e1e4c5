//! Which node has which slots, by `CLUSTER SLOTS` (<https://redis.io/docs/latest/commands/cluster-slots/>),
//! and what a node answers that does not have a slot any more.

use bytes::Bytes;
use redis::Value;

use super::super::decode::Reply;
use super::slots;
use crate::core::Error;
use crate::net::fleet::Node;

/// Who has which slots.
pub(super) struct Topology {
    masters: Vec<Node>,
    /// For each master its replicas.
    replicas: Vec<Vec<Node>>,
    /// For each slot the master's number, or `NOBODY`.
    owners: Vec<u16>,
}

const NOBODY: u16 = u16::MAX;

impl Topology {
    /// Nobody has anything.
    pub fn empty() -> Topology {
        Topology {
            masters: Vec::new(),
            replicas: Vec::new(),
            owners: vec![NOBODY; usize::from(slots::COUNT)],
        }
    }

    /// Reads the answer of the node `asked`, which may leave out its own address.
    ///
    /// # Errors
    /// It is not such an answer, or no slot is served.
    pub fn read(reply: Reply, asked: &Node) -> Result<Topology, Error> {
        let mut topology = Topology::empty();
        let ranges = match reply.into_result()? {
            Reply::Value(Value::Array(ranges)) => ranges,
            Reply::Strings(list) if list.is_empty() => Vec::new(),
            _ => return Err(super::super::replies::unexpected()),
        };
        for range in ranges {
            let (first, last, master, replicas) =
                read_range(range, asked).ok_or_else(super::super::replies::unexpected)?;
            let number = topology.give(first..=last, master);
            topology.replicas[number] = replicas;
        }
        if topology.masters.is_empty() {
            return Err(Error::connection("the cluster serves no slots yet"));
        }
        Ok(topology)
    }

    /// Returns the master's number.
    fn give(&mut self, range: std::ops::RangeInclusive<u16>, master: Node) -> usize {
        let number = match self.masters.iter().position(|known| *known == master) {
            Some(number) => number,
            None => {
                self.masters.push(master);
                self.replicas.push(Vec::new());
                self.masters.len() - 1
            }
        };
        let owner = u16::try_from(number).unwrap_or(NOBODY);
        for slot in range {
            if let Some(place) = self.owners.get_mut(usize::from(slot)) {
                *place = owner;
            }
        }
        number
    }

    /// A slot has moved, by the word of the node that had it.
    pub fn moved(&mut self, slot: u16, to: Node) {
        self.give(slot..=slot, to);
    }

    /// The nodes that have slots.
    pub fn masters(&self) -> &[Node] {
        &self.masters
    }

    /// All replicas.
    pub fn replicas(&self) -> impl Iterator<Item = &Node> {
        self.replicas.iter().flatten()
    }

    /// The replicas of the node that has a slot.
    pub fn replicas_of(&self, slot: u16) -> &[Node] {
        let owner = self.owners.get(usize::from(slot)).copied().unwrap_or(NOBODY);
        self.replicas.get(usize::from(owner)).map_or(&[], Vec::as_slice)
    }

    /// The number of the node that has a slot; 0 where nobody has.
    pub fn group(&self, slot: u16) -> usize {
        self.owners
            .get(usize::from(slot))
            .filter(|owner| **owner != NOBODY)
            .map_or(0, |owner| (*owner).into())
    }

    /// The node that has a slot.
    pub fn owner(&self, slot: u16) -> Option<&Node> {
        self.masters.get(usize::from(*self.owners.get(usize::from(slot))?))
    }
}

/// The first and the last slot of a range, its master, and its replicas.
fn read_range(range: Value, asked: &Node) -> Option<(u16, u16, Node, Vec<Node>)> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let first = slot(parts.next()?)?;
    let last = slot(parts.next()?)?;
    let master = read_node(parts.next()?, asked)?;
    let replicas = parts.map(|replica| read_node(replica, asked)).collect::<Option<_>>()?;
    (first <= last).then_some((first, last, master, replicas))
}

fn read_node(value: Value, asked: &Node) -> Option<Node> {
    let Value::Array(parts) = value else { return None };
    let mut parts = parts.into_iter();
    let host = match parts.next()? {
        Value::BulkString(host) => String::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => String::new(),
        _ => return None,
    };
    let Value::Int(port) = parts.next()? else { return None };
    // A node that does not know its own address or name; see the page above.
    let host = if host.is_empty() || host == "?" { asked.host.clone() } else { host };
    Some(Node { host, port: u16::try_from(port).ok()? })
}

fn slot(value: Value) -> Option<u16> {
    match value {
        Value::Int(slot) => u16::try_from(slot).ok().filter(|slot| *slot < slots::COUNT),
        _ => None,
    }
}

/// Where a node sends us instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot has moved for good.
    Moved(u16, Node),
    /// The slot is moving, and this record has gone already.
    Ask(Node),
}

impl Redirect {
    /// Whether a reply of the node `from` is that.
    pub fn read(reply: &Reply, from: &Node) -> Option<Redirect> {
        let Reply::Value(Value::ServerError(error)) = reply else { return None };
        let is_move = match error.code() {
            "MOVED" => true,
            "ASK" => false,
            _ => return None,
        };
        let (slot, address) = error.details()?.split_once(' ')?;
        let (host, port) = address.rsplit_once(':')?;
        let host = if host.is_empty() { from.host.clone() } else { host.to_owned() };
        let node = Node { host, port: port.parse().ok()? };
        let slot = slot.parse().ok().filter(|slot| *slot < slots::COUNT)?;
        Some(if is_move { Redirect::Moved(slot, node) } else { Redirect::Ask(node) })
    }
}

/// The strings of a reply that is a list of them.
pub(super) fn strings(reply: Reply, count: usize) -> Result<Vec<Option<Bytes>>, Error> {
    match reply {
        Reply::Strings(values) if values.len() == count => Ok(values),
        _ => Err(super::super::replies::unexpected()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::super::decode::Decoder;
    use super::*;

    fn reply(text: &str) -> Reply {
        Decoder::default().next(&mut BytesMut::from(text)).unwrap().unwrap()
    }

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.into(), port }
    }

    #[test]
    fn slots_are_read_with_their_masters() {
        let text =
            "*2\r\n*4\r\n:0\r\n:99\r\n*3\r\n$1\r\na\r\n:1\r\n$2\r\nid\r\n*3\r\n$1\r\nr\r\n:9\r\n$2\r\nid\r\n\
            *3\r\n:100\r\n:16383\r\n*4\r\n$0\r\n\r\n:2\r\n$2\r\nid\r\n*0\r\n";
        let mut topology = Topology::read(reply(text), &node("asked", 7)).unwrap();
        assert_eq!(topology.masters(), [node("a", 1), node("asked", 2)]);
        assert_eq!(topology.owner(99), Some(&node("a", 1)));
        assert_eq!((topology.group(99), topology.group(100)), (0, 1));
        assert_eq!(topology.replicas_of(99), [node("r", 9)]);
        assert!(topology.replicas_of(100).is_empty());
        topology.moved(99, node("c", 3));
        assert_eq!(topology.owner(99), Some(&node("c", 3)));
        assert_eq!(topology.owner(98), Some(&node("a", 1)));
    }

    #[test]
    fn what_is_no_such_answer_is_an_error() {
        let asked = node("asked", 7);
        assert!(Topology::read(reply("*0\r\n"), &asked).is_err_and(|e| e.message().contains("no slots")));
        for bad in [
            "+OK\r\n",
            "*1\r\n:1\r\n",
            "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
            "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
            "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:99999\r\n",
            "-ERR This instance has cluster support disabled\r\n",
        ] {
            assert!(Topology::read(reply(bad), &asked).is_err(), "{bad}");
        }
    }

    #[test]
    fn redirects_are_read() {
        let from = node("from", 7);
        let read = |text: &str| Redirect::read(&reply(text), &from);
        assert_eq!(read("-MOVED 5 h:1\r\n"), Some(Redirect::Moved(5, node("h", 1))));
        assert_eq!(read("-MOVED 5 :1\r\n"), Some(Redirect::Moved(5, node("from", 1))));
        assert_eq!(read("-ASK 5 ::1:1\r\n"), Some(Redirect::Ask(node("::1", 1))));
        for other in
            ["-ERR no\r\n", "+MOVED 5 h:1\r\n", "-MOVED 5\r\n", "-MOVED 99999 h:1\r\n", "-ASK 5 h:x\r\n"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
