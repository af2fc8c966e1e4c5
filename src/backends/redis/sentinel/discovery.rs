//! Discovery of the primary: the configurations that all sentinels report, and which of them
//! counts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::configuration::PrimaryConfiguration;
use crate::core::{Error, ErrorCode};

/// How long the first sentinel that replies waits for the others, which may know a later
/// configuration.
const GRACE: Duration = Duration::from_millis(200);

/// See the module.
pub(in super::super) struct PrimaryDiscovery {
    reports: Mutex<Reports>,
    changed: Notify,
}

/// For each sentinel its last report, or why there is none.
type Reports = Vec<Option<Result<PrimaryConfiguration, Error>>>;

impl PrimaryDiscovery {
    /// Expects reports of so many sentinels.
    pub(super) fn new(sentinels: usize) -> PrimaryDiscovery {
        PrimaryDiscovery { reports: Mutex::new(vec![None; sentinels]), changed: Notify::new() }
    }

    /// The configuration with the highest epoch, as soon as no failover is in progress. One with
    /// an epoch lower than `config_epoch` counts only when all sentinels reply, or most of them have
    /// it, where their epochs began again: else it is that of a sentinel that was partitioned away.
    ///
    /// # Errors
    /// No sentinel knows the primary.
    pub(super) async fn primary(&self, config_epoch: i64) -> Result<PrimaryConfiguration, Error> {
        let settled = |reports: &Reports| !configurations(reports).any(|known| known.failover_in_progress);
        self.wait_for(|reports| {
            configurations(reports).next().is_some() || reports.iter().all(Option::is_some)
        })
        .await;
        let all = Box::pin(self.wait_for(|reports| reports.iter().all(Option::is_some)));
        select(all, Box::pin(sleep(GRACE))).await;
        self.wait_for(settled).await;
        let reports = self.reports();
        let latest = configurations(&reports).max_by_key(|known| known.config_epoch);
        match latest {
            Some(latest)
                if latest.config_epoch >= config_epoch
                    || reports.iter().all(is_ok)
                    || 2 * configurations(&reports).filter(|known| *known == latest).count()
                        > reports.len() =>
            {
                Ok(latest.clone())
            }
            Some(_) => Err(Error::connection("the sentinels that answer know an older primary alone")),
            None => Err(reason(&reports)),
        }
    }

    /// Waits for a failover: one is in progress, or a later configuration has another primary.
    pub(super) async fn failover(&self, current: &PrimaryConfiguration) {
        self.wait_for(|reports| {
            configurations(reports).any(|known| known.failover_in_progress || known.replaces(current))
        })
        .await;
    }

    /// Whether some sentinel is disconnected, so that a timer runs until the next attempt to
    /// connect.
    pub fn waits_for_timer(&self) -> bool {
        !self.reports().iter().all(is_ok)
    }

    /// Takes the report of a sentinel.
    pub(super) fn report(&self, sentinel: usize, report: Result<PrimaryConfiguration, Error>) {
        if let Some(last) = self.reports().get_mut(sentinel) {
            *last = Some(report);
        }
        self.changed.notify_one();
    }

    async fn wait_for(&self, condition: impl Fn(&Reports) -> bool) {
        while !condition(&self.reports()) {
            self.changed.notified().await;
        }
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_ok(report: &Option<Result<PrimaryConfiguration, Error>>) -> bool {
    matches!(report, Some(Ok(_)))
}

fn configurations(reports: &Reports) -> impl Iterator<Item = &PrimaryConfiguration> {
    reports.iter().flatten().filter_map(|report| report.as_ref().ok())
}

/// The error that says the most: a permanent one.
fn reason(reports: &Reports) -> Error {
    let errors = || reports.iter().flatten().filter_map(|report| report.as_ref().err());
    errors()
        .find(|error| error.code() != ErrorCode::Unavailable)
        .or_else(|| errors().next())
        .cloned()
        .unwrap_or_else(|| Error::connection("no sentinel answers"))
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use futures_util::future::{join, FutureExt};

    use super::*;
    use crate::config::wrong;

    fn discovery(reports: Reports) -> PrimaryDiscovery {
        PrimaryDiscovery { reports: Mutex::new(reports), changed: Notify::new() }
    }

    fn configuration(config_epoch: i64) -> PrimaryConfiguration {
        let host = format!("h{config_epoch}");
        PrimaryConfiguration { config_epoch, host, port: 1, failover_in_progress: false }
    }

    fn block_on<R>(work: impl Future<Output = R>) -> R {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn the_highest_epoch_counts() {
        let away = Error::connection("away");
        let known = discovery(vec![Some(Ok(configuration(1))), Some(Ok(configuration(3))), Some(Err(away))]);
        assert_eq!(block_on(known.primary(2)).unwrap(), configuration(3));
        assert!(block_on(known.primary(4)).unwrap_err().message().contains("older"));
        let again = |one, other| {
            let away = Some(Err(Error::connection("away")));
            discovery(vec![Some(Ok(configuration(one))), away, Some(Ok(configuration(other)))])
        };
        assert_eq!(block_on(again(1, 1).primary(4)).unwrap(), configuration(1), "most agree");
        assert!(block_on(again(1, 2).primary(4)).is_err());
        assert!(known.failover(&configuration(2)).now_or_never().is_some());
        let same = PrimaryConfiguration { config_epoch: 2, ..configuration(3) };
        assert!(known.failover(&same).now_or_never().is_none(), "the address is the same");
        let new = discovery(vec![Some(Ok(configuration(1)))]);
        assert_eq!(block_on(new.primary(4)).unwrap(), configuration(1), "all agree");
    }

    #[test]
    fn there_is_no_primary_while_a_failover_is_in_progress() {
        let failing_over = PrimaryConfiguration { failover_in_progress: true, ..configuration(1) };
        let known = discovery(vec![Some(Ok(configuration(1))), Some(Ok(failing_over))]);
        assert!(known.failover(&configuration(1)).now_or_never().is_some());
        block_on(async {
            let next = async {
                sleep(Duration::from_millis(20)).await;
                known.report(1, Ok(configuration(2)));
            };
            assert_eq!(join(known.primary(1), next).await.0.unwrap(), configuration(2));
        });
    }

    #[test]
    fn a_permanent_error_is_the_reason() {
        let error = || Some(Err(Error::connection("away")));
        let dead = discovery(vec![error(), Some(Err(wrong("no such name"))), error()]);
        assert_eq!(block_on(dead.primary(0)).unwrap_err().code(), ErrorCode::Configuration);
        assert_eq!(block_on(discovery(vec![error()]).primary(0)).unwrap_err().message(), "away");
    }
}
