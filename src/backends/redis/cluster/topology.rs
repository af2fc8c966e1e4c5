//! The topology: which primary serves which slots, and its replicas, by `CLUSTER SLOTS`
//! (<https://redis.io/docs/latest/commands/cluster-slots/>).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use redis::Value;

use super::super::decode::Reply;
use super::super::replies::unexpected;
use super::slots;
use crate::core::Error;
use crate::net::fleet::Node;

/// See the module.
pub(super) struct Topology {
    primaries: Vec<Node>,
    /// For each primary its replicas.
    replicas: Vec<Vec<Node>>,
    /// For each slot the index of its primary, or `UNASSIGNED`.
    slots: Vec<u16>,
}

const UNASSIGNED: u16 = u16::MAX;

impl Topology {
    /// No node serves any slot.
    pub fn empty() -> Topology {
        Topology {
            primaries: Vec::new(),
            replicas: Vec::new(),
            slots: vec![UNASSIGNED; usize::from(slots::COUNT)],
        }
    }

    /// Reads the reply of the node `from`, which may leave out its own address.
    ///
    /// # Errors
    /// It is no reply to `CLUSTER SLOTS`, or no slot is served.
    pub fn from_reply(reply: Reply, from: &Node) -> Result<Topology, Error> {
        let mut topology = Topology::empty();
        let ranges = match reply.into_result()? {
            Reply::Value(Value::Array(ranges)) => ranges,
            Reply::BulkStrings(list) if list.is_empty() => Vec::new(),
            _ => return Err(unexpected()),
        };
        for range in ranges {
            let (first, last, primary, replicas) = read_range(range, from).ok_or_else(unexpected)?;
            let index = topology.assign(first..=last, primary);
            topology.replicas[index] = replicas;
        }
        if topology.primaries.is_empty() {
            return Err(Error::connection("the cluster serves no slots yet"));
        }
        Ok(topology)
    }

    /// Assigns slots to a primary, and returns its index.
    fn assign(&mut self, range: RangeInclusive<u16>, primary: Node) -> usize {
        let index = match self.primaries.iter().position(|known| *known == primary) {
            Some(index) => index,
            None => {
                self.primaries.push(primary);
                self.replicas.push(Vec::new());
                self.primaries.len() - 1
            }
        };
        let assigned = u16::try_from(index).unwrap_or(UNASSIGNED);
        for slot in range {
            if let Some(entry) = self.slots.get_mut(usize::from(slot)) {
                *entry = assigned;
            }
        }
        index
    }

    /// A slot has moved, as the node that served it told in a redirection.
    pub fn moved(&mut self, slot: u16, to: Node) {
        self.assign(slot..=slot, to);
    }

    /// The primaries that serve slots.
    pub fn primaries(&self) -> &[Node] {
        &self.primaries
    }

    /// All replicas.
    pub fn replicas(&self) -> impl Iterator<Item = &Node> {
        self.replicas.iter().flatten()
    }

    /// The replicas of a slot's primary.
    pub fn replicas_of(&self, slot: u16) -> &[Node] {
        self.index(slot).and_then(|index| self.replicas.get(index)).map_or(&[], Vec::as_slice)
    }

    /// The index of a slot's primary; 0 where the slot is not served.
    pub fn group(&self, slot: u16) -> usize {
        self.index(slot).unwrap_or(0)
    }

    /// The primary that serves a slot.
    pub fn primary_of(&self, slot: u16) -> Option<&Node> {
        self.primaries.get(self.index(slot)?)
    }

    /// Equal for topologies in which each slot has the same primary.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut last = None;
        for (slot, index) in self.slots.iter().enumerate() {
            if last != Some(*index) {
                last = Some(*index);
                (slot, self.primaries.get(usize::from(*index))).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    fn index(&self, slot: u16) -> Option<usize> {
        let assigned = self.slots.get(usize::from(slot)).filter(|index| **index != UNASSIGNED)?;
        Some(usize::from(*assigned))
    }
}

/// The first and the last slot of a range, its primary, and the replicas.
fn read_range(range: Value, from: &Node) -> Option<(u16, u16, Node, Vec<Node>)> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let first = slot(parts.next()?)?;
    let last = slot(parts.next()?)?;
    let primary = read_node(parts.next()?, from)?;
    let replicas = parts.map(|replica| read_node(replica, from)).collect::<Option<_>>()?;
    (first <= last).then_some((first, last, primary, replicas))
}

fn read_node(value: Value, from: &Node) -> Option<Node> {
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
    let host = if host.is_empty() || host == "?" { from.host.clone() } else { host };
    Some(Node { host, port: u16::try_from(port).ok()? })
}

fn slot(value: Value) -> Option<u16> {
    match value {
        Value::Int(slot) => u16::try_from(slot).ok().filter(|slot| *slot < slots::COUNT),
        _ => None,
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
    fn slots_are_read_with_their_primaries() {
        let text =
            "*2\r\n*4\r\n:0\r\n:99\r\n*3\r\n$1\r\na\r\n:1\r\n$2\r\nid\r\n*3\r\n$1\r\nr\r\n:9\r\n$2\r\nid\r\n\
            *3\r\n:100\r\n:16383\r\n*4\r\n$0\r\n\r\n:2\r\n$2\r\nid\r\n*0\r\n";
        let mut topology = Topology::from_reply(reply(text), &node("from", 7)).unwrap();
        assert_eq!(topology.primaries(), [node("a", 1), node("from", 2)]);
        assert_eq!(topology.primary_of(99), Some(&node("a", 1)));
        assert_eq!((topology.group(99), topology.group(100)), (0, 1));
        assert_eq!(topology.replicas_of(99), [node("r", 9)]);
        assert!(topology.replicas_of(100).is_empty());
        topology.moved(99, node("c", 3));
        assert_eq!(topology.primary_of(99), Some(&node("c", 3)));
        assert_eq!(topology.primary_of(98), Some(&node("a", 1)));
    }

    #[test]
    fn another_reply_is_an_error() {
        let from = node("from", 7);
        assert!(Topology::from_reply(reply("*0\r\n"), &from).is_err_and(|e| e.message().contains("no slots")));
        for bad in [
            "+OK\r\n",
            "*1\r\n:1\r\n",
            "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
            "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
            "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:99999\r\n",
            "-ERR This instance has cluster support disabled\r\n",
        ] {
            assert!(Topology::from_reply(reply(bad), &from).is_err(), "{bad}");
        }
    }
}
