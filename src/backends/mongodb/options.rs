//! The options, checked.

use std::time::Duration;

use mongodb::options::{Acknowledgment, ConnectionString, HostInfo, Tls, TlsOptions};

use super::collections::{self, Collections};
use super::layout::Layout;
use crate::config::{wrong, Settings};
use crate::core::Error;
use crate::records::classic;

const DEFAULT_COLLECTION: &str = "deepstream_docs";
const DEFAULT_SPLIT_CHAR: &str = "/";
const DEFAULT_DATABASE: &str = "test";

/// Parameters of a connection string that other drivers know and that mean nothing here.
const IGNORED: &[&str] = &[
    "compressors",
    "zlibcompressionlevel",
    "sockettimeoutms",
    "waitqueuetimeoutms",
    "usenewurlparser",
    "useunifiedtopology",
];

/// The options, checked.
pub(super) struct Options {
    pub connection: ConnectionString,
    pub database: String,
    pub collections: Collections,
    pub layout: Layout,
    /// For messages.
    pub target: String,
    pub connect_timeout: Duration,
    /// The option `tls`, where it is given.
    pub tls: Option<Tls>,
    pub max_connections: Option<u32>,
}

impl Options {
    pub fn from_settings(settings: &Settings) -> Result<Options, Error> {
        let connection = connection(settings)?;
        let layout = match settings.text("layout") {
            Some("V1") if classic::has_values(settings) => Layout::Classic,
            Some("V1") => Layout::V1,
            _ => Layout::V2,
        };
        let separator = match (settings.text("splitChar"), layout) {
            (Some(""), _) => {
                return Err(wrong("the option \"splitChar\" is empty; leave it out for its default"))
            }
            (Some(text), _) => Some(text.to_owned()),
            (None, Layout::V1 | Layout::Classic) => None,
            (None, Layout::V2) => Some(DEFAULT_SPLIT_CHAR.to_owned()),
        };
        let default = settings.text("defaultCollection").unwrap_or(DEFAULT_COLLECTION).to_owned();
        if !collections::is_name(&default) {
            return Err(wrong(
                "the option \"defaultCollection\" is no name of a collection; give 1 to 190 bytes without \"$\", NUL, a dot at either end, two dots together, or \"system.\" in front",
            ));
        }
        Ok(Options {
            database: database(settings, &connection)?,
            target: target(&connection),
            connection,
            collections: Collections { separator, default },
            layout,
            connect_timeout: settings.engine().connect_timeout,
            tls: tls(settings)?,
            max_connections: ["maxConnections", "maxPoolSize", "poolSize"]
                .iter()
                .find_map(|name| settings.count(name))
                .and_then(|count| u32::try_from(count).ok()),
        })
    }
}

fn connection(settings: &Settings) -> Result<ConnectionString, Error> {
    let example = "give one such as \"mongodb://127.0.0.1:27017/deepstream\"";
    let text = match settings.text("url") {
        None => return Err(wrong(format!("the option \"url\" is missing; {example}"))),
        Some(text) => without_ignored(text),
    };
    let connection = ConnectionString::parse(&text).map_err(|error| {
        let words = match &*error.kind {
            mongodb::error::ErrorKind::InvalidArgument { message, .. } => message.clone(),
            _ => "it cannot be read".into(),
        };
        // What the driver quotes may be a part of the login.
        let words = match text.contains('@') && words.contains(['"', '\'', '`', ':']) {
            true => "it cannot be read; are user and password percent-encoded?".into(),
            false => words,
        };
        wrong(format!("the option \"url\" is of no use: {words}; {example}"))
    })?;
    let concern = connection.write_concern.as_ref();
    if concern.and_then(|concern| concern.w.as_ref()) == Some(&Acknowledgment::Nodes(0)) {
        return Err(wrong(
            "the option \"url\" has w=0, and then nobody would hear whether a record was stored; give w=1 or more, or w=majority",
        ));
    }
    Ok(connection)
}

/// What the option `tls` says to the driver, which reads files and no text.
fn tls(settings: &Settings) -> Result<Option<Tls>, Error> {
    let Some(options) = settings.object("tls") else {
        return Ok(match settings.flag("tls") {
            Some(true) => Some(Tls::Enabled(TlsOptions::default())),
            Some(false) => Some(Tls::Disabled),
            None => None,
        });
    };
    let file = |name: &str| {
        match options.text(name) {
        Some(text) if text.contains("-----BEGIN") => Err(wrong(format!(
            "the option \"tls.{name}\" is PEM text, which MongoDB's driver does not take; write it into a file and give its path"
        ))),
        path => Ok(path.map(str::to_owned)),
    }
    };
    let (cert, key) = (file("cert")?, file("key")?);
    if key.is_some() && cert != key {
        return Err(wrong(
            "the options \"tls.cert\" and \"tls.key\" are two files, and MongoDB's driver reads one; put both into one file, and give its path as \"tls.cert\"",
        ));
    }
    let mut tls = TlsOptions::default();
    tls.ca_file_path = file("ca")?.map(Into::into);
    tls.cert_key_file_path = cert.map(Into::into);
    tls.allow_invalid_certificates = options.flag("rejectUnauthorized").map(|checks| !checks);
    Ok(Some(Tls::Enabled(tls)))
}

/// Takes the parameters out that are ignored.
fn without_ignored(text: &str) -> String {
    let Some((address, parameters)) = text.split_once('?') else { return text.to_owned() };
    let is_wanted = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        !IGNORED.iter().any(|ignored| ignored.eq_ignore_ascii_case(name))
    };
    let kept: Vec<&str> = parameters.split('&').filter(is_wanted).collect();
    match kept.is_empty() {
        true => address.to_owned(),
        false => format!("{address}?{}", kept.join("&")),
    }
}

fn database(settings: &Settings, connection: &ConnectionString) -> Result<String, Error> {
    let name =
        settings.text("database").or(connection.default_database.as_deref()).unwrap_or(DEFAULT_DATABASE);
    let is_name = !name.is_empty()
        && name.len() <= 63
        && !name.contains(['/', '\\', '.', ' ', '"', '$', '\0', '*', '<', '>', ':', '|', '?']);
    match is_name {
        true => Ok(name.to_owned()),
        false => Err(wrong(
            "the option \"database\" is no name of a database; give 1 to 63 bytes without / \\ . \" $ * < > : | ? or space",
        )),
    }
}

fn target(connection: &ConnectionString) -> String {
    match &connection.host_info {
        HostInfo::HostIdentifiers(servers) => {
            let list: Vec<String> = servers.iter().map(ToString::to_string).collect();
            format!("MongoDB at {}", list.join(", "))
        }
        HostInfo::DnsRecord(name) => format!("MongoDB at {name}"),
        _ => "MongoDB".into(),
    }
}
