//! `ROLE` (<https://redis.io/docs/latest/commands/role/>): whether a server is a primary or a
//! replica, its replication offset, and the replicas that are connected to it. `INFO` tells whose
//! data a server has.

use redis::Value;

use super::decode::Reply;
use crate::net::fleet::Node;

/// The encoded command; it has one reply.
pub(super) const ROLE: &[u8] = b"*1\r\n$4\r\nROLE\r\n";

/// `INFO replication`, which tells [`replication_id`]; it has one reply.
pub(super) const INFO_REPLICATION: &[u8] = b"*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";

/// The identifier of a server's data set history, `master_replid`, in the reply to [`INFO_REPLICATION`]:
/// the same at a primary and at its replicas, and at no other server.
pub(super) fn replication_id(reply: &Reply) -> Option<String> {
    let Reply::Value(Value::BulkString(text)) = reply else { return None };
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.trim_end().strip_prefix("master_replid:")).map(str::to_owned)
}

/// Whether the reply is that of a primary.
pub(super) fn is_primary(reply: &Reply) -> bool {
    matches!(reply, Reply::Value(Value::Array(parts))
        if matches!(parts.first(), Some(Value::BulkString(role)) if role == b"master"))
}

/// The replication offset in the reply; `None` for a replica that is not connected to its primary.
pub(super) fn replication_offset(reply: &Reply) -> Option<i64> {
    let Reply::Value(Value::Array(parts)) = reply else { return None };
    match parts.as_slice() {
        [Value::BulkString(role), Value::Int(offset), _] if role == b"master" => Some(*offset),
        [Value::BulkString(role), _, _, Value::BulkString(state), Value::Int(offset)]
            if role == b"slave" && state == b"connected" =>
        {
            Some(*offset)
        }
        _ => None,
    }
}

/// Whose replica a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplicaOf {
    host: Vec<u8>,
    port: i64,
}

/// Whose replica the server is, in its reply to `ROLE`, whether it is connected to it or not.
pub(super) fn replica_of(reply: &Reply) -> Option<ReplicaOf> {
    let Reply::Value(Value::Array(parts)) = reply else { return None };
    match parts.as_slice() {
        [Value::BulkString(role), Value::BulkString(host), Value::Int(port), ..] if role == b"slave" => {
            Some(ReplicaOf { host: host.clone(), port: *port })
        }
        _ => None,
    }
}

/// The connected replicas in a primary's reply.
pub(super) fn replicas(reply: &Reply) -> Option<Vec<Node>> {
    let Reply::Value(Value::Array(parts)) = reply else { return None };
    match parts.as_slice() {
        [Value::BulkString(role), _, Value::Array(replicas)] if role == b"master" => {
            replicas.iter().map(replica).collect()
        }
        _ => None,
    }
}

fn replica(value: &Value) -> Option<Node> {
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

    const PRIMARY: &str = "*3\r\n$6\r\nmaster\r\n:7\r\n*2\r\n*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n7\r\n\
        *3\r\n$1\r\nb\r\n$1\r\n2\r\n$1\r\n6\r\n";
    const PRIMARY_ALONE: &str = "*3\r\n$6\r\nmaster\r\n:7\r\n*0\r\n";
    const REPLICA: &str = "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:70\r\n";
    const SYNCING: &str = "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$4\r\nsync\r\n:70\r\n";
    const SENTINEL: &str = "*2\r\n$8\r\nsentinel\r\n*0\r\n";
    const REFUSED: &str = "-NOPERM no\r\n";

    #[test]
    fn a_primary_is_told_from_others() {
        assert!(is_primary(&reply(PRIMARY)) && is_primary(&reply(PRIMARY_ALONE)));
        for other in [REPLICA, SYNCING, SENTINEL, REFUSED] {
            assert!(!is_primary(&reply(other)), "{other}");
        }
    }

    #[test]
    fn a_replica_has_an_offset_while_it_is_connected() {
        assert_eq!(replication_offset(&reply(REPLICA)), Some(70));
        assert_eq!(replication_offset(&reply(SYNCING)), None);
        assert_eq!(replication_offset(&reply(PRIMARY_ALONE)), Some(7));
        assert_eq!(replication_offset(&reply(REFUSED)), None);
        assert_eq!(replication_offset(&reply(SENTINEL)), None);
    }

    #[test]
    fn a_replica_tells_whose_it_is() {
        let of_h = Some(ReplicaOf { host: b"h".to_vec(), port: 1 });
        assert_eq!(replica_of(&reply(REPLICA)), of_h);
        assert_eq!(replica_of(&reply(SYNCING)), of_h);
        for other in [PRIMARY, PRIMARY_ALONE, SENTINEL, REFUSED] {
            assert_eq!(replica_of(&reply(other)), None);
        }
    }

    #[test]
    fn the_history_of_a_server_has_an_identifier() {
        let info = |text: &str| reply(&format!("${}\r\n{text}\r\n", text.len()));
        let text = "# Replication\r\nrole:slave\r\nmaster_replid:abc\r\nmaster_replid2:000\r\n";
        assert_eq!(replication_id(&info(text)).as_deref(), Some("abc"));
        assert_eq!(replication_id(&info("role:slave")), None);
        assert_eq!(replication_id(&reply(REFUSED)), None);
    }

    #[test]
    fn a_primary_names_its_replicas() {
        let node = |host: &str, port| Node { host: host.into(), port };
        assert_eq!(replicas(&reply(PRIMARY)), Some(vec![node("a", 1), node("b", 2)]));
        assert_eq!(replicas(&reply(PRIMARY_ALONE)), Some(Vec::new()));
        assert_eq!(replicas(&reply(REFUSED)), None);
        assert_eq!(replicas(&reply(REPLICA)), None);
    }
}
