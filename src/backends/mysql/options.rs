//! The options of the MySQL backend, with the names that the npm packages `mysql` and `mysql2`
//! have.

use super::address::{self, Parts};
use super::security::{Security, AMAZON};
use super::wire::{Login, Protection};
use crate::config::{wrong, OptionKind, OptionSpec, Secret, Server, Settings};
use crate::core::{Error, Notice};
use crate::net::renewal;
use crate::net::stream;
use crate::net::tls;
use crate::records::tables;

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 3306;
const DEFAULT_CONNECTIONS: usize = 4;

const URL: &str = "`mysql://user:password@host:port,host:port/database?ssl-mode=VERIFY_IDENTITY`; options beside it win over its parts.";

pub(in crate::backends) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "host",
        kind: OptionKind::Hosts,
        default: DEFAULT_HOST,
        meaning: "Host name or address; of several with commas between, each with or without a port, the first whose server takes writes.",
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
        kind: OptionKind::FlagObjectOrWord(tls::OPTIONS, &[AMAZON]),
        default: "false",
        meaning: "TLS: `true`, or an object, see the TLS options. `Amazon RDS` is `true`: give Amazon's authorities as `tls.ca`.",
    },
    OptionSpec {
        name: "maxConnections",
        kind: OptionKind::Integer(1, 100),
        default: "4",
        meaning: "How many connections there are at most: half of them for reads and half for writes; each is made when it is needed.",
    },
    tables::SPLIT_CHAR,
    tables::TABLE_OF_THE_REST,
    renewal::PING_INTERVAL,
    unused("charset", "Taken and not needed: text is UTF-8, with all its characters."),
    unused("charsetNumber", "Taken and not needed: text is UTF-8, with all its characters."),
    unused("timezone", "Taken and not needed: no times are read."),
    unused("waitForConnections", "Taken and not needed: operations wait up to their `timeout`."),
    unused("acquireTimeout", "Taken and not needed: operations wait up to their `timeout`."),
    unused("queueLimit", "Taken and not needed: see `maxInFlight`."),
    unused("maxIdle", "Taken and not needed: idle connections stay."),
    unused("idleTimeout", "Taken and not needed: idle connections stay."),
    unused("minimumIdle", "Taken and not needed: each connection is made when it is needed."),
    unused("resetAfterUse", "Taken and not needed: nobody else has the connections."),
    unused("enableKeepAlive", "Taken and not needed: connections are kept alive."),
    unused("keepAliveInitialDelay", "Taken and not needed: connections are kept alive."),
    unused("socketTimeout", "Taken and not needed: see `timeout`."),
    unused("localAddress", "Taken without effect: the system chooses."),
    unused("compress", "Taken without effect: nothing is compressed."),
    unused("flags", "Taken without effect: what the protocol can do is settled."),
    unused("insecureAuth", "Taken without effect: logins that are not safe are not made."),
    unused("allowPublicKeyRetrieval", "Taken and not needed: the key is asked for."),
    unused("authPlugins", "Taken without effect: the methods of login are those below."),
    unused("connectAttributes", "Taken without effect: the connections say what they are."),
    unused("maxPreparedStatements", "Taken and not needed: few statements are prepared."),
    unused("multipleStatements", "Taken and not needed: no SQL of yours is sent."),
    unused("namedPlaceholders", "Taken and not needed: no SQL of yours is sent."),
    unused("localInfile", "Taken and not needed: no files are sent."),
    unused("permitLocalInfile", "Taken and not needed: no files are sent."),
    unused("queryFormat", "Taken and not needed: no SQL of yours is sent."),
    unused("stringifyObjects", "Taken and not needed: no SQL of yours is sent."),
    unused("supportBigNumbers", "Taken and not needed: numbers come back as they were."),
    unused("bigNumberStrings", "Taken and not needed: numbers come back as they were."),
    unused("decimalNumbers", "Taken and not needed: numbers come back as they were."),
    unused("dateStrings", "Taken and not needed: no times are read."),
    unused("typeCast", "Taken and not needed: records are JSON."),
    unused("jsonStrings", "Taken and not needed: records are JSON."),
    unused("rowsAsArray", "Taken and not needed: records are JSON."),
    unused("nestTables", "Taken and not needed: records are JSON."),
    unused("disableEval", "Taken and not needed: there is no such code."),
    unused("gracefulEnd", "Taken and not needed: connections end in an orderly way."),
    unused("debug", "Taken without effect: see `logLevel`."),
    unused("trace", "Taken without effect: see `logLevel`."),
];

