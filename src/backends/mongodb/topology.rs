//! What the driver finds out about the servers while nobody asks it for anything.

use std::sync::Arc;

use mongodb::event::sdam::{SdamEvent, TopologyDescription};
use mongodb::event::EventHandler;
use mongodb::ServerType;
use tokio::sync::watch;

use super::failure;
use crate::core::Error;

/// The servers as they were seen last.
#[derive(Clone, Default)]
struct Sight {
    /// One takes writes.
    serves: bool,
    /// None was reached.
    is_hopeless: bool,
    /// How often one was not reached.
    failures: u64,
    /// What the last of these failed with.
    trouble: Option<Error>,
}

/// Where the driver reports and a connection looks.
#[derive(Clone)]
pub(super) struct Topology {
    sight: Arc<watch::Sender<Sight>>,
}

impl Topology {
    pub fn new() -> Topology {
        Topology { sight: Arc::new(watch::Sender::new(Sight::default())) }
    }

    /// For the driver.
    pub fn handler(&self) -> EventHandler<SdamEvent> {
        let sight = Arc::clone(&self.sight);
        EventHandler::callback(move |event| match event {
            SdamEvent::ServerHeartbeatFailed(event) => sight.send_modify(|sight| {
                sight.failures += 1;
                sight.trouble = Some(failure::of_driver(&event.failure));
            }),
            SdamEvent::TopologyDescriptionChanged(event) => sight.send_modify(|sight| {
                sight.serves = serves(&event.new_description);
                sight.is_hopeless = is_hopeless(&event.new_description);
                if sight.serves {
                    sight.trouble = None;
                } else if let Some(error) = first_error(&event.new_description) {
                    sight.trouble = Some(error);
                }
            }),
            _ => {}
        })
    }

    /// Ends when no server can be reached, with the reason; it takes an attempt from now on.
    pub async fn unreachable(&self) -> Error {
        let mut sight = self.sight.subscribe();
        let before = sight.borrow().failures;
        // The other side is held by ourselves.
        let seen = sight.wait_for(|sight| sight.is_hopeless && sight.failures > before).await;
        let seen = seen.map(|sight| sight.clone()).unwrap_or_default();
        seen.reason()
    }

    /// Ends when no server takes writes any more, with the reason.
    pub async fn lost(&self) -> Error {
        let mut sight = self.sight.subscribe();
        let _ = sight.wait_for(|sight| sight.serves).await;
        let seen = sight.wait_for(|sight| !sight.serves).await;
        let seen = seen.map(|sight| sight.clone()).unwrap_or_default();
        seen.reason()
    }
}

impl Sight {
    fn reason(self) -> Error {
        self.trouble.unwrap_or_else(|| Error::connection("no server of the replica set takes writes"))
    }
}

fn serves(topology: &TopologyDescription) -> bool {
    topology.servers().values().any(|server| {
        matches!(
            server.server_type(),
            ServerType::Standalone | ServerType::RsPrimary | ServerType::Mongos | ServerType::LoadBalancer
        )
    })
}

fn is_hopeless(topology: &TopologyDescription) -> bool {
    let servers = topology.servers();
    topology.compatibility_error().is_some()
        || servers
            .values()
            .all(|server| server.server_type() == ServerType::Unknown && server.error().is_some())
}

fn first_error(topology: &TopologyDescription) -> Option<Error> {
    topology.servers().values().find_map(|server| server.error()).map(failure::of_driver)
}
