//! The caches and databases, each in a file or folder of its own and behind a feature of its
//! own. What several of them share stands in `net` (sockets) and `records` (layouts).

use std::sync::Arc;

use serde_json::Value;

use crate::config::{self, nearest, shown, wrong, OptionSpec, Settings};
use crate::core::{Backend, EngineOptions, Error};

#[cfg(feature = "cassandra")]
mod cassandra;
#[cfg(feature = "couchdb")]
mod couchdb;
#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(feature = "elasticache")]
mod elasticache;
#[cfg(feature = "ironcache")]
mod ironcache;
#[cfg(feature = "memcached")]
mod memcached;
#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;

/// A backend's entry in the list of all.
pub struct Entry {
    /// What the option `type` says.
    pub name: &'static str,
    /// The options besides those that all connectors have.
    pub options: &'static [OptionSpec],
    open: fn(&Settings) -> Result<Arc<dyn Backend>, Error>,
}

/// Every backend that is compiled in.
pub const ENTRIES: &[Entry] = &[
    #[cfg(feature = "memory")]
    Entry { name: "memory", options: memory::OPTIONS, open: memory::open },
    #[cfg(feature = "sqlite")]
    Entry { name: "sqlite", options: sqlite::OPTIONS, open: sqlite::open },
    #[cfg(feature = "redis")]
    Entry { name: "redis", options: redis::OPTIONS, open: redis::open },
    #[cfg(feature = "memcached")]
    Entry { name: "memcached", options: memcached::OPTIONS, open: memcached::open },
    #[cfg(feature = "cassandra")]
    Entry { name: "cassandra", options: cassandra::OPTIONS, open: cassandra::open },
    #[cfg(feature = "mysql")]
    Entry { name: "mysql", options: mysql::OPTIONS, open: mysql::open },
    #[cfg(feature = "mysql")]
    Entry { name: "mariadb", options: mysql::OPTIONS, open: mysql::open },
    #[cfg(feature = "mongodb")]
    Entry { name: "mongodb", options: mongodb::OPTIONS, open: mongodb::open },
    #[cfg(feature = "postgres")]
    Entry { name: "postgres", options: postgres::OPTIONS, open: postgres::open },
    #[cfg(feature = "ironcache")]
    Entry { name: "ironcache", options: ironcache::OPTIONS, open: ironcache::open },
    #[cfg(feature = "couchdb")]
    Entry { name: "couchdb", options: couchdb::OPTIONS, open: couchdb::open },
    #[cfg(feature = "dynamodb")]
    Entry { name: "dynamodb", options: dynamodb::OPTIONS, open: dynamodb::open },
    #[cfg(feature = "elasticache")]
    Entry { name: "elasticache", options: elasticache::OPTIONS, open: elasticache::open },
];

/// Every type there is and the feature that brings it, so that one that is left out of a build
/// can be named as such.
const KNOWN: &[(&str, &str)] = &[
    ("memory", "memory"),
    ("sqlite", "sqlite"),
    ("redis", "redis"),
    ("memcached", "memcached"),
    ("elasticache", "elasticache"),
    ("ironcache", "ironcache"),
    ("postgres", "postgres"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
    ("mongodb", "mongodb"),
    ("couchdb", "couchdb"),
    ("cassandra", "cassandra"),
    ("dynamodb", "dynamodb"),
];

/// Makes a backend and the engine's options from a configuration (JSON text).
///
/// # Errors
/// Code `Configuration`, with a message that names the option and the remedy.
pub fn open(configuration: &[u8]) -> Result<(Arc<dyn Backend>, EngineOptions), Error> {
    let values = config::parse(configuration)?;
    let entry = entry_of(values.get("type"), ENTRIES)?;
    #[cfg(feature = "cassandra-tls")]
    crate::net::tls::choose_provider();
    let settings = Settings::check(values, entry.name, entry.options)?;
    let backend = (entry.open)(&settings).map_err(|error| settings.as_spelled(&error))?;
    Ok((backend, settings.engine()))
}

/// The one of these entries that the option `type` names.
fn entry_of<'a>(kind: Option<&Value>, compiled: &'a [Entry]) -> Result<&'a Entry, Error> {
    let names = || compiled.iter().map(|entry| entry.name);
    let list = || names().collect::<Vec<_>>().join(", ");
    let name = match kind {
        Some(Value::String(name)) => name,
        Some(_) => return Err(wrong(format!("the option \"type\" is not text; give one of {}", list()))),
        None => return Err(wrong(format!("the option \"type\" is missing; give one of {}", list()))),
    };
    if let Some(entry) = compiled.iter().find(|entry| entry.name == name) {
        return Ok(entry);
    }
    if let Some((_, feature)) = KNOWN.iter().find(|(known, _)| known == name) {
        return Err(wrong(format!(
            "the type \"{name}\" is not compiled into this library; build it with the cargo feature \"{feature}\" (it has: {})",
            list()
        )));
    }
    let hint = nearest(name, names()).map(|word| format!(" (did you mean \"{word}\"?)")).unwrap_or_default();
    let given = shown(name).map_or("no name of a database".into(), |name| format!("\"{name}\""));
    Err(wrong(format!("the option \"type\" is {given}; give one of {}{hint}", list())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_may_hold_a_secret_is_not_repeated() {
        let kind = Value::String("redis://:hunter2@host".into());
        let message = entry_of(Some(&kind), ENTRIES).err().map(|error| error.message().to_owned());
        assert!(message.is_some_and(|message| message.contains("\"type\"") && !message.contains("hunter2")));
    }

    #[test]
    fn a_type_that_is_left_out_of_a_build_names_its_feature() {
        let refused = |name: &str, compiled: &[Entry]| {
            let kind = Value::String(name.into());
            entry_of(Some(&kind), compiled).err().map(|error| error.message().to_owned())
        };
        for (name, feature) in KNOWN {
            let message = refused(name, &[]).unwrap_or_default();
            assert!(message.contains(&format!("the cargo feature \"{feature}\"")), "{message}");
        }
        for entry in ENTRIES {
            assert_eq!(refused(entry.name, ENTRIES), None);
            assert!(KNOWN.iter().any(|(name, _)| *name == entry.name), "{} is not known", entry.name);
        }
    }
}
