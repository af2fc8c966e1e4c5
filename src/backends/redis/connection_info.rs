//! What it takes to connect to a server: its address, TLS, the login and the database.

use futures_util::future::BoxFuture;
use url::{Host, Url};

use super::multiplexed_connection::MultiplexedConnection;
use super::options::DEFAULT_PORT;
use super::replies;
use crate::config::{wrong, Settings};
use crate::core::Error;
use crate::net::pipeline::while_alive;
use crate::net::stream;
use crate::net::tls::Tls;
use crate::net::traffic::Traffic;

/// A server, and the login there.
#[derive(Clone)]
pub(super) struct ConnectionInfo {
    address: ServerAddress,
    tls: Option<Tls>,
    username: Option<String>,
    password: Option<String>,
    db: i64,
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
        let username = option("user").or(parts.username);
        let password = option("password").or(parts.password);
        if username.is_some() && password.is_none() {
            return Err(wrong("the option \"user\" needs \"password\" beside it"));
        }
        let db = settings.integer("db").or(parts.db).unwrap_or(0);
        Ok(ConnectionInfo { address, tls, username, password, db })
    }

    /// A server that does not exist.
    #[cfg(test)]
    pub fn for_tests() -> ConnectionInfo {
        let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: 1 };
        ConnectionInfo { address, tls: None, username: None, password: None, db: 0 }
    }

    /// Host and port, or the socket's path.
    pub fn address(&self) -> String {
        match &self.address {
            ServerAddress::Tcp { host, port } => stream::in_words(host, *port),
            ServerAddress::Unix { path } => path.clone(),
        }
    }

    /// Authenticates, selects the database, names this client, and probes the server.
    async fn handshake(&self, connection: &MultiplexedConnection) -> Result<(), Error> {
        if let Some(password) = &self.password {
            let mut command = redis::cmd("AUTH");
            command.arg(self.username.as_deref()).arg(password);
            connection.send(command.get_packed_command(), 0).await.map_err(replies::login_error)?;
        }
        if self.db != 0 {
            let command = redis::cmd("SELECT").arg(self.db).get_packed_command();
            connection.send(command, 0).await.map_err(replies::select_error)?;
        }
        for (name, value) in [("LIB-NAME", "deepstream-connector"), ("LIB-VER", env!("CARGO_PKG_VERSION"))] {
            let command = redis::cmd("CLIENT").arg("SETINFO").arg(name).arg(value).get_packed_command();
            // Servers before 7.2 do not know it; a lost connection shows at the next command.
            let _ = connection.send(command, 0).await;
        }
        match connection.send(redis::cmd("PING").get_packed_command(), 0).await {
            Ok(_) => Ok(()),
            Err(error) => replies::ping_error(error),
        }
    }

    /// The same login at another server.
    pub fn at(&self, host: &str, port: u16) -> Result<ConnectionInfo, Error> {
        let tls = self.tls.as_ref().map(|tls| tls.for_host(host)).transpose()?;
        Ok(ConnectionInfo {
            address: ServerAddress::Tcp { host: host.to_owned(), port },
            tls,
            ..self.clone()
        })
    }

    /// Connects, and completes the handshake. The future that comes with the connection is its
    /// background work; `traffic` counts what moves on it.
    pub async fn connect(
        &self,
        traffic: &Traffic,
    ) -> Result<(MultiplexedConnection, BoxFuture<'static, Error>), Error> {
        let stream = match &self.address {
            ServerAddress::Tcp { host, port } => {
                stream::dial(host, *port, self.tls.as_ref(), traffic).await?
            }
            ServerAddress::Unix { path } => stream::dial_unix(path, traffic).await?,
        };
        let (connection, lifeline) = MultiplexedConnection::new(stream);
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(lifeline);
        while_alive(&mut lifeline, self.handshake(&connection)).await?;
        Ok((connection, lifeline))
    }
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
    for (name, value) in url.query_pairs() {
        match &*name {
            "db" => db = Some(value.into_owned()),
            "user" | "username" => parts.username = Some(value.into_owned()),
            "pass" | "password" => parts.password = Some(value.into_owned()),
            _ => {
                return Err(wrong("the option \"url\" has a query that is none of db, username, password"));
            }
        }
    }
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
    fn a_bad_url_is_refused_without_its_password() {
        for bad in ["http://u:hunter2@h/", "redis://u:hunter2@h/x", "redis://u:hunter2@h/?q=1", "hunter2"] {
            let error = read_url(bad).err().unwrap();
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }
}
