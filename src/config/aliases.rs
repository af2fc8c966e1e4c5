//! One spelling for one thing: what all backends call an option, and what the clients that users come from call it.
//!
//! A backend declares the first name alone; the others are taken wherever the first one is, and nowhere else. An option
//! that a backend declares under one of the other names (Redis's `db` is a number) is that option there.

use super::spec::OptionSpec;

/// An option's name, and its other spellings.
const ALIASES: &[(&str, &[&str])] = &[
    // `username`: Redis, CouchDB, Cassandra, memcached.
    ("user", &["username"]),
    // What most others have.
    ("contactPoints", &["host"]),
    ("sentinelUser", &["sentinelUsername"]),
    // `connectionString`: deepstream's storages; `uri`: npm's mysql clients.
    ("url", &["connectionString", "uri"]),
    // `db`: `@deepstream/storage-mongodb`.
    ("database", &["db"]),
    // `max`: node-postgres; `connectionLimit`: npm's mysql clients; `connections`: the `ironcache` of before.
    ("maxConnections", &["max", "connectionLimit", "connections"]),
    // `defaultTable`: what deepstream's documentation calls it for MongoDB.
    ("defaultCollection", &["defaultTable"]),
    // `ssl`: node-postgres and npm's mysql clients; `sslOptions`: cassandra-driver.
    ("tls", &["ssl", "sslOptions"]),
];

/// The other spellings of an option among these.
pub fn aliases<'a>(name: &str, specs: &'a [OptionSpec]) -> impl Iterator<Item = &'static str> + use<'a> {
    let others = ALIASES.iter().find(|(first, _)| *first == name).map_or(&[][..], |(_, others)| others);
    others.iter().copied().filter(|other| specs.iter().all(|spec| spec.name != *other))
}

/// The option that a spelling means among these.
pub(super) fn declared<'a>(spelling: &str, specs: &'a [OptionSpec]) -> Option<&'a OptionSpec> {
    let named = |name: &str| specs.iter().find(|spec| spec.name == name);
    named(spelling).or_else(|| {
        let first = ALIASES.iter().find(|(_, others)| others.contains(&spelling));
        first.and_then(|(first, _)| named(first))
    })
}

#[cfg(test)]
mod tests {
    use super::super::spec::OptionKind;
    use super::*;

    const fn option(name: &'static str) -> OptionSpec {
        OptionSpec { name, kind: OptionKind::Text, default: "", meaning: "" }
    }

    #[test]
    fn a_spelling_means_the_option_that_is_declared() {
        let specs = [option("user"), option("database")];
        assert_eq!(declared("user", &specs).map(|spec| spec.name), Some("user"));
        assert_eq!(declared("username", &specs).map(|spec| spec.name), Some("user"));
        assert_eq!(declared("db", &specs).map(|spec| spec.name), Some("database"));
        assert!(declared("uri", &specs).is_none());
        let with_own = [option("database"), option("db")];
        assert_eq!(declared("db", &with_own).map(|spec| spec.name), Some("db"));
        assert_eq!(aliases("database", &specs).collect::<Vec<_>>(), ["db"]);
        assert_eq!(aliases("database", &with_own).count(), 0);
    }

    #[test]
    fn no_spelling_means_two_options() {
        let all: Vec<&str> =
            ALIASES.iter().flat_map(|(first, others)| others.iter().chain(Some(first))).copied().collect();
        for (index, name) in all.iter().enumerate() {
            assert!(!all[..index].contains(name), "{name}");
        }
    }
}
