#!/usr/bin/env -S node --expose-gc
/*
 * Node.js and PostgreSQL: ours and @deepstream/storage-postgres with its write interval of 200 ms, in one process, against
 * one server. A set of theirs waits for the interval, so they get fewer operations to do where that rules.
 */
'use strict'

const { load } = require('./lib/load')
const { main } = require('./lib/part')
const { interleave } = require('./lib/rounds')
const { row } = require('./lib/report')
const records = require('./lib/records')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* Kind, operations in flight, how many of ours to measure and of theirs, and the aim for throughput. */
const LOADS = [
  ['set', 1, 4000, 20, { atLeast: 100 }],
  ['set', 64, 40000, 1280, { atLeast: 100 }],
  ['set', 10000, 200000, 200000, { atLeast: 2 }],
  ['get', 64, 100000, 100000, { atLeast: 3 }]
]

const CPU_AIM = { atMost: 0.5 }

/* More than are ever in flight, so that no two operations under way meet at one key. */
const pool = records.make(16384)
const keyOf = (index) => index % pool.count

/* How many of the records that were written are read back through the other side. */
const READ_BACK = 100

/* The revision that each record has, and the last one given. */
const revisions = new Int32Array(pool.count)
let revision = 0

function getting (connector) {
  return {
    operate: (index, callback) => connector.get(pool.names[keyOf(index)], callback),
    verify: (index, version, data) => {
      const key = keyOf(index)
      if (version !== revisions[key] || data.id !== key) {
        throw new Error(`wrong answer for ${pool.names[key]}: version ${version}, not ${revisions[key]}`)
      }
    }
  }
}

const write = (connector, key, callback) => connector.set(pool.names[key], revision, pool.contents[key], callback)

function setting (connector) {
  revision++
  return {
    operate: (index, callback) => {
      const key = keyOf(index)
      revisions[key] = revision
      write(connector, key, callback)
    },
    verify: () => {}
  }
}

/* Where nothing is kept that would have the revision. */
function writing (connector) {
  return { operate: (index, callback) => write(connector, keyOf(index), callback), verify: () => {} }
}

async function measure (connectors, side, kind, inFlight, count) {
  const connector = connectors[side]
  if (kind === 'get') return { count, ...await load({ ...getting(connector), count, inFlight }) }
  if (side === 'json') return load({ ...writing(connector), count, inFlight })
  const result = await load({ ...setting(connector), count, inFlight })
  const other = connectors[side === 'ours' ? 'peer' : 'ours']
  await load({ ...getting(other), count: READ_BACK, inFlight: READ_BACK })
  return { count, ...result }
}

function rowsOf (kind, inFlight, { ours, peer, json }, aim) {
  const work = `${kind}, W=${inFlight}`
  const of = (key) => ({ ours: ours.map((result) => result[key]), peer: peer.map((result) => result[key]) })
  const perSecond = (results) => results.map(({ seconds, count }) => count / seconds)
  const rows = [
    row({ work, measure: 'throughput', unit: 'op/s', ours: perSecond(ours), peer: perSecond(peer), aim }),
    row({ work, measure: 'latency p50', unit: 'µs', ...of('p50') }),
    row({ work, measure: 'CPU', unit: 'µs/op', ...of('cpu'), aim: CPU_AIM })
  ]
  if (json) {
    const beyond = (results) => results.map(({ cpu }, round) => cpu - json[round].cpu)
    rows.push(row({ work, measure: 'CPU beyond JSON', unit: 'µs/op', ours: beyond(ours), peer: beyond(peer) }))
  }
  return rows
}

function chart (title, unit, measure, rows, series) {
  const chosen = rows.filter((row) => row.measure === measure)
  const groups = chosen.map(({ work, ours, peer }) => ({ label: work, values: [ours, peer] }))
  return { title, unit, series, groups, ratios: true }
}

main('node-postgres', async ({ rounds, scaled, say }) => {
  const server = servers.start('postgres', 'durable')
  try {
    const address = {
      host: server.host, port: server.port, user: 'connector', password: 'secret', database: 'records', schema: 'ds'
    }
    // One after the other: theirs fails where the schema that it is about to make is made in that moment.
    const ours = sides.ours({ type: 'postgres', ...address })
    await ours.connector.whenReady()
    const caches = { ours, peer: sides.storagePostgres(address) }
    const connectors = { ours: ours.connector, peer: caches.peer.connector, json: sides.jsonAlone().connector }
    await connectors.peer.whenReady()
    // So that there is something to read back, whichever side begins.
    await load({ ...setting(connectors.ours), count: pool.count, inFlight: 1000 })
    const rows = []
    for (const [kind, inFlight, ofOurs, ofTheirs, aim] of LOADS) {
      say(`${kind}, W=${inFlight}`)
      // With fewer operations of theirs than of ours, what they have in common could not be told from noise.
      const sharesJson = kind === 'set' && ofOurs === ofTheirs
      const results = await interleave(sharesJson ? ['ours', 'peer', 'json'] : ['ours', 'peer'], rounds, (side) => {
        const count = Math.max(scaled(side === 'peer' ? ofTheirs : ofOurs), inFlight)
        return measure(connectors, side, kind, inFlight, count)
      })
      rows.push(...rowsOf(kind, inFlight, results, aim))
    }
    await Promise.all([connectors.ours.close(), connectors.peer.close()])
    const series = [caches.ours.title, caches.peer.title]
    const counts = LOADS.map(([kind, inFlight, ours, peer]) => `${ours} and ${peer} (${kind}, W=${inFlight})`)
    return {
      title: 'Node.js and PostgreSQL: ours against @deepstream/storage-postgres',
      versions: [...series, 'PostgreSQL, durable as by default'],
      method: `Records of ${pool.bytes} bytes, ${pool.count} keys in turn in one table, val as text, no triggers on either side, ` +
        `theirs with its default interval of 200 ms; both in one process and in turns, ${rounds} rounds after one to warm up. ` +
        `Operations of ours and theirs in each, in a quick run a tenth: ${counts.join(', ')}. Every answer is checked, and ` +
        'what one side wrote is read back by the other. "CPU beyond JSON" is without what the same load takes where each ' +
        'document is made into JSON and nothing else: in turns with both.',
      rows,
      charts: {
        'node-postgres-throughput': chart('Node.js and PostgreSQL: throughput', 'operations a second', 'throughput', rows, series),
        'node-postgres-cpu': chart('Node.js and PostgreSQL: CPU time, all threads', 'µs an operation', 'CPU', rows, series)
      }
    }
  } finally {
    server.stop()
  }
})
