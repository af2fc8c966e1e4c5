#!/usr/bin/env -S node --expose-gc
/*
 * Node.js and memcached: ours and the npm client memcached, in one process, against one server. The other side is used as
 * deepstream's own connector uses it, with its default options.
 */
'use strict'

const { main } = require('./lib/part')
const { versus } = require('./lib/versus')
const machine = require('./lib/machine')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* How many operations in flight, and how many to measure: the other side is too slow for more. */
const LOADS = [[1, 10000], [64, 50000], [1000, 100000]]

const AIMS = {
  set: { 64: { atLeast: 2.5 }, 1000: { atLeast: 2.5 } },
  get: { 64: { atLeast: 2.5 }, 1000: { atLeast: 2.5 } }
}

main('node-memcached', async (tools) => {
  const server = servers.start('memcached')
  try {
    const location = `${server.host}:${server.port}`
    const caches = { ours: sides.ours({ type: 'memcached', serverLocation: location }), peer: sides.npmMemcached(location) }
    const about = {
      title: 'Node.js and memcached',
      caches,
      loads: LOADS,
      aims: AIMS,
      server: `memcached ${machine.versionOf('memcached')}`
    }
    return await versus('node-memcached', about, tools)
  } finally {
    server.stop()
  }
})
