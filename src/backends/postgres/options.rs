//! The options, read and checked.

use std::env;
use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::Config;

use super::address::Parameters;
use super::names::{Names, MAX_NAME_BYTES};
use super::noise::noise;
use super::passfile;
use super::require_auth::Allowed;
use super::security::Security;
use super::tls::Connector;
use crate::config::{wrong, Secret, Settings};
use crate::core::{Error, Notice};
use crate::net::{renewal, stream};
use crate::records::classic;

const DEFAULT_HOST: &str = "localhost";
const DEFAULT_PORT: u16 = 5432;
const DEFAULT_SCHEMA: &str = "ds";
const DEFAULT_TABLE: &str = "default";
const DEFAULT_SPLIT_CHAR: &str = "/";
const DEFAULT_MAX: usize = 10;
const DEFAULT_IDLE: Duration = Duration::from_secs(30);
const SHORTEST_LOCK_WAIT: Duration = Duration::from_millis(100);
const LONGEST_LOCK_WAIT: Duration = Duration::from_millis(500);
const DEFAULT_APPLICATION: &str = "deepstream-connector";
const IDLE_IN_TRANSACTION: &str = "idle_in_transaction_session_timeout";

/// How much of an application's name is left where a number stands behind it: the server cuts names
/// off at 63 bytes.
const SHOWN_NAME: usize = MAX_NAME_BYTES - 17;

/// How a new table is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `id`, `val` with version and data.
    V1,
    /// `id`, `version`, `val`.
    V2,
}

/// Which events are told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notifications {
    pub create_table: bool,
    pub destroy_table: bool,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
}

/// A server, and the ways to it in the order in which they are tried: `None` is one without TLS.
#[derive(Clone)]
pub(super) struct Server {
    pub host: String,
    pub port: u16,
    pub ways: Vec<Option<Connector>>,
}

impl Server {
    /// The Unix socket, if it is one.
    pub fn socket(&self) -> Option<String> {
        self.host.starts_with('/').then(|| format!("{}/.s.PGSQL.{}", self.host, self.port))
    }

    /// Where it is, for messages.
    pub fn in_words(&self) -> String {
        self.socket().unwrap_or_else(|| stream::in_words(&self.host, self.port))
    }
}

/// The options, checked.
pub(super) struct Options {
    pub servers: Vec<Server>,
    /// Login and session parameters.
    pub session: Config,
    application: String,
    pub password: Option<Secret>,
    pub user: String,
    pub database: String,
    pub schema: String,
    pub names: Names,
    pub layout: Layout,
    /// A record may stand for a value of the classic interface.
    pub has_values: bool,
    pub use_jsonb: bool,
    pub bigint_versions: bool,
    pub role: Option<String>,
    pub drop_empty_tables: bool,
    pub notifications: Notifications,
    pub max: usize,
    /// How long a spare connection stays; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How often an idle connection is used.
    pub ping_interval: Option<Duration>,
    pub statement_timeout: Option<Duration>,
    /// How long to wait for somebody else's lock; `None` leaves it to the server.
    pub lock_timeout: Option<Duration>,
    /// How long the server lets a transaction be idle; `None` leaves it to the server.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// Whether sessions that broke while they wrote are ended in the server.
    pub ends_sessions: bool,
    /// Which logins a server may ask for, where that is said.
    pub allowed: Option<Allowed>,
    /// Whether the servers are tried in another order each time.
    pub is_shuffled: bool,
    /// Whether statements are prepared, and so whether sessions are ours alone.
    pub prepared_statements: bool,
    /// How long one of several ways to one of several servers may take.
    pub attempt_timeout: Duration,
    /// What a person should know about the options that were given.
    pub remarks: Vec<Notice>,
}

impl Options {
    /// Reads and checks them.
    pub fn read(settings: &Settings) -> Result<Options, Error> {
        Options::read_in(settings, |variable| env::var(variable).ok())
    }

