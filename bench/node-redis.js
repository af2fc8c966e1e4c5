#!/usr/bin/env -S node --expose-gc
/* Node.js and Redis: ours and @deepstream/cache-redis, in one process, against one server. */
'use strict'

const { load } = require('./lib/load')
const { main } = require('./lib/part')
const { interleave } = require('./lib/rounds')
const { row } = require('./lib/report')
const machine = require('./lib/machine')
const records = require('./lib/records')
const servers = require('./lib/servers')
const sides = require('./lib/sides')

/* How many operations in flight, and how many to measure. */
const LOADS = [[1, 20000], [64, 100000], [1000, 200000]]

const AIMS = {
  set: { 1: { atLeast: 1.3 }, 64: { atLeast: 2.5 }, 1000: { atLeast: 3 }, cpu: { atMost: 0.35 } },
  get: { 1: { atLeast: 1.3 }, 64: { atLeast: 1.8 }, 1000: { atLeast: 2 }, cpu: { atMost: 0.45 } }
}

/* Of every answer the version and one field are checked; of one in so many all of it. */
const WHOLE_EVERY = 256

/* How many of the records that were written are read back through the other side. */
const READ_BACK = 100

const pool = records.make()
const keyOf = (index) => index % pool.count

function setting (connector, revision) {
  return {
    operate: (index, callback) => {
      const key = keyOf(index)
      connector.set(pool.names[key], revision, pool.contents[key], callback)
    },
    verify: () => {}
  }
}

function getting (connector, revision) {
  return {
    operate: (index, callback) => connector.get(pool.names[keyOf(index)], callback),
    verify: (index, version, data) => {
      const key = keyOf(index)
      const whole = index % WHOLE_EVERY === 0
      if (version !== revision || data.id !== key || (whole && JSON.stringify(data) !== pool.texts[key])) {
        throw new Error(`wrong answer for ${pool.names[key]}: version ${version}, ${JSON.stringify(data)}`)
      }
    }
  }
}

/* The revision that all records have now. */
let revision = 0

async function measure (caches, side, kind, inFlight, count) {
  const { connector } = caches[side]
  if (kind === 'get') return load({ ...getting(connector, revision), count, inFlight })
  // There are at least as many operations as records, so every record gets the new revision.
  revision++
  const result = await load({ ...setting(connector, revision), count, inFlight })
  const other = caches[side === 'ours' ? 'peer' : 'ours'].connector
  await load({ ...getting(other, revision), count: READ_BACK, inFlight: READ_BACK })
  return result
}

const perSecond = (results, count) => results.map(({ seconds }) => count / seconds)

function rowsOf (kind, inFlight, count, { ours, peer }) {
  const work = `${kind}, W=${inFlight}`
  const of = (key) => ({ ours: ours.map((result) => result[key]), peer: peer.map((result) => result[key]) })
  return [
    row({
      work,
      measure: 'throughput',
      unit: 'op/s',
      ours: perSecond(ours, count),
      peer: perSecond(peer, count),
      aim: AIMS[kind][inFlight]
    }),
    row({ work, measure: 'latency p50', unit: 'µs', ...of('p50') }),
    row({ work, measure: 'latency p99', unit: 'µs', ...of('p99') }),
    row({ work, measure: 'CPU', unit: 'µs/op', ...of('cpu'), aim: inFlight === 1000 ? AIMS[kind].cpu : undefined })
  ]
}

function chart (title, unit, measure, rows, series) {
  const chosen = rows.filter((row) => row.measure === measure)
  const groups = chosen.map(({ work, ours, peer }) => ({ label: work, values: [ours, peer] }))
  return { title, unit, series, groups, ratios: true }
}

main('node-redis', async ({ rounds, scaled, say }) => {
  const server = servers.start('redis')
  try {
    const address = { host: server.host, port: server.port }
    const caches = { ours: sides.ours({ type: 'redis', ...address }), peer: sides.cacheRedis(address) }
    await Promise.all([caches.ours.connector.whenReady(), caches.peer.connector.whenReady()])
    const rows = []
    for (const kind of ['set', 'get']) {
      for (const [inFlight, fullCount] of LOADS) {
        const count = Math.max(scaled(fullCount), pool.count)
        say(`${kind}, W=${inFlight}`)
        const results = await interleave(['ours', 'peer'], rounds, (side) => measure(caches, side, kind, inFlight, count))
        rows.push(...rowsOf(kind, inFlight, count, results))
      }
    }
    await Promise.all([caches.ours.connector.close(), caches.peer.connector.close()])
    const series = [caches.ours.title, caches.peer.title]
    const counts = LOADS.map(([inFlight, count]) => `${Math.max(scaled(count), pool.count)} at W=${inFlight}`)
    return {
      title: 'Node.js and Redis: ours against @deepstream/cache-redis',
      versions: [...series, `redis-server ${machine.versionOf('redis-server')}`],
      method: `Records of ${pool.bytes} bytes, ${pool.count} keys in turn, both sides in one process and in turns, ` +
        `${rounds} rounds after one to warm up; operations measured in each: ${counts.join(', ')}. Every answer is ` +
        'checked, and what one side wrote is read back by the other.',
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
