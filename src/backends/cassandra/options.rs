//! The options of the Cassandra backend, checked.

use std::time::Duration;

use scylla::frame::types::Consistency;
use scylla::frame::Compression;

use super::place::Rows;
use super::statements::{quoted, OUR_COLUMNS};
use crate::config::{wrong, Server, Settings};
use crate::core::Error;
use crate::net::stream;
use crate::net::tls::Tls;
use crate::records::omissions::Omissions;

const DEFAULT_PORT: u16 = 9042;
const DEFAULT_KEYSPACE: &str = "deepstream";
const DEFAULT_TABLE: &str = "records";
const DEFAULT_SPLIT_CHAR: &str = "/";
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(2);

/// The options, checked.
pub(super) struct Options {
    /// `host:port` of each contact point.
    pub contact_points: Vec<String>,
    pub datacentre: Option<String>,
    pub keyspace: String,
    pub table: String,
    pub replication: Option<Replication>,
    pub rows: Rows,
    /// Names of further columns.
    pub columns: Vec<String>,
    pub reads: Consistency,
    pub writes: Consistency,
    /// Seconds; 0 is for ever.
    pub ttl: i64,
    pub login: Option<(String, String)>,
    #[cfg(feature = "cassandra-tls")]
    pub tls: Option<Tls>,
    pub heartbeat: Duration,
    pub speculative_delay: Option<Duration>,
    pub connect_timeout: Duration,
    /// What operations have.
    pub timeout: Duration,
    pub compression: Option<Compression>,
    /// What listings left out.
    pub omissions: Omissions,
}

/// How many replicas a new keyspace has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replication {
    /// In each datacentre there is.
    Everywhere(u32),
    /// In each of these.
    In(Vec<(String, u32)>),
}

impl Options {
    pub fn from_settings(settings: &Settings) -> Result<Options, Error> {
        if !cfg!(feature = "cassandra-tls") && transport_security(settings)?.is_some() {
            return Err(wrong(
                "TLS to Cassandra is not compiled into this library; build it with the cargo feature \"cassandra-tls\"",
            ));
        }
        if settings.has("cloud") {
            return Err(wrong(
                "the option \"cloud\" (a secure connect bundle, as of Astra) is not supported; give \"contactPoints\", \"localDataCenter\" and \"tls\" of a cluster that is reached without one",
            ));
        }
        let contact_points = contact_points(settings)?;
        let number = settings.object("queryOptions").and_then(|inner| inner.integer("consistency"));
        if number.is_some() {
            one_of(settings, "consistency", "queryOptions")?;
        }
        let consistency = settings.text("consistency").or(number.map(numbered).transpose()?);
        let level = |name: &str| in_protocol(settings.text(name).or(consistency).unwrap_or_default());
        Ok(Options {
            contact_points,
            datacentre: settings.text("localDataCenter").map(str::to_owned),
            keyspace: name(settings, "keyspace", DEFAULT_KEYSPACE)?,
            table: name(settings, "table", DEFAULT_TABLE)?,
            replication: settings.text("replication").map(replication).transpose()?,
            rows: Rows {
                separator: separator(settings)?,
                prefix: settings.text("keyPrefix").unwrap_or_default().to_owned(),
            },
            columns: columns(settings)?,
            reads: level("readConsistency"),
            writes: level("writeConsistency"),
            ttl: settings.integer("ttl").unwrap_or(0),
            login: login(settings)?,
            #[cfg(feature = "cassandra-tls")]
            tls: transport_security(settings)?,
            heartbeat: settings.milliseconds("heartBeatInterval").unwrap_or(DEFAULT_HEARTBEAT),
            speculative_delay: settings.milliseconds("speculativeDelay").filter(|delay| !delay.is_zero()),
            connect_timeout: settings.engine().connect_timeout,
            timeout: settings.engine().timeout,
            compression: compression(settings),
            omissions: Omissions::default(),
        })
    }

    /// The table with its keyspace, quoted for CQL.
    pub fn full_table(&self) -> String {
        format!("{}.{}", quoted(&self.keyspace), quoted(&self.table))
    }
}

/// Refuses two options that say the same.
fn one_of(settings: &Settings, one: &str, other: &str) -> Result<(), Error> {
    match settings.has(one) && settings.has(other) {
        true => {
            Err(wrong(format!("the options \"{one}\" and \"{other}\" mean the same; leave one of them out")))
        }
        false => Ok(()),
    }
}

fn contact_points(settings: &Settings) -> Result<Vec<String>, Error> {
    one_of(settings, "port", "protocolOptions")?;
    let inner = settings.object("protocolOptions").and_then(|inner| inner.integer("port"));
    let port = settings.integer("port").or(inner).and_then(|port| u16::try_from(port).ok());
    let port = port.unwrap_or(DEFAULT_PORT);
    let mut servers = settings.servers("contactPoints");
    if servers.is_empty() {
        servers.extend(Server::parse("127.0.0.1"));
    }
    let ports: Vec<u16> = servers.iter().map(|server| server.port.unwrap_or(port)).collect();
    // Nodes do not tell each other's ports, so the driver takes that of the node it asks.
    if ports.iter().any(|other| *other != ports[0]) {
        return Err(wrong(
            "the contact points have different ports; all nodes of a cluster listen on one, so give it as \"port\"",
        ));
    }
    Ok(servers.iter().zip(ports).map(|(server, port)| stream::in_words(&server.host, port)).collect())
}

