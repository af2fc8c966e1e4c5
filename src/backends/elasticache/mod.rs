//! Amazon ElastiCache: a Redis, Valkey or memcached cluster by the endpoints that the service
//! gives it (<https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Endpoints.html>).
//!
//! | engine | endpoint | then it is |
//! |---|---|---|
//! | Redis, Valkey | `primaryEndpoint` | the Redis backend at one server, and its replicas behind `readerEndpoint` |
//! | Redis, Valkey | `configurationEndpoint` | the Redis backend at a Redis Cluster |
//! | memcached | `configurationEndpoint` | the memcached backend at the servers that `config get cluster` names |

mod discovery;
mod options;

use std::sync::Arc;

use self::discovery::AutoDiscovery;
use self::options::Engine;
pub(super) use self::options::OPTIONS;
use super::{memcached, redis};
use crate::config::Settings;
use crate::core::{Backend, Error};

pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Backend>, Error> {
    match options::engine(settings)? {
        Engine::Redis(settings) => redis::open(&settings),
        Engine::Memcached(settings, endpoint) => {
            let target = format!("ElastiCache at {endpoint}");
            let discovery = AutoDiscovery::from_settings(&settings, endpoint)?;
            memcached::open_discovered(&settings, target, Arc::new(discovery))
        }
    }
}
