//! Who we are to AWS: keys by option, or by the chain that AWS's own SDKs search.

mod chain;
mod environment;
mod files;
mod keys;
mod remote;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::Mutex;

pub(super) use self::chain::region;
pub(super) use self::environment::Environment;
pub(super) use self::keys::Credentials;
pub(super) use self::remote::domain;
use crate::core::Error;

/// Where credentials come from.
pub(super) enum Source {
    /// The options.
    Options(Arc<Credentials>),
    /// The chain; a profile may be named.
    Chain { environment: Environment, profile: Option<String>, region: String },
}

/// Hands out credentials, and fetches new ones when they are about to expire.
pub(super) struct Provider {
    source: Source,
    latest: Mutex<Option<Arc<Credentials>>>,
}

impl Provider {
    pub fn new(source: Source) -> Provider {
        Provider { source, latest: Mutex::new(None) }
    }

    /// Credentials that are good now.
    ///
    /// # Errors
    /// There are none to be found.
    pub async fn current(&self) -> Result<Arc<Credentials>, Error> {
        let (environment, profile, region) = match &self.source {
            Source::Options(credentials) => return Ok(Arc::clone(credentials)),
            Source::Chain { environment, profile, region } => (environment, profile.as_deref(), region),
        };
        // Held while they are fetched, so that they are fetched once.
        let mut latest = self.latest.lock().await;
        if let Some(known) = latest.as_ref().filter(|known| !known.is_stale()) {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(chain::search(environment, profile, region).await?);
        *latest = Some(Arc::clone(&found));
        Ok(found)
    }

    /// They were refused: the next ones are searched for anew.
    pub async fn forget(&self) {
        *self.latest.lock().await = None;
    }
}
