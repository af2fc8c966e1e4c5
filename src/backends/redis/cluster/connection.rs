//! Batches for a cluster: one pipeline for each node, all under way together.

use std::collections::BTreeMap;
use std::iter::repeat_with;
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use redis::Value;

use super::super::decode::Reply;
use super::super::multiplexed_connection::good_replies;
use super::super::replica_reads::ReplicaReads;
use super::super::replies;
use super::super::storage_options::StorageOptions;
use super::super::trailing_commands::TrailingCommands;
use super::nodes::ClusterNodes;
use super::redirection::Redirection;
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Notice, Record, Remedy};
use crate::net::fleet::Node;
use crate::net::pipeline::{Pings, Replies};

/// Goes before commands that follow an `ASK` redirection; it has one reply.
const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

/// See the module.
pub(super) struct ClusterConnection {
    nodes: ClusterNodes,
    storage: StorageOptions,
    /// How often the commands for one record are redirected before the engine has to retry them.
    max_redirections: usize,
    pings: Option<Pings>,
}

/// The commands for one record, and its slot.
struct SlotCommands {
    slot: u16,
    commands: Vec<u8>,
}

/// Commands on their way to a node, by their index in the batch.
struct Routed {
    index: usize,
    /// They follow an `ASK` redirection.
    is_asking: bool,
}

/// What is to be sent to each node.
type Routes = BTreeMap<Node, Vec<Routed>>;

/// What has come of each record's commands so far.
type Results = [Option<Result<Replies<Reply>, Error>>];

impl ClusterConnection {
    pub fn new(
        nodes: ClusterNodes,
        storage: StorageOptions,
        max_redirections: usize,
        pings: Option<Pings>,
    ) -> ClusterConnection {
        ClusterConnection { nodes, storage, max_redirections, pings }
    }

    fn slot_commands(&self, key: &str, commands: Vec<u8>) -> SlotCommands {
        SlotCommands { slot: self.storage.layout.slot(key), commands }
    }

    /// Sends each record's commands to the primary of its slot and follows redirections. Each has
    /// so many replies.
    async fn execute(
        &self,
        batch: &[SlotCommands],
        replies: usize,
        is_write: bool,
    ) -> Vec<Result<Replies<Reply>, Error>> {
        let mut results: Vec<_> = repeat_with(|| None).take(batch.len()).collect();
        let mut routes = Routes::new();
        for (index, SlotCommands { slot, .. }) in batch.iter().enumerate() {
            match self.nodes.primary_of(*slot) {
                Some(node) => routes.entry(node).or_default().push(Routed { index, is_asking: false }),
                None => {
                    self.nodes.request_refresh();
                    results[index] =
                        Some(Err(transient(format!("no node of the cluster has the slot {slot}"))));
                }
            }
        }
        for redirections in 0..=self.max_redirections {
            let sent = std::mem::take(&mut routes);
            let requests =
                sent.iter().map(|(node, routed)| self.send(node, routed, batch, replies, is_write));
            let responses = join_all(requests).await;
            for ((node, routed), response) in sent.iter().zip(responses) {
                match response {
                    Ok(responses) => {
                        for (Routed { index, .. }, response) in routed.iter().zip(responses) {
                            self.handle_response(*index, response, node, &mut results, &mut routes);
                        }
                    }
                    Err(error) => {
                        self.nodes.request_refresh();
                        // The target of a redirection is not the node that the record's group is at.
                        let error = match redirections {
                            0 => error,
                            _ => transient(error.message().to_owned()),
                        };
                        for Routed { index, .. } in routed {
                            results[*index] = Some(Err(error.clone()));
                        }
                    }
                }
            }
            if routes.is_empty() {
                break;
            }
        }
        let redirected = || Err(transient("the slot moves from node to node".into()));
        results.into_iter().map(|result| result.unwrap_or_else(redirected)).collect()
    }

