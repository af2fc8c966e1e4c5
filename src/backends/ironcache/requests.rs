//! What is asked of IronCache, and what its answers mean.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{HeaderValue, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::names;
use crate::config::{wrong, Settings};
use crate::core::{Error, ErrorCode, Record};
use crate::net::http::Answer;
use crate::records::envelope;

/// What an item may have at most with everything around it, by
/// <https://dev.iron.io/cache/reference/environment/>.
const ITEM_LIMIT: usize = 1 << 20;

/// What servers take as a URL, without the item's key.
const LONGEST_PATH: usize = 2_000;

/// Makes requests.
pub(super) struct Requests {
    authorization: HeaderValue,
    /// The path of the cache.
    cache: String,
    expires_in: Option<i64>,
}

/// What is sent to store an item.
#[derive(Serialize)]
struct ItemToStore<'a> {
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
}

/// What comes for an item; other fields are passed over.
#[derive(Deserialize)]
struct ItemFound<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

impl Requests {
    pub fn from_settings(settings: &Settings) -> Result<Requests, Error> {
        let needed = |name: &str, what: &str| match settings.text(name) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(wrong(format!("the option \"{name}\" is missing; give {what}"))),
        };
        let project = needed("project_id", "the project's id, which Iron's console shows")?;
        let token = needed("token", "an OAuth token of the project, which Iron's console shows")?;
        let cache = settings.text("cache").unwrap_or("deepstream");
        if matches!(cache, "" | "." | "..") {
            return Err(wrong(format!("the option \"cache\" is \"{cache}\"; give a name")));
        }
        let path = format!("/1/projects/{}/caches/{}", names::encoded(&project), names::encoded(cache));
        if path.len() > LONGEST_PATH {
            return Err(wrong("the options \"project_id\" and \"cache\" are too long for a URL together; give shorter names"));
        }
        let mut authorization = HeaderValue::try_from(format!("OAuth {token}")).map_err(|_| {
            wrong("the option \"token\" has characters that no token has; see Iron's console")
        })?;
        authorization.set_sensitive(true);
        Ok(Requests { authorization, cache: path, expires_in: settings.integer("expires_in") })
    }

    /// Asks about the cache as a whole.
    pub fn about(&self) -> Request<Bytes> {
        self.request(Method::GET, &self.cache, Bytes::new())
    }

    pub fn get(&self, key: &str) -> Request<Bytes> {
        self.request(Method::GET, &self.item(key), Bytes::new())
    }

    pub fn delete(&self, key: &str) -> Request<Bytes> {
        self.request(Method::DELETE, &self.item(key), Bytes::new())
    }

    pub fn set(&self, key: &str, record: &Record) -> Result<Request<Bytes>, Error> {
        let unusable =
            || Error::new(ErrorCode::InvalidArgument, "the data is not UTF-8; give JSON text in UTF-8");
        let text = envelope::write(envelope::Form::V2, record, None);
        let value = std::str::from_utf8(&text).map_err(|_| unusable())?;
        let body = serde_json::to_vec(&ItemToStore { value, expires_in: self.expires_in })
            .map_err(|_| unusable())?;
        Ok(self.request(Method::PUT, &self.item(key), body.into()))
    }

    fn item(&self, key: &str) -> String {
        format!("{}/items/{}", self.cache, names::stored(key))
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // Whatever is in it is encoded, so it cannot fail.
        *request.uri_mut() = path.parse().unwrap_or_default();
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

/// The answer of a service that did what it was asked for; `None` where there is no such item.
///
/// # Errors
/// What it answered instead, for a request with a body of so many bytes. The service's own words
/// are not passed on: they may hold parts of the request.
pub(super) fn success(answer: Answer, sent: usize) -> Result<Option<Answer>, Error> {
    let status = answer.status;
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return Ok(status.is_success().then_some(answer));
    }
    let said = format!("IronCache answered {status}");
    if answer.is_passing() {
        return Err(answer.passing_error(ErrorCode::Unavailable, said));
    }
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refused(),
        StatusCode::PAYLOAD_TOO_LARGE => too_large(sent),
        _ if status.is_client_error() && sent > ITEM_LIMIT => too_large(sent),
        _ => Error::new(ErrorCode::Backend, said),
    })
}

