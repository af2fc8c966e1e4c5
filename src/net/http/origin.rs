//! Which server requests go to, by a URL or by its parts.

use url::{Host, Url};

use crate::config::{wrong, Settings};
use crate::core::Error;
use crate::net::stream;
use crate::net::tls::Tls;

/// Where requests go.
#[derive(Clone)]
pub(crate) struct Origin {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How to protect it, if at all.
    pub tls: Option<Tls>,
}

impl Origin {
    /// The server of a URL that the option `option` holds; its `tls` is in the settings.
    ///
    /// # Errors
    /// It is no URL of `http` or `https`.
    pub fn from_url(option: &str, url: &Url, settings: &Settings) -> Result<Origin, Error> {
        let demanded = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => {
                return Err(wrong(format!(
                    "the option \"{option}\" must begin with \"http://\" or \"https://\""
                )))
            }
        };
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(wrong(format!("the option \"{option}\" names no host"))),
        };
        let tls = Tls::from_settings(settings, &host, demanded)?;
        let usual = if tls.is_some() { 443 } else { 80 };
        Ok(Origin { host, port: url.port().unwrap_or(usual), tls })
    }

    /// As the header `host` has it: without the port that the protocol has by itself.
    pub fn authority(&self) -> String {
        let usual = if self.tls.is_some() { 443 } else { 80 };
        match (self.port == usual, self.host.contains(':')) {
            (false, _) => stream::in_words(&self.host, self.port),
            (true, true) => format!("[{}]", self.host),
            (true, false) => self.host.clone(),
        }
    }
}

/// Reads an option that holds a URL.
///
/// # Errors
/// It is none. The text is not repeated, since it may hold a password.
pub(crate) fn parse_url(option: &str, text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|error| {
        wrong(format!("the option \"{option}\" is no URL ({error}); give one such as \"https://host:port\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Result<Origin, Error> {
        Origin::from_url("url", &parse_url("url", text)?, &Settings::default())
    }

    #[test]
    fn a_url_says_host_port_and_protection() {
        for (text, host, port, authority) in [
            ("http://a.example", "a.example", 80, "a.example"),
            ("http://a.example:443/x", "a.example", 443, "a.example:443"),
            ("http://[::1]", "::1", 80, "[::1]"),
            ("http://[::1]:5984/", "::1", 5984, "[::1]:5984"),
            ("http://127.0.0.1:8000", "127.0.0.1", 8000, "127.0.0.1:8000"),
        ] {
            let origin = origin(text).unwrap();
            assert_eq!((&*origin.host, origin.port, &*origin.authority()), (host, port, authority));
            assert!(origin.tls.is_none());
        }
    }

    #[test]
    fn what_is_no_url_is_named_and_not_repeated() {
        for text in ["", "hunter2", "ftp://u:hunter2@x/", "http://u:hunter2@"] {
            let error = origin(text).err().expect("it is no URL");
            assert!(error.message().contains("\"url\""), "{error}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }
}