    /// Sends one node its commands in one pipeline, and returns the replies to those of each record.
    async fn send(
        &self,
        node: &Node,
        routed: &[Routed],
        batch: &[SlotCommands],
        replies: usize,
        is_write: bool,
    ) -> Result<Vec<Result<Replies<Reply>, Error>>, Error> {
        let mut commands = Vec::new();
        let mut expected = 0;
        for Routed { index, is_asking } in routed {
            if *is_asking {
                commands.extend_from_slice(ASKING);
                expected += 1;
            }
            commands.extend_from_slice(&batch[*index].commands);
            expected += replies;
        }
        let replica_reads = self.nodes.replica_reads();
        let wait = self.storage.acknowledgement.as_ref().filter(|_| is_write);
        let trailing = TrailingCommands { wait, role: replica_reads.is_some() };
        expected += trailing.append(&mut commands);
        let (primary, mut all) = self
            .nodes
            .primaries()
            .request(node, |primary| async move {
                let all = match is_write {
                    true => primary.send_writes(commands, expected).await?,
                    false => primary.send_pipeline(commands, expected).await?,
                };
                Ok((primary, all))
            })
            .await?;
        let last = trailing.split_off(&mut all);
        let mut all = all.into_iter();
        let mut responses = Vec::with_capacity(routed.len());
        let mut slots = Vec::new();
        for Routed { index, is_asking } in routed {
            if *is_asking {
                all.next();
            }
            let response: Replies<Reply> = all.by_ref().take(replies).collect();
            let is_redirected = redirection(&response, node).is_some();
            if replica_reads.is_some() && !is_redirected {
                slots.push(batch[*index].slot);
            }
            // A redirection is followed whatever the replicas have: nothing was carried out here.
            responses.push(match &last.acknowledgement {
                Err(error) if !is_redirected => Err(error.clone()),
                _ => Ok(response),
            });
        }
        match replica_reads {
            Some(reads) if is_write => reads.after_write(slots.into_iter(), &primary, last.role),
            Some(reads) => reads.after_read(slots.into_iter(), &primary, last.role),
            None => {}
        }
        Ok(responses)
    }

    /// Takes the replies of a node to one record's commands: the result, or a redirection.
    fn handle_response(
        &self,
        index: usize,
        response: Result<Replies<Reply>, Error>,
        node: &Node,
        results: &mut Results,
        routes: &mut Routes,
    ) {
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                results[index] = Some(Err(error));
                return;
            }
        };
        match redirection(&response, node) {
            Some(Redirection::Moved(slot, to)) => {
                self.nodes.moved(slot, &to);
                routes.entry(to).or_default().push(Routed { index, is_asking: false });
            }
            Some(Redirection::Ask(to)) => {
                self.nodes.add(&to);
                routes.entry(to).or_default().push(Routed { index, is_asking: true });
            }
            None => {
                let result = good_replies(response).map_err(|error| self.record_error(error));
                results[index] = Some(result);
            }
        }
    }

    /// An error of one record does not end the connections to all nodes: what would is transient,
    /// and refreshes the topology.
    fn record_error(&self, error: Error) -> Error {
        if error.remedy() == Remedy::Report && error.code() != ErrorCode::Authentication {
            return error;
        }
        self.nodes.request_refresh();
        match error.is_of_server() {
            true => error,
            false => transient(error.message().to_owned()),
        }
    }

    async fn read(&self, keys: &[Key], head: bool) -> Vec<Result<Vec<Option<Bytes>>, Error>> {
        let layout = &self.storage.layout;
        let batch: Vec<SlotCommands> = keys
            .iter()
            .map(|key| self.slot_commands(key, layout.read(std::slice::from_ref(key), head)))
            .collect();
        let Some(replica_reads) = self.nodes.replica_reads() else {
            return self.read_from_primaries(&batch, head).await;
        };
        let found = self.read_from_replicas(replica_reads, &batch, head).await;
        let missing: Vec<SlotCommands> = batch
            .into_iter()
            .zip(&found)
            .filter(|(_, values)| values.is_none())
            .map(|(commands, _)| commands)
            .collect();
        let mut results = self.read_from_primaries(&missing, head).await.into_iter();
        let lost = || Err(replies::unexpected());
        found
            .into_iter()
            .map(|values| values.map_or_else(|| results.next().unwrap_or_else(lost), Ok))
            .collect()
    }

    async fn read_from_primaries(
        &self,
        batch: &[SlotCommands],
        head: bool,
    ) -> Vec<Result<Vec<Option<Bytes>>, Error>> {
        let layout = &self.storage.layout;
        let results = self.execute(batch, layout.replies_per_read(1, head), false).await;
        results
            .into_iter()
            .map(|result| layout.values(result?, 1, head).map_err(|error| self.record_error(error)))
            .collect()
    }

    /// What replicas have; nothing where they may have an older state of the record.
    async fn read_from_replicas(
        &self,
        replica_reads: &ReplicaReads,
        batch: &[SlotCommands],
        head: bool,
    ) -> Vec<Option<Vec<Option<Bytes>>>> {
        let layout = &self.storage.layout;
        let count = layout.replies_per_read(1, head);
        let mut by_primary: BTreeMap<Node, Vec<usize>> = BTreeMap::new();
        for (index, SlotCommands { slot, .. }) in batch.iter().enumerate() {
            if let Some(primary) = self.nodes.primary_of(*slot) {
                by_primary.entry(primary).or_default().push(index);
            }
        }
        let requests = by_primary.iter().map(|(primary, indexes)| async move {
            let commands: Vec<u8> =
                indexes.iter().flat_map(|index| &batch[*index].commands).copied().collect();
            let replicas = self.nodes.replicas_of(batch[indexes[0]].slot);
            let reply = replica_reads.send(&replicas, &commands, indexes.len() * count).await;
            reply.zip(self.nodes.primaries().connection(primary).ok())
        });
        let responses = join_all(requests).await;
        let mut found: Vec<Option<Vec<Option<Bytes>>>> = vec![None; batch.len()];
        for (indexes, response) in by_primary.values().zip(responses) {
            let Some((replica, primary)) = response else { continue };
            let mut replies = replica.replies.into_iter();
            for index in indexes {
                let values = layout.values(replies.by_ref().take(count).collect(), 1, head);
                let whole = values.ok().filter(|values| values.iter().all(Option::is_some));
                if replica_reads.has_reached(batch[*index].slot, &primary, replica.offset) {
                    found[*index] = whole;
                }
            }
        }
        found
    }
}

