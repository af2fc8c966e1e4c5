#!/usr/bin/env -S node --expose-gc
/* Node.js and MongoDB: ours and @deepstream/storage-mongodb, in one process, against one server. */
'use strict'

const { main } = require('./lib/part')
const { versus } = require('./lib/versus')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* How many operations in flight, and how many to measure. */
const LOADS = [[1, 4096], [64, 12288], [1000, 20480]]

const AIMS = {
  set: { 64: { atLeast: 2 }, 1000: { atLeast: 2 }, cpu: { atMost: 0.5 } },
  get: { 64: { atLeast: 2 }, 1000: { atLeast: 2 }, cpu: { atMost: 0.5 } }
}

main('node-mongodb', async (tools) => {
  const server = servers.start('mongodb')
  try {
    const options = { connectionString: `mongodb://${server.host}:${server.port}/`, db: 'bench' }
    const caches = { ours: sides.ours({ type: 'mongodb', ...options }), peer: sides.storageMongodb(options) }
    const about = {
      title: 'Node.js and MongoDB',
      caches,
      loads: LOADS,
      aims: AIMS,
      server: 'SecantusDB, which speaks MongoDB\'s protocol'
    }
    return await versus('node-mongodb', about, tools)
  } finally {
    server.stop()
  }
})
