//! Batches for a cluster: one pipeline for each node, all under way together.

use std::collections::BTreeMap;
use std::iter::repeat_with;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::Value;

use super::super::decode::Reply;
use super::super::{replies, wire, Plan};
use super::topology::{strings, Redirect};
use super::Watch;
use crate::backends::fleet::Node;
use crate::backends::pipeline::Replies;
use crate::core::{BatchResult, Connection, Error, ErrorCode, Key, Notice, Record, Remedy};

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
        let mut all =
            self.watch.fleet.run(node, |wire| async move { wire.ask_each(commands, expected).await }).await?;
        let word = acknowledgement.map_or(Ok(()), |acknowledgement| acknowledgement.check(all.pop()));
        let mut all = all.into_iter();
        let mut answers = Vec::with_capacity(errands.len());
        for errand in errands {
            if errand.is_asking {
                all.next();
            }
            let answer: Replies<Reply> = all.by_ref().take(replies).collect();
            // A redirect is followed whatever the replicas say: nothing was carried out here.
            answers.push(match &word {
                Err(error) if redirect(&answer, node).is_none() => Err(error.clone()),
                _ => Ok(answer),
            });
        }
        Ok(answers)
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
        let results = self.run(&jobs, 1, false).await;
        let count = layout.values_per_read(head);
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
    }
}
