//! The login at one server, and questions to it.

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::OnceCell;

use super::reply::{refused, unexpected, Refusal, Reply};
use super::{binary, meta};
use crate::config::{wrong, Settings};
use crate::core::Error;
use crate::net::fleet::{Dial, Dialed, Node};
use crate::net::pipeline::{while_alive, Decode, Pipeline, Replies};
use crate::net::stream;
use crate::net::tls::Tls;

/// Which language a server speaks.
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

    pub fn set(self, out: &mut Vec<u8>, key: &[u8], expires: u32, value: &[u8]) {
        codec!(self, set(out, key, expires, value));
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

/// A server that answers.
#[derive(Clone)]
pub(super) struct Session {
    pipeline: Pipeline<Reply>,
    pub protocol: Protocol,
    /// See [`Session::item_limit`].
    item_limit: Arc<OnceCell<Option<usize>>>,
}

impl Session {
    /// Sends commands and waits for their answers.
    pub async fn ask(&self, commands: Vec<u8>, answers: usize) -> Result<Replies<Reply>, Error> {
        self.pipeline.ask(commands, answers).await
    }

    /// The largest item that the server takes, in bytes, if it says. It is asked when an item was
    /// too large, since all settings are the answer.
    pub async fn item_limit(&self) -> Result<Option<usize>, Error> {
        let limit = self.item_limit.get_or_try_init(|| async {
            let mut command = Vec::new();
            codec!(self.protocol, settings(&mut command));
            Ok(match self.ask_one(command).await? {
                Reply::ItemLimit(limit) => limit,
                // A server, or what stands before it, that does not say.
                _ => None,
            })
        });
        limit.await.copied()
    }

    async fn ask_one(&self, commands: Vec<u8>) -> Result<Reply, Error> {
        self.ask(commands, 1).await?.pop().ok_or_else(unexpected)
    }
}

/// The login at every server.
#[derive(Clone)]
pub(super) struct Login {
    protocol: Protocol,
    credentials: Option<(String, String)>,
    tls: Option<Tls>,
}

impl Login {
    pub fn from_settings(settings: &Settings) -> Result<Login, Error> {
        let text = |name: &str| settings.text(name).map(str::to_owned);
        let protocol = match settings.text("authentication") {
            Some("sasl") => Protocol::Binary,
            _ => Protocol::Meta,
        };
        let credentials = match (text("user"), text("password")) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("the option \"user\" needs \"password\" beside it")),
            (None, Some(_)) => return Err(wrong("the option \"password\" needs \"user\" beside it")),
        };
        if credentials.is_none() && settings.has("authentication") {
            return Err(wrong("the option \"authentication\" needs \"user\" and \"password\" beside it"));
        }
        if protocol == Protocol::Meta {
            let spaces = |text: &str| text.contains([' ', '\r', '\n']);
            if credentials.as_ref().is_some_and(|(username, password)| spaces(username) || spaces(password)) {
                return Err(wrong("with ASCII authentication \"user\" and \"password\" have no spaces; take others, or \"authentication\": \"sasl\""));
            }
        }
        Ok(Login { protocol, credentials, tls: Tls::from_settings(settings, "127.0.0.1", false)? })
    }

    async fn connect(self, node: Node) -> Result<Dialed<Session>, Error> {
        let tls = self.tls.as_ref().map(|tls| tls.for_host(&node.host)).transpose()?;
        let stream = stream::dial(&node.host, node.port, tls.as_ref()).await?;
        let decoder = match self.protocol {
            Protocol::Meta => Decoder::Meta(meta::Decoder::default()),
            Protocol::Binary => Decoder::Binary(binary::Decoder::default()),
        };
        let (pipeline, lifeline) = Pipeline::new(stream, decoder);
        let mut lifeline: BoxFuture<'static, Error> = Box::pin(lifeline);
        let session = Session { pipeline, protocol: self.protocol, item_limit: Arc::default() };
        while_alive(&mut lifeline, self.greet(&session)).await?;
        Ok((session, lifeline))
    }

    /// Logs in, and sees that the server speaks the protocol.
    async fn greet(&self, session: &Session) -> Result<(), Error> {
        if let Some((username, password)) = &self.credentials {
            // One that asks for no login would take that of ASCII authentication for a record.
            if self.protocol == Protocol::Meta && self.is_open(session).await? {
                return Err(no_login());
            }
            let mut command = Vec::new();
            codec!(self.protocol, log_in(&mut command, username, password));
            match session.ask_one(command).await? {
                Reply::Refused(Refusal::Unknown, _) => return Err(no_login()),
                reply => done(reply)?,
            }
        }
        match self.is_open(session).await? {
            true => Ok(()),
            false => Err(refused(Refusal::Login, "")),
        }
    }

    /// Asks for a sign of life; `false` where a login is wanted first.
    async fn is_open(&self, session: &Session) -> Result<bool, Error> {
        let mut command = Vec::new();
        codec!(self.protocol, no_op(&mut command));
        match session.ask_one(command).await? {
            Reply::Refused(Refusal::Login, _) => Ok(false),
            Reply::Refused(Refusal::Unknown, _) => {
                Err(wrong("the server does not know the meta protocol; memcached 1.6 or later is needed"))
            }
            reply => done(reply).map(|()| true),
        }
    }
}

fn no_login() -> Error {
    wrong("the server asks for no such login; leave the options \"user\", \"password\" and \"authentication\" out")
}

fn done(reply: Reply) -> Result<(), Error> {
    match reply {
        Reply::Done => Ok(()),
        Reply::Refused(refusal, said) => Err(refused(refusal, &said)),
        _ => Err(unexpected()),
    }
}

impl Dial for Login {
    type Session = Session;

    fn dial(&self, node: &Node) -> BoxFuture<'static, Result<Dialed<Session>, Error>> {
        self.clone().connect(node.clone()).boxed()
    }
}
