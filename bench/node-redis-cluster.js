#!/usr/bin/env -S node --expose-gc
/*
 * Node.js and Redis Cluster: ours and the cluster client of ioredis, in one process, against one cluster. The other side
 * has both keys of a record in one slot as well, and sends one MSET or MGET for each.
 */
'use strict'

const { main } = require('./lib/part')
const { versus } = require('./lib/versus')
const machine = require('./lib/machine')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* How many operations in flight, and how many to measure. */
const LOADS = [[64, 100000], [1000, 200000]]

const AIMS = {
  set: { 64: { atLeast: 2 }, 1000: { atLeast: 2 } },
  get: { 64: { atLeast: 2 }, 1000: { atLeast: 2 } }
}

main('node-redis-cluster', async (tools) => {
  const server = servers.start('redis-cluster')
  try {
    const node = { host: server.host, port: server.port }
    const caches = { ours: sides.ours({ type: 'redis', nodes: [node] }), peer: sides.ioredisCluster([node]) }
    const about = {
      title: 'Node.js and Redis Cluster',
      caches,
      loads: LOADS,
      aims: AIMS,
      server: `redis-server ${machine.versionOf('redis-server')}, three primaries and three replicas`
    }
    return await versus('node-redis-cluster', about, tools)
  } finally {
    server.stop()
  }
})
