//! The options of the MySQL backend, with the names that the npm packages `mysql` and `mysql2`
//! have.

use percent_encoding::percent_decode_str;
use url::Url;

use super::wire::Login;
use crate::config::{wrong, OptionKind, OptionSpec, Secret, Settings};
use crate::core::Error;
use crate::net::stream;
use crate::net::tls::{self, Tls};
use crate::records::tables;

const DEFAULT_PORT: u16 = 3306;
const DEFAULT_CONNECTIONS: usize = 4;

const URL: &str = "`mysql://user:password@host:port/database`; options beside it win over its parts.";

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "host",
        kind: OptionKind::Host,
        default: "127.0.0.1",
        meaning: "Host name or address.",
    },
    OptionSpec { name: "port", kind: OptionKind::Integer(1, 65535), default: "3306", meaning: "TCP port." },
    OptionSpec {
        name: "socketPath",
        kind: OptionKind::Text,
        default: "none",
        meaning: "Unix socket, instead of host and port.",
    },
    OptionSpec { name: "user", kind: OptionKind::Text, default: "root", meaning: "Whom to log in as." },
    OptionSpec { name: "password", kind: OptionKind::Secret, default: "none", meaning: "The user's password." },
    OptionSpec {
        name: "database",
        kind: OptionKind::Text,
        default: "–",
        meaning: "The database that has the tables; it must exist.",
    },
    OptionSpec { name: "url", kind: OptionKind::Text, default: "none", meaning: URL },
    OptionSpec {
        name: "tls",
        kind: OptionKind::FlagOrObject(tls::OPTIONS),
        default: "false",
        meaning: "TLS: `true`, or an object, see the TLS options.",
    },
    OptionSpec {
        name: "maxConnections",
        kind: OptionKind::Integer(1, 100),
        default: "4",
        meaning: "How many connections there are at most: half of them for reads and half for writes; each is made when it is needed.",
    },
    tables::SPLIT_CHAR,
    tables::TABLE_OF_THE_REST,
    not_needed("charset", OptionKind::Text),
    not_needed("timezone", OptionKind::Text),
    not_needed("waitForConnections", OptionKind::Flag),
    not_needed("queueLimit", OptionKind::Integer(0, i64::MAX)),
    not_needed("maxIdle", OptionKind::Integer(0, i64::MAX)),
    not_needed("idleTimeout", OptionKind::Integer(0, i64::MAX)),
    not_needed("enableKeepAlive", OptionKind::Flag),
    not_needed("keepAliveInitialDelay", OptionKind::Integer(0, i64::MAX)),
    not_needed("multipleStatements", OptionKind::Flag),
    not_needed("supportBigNumbers", OptionKind::Flag),
    not_needed("bigNumberStrings", OptionKind::Flag),
    not_needed("dateStrings", OptionKind::Flag),
];

const NOT_NEEDED: &str = "Accepted and not needed.";

/// An option of those packages that means nothing here.
const fn not_needed(name: &'static str, kind: OptionKind) -> OptionSpec {
    OptionSpec { name, kind, default: "–", meaning: NOT_NEEDED }
}

/// Those of the options that are given and not needed, for the log.
pub(super) fn given_in_vain(settings: &Settings) -> Vec<&'static str> {
    OPTIONS
        .iter()
        .filter(|spec| spec.meaning == NOT_NEEDED && settings.has(spec.name))
        .map(|spec| spec.name)
        .collect()
}

/// Where the server is.
#[derive(Clone)]
pub(super) enum Address {
    Tcp { host: String, port: u16 },
    Unix { path: String },
}

impl Address {
    /// Host and port, or the socket's path.
    pub fn in_words(&self) -> String {
        match self {
            Address::Tcp { host, port } => stream::in_words(host, *port),
            Address::Unix { path } => path.clone(),
        }
    }
}

/// What a URL says.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
}

