//! Who we are to AWS: keys by option, or by the chain that AWS's own SDKs search.

mod assumed;
mod chain;
mod environment;
mod files;
mod keys;
mod provider;
mod remote;
#[cfg(test)]
mod tests;

pub(super) use self::chain::{region, Chain};
pub(super) use self::environment::Environment;
pub(super) use self::keys::Credentials;
pub(super) use self::provider::{Provider, Source};
pub(super) use self::remote::domain;
