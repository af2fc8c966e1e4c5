//! Where records are stored: each backend with its server, if it has one.

use std::env;
use std::sync::Arc;

use deepstream_connector::backends;
use deepstream_connector::config::{parse, Settings};
use deepstream_connector::core::{Backend, EngineOptions, Error, ErrorCode};
use serde_json::{json, Map, Value};

#[cfg(feature = "cassandra")]
use crate::conformance::cassandra_places::Cassandra;
#[cfg(feature = "couchdb")]
use crate::conformance::couchdb_places::{self, CouchDb};
#[cfg(feature = "dynamodb")]
use crate::conformance::dynamodb_places::{self, DynamoDb};
#[cfg(feature = "elasticache")]
use crate::conformance::elasticache_places;
use crate::conformance::faulty::{Attempt, Faulty};
#[cfg(feature = "ironcache")]
use crate::conformance::ironcache_places::IronCache;
#[cfg(feature = "memcached")]
use crate::conformance::memcached_places::{Memcached, Protocol};
#[cfg(feature = "mongodb")]
use crate::conformance::mongodb_places::{self, Mongodb};
#[cfg(feature = "mysql")]
use crate::conformance::mysql_places::Mysql;
#[cfg(feature = "postgres")]
use crate::conformance::postgres_places::{self, Postgres};
use crate::conformance::promises::{Promise, Scope};
#[cfg(feature = "redis")]
use crate::conformance::redis_places::{Form, Redis};
use crate::conformance::stage::object;
use crate::groups;
use crate::harness::Group;
use crate::support;

/// A password that servers refuse until `Place::accept_credentials`. It must appear nowhere.
pub const WRONG_PASSWORD: &str = "hunter2-and-more";

/// A place for the records of one promise, apart from those of all others.
pub trait Place: Send {
    /// The configuration of a connector to it.
    fn options(&self) -> Map<String, Value>;

    /// The misbehaving server, if it is that.
    fn faulty(&self) -> Option<&Faulty> {
        None
    }

    /// How to hurt its server, if it has one of its own.
    fn server(&self) -> Option<&dyn Server> {
        None
    }

    /// Spoils the network to its server, by the words of `tests/servers/proxy.js`.
    fn spoil_network(&self, words: &[&str]) {
        panic!("there is no proxy to tell {words:?}");
    }

    /// In how many milliseconds a thousand writes are surely done.
    fn soon(&self) -> u64 {
        400
    }

    /// The versions that are stored, past all connectors.
    fn stored_versions(&self, keys: &[String]) -> Vec<Option<i64>> {
        panic!("{} keys cannot be read past the connectors", keys.len());
    }

    /// What the credentials are called there, as messages name them.
    fn credentials(&self) -> &'static str {
        "password"
    }

    /// How many bytes of its server's answers are enough for a handshake and one batch at least.
    fn some_answers(&self) -> usize {
        2_500
    }

    /// How many operations its server has done within a fifth of a second, whatever else goes on.
    fn soon_done(&self) -> usize {
        1_000
    }

    /// Whether the end of a connection on which nothing is under way is an outage. With HTTP it
    /// is not: servers end such connections as they like.
    fn misses_idle_connections(&self) -> bool {
        true
    }

    /// Has the server accept the credentials that it refused.
    fn accept_credentials(&self) {
        panic!("all credentials are good here");
    }

    /// Ends whatever a promise did to it.
    fn heal(&self) {}
}

/// A server that can be hurt.
pub trait Server {
    /// It answers nothing any more, and connections stay.
    fn freeze(&self);

    /// It goes on after `freeze`.
    fn thaw(&self);

    /// It ends at once, and nobody listens any more.
    fn kill(&self);

    /// It is there again after `kill`, with what it had acknowledged.
    fn restart(&self);
}

