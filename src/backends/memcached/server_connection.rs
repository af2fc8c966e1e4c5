//! A connection to one server, and how it is made.

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::OnceCell;

use super::reply::{server_error, unexpected, ErrorKind, Reply};
use super::{binary, meta};
use crate::config::{wrong, Secret, Settings};
use crate::core::Error;
use crate::net::fleet::{Dial, Dialed, Node};
use crate::net::pipeline::{while_alive, Decode, Pings, Pipeline, Replies};
use crate::net::stream;
use crate::net::tls::Tls;
use crate::net::traffic::Traffic;

/// Which protocol a server speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Meta,
    Binary,
}

/// Calls a function of the protocol's codec.
macro_rules! codec {
    ($protocol:expr, $call:ident($($argument:expr),*)) => {
        match $protocol {
            Protocol::Meta => meta::$call($($argument),*),
            Protocol::Binary => binary::$call($($argument),*),
        }
    };
}

impl Protocol {
    pub fn get(self, out: &mut Vec<u8>, key: &[u8]) {
        codec!(self, get(out, key));
    }

    pub fn set(self, out: &mut Vec<u8>, key: &[u8], exptime: u32, value: &[u8]) {
        codec!(self, set(out, key, exptime, value));
    }

    pub fn delete(self, out: &mut Vec<u8>, key: &[u8]) {
        codec!(self, delete(out, key));
    }
}

enum Decoder {
    Meta(meta::Decoder),
    Binary(binary::Decoder),
}

impl Decode for Decoder {
    type Reply = Reply;

    fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, Error> {
        match self {
            Decoder::Meta(decoder) => decoder.next(input),
            Decoder::Binary(decoder) => decoder.next(input),
        }
    }
}

/// See the module. Clones share the connection.
#[derive(Clone)]
pub(super) struct ServerConnection {
    pipeline: Pipeline<Reply>,
    pub protocol: Protocol,
    /// See [`ServerConnection::item_size_max`].
    item_size_max: Arc<OnceCell<Option<usize>>>,
}

impl ServerConnection {
    /// Sends commands and waits for so many replies.
    pub async fn send(&self, commands: Vec<u8>, replies: usize) -> Result<Replies<Reply>, Error> {
        self.pipeline.send(commands, replies).await
    }

    /// The setting `item_size_max`, in bytes, if the server tells it. It is asked for when an item
    /// was too large, since the reply to `stats settings` is long.
    pub async fn item_size_max(&self) -> Result<Option<usize>, Error> {
        let limit = self.item_size_max.get_or_try_init(|| async {
            let mut command = Vec::new();
            codec!(self.protocol, stats_settings(&mut command));
            Ok(match self.send_one(command).await? {
                Reply::ItemSizeMax(limit) => limit,
                // A server, or a proxy before it, that does not tell.
                _ => None,
            })
        });
        limit.await.copied()
    }

    async fn send_one(&self, commands: Vec<u8>) -> Result<Reply, Error> {
        self.send(commands, 1).await?.pop().ok_or_else(unexpected)
    }
}

/// Connects to servers.
#[derive(Clone)]
pub(super) struct ServerDialer {
    protocol: Protocol,
    credentials: Option<(String, Secret)>,
    tls: Option<Tls>,
    pings: Option<Pings>,
}

