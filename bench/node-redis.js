#!/usr/bin/env -S node --expose-gc
/* Node.js and Redis: ours and @deepstream/cache-redis, in one process, against one server. */
'use strict'

const { main } = require('./lib/part')
const { compare, chart } = require('./lib/two-caches')
const machine = require('./lib/machine')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

const AIMS = {
  set: { 1: { atLeast: 1.3 }, 64: { atLeast: 2.5 }, 1000: { atLeast: 3 }, cpu: { atMost: 0.35 } },
  get: { 1: { atLeast: 1.3 }, 64: { atLeast: 1.8 }, 1000: { atLeast: 2 }, cpu: { atMost: 0.45 } }
}

main('node-redis', async (run) => {
  const server = servers.start('redis')
  try {
    const address = { host: server.host, port: server.port }
    const caches = { ours: sides.ours({ type: 'redis', ...address }), peer: sides.cacheRedis(address) }
    const { rows, series, method } = await compare({ caches, aims: AIMS, ...run })
    return {
      title: 'Node.js and Redis: ours against @deepstream/cache-redis',
      versions: [...series, `redis-server ${machine.versionOf('redis-server')}`],
      method,
      rows,
      charts: {
        'node-redis-throughput': chart('Node.js and Redis: throughput', 'operations a second', 'throughput', rows, series),
        'node-redis-cpu': chart('Node.js and Redis: CPU time, all threads', 'µs an operation', 'CPU', rows, series)
      }
    }
  } finally {
    server.stop()
  }
})
