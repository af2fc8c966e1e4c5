//! What the servers of each group of tests take. Groups of one name share their servers.

use crate::harness::Group;

pub const FAULTY: Group = Group::small("faulty").memory(0).servers(usize::MAX);
pub const MEMORY: Group = Group::small("memory").memory(0);
pub const SQLITE: Group = Group::small("sqlite").memory(0);
pub const REDIS: Group = Group::small("redis");
pub const REDIS_CLUSTER: Group = Group::small("redis-cluster").memory(400).servers(3);
pub const REDIS_SENTINEL: Group = Group::small("redis-sentinel").memory(300).servers(3);
pub const MEMCACHED: Group = Group::small("memcached");
pub const MEMCACHED_SASL: Group = Group::small("memcached-sasl");
pub const IRONCACHE: Group = Group::small("ironcache").memory(200);
pub const COUCHDB: Group = Group::small("couchdb").memory(400).servers(3);
pub const DYNAMODB: Group = Group::small("dynamodb").memory(1_000).servers(2);
pub const DYNAMODB_TABLES: Group = Group::small("dynamodb-tables").memory(400);
pub const CASSANDRA: Group = Group::small("cassandra").memory(2_000).servers(2);
pub const MYSQL: Group = Group::small("mysql").memory(1_500).servers(2);
pub const MARIADB: Group = Group::small("mariadb").memory(600).servers(3);
pub const POSTGRES: Group = Group::small("postgres").memory(200);
pub const POSTGRES_JSONB: Group = Group::small("postgres-jsonb");
pub const MONGODB: Group = Group::small("mongodb").memory(600).servers(3);
pub const ELASTICACHE: Group = Group::small("elasticache");
pub const ELASTICACHE_MEMCACHED: Group = Group::small("elasticache-memcached");

// What is special to one database does as it likes with a server that its own tests share.

pub const CASSANDRA_CLUSTER: Group = Group::small("cassandra-cluster").memory(2_000);
pub const COUCHDB_SPECIAL: Group = Group::small("couchdb, special").servers(3);
pub const DYNAMODB_SPECIAL: Group = Group::small("dynamodb, special").memory(700).servers(2);
pub const ELASTICACHE_SPECIAL: Group = Group::small("elasticache, special").servers(3);
pub const IRONCACHE_SPECIAL: Group = Group::small("ironcache, special").servers(3);
pub const MEMCACHED_SPECIAL: Group = Group::small("memcached, special").servers(3);
pub const MONGODB_SPECIAL: Group = Group::small("mongodb, special").memory(600).servers(3);
pub const MYSQL_SPECIAL: Group = Group::small("mysql, special").memory(1_500).servers(3);
pub const POSTGRES_SPECIAL: Group = Group::small("postgres, special").memory(300).servers(4);
pub const REDIS_SPECIAL: Group = Group::small("redis, special").memory(300).servers(4);

/// Programs in C and C++, many of them under valgrind.
pub const C: Group = Group::small("c").memory(0);

/// The header, the documentation, this program.
pub const PROJECT: Group = Group::small("project").memory(0).servers(3);
