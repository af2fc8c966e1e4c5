//! One request of CouchDB's interface, and its failure understood.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;

use super::session::{refusal, Login, JSON};
use crate::core::{name_of_error, Error, ErrorCode};
use crate::net::http::{Answer, Client, Doubt};

/// The longest answer that is taken.
pub(super) const LONGEST_ANSWER: usize = 1 << 30;

/// Where requests go.
#[derive(Clone)]
pub(super) struct Service {
    pub client: Client,
    pub login: Option<Arc<Login>>,
    /// What is before each path: a proxy may have the server below one.
    pub prefix: Arc<str>,
    /// The database as a part of a path.
    pub database: Arc<str>,
    pub doubt: Arc<Doubt>,
}

impl Service {
    /// Sends a request to the database and gives its answer, whatever it is, except where nothing
    /// but waiting or another login helps.
    ///
    /// # Errors
    /// The server is away, in trouble, or refuses the login.
    pub async fn ask(&self, method: Method, below: &str, body: Bytes) -> Result<Answer, Error> {
        let answer = self.ask_for(method, below, body, LONGEST_ANSWER).await?;
        answer.ok_or_else(|| {
            Error::new(ErrorCode::Backend, format!("CouchDB's answer is longer than {LONGEST_ANSWER} bytes"))
        })
    }

    /// The same; nothing where the answer is longer than that.
    ///
    /// # Errors
    /// As with [`Service::ask`].
    pub async fn ask_for(
        &self,
        method: Method,
        below: &str,
        body: Bytes,
        longest: usize,
    ) -> Result<Option<Answer>, Error> {
        let path = format!("{}/{}{below}", self.prefix, self.database);
        let mut may_begin = true;
        loop {
            let mut request = Request::builder().method(&method).uri(&path).header(CONTENT_TYPE, JSON);
            let mut shown = None;
            if let (Some(login), Some(headers)) = (&self.login, request.headers_mut()) {
                shown = login.show(headers);
            }
            let request = request.body(body.clone()).map_err(|_| {
                Error::new(
                    ErrorCode::Backend,
                    "CouchDB cannot be asked for this path; see the option \"database\"",
                )
            })?;
            let Some(answer) = self.client.send_for(request, longest).await? else { return Ok(None) };
            let Some(login) = &self.login else { return self.judge(answer).map(Some) };
            let is_refused = answer.status == StatusCode::UNAUTHORIZED && !wants_administrator(&answer);
            if is_refused && may_begin && login.may_change() {
                may_begin = false;
                login.begin(&self.client, &self.prefix, shown.as_ref()).await?;
                continue;
            }
            login.notice(&answer);
            return self.judge(answer).map(Some);
        }
    }

    fn judge(&self, answer: Answer) -> Result<Answer, Error> {
        if answer.status == StatusCode::UNAUTHORIZED && !wants_administrator(&answer) {
            return Err(refusal(self.login.as_deref()));
        }
        if answer.is_passing() {
            let status = answer.status.as_u16();
            let words = format!("CouchDB cannot serve all requests (HTTP status {status})");
            return Err(answer.passing_error(ErrorCode::Backend, words));
        }
        Ok(answer)
    }
}

/// Whether the login is good, and what was asked for is for administrators.
pub(super) fn wants_administrator(answer: &Answer) -> bool {
    let told: Option<Told> = serde_json::from_slice(&answer.body).ok();
    let reason = told.and_then(|told| told.reason).unwrap_or_default();
    answer.status == StatusCode::UNAUTHORIZED && reason.contains("not a server admin")
}

#[derive(Deserialize)]
struct Told {
    error: String,
    #[serde(default)]
    reason: Option<String>,
}

/// What CouchDB says is wrong, in one word of its own.
pub(super) fn word_of(answer: &Answer) -> Option<String> {
    let told: Told = serde_json::from_slice(&answer.body).ok()?;
    Some(name_of_error(&told.error).unwrap_or("an error of an unknown kind").to_owned())
}

/// A failure that nothing is known to help against.
pub(super) fn refused(what: &str, answer: &Answer) -> Error {
    let status = answer.status.as_u16();
    match word_of(answer) {
        Some(word) => {
            Error::new(ErrorCode::Backend, format!("CouchDB refused {what} ({word}, status {status})"))
        }
        None => Error::connection(format!("the server is no CouchDB: it answers with HTTP status {status}")),
    }
}

/// Reads the answer to a request that succeeded.
pub(super) fn read<'a, T: Deserialize<'a>>(what: &str, answer: &'a Answer) -> Result<T, Error> {
    if !answer.status.is_success() {
        return Err(refused(what, answer));
    }
    serde_json::from_slice(&answer.body).map_err(|_| {
        Error::connection(format!("the server is no CouchDB: its answer to {what} cannot be read"))
    })
}