/// An option of npm's clients that is taken and does nothing.
const fn unused(name: &'static str, meaning: &'static str) -> OptionSpec {
    OptionSpec { name, kind: OptionKind::Unused, default: "none", meaning }
}

/// Where a server is.
pub(super) enum Address {
    Tcp { host: String, port: u16, protection: Option<Protection> },
    Unix { path: String },
}

impl Address {
    /// Host and port, or the socket's path.
    pub fn in_words(&self) -> String {
        match self {
            Address::Tcp { host, port, .. } => stream::in_words(host, *port),
            Address::Unix { path } => path.clone(),
        }
    }
}

/// The options, checked.
pub(super) struct Options {
    /// At least one.
    pub addresses: Vec<Address>,
    pub login: Login,
    /// How many connections there are at most.
    pub connections: usize,
    /// What is to be said of the options.
    pub remarks: Vec<Notice>,
}

impl Options {
    pub fn read(settings: &Settings) -> Result<Options, Error> {
        let mut parts = match settings.text("url") {
            Some(url) => Parts::read(url, OPTIONS)?,
            None => Parts::default(),
        };
        if let Some(object) = parts.tls.object() {
            parts.options.insert("tls".into(), object);
        }
        // Those of the options themselves are told by whoever read them.
        let of_url = Settings::check(parts.options, "mysql", OPTIONS)?;
        let told = of_url.without_effect().iter().map(String::as_str).chain(parts.without_effect);
        let mut remarks: Vec<Notice> = told
            .map(|word| Notice::Remark(format!("\"{word}\" in the option \"url\" has no effect here")))
            .collect();
        let settings = settings.over(&of_url);
        let security = Security::read(&settings, parts.tls);
        remarks.extend(security.warning().map(|words| Notice::Warning(words.into())));

        let own = |name: &str| settings.text(name).map(str::to_owned);
        let secret = settings.secret("password");
        let secret = secret.unwrap_or_else(|| Secret::text("password", parts.password.unwrap_or_default()));
        let login = Login {
            user: own("user").or(parts.user).unwrap_or_else(|| "root".into()),
            password: secret.as_text().unwrap_or_default().to_owned(),
            secret,
            database: own("database").or(parts.database).filter(|name| !name.is_empty()).ok_or_else(
                || wrong("the option \"database\" is missing; give the database that is to have the tables"),
            )?,
        };
        let texts = [("user", &login.user), ("password", &login.password), ("database", &login.database)];
        for (name, value) in texts {
            if value.contains('\0') {
                return Err(wrong(format!("the option \"{name}\" has a NUL character; leave that out")));
            }
        }
        Ok(Options {
            addresses: addresses(&settings, parts.places, &security)?,
            login,
            connections: settings.count("maxConnections").unwrap_or(DEFAULT_CONNECTIONS),
            remarks,
        })
    }
}

fn addresses(settings: &Settings, of_url: Vec<Server>, security: &Security) -> Result<Vec<Address>, Error> {
    let places = match settings.text("host") {
        Some(path) if path.starts_with('/') => return unix(path, security),
        Some(hosts) => hosts.split(',').map(address::place_of).collect::<Result<Vec<_>, Error>>()?,
        None => of_url,
    };
    if let Some(path) = settings.text("socketPath") {
        return unix(path, security);
    }
    let port = settings.integer("port").and_then(|port| u16::try_from(port).ok());
    let local = || vec![Server { host: DEFAULT_HOST.into(), port: None, weight: None, login: None }];
    let places = if places.is_empty() { local() } else { places };
    // The option belongs to one host; of several each may have its own.
    let wins = places.len() == 1;
    let address = |place: Server| -> Result<Address, Error> {
        let port = if wins { port.or(place.port) } else { place.port.or(port) };
        let port = port.unwrap_or(DEFAULT_PORT);
        Ok(Address::Tcp { protection: security.protection(&place.host)?, host: place.host, port })
    };
    places.into_iter().map(address).collect()
}

