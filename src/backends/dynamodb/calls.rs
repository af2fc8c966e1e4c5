//! One call of DynamoDB's interface: signed, sent, and its failure understood.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use hyper::header::DATE;
use hyper::Request;
use serde::Deserialize;

use super::credentials::{Credentials, Provider};
use super::moment::Moment;
use super::sign::Signer;
use crate::core::{name_of_error, Error, ErrorCode};
use crate::net::http::{Answer, Client, Doubt};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// By how many seconds clocks may differ before it is worth a word; AWS bears five minutes.
const SKEW: i64 = 240;

/// What all connections to one service have in common.
pub(super) struct Identity {
    pub signer: Signer,
    pub provider: Provider,
    /// By how many seconds the service's clock is ahead of ours.
    pub ahead: AtomicI64,
}

/// Where calls go.
#[derive(Clone)]
pub(super) struct Service {
    pub client: Client,
    pub authority: Arc<str>,
    pub identity: Arc<Identity>,
    pub doubt: Arc<Doubt>,
    /// Whether reads see every earlier write.
    pub consistent: bool,
}

/// Why a call failed, as far as that matters to whoever made it.
pub(super) struct Refusal {
    pub kind: Kind,
    pub error: Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The table is not there.
    NoTable,
    /// The table is there already, or is being changed.
    InUse,
    /// There is something wrong with what was sent.
    Invalid,
    /// The credentials are good, and do not allow this.
    Denied,
    Other,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { kind: Kind::Other, error }
    }
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl Service {
    /// Makes a call; its answer is JSON.
    pub async fn call(&self, action: &str, body: Vec<u8>) -> Result<Bytes, Refusal> {
        let body = Bytes::from(body);
        let provider = &self.identity.provider;
        let mut may_renew = true;
        loop {
            let credentials = provider.current().await?;
            let answer = self.send(action, &credentials, body.clone()).await?;
            if answer.status.is_success() {
                return Ok(answer.body);
            }
            let refusal = self.refusal(action, &answer);
            let is_of_credentials = refusal.error.code() == ErrorCode::Authentication;
            if !(is_of_credentials && provider.refuse(&credentials) && may_renew) {
                return Err(refusal);
            }
            // Others may be had.
            may_renew = false;
        }
    }

    async fn send(&self, action: &str, credentials: &Credentials, body: Bytes) -> Result<Answer, Error> {
        let now = Moment::now().0.saturating_add_signed(self.identity.ahead.load(Ordering::Relaxed));
        let time = Moment(now).compact();
        let target = format!("DynamoDB_20120810.{action}");
        let mut headers =
            vec![("content-type", CONTENT_TYPE), ("host", &*self.authority), ("x-amz-date", &time)];
        if let Some(token) = &credentials.token {
            headers.push(("x-amz-security-token", token));
        }
        headers.push(("x-amz-target", &target));
        let authorization = self.identity.signer.authorization(credentials, &time, &headers, &body);
        let mut request = Request::post("/").header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|_| {
            Error::new(
                ErrorCode::Authentication,
                "the AWS credentials hold characters that no header can; see \"accessKeyId\" and \"sessionToken\"",
            )
        })?;
        self.client.send(request).await
    }

    fn refusal(&self, action: &str, answer: &Answer) -> Refusal {
        let status = answer.status.as_u16();
        let told: Option<Told> = serde_json::from_slice(&answer.body).ok();
        let kind = told.as_ref().map(|told| told.kind.rsplit('#').next().unwrap_or_default());
        let kind = kind.map(|kind| name_of_error(kind).unwrap_or("an error of an unknown kind"));
        let message = told.as_ref().and_then(|told| told.message.as_deref()).unwrap_or_default();
        match kind {
            Some(
                "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "Throttling"
                | "RequestLimitExceeded"
                | "LimitExceededException"
                | "ServiceUnavailable"
                | "ServiceUnavailableException",
            ) => busy(kind.unwrap_or_default(), answer).of_server().into(),
            Some("InternalServerError" | "InternalFailure" | "ReplicatedWriteConflictException") => {
                busy(kind.unwrap_or_default(), answer).into()
            }
            Some(
                "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "InvalidSignatureException"
                | "SignatureDoesNotMatch"
                | "IncompleteSignatureException"
                | "MissingAuthenticationTokenException"
                | "MissingAuthenticationToken"
                | "ExpiredTokenException"
                | "ExpiredToken"
                | "RequestExpired",
            ) => self.unknown(kind.unwrap_or_default(), answer).into(),
            Some("AccessDeniedException" | "AccessDenied") => {
                let words = format!("AWS does not allow {action} with these credentials");
                Refusal { kind: Kind::Denied, error: Error::new(ErrorCode::Backend, words) }
            }
            Some("ResourceNotFoundException") => {
                let error = Error::new(ErrorCode::Backend, "the table is not there");
                Refusal { kind: Kind::NoTable, error }
            }
            Some("ResourceInUseException") => {
                let error = Error::transient(ErrorCode::Backend, "the table is being made or changed");
                Refusal { kind: Kind::InUse, error }
            }
            Some("ValidationException") if message.contains("Item size") => {
                let words = "the item is larger than DynamoDB takes (409600 bytes)";
                Refusal { kind: Kind::Invalid, error: Error::new(ErrorCode::TooLarge, words) }
            }
            Some(kind @ ("ValidationException" | "SerializationException")) => {
                let error = Error::new(ErrorCode::Backend, format!("DynamoDB refused {action} ({kind})"));
                Refusal { kind: Kind::Invalid, error }
            }
            Some(kind) if !answer.is_passing() => {
                Error::new(ErrorCode::Backend, format!("DynamoDB refused {action} ({kind}, status {status})"))
                    .into()
            }
            None if !answer.is_passing() => {
                Error::connection(format!("the server is no DynamoDB: it answers with HTTP status {status}"))
                    .into()
            }
            _ => busy(&format!("status {status}"), answer).into(),
        }
    }

    fn unknown(&self, kind: &str, answer: &Answer) -> Error {
        if let Some(ahead) = ahead(answer) {
            let known = self.identity.ahead.swap(ahead, Ordering::Relaxed);
            if (ahead - known).abs() > SKEW {
                return Error::connection(format!(
                    "this machine's clock is {} s off that of AWS, by which requests are dated from now on",
                    ahead.abs()
                ));
            }
        }
        Error::new(
            ErrorCode::Authentication,
            format!("AWS refused the credentials ({kind}); see \"accessKeyId\", \"secretAccessKey\" and \"region\""),
        )
    }
}

/// DynamoDB is asked too much, or is in trouble itself.
fn busy(kind: &str, answer: &Answer) -> Error {
    answer.passing_error(ErrorCode::Backend, format!("DynamoDB cannot serve all requests ({kind})"))
}

/// By how many seconds the clock of whoever answered is ahead of ours.
fn ahead(answer: &Answer) -> Option<i64> {
    let date = httpdate::parse_http_date(answer.headers.get(DATE)?.to_str().ok()?).ok()?;
    let theirs = i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    Some(theirs - i64::try_from(Moment::now().0).ok()?)
}

/// An answer that must be there in a call that succeeded.
pub(super) fn read<'a, T: Deserialize<'a>>(action: &str, body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| {
        Error::connection(format!("the server is no DynamoDB: its answer to {action} cannot be read"))
    })
}