    fn read_in(settings: &Settings, variable: impl Fn(&str) -> Option<String>) -> Result<Options, Error> {
        let address = match settings.text("url") {
            Some(text) => Parameters::parse(text)?,
            None => Parameters::default(),
        };
        let environment = Parameters::of_environment(&variable);
        let said = |option: &str, word: &str| -> Option<String> {
            let text = settings.text(option).or_else(|| address.get(word)).or_else(|| environment.get(word));
            text.map(str::to_owned)
        };
        let user = said("user", "user").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        let Some(user) = user else {
            return Err(wrong("the option \"user\" is missing; give the role that logs in"));
        };
        let database = said("database", "dbname").unwrap_or_else(|| user.clone());
        let host = said("hostaddr", "hostaddr").filter(|_| !settings.has("host"));
        let host = host.or_else(|| said("host", "host")).unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let port = said("port", "port");
        let in_file = || {
            let first = |list: &str| list.split(',').next().unwrap_or_default().trim().to_owned();
            let (host, port) = (first(&host), port.as_deref().map(first));
            let port = port.filter(|port| !port.is_empty()).unwrap_or_else(|| DEFAULT_PORT.to_string());
            passfile::password(&variable, [&host, &port, &database, &user])
        };
        let elsewhere = || {
            let said = address.get("password").or_else(|| environment.get("password")).map(str::to_owned);
            said.or_else(in_file)
        };
        let password =
            settings.secret("password").or_else(|| elsewhere().map(|text| Secret::text("password", text)));
        let fixed = password.as_ref().and_then(Secret::as_text).unwrap_or_default();
        for (option, text) in [("user", &*user), ("database", &*database), ("password", fixed)] {
            if text.contains('\0') {
                return Err(wrong(format!("the option \"{option}\" has a NUL character; leave it out")));
            }
        }
        let mut session = Config::new();
        session.user(&user).dbname(&database).ssl_mode(SslMode::Disable);
        if let Some(options) = said("options", "options") {
            session.options(&options);
        }
        let binding = said("channel_binding", "channel_binding");
        session.channel_binding(match binding.as_deref() {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("disable") => ChannelBinding::Disable,
            Some("require") => ChannelBinding::Require,
            Some(_) => return Err(wrong("\"channel_binding\" is none of disable, prefer and require")),
        });
        let prepared_statements = match (settings.flag("preparedStatements"), address.get("pgbouncer")) {
            (Some(is_on), _) => is_on,
            (None, None | Some("false")) => true,
            (None, Some("true")) => false,
            (None, Some(_)) => {
                return Err(wrong("\"pgbouncer\" in the option \"url\" is neither true nor false"))
            }
        };
        let security = Security::read(settings, said)?;
        let servers = servers(&host, port.as_deref(), &security)?;
        let notifications = settings.object("notifications");
        let told = |event: &str| notifications.as_ref().and_then(|events| events.flag(event)) == Some(true);
        // One way alone has all the time there is.
        let ways: usize = servers.iter().map(|server| server.ways.len()).sum();
        let connect_timeout = settings.engine().connect_timeout;
        Ok(Options {
            attempt_timeout: match u32::try_from(ways) {
                Ok(several @ 2..) => connect_timeout / several,
                _ => 2 * connect_timeout,
            },
            servers,
            session,
            password,
            application: said("application_name", "application_name")
                .unwrap_or_else(|| DEFAULT_APPLICATION.to_owned()),
            user,
            database,
            schema: name(settings, "schema", DEFAULT_SCHEMA)?,
            names: names(settings)?,
            layout: match settings.text("layout") {
                Some("V1") => Layout::V1,
                _ => Layout::V2,
            },
            has_values: classic::has_values(settings),
            use_jsonb: settings.flag("useJsonb") == Some(true),
            bigint_versions: settings.flag("bigintVersions") == Some(true),
            role: match settings.text("role") {
                None | Some("") => None,
                Some(_) => Some(name(settings, "role", "")?),
            },
            drop_empty_tables: settings.flag("dropEmptyTables") == Some(true),
            notifications: Notifications {
                create_table: told("CREATE_TABLE"),
                destroy_table: told("DESTROY_TABLE"),
                insert: told("INSERT"),
                update: told("UPDATE"),
                delete: told("DELETE"),
            },
            max: settings.count("maxConnections").unwrap_or(DEFAULT_MAX),
            ping_interval: renewal::ping_interval(settings),
            idle_timeout: match settings.milliseconds("idleTimeoutMillis") {
                None => Some(DEFAULT_IDLE),
                Some(Duration::ZERO) => None,
                Some(time) => Some(time),
            },
            statement_timeout: settings.milliseconds("statement_timeout"),
            lock_timeout: match settings.milliseconds("lock_timeout") {
                None => Some((settings.engine().timeout / 8).clamp(SHORTEST_LOCK_WAIT, LONGEST_LOCK_WAIT)),
                Some(Duration::ZERO) => None,
                Some(time) => Some(time),
            },
            idle_in_transaction_timeout: settings.milliseconds(IDLE_IN_TRANSACTION),
            ends_sessions: settings.flag("terminateSessions") != Some(false),
            is_shuffled: is_shuffled(said("load_balance_hosts", "load_balance_hosts").as_deref())?,
            remarks: ["statement_timeout", IDLE_IN_TRANSACTION]
                .into_iter()
                .filter(|option| !prepared_statements && settings.has(option))
                .map(|option| {
                    Notice::Warning(format!(
                        "the option \"{option}\" has no effect where \"preparedStatements\" is false; set it for the role"
                    ))
                })
                .chain(demands(said)?)
                .chain(address.without_effect().map(|word| {
                    Notice::Remark(format!("the word \"{word}\" in the option \"url\" has no effect here"))
                }))
                .chain(security.remarks())
                .collect(),
            prepared_statements,
            allowed: security.allowed,
        })
    }