/// Where the server is, and who we are there.
pub(super) fn server(settings: &Settings) -> Result<(Address, Login), Error> {
    let parts = settings.text("url").map(read_url).transpose()?.unwrap_or_default();
    let own = |name: &str| settings.text(name).map(str::to_owned);
    let host = own("host").or(parts.host).unwrap_or_else(|| "127.0.0.1".into());
    let tls = Tls::from_settings(settings, &host, false)?;
    let address = match own("socketPath") {
        Some(_) if tls.is_some() => {
            return Err(wrong("a Unix socket (\"socketPath\") has no TLS; leave the option \"tls\" out"));
        }
        Some(path) => Address::Unix { path },
        None => {
            let port = settings.integer("port").and_then(|port| u16::try_from(port).ok());
            Address::Tcp { host, port: port.or(parts.port).unwrap_or(DEFAULT_PORT) }
        }
    };
    let secret = settings.secret("password");
    let secret = secret.unwrap_or_else(|| Secret::text("password", parts.password.unwrap_or_default()));
    let login = Login {
        user: own("user").or(parts.user).unwrap_or_else(|| "root".into()),
        password: secret.as_text().unwrap_or_default().to_owned(),
        secret,
        database: own("database").or(parts.database).filter(|name| !name.is_empty()).ok_or_else(|| {
            wrong("the option \"database\" is missing; give the database that is to have the tables")
        })?,
        tls,
    };
    for (name, value) in [("user", &login.user), ("password", &login.password), ("database", &login.database)]
    {
        if value.contains('\0') {
            return Err(wrong(format!("the option \"{name}\" has a NUL character; leave that out")));
        }
    }
    Ok((address, login))
}

/// How many connections there are.
pub(super) fn connections(settings: &Settings) -> usize {
    settings.count("maxConnections").unwrap_or(DEFAULT_CONNECTIONS)
}

fn read_url(text: &str) -> Result<Parts, Error> {
    let unusable = || {
        wrong(
            "the option \"url\" is no address such as mysql://user:password@host:3306/database; characters that mean something in it are written as %40 for @",
        )
    };
    let url = Url::parse(text).map_err(|_| unusable())?;
    if !matches!(url.scheme(), "mysql" | "mariadb") || url.query().is_some() {
        return Err(unusable());
    }
    let decoded = |text: &str| {
        percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| unusable())
    };
    let some = |text: &str| (!text.is_empty()).then(|| decoded(text)).transpose();
    Ok(Parts {
        host: some(url.host_str().unwrap_or_default().trim_matches(['[', ']']))?,
        port: url.port(),
        user: some(url.username())?,
        password: url.password().map(decoded).transpose()?,
        database: some(url.path().trim_start_matches('/'))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn read(text: &str) -> Result<(String, Login), Error> {
        let settings = Settings::check(parse(text.as_bytes())?, "mysql", OPTIONS)?;
        server(&settings).map(|(address, login)| (address.in_words(), login))
    }

    fn refusal(text: &str) -> String {
        read(text).err().unwrap().message().to_owned()
    }

    #[test]
    fn a_url_has_all_parts_and_options_beside_it_win() {
        let (address, login) = read(r#"{"url": "mysql://me%40home:p%2Fw@db.example:3307/app"}"#).unwrap();
        assert_eq!(address, "db.example:3307");
        assert_eq!((&*login.user, &*login.password, &*login.database), ("me@home", "p/w", "app"));
        let (address, login) =
            read(r#"{"uri": "mysql://me:pw@[::1]/app", "port": "9", "database": "other"}"#).unwrap();
        assert_eq!((&*address, &*login.database), ("[::1]:9", "other"));
        let (address, _) = read(r#"{"socketPath": "/run/mysqld.sock", "database": "a"}"#).unwrap();
        assert_eq!(address, "/run/mysqld.sock");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(refusal("{}").contains("\"database\" is missing"));
        assert!(refusal(r#"{"url": "postgres://localhost/app"}"#).contains("\"url\" is no address"));
        assert!(refusal(r#"{"url": "mysql://a/b", "uri": "mysql://a/c"}"#).contains("mean the same"));
        assert!(refusal(r#"{"database": "a", "ssl": true, "tls": false}"#).contains("mean the same"));
        assert!(refusal(r#"{"database": "a", "ssl": true, "socketPath": "/s"}"#).contains("no TLS"));
        assert!(refusal(r#"{"database": "a", "user": "x\u0000"}"#).contains("NUL"));
        assert!(!refusal(r#"{"url": "hunter2"}"#).contains("hunter2"));
    }
}
