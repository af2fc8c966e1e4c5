//! `MOVED` and `ASK`: the replies of a node that does not serve a slot, or not any more
//! (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding>).

use redis::Value;

use super::super::decode::Reply;
use super::slots;
use crate::net::fleet::Node;

/// Where a node redirects a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// The slot has moved to another node.
    Moved(u16, Node),
    /// The slot is migrating, and the key is at the importing node already; the topology stays.
    Ask(Node),
}

impl Redirection {
    /// The redirection in a reply of the node `from`, if it is one.
    pub fn from_reply(reply: &Reply, from: &Node) -> Option<Redirection> {
        let Reply::Value(Value::ServerError(error)) = reply else { return None };
        let is_moved = match error.code() {
            "MOVED" => true,
            "ASK" => false,
            _ => return None,
        };
        let (slot, address) = error.details()?.split_once(' ')?;
        let (host, port) = address.rsplit_once(':')?;
        let host = if host.is_empty() { from.host.clone() } else { host.to_owned() };
        let node = Node { host, port: port.parse().ok()? };
        let slot = slot.parse().ok().filter(|slot| *slot < slots::COUNT)?;
        Some(if is_moved { Redirection::Moved(slot, node) } else { Redirection::Ask(node) })
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::super::decode::Decoder;
    use super::*;

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.into(), port }
    }

    #[test]
    fn redirections_are_read() {
        let from = node("from", 7);
        let read = |text: &str| {
            let reply = Decoder::default().next(&mut BytesMut::from(text)).unwrap().unwrap();
            Redirection::from_reply(&reply, &from)
        };
        assert_eq!(read("-MOVED 5 h:1\r\n"), Some(Redirection::Moved(5, node("h", 1))));
        assert_eq!(read("-MOVED 5 :1\r\n"), Some(Redirection::Moved(5, node("from", 1))));
        assert_eq!(read("-ASK 5 ::1:1\r\n"), Some(Redirection::Ask(node("::1", 1))));
        for other in
            ["-ERR no\r\n", "+MOVED 5 h:1\r\n", "-MOVED 5\r\n", "-MOVED 99999 h:1\r\n", "-ASK 5 h:x\r\n"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
