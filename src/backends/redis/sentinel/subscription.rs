//! Subscriptions to the sentinels, all of them at once: each reports the primary's configuration,
//! and tells by Pub/Sub when to ask for it again.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select, Either, FutureExt};
use tokio::time::{sleep, timeout};

use super::super::connection_info::ConnectionInfo;
use super::super::decode::Reply;
use super::super::multiplexed_connection::{last_reply, MultiplexedConnection};
use super::super::replies;
use super::super::replies::unexpected;
use super::configuration::PrimaryConfiguration;
use super::discovery::PrimaryDiscovery;
use crate::config::wrong;
use crate::core::{Backoff, EngineOptions, Error, ErrorCode};
use crate::net::pipeline::while_alive;
use crate::net::traffic::Traffic;

/// The messages when a sentinel begins a failover, when it aborts it, and when there is another
/// primary; see <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#pubsub-messages>.
const CHANNELS: [&str; 5] = [
    "+try-failover",
    "-failover-abort-not-elected",
    "-failover-abort-no-good-slave",
    "-failover-abort-slave-timeout",
    "+switch-master",
];

/// The sentinels of one primary.
pub(super) struct Sentinels {
    pub sentinels: Vec<ConnectionInfo>,
    /// The primary's name.
    pub name: String,
    pub options: EngineOptions,
}

impl Sentinels {
    /// Begins to subscribe to all of them. The future does the work.
    pub fn subscribe(&self) -> (Arc<PrimaryDiscovery>, impl Future<Output = Infallible> + Send) {
        let discovery = Arc::new(PrimaryDiscovery::new(self.sentinels.len()));
        let subscriptions: Vec<_> = self
            .sentinels
            .iter()
            .enumerate()
            .map(|(index, sentinel)| {
                let subscription = Subscription {
                    discovery: Arc::clone(&discovery),
                    index,
                    sentinel: sentinel.clone(),
                    name: self.name.clone(),
                    timeout: self.options.connect_timeout.mul_f64(0.5),
                };
                let delays = Backoff::new(self.options.reconnect_delay, self.options.reconnect_max_delay);
                Box::pin(subscription.keep(delays))
            })
            .collect();
        let all = join_all(subscriptions).then(|_| std::future::pending());
        (discovery, all)
    }
}

/// The subscription to one sentinel.
struct Subscription {
    discovery: Arc<PrimaryDiscovery>,
    index: usize,
    sentinel: ConnectionInfo,
    name: String,
    /// For the connection, and for each reply.
    timeout: Duration,
}

impl Subscription {
    /// Subscribes again whenever the configuration may have changed, or the connection is lost.
    async fn keep(self, mut delays: Backoff) -> Infallible {
        loop {
            match self.subscribe().await {
                Ok(()) => delays.reset(),
                Err(error) => {
                    self.discovery.report(self.index, Err(self.in_context(&error)));
                    sleep(delays.next()).await;
                }
            }
        }
    }

    fn in_context(&self, error: &Error) -> Error {
        let (address, message) = (self.sentinel.address(), error.message());
        match error.code() {
            ErrorCode::Authentication => Error::new(
                ErrorCode::Authentication,
                format!("the sentinel {address} refused the login; see the options \"sentinelUser\" and \"sentinelPassword\""),
            ),
            ErrorCode::Configuration => wrong(format!("the sentinel {address}: {message}")),
            _ => Error::connection(format!("the sentinel {address}: {message}")),
        }
    }

    /// Reports the configuration, and returns when it may have changed.
    async fn subscribe(&self) -> Result<(), Error> {
        let (connection, mut lifeline) = self.in_time(self.sentinel.connect(&Traffic::default())).await?;
        while_alive(&mut lifeline, self.report_and_listen(&connection)).await
    }

    /// Asks for the configuration and subscribes in one pipeline, so that no failover is between
    /// them.
    async fn report_and_listen(&self, connection: &MultiplexedConnection) -> Result<(), Error> {
        let mut commands = redis::cmd("SENTINEL").arg("MASTER").arg(&self.name).get_packed_command();
        commands.extend(redis::cmd("SUBSCRIBE").arg(&CHANNELS).get_packed_command());
        let replies = Box::pin(self.in_time(connection.send_pipeline(commands, 1 + CHANNELS.len())));
        // A message is the reply to no command; the pipeline must expect it before it comes.
        let message = Box::pin(connection.send_pipeline(Vec::new(), 1));
        let (replies, mut message) = match select(replies, message).await {
            Either::Left((replies, message)) => (replies?, message),
            Either::Right((result, _)) => return result.and(Err(unexpected())),
        };
        let mut replies = replies.into_iter();
        let master = replies.next().ok_or_else(unexpected)?.into_result().map_err(unknown_name)?;
        last_reply(replies.collect())?;
        let configuration = PrimaryConfiguration::from_reply(&master).ok_or_else(unexpected)?;
        self.discovery.report(self.index, Ok(configuration));
        loop {
            let received = last_reply(message.await?)?;
            if is_about(&received, &self.name) {
                return Ok(());
            }
            message = Box::pin(connection.send_pipeline(Vec::new(), 1));
        }
    }

    async fn in_time<R>(&self, work: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
        let late = || Error::connection(format!("no answer within {} ms", self.timeout.as_millis()));
        timeout(self.timeout, work).await.unwrap_or_else(|_| Err(late()))
    }
}

fn unknown_name(error: Error) -> Error {
    match replies::is_unknown_primary(&error) {
        true => wrong("there is no primary of that name; see the option \"name\""),
        false => error,
    }
}

/// Whether a message is about the primary of that name: `message`, the channel, and `name …` of a
/// switch or `master name …` of what comes before.
fn is_about(message: &Reply, name: &str) -> bool {
    let Reply::BulkStrings(parts) = message else { return false };
    let [Some(_), Some(_), Some(payload)] = &parts[..] else { return false };
    let mut words = payload.split(|byte| *byte == b' ');
    let first = words.next();
    let about = if first == Some(b"master") { words.next() } else { first };
    about == Some(name.as_bytes()) || first == Some(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn reply(words: &[&str]) -> Reply {
        Reply::BulkStrings(words.iter().map(|word| Some(Bytes::copy_from_slice(word.as_bytes()))).collect())
    }

    #[test]
    fn a_message_names_its_primary() {
        let message = |text| reply(&["message", "+channel", text]);
        assert!(is_about(&message("m 1.1.1.1 1 2.2.2.2 2"), "m"));
        assert!(is_about(&message("master m 1.1.1.1 1"), "m"));
        assert!(is_about(&message("master 1.1.1.1 1 2.2.2.2 2"), "master"));
        assert!(!is_about(&message("m2 1.1.1.1 1 2.2.2.2 2"), "m"));
        assert!(!is_about(&reply(&["m"]), "m"));
    }
}
