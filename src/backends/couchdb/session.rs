//! The login: the password or a token with each request, or the cookie of a session.
//!
//! <https://docs.couchdb.org/en/stable/api/server/authn.html>

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderValue, AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use hyper::Request;
use serde_json::json;

use crate::config::{wrong, Secret};
use crate::core::{Error, ErrorCode};
use crate::net::http::{Answer, Client};

/// What all requests are.
pub(super) const JSON: &str = "application/json";

const SESSION: &str = "AuthSession";

/// How credentials are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Basic,
    Cookie,
    Token,
}

/// Who we are, and the session that we have.
pub(super) struct Login {
    name: String,
    password: Secret,
    way: Way,
    /// The value of the header, as requests have it.
    header: Mutex<Option<HeaderValue>>,
}

impl Login {
    /// # Errors
    /// The name has a colon, which the header cannot carry.
    pub fn new(name: String, password: Secret, way: Way) -> Result<Login, Error> {
        if name.contains(':') {
            return Err(wrong("the option \"user\" has a colon, which HTTP cannot carry"));
        }
        let header = match (way, password.as_text()) {
            (Way::Basic, Some(password)) => Some(basic(&name, password)?),
            _ => None,
        };
        Ok(Login { name, password, way, header: Mutex::new(header) })
    }

    /// By a JSON Web Token.
    ///
    /// # Errors
    /// It has characters that no header can have.
    pub fn by_token(token: &str) -> Result<Login, Error> {
        let words =
            "the option \"jwt\" is no JSON Web Token; give its three parts with the dots between them";
        let header = secret(format!("Bearer {token}"), words)?;
        Ok(Login {
            name: String::new(),
            password: Secret::text("password", ""),
            way: Way::Token,
            header: Mutex::new(Some(header)),
        })
    }

    fn header(&self) -> MutexGuard<'_, Option<HeaderValue>> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what it takes into a request; returns the header's value.
    pub fn show(&self, headers: &mut HeaderMap) -> Option<HeaderValue> {
        let value = self.header().clone()?;
        let name = if self.way == Way::Cookie { COOKIE } else { AUTHORIZATION };
        headers.insert(name, value.clone());
        Some(value)
    }

    /// Takes a renewed session out of an answer.
    pub fn notice(&self, answer: &Answer) {
        if self.way == Way::Cookie {
            if let Some(cookie) = cookie_of(answer) {
                *self.header() = Some(cookie);
            }
        }
    }

    /// Begins a session, or has the password told anew, unless somebody has come by another header
    /// than `refused` meanwhile.
    ///
    /// # Errors
    /// The server refuses the name or the password.
    pub async fn begin(
        &self,
        client: &Client,
        prefix: &str,
        refused: Option<&HeaderValue>,
    ) -> Result<(), Error> {
        if self.header().as_ref() != refused {
            return Ok(());
        }
        let password = self.password.current().await?;
        if self.way == Way::Basic {
            let header = basic(&self.name, &password)?;
            if refused == Some(&header) {
                return Err(refusal(Some(self)));
            }
            *self.header() = Some(header);
            return Ok(());
        }
        let body = json!({"name": self.name, "password": &*password}).to_string();
        let request =
            Request::post(format!("{prefix}/_session")).header(CONTENT_TYPE, JSON).body(Bytes::from(body));
        let request =
            request.map_err(|_| Error::connection("the request for a session cannot be written"))?;
        let answer = client.send(request).await?;
        match cookie_of(&answer) {
            Some(cookie) if answer.status.is_success() => {
                *self.header() = Some(cookie);
                Ok(())
            }
            _ if answer.is_passing() => Err(Error::connection("CouchDB begins no session at the moment")),
            _ => Err(refusal(Some(self))),
        }
    }

    /// Whether another try with what is current by then may succeed.
    pub fn may_change(&self) -> bool {
        self.way != Way::Token
    }

    pub fn needs_session(&self) -> bool {
        self.header().is_none()
    }
}

fn basic(name: &str, password: &str) -> Result<HeaderValue, Error> {
    let shown = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    secret(shown, "the password is too long for a header of HTTP")
}

/// The value of a header that is shown to nobody else.
fn secret(text: String, words: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(text).map_err(|_| wrong(words))?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn refusal(login: Option<&Login>) -> Error {
    let words = match login {
        None => "CouchDB wants a login; give \"user\" and \"password\", or \"jwt\"",
        Some(login) if login.way == Way::Token => {
            "CouchDB refused the token; see the option \"jwt\" and the server's jwt_keys"
        }
        Some(_) => "CouchDB refused the login; see the options \"user\" and \"password\"",
    };
    Error::new(ErrorCode::Authentication, words)
}

/// The session's cookie, as it is to be sent back.
fn cookie_of(answer: &Answer) -> Option<HeaderValue> {
    let cookies = answer.headers.get_all(SET_COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut sessions = cookies.filter_map(|cookie| cookie.split(';').next());
    let session = sessions.find(|pair| pair.strip_prefix(SESSION).is_some_and(|rest| rest.len() > 1))?;
    let mut value = HeaderValue::try_from(session).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    #[test]
    fn a_password_is_in_no_debug_output() {
        let login = Login::new("name".into(), Secret::text("password", "hunter2"), Way::Basic).unwrap();
        let mut headers = HeaderMap::new();
        login.show(&mut headers);
        assert_eq!(headers[AUTHORIZATION], "Basic bmFtZTpodW50ZXIy");
        assert!(!format!("{headers:?}").contains("bmFt"));
    }

    #[test]
    fn a_cookie_is_taken_and_renewed() {
        let login = Login::new("name".into(), Secret::text("password", "hunter2"), Way::Cookie).unwrap();
        assert!(login.needs_session());
        let answer = |cookie: &str| Answer {
            status: StatusCode::OK,
            headers: [(SET_COOKIE, cookie.parse().unwrap())].into_iter().collect(),
            body: Bytes::new(),
        };
        for (cookie, expected) in [
            ("AuthSession=first; Path=/; HttpOnly", "AuthSession=first"),
            ("Other=x", "AuthSession=first"),
            ("AuthSession=; Path=/", "AuthSession=first"),
            ("AuthSession=second", "AuthSession=second"),
        ] {
            login.notice(&answer(cookie));
            let mut headers = HeaderMap::new();
            login.show(&mut headers);
            assert_eq!(headers[COOKIE], expected);
        }
    }
}