/// A backend that the promises are held against.
pub struct BackendKind {
    pub name: &'static str,
    /// Which promises can be tested with it.
    pub scopes: &'static [Scope],
    /// Why it cannot be tested here, if so.
    pub missing: fn() -> Option<String>,
    /// A fresh place for a promise of that scope.
    pub place: fn(Scope) -> Box<dyn Place>,
    /// What its servers take.
    pub group: Group,
}

/// What a database does not promise, and why; `docs/promises.md` has it, too.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "dynamodb",
    "a_thawed_server_does_not_undo_what_came_later",
    "DynamoDB carries out requests in no order, and its batches have no conditions",
)];

/// Why a promise cannot be held there, if so.
pub fn exception(backend: &BackendKind, promise: &Promise) -> Option<&'static str> {
    let mut all = EXCEPTIONS.iter();
    let (.., reason) = all.find(|(name, what, _)| (backend.name, promise.name) == (*name, *what))?;
    Some(reason)
}

/// The misbehaving backend, which is no part of the library.
pub const FAULTY: &str = "faulty";

/// The promises for a database behind a network.
#[cfg(any(
    feature = "mysql",
    feature = "cassandra",
    feature = "mongodb",
    feature = "couchdb",
    feature = "postgres"
))]
const STORAGE_SERVER: &[Scope] = &[
    Scope::Every,
    Scope::Kept,
    Scope::Server,
    Scope::Crash,
    Scope::Network,
    Scope::Credentials,
    Scope::Listed,
];

