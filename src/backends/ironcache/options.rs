//! The options of the IronCache backend, with the names that the service's own clients have.

use crate::config::{wrong, OptionKind, OptionSpec, Settings};
use crate::core::Error;
use crate::net::http::Origin;
use crate::net::tls::{self, Tls};

const HOST: &str = "cache-aws-us-east-1.iron.io";

/// Requests that are under way at once, unless the option says otherwise.
pub(super) const CONNECTIONS: usize = 32;

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "project_id",
        kind: OptionKind::Text,
        default: "–",
        meaning: "The project that the cache belongs to.",
    },
    OptionSpec { name: "token", kind: OptionKind::Text, default: "–", meaning: "The OAuth token." },
    OptionSpec {
        name: "cache",
        kind: OptionKind::Text,
        default: "deepstream",
        meaning: "The cache's name; its first record makes it.",
    },
    OptionSpec {
        name: "expires_in",
        kind: OptionKind::Integer(1, 2_592_000),
        default: "never",
        meaning: "Seconds after its last `set` at which a record is gone, 30 days at most.",
    },
    OptionSpec { name: "host", kind: OptionKind::Host, default: HOST, meaning: "Host name or address." },
    OptionSpec {
        name: "protocol",
        kind: OptionKind::Choice(&["https", "http"]),
        default: "https",
        meaning: "`http` is not protected: the token can be read on its way.",
    },
    OptionSpec {
        name: "port",
        kind: OptionKind::Integer(1, 65535),
        default: "443; 80 for `http`",
        meaning: "TCP port.",
    },
    OptionSpec {
        name: "api_version",
        kind: OptionKind::Choice(&["1"]),
        default: "1",
        meaning: "Version of the REST interface.",
    },
    OptionSpec {
        name: "maxConnections",
        kind: OptionKind::Integer(1, 256),
        default: "32",
        meaning: "How many requests may be under way at once, each on a connection of its own that is kept.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "true",
        meaning: "`true`, or an object: see the TLS options. `protocol` decides whether there is TLS.",
    },
];

/// Where the service is.
pub(super) fn origin(settings: &Settings) -> Result<Origin, Error> {
    let host = settings.text("host").unwrap_or(HOST);
    let (tls, usual) = match settings.text("protocol") {
        Some("http") if settings.object("tls").is_some() || settings.flag("tls") == Some(true) => {
            return Err(wrong(
                "the option \"tls\" asks for TLS, and \"protocol\" for http; leave one of them out",
            ));
        }
        Some("http") => (None, 80),
        _ if settings.flag("tls") == Some(false) => {
            return Err(wrong(
                "the option \"tls\" is false; give \"protocol\": \"http\" where nobody listens in",
            ));
        }
        _ => (Tls::from_settings(settings, host, true)?, 443),
    };
    let port = settings.integer("port").and_then(|port| u16::try_from(port).ok());
    Ok(Origin { host: host.to_owned(), port: port.unwrap_or(usual), tls })
}
