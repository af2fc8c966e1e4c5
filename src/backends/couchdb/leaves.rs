//! Documents with several leaves, of which CouchDB chooses one to be read.

use futures_util::future::join_all;
use hyper::{Method, StatusCode};
use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};
use serde::Deserialize;

use super::calls::{read, Service};
use super::revisions::{Revision, Revisions};
use crate::core::{Error, ErrorCode};

/// The leaf that is read, where it comes from, and which others there are.
#[derive(Deserialize)]
struct Leaves {
    #[serde(rename = "_rev")]
    winner: String,
    #[serde(rename = "_revisions")]
    path: Path,
    #[serde(rename = "_conflicts", default)]
    losers: Vec<String>,
}

/// The winner and what it replaced, the newest first.
#[derive(Deserialize)]
struct Path {
    start: usize,
    ids: Vec<String>,
}

impl Path {
    fn holds(&self, revision: &str) -> bool {
        let Some((number, id)) = revision.split_once('-') else { return false };
        let place = number.parse().ok().and_then(|number: usize| self.start.checked_sub(number));
        place.and_then(|place| self.ids.get(place)).is_some_and(|own| own == id)
    }
}

/// What was written with the revision `ours` is not what is read. Where somebody wrote after it, all is
/// well. Else the losers are taken away, and the same is to be written once more, over the winner.
pub(super) async fn settle(
    service: &Service,
    revisions: &Revisions,
    id: &str,
    ours: &str,
) -> Result<(), Error> {
    let encoded = utf8_percent_encode(id, NON_ALPHANUMERIC);
    let answer = service.ask(Method::GET, &format!("/{encoded}?revs=true&conflicts=true"), "".into()).await?;
    if answer.status == StatusCode::NOT_FOUND {
        revisions.forget(id);
        return Ok(());
    }
    let Leaves { winner, path, losers } = read("a document", &answer)?;
    revisions.learn(id, Revision::Is(winner));
    if path.holds(ours) {
        return Ok(());
    }
    let gone = losers.iter().map(|loser| async move {
        let path = format!("/{}?rev={loser}", utf8_percent_encode(id, NON_ALPHANUMERIC));
        service.ask(Method::DELETE, &path, "".into()).await
    });
    for answer in join_all(gone).await {
        // One that somebody replaced meanwhile shows when it is written over the winner.
        answer?;
    }
    Err(conflict())
}

/// Somebody else wrote too: what is asked for now comes after it.
pub(super) fn conflict() -> Error {
    Error::transient(ErrorCode::Backend, "somebody else writes this document as well")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_is_on_the_path() {
        let path = Path { start: 7, ids: ["g", "f", "e"].map(str::to_owned).into() };
        for (revision, holds) in
            [("7-g", true), ("5-e", true), ("6-g", false), ("8-g", false), ("4-d", false), ("x", false)]
        {
            assert_eq!(path.holds(revision), holds, "{revision}");
        }
    }
}
