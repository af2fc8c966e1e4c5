#!/usr/bin/env -S node --expose-gc
/* Node.js and Redis Cluster: ours and the cluster client of ioredis, in one process, against one cluster. */
'use strict'

const { main } = require('./lib/part')
const { compare, chart } = require('./lib/two-caches')
const machine = require('./lib/machine')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

const LOADS = [[64, 100000], [1000, 200000]]

const AIMS = {
  set: { 64: { atLeast: 2 }, 1000: { atLeast: 2 } },
  get: { 64: { atLeast: 2 }, 1000: { atLeast: 2 } }
}

main('node-redis-cluster', async (run) => {
  const server = servers.start('redis-cluster')
  try {
    const node = { host: server.host, port: server.port }
    const caches = { ours: sides.ours({ type: 'redis', nodes: [node] }), peer: sides.ioredisCluster([node]) }
    const { rows, series, method } = await compare({ caches, aims: AIMS, loads: LOADS, ...run })
    return {
      title: 'Node.js and Redis Cluster: ours against the cluster client of ioredis',
      versions: [...series, `redis-server ${machine.versionOf('redis-server')}, three primaries and three replicas`],
      method: `${method} The other side has both keys of a record in one slot as well, and sends one MSET or MGET for each.`,
      rows,
      charts: {
        'node-redis-cluster-throughput':
          chart('Node.js and Redis Cluster: throughput', 'operations a second', 'throughput', rows, series)
      }
    }
  } finally {
    server.stop()
  }
})