/// What does not leave this machine needs no TLS, and it is an error to ask for it.
fn unix(path: &str, security: &Security) -> Result<Vec<Address>, Error> {
    if security.protection(DEFAULT_HOST)?.is_some_and(|protection| !protection.is_optional) {
        return Err(wrong("a Unix socket (\"socketPath\") has no TLS; leave the option \"tls\" out"));
    }
    Ok(vec![Address::Unix { path: path.to_owned() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn options(text: &str) -> Result<Options, Error> {
        Options::read(&Settings::check(parse(text.as_bytes())?, "mysql", OPTIONS)?)
    }

    fn read(text: &str) -> Result<(String, Login), Error> {
        let Options { addresses, login, .. } = options(text)?;
        Ok((addresses.iter().map(Address::in_words).collect::<Vec<_>>().join(", "), login))
    }

    /// Whether there is TLS, and whether it is optional.
    fn protection(text: &str) -> Option<bool> {
        match options(text).unwrap_or_else(|error| panic!("{text}: {error}")).addresses.remove(0) {
            Address::Tcp { protection, .. } => protection.map(|protection| protection.is_optional),
            Address::Unix { .. } => None,
        }
    }

    fn remarks(text: &str) -> Vec<String> {
        let told = options(text).unwrap_or_else(|error| panic!("{text}: {error}")).remarks;
        let words = |notice| match notice {
            Notice::Remark(words) | Notice::Warning(words) => words,
            other => panic!("{other:?}"),
        };
        told.into_iter().map(words).collect()
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
        assert!(refusal(r#"{"url": "mysql://h/a?chraset=utf8"}"#).contains("did you mean \"charset\"?"));
        assert!(refusal(r#"{"url": "mysql://h/a?ssl-mode=sometimes"}"#).contains("VERIFY_IDENTITY"));
        assert!(refusal(r#"{"url": "mysql://h/a?ssl={}", "socketPath": "/s"}"#).contains("no TLS"));
        assert!(refusal(r#"{"url": "mysql://h/a?sslidentity=x.p12"}"#).contains("tls.cert"));
        for url in [
            "mysql://u:hun/ter2@h/a",
            "mysql://u:hun?ter2@h/a",
            "mysql://u:hunter2@h:x/a",
            "mysql://h/a?hunter2=1",
        ] {
            let refusal = refusal(&format!(r#"{{"url": "{url}"}}"#));
            assert!(!refusal.contains("ter2"), "{refusal}");
        }
        assert!(refusal(r#"{"url": "mysql://a/b", "uri": "mysql://a/c"}"#).contains("mean the same"));
        assert!(refusal(r#"{"database": "a", "ssl": true, "tls": false}"#).contains("mean the same"));
        assert!(refusal(r#"{"database": "a", "ssl": true, "socketPath": "/s"}"#).contains("no TLS"));
        assert!(refusal(r#"{"database": "a", "user": "x\u0000"}"#).contains("NUL"));
        assert!(!refusal(r#"{"url": "hunter2"}"#).contains("hunter2"));
    }

    #[test]
    fn several_servers_are_hosts_with_commas_between() {
        let places = |text: &str| read(text).unwrap().0;
        assert_eq!(places(r#"{"host": "a, b:3307", "database": "d"}"#), "a:3306, b:3307");
        assert_eq!(places(r#"{"host": "a,b", "port": 1, "database": "d"}"#), "a:1, b:1");
        assert_eq!(places(r#"{"url": "mysql://u:p@a:1,[::1]/d"}"#), "a:1, [::1]:3306");
        assert_eq!(places(r#"{"url": "jdbc:mysql://a:1,b:2/d", "host": "c"}"#), "c:3306");
        assert_eq!(places(r#"{"host": "/run/mysqld.sock", "database": "d"}"#), "/run/mysqld.sock");
        assert_eq!(places(r#"{"url": "mysql://h/d?socket=/run/mysqld.sock"}"#), "/run/mysqld.sock");
    }

    #[test]
    fn what_clients_say_about_tls_is_understood() {
        let url = |words: &str| {
            let text = serde_json::to_string(&format!("mysql://u:p@db.example/d?{words}")).unwrap();
            format!(r#"{{"url": {text}}}"#)
        };
        for words in [
            "ssl=true",
            "tls=1",
            r#"ssl={"rejectUnauthorized":true}"#,
            "ssl=%7B%22rejectUnauthorized%22%3Afalse%7D",
            "ssl=Amazon RDS",
            "ssl-mode=REQUIRED",
            "sslmode=verify-full",
            "sslMode=VERIFY_CA",
            "ssl_mode=VERIFY_IDENTITY",
            "sslaccept=strict",
            "sslaccept=accept_invalid_certs",
            "useSSL=true&verifyServerCertificate=false",
            "tls=skip-verify",
        ] {
            assert_eq!(protection(&url(words)), Some(false), "{words}");
        }
        for words in ["", "ssl=false", "ssl-mode=DISABLED", "useSSL=false", "charset=utf8mb4"] {
            assert_eq!(protection(&url(words)), None, "{words}");
        }
        for words in ["ssl-mode=PREFERRED", "tls=preferred"] {
            assert_eq!(protection(&url(words)), Some(true), "{words}");
        }
        assert_eq!(protection(r#"{"url": "mysql://h/d?ssl=true", "tls": false}"#), None);
        assert_eq!(protection(r#"{"database": "d", "ssl": "Amazon RDS"}"#), Some(false));
        assert_eq!(protection(r#"{"database": "d", "ssl": {"rejectUnauthorized": false}}"#), Some(false));
        for (words, is_checked) in
            [("ssl-mode=REQUIRED", false), ("sslaccept=strict", true), ("tls=preferred", false)]
        {
            let warns = remarks(&url(words)).iter().any(|line| line.contains("not checked"));
            assert_eq!(warns, !is_checked, "{words}");
        }
        // An authority that is named is meant: it must be there.
        for words in ["ssl-mode=REQUIRED&ssl-ca=/nowhere", "sslaccept=strict&sslcert=/nowhere"] {
            assert!(refusal(&url(words)).contains("tls.ca"), "{words}");
        }
    }

    #[test]
    fn configurations_of_other_clients_start_and_what_has_no_effect_is_told() {
        for text in [
            r#"{"host": "h", "user": "u", "password": "p", "database": "d", "waitForConnections": true,
                "connectionLimit": 10, "maxIdle": 10, "idleTimeout": 60000, "queueLimit": 0,
                "enableKeepAlive": true, "keepAliveInitialDelay": 0}"#,
            r#"{"host": "h", "database": "d", "charset": "utf8mb4_unicode_ci", "timezone": "Z", "debug": ["ComQuery"],
                "compress": true, "flags": "-FOUND_ROWS", "localAddress": "10.0.0.1", "typeCast": true}"#,
            r#"{"uri": "mysql://u:p@h:3306/d?charset=utf8mb4&parseTime=true&loc=Local"}"#,
            r#"{"url": "mysql://u:p@h/d?connection_limit=5&pool_timeout=10&connect_timeout=5"}"#,
            r#"{"url": "mysql://u:p@h/d?useUnicode=true&characterEncoding=UTF-8&serverTimezone=UTC&allowPublicKeyRetrieval=true"}"#,
        ] {
            assert!(options(text).is_ok(), "{text}: {}", options(text).err().unwrap());
        }
        assert_eq!(options(r#"{"url": "mysql://h/d?connection_limit=5"}"#).unwrap().connections, 5);
        let limits = r#"{"url": "mysql://h/d?connectionLimit=5", "connectionLimit": 7}"#;
        assert_eq!(options(limits).unwrap().connections, 7);
        let told = remarks(r#"{"url": "mysql://h/d?charset=utf8mb4&parseTime=true"}"#);
        for word in ["\"charset\"", "\"parseTime\""] {
            assert!(told.iter().any(|line| line.contains(word)), "{told:?}");
        }
    }
}