/// The token is of no use, or of no use any more.
pub(super) fn refused() -> Error {
    Error::new(
        ErrorCode::Authentication,
        "IronCache refused the token; see the options \"token\" and \"project_id\"",
    )
}

fn too_large(sent: usize) -> Error {
    Error::new(
        ErrorCode::TooLarge,
        format!("the record is an item of {sent} bytes, and IronCache takes {ITEM_LIMIT}; store less under one key"),
    )
}

/// The record in the answer to a `GET` of an item.
pub(super) fn record(answer: &Answer) -> Result<Record, Error> {
    let item: ItemFound<'_> = serde_json::from_slice(&answer.body).map_err(|_| {
        Error::connection("what answers is not IronCache; see the options \"host\" and \"port\"")
    })?;
    let text: Option<Cow<'_, str>> = serde_json::from_str(item.value.get()).ok();
    text.and_then(|text| envelope::read(&Bytes::from(text.into_owned()))).ok_or_else(|| {
        Error::new(
            ErrorCode::Corrupt,
            "what IronCache holds under this key is not a record: the value is not {\"version\": n, \"data\": …} as text",
        )
    })
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::core::Remedy;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    fn requests() -> Requests {
        let options = r#"{"project_id": "p/1", "token": "secret", "cache": "my cache", "expires_in": 60}"#;
        let values = crate::config::parse(options.as_bytes()).unwrap();
        Requests::from_settings(&Settings::check(values, "ironcache", super::super::OPTIONS).unwrap())
            .unwrap()
    }

    #[test]
    fn requests_are_as_the_service_has_them() {
        let record = Record { version: 7, data: Bytes::from_static(br#"{"a":"\u00e9"}"#) };
        let request = requests().set("x/y", &record).unwrap();
        assert_eq!(request.uri().path(), "/1/projects/p%2F1/caches/my%20cache/items/x%2Fy");
        assert_eq!(request.headers()[AUTHORIZATION], "OAuth secret");
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        let body = r#"{"value":"{\"version\":7,\"data\":{\"a\":\"\\u00e9\"}}","expires_in":60}"#;
        assert_eq!(request.body(), body);
        assert!(!format!("{request:?}").contains("secret"), "a token is told");
    }

    #[test]
    fn statuses_say_what_to_do() {
        let large = ITEM_LIMIT + 1;
        let error = |status, sent| success(answer(status, ""), sent).err().unwrap();
        assert!(success(answer(200, ""), 0).unwrap().is_some());
        assert!(success(answer(404, ""), 0).unwrap().is_none());
        for status in [429, 500, 503] {
            assert_eq!(error(status, 0).remedy(), Remedy::TryAgain);
            assert_eq!(error(status, 0).is_of_server(), status != 500);
        }
        assert_eq!(error(401, 0).code(), ErrorCode::Authentication);
        assert_eq!(error(413, 5).code(), ErrorCode::TooLarge);
        assert_eq!(error(400, large).code(), ErrorCode::TooLarge);
        assert_eq!(error(400, 5).code(), ErrorCode::Backend);
    }

    proptest! {
        #[test]
        fn records_come_back(version in any::<i64>(), data in any::<String>()) {
            let data = serde_json::to_vec(&data).unwrap();
            let record = Record { version, data: data.into() };
            let request = requests().set("k", &record).unwrap();
            let sent = std::str::from_utf8(request.body()).unwrap();
            prop_assert_eq!(super::record(&answer(200, sent)).unwrap(), record);
        }

        #[test]
        fn nonsense_neither_panics_nor_is_a_record(body in any::<String>()) {
            prop_assert!(record(&answer(200, &body)).is_err());
        }
    }
}
