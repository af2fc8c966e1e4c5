//! How records are stored, wherever the servers are.

use super::acknowledgement::Acknowledgement;
use super::layout::Layout;
use crate::config::Settings;

/// See the module.
#[derive(Clone)]
pub(super) struct StorageOptions {
    pub layout: Layout,
    /// Seconds after which records expire.
    pub ttl: Option<i64>,
    /// What acknowledges a write besides the server's own reply.
    pub acknowledgement: Option<Acknowledgement>,
}

impl StorageOptions {
    pub fn from_settings(settings: &Settings, layout: Layout) -> StorageOptions {
        StorageOptions {
            layout,
            ttl: settings.integer("ttl").filter(|ttl| *ttl > 0),
            acknowledgement: Acknowledgement::from_settings(settings),
        }
    }
}
