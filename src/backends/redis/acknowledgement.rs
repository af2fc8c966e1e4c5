//! When a write counts as acknowledged: Redis replicates asynchronously, so that a failover may
//! lose what only the primary had. `WAIT` (<https://redis.io/docs/latest/commands/wait/>) after
//! a batch tells how many replicas have all of it.

use redis::Value;

use super::decode::Reply;
use super::replies;
use crate::config::Settings;
use crate::core::{Error, ErrorCode};

/// The number of replicas that must have a write, and how long `WAIT` waits for them.
#[derive(Clone)]
pub(super) struct Acknowledgement {
    replicas: i64,
    /// In milliseconds.
    timeout: i64,
}

const DEFAULT_TIMEOUT: i64 = 1000;

impl Acknowledgement {
    /// The options `waitReplicas` and `waitTimeout`; `None` where no replica is asked for. The
    /// server waits for at most half of the operations' deadline, so that there is a second try.
    pub fn from_settings(settings: &Settings) -> Option<Acknowledgement> {
        let replicas = settings.integer("waitReplicas").filter(|replicas| *replicas > 0)?;
        let longest = i64::try_from(settings.engine().timeout.as_millis() / 2).unwrap_or(i64::MAX).max(1);
        let timeout = settings.integer("waitTimeout").unwrap_or(DEFAULT_TIMEOUT).min(longest);
        Some(Acknowledgement { replicas, timeout })
    }

    /// How long the server may take to reply to `WAIT`.
    pub fn timeout(&self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.timeout).unwrap_or_default())
    }

    /// Appends `WAIT` to the commands of a batch; it has one reply.
    pub fn append(&self, commands: &mut Vec<u8>) {
        commands.extend(redis::cmd("WAIT").arg(self.replicas).arg(self.timeout).get_packed_command());
    }

    /// What the reply to `WAIT` means for all writes of the batch.
    ///
    /// # Errors
    /// Too few replicas have it now: a matter for another attempt.
    pub fn check(&self, reply: Option<Reply>) -> Result<(), Error> {
        match reply.map(Reply::into_result) {
            Some(Ok(Reply::Value(Value::Int(count)))) if count >= self.replicas => Ok(()),
            Some(Ok(Reply::Value(Value::Int(count)))) => Err(Error::transient(
                ErrorCode::Unavailable,
                format!(
                    "the server has the write, but only {count} of its replicas; the option \"waitReplicas\" asks for {}",
                    self.replicas
                ),
            )),
            // A primary that has just become a replica, for one.
            Some(Err(error)) => Err(Error::transient(ErrorCode::Unavailable, error.message().to_owned())),
            _ => Err(replies::unexpected()),
        }
    }
}
