//! Batches for a cluster: one pipeline for each node, all under way together.

use std::collections::BTreeMap;
use std::iter::repeat_with;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::Value;

use super::super::decode::Reply;
use super::super::readers::{Readers, ROLE};
use super::super::{replies, wire, Plan};
use super::topology::{strings, Redirect};
use super::Watch;
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Notice, Record, Remedy};
use crate::net::fleet::Node;
use crate::net::pipeline::Replies;

/// How often one record is sent on before it rests.
const MAX_REDIRECTS: usize = 5;

const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";

/// See the module.
pub(super) struct ClusterConnection {
    watch: Watch,
    plan: Plan,
}

/// What one record needs: commands, and the slot that they belong to.
struct Job {
    slot: u16,
    commands: Vec<u8>,
}

/// Where a job goes next.
struct Errand {
    job: usize,
    /// The node has the record before it has the slot.
    is_asking: bool,
}

impl ClusterConnection {
    pub fn new(watch: Watch, plan: Plan) -> ClusterConnection {
        ClusterConnection { watch, plan }
    }

    fn job(&self, key: &str, commands: Vec<u8>) -> Job {
        Job { slot: self.plan.layout.slot(key), commands }
    }

    /// Carries out jobs, each with so many replies, of which the last counts.
    async fn run(&self, jobs: &[Job], replies: usize, is_write: bool) -> Vec<Result<Reply, Error>> {
        let mut results: Vec<Option<Result<Reply, Error>>> = repeat_with(|| None).take(jobs.len()).collect();
        let mut errands: BTreeMap<Node, Vec<Errand>> = BTreeMap::new();
        for (job, Job { slot, .. }) in jobs.iter().enumerate() {
            match self.watch.owner(*slot) {
                Some(node) => errands.entry(node).or_default().push(Errand { job, is_asking: false }),
                None => {
                    self.watch.doubt.notify_one();
                    results[job] = Some(Err(passing(format!("no node of the cluster has the slot {slot}"))));
                }
            }
        }
        for _ in 0..=MAX_REDIRECTS {
            let trips = errands.iter().map(|(node, list)| self.visit(node, list, jobs, replies, is_write));
            let answers = join_all(trips).await;
            let visited = std::mem::take(&mut errands);
            for ((node, list), answer) in visited.into_iter().zip(answers) {
                match answer {
                    Ok(answers) => {
                        for (errand, answer) in list.into_iter().zip(answers) {
                            self.sort(errand.job, answer, &node, &mut results, &mut errands);
                        }
                    }
                    Err(error) => {
                        self.watch.doubt.notify_one();
                        for errand in list {
                            results[errand.job] = Some(Err(error.clone()));
                        }
                    }
                }
            }
            if errands.is_empty() {
                break;
            }
        }
        let lost = || Err(passing("the slot moves from node to node".into()));
        results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
    }

    /// Sends a node its part, and brings back the replies for each job.
    async fn visit(
        &self,
        node: &Node,
        errands: &[Errand],
        jobs: &[Job],
        replies: usize,
        is_write: bool,
    ) -> Result<Vec<Result<Replies<Reply>, Error>>, Error> {
        let mut commands = Vec::new();
        let mut expected = 0;
        for errand in errands {
            if errand.is_asking {
                commands.extend_from_slice(ASKING);
                expected += 1;
            }
            commands.extend_from_slice(&jobs[errand.job].commands);
            expected += replies;
        }
        let acknowledgement = self.plan.acknowledgement.as_ref().filter(|_| is_write);
        if let Some(acknowledgement) = acknowledgement {
            acknowledgement.append(&mut commands);
            expected += 1;
        }
        let readers = self.watch.readers.as_ref();
        if readers.is_some() {
            commands.extend_from_slice(ROLE);
            expected += 1;
        }
        let (wire, mut all) = self
            .watch
            .fleet
            .run(node, |wire| async move {
                let all = wire.ask_each(commands, expected).await?;
                Ok((wire, all))
            })
            .await?;
        let role = readers.and_then(|_| all.pop());
        let word = acknowledgement.map_or(Ok(()), |acknowledgement| acknowledgement.check(all.pop()));
        let mut all = all.into_iter();
        let mut answers = Vec::with_capacity(errands.len());
        let mut slots = Vec::new();
        for errand in errands {
            if errand.is_asking {
                all.next();
            }
            let answer: Replies<Reply> = all.by_ref().take(replies).collect();
            if readers.is_some() && redirect(&answer, node).is_none() {
                slots.push(jobs[errand.job].slot);
            }
            // A redirect is followed whatever the replicas say: nothing was carried out here.
            answers.push(match &word {
                Err(error) if redirect(&answer, node).is_none() => Err(error.clone()),
                _ => Ok(answer),
            });
        }
        match readers {
            Some(readers) if is_write => readers.wrote(slots.into_iter(), &wire, role),
            Some(readers) => readers.read(slots.into_iter(), &wire, role),
            None => {}
        }
        Ok(answers)
    }