/// Every backend of this build, the misbehaving one first.
pub const ALL: &[BackendKind] = &[
    BackendKind {
        name: FAULTY,
        group: groups::FAULTY,
        scopes: &[Scope::Faulty, Scope::Server, Scope::Listed],
        missing: || None,
        place: |_| Box::new(FaultyPlace::new()),
    },
    #[cfg(feature = "memory")]
    BackendKind {
        name: "memory",
        group: groups::MEMORY,
        scopes: &[Scope::Every, Scope::Unlisted],
        missing: || None,
        place: |_| Box::new(Memory),
    },
    #[cfg(feature = "sqlite")]
    BackendKind {
        name: "sqlite",
        group: groups::SQLITE,
        scopes: &[Scope::Every, Scope::Kept, Scope::Listed],
        missing: || None,
        place: |_| Box::new(Sqlite::new()),
    },
    #[cfg(feature = "redis")]
    BackendKind {
        name: "redis",
        group: groups::REDIS,
        scopes: &[
            Scope::Every,
            Scope::Kept,
            Scope::Server,
            Scope::Crash,
            Scope::Network,
            Scope::Credentials,
            Scope::Unlisted,
        ],
        missing: || support::Server::missing("redis"),
        place: |scope| Box::new(Redis::new(Form::Single, scope)),
    },
    #[cfg(feature = "redis")]
    BackendKind {
        name: "redis-cluster",
        group: groups::REDIS_CLUSTER,
        scopes: &[
            Scope::Every,
            Scope::Kept,
            Scope::Server,
            Scope::Crash,
            Scope::Network,
            Scope::Credentials,
            Scope::Unlisted,
        ],
        missing: || support::Server::missing("redis-cluster"),
        place: |scope| Box::new(Redis::new(Form::Cluster, scope)),
    },
    #[cfg(feature = "redis")]
    BackendKind {
        name: "redis-sentinel",
        group: groups::REDIS_SENTINEL,
        scopes: &[
            Scope::Every,
            Scope::Kept,
            Scope::Server,
            Scope::Crash,
            Scope::Network,
            Scope::Credentials,
            Scope::Unlisted,
        ],
        missing: || support::Server::missing("redis-sentinel"),
        place: |scope| Box::new(Redis::new(Form::Sentinel, scope)),
    },
    #[cfg(feature = "memcached")]
    BackendKind {
        name: "memcached",
        group: groups::MEMCACHED,
        scopes: &[
            Scope::Every,
            Scope::Kept,
            Scope::Server,
            Scope::Network,
            Scope::Credentials,
            Scope::Unlisted,
        ],
        missing: || support::Server::missing("memcached"),
        place: |scope| Box::new(Memcached::new(Protocol::Meta, scope)),
    },
    #[cfg(feature = "memcached")]
    BackendKind {
        name: "memcached-sasl",
        group: groups::MEMCACHED_SASL,
        scopes: &[Scope::Every, Scope::Kept, Scope::Credentials],
        missing: || support::Server::missing("memcached"),
        place: |scope| Box::new(Memcached::new(Protocol::Sasl, scope)),
    },
    #[cfg(feature = "ironcache")]
    BackendKind {
        name: "ironcache",
        group: groups::IRONCACHE,
        scopes: &[
            Scope::Every,
            Scope::Kept,
            Scope::Server,
            Scope::Network,
            Scope::Credentials,
            Scope::Unlisted,
        ],
        missing: || support::Server::missing("ironcache"),
        place: |scope| Box::new(IronCache::new(scope)),
    },
    #[cfg(feature = "couchdb")]
    BackendKind {
        name: "couchdb",
        group: groups::COUCHDB,
        scopes: STORAGE_SERVER,
        missing: couchdb_places::missing,
        place: |scope| Box::new(CouchDb::new(scope)),
    },
    #[cfg(feature = "dynamodb")]
    BackendKind {
        name: "dynamodb",
        group: groups::DYNAMODB,
        scopes: &[Scope::Every, Scope::Kept, Scope::Server, Scope::Crash, Scope::Network, Scope::Listed],
        missing: dynamodb_places::missing,
        place: |scope| Box::new(DynamoDb::new(dynamodb_places::Form::OneTable, scope)),
    },
    #[cfg(feature = "dynamodb")]
    BackendKind {
        name: "dynamodb-tables",
        group: groups::DYNAMODB_TABLES,
        scopes: &[Scope::Every, Scope::Kept, Scope::Listed],
        missing: dynamodb_places::missing,
        place: |scope| Box::new(DynamoDb::new(dynamodb_places::Form::TablePerCollection, scope)),
    },
    #[cfg(feature = "cassandra")]
    BackendKind {
        name: "cassandra",
        group: groups::CASSANDRA,
        scopes: STORAGE_SERVER,
        missing: || support::Server::missing("cassandra"),
        place: |scope| Box::new(Cassandra::new(scope)),
    },
    #[cfg(feature = "mysql")]
    BackendKind {
        name: "mysql",
        group: groups::MYSQL,
        scopes: STORAGE_SERVER,
        missing: || support::Server::missing("mysql"),
        place: |scope| Box::new(Mysql::new("mysql", scope)),
    },
    #[cfg(feature = "mysql")]
    BackendKind {
        name: "mariadb",
        group: groups::MARIADB,
        scopes: STORAGE_SERVER,
        missing: || support::Server::missing("mariadb"),
        place: |scope| Box::new(Mysql::new("mariadb", scope)),
    },
    #[cfg(feature = "postgres")]
    BackendKind {
        name: "postgres",
        group: groups::POSTGRES,
        scopes: STORAGE_SERVER,
        missing: postgres_places::missing,
        place: |scope| Box::new(Postgres::new("text", scope)),
    },
    #[cfg(feature = "postgres")]
    BackendKind {
        name: "postgres-jsonb",
        group: groups::POSTGRES_JSONB,
        scopes: &[Scope::Every, Scope::Kept, Scope::Listed],
        missing: postgres_places::missing,
        place: |scope| Box::new(Postgres::new("jsonb", scope)),
    },
    #[cfg(feature = "mongodb")]
    BackendKind {
        name: "mongodb",
        group: groups::MONGODB,
        scopes: STORAGE_SERVER,
        missing: mongodb_places::missing,
        place: |scope| Box::new(Mongodb::new(scope)),
    },
    #[cfg(feature = "elasticache")]
    BackendKind {
        name: "elasticache",
        group: groups::ELASTICACHE,
        scopes: &[Scope::Every, Scope::Server, Scope::Credentials, Scope::Unlisted],
        missing: || support::Server::missing("redis"),
        place: |scope| Box::new(elasticache_places::ByRedis::new(scope)),
    },
    #[cfg(feature = "elasticache")]
    BackendKind {
        name: "elasticache-memcached",
        group: groups::ELASTICACHE_MEMCACHED,
        scopes: &[Scope::Every, Scope::Unlisted],
        missing: || support::Server::missing("elasticache").or_else(|| support::Server::missing("memcached")),
        place: |_| Box::new(elasticache_places::ByMemcached::new()),
    },
];

