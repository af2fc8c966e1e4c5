//! The options, and where they lead.

use percent_encoding::percent_decode_str;

use super::session::{Login, Way};
use crate::config::{wrong, OptionKind, OptionSpec, Secret, Settings};
use crate::core::Error;
use crate::net::http::{parse_url, Origin};
use crate::net::tls::{self, Tls};

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "url",
        kind: OptionKind::Text,
        default: "none",
        meaning: "`http://user:password@host:port/database`, `https://…` for TLS; options beside it win over its parts. What is in the path before the database is put before every path, as a proxy may have it.",
    },
    OptionSpec {
        name: "host",
        kind: OptionKind::Host,
        default: "`127.0.0.1`",
        meaning: "Host name or address.",
    },
    OptionSpec {
        name: "port",
        kind: OptionKind::Integer(1, 65535),
        default: "5984; 6984 with TLS",
        meaning: "TCP port.",
    },
    OptionSpec {
        name: "database",
        kind: OptionKind::Text,
        default: "deepstream",
        meaning: "The database with the records; it is made if there is none.",
    },
    OptionSpec { name: "user", kind: OptionKind::Text, default: "none", meaning: "User name." },
    OptionSpec { name: "password", kind: OptionKind::Secret, default: "none", meaning: "Password." },
    OptionSpec {
        name: "auth",
        kind: OptionKind::Choice(&["basic", "cookie"]),
        default: "basic",
        meaning: "Whether the password goes with each request, or once for a session whose cookie is renewed by itself.",
    },
    OptionSpec {
        name: "jwt",
        kind: OptionKind::Text,
        default: "none",
        meaning: "A JSON Web Token that goes with each request, instead of user and password.",
    },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "false",
        meaning: "`true`, or an object: see the TLS options.",
    },
    OptionSpec {
        name: "splitChar",
        kind: OptionKind::Text,
        default: "/",
        meaning: "What ends the collection in a key, which is a field of the document. One or more characters.",
    },
    OptionSpec {
        name: "maxConnections",
        kind: OptionKind::Integer(1, 1000),
        default: "6",
        meaning: "How many connections to the server there may be, and so how many requests at once.",
    },
];

const HOST: &str = "127.0.0.1";
const PORT: u16 = 5984;
const TLS_PORT: u16 = 6984;
const DATABASE: &str = "deepstream";
const CONNECTIONS: usize = 6;

/// What the options say.
pub(super) struct Target {
    pub origin: Origin,
    /// What is before each path, as it is in a URL.
    pub prefix: String,
    pub database: String,
    pub login: Option<Login>,
    pub separator: String,
    pub connections: usize,
}

impl Target {
    pub fn from_settings(settings: &Settings) -> Result<Target, Error> {
        let url = settings.text("url").map(|text| parse_url("url", text)).transpose()?;
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let mut parts = (None, None, None);
        let mut prefix = String::new();
        let mut origin = match &url {
            Some(url) => {
                let name = Some(url.username()).filter(|name| !name.is_empty());
                let path = url.path().trim_matches('/');
                let (before, database) = path.rsplit_once('/').unwrap_or(("", path));
                if !before.is_empty() {
                    prefix = format!("/{before}");
                }
                let database = Some(database).filter(|name| !name.is_empty());
                parts = (name.map(decoded), url.password().map(decoded), database.map(decoded));
                Origin::from_url("url", url, settings)?
            }
            None => {
                let host = settings.text("host").unwrap_or(HOST).to_owned();
                let tls = Tls::from_settings(settings, &host, false)?;
                Origin { host, port: if tls.is_some() { TLS_PORT } else { PORT }, tls }
            }
        };
        if let (Some(host), Some(_)) = (settings.text("host"), &url) {
            host.clone_into(&mut origin.host);
            origin.tls = origin.tls.map(|tls| tls.for_host(host)).transpose()?;
        }
        if let Some(port) = settings.integer("port").and_then(|port| u16::try_from(port).ok()) {
            origin.port = port;
        }
        let given = |name: &str| settings.text(name).map(str::to_owned);
        let token = settings.text("jwt").filter(|token| !token.is_empty());
        let in_url = parts.1.map(|password| Secret::text("password", password));
        let login = match (given("user").or(parts.0), settings.secret("password").or(in_url)) {
            (None, None) => token.map(Login::by_token).transpose()?,
            _ if token.is_some() => {
                return Err(wrong(
                    "the options \"jwt\" and \"user\" exclude each other; leave one of them out",
                ));
            }
            (Some(name), Some(password)) => {
                let way = if settings.text("auth") == Some("cookie") { Way::Cookie } else { Way::Basic };
                Some(Login::new(name, password, way)?)
            }
            (Some(_), None) => {
                return Err(wrong("the option \"user\" needs \"password\" beside it"));
            }
            (None, Some(_)) => {
                return Err(wrong("the option \"password\" needs \"user\" beside it"));
            }
        };
        let database = given("database").or(parts.2).unwrap_or_else(|| DATABASE.to_owned());
        check_database(&database)?;
        let separator = given("splitChar").unwrap_or_else(|| "/".to_owned());
        if separator.is_empty() {
            return Err(wrong("the option \"splitChar\" is empty; give one or more characters"));
        }
        let connections = settings.count("maxConnections").unwrap_or(CONNECTIONS);
        Ok(Target { origin, prefix, database, login, separator, connections })
    }
}

