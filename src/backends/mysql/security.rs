//! TLS, in the words of many clients: the option `tls`, and what stands in a URL.

use serde_json::{Map, Value};

use super::wire::Protection;
use crate::config::{wrong, Settings};
use crate::core::Error;
use crate::net::tls::{Demands, Tls, Verify};

/// What npm's clients call the authorities of Amazon's databases, which they bring along.
pub(super) const AMAZON: &str = "Amazon RDS";

/// `ssl-mode` of MySQL's own programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disabled,
    /// TLS where the server offers it, with whatever certificate.
    Preferred,
    /// TLS with whatever certificate.
    Required,
    /// A certificate that an authority has signed.
    VerifyCa,
    /// And with the name of the host in it.
    VerifyIdentity,
}

/// What `ssl-mode` and its relatives may say.
const MODES: &[(&str, Mode)] = &[
    ("disabled", Mode::Disabled),
    ("disable", Mode::Disabled),
    ("false", Mode::Disabled),
    ("0", Mode::Disabled),
    ("off", Mode::Disabled),
    ("no", Mode::Disabled),
    ("preferred", Mode::Preferred),
    ("prefer", Mode::Preferred),
    ("required", Mode::Required),
    ("require", Mode::Required),
    ("trust", Mode::Required),
    ("skip-verify", Mode::Required),
    ("no-verify", Mode::Required),
    ("accept_invalid_certs", Mode::Required),
    ("verify_ca", Mode::VerifyCa),
    ("verify-ca", Mode::VerifyCa),
    ("verify_identity", Mode::VerifyIdentity),
    ("verify-identity", Mode::VerifyIdentity),
    ("verify-full", Mode::VerifyIdentity),
    ("strict", Mode::VerifyIdentity),
    ("true", Mode::VerifyIdentity),
    ("1", Mode::VerifyIdentity),
    ("on", Mode::VerifyIdentity),
    ("yes", Mode::VerifyIdentity),
];

/// What a URL says about TLS.
#[derive(Default)]
pub(super) struct Words {
    mode: Option<Mode>,
    /// `ssl` with an object, as npm's clients have it.
    object: Option<Map<String, Value>>,
    is_amazon: bool,
    /// Certificates are not checked, where there is TLS.
    is_unchecked: bool,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl Words {
    /// The object, as the option `tls` has it.
    pub fn object(&mut self) -> Option<Value> {
        self.object.take().map(Value::Object)
    }

    /// Takes a word and its value, if it is about TLS.
    pub fn take(&mut self, word: &str, value: &str) -> Result<bool, Error> {
        let plain: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
        match plain.to_ascii_lowercase().as_str() {
            "ssl" | "tls" if value.trim_start().starts_with('{') => {
                let object = serde_json::from_str(value).map_err(|_| {
                    wrong("\"ssl\" in the option \"url\" is no object of JSON; give true, or the option \"tls\" beside it")
                })?;
                self.object = Some(object);
            }
            "ssl" | "tls" if value.eq_ignore_ascii_case(AMAZON) => self.is_amazon = true,
            "ssl" | "tls" | "sslmode" | "sslaccept" | "usessl" | "requiressl" => {
                let mode =
                    MODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(value)).map(|(_, mode)| *mode);
                let mode = mode.ok_or_else(|| {
                    wrong("what the option \"url\" says about TLS is none of DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY, strict, true and false; give the option \"tls\" beside it")
                })?;
                // Of several words the most particular one counts.
                let is_plain = |mode| matches!(mode, Mode::VerifyIdentity | Mode::Disabled);
                if self.mode.is_none_or(is_plain) {
                    self.mode = Some(mode);
                }
            }
            "verifyservercertificate" => self.is_unchecked = value.eq_ignore_ascii_case("false"),
            "sslca" | "sslrootcert" => self.ca = Some(value.to_owned()),
            "sslcert" => self.cert = Some(value.to_owned()),
            "sslkey" => self.key = Some(value.to_owned()),
            "sslidentity" | "sslpassword" => {
                return Err(wrong(
                    "a client certificate in PKCS #12 form (\"sslidentity\" in the option \"url\") is not read; give it in PEM form as \"tls.cert\" and \"tls.key\"",
                ));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// How connections are protected, once for all addresses.
pub(super) enum Security {
    /// The option `tls`, or an object in the URL.
    Option(Settings),
    /// The same, and Amazon's authorities are meant.
    Amazon(Settings),
    Mode(Mode, Words),
}

impl Security {
    /// The option wins over what the URL says.
    pub fn read(settings: &Settings, mut words: Words) -> Security {
        let amazon = || Security::Amazon(settings.having("tls", true));
        if settings.has("tls") {
            return match settings.text("tls") {
                Some(_) => amazon(),
                None => Security::Option(settings.clone()),
            };
        }
        if words.is_amazon {
            return amazon();
        }
        if words.cert.is_some() && words.key.is_none() {
            // Prisma's word for the authority.
            words.ca = words.ca.or(words.cert.take());
        }
        let has_files = words.ca.is_some() || words.cert.is_some();
        let mode = match words.mode {
            Some(Mode::VerifyIdentity) if words.is_unchecked => Mode::Required,
            Some(mode) => mode,
            None if has_files => Mode::VerifyIdentity,
            None => Mode::Disabled,
        };
        Security::Mode(mode, words)
    }

    /// For connections to one host.
    pub fn protection(&self, host: &str) -> Result<Option<Protection>, Error> {
        let (mode, words) = match self {
            Security::Option(settings) | Security::Amazon(settings) => {
                let tls = Tls::from_settings(settings, host, false)?;
                return Ok(tls.map(|tls| Protection { tls, is_optional: false }));
            }
            Security::Mode(Mode::Disabled, _) => return Ok(None),
            Security::Mode(mode, words) => (*mode, words),
        };
        let verify = match mode {
            Mode::VerifyIdentity => Verify::Full,
            Mode::VerifyCa => Verify::Authority,
            // Who names an authority means it.
            _ if words.ca.is_some() => Verify::Authority,
            _ => Verify::Nothing,
        };
        let demands = Demands {
            ca: words.ca.as_deref(),
            cert: words.cert.as_deref(),
            key: words.key.as_deref(),
            name: None,
            verify,
            only_tls13: false,
        };
        let tls = Tls::new(&demands, host)?;
        Ok(Some(Protection { tls, is_optional: mode == Mode::Preferred }))
    }

    /// What is to be said of it.
    pub fn warning(&self) -> Option<&'static str> {
        match self {
            Security::Mode(Mode::Preferred | Mode::Required, words) if words.ca.is_none() => Some(
                "the server's certificate is not checked, so that whoever can intercept the connection can read and change it; give VERIFY_IDENTITY in \"url\", or the option \"tls\"",
            ),
            Security::Amazon(_) => Some(
                "the authorities of \"Amazon RDS\" are not built in: where the server's certificate is not trusted, download Amazon's global-bundle.pem and give its path as \"tls.ca\"",
            ),
            _ => None,
        }
    }
}
