//! A standalone Redis server, with the replicas that the options name, if they do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, FutureExt};

use super::batching::description;
use super::connection::RedisConnection;
use super::connection_info::ConnectionInfo;
use super::layout::Layout;
use super::options::{self, DEFAULT_PORT};
use super::read_only::{Pauses, ReadOnly};
use super::replica_reads::RequiredOffsets;
use super::replicas::Replicas;
use super::storage_options::StorageOptions;
use crate::config::Settings;
use crate::core::{Backend, Description, Error, Link};
use crate::net::fleet::{Node, Timeouts};
use crate::net::renewal::Renewable;
use crate::net::traffic::Traffic;

/// See the module.
pub(super) struct Standalone {
    connection_info: ConnectionInfo,
    storage: StorageOptions,
    /// Where reads go first; empty where they go to the primary.
    replicas: Vec<Node>,
    required_offsets: RequiredOffsets,
    timeouts: Timeouts,
    /// Whether the server of the last connection took writes.
    read_only: Mutex<ReadOnly>,
    /// How long the primary may be silent while something is unanswered.
    patience: Duration,
}

impl Standalone {
    pub fn from_settings(settings: &Settings) -> Result<Standalone, Error> {
        let mut replicas = options::nodes(settings, "replicas", "replicas", DEFAULT_PORT)?;
        if !options::reads_from_replicas(settings) {
            replicas.clear();
        }
        Ok(Standalone {
            connection_info: ConnectionInfo::from_settings(settings)?,
            storage: StorageOptions::from_settings(settings, Layout::from_settings(settings)),
            replicas,
            required_offsets: RequiredOffsets::default(),
            timeouts: Timeouts::from_options(&settings.engine()),
            read_only: Mutex::default(),
            patience: settings.engine().timeout,
        })
    }

    fn read_only(&self) -> MutexGuard<'_, ReadOnly> {
        self.read_only.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Renewable for Standalone {
    /// What ends since another server is the primary is part of an outage that was told.
    fn is_missed(&self) -> bool {
        self.read_only().waits_for_timer()
    }
}

#[async_trait]
impl Backend for Standalone {
    fn describe(&self) -> Description {
        description(format!("Redis at {}", self.connection_info.address()))
    }

    async fn connect(&self) -> Result<Link, Error> {
        let traffic = Traffic::default();
        let (primary, lifeline) = self.connection_info.connect(&traffic).await?;
        let read_only = ReadOnly::default();
        *self.read_only() = read_only.clone();
        let connection = RedisConnection::new(primary.clone(), traffic, self.patience, self.storage.clone())
            .left_when(read_only.clone());
        let pauses = Pauses { attempt: self.timeouts.connect, delays: self.timeouts.reconnect_delays };
        let replaced = Box::pin(read_only.until_replaced(self.connection_info.clone(), pauses));
        let lifeline: BoxFuture<'static, Error> =
            Box::pin(select(lifeline, replaced).map(|end| end.factor_first().0));
        if self.replicas.is_empty() {
            return Ok(Link { connection: Arc::new(connection), lifeline });
        }
        let (replicas, background) = Replicas::configured(
            &self.connection_info,
            &primary,
            &self.replicas,
            self.timeouts,
            &self.required_offsets,
        );
        let lifeline = select(lifeline, Box::pin(background)).map(|end| end.factor_first().0);
        let connection = connection.reading_from(replicas);
        Ok(Link { connection: Arc::new(connection), lifeline: Box::pin(lifeline) })
    }
}
