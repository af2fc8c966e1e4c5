#!/usr/bin/env -S node --expose-gc
/* Node.js and Redis: ours and @deepstream/cache-redis, in one process, against one server. */
'use strict'

const { main } = require('./lib/part')
const { versus } = require('./lib/versus')
const machine = require('./lib/machine')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* How many operations in flight, and how many to measure. */
const LOADS = [[1, 20000], [64, 100000], [1000, 200000]]

const AIMS = {
  set: { 1: { atLeast: 1.3 }, 64: { atLeast: 2.5 }, 1000: { atLeast: 3 }, cpu: { atMost: 0.35 } },
  get: { 1: { atLeast: 1.3 }, 64: { atLeast: 1.8 }, 1000: { atLeast: 2 }, cpu: { atMost: 0.45 } }
}

main('node-redis', async (tools) => {
  const server = servers.start('redis')
  try {
    const address = { host: server.host, port: server.port }
    const caches = { ours: sides.ours({ type: 'redis', ...address }), peer: sides.cacheRedis(address) }
    const about = {
      title: 'Node.js and Redis',
      caches,
      loads: LOADS,
      aims: AIMS,
      server: `redis-server ${machine.versionOf('redis-server')}`
    }
    return await versus('node-redis', about, tools)
  } finally {
    server.stop()
  }
})