/// <https://docs.couchdb.org/en/stable/api/database/common.html#put--db>
fn check_database(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_$()+-/".contains(&byte);
    if name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= 238
        && name.bytes().all(allowed)
    {
        return Ok(());
    }
    Err(wrong(
        "the option \"database\" is no name of a database; it begins with a lower-case letter and has at most 238 lower-case letters, digits and _$()+-/",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn target(json: &str) -> Result<Target, Error> {
        Target::from_settings(&Settings::check(parse(json.as_bytes()).unwrap(), "couchdb", OPTIONS)?)
    }

    #[test]
    fn a_url_and_options_say_the_same() {
        for (json, expected) in [
            ("{}", "127.0.0.1:5984 deepstream false"),
            (r#"{"host": "::1", "port": 1}"#, "[::1]:1 deepstream false"),
            (r#"{"url": "http://couch.example/records"}"#, "couch.example records false"),
            (r#"{"url": "http://u:p%40@c:80/a%2Fb/"}"#, "c a/b true"),
            (r#"{"url": "http://u:p@c:7/x", "host": "d", "port": 8, "database": "y"}"#, "d:8 y true"),
        ] {
            let target = target(json).map_err(|error| error.to_string()).unwrap();
            let found =
                format!("{} {} {}", target.origin.authority(), target.database, target.login.is_some());
            assert_eq!(found, expected, "{json}");
        }
    }

    #[test]
    fn what_is_before_the_database_in_a_url_is_before_every_path() {
        for (url, prefix, database) in [
            ("http://c/x", "", "x"),
            ("http://c/couch/x", "/couch", "x"),
            ("http://c/a/b%20c/x%2Fy/", "/a/b%20c", "x/y"),
            ("http://c", "", "deepstream"),
        ] {
            let target =
                target(&format!(r#"{{"url": "{url}"}}"#)).map_err(|error| error.to_string()).unwrap();
            assert_eq!((&*target.prefix, &*target.database), (prefix, database), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (json, words) in [
            (r#"{"database": "Users"}"#, "\"database\""),
            (r#"{"database": "_users"}"#, "\"database\""),
            (r#"{"username": "a"}"#, "\"password\" beside it"),
            (r#"{"password": "hunter2"}"#, "\"user\" beside it"),
            (r#"{"splitChar": ""}"#, "\"splitChar\""),
            (r#"{"jwt": "hunter2", "user": "a", "password": "b"}"#, "\"jwt\" and \"user\""),
            (r#"{"jwt": "hunter2\u0000"}"#, "\"jwt\""),
            (r#"{"url": "couch"}"#, "\"url\""),
        ] {
            let error = target(json).err().expect(json);
            assert!(error.message().contains(words) && !error.message().contains("hunter2"), "{error}");
        }
    }
}