    /// Asks replicas, and primaries for what is left: jobs that read so many strings.
    async fn run_after_replicas(
        &self,
        readers: &Readers,
        jobs: Vec<Job>,
        strings: usize,
    ) -> Vec<Result<Reply, Error>> {
        let found = self.ask_replicas(readers, &jobs, strings).await;
        let left: Vec<Job> =
            jobs.into_iter().zip(&found).filter(|(_, reply)| reply.is_none()).map(|(job, _)| job).collect();
        let mut results = self.run(&left, 1, false).await.into_iter();
        let lost = || Err(replies::unexpected());
        found.into_iter().map(|reply| reply.map_or_else(|| results.next().unwrap_or_else(lost), Ok)).collect()
    }

    /// What replicas have; nothing where they may have an older state of the record.
    async fn ask_replicas(&self, readers: &Readers, jobs: &[Job], strings: usize) -> Vec<Option<Reply>> {
        let mut errands: BTreeMap<Node, Vec<usize>> = BTreeMap::new();
        for (job, Job { slot, .. }) in jobs.iter().enumerate() {
            if let Some(node) = self.watch.owner(*slot) {
                errands.entry(node).or_default().push(job);
            }
        }
        let trips = errands.iter().map(|(primary, list)| async move {
            let commands: Vec<u8> = list.iter().flat_map(|job| &jobs[*job].commands).copied().collect();
            let replicas = self.watch.replicas_of(jobs[list[0]].slot);
            let answer = readers.ask(&replicas, &commands, list.len()).await;
            answer.zip(self.watch.fleet.session(primary).ok())
        });
        let answers = join_all(trips).await;
        let mut found: Vec<Option<Reply>> = repeat_with(|| None).take(jobs.len()).collect();
        for (list, answer) in errands.values().zip(answers) {
            let Some((answer, primary)) = answer else { continue };
            for (job, reply) in list.iter().zip(answer.replies) {
                let is_whole = matches!(&reply, Reply::Strings(values)
                    if values.len() == strings && values.iter().all(Option::is_some));
                if is_whole && readers.is_fresh(jobs[*job].slot, &primary, answer.offset) {
                    found[*job] = Some(reply);
                }
            }
        }
        found
    }