    /// The name of one more session, as the server shows it. With a number that no other has, unless
    /// nobody is to be ended by it.
    pub fn session_name(&self) -> Result<String, Error> {
        let letters = self.application.chars();
        // As the server itself does it.
        let name: String =
            letters.map(|letter| if (' '..='~').contains(&letter) { letter } else { '?' }).collect();
        if !self.ends_sessions {
            return Ok(name);
        }
        Ok(format!("{name:.SHOWN_NAME$} {:016x}", noise()?))
    }

    /// What is connected to, for messages.
    pub fn in_words(&self) -> String {
        let places: Vec<String> = self.servers.iter().map(Server::in_words).collect();
        format!("PostgreSQL at {}, database {}", places.join(", "), self.database)
    }
}

/// What is demanded of a login or of a server, and cannot be had here.
fn demands(said: impl Fn(&str, &str) -> Option<String>) -> Result<Option<Notice>, Error> {
    match said("target_session_attrs", "target_session_attrs").as_deref() {
        None | Some("any" | "read-write" | "primary") => Ok(None),
        Some("read-only" | "standby" | "prefer-standby") => Ok(Some(Notice::Warning(
            "\"target_session_attrs\" asks for a server that takes no writes, and has no effect here: records are written"
                .to_owned(),
        ))),
        Some(_) => Err(wrong(
            "\"target_session_attrs\" is none of any, read-write, read-only, primary, standby and prefer-standby",
        )),
    }
}

fn is_shuffled(word: Option<&str>) -> Result<bool, Error> {
    match word {
        None | Some("disable") => Ok(false),
        Some("random") => Ok(true),
        Some(_) => Err(wrong("\"load_balance_hosts\" is neither disable nor random")),
    }
}

