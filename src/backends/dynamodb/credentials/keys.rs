//! What requests are signed with, and until when.

use std::time::Duration;

use crate::backends::dynamodb::moment::Moment;

/// What requests are signed with. There is no `Debug` of it, so that no secret is ever shown.
pub(in crate::backends::dynamodb) struct Credentials {
    pub access_key: String,
    pub secret_key: String,
    /// Of temporary credentials.
    pub token: Option<String>,
    pub(super) expires: Option<Moment>,
}

impl Credentials {
    /// Such as never expire.
    pub fn fixed(access_key: &str, secret_key: &str, token: Option<&str>) -> Credentials {
        Credentials {
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            token: token.map(str::to_owned),
            expires: None,
        }
    }

    /// How long they are good, where they expire.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.expires?.0.saturating_sub(Moment::now().0);
        Some(Duration::from_secs(left))
    }

    /// Whether AWS takes them no longer, by their own words.
    pub(super) fn have_expired(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}
