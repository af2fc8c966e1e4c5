//! Cassandra: one table, one partition for each record, for a person to query:
//! `SELECT id, version, data FROM deepstream.records WHERE collection = 'users' AND id = '1'`.
//!
//! `place.rs` says which row a record is in, `statements.rs` has all CQL, `timestamps.rs` why the
//! order of calls is the order of writes. One table and not one for each collection, because each
//! table costs every node memory, and a change of the schema must reach them all.
//!
//! The driver (the crate `scylla`, which speaks to Cassandra as well) knows the nodes, sends each
//! request to one that has the record, and to another one when that fails. What it does not do is
//! wait: when no node is connected any more the session is given up, and the engine makes a new
//! one.

mod columns;
mod datacentres;
mod failure;
mod options;
mod pages;
mod place;
mod prepared;
mod row;
mod schema;
mod session;
mod specs;
mod statements;
mod timestamps;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::client::{PoolSize, SelfIdentity};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;

use self::failure::Others;
use self::options::Options;
use self::prepared::Prepared;
use self::session::CassandraConnection;
pub(super) use self::specs::OPTIONS;
use crate::config::{wrong, Settings};
use crate::core::{Backend, Description, Error, Link};

/// Each record of a batch is a request of its own. With the four batches of a kind there can be,
/// 512 requests are under way, which keeps a cluster busy, and their bytes bounded.
const MAX_BATCH_RECORDS: usize = 128;
const MAX_BATCH_BYTES: usize = 2 << 20;
const BATCHES_AT_ONCE: usize = 4;

/// How long a sign of life may take once it is asked for: a quarter of the time that operations have, within these
/// bounds. Who is patient with operations is so with a server under load.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(3);
const LONGEST_PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    Ok(Arc::new(Cassandra { options: Arc::new(Options::from_settings(settings)?) }))
}

struct Cassandra {
    options: Arc<Options>,
}

impl Cassandra {
    async fn session(&self) -> Result<Session, Error> {
        let options = &self.options;
        let mut balancing = DefaultPolicy::builder().token_aware(true);
        if let Some(datacentre) = &options.datacentre {
            balancing = balancing.prefer_datacenter(datacentre.clone());
        }
        let speculative = options.speculative_delay.map(|retry_interval| {
            let policy = SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval };
            Arc::new(policy) as Arc<_>
        });
        // The deadline of an operation is the engine's.
        let profile = ExecutionProfile::builder()
            .request_timeout(None)
            .load_balancing_policy(balancing.build())
            .speculative_execution_policy(speculative)
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.contact_points)
            .default_execution_profile_handle(profile.into_handle())
            .pool_size(PoolSize::PerHost(NonZeroUsize::MIN))
            .compression(options.compression)
            .connection_timeout(options.connect_timeout)
            .keepalive_interval(options.heartbeat)
            .keepalive_timeout((options.timeout / 4).clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE))
            // Which node has which record is known from the keyspace's replication.
            .keyspaces_to_fetch([&options.keyspace])
            .driver_config_reporting(false)
            .custom_identity(SelfIdentity::new().with_application_name(env!("CARGO_PKG_NAME")));
        if let Some((username, password)) = &options.login {
            builder = builder.user(username, password);
        }
        #[cfg(feature = "cassandra-tls")]
        {
            builder = builder.tls_context(options.tls.as_ref().map(crate::net::tls::Tls::config));
        }
        builder.build().await.map_err(|error| failure::of_connect(&error))
    }

    /// The statements, after the table was made where it was missing.
    async fn prepare(&self, session: &Session) -> Result<Prepared, Error> {
        let failed = |error| failure::of_prepare(&error, Others::None);
        let prepared = match Prepared::new(session, &self.options).await {
            Err(error) if failure::is_unknown_table(&error) => {
                schema::make(session, &self.options).await?;
                match Prepared::new(session, &self.options).await {
                    Err(error) if failure::is_unknown_table(&error) => {
                        let words = "somebody else is making the table at this moment";
                        return Err(Error::connection(words));
                    }
                    other => other.map_err(failed)?,
                }
            }
            other => other.map_err(failed)?,
        };
        if !prepared.is_for_records() {
            return Err(schema::not_our_table(&self.options));
        }
        if prepared.columns.len() != self.options.columns.len() {
            return Err(wrong(
                "a column of the option \"columns\" is of a type that no member is written to; make it text, bigint, int, double or boolean",
            ));
        }
        Ok(prepared)
    }
}

#[async_trait]
impl Backend for Cassandra {
    fn describe(&self) -> Description {
        Description {
            target: format!("Cassandra at {}", self.options.contact_points.join(", ")),
            max_batch_records: MAX_BATCH_RECORDS,
            max_batch_bytes: MAX_BATCH_BYTES,
            read_batches: BATCHES_AT_ONCE,
            write_batches: BATCHES_AT_ONCE,
            // The driver has tasks of its own.
            host_driven: false,
        }
    }

    async fn connect(&self) -> Result<Link, Error> {
        let session = Arc::new(self.session().await?);
        datacentres::check(&self.options, schema::datacentres(&session))?;
        let prepared = self.prepare(&session).await?;
        let lifeline = session::until_lost(Arc::clone(&session));
        let connection = CassandraConnection::new(session, prepared, Arc::clone(&self.options));
        Ok(Link { connection: Arc::new(connection), lifeline: Box::pin(lifeline) })
    }
}