fn servers(hosts: &str, ports: Option<&str>, security: &Security) -> Result<Vec<Server>, Error> {
    let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
    let ports: Vec<&str> = ports.unwrap_or("").split(',').map(str::trim).collect();
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err(wrong(format!(
            "the option \"port\" has {} ports for {} hosts; give one, or one for each",
            ports.len(),
            hosts.len()
        )));
    }
    let port =
        |index: usize| -> Result<u16, Error> {
            match ports.get(index).or(ports.last()).copied().unwrap_or("") {
                "" => Ok(DEFAULT_PORT),
                digits => digits.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                    wrong("the option \"port\" is no port; give a whole number from 1 to 65535")
                }),
            }
        };
    let server = |(index, host): (usize, &&str)| -> Result<Server, Error> {
        let host = if host.is_empty() { DEFAULT_HOST } else { host };
        let ways = if host.starts_with('/') { vec![None] } else { security.ways(host)? };
        Ok(Server { host: host.to_owned(), port: port(index)?, ways })
    };
    hosts.iter().enumerate().map(server).collect()
}

fn names(settings: &Settings) -> Result<Names, Error> {
    let table = settings.object("table");
    let inner = |name: &str| table.as_ref().and_then(|table| table.text(name));
    let default_table =
        match (settings.text("defaultTable"), inner("defaultName")) {
            (None, None) => DEFAULT_TABLE,
            (Some(name), None) | (None, Some(name)) => name,
            (Some(_), Some(_)) => return Err(wrong(
                "the options \"defaultTable\" and \"table.defaultName\" are the same; leave one of them out",
            )),
        };
    if default_table.is_empty() {
        return Err(wrong("the option \"defaultTable\" is empty; leave it out for \"default\""));
    }
    let separator = settings.text("splitChar").unwrap_or(DEFAULT_SPLIT_CHAR);
    if separator.is_empty() {
        return Err(wrong("the option \"splitChar\" is empty; leave it out for \"/\""));
    }
    Ok(Names {
        separator: separator.to_owned(),
        default_table: default_table.to_owned(),
        prefix: inner("prefix").unwrap_or_default().to_owned(),
    })
}