fn redirection(response: &Replies<Reply>, from: &Node) -> Option<Redirection> {
    response.iter().find_map(|reply| Redirection::from_reply(reply, from))
}

fn transient(message: String) -> Error {
    Error::transient(ErrorCode::Unavailable, message)
}

#[async_trait]
impl Connection for ClusterConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        let values = self.read(keys, false).await;
        Ok(values.into_iter().map(|values| self.storage.layout.records(values?).remove(0)).collect())
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        let values = self.read(keys, true).await;
        Ok(values.into_iter().map(|values| self.storage.layout.versions(values?).remove(0)).collect())
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let layout = &self.storage.layout;
        let Some(ttl) = self.storage.ttl else {
            let batch: Vec<SlotCommands> = entries
                .iter()
                .map(|entry| self.slot_commands(&entry.0, layout.write(std::slice::from_ref(entry))))
                .collect();
            return Ok(self
                .execute(&batch, 1, true)
                .await
                .into_iter()
                .map(|result| result.map(drop))
                .collect());
        };
        let mut replies = 0;
        let mut batch = Vec::with_capacity(entries.len());
        for entry in entries {
            let transaction = layout.write_expiring(std::slice::from_ref(entry), ttl);
            // MULTI, each command, EXEC.
            replies = transaction.cmd_iter().count() + 2;
            batch.push(self.slot_commands(&entry.0, transaction.get_packed_pipeline()));
        }
        let results = self.execute(&batch, replies, true).await;
        Ok(results
            .into_iter()
            .map(|result| {
                let result = match result?.pop() {
                    Some(Reply::Value(Value::Array(results))) => replies::exec_result(results),
                    _ => Err(replies::unexpected()),
                };
                result.map_err(|error| self.record_error(error))
            })
            .collect())
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let layout = &self.storage.layout;
        let batch: Vec<SlotCommands> = keys
            .iter()
            .map(|key| self.slot_commands(key, layout.remove(std::slice::from_ref(key))))
            .collect();
        Ok(self.execute(&batch, 1, true).await.into_iter().map(|result| result.map(drop)).collect())
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.nodes.poll_notice(cx)
    }

    fn waits_for_timer(&self) -> bool {
        self.nodes.waits_for_timer()
    }

    fn wake_at(&self) -> Option<Instant> {
        self.pings.as_ref().and_then(Pings::wake_at)
    }

    fn moved(&self, _: usize) -> Option<u64> {
        Some(self.nodes.bytes_moved())
    }
}