/// Those to be tested: all, or what `CONFORMANCE_BACKENDS` names. The misbehaving one always is.
pub fn selected() -> Vec<&'static BackendKind> {
    let Ok(wanted) = env::var("CONFORMANCE_BACKENDS") else { return ALL.iter().collect() };
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    for name in &wanted {
        let known = ALL.iter().any(|backend| backend.name == *name);
        assert!(known, "CONFORMANCE_BACKENDS names \"{name}\", which is not in this build");
    }
    ALL.iter().filter(|backend| backend.name == FAULTY || wanted.contains(&backend.name)).collect()
}

/// Makes a backend from a configuration, as the library does, the misbehaving one included.
pub fn open(configuration: &[u8]) -> Result<(Arc<dyn Backend>, EngineOptions), Error> {
    let is_faulty =
        parse(configuration).is_ok_and(|values| values.get("type").is_some_and(|name| name == "faulty"));
    if !is_faulty {
        return backends::open(configuration);
    }
    let mut values = parse(configuration)?;
    let server = values
        .remove("server")
        .and_then(|number| Faulty::find(number.as_u64()?))
        .ok_or_else(|| Error::new(ErrorCode::Configuration, "there is no faulty server of that number"))?;
    let settings = Settings::check(values, "faulty", &[])?;
    Ok((Arc::new(server), settings.engine()))
}

struct FaultyPlace {
    server: Faulty,
}

impl FaultyPlace {
    fn new() -> FaultyPlace {
        FaultyPlace { server: Faulty::start() }
    }
}

impl Place for FaultyPlace {
    fn options(&self) -> Map<String, Value> {
        object(json!({"type": "faulty", "server": self.server.number(), "reconnectDelay": 5}))
    }

    fn faulty(&self) -> Option<&Faulty> {
        Some(&self.server)
    }

    fn server(&self) -> Option<&dyn Server> {
        Some(&self.server)
    }

    fn heal(&self) {
        self.server.behave();
    }
}

impl Drop for FaultyPlace {
    fn drop(&mut self) {
        self.server.stop();
    }
}

impl Server for Faulty {
    fn freeze(&self) {
        self.hold();
    }

    fn thaw(&self) {
        self.release();
    }

    fn kill(&self) {
        self.answer_attempts(Attempt::Fail(Error::connection("the faulty server is not there")));
        self.lose("the faulty server went away");
    }

    fn restart(&self) {
        self.answer_attempts(Attempt::Succeed);
    }
}

/// Each connector has a store of its own.
#[cfg(feature = "memory")]
struct Memory;

#[cfg(feature = "memory")]
impl Place for Memory {
    fn options(&self) -> Map<String, Value> {
        object(json!({"type": "memory"}))
    }
}

/// A file for each place.
#[cfg(feature = "sqlite")]
struct Sqlite {
    folder: tempfile::TempDir,
}

#[cfg(feature = "sqlite")]
impl Sqlite {
    fn new() -> Sqlite {
        Sqlite { folder: tempfile::tempdir().expect("there is room for temporary files") }
    }
}

#[cfg(feature = "sqlite")]
impl Place for Sqlite {
    fn options(&self) -> Map<String, Value> {
        let path = self.folder.path().join("records.db");
        object(json!({"type": "sqlite", "path": path}))
    }
}