    /// Sees whether a job is done, or has to go somewhere else.
    fn sort(
        &self,
        job: usize,
        answer: Result<Replies<Reply>, Error>,
        node: &Node,
        results: &mut [Option<Result<Reply, Error>>],
        errands: &mut BTreeMap<Node, Vec<Errand>>,
    ) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                results[job] = Some(Err(error));
                return;
            }
        };
        match redirect(&answer, node) {
            Some(Redirect::Moved(slot, to)) => {
                self.watch.moved(slot, &to);
                errands.entry(to).or_default().push(Errand { job, is_asking: false });
            }
            Some(Redirect::Ask(to)) => {
                self.watch.learn(&to);
                errands.entry(to).or_default().push(Errand { job, is_asking: true });
            }
            None => {
                let result = wire::all_well(answer).map_err(|error| self.judge(error));
                results[job] = Some(result);
            }
        }
    }

    /// No error of one record ends the connection to all nodes.
    fn judge(&self, error: Error) -> Error {
        if error.remedy() == Remedy::Report && error.code() != ErrorCode::Authentication {
            return error;
        }
        self.watch.doubt.notify_one();
        passing(error.message().to_owned())
    }

    async fn read(&self, keys: &[Key], head: bool) -> Vec<Result<Vec<Option<bytes::Bytes>>, Error>> {
        let layout = &self.plan.layout;
        let jobs: Vec<Job> =
            keys.iter().map(|key| self.job(key, layout.read(std::slice::from_ref(key), head))).collect();
        let count = layout.values_per_read(head);
        let results = match &self.watch.readers {
            Some(readers) => self.run_after_replicas(readers, jobs, count).await,
            None => self.run(&jobs, 1, false).await,
        };
        results.into_iter().map(|result| strings(result?, count).map_err(|error| self.judge(error))).collect()
    }
}

fn redirect(answer: &Replies<Reply>, from: &Node) -> Option<Redirect> {
    answer.iter().find_map(|reply| Redirect::read(reply, from))
}

fn passing(message: String) -> Error {
    Error::transient(ErrorCode::Unavailable, message)
}

#[async_trait]
impl Connection for ClusterConnection {
    async fn get_many(&self, keys: &[Key]) -> BatchResult<Option<Record>> {
        let values = self.read(keys, false).await;
        Ok(values.into_iter().map(|values| self.plan.layout.records(values?).remove(0)).collect())
    }

    async fn head_many(&self, keys: &[Key]) -> BatchResult<Option<i64>> {
        let values = self.read(keys, true).await;
        Ok(values.into_iter().map(|values| self.plan.layout.versions(values?).remove(0)).collect())
    }

    async fn set_many(&self, entries: &[(Key, Record)]) -> BatchResult<()> {
        let layout = &self.plan.layout;
        let Some(ttl) = self.plan.ttl else {
            let jobs: Vec<Job> = entries
                .iter()
                .map(|entry| self.job(&entry.0, layout.write(std::slice::from_ref(entry))))
                .collect();
            return Ok(self.run(&jobs, 1, true).await.into_iter().map(|result| result.map(drop)).collect());
        };
        let mut replies = 0;
        let mut jobs = Vec::with_capacity(entries.len());
        for entry in entries {
            let transaction = layout.write_expiring(std::slice::from_ref(entry), ttl);
            // MULTI, each command, EXEC.
            replies = transaction.cmd_iter().count() + 2;
            jobs.push(self.job(&entry.0, transaction.get_packed_pipeline()));
        }
        let results = self.run(&jobs, replies, true).await;
        Ok(results
            .into_iter()
            .map(|result| match result? {
                Reply::Value(Value::Array(results)) => {
                    replies::all_well(results).map_err(|error| self.judge(error))
                }
                _ => Err(self.judge(replies::unexpected())),
            })
            .collect())
    }

    async fn delete_many(&self, keys: &[Key]) -> BatchResult<()> {
        let layout = &self.plan.layout;
        let jobs: Vec<Job> =
            keys.iter().map(|key| self.job(key, layout.remove(std::slice::from_ref(key)))).collect();
        Ok(self.run(&jobs, 1, true).await.into_iter().map(|result| result.map(drop)).collect())
    }

    fn poll_notice(&self, cx: &mut Context<'_>) -> Poll<Notice> {
        self.watch.fleet.poll_notice(cx)
    }

    fn waits_for_timer(&self) -> bool {
        self.watch.fleet.waits_for_timer()
            || self.watch.readers.as_ref().is_some_and(|readers| readers.waits_for_timer())
    }
}
