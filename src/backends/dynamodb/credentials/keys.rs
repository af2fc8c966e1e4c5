//! What requests are signed with, and until when.

use std::time::Duration;

use crate::backends::dynamodb::moment::Moment;

/// New ones are fetched so long before the old ones expire.
const EARLY: Duration = Duration::from_secs(5 * 60);

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

    /// Whether it is time for new ones.
    pub(super) fn is_stale(&self) -> bool {
        self.expires.is_some_and(|expires| Moment::now().plus(EARLY) >= expires)
    }
}