/// An option that is the name of something in the database.
fn name(settings: &Settings, option: &str, default: &str) -> Result<String, Error> {
    let name = settings.text(option).unwrap_or(default);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        return Err(wrong(format!(
            "the option \"{option}\" has {} bytes; give a name of 1 to {MAX_NAME_BYTES} bytes without NUL",
            name.len()
        )));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::postgres::OPTIONS;
    use crate::config::parse;

    fn read(options: &str, environment: &[(&str, &str)]) -> Result<Options, Error> {
        let settings = Settings::check(parse(options.as_bytes())?, "postgres", OPTIONS)?;
        let variable = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Options::read_in(&settings, variable)
    }

    fn place(options: &str, environment: &[(&str, &str)]) -> (String, String, String) {
        let options = read(options, environment).unwrap();
        (options.in_words(), options.user, options.schema)
    }

    #[test]
    fn options_win_over_the_address_and_that_over_the_environment() {
        let environment =
            [("PGHOST", "e.example"), ("PGUSER", "erin"), ("PGPORT", "1"), ("PGDATABASE", "edb")];
        assert_eq!(
            place("{}", &environment),
            ("PostgreSQL at e.example:1, database edb".into(), "erin".into(), "ds".into())
        );
        let address = r#"{"connectionString": "postgres://ada@a.example:2/adb"}"#;
        assert_eq!(place(address, &environment).0, "PostgreSQL at a.example:2, database adb");
        let both = r#"{"connectionString": "postgres://ada@a.example:2/adb", "host": "o.example", "port": 3, "schema": "x"}"#;
        assert_eq!(
            place(both, &environment),
            ("PostgreSQL at o.example:3, database adb".into(), "ada".into(), "x".into())
        );
        assert_eq!(place("{}", &[("USER", "sam")]).0, "PostgreSQL at localhost:5432, database sam");
        assert_eq!(
            place(r#"{"host": "/run/pg", "user": "u"}"#, &[]).0,
            "PostgreSQL at /run/pg/.s.PGSQL.5432, database u"
        );
        assert_eq!(
            place(r#"{"host": "a,b", "port": "1,2", "user": "u"}"#, &[]).0,
            "PostgreSQL at a:1, b:2, database u"
        );
    }

    #[test]
    fn ways_are_those_of_libpq() {
        let ways = |options: &str, environment: &[(&str, &str)]| -> Vec<bool> {
            let options = read(options, environment).unwrap();
            options.servers[0].ways.iter().map(Option::is_some).collect()
        };
        let user = [("USER", "u")];
        assert_eq!(ways("{}", &user), [false]);
        assert_eq!(ways(r#"{"sslmode": "allow"}"#, &user), [false, true]);
        assert_eq!(ways(r#"{"sslmode": "PREFER"}"#, &user), [true, false]);
        assert_eq!(ways(r#"{"sslmode": "require"}"#, &user), [true]);
        assert_eq!(ways(r#"{"ssl": {"rejectUnauthorized": false}}"#, &user), [true]);
        assert_eq!(ways("{}", &[("USER", "u"), ("PGSSLMODE", "require")]), [true]);
        assert_eq!(ways(r#"{"ssl": false}"#, &[("USER", "u"), ("PGSSLMODE", "require")]), [false]);
        for options in [
            r#"{"sslmode": "no-verify"}"#,
            r#"{"url": "postgres://h/?ssl=no-verify"}"#,
            r#"{"url": "postgres://h/?ssl=on"}"#,
            r#"{"url": "postgres://h/?sslrootcert=system"}"#,
        ] {
            assert_eq!(ways(options, &user), [true], "{options}");
        }
        assert_eq!(ways("{}", &[("USER", "u"), ("PGSSLMODE", "no-verify")]), [true]);
        let remarks = |options: &str| read(options, &user).unwrap().remarks;
        let unverified = remarks(r#"{"sslmode": "no-verify"}"#);
        assert!(matches!(&unverified[..], [Notice::Warning(words)] if words.contains("intercept")));
        assert!(remarks(r#"{"sslmode": "require"}"#).is_empty());
        assert_eq!(ways(r#"{"host": "/run", "sslmode": "require"}"#, &user), [false]);
        assert_eq!(ways(r#"{"connectionString": "postgres://h/?sslmode=require"}"#, &user), [true]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        for (options, word) in [
            (r#"{"connectionString": "postgres://h/?sslmode=verify"}"#, "sslmode"),
            (r#"{"connectionString": "postgres://h/?sslmode=require&sslrootcert=system"}"#, "sslrootcert"),
            (r#"{"host": "a", "port": "1,2"}"#, "\"port\""),
            (r#"{"port": "no"}"#, "\"port\""),
            (r#"{"port": 70000}"#, "\"port\""),
            (r#"{"schema": ""}"#, "\"schema\""),
            (r#"{"role": "a\u0000b"}"#, "\"role\""),
            (r#"{"splitChar": ""}"#, "\"splitChar\""),
            (r#"{"defaultTable": ""}"#, "\"defaultTable\""),
            (r#"{"defaultTable": "a", "table": {"defaultName": "b"}}"#, "table.defaultName"),
            (r#"{"table": {"postfix": "b"}}"#, "table.prefix"),
            (r#"{"tls": true, "ssl": false}"#, "\"ssl\""),
            (r#"{"notifications": {"INSERTS": true}}"#, "notifications.INSERT"),
            (r#"{"password": "a\u0000b"}"#, "\"password\""),
        ] {
            let error = read(options, &[("USER", "u")]).err().unwrap_or_else(|| panic!("{options}"));
            assert!(error.message().contains(word), "{options}: {error}");
        }
        assert!(read("{}", &[]).err().unwrap().message().contains("\"user\""));
    }
}