/// Whether Cassandra takes it for a keyspace or table, which it makes the name of a folder.
fn is_a_name(name: &str) -> bool {
    (1..=48).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn name(settings: &Settings, option: &str, default: &str) -> Result<String, Error> {
    let name = settings.text(option).unwrap_or(default);
    match is_a_name(name) {
        true => Ok(name.to_owned()),
        false => Err(wrong(format!(
            "the option \"{option}\" is no name that Cassandra takes; give 1 to 48 letters, digits and underscores"
        ))),
    }
}

fn columns(settings: &Settings) -> Result<Vec<String>, Error> {
    let Some(text) = settings.text("columns") else { return Ok(Vec::new()) };
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let is_ours = OUR_COLUMNS.contains(&name);
        if !is_a_name(name) || is_ours || names.iter().any(|other| other == name) {
            return Err(wrong(format!(
                "the option \"columns\" is no list of names such as \"name,age\", each once, of letters, digits and underscores, and other than {}",
                OUR_COLUMNS.join(", ")
            )));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn separator(settings: &Settings) -> Result<String, Error> {
    match settings.text("splitChar").unwrap_or(DEFAULT_SPLIT_CHAR) {
        "" => Err(wrong("the option \"splitChar\" is empty; leave it out for \"/\"")),
        text if text.len() > 48 => {
            Err(wrong("the option \"splitChar\" is longer than 48 bytes; give a shorter one"))
        }
        text => Ok(text.to_owned()),
    }
}

/// `3`, or `dc1:3,dc2:2`.
fn replication(text: &str) -> Result<Replication, Error> {
    let count = |text: &str| text.trim().parse().ok().filter(|count| (1..=1_000).contains(count));
    if let Some(count) = count(text) {
        return Ok(Replication::Everywhere(count));
    }
    let each = text.split(',').map(|part| {
        let (datacentre, digits) = part.rsplit_once(':')?;
        let datacentre = datacentre.trim();
        (!datacentre.is_empty()).then_some(())?;
        Some((datacentre.to_owned(), count(digits)?))
    });
    each.collect::<Option<Vec<_>>>().map(Replication::In).ok_or_else(|| {
        wrong("the option \"replication\" is no number of replicas; give one such as 3, or one for each datacentre such as \"dc1:3,dc2:2\"")
    })
}

fn in_protocol(word: &str) -> Consistency {
    match word {
        "ONE" => Consistency::One,
        "TWO" => Consistency::Two,
        "THREE" => Consistency::Three,
        "QUORUM" => Consistency::Quorum,
        "ALL" => Consistency::All,
        "EACH_QUORUM" => Consistency::EachQuorum,
        "LOCAL_ONE" => Consistency::LocalOne,
        _ => Consistency::LocalQuorum,
    }
}

/// A level by its number in `types.consistencies` of cassandra-driver.
fn numbered(number: i64) -> Result<&'static str, Error> {
    const LEVELS: &[(i64, &str)] = &[
        (1, "ONE"),
        (2, "TWO"),
        (3, "THREE"),
        (4, "QUORUM"),
        (5, "ALL"),
        (6, "LOCAL_QUORUM"),
        (10, "LOCAL_ONE"),
    ];
    let level = LEVELS.iter().find(|(of, _)| *of == number).map(|(_, level)| *level);
    level.ok_or_else(|| {
        wrong(format!(
            "the option \"queryOptions.consistency\" is {number}, which is no level for reads and writes; give 1 to 6 or 10, or \"readConsistency\" and \"writeConsistency\""
        ))
    })
}

fn compression(settings: &Settings) -> Option<Compression> {
    match settings.text("compression") {
        Some("lz4") => Some(Compression::Lz4),
        Some("snappy") => Some(Compression::Snappy),
        _ => None,
    }
}

fn login(settings: &Settings) -> Result<Option<(String, String)>, Error> {
    one_of(settings, "user", "credentials")?;
    one_of(settings, "password", "credentials")?;
    let inner = settings.object("credentials");
    let login = inner.as_ref().unwrap_or(settings);
    match (login.text("user"), login.text("password")) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => Ok(Some((username.to_owned(), password.to_owned()))),
        (Some(_), None) => Err(wrong("the option \"user\" needs \"password\" beside it")),
        (None, Some(_)) => Err(wrong("the option \"password\" needs \"user\" beside it")),
    }
}

fn transport_security(settings: &Settings) -> Result<Option<Tls>, Error> {
    // Each node has an address of its own; the driver has each certificate checked for that.
    Tls::from_settings(settings, "127.0.0.1", false)
}

#[cfg(test)]
mod tests {
    use super::super::specs::OPTIONS;
    use super::*;
    use crate::config::parse;

    fn read(text: &str) -> Result<Options, Error> {
        Options::from_settings(&Settings::check(parse(text.as_bytes())?, "cassandra", OPTIONS)?)
    }

    fn message(text: &str) -> String {
        read(text).err().unwrap_or_else(|| panic!("{text} is taken")).message().to_owned()
    }

    #[test]
    fn a_configuration_of_cassandra_driver_is_understood() {
        let options = read(
            r#"{"contactPoints": ["10.0.0.1", "h2"], "protocolOptions": {"port": 9043}, "localDataCenter": "dc1",
                "keyspace": "ks", "credentials": {"username": "u", "password": "p"}}"#,
        )
        .unwrap();
        assert_eq!(options.contact_points, ["10.0.0.1:9043", "h2:9043"]);
        assert_eq!(options.login, Some(("u".into(), "p".into())));
        assert_eq!(options.full_table(), r#""ks"."records""#);
        assert_eq!(read(r#"{"host": "h", "port": 9}"#).unwrap().contact_points, ["h:9"]);
        assert_eq!(read("{}").unwrap().contact_points, ["127.0.0.1:9042"]);
        assert_eq!(read(r#"{"contactPoints": "[::1]:7"}"#).unwrap().contact_points, ["[::1]:7"]);
    }

    #[test]
    fn consistency_is_for_both_unless_one_has_its_own() {
        let levels = |text: &str| {
            let options = read(text).unwrap();
            (options.reads, options.writes)
        };
        assert_eq!(levels("{}"), (Consistency::LocalQuorum, Consistency::LocalQuorum));
        assert_eq!(levels(r#"{"consistency": "one"}"#), (Consistency::One, Consistency::One));
        assert_eq!(
            levels(r#"{"consistency": "ALL", "readConsistency": "local_one"}"#),
            (Consistency::LocalOne, Consistency::All)
        );
        assert_eq!(levels(r#"{"writeConsistency": "EACH_QUORUM"}"#).1, Consistency::EachQuorum);
        assert_eq!(
            levels(r#"{"queryOptions": {"consistency": 4, "fetchSize": 100}, "readConsistency": "ONE"}"#),
            (Consistency::One, Consistency::Quorum)
        );
        assert_eq!(levels(r#"{"queryOptions": {"prepare": true}}"#).0, Consistency::LocalQuorum);
        assert!(message(r#"{"writeConsistency": "ANY"}"#).contains("\"writeConsistency\""));
    }

    #[test]
    fn replication_is_a_number_or_one_for_each_datacentre() {
        assert_eq!(replication("3").unwrap(), Replication::Everywhere(3));
        let each = vec![("dc1".to_owned(), 3), ("dc:2".to_owned(), 2)];
        assert_eq!(replication(" dc1:3, dc:2:2 ").unwrap(), Replication::In(each));
        assert_eq!(read(r#"{"replication": 1}"#).unwrap().replication, Some(Replication::Everywhere(1)));
        for bad in ["", "0", "three", "dc1", "dc1:", ":3", "dc1:3,,", "-1", "dc1:0"] {
            assert!(replication(bad).unwrap_err().message().contains("dc1:3,dc2:2"), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, word) in [
            (r#"{"port": 1, "protocolOptions": {"port": 2}}"#, "\"protocolOptions\""),
            (r#"{"username": "u", "credentials": {}}"#, "\"credentials\""),
            (r#"{"username": "u"}"#, "needs \"password\""),
            (r#"{"credentials": {"password": "p"}}"#, "needs \"user\""),
            (r#"{"keyspace": "a-b"}"#, "\"keyspace\""),
            (r#"{"table": ""}"#, "\"table\""),
            (r#"{"splitChar": ""}"#, "\"splitChar\""),
            (r#"{"contactPoints": ["a:1", "b:2"]}"#, "\"port\""),
            (r#"{"columns": "a,,b"}"#, "\"columns\""),
            (r#"{"columns": "a, data"}"#, "\"columns\""),
            (r#"{"columns": "a, a"}"#, "\"columns\""),
            (r#"{"cloud": {"secureConnectBundle": "a.zip"}}"#, "\"contactPoints\""),
            (r#"{"consistency": "ONE", "queryOptions": {"consistency": 1}}"#, "\"queryOptions\""),
            (r#"{"queryOptions": {"consistency": 0}}"#, "\"queryOptions.consistency\""),
            (r#"{"compression": "gzip"}"#, "\"compression\""),
            (r#"{"tls": true, "sslOptions": false}"#, "\"sslOptions\""),
        ] {
            let message = message(text);
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    #[cfg(not(feature = "cassandra-tls"))]
    #[test]
    fn tls_names_its_feature_where_it_is_not_compiled_in() {
        assert!(message(r#"{"tls": {"rejectUnauthorized": false}}"#).contains("\"cassandra-tls\""));
    }
}
