//! What it takes to connect to a server: its address, TLS, the login and the database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use futures_util::future::{select, BoxFuture, FutureExt};
use redis::{Cmd, ServerError, Value};
use url::{Host, Url};

use super::decode::Reply;
use super::multiplexed_connection::MultiplexedConnection;
use super::options::DEFAULT_PORT;
use super::replies;
use crate::config::{wrong, Login, Secret, Server, Settings};
use crate::core::Error;
use crate::net::pipeline::{while_alive, Pings};
use crate::net::stream;
use crate::net::tls::Tls;
use crate::net::traffic::Traffic;

/// A server, and the login there.
#[derive(Clone)]
pub(super) struct ConnectionInfo {
    address: ServerAddress,
    tls: Option<Tls>,
    login: Option<Credentials>,
    db: i64,
    /// `connectionName`.
    name: Option<String>,
    /// `pingInterval`.
    pings: Option<Pings>,
    /// Something before the server, such as twemproxy, ends the connections of clients that name themselves.
    is_nameless: Arc<AtomicBool>,
    /// Writes have a connection of their own, since they wait for replicas.
    has_writes_apart: bool,
    elsewhere: Arc<Elsewhere>,
}

/// What an idle connection is used for.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// A user, or none, and the password as it is at the time.
#[derive(Clone)]
struct Credentials {
    user: Option<String>,
    password: Secret,
}

impl From<Login> for Credentials {
    fn from(login: Login) -> Credentials {
        Credentials { user: login.user, password: Secret::text("password", login.password) }
    }
}

/// What differs at other servers from this one.
#[derive(Default)]
struct Elsewhere {
    /// Servers with a login of their own.
    logins: Vec<((String, u16), Credentials)>,
    /// Which address is to be dialled for which.
    addresses: Vec<((String, u16), (String, u16))>,
}

/// What belongs to a server, in a list of a few.
fn of_server<'a, T>(list: &'a [((String, u16), T)], host: &str, port: u16) -> Option<&'a T> {
    list.iter().find(|(server, _)| server.0 == host && server.1 == port).map(|(_, what)| what)
}

#[derive(Clone)]
enum ServerAddress {
    Tcp { host: String, port: u16 },
    Unix { path: String },
}

/// The parts of a URL.
#[derive(Default)]
struct UrlParts {
    host: Option<String>,
    port: Option<u16>,
    path: Option<String>,
    username: Option<String>,
    password: Option<String>,
    db: Option<i64>,
    tls: bool,
}

impl ConnectionInfo {
    /// Reads the options; those beside `url` win over its parts.
    pub fn from_settings(settings: &Settings) -> Result<ConnectionInfo, Error> {
        let parts = settings.text("url").map(read_url).transpose()?.unwrap_or_default();
        let option = |name: &str| settings.text(name).map(str::to_owned);
        let host = option("host").or(parts.host);
        let tls = Tls::from_settings(settings, host.as_deref().unwrap_or("127.0.0.1"), parts.tls)?;
        let address = match option("path").or(parts.path) {
            Some(_) if tls.is_some() => {
                return Err(wrong("a Unix socket (\"path\") has no TLS; leave the option \"tls\" out"));
            }
            Some(path) => ServerAddress::Unix { path },
            None => ServerAddress::Tcp {
                host: host.unwrap_or_else(|| "127.0.0.1".into()),
                port: settings
                    .integer("port")
                    .and_then(|port| u16::try_from(port).ok())
                    .or(parts.port)
                    .unwrap_or(DEFAULT_PORT),
            },
        };
        let user = option("user").or(parts.username);
        let elsewhere = Elsewhere::from_settings(settings);
        let in_url = parts.password.map(|password| Secret::text("password", password));
        let login = match settings.secret("password").or(in_url) {
            Some(password) => Some(Credentials { user, password }),
            None if user.is_some() => return Err(wrong("the option \"user\" needs \"password\" beside it")),
            // Nodes that nobody named are found through those that were.
            None => elsewhere.logins.first().map(|(_, login)| login.clone()),
        };
        let db = settings.integer("db").or(parts.db).unwrap_or(0);
        let name = option("connectionName").filter(|name| !name.is_empty());
        Ok(ConnectionInfo {
            address,
            tls,
            login,
            db,
            name,
            pings: Pings::from_settings(settings, PING),
            is_nameless: Arc::default(),
            has_writes_apart: settings.integer("waitReplicas").is_some_and(|replicas| replicas > 0),
            elsewhere: Arc::new(elsewhere),
        })
    }

