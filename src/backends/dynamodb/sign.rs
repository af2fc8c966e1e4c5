//! Signature Version 4, by which AWS knows who asks, and the dates in it.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
//!
//! Written here because it is a page of code over the SHA-256 that TLS brings anyway, while the
//! crate for it brings some fifty others.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use ring::hmac;

use super::credentials::Credentials;
use crate::records::hash::{hexadecimal, sha256};

/// What is signed besides a request's body: every header that is sent with it, in the order of
/// their lower-case names.
pub(super) struct Signer {
    region: String,
    service: &'static str,
    /// The key of the day, and what it was made of.
    latest: Mutex<Option<DayKey>>,
}

struct DayKey {
    day: String,
    secret: String,
    key: hmac::Key,
}

impl Signer {
    pub fn new(region: String, service: &'static str) -> Signer {
        Signer { region, service, latest: Mutex::new(None) }
    }

    /// The header `authorization` of a `POST /` with these headers and this body. `time` is the
    /// header `x-amz-date`, as `Moment::compact` gives it.
    pub fn authorization(
        &self,
        credentials: &Credentials,
        time: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> String {
        let mut canonical = String::from("POST\n/\n\n");
        let mut names = String::new();
        for (name, value) in headers {
            let _ = writeln!(canonical, "{name}:{}", value.trim());
            if !names.is_empty() {
                names.push(';');
            }
            names.push_str(name);
        }
        let _ = write!(canonical, "\n{names}\n{}", sha256(body));

        let day = &time[..8];
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let request = sha256(canonical.as_bytes());
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{request}");
        let signature = hmac::sign(&self.key_of(day, &credentials.secret_key), to_sign.as_bytes());
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            credentials.access_key,
            hexadecimal(signature.as_ref())
        )
    }

    fn key_of(&self, day: &str, secret: &str) -> hmac::Key {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = latest.as_ref().filter(|known| known.day == day && known.secret == secret) {
            return known.key.clone();
        }
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        for part in [day, &self.region, self.service, "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        *latest = Some(DayKey { day: day.to_owned(), secret: secret.to_owned(), key: key.clone() });
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::fixed("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
    }

    /// `post-vanilla` of AWS's own test suite for Signature Version 4.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let signer = Signer::new("us-east-1".into(), "service");
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                        SignedHeaders=host;x-amz-date, \
                        Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        for _ in 0..2 {
            assert_eq!(signer.authorization(&credentials(), "20150830T123600Z", &headers, b""), expected);
        }
    }

    #[test]
    fn each_day_and_each_secret_has_its_own_key() {
        let signer = Signer::new("us-east-1".into(), "service");
        let sign = |credentials: &Credentials, time: &str| signer.authorization(credentials, time, &[], b"");
        let other = Credentials::fixed("AKIDEXAMPLE", "another", None);
        let first = sign(&credentials(), "20150830T123600Z");
        assert_ne!(first, sign(&credentials(), "20150831T123600Z"));
        assert_ne!(first, sign(&other, "20150830T123600Z"));
        assert_eq!(first, sign(&credentials(), "20150830T123600Z"));
    }
}