impl ServerDialer {
    pub fn from_settings(settings: &Settings) -> Result<ServerDialer, Error> {
        let protocol = match settings.text("authentication") {
            Some("sasl") => Protocol::Binary,
            _ => Protocol::Meta,
        };
        let credentials = match (settings.text("user"), settings.secret("password")) {
            (Some(username), Some(password)) => Some((username.to_owned(), password)),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("the option \"user\" needs \"password\" beside it")),
            (None, Some(_)) => return Err(wrong("the option \"password\" needs \"user\" beside it")),
        };
        if credentials.is_none() && settings.has("authentication") {
            return Err(wrong("the option \"authentication\" needs \"user\" and \"password\" beside it"));
        }
        if protocol == Protocol::Meta {
            if let Some((username, password)) = &credentials {
                check_ascii(username, password.as_text().unwrap_or_default())?;
            }
        }
        let mut ping = Vec::new();
        codec!(protocol, no_op(&mut ping));
        let pings = Pings::from_settings(settings, &ping);
        let tls = Tls::from_settings(settings, "127.0.0.1", false)?;
        Ok(ServerDialer { protocol, credentials, tls, pings })
    }

    /// How idle connections are kept open.
    pub fn pings(&self) -> Option<&Pings> {
        self.pings.as_ref()
    }

    async fn connect(self, node: Node, traffic: Traffic) -> Result<Dialed<ServerConnection>, Error> {
        let tls = self.tls.as_ref().map(|tls| tls.for_host(&node.host)).transpose()?;
        let stream = stream::dial(&node.host, node.port, tls.as_ref(), &traffic).await?;
        let decoder = match self.protocol {
            Protocol::Meta => Decoder::Meta(meta::Decoder::default()),
            Protocol::Binary => Decoder::Binary(binary::Decoder::default()),
        };
        let (pipeline, lifeline) = Pipeline::pinging(stream, decoder, self.pings.clone());
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(lifeline);
        let connection =
            ServerConnection { pipeline, protocol: self.protocol, item_size_max: Arc::default() };
        while_alive(&mut lifeline, self.handshake(&connection)).await?;
        Ok((connection, lifeline))
    }

    /// Authenticates, and sees that the server speaks the protocol.
    async fn handshake(&self, connection: &ServerConnection) -> Result<(), Error> {
        if let Some((username, password)) = &self.credentials {
            // A server without `-Y` would store the item that is the ASCII authentication.
            if self.protocol == Protocol::Meta && self.probe(connection).await? {
                return Err(no_authentication());
            }
            let password = password.current().await?;
            if self.protocol == Protocol::Meta {
                check_ascii(username, &password)?;
            }
            let mut command = Vec::new();
            codec!(self.protocol, authenticate(&mut command, username, &password));
            match connection.send_one(command).await? {
                Reply::Error(ErrorKind::UnknownCommand, _) => return Err(no_authentication()),
                reply => success(reply)?,
            }
        }
        match self.probe(connection).await? {
            true => Ok(()),
            false => Err(server_error(ErrorKind::Authentication, "")),
        }
    }

    /// Sends a no-op; `false` where the server wants authentication first.
    async fn probe(&self, connection: &ServerConnection) -> Result<bool, Error> {
        let mut command = Vec::new();
        codec!(self.protocol, no_op(&mut command));
        match connection.send_one(command).await? {
            Reply::Error(ErrorKind::Authentication, _) => Ok(false),
            Reply::Error(ErrorKind::UnknownCommand, _) => {
                Err(wrong("the server does not know the meta protocol; memcached 1.6 or later is needed"))
            }
            reply => success(reply).map(|()| true),
        }
    }
}

fn check_ascii(username: &str, password: &str) -> Result<(), Error> {
    match [username, password].iter().any(|text| text.contains([' ', '\r', '\n'])) {
        true => Err(wrong("with ASCII authentication \"user\" and \"password\" have no spaces; take others, or \"authentication\": \"sasl\"")),
        false => Ok(()),
    }
}

fn no_authentication() -> Error {
    wrong("the server asks for no such login; leave the options \"user\", \"password\" and \"authentication\" out")
}

fn success(reply: Reply) -> Result<(), Error> {
    match reply {
        Reply::Success => Ok(()),
        Reply::Error(kind, text) => Err(server_error(kind, &text)),
        _ => Err(unexpected()),
    }
}

impl Dial for ServerDialer {
    type Connection = ServerConnection;

    fn dial(
        &self,
        node: &Node,
        traffic: &Traffic,
    ) -> BoxFuture<'static, Result<Dialed<ServerConnection>, Error>> {
        self.clone().connect(node.clone(), traffic.clone()).boxed()
    }
}