    /// A server that does not exist.
    #[cfg(test)]
    pub fn for_tests() -> ConnectionInfo {
        let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: 1 };
        ConnectionInfo {
            address,
            tls: None,
            login: None,
            db: 0,
            name: None,
            pings: None,
            is_nameless: Arc::default(),
            has_writes_apart: false,
            elsewhere: Arc::default(),
        }
    }

    /// Host and port, or the socket's path.
    pub fn address(&self) -> String {
        match &self.address {
            ServerAddress::Tcp { host, port } => stream::in_words(host, *port),
            ServerAddress::Unix { path } => path.clone(),
        }
    }

    /// How idle connections are kept open.
    pub fn pings(&self) -> Option<&Pings> {
        self.pings.as_ref()
    }

    /// Authenticates, selects the database, names this client, and probes the server. `says_name` is
    /// true while it does the third.
    async fn handshake(
        &self,
        connection: &MultiplexedConnection,
        is_nameless: bool,
        says_name: &AtomicBool,
    ) -> Result<(), Error> {
        if let Some(login) = &self.login {
            let password = login.password.current().await?;
            let mut command = redis::cmd("AUTH");
            command.arg(login.user.as_deref()).arg(&*password);
            ask(connection, &command).await?.map_err(replies::login_error)?;
        }
        if self.db != 0 {
            let answer = ask(connection, redis::cmd("SELECT").arg(self.db)).await?;
            answer.map_err(replies::login_error)?;
        }
        if !is_nameless {
            says_name.store(true, Ordering::Relaxed);
            self.say_name(connection).await?;
            says_name.store(false, Ordering::Relaxed);
        }
        match ask(connection, &redis::cmd("PING")).await? {
            // A user without permission to ping is authenticated nevertheless.
            Err(error) if error.code() != replies::NO_PERMISSION => Err(replies::login_error(error)),
            _ => Ok(()),
        }
    }

    /// Names this client. Servers before 7.2 do not know all of it, which does not matter.
    async fn say_name(&self, connection: &MultiplexedConnection) -> Result<(), Error> {
        if let Some(name) = &self.name {
            ask(connection, redis::cmd("CLIENT").arg("SETNAME").arg(name)).await?.ok();
        }
        for (name, value) in [("LIB-NAME", "deepstream-connector"), ("LIB-VER", env!("CARGO_PKG_VERSION"))] {
            ask(connection, redis::cmd("CLIENT").arg("SETINFO").arg(name).arg(value)).await?.ok();
        }
        Ok(())
    }

    /// The same server for who does not write.
    pub fn for_reads(&self) -> ConnectionInfo {
        ConnectionInfo { has_writes_apart: false, ..self.clone() }
    }

    /// The same login at another server.
    pub fn at(&self, host: &str, port: u16) -> Result<ConnectionInfo, Error> {
        let login = of_server(&self.elsewhere.logins, host, port).or(self.login.as_ref()).cloned();
        let mapped = of_server(&self.elsewhere.addresses, host, port);
        let (host, port) = mapped.map_or((host, port), |(host, port)| (host, *port));
        let tls = self.tls.as_ref().map(|tls| tls.for_host(host)).transpose()?;
        Ok(ConnectionInfo {
            address: ServerAddress::Tcp { host: host.to_owned(), port },
            tls,
            login,
            ..self.clone()
        })
    }

    /// Connects, and completes the handshake. The future that comes with the connection is its
    /// background work; `traffic` counts what moves on it.
    pub async fn connect(
        &self,
        traffic: &Traffic,
    ) -> Result<(MultiplexedConnection, BoxFuture<'static, Error>), Error> {
        let (connection, mut lifeline) = self.connect_once(traffic).await?;
        if !self.has_writes_apart {
            return Ok((connection, lifeline));
        }
        let (writes, of_writes) = while_alive(&mut lifeline, self.connect_once(traffic)).await?;
        let lifeline = select(lifeline, of_writes).map(|end| end.factor_first().0);
        Ok((connection.with_writes(&writes), Box::pin(lifeline)))
    }

    /// One connection. Where naming ourselves ended it, another one without a name.
    async fn connect_once(
        &self,
        traffic: &Traffic,
    ) -> Result<(MultiplexedConnection, BoxFuture<'static, Error>), Error> {
        let is_nameless = self.is_nameless.load(Ordering::Relaxed);
        let says_name = AtomicBool::new(false);
        let result = self.try_to_connect(traffic, is_nameless, &says_name).await;
        if result.is_ok() || !says_name.load(Ordering::Relaxed) {
            return result;
        }
        let result = self.try_to_connect(traffic, true, &says_name).await;
        self.is_nameless.store(result.is_ok(), Ordering::Relaxed);
        result
    }

    async fn try_to_connect(
        &self,
        traffic: &Traffic,
        is_nameless: bool,
        says_name: &AtomicBool,
    ) -> Result<(MultiplexedConnection, BoxFuture<'static, Error>), Error> {
        let stream = match &self.address {
            ServerAddress::Tcp { host, port } => {
                stream::dial(host, *port, self.tls.as_ref(), traffic).await?
            }
            ServerAddress::Unix { path } => stream::dial_unix(path, traffic).await?,
        };
        let (connection, lifeline) = MultiplexedConnection::new(stream, self.pings.clone());
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(lifeline);
        while_alive(&mut lifeline, self.handshake(&connection, is_nameless, says_name)).await?;
        Ok((connection, lifeline))
    }
}

