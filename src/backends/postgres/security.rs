//! TLS by the modes of libpq, and by the option `tls`, which is `ssl` in node-postgres.

use super::require_auth::Allowed;
use super::tls::Connector;
use crate::config::{nearest, wrong, Settings};
use crate::core::{Error, Notice};
use crate::net::tls::{Demands, Tls, Verify};

/// The words of `sslmode`: those of libpq, and one of node-postgres.
pub(super) const SSL_MODES: &[&str] =
    &["disable", "allow", "prefer", "require", "verify-ca", "verify-full", NO_VERIFY];

/// TLS with whomever it may be.
const NO_VERIFY: &str = "no-verify";

/// Whether there is TLS, and on which terms.
pub(super) struct Security {
    mode: String,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    name: Option<String>,
    is_trusting: bool,
    only_tls13: bool,
    /// Which logins a server may ask for.
    pub allowed: Option<Allowed>,
    is_direct: bool,
}

impl Security {
    /// From the options; `said` is what an option, the connection string or the environment says.
    pub fn read(settings: &Settings, said: impl Fn(&str, &str) -> Option<String>) -> Result<Security, Error> {
        let terms = settings.object("tls");
        let is_on = terms.is_some() || settings.flag("tls") == Some(true);
        let text = |name: &str, word: &str| -> Option<String> {
            let given = terms.as_ref().and_then(|terms| terms.text(name)).map(str::to_owned);
            given.or_else(|| said(word, word))
        };
        let ca = text("ca", "sslrootcert");
        // Libpq's word for the authorities of the system, with which it checks everything.
        let is_of_system = ca.as_deref() == Some("system");
        let mode = match settings.text("sslmode") {
            Some(mode) => mode.to_owned(),
            None if is_on => "verify-full".to_owned(),
            None if settings.has("tls") => "disable".to_owned(),
            None => said("sslmode", "sslmode")
                .unwrap_or_else(|| if is_of_system { "verify-full" } else { "disable" }.to_owned()),
        };
        if !SSL_MODES.contains(&mode.as_str()) {
            let hint =
                nearest(&mode, SSL_MODES.iter().copied()).map(|word| format!("; did you mean \"{word}\"?"));
            return Err(wrong(format!(
                "\"sslmode\" is none of {}{}",
                SSL_MODES.join(", "),
                hint.unwrap_or_default()
            )));
        }
        if is_of_system && mode != "verify-full" {
            return Err(wrong("\"sslrootcert=system\" needs \"sslmode=verify-full\", as libpq has it"));
        }
        Ok(Security {
            mode,
            ca: ca.filter(|_| !is_of_system),
            cert: text("cert", "sslcert"),
            key: text("key", "sslkey"),
            name: terms
                .as_ref()
                .and_then(|terms| terms.text("serverName").or_else(|| terms.text("servername")))
                .map(str::to_owned),
            is_trusting: terms.as_ref().and_then(|terms| terms.flag("rejectUnauthorized")) == Some(false),
            only_tls13: terms.as_ref().and_then(|terms| terms.text("minVersion")) == Some("TLSv1.3"),
            allowed: said("require_auth", "require_auth").as_deref().map(Allowed::read).transpose()?,
            is_direct: match said("sslnegotiation", "sslnegotiation").as_deref() {
                None | Some("postgres") => false,
                Some("direct") => true,
                Some(_) => return Err(wrong("\"sslnegotiation\" is neither postgres nor direct")),
            },
        })
    }

    /// What a person should know about it.
    pub fn remarks(&self) -> impl Iterator<Item = Notice> {
        let warning = (self.mode == NO_VERIFY).then(|| {
            Notice::Warning("\"sslmode\" is no-verify: whoever can intercept the connection to PostgreSQL can read and change all of it".to_owned())
        });
        let remark = self.is_direct.then(|| {
            Notice::Remark("\"sslnegotiation=direct\" has no effect: TLS is asked for before it begins, which every server takes".to_owned())
        });
        warning.into_iter().chain(remark)
    }

    /// The ways to a host, in libpq's order.
    pub fn ways(&self, host: &str) -> Result<Vec<Option<Connector>>, Error> {
        let protected = |verify: Verify| -> Result<Option<Connector>, Error> {
            let demands = Demands {
                ca: self.ca.as_deref(),
                cert: self.cert.as_deref(),
                key: self.key.as_deref(),
                name: self.name.as_deref(),
                verify: if self.is_trusting { Verify::Nothing } else { verify },
                only_tls13: self.only_tls13,
            };
            Tls::new(&demands, host).map(|tls| Some(Connector { tls, allowed: self.allowed.clone() }))
        };
        Ok(match self.mode.as_str() {
            "disable" => vec![None],
            "allow" => vec![None, protected(Verify::Nothing)?],
            "prefer" => vec![protected(Verify::Nothing)?, None],
            NO_VERIFY => vec![protected(Verify::Nothing)?],
            "require" if self.ca.is_none() => vec![protected(Verify::Nothing)?],
            "require" | "verify-ca" => vec![protected(Verify::Authority)?],
            _ => vec![protected(Verify::Full)?],
        })
    }
}
