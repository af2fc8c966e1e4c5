#!/usr/bin/env -S node --expose-gc
/* Node.js and DynamoDB: ours and AWS's client, one item at a time, in one process, against one server. */
'use strict'

const { main } = require('./lib/part')
const { versus } = require('./lib/versus')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* How many operations in flight, and how many to measure. */
const LOADS = [[1, 4096], [64, 8192], [1000, 12288]]

const AIMS = {
  set: { 64: { atLeast: 2 }, 1000: { atLeast: 2 }, cpu: { atMost: 0.5 } },
  get: { 64: { atLeast: 2 }, 1000: { atLeast: 2 }, cpu: { atMost: 0.5 } }
}

const TABLE = 'bench'

main('node-dynamodb', async (tools) => {
  const server = servers.start('dynamodb')
  try {
    const endpoint = `http://${server.host}:${server.port}`
    const login = { accessKeyId: 'test', secretAccessKey: 'test' }
    const ours = sides.ours({ type: 'dynamodb', endpoint, table: TABLE, createTable: true, ...login })
    const about = {
      title: 'Node.js and DynamoDB',
      caches: { ours, peer: sides.awsDynamodb({ endpoint, table: TABLE }) },
      loads: LOADS,
      aims: AIMS,
      server: 'Amazon\'s local DynamoDB'
    }
    return await versus('node-dynamodb', about, tools)
  } finally {
    server.stop()
  }
})
