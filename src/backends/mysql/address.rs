//! The option `url`: `mysql://user:password@host:port,host:port/database?words`, with the words that
//! clients in many languages have behind the question mark.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::security::Words;
use crate::config::{aliases, nearest, wrong, OptionSpec, Server};
use crate::core::Error;

/// What a URL says.
#[derive(Default)]
pub(super) struct Parts {
    /// Host and port of each server.
    pub places: Vec<Server>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: Option<String>,
    /// What it says about TLS.
    pub tls: Words,
    /// Options that are in it under their own names.
    pub options: Map<String, Value>,
    /// Words that have no effect here.
    pub without_effect: Vec<&'static str>,
}

/// Words of other clients, and the option that they are here.
const OTHER_NAMES: &[(&str, &str)] =
    &[("socket", "socketPath"), ("unix_socket", "socketPath"), ("connection_limit", "maxConnections")];

/// Words of other clients that mean nothing here: of Prisma, SQLAlchemy and others of Python, Go,
/// JDBC, PHP, Rust.
const WITHOUT_EFFECT: &[&str] = &[
    "allowCleartextPasswords",
    "allowMultiQueries",
    "allowNativePasswords",
    "allowPublicKeyRetrieval",
    "autocommit",
    "autoReconnect",
    "cachePrepStmts",
    "characterEncoding",
    "collation",
    "connect_timeout",
    "connectTimeout",
    "connectionTimeZone",
    "encoding",
    "get_server_public_key",
    "init_command",
    "interpolateParams",
    "loc",
    "maxAllowedPacket",
    "parseTime",
    "pool",
    "pool_recycle",
    "pool_timeout",
    "prefer_socket",
    "readTimeout",
    "reconnect",
    "rewriteBatchedStatements",
    "schema",
    "serverTimezone",
    "socket_timeout",
    "sql_mode",
    "statement_cache_size",
    "tcpKeepAlive",
    "timeout",
    "tinyInt1isBit",
    "useCompression",
    "useServerPrepStmts",
    "useUnicode",
    "writeTimeout",
    "zeroDateTimeBehavior",
];

const EXAMPLE: &str = "give one such as mysql://user:password@host:3306/database";

impl Parts {
    /// Reads the option. `specs` are the options of the backend.
    pub fn read(text: &str, specs: &[OptionSpec]) -> Result<Parts, Error> {
        let text = text.trim();
        let known = ["mysql://", "mariadb://", "mysql2://", "jdbc:mysql://", "jdbc:mariadb://"];
        let Some(rest) = known.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
            return Err(wrong(format!("the option \"url\" is no address of MySQL or MariaDB; {EXAMPLE}")));
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if rest[end..].contains('@') {
            // It may end a login that has one of these characters as it is.
            return Err(wrong(
                "the option \"url\" has a character in a name or password that means something else in a URL; it must be percent-encoded, such as @ as %40, / as %2F, ? as %3F and % as %25",
            ));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, places) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let mut parts = Parts {
            user: some(user)?,
            password: some(password)?,
            database: some(database)?,
            ..Parts::default()
        };
        for place in places.split(',').filter(|place| !place.is_empty()) {
            parts.places.push(place_of(&decoded(place)?)?);
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (word, value) = pair.split_once('=').unwrap_or((pair, ""));
            parts.take(&decoded(word)?, decoded(value)?, specs)?;
        }
        Ok(parts)
    }

    fn take(&mut self, word: &str, value: String, specs: &[OptionSpec]) -> Result<(), Error> {
        if self.tls.take(word, &value)? {
            return Ok(());
        }
        let word = OTHER_NAMES.iter().find(|(other, _)| *other == word).map_or(word, |(_, own)| *own);
        if let Some(unused) = WITHOUT_EFFECT.iter().find(|unused| unused.eq_ignore_ascii_case(word)) {
            self.without_effect.push(*unused);
            return Ok(());
        }
        let names = || specs.iter().flat_map(|spec| aliases(spec.name, specs).chain([spec.name]));
        if names().any(|name| name == word) && word != "url" {
            self.options.insert(word.to_owned(), Value::String(value));
            return Ok(());
        }
        // It may be a part of a password, and is not shown.
        let hint = nearest(word, names()).map(|name| format!("; did you mean \"{name}\"?"));
        Err(wrong(format!(
            "the option \"url\" has a word behind its question mark that is not known here{}",
            hint.unwrap_or_default()
        )))
    }
}

/// Reads host and port. Nothing of what is wrong is shown: it may be a part of a password.
pub(super) fn place_of(text: &str) -> Result<Server, Error> {
    Server::parse(text).ok_or_else(|| {
        wrong(format!("a host or port in the options \"host\" and \"url\" is none; {EXAMPLE}"))
    })
}

fn some(text: &str) -> Result<Option<String>, Error> {
    Ok(Some(decoded(text)?).filter(|text| !text.is_empty()))
}

fn decoded(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| wrong("the option \"url\" is not UTF-8 when decoded"))
}
