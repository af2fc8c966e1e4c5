//! What a node knows of its cluster, and which of several nodes' knowledge counts: one that is cut off
//! from the others goes on telling what was.

use std::collections::BTreeMap;

use redis::Value;

use super::super::decode::Reply;
use super::super::multiplexed_connection::MultiplexedConnection;
use super::super::replies;
use super::topology::Topology;
use crate::config::wrong;
use crate::core::Error;
use crate::net::fleet::Node;
use crate::net::pipeline::Replies;

/// `CLUSTER INFO` (<https://redis.io/docs/latest/commands/cluster-info/>) and `CLUSTER SLOTS`; one reply each.
const COMMANDS: &[u8] = b"*2\r\n$7\r\nCLUSTER\r\n$4\r\nINFO\r\n*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n";

/// See the module.
pub(super) struct View {
    /// Whether the node is connected to most of the primaries, and thus not cut off.
    is_ok: bool,
    /// The cluster's current epoch; each change of the primaries makes a higher one.
    epoch: u64,
    pub topology: Topology,
}

impl View {
    /// Asks a node.
    pub async fn request(connection: &MultiplexedConnection, node: &Node) -> Result<View, Error> {
        let replies = connection.send_pipeline(COMMANDS.to_vec(), 2).await?;
        View::from_replies(replies, node)
    }

    fn from_replies(mut replies: Replies<Reply>, node: &Node) -> Result<View, Error> {
        let slots = replies.pop().ok_or_else(replies::unexpected)?;
        let topology =
            Topology::from_reply(slots, node).map_err(|error| match replies::is_no_cluster(&error) {
                true => wrong(format!(
                    "{node} is no node of a cluster; leave the option \"nodes\" out and give \"host\""
                )),
                false => error,
            })?;
        // A user without permission to ask hears nothing of it.
        let info = match replies.pop() {
            Some(Reply::Value(Value::BulkString(text))) => String::from_utf8(text).unwrap_or_default(),
            _ => String::new(),
        };
        let of = |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name));
        Ok(View {
            is_ok: of("cluster_state:") == Some("ok"),
            epoch: of("cluster_current_epoch:").and_then(|text| text.parse().ok()).unwrap_or(0),
            topology,
        })
    }

    /// The one that counts: that of nodes that are not cut off, then the newest, then what most say.
    pub fn that_counts(views: Vec<View>) -> Option<View> {
        let newest = views.iter().map(|view| (view.is_ok, view.epoch)).max()?;
        let newest: Vec<View> = views.into_iter().filter(|view| (view.is_ok, view.epoch) == newest).collect();
        let mut alike: BTreeMap<u64, usize> = BTreeMap::new();
        let prints: Vec<u64> = newest.iter().map(|view| view.topology.fingerprint()).collect();
        prints.iter().for_each(|print| *alike.entry(*print).or_default() += 1);
        let (_, view) = newest
            .into_iter()
            .zip(prints)
            .map(|(view, print)| (alike[&print], view))
            .max_by_key(|(count, _)| *count)?;
        Some(view)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::super::decode::Decoder;
    use super::*;

    fn view(info: &str, primary: &str) -> View {
        let info =
            if info.starts_with('-') { info.to_owned() } else { format!("${}\r\n{info}\r\n", info.len()) };
        let slots = format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n${}\r\n{primary}\r\n:1\r\n", primary.len());
        let reply = |text: &str| Decoder::default().next(&mut BytesMut::from(text)).unwrap().unwrap();
        let from = Node { host: "from".into(), port: 7 };
        View::from_replies([reply(&info), reply(&slots)].into_iter().collect(), &from).unwrap()
    }

    fn that_counts(views: Vec<View>) -> String {
        View::that_counts(views).unwrap().topology.primaries()[0].host.clone()
    }

    const OK: &str = "cluster_state:ok\r\ncluster_current_epoch:7\r\n";
    const LATER: &str = "cluster_state:ok\r\ncluster_current_epoch:8\r\n";
    const CUT_OFF: &str = "cluster_state:fail\r\ncluster_current_epoch:9\r\n";
    const FORBIDDEN: &str = "-NOPERM no\r\n";

    #[test]
    fn a_node_that_is_cut_off_is_not_believed() {
        assert_eq!(that_counts(vec![view(CUT_OFF, "a"), view(OK, "b")]), "b");
        assert_eq!(that_counts(vec![view(OK, "a"), view(LATER, "b"), view(OK, "a")]), "b");
        assert_eq!(that_counts(vec![view(OK, "a"), view(OK, "b"), view(OK, "b")]), "b");
        assert_eq!(that_counts(vec![view(FORBIDDEN, "a"), view(FORBIDDEN, "b"), view(FORBIDDEN, "a")]), "a");
        assert_eq!(that_counts(vec![view(CUT_OFF, "a")]), "a", "there is no other");
        assert!(View::that_counts(Vec::new()).is_none());
    }
}
