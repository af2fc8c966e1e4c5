//! When the host hears of a node of a fleet that is away, or is back.

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::core::{Error, Notice};

/// How long a node is away before the host hears of it. Servers that all go do not go at one moment, and that is one
/// outage, which is told once.
const GRACE: Duration = Duration::from_millis(250);

/// What the host knows of a node.
#[derive(Default)]
pub(super) enum Heard {
    /// That it is there, or was always away.
    #[default]
    Nothing,
    /// The same, and it is away since then, for this reason.
    NotYet(Instant, Error),
    /// That it is away.
    Away,
}

impl Heard {
    /// What the host is to hear, now that the node is connected. That it was away is told even if it was for a moment.
    pub fn of_connected(&mut self, node: &impl Display) -> Vec<Notice> {
        let back = Notice::Recovery(format!("{node} is back"));
        match std::mem::take(self) {
            Heard::Nothing => Vec::new(),
            Heard::NotYet(_, error) => vec![away(node, &error), back],
            Heard::Away => vec![back],
        }
    }

    /// What the host is to hear, now that the node is disconnected, or when this must be asked again.
    pub fn of_disconnected(
        &mut self,
        node: &impl Display,
        reason: &Error,
        now: Instant,
    ) -> Result<Option<Notice>, Instant> {
        match self {
            Heard::Nothing => {
                *self = Heard::NotYet(now, reason.clone());
                Err(now + GRACE)
            }
            Heard::NotYet(since, _) if now < *since + GRACE => Err(*since + GRACE),
            Heard::NotYet(..) => {
                *self = Heard::Away;
                Ok(Some(away(node, reason)))
            }
            Heard::Away => Ok(None),
        }
    }
}

fn away(node: &impl Display, reason: &Error) -> Notice {
    Notice::Trouble(Error::connection(format!("the server {node} is away: {}", reason.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_away_is_told_after_a_moment_and_once() {
        let (mut heard, begin, reason) = (Heard::default(), Instant::now(), Error::connection("refused"));
        let mut at = |passed| heard.of_disconnected(&"h:1", &reason, begin + passed);
        assert!(matches!(at(Duration::ZERO), Err(again) if again == begin + GRACE));
        assert!(matches!(at(GRACE / 2), Err(again) if again == begin + GRACE));
        let told = at(GRACE);
        assert!(
            matches!(told, Ok(Some(Notice::Trouble(error))) if error.message().ends_with("h:1 is away: refused"))
        );
        assert!(matches!(at(GRACE * 2), Ok(None)));
        assert!(
            matches!(&heard.of_connected(&"h:1")[..], [Notice::Recovery(words)] if words == "h:1 is back")
        );
        assert!(heard.of_connected(&"h:1").is_empty());
    }

    #[test]
    fn a_node_that_was_away_for_a_moment_is_told_when_it_is_back() {
        let mut heard = Heard::default();
        let _ = heard.of_disconnected(&"h:1", &Error::connection("silent"), Instant::now());
        assert!(matches!(&heard.of_connected(&"h:1")[..], [Notice::Trouble(_), Notice::Recovery(_)]));
        assert!(heard.of_connected(&"h:1").is_empty());
    }
}
