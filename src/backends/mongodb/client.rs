//! The driver, one for all connections of a connector: the lanes' sessions belong to it.

use std::future::Future;
use std::sync::Arc;

use mongodb::bson::serialize_to_raw_document_buf;
use mongodb::options::ClientOptions;
use tokio::sync::OnceCell;

use super::connection::Connected;
use super::driver::Driver;
use super::failure;
use super::options::Options;
use super::topology::Topology;
use crate::core::{Error, Link};

/// What the driver tells servers about us, unless the connection string says it.
const APP_NAME: &str = "deepstream-connector";

/// A connector's driver, and its options.
pub(super) struct Client {
    options: Arc<Options>,
    topology: Topology,
    /// Made at the first attempt, since it needs the runtime.
    driver: OnceCell<Driver>,
}

impl Client {
    pub fn new(options: Arc<Options>) -> Client {
        Client { options, topology: Topology::new(), driver: OnceCell::new() }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Sees that a server answers and accepts us.
    pub async fn connect(&self) -> Result<Link, Error> {
        let driver = self.driver.get_or_try_init(|| self.open()).await?;
        let greeting = self.or_unreachable(driver.greet(&self.options)).await?;
        let is_in_set = greeting.contains_key("setName");
        let is_router = greeting.get_str("msg").is_ok_and(|word| word == "isdbgrid");
        let counts = driver.retries_writes && (is_in_set || is_router);
        let connection = Connected::new(driver.clone(), Arc::clone(&self.options), counts);
        let topology = self.topology.clone();
        let lifeline = Box::pin(async move { topology.lost().await });
        Ok(Link { connection: Arc::new(connection), lifeline })
    }

    async fn open(&self) -> Result<Driver, Error> {
        let mut options = ClientOptions::parse(self.options.connection.clone())
            .await
            .map_err(|error| failure::of_driver(&error))?;
        options.sdam_event_handler = Some(self.topology.handler());
        options.app_name.get_or_insert_with(|| APP_NAME.into());
        options.connect_timeout.get_or_insert(self.options.connect_timeout);
        if let Some(tls) = &self.options.tls {
            options.tls = Some(tls.clone());
        }
        options.max_pool_size = self.options.max_connections.or(options.max_pool_size);
        let retries_writes = options.retry_writes != Some(false);
        let concern = options.write_concern.as_ref();
        let write_concern = concern.and_then(|concern| serialize_to_raw_document_buf(concern).ok());
        let client = mongodb::Client::with_options(options).map_err(|error| failure::of_driver(&error))?;
        Ok(Driver {
            database: client.database(&self.options.database),
            lanes: Arc::default(),
            write_concern,
            retries_writes,
        })
    }

    /// The driver itself would look for a server until the deadline, and keep to itself why it
    /// finds none.
    async fn or_unreachable<R>(&self, answer: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
        tokio::select! {
            biased;
            answer = answer => answer,
            error = self.topology.unreachable() => Err(error),
        }
    }
}
