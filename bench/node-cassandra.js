#!/usr/bin/env -S node --expose-gc
/* Node.js and Cassandra: ours and cassandra-driver, one statement for each operation, in one process, against one server. */
'use strict'

const { main } = require('./lib/part')
const { versus } = require('./lib/versus')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* How many operations in flight, and how many to measure. */
const LOADS = [[1, 4096], [64, 16384], [1000, 20480]]

/* The one server, on the same cores, is the limit; what is left for the host is what counts. */
const AIMS = {
  set: { 64: { atLeast: 1.2 }, 1000: { atLeast: 1.2 }, cpu: { atMost: 0.5 } },
  get: { 64: { atLeast: 1.2 }, 1000: { atLeast: 1.2 }, cpu: { atMost: 0.5 } }
}

main('node-cassandra', async (tools) => {
  const server = servers.start('cassandra')
  try {
    const address = { port: server.port, keyspace: 'bench' }
    const caches = {
      ours: sides.ours({ type: 'cassandra', ...address, replication: 1 }),
      peer: sides.cassandraDriver({ host: server.host, ...address })
    }
    const about = { title: 'Node.js and Cassandra', caches, loads: LOADS, aims: AIMS, server: 'Cassandra 5.0.9' }
    return await versus('node-cassandra', about, tools)
  } finally {
    server.stop()
  }
})