impl Elsewhere {
    fn from_settings(settings: &Settings) -> Elsewhere {
        let place = |server: Server| (server.host, server.port.unwrap_or(DEFAULT_PORT));
        Elsewhere {
            logins: settings
                .servers("nodes")
                .into_iter()
                .filter_map(|server| server.login.clone().map(|login| (place(server), login.into())))
                .collect(),
            addresses: settings
                .address_map("natMap")
                .into_iter()
                .map(|(from, to)| (place(from), place(to)))
                .collect(),
        }
    }
}

/// Sends one command, and tells an error reply from a lost connection.
async fn ask(connection: &MultiplexedConnection, command: &Cmd) -> Result<Result<(), ServerError>, Error> {
    let mut replies = connection.send_pipeline(command.get_packed_command(), 1).await?;
    Ok(match replies.pop() {
        Some(Reply::Value(Value::ServerError(error))) => Err(error),
        _ => Ok(()),
    })
}

/// Reads `redis://`, `rediss://`, `valkey://`, `valkeys://` and `unix://` URLs, as in
/// <https://www.iana.org/assignments/uri-schemes/prov/redis>. No part of it is repeated in a
/// message, since one of them is the password.
fn read_url(text: &str) -> Result<UrlParts, Error> {
    const SHAPE: &str = "give redis://user:password@host:port/db, rediss://… for TLS, or unix:///path?db=0";
    let url = Url::parse(text)
        .map_err(|error| wrong(format!("the option \"url\" is no URL ({error}); {SHAPE}")))?;
    let mut parts = UrlParts::default();
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| wrong("the option \"url\" has a user or password that is not UTF-8 when decoded"))
    };
    if !url.username().is_empty() {
        parts.username = Some(decode(url.username())?);
    }
    parts.password = url.password().map(decode).transpose()?;
    let mut db = None;
    match url.scheme() {
        "redis" | "valkey" | "rediss" | "valkeys" => {
            parts.tls = url.scheme().ends_with("ss") || url.scheme() == "valkeys";
            parts.host = url.host().map(|host| match host {
                Host::Ipv6(address) => address.to_string(),
                other => other.to_string(),
            });
            parts.port = url.port();
            let path = url.path().trim_matches('/');
            if !path.is_empty() {
                db = Some(path.to_owned());
            }
        }
        "unix" | "redis+unix" => parts.path = Some(decode(url.path())?),
        _ => return Err(wrong(format!("the option \"url\" has an unknown scheme; {SHAPE}"))),
    }
    let pairs = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // No form: a plus is a plus.
        let value = decode(value)?;
        match name {
            "db" => db = Some(value),
            "user" | "username" => parts.username = Some(value),
            "pass" | "password" => parts.password = Some(value),
            "tls" if value == "true" => parts.tls = true,
            "tls" if value == "false" && !parts.tls => {}
            "tls" => {
                return Err(wrong(
                    "the option \"url\" has a \"tls\" that contradicts it or is neither true nor false",
                ));
            }
            // Both families are tried, whatever it says.
            "family" if ["0", "4", "6"].contains(&value.as_str()) => {}
            _ => {
                return Err(wrong(
                    "the option \"url\" has a query that is none of db, username, password, tls, family",
                ));
            }
        }
    }
    parts.username = parts.username.filter(|name| !name.is_empty());
    parts.password = parts.password.filter(|password| !password.is_empty());
    parts.db = db
        .map(|text| {
            text.parse().map_err(|_| wrong("the option \"url\" has a database that is no whole number"))
        })
        .transpose()?;
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_url_is_honoured() {
        let parts = read_url("rediss://us%40er:p%2Fw@example.org:7000/3").unwrap();
        assert_eq!(parts.host.as_deref(), Some("example.org"));
        assert_eq!(parts.port, Some(7000));
        assert_eq!(parts.username.as_deref(), Some("us@er"));
        assert_eq!(parts.password.as_deref(), Some("p/w"));
        assert_eq!(parts.db, Some(3));
        assert!(parts.tls);
        let parts = read_url("redis://:secret@[::1]").unwrap();
        assert_eq!((parts.host.as_deref(), parts.username), (Some("::1"), None));
        assert!(!parts.tls);
        let parts = read_url("unix:///run/redis.sock?db=2").unwrap();
        assert_eq!((parts.path.as_deref(), parts.db), (Some("/run/redis.sock"), Some(2)));
    }

    #[test]
    fn a_plus_is_a_plus_and_what_is_empty_is_absent() {
        let parts = read_url("redis://:@h?password=a+b%20c&tls=true&family=6").unwrap();
        assert_eq!((parts.username, parts.password.as_deref(), parts.tls), (None, Some("a+b c"), true));
        assert_eq!(read_url("redis://:@h").unwrap().password, None);
        assert!(read_url("rediss://h?tls=false").is_err());
        assert!(!read_url("redis://h?tls=false").unwrap().tls);
    }

    #[test]
    fn a_node_has_its_own_login_and_the_address_that_is_dialled() {
        let text = br#"{"nodes": [{"port": 1, "password": "one"}, {"port": 2, "password": "two"}],
            "natMap": {"10.0.0.3:3": "h:4"}}"#;
        let settings =
            Settings::check(crate::config::parse(text).unwrap(), "redis", super::super::OPTIONS).unwrap();
        let info = ConnectionInfo::from_settings(&settings).unwrap();
        let at = |host, port| info.at(host, port).unwrap();
        let password =
            |info: ConnectionInfo| info.login.and_then(|login| login.password.as_text().map(str::to_owned));
        assert_eq!(password(at("127.0.0.1", 1)).as_deref(), Some("one"));
        assert_eq!(password(at("127.0.0.1", 2)).as_deref(), Some("two"));
        assert_eq!(password(at("127.0.0.1", 3)).as_deref(), Some("one"), "one that was found");
        assert_eq!(at("10.0.0.3", 3).address(), "h:4");
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for bad in ["http://u:hunter2@h/", "redis://u:hunter2@h/x", "redis://u:hunter2@h/?q=1", "hunter2"] {
            let error = read_url(bad).err().unwrap();
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }
}
