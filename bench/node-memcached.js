#!/usr/bin/env -S node --expose-gc
/* Node.js and memcached: ours and the npm client memcached, in one process, against one server. */
'use strict'

const { main } = require('./lib/part')
const { compare, chart } = require('./lib/two-caches')
const machine = require('./lib/machine')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* The other side is too slow for more. */
const LOADS = [[1, 10000], [64, 50000], [1000, 100000]]

const AIMS = {
  set: { 64: { atLeast: 2.5 }, 1000: { atLeast: 2.5 } },
  get: { 64: { atLeast: 2.5 }, 1000: { atLeast: 2.5 } }
}

main('node-memcached', async (run) => {
  const server = servers.start('memcached')
  try {
    const location = `${server.host}:${server.port}`
    const caches = { ours: sides.ours({ type: 'memcached', serverLocation: location }), peer: sides.npmMemcached(location) }
    const { rows, series, method } = await compare({ caches, aims: AIMS, loads: LOADS, ...run })
    return {
      title: 'Node.js and memcached: ours against the npm client memcached',
      versions: [...series, `memcached ${machine.versionOf('memcached')}`],
      method: `${method} The other side is used as deepstream's own connector uses it, with its default options.`,
      rows,
      charts: {
        'node-memcached-throughput':
          chart('Node.js and memcached: throughput', 'operations a second', 'throughput', rows, series),
        'node-memcached-cpu':
          chart('Node.js and memcached: CPU time, all threads', 'µs an operation', 'CPU', rows, series)
      }
    }
  } finally {
    server.stop()
  }
})
