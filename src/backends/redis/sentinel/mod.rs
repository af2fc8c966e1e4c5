//! Redis Sentinel: the sentinels monitor a primary and its replicas, and tell which server is the
//! primary (<https://redis.io/docs/latest/develop/reference/sentinel-clients/>).
//!
//! The primary is the one of the highest configuration epoch, and `ROLE` has to confirm it. When
//! the sentinels name another one, the connection ends at once, so that a former primary that
//! hangs, or comes back, is not written to any more; what was unanswered is sent again to the new
//! one. It ends when a failover begins, too: what the former primary takes while a replica is
//! promoted would be lost, `WAIT` or not.

mod configuration;
pub(super) mod discovery;
mod subscription;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{select, BoxFuture, Either, FutureExt};
use redis::Value;

use self::configuration::PrimaryConfiguration;
use self::discovery::PrimaryDiscovery;
use self::subscription::Sentinels;
use super::batching::description;
use super::connection::RedisConnection;
use super::connection_info::ConnectionInfo;
use super::decode::Reply;
use super::layout::Layout;
use super::multiplexed_connection::MultiplexedConnection;
use super::options;
use super::replica_reads::RequiredOffsets;
use super::replicas::Replicas;
use super::replies;
use super::role::{is_primary, ROLE};
use super::storage_options::StorageOptions;
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, Link};
use crate::net::fleet::Timeouts;
use crate::net::pipeline::while_alive;
use crate::net::renewal::{Renewable, Renewing};
use crate::net::traffic::Traffic;

const DEFAULT_SENTINEL_PORT: u16 = 26_379;

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    options::check_sentinel(settings)?;
    let name = settings.text("name").ok_or_else(|| {
        wrong("the option \"sentinels\" needs \"name\" beside it, the name under which the sentinels know the primary")
    })?;
    let sentinel = ConnectionInfo::from_settings(&options::for_sentinels(settings))
        .map_err(|error| wrong(format!("for the sentinels: {}", error.message())))?;
    let sentinels = options::nodes(settings, "sentinels", "sentinels", DEFAULT_SENTINEL_PORT)?
        .into_iter()
        .map(|node| sentinel.at(&node.host, node.port))
        .collect::<Result<Vec<_>, _>>()?;
    let sentinel = Sentinel {
        sentinels: Sentinels { sentinels, name: name.to_owned(), options: settings.engine() },
        primary: ConnectionInfo::from_settings(settings)?,
        storage: StorageOptions::from_settings(settings, Layout::from_settings(settings)),
        replica_reads: options::reads_from_replicas(settings)
            .then(|| (Timeouts::from_options(&settings.engine()), RequiredOffsets::default())),
        config_epoch: AtomicI64::new(0),
        is_replaced: Arc::default(),
    };
    Ok(Arc::new(Renewing::new(sentinel, settings.engine().connect_timeout)))
}

struct Sentinel {
    sentinels: Sentinels,
    /// How to connect to the primary, whatever its address.
    primary: ConnectionInfo,
    storage: StorageOptions,
    /// What reads from replicas need, if there are any.
    replica_reads: Option<(Timeouts, RequiredOffsets)>,
    /// The configuration epoch of the last connection.
    config_epoch: AtomicI64,
    /// The last connection ended since the sentinels replace the primary.
    is_replaced: Arc<AtomicBool>,
}

impl Renewable for Sentinel {
    fn is_missed(&self) -> bool {
        self.is_replaced.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Backend for Sentinel {
    fn describe(&self) -> Description {
        description(format!("the Redis primary \"{}\"", self.sentinels.name))
    }

    async fn connect(&self) -> Result<Link, Error> {
        let (discovery, subscriptions) = self.sentinels.subscribe();
        let mut subscriptions: BoxFuture<'static, Error> =
            Box::pin(subscriptions.map(|never| match never {}));
        let (primary, configuration) =
            while_alive(&mut subscriptions, self.connect_to_primary(&discovery)).await?;
        // Lower where the sentinels began again.
        self.config_epoch.store(configuration.config_epoch, Ordering::Relaxed);
        let Primary { connection: primary, traffic, mut lifeline, role } = primary;
        let patience = self.sentinels.options.timeout;
        let mut connection = RedisConnection::new(primary.clone(), traffic, patience, self.storage.clone())
            .discovered_by(Arc::clone(&discovery));
        if let Some((timeouts, required)) = &self.replica_reads {
            let (replicas, background) =
                Replicas::discovered(&self.primary, &primary, &role, *timeouts, required);
            connection = connection.reading_from(replicas);
            lifeline = Box::pin(select(lifeline, Box::pin(background)).map(|end| end.factor_first().0));
        }
        self.is_replaced.store(false, Ordering::Relaxed);
        let is_replaced = Arc::clone(&self.is_replaced);
        let failover = async move {
            discovery.failover(&configuration).await;
            is_replaced.store(true, Ordering::Relaxed);
            let address = configuration.address();
            Error::connection(format!("the sentinels replace the primary {address}"))
        };
        let lifeline = async move {
            let lost = select(lifeline, subscriptions).map(|end| end.factor_first().0);
            select(Box::pin(failover), Box::pin(lost)).await.factor_first().0
        };
        Ok(Link { connection: Arc::new(connection), lifeline: Box::pin(lifeline) })
    }
}

/// A connection to a primary.
struct Primary {
    connection: MultiplexedConnection,
    /// What moves on it.
    traffic: Traffic,
    lifeline: BoxFuture<'static, Error>,
    /// Its reply to `ROLE`, if we may ask.
    role: Reply,
}

impl Sentinel {
    /// Connects to the primary, or to the next one if there is a failover meanwhile.
    async fn connect_to_primary(
        &self,
        discovery: &PrimaryDiscovery,
    ) -> Result<(Primary, PrimaryConfiguration), Error> {
        let mut configuration = discovery.primary(self.config_epoch.load(Ordering::Relaxed)).await?;
        loop {
            let first = {
                let attempt = self.connect_to(&configuration).map(Either::Left);
                let failover = discovery.failover(&configuration).map(Either::Right);
                select(pin!(attempt), pin!(failover)).await.factor_first().0
            };
            match first {
                Either::Left(result) => return result.map(|primary| (primary, configuration)),
                Either::Right(()) => {
                    configuration = discovery.primary(self.config_epoch.load(Ordering::Relaxed)).await?;
                }
            }
        }
    }

    async fn connect_to(&self, configuration: &PrimaryConfiguration) -> Result<Primary, Error> {
        let info = self.primary.at(&configuration.host, configuration.port)?;
        let traffic = Traffic::default();
        let (connection, mut lifeline) = info.connect(&traffic).await?;
        match while_alive(&mut lifeline, confirm_role(&connection)).await? {
            Some(role) => Ok(Primary { connection, traffic, lifeline, role }),
            None => {
                let address = configuration.address();
                Err(Error::connection(format!("{address} is no primary yet, or no more")))
            }
        }
    }
}

/// A primary's reply to `ROLE`; `None` where the server is no primary.
async fn confirm_role(connection: &MultiplexedConnection) -> Result<Option<Reply>, Error> {
    match connection.send(ROLE.to_vec(), 0).await {
        Ok(reply) => Ok(is_primary(&reply).then_some(reply)),
        // A user without permission to ask; a replica would refuse the first write.
        Err(error) if replies::is_forbidden(&error) => Ok(Some(Reply::Value(Value::Nil))),
        Err(error) => Err(error),
    }
}
