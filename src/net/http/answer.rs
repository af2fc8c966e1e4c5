//! What a server answered, and what its status says about another try.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::StatusCode;

use crate::core::{Error, ErrorCode};

/// No server is left alone for longer than this between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Status, headers and the whole body.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Whether the same request may succeed a moment later: the server is asked too much, or
    /// something behind it is away.
    pub fn is_passing(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
    }

    /// The error of an answer that is passing: of the whole server where that says that it is asked
    /// too much, and with the pause that it asks for.
    pub fn passing_error(&self, code: ErrorCode, message: String) -> Error {
        let error = Error::transient(code, message);
        let error = match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => error.of_server(),
            _ => error,
        };
        match self.retry_after() {
            Some(pause) => error.after(pause),
            None => error,
        }
    }

    /// How long the server wants to be left alone, where it says so: seconds or a date, as RFC
    /// 9110, section 10.2.3, has it.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let pause = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let date = httpdate::parse_http_date(text).ok()?;
                date.duration_since(SystemTime::now()).unwrap_or_default()
            }
        };
        Some(pause.min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: &str) -> Answer {
        let headers = [(RETRY_AFTER, retry_after.parse().unwrap())].into_iter().collect();
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::new() }
    }

    #[test]
    fn too_many_requests_and_a_server_in_trouble_pass() {
        for status in [429, 500, 502, 503, 504] {
            assert!(answer(status, "1").is_passing());
        }
        for status in [200, 201, 400, 401, 403, 404, 409, 413, 501] {
            assert!(!answer(status, "1").is_passing());
        }
    }

    #[test]
    fn a_server_that_is_asked_too_much_is_so_for_every_request() {
        let error =
            |status, retry_after| answer(status, retry_after).passing_error(ErrorCode::Backend, "".into());
        for status in [429, 503] {
            assert!(error(status, "1").is_of_server());
        }
        // One request may be the reason.
        assert!(!error(500, "1").is_of_server());
        assert_eq!(error(429, "3").pause(), Some(Duration::from_secs(3)));
        assert_eq!(error(429, "").pause(), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(answer(429, "3").retry_after(), Some(Duration::from_secs(3)));
        assert_eq!(answer(429, "100000").retry_after(), Some(LONGEST_PAUSE));
        assert_eq!(answer(429, "Fri, 31 Dec 1999 23:59:59 GMT").retry_after(), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        let pause = answer(503, &soon).retry_after().unwrap();
        assert!(pause > Duration::from_secs(20) && pause <= Duration::from_secs(30), "{pause:?}");
        for nonsense in ["soon", "-1", ""] {
            assert_eq!(answer(429, nonsense).retry_after(), None);
        }
    }
}
