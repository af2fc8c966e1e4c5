//! The tests beside the conformance suite: every module's list, and the parts that run as
//! processes of their own.

use crate::groups;
use crate::harness::{Job, Suite};
use crate::support::part::Part;
use crate::support::race;
use crate::*;

/// Every suite of this build.
static SUITES: &[Suite] = &[
    Suite { name: "suite", group: groups::PROJECT, tests: conformance::TESTS },
    Suite { name: "schedule", group: groups::PROJECT, tests: harness::tests::TESTS },
    #[cfg(feature = "capi")]
    Suite { name: "header", group: groups::PROJECT, tests: header::TESTS },
    Suite { name: "house", group: groups::PROJECT, tests: house::TESTS },
    #[cfg(feature = "full")]
    Suite { name: "secrets", group: groups::PROJECT, tests: secrets::TESTS },
    #[cfg(feature = "full")]
    Suite { name: "secrets::rotation", group: groups::PROJECT, tests: secrets::rotation::TESTS },
    #[cfg(feature = "full")]
    Suite { name: "docs", group: groups::PROJECT, tests: docs::TESTS },
    #[cfg(feature = "sqlite")]
    Suite { name: "sqlite", group: groups::SQLITE, tests: sqlite::TESTS },
    #[cfg(feature = "redis")]
    Suite { name: "redis", group: groups::REDIS_SPECIAL, tests: redis::TESTS },
    #[cfg(feature = "redis")]
    Suite { name: "redis_cluster", group: groups::REDIS_SPECIAL, tests: redis_cluster::TESTS },
    #[cfg(feature = "redis")]
    Suite { name: "redis_replicas", group: groups::REDIS_SPECIAL, tests: redis_replicas::TESTS },
    #[cfg(feature = "redis")]
    Suite { name: "redis_sentinel", group: groups::REDIS_SPECIAL, tests: redis_sentinel::TESTS },
    #[cfg(feature = "memcached")]
    Suite { name: "memcached", group: groups::MEMCACHED_SPECIAL, tests: memcached::TESTS },
    #[cfg(feature = "ironcache")]
    Suite { name: "ironcache", group: groups::IRONCACHE_SPECIAL, tests: ironcache::TESTS },
    #[cfg(feature = "elasticache")]
    Suite { name: "elasticache", group: groups::ELASTICACHE_SPECIAL, tests: elasticache::TESTS },
    #[cfg(feature = "couchdb")]
    Suite { name: "couchdb", group: groups::COUCHDB_SPECIAL, tests: couchdb::TESTS },
    #[cfg(feature = "dynamodb")]
    Suite { name: "dynamodb", group: groups::DYNAMODB_SPECIAL, tests: dynamodb::TESTS },
    #[cfg(feature = "cassandra")]
    Suite { name: "cassandra", group: groups::CASSANDRA, tests: cassandra::TESTS },
    #[cfg(feature = "cassandra-tls")]
    Suite { name: "cassandra::tls", group: groups::CASSANDRA, tests: cassandra::tls::TESTS },
    #[cfg(feature = "cassandra")]
    Suite { name: "cassandra_cluster", group: groups::CASSANDRA_CLUSTER, tests: cassandra_cluster::TESTS },
    #[cfg(feature = "mysql")]
    Suite { name: "mysql::answers", group: groups::MYSQL_SPECIAL, tests: mysql::answers::TESTS },
    #[cfg(feature = "mysql")]
    Suite { name: "mysql::layout", group: groups::MYSQL_SPECIAL, tests: mysql::layout::TESTS },
    #[cfg(feature = "mysql")]
    Suite { name: "mysql::limits", group: groups::MYSQL_SPECIAL, tests: mysql::limits::TESTS },
    #[cfg(feature = "mysql")]
    Suite { name: "mysql::logins", group: groups::MYSQL_SPECIAL, tests: mysql::logins::TESTS },
    #[cfg(feature = "mysql")]
    Suite { name: "mysql::faults", group: groups::MYSQL_SPECIAL, tests: mysql::faults::TESTS },
    #[cfg(feature = "postgres")]
    Suite { name: "postgres", group: groups::POSTGRES_SPECIAL, tests: postgres::TESTS },
    #[cfg(feature = "postgres")]
    Suite { name: "postgres_faults", group: groups::POSTGRES_SPECIAL, tests: postgres_faults::TESTS },
    #[cfg(feature = "postgres")]
    Suite { name: "postgres_logins", group: groups::POSTGRES_SPECIAL, tests: postgres_logins::TESTS },
    #[cfg(feature = "mongodb")]
    Suite { name: "mongodb", group: groups::MONGODB_SPECIAL, tests: mongodb::TESTS },
];

/// What this program may be told to be instead.
pub const PARTS: &[Part] = &[
    race::PART,
    #[cfg(feature = "sqlite")]
    sqlite::WRITER,
    #[cfg(feature = "redis")]
    redis::LOSSY,
    #[cfg(feature = "memcached")]
    memcached::LOSSY,
    #[cfg(feature = "postgres")]
    postgres_faults::TABLE_MAKER,
    #[cfg(feature = "postgres")]
    postgres_faults::POOLED_WRITER,
];

pub fn jobs() -> impl Iterator<Item = Job> {
    let written = SUITES.iter().flat_map(Suite::jobs);
    #[cfg(feature = "capi")]
    let written = written.chain(c_lifecycle::jobs());
    written
}
