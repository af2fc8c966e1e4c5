/*
 * Two connectors with the interface of the modern server in one process, against one server: the same load on both, in
 * turns, and every answer checked.
 */
'use strict'

const { isDeepStrictEqual } = require('node:util')
const { load } = require('./load')
const { interleave } = require('./rounds')
const { row } = require('./report')
const records = require('./records')

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
      if (version !== revision || data.id !== key || (whole && !isDeepStrictEqual(data, pool.contents[key]))) {
        throw new Error(`wrong answer for ${pool.names[key]}: version ${version}, ${JSON.stringify(data)}`)
      }
    }
  }
}

const perSecond = (results, count) => results.map(({ seconds }) => count / seconds)

function rowsOf (aims, kind, inFlight, count, { ours, peer }) {
  const work = `${kind}, W=${inFlight}`
  const of = (key) => ({ ours: ours.map((result) => result[key]), peer: peer.map((result) => result[key]) })
  return [
    row({
      work,
      measure: 'throughput',
      unit: 'op/s',
      ours: perSecond(ours, count),
      peer: perSecond(peer, count),
      aim: aims[kind][inFlight]
    }),
    row({ work, measure: 'latency p50', unit: 'µs', ...of('p50') }),
    row({ work, measure: 'latency p99', unit: 'µs', ...of('p99') }),
    row({ work, measure: 'CPU', unit: 'µs/op', ...of('cpu'), aim: inFlight === 1000 ? aims[kind].cpu : undefined })
  ]
}

function chart (title, unit, measure, rows, series) {
  const chosen = rows.filter((row) => row.measure === measure)
  const groups = chosen.map(({ work, ours, peer }) => ({ label: work, values: [ours, peer] }))
  return { title, unit, series, groups, ratios: true }
}

/*
 * Measures `caches.ours` and `caches.peer` (of sides.js; they are closed at the end) and resolves to what a part resolves
 * to. `loads` are pairs of operations in flight and operations to measure; `aims` has for `set` and `get` the aims of
 * throughput by operations in flight, and `cpu`, that of CPU time with the most in flight, 1000.
 */
async function versus (name, { title, caches, loads, aims, server }, { rounds, scaled, say }) {
  await Promise.all([caches.ours.connector.whenReady(), caches.peer.connector.whenReady()])
  // The revision that all records have now.
  let revision = 0
  const measure = async (side, kind, inFlight, count) => {
    const { connector } = caches[side]
    if (kind === 'get') return load({ ...getting(connector, revision), count, inFlight })
    // There are at least as many operations as records, so every record gets the new revision.
    revision++
    const result = await load({ ...setting(connector, revision), count, inFlight })
    const other = caches[side === 'ours' ? 'peer' : 'ours'].connector
    await load({ ...getting(other, revision), count: READ_BACK, inFlight: READ_BACK })
    return result
  }
  const countOf = (count) => Math.max(scaled(count), pool.count)
  const rows = []
  for (const kind of ['set', 'get']) {
    for (const [inFlight, fullCount] of loads) {
      const count = countOf(fullCount)
      say(`${kind}, W=${inFlight}`)
      const results = await interleave(['ours', 'peer'], rounds, (side) => measure(side, kind, inFlight, count))
      rows.push(...rowsOf(aims, kind, inFlight, count, results))
    }
  }
  await Promise.all([caches.ours.connector.close(), caches.peer.connector.close()])
  const series = [caches.ours.title, caches.peer.title]
  const counts = loads.map(([inFlight, count]) => `${countOf(count)} at W=${inFlight}`)
  return {
    title: `${title}: ours against ${caches.peer.name}`,
    versions: [...series, server],
    method: `Records of ${pool.bytes} bytes, ${pool.count} keys in turn, both sides in one process and in turns, ` +
      `${rounds} rounds after one to warm up; operations measured in each: ${counts.join(', ')}. Every answer is ` +
      'checked, and what one side wrote is read back by the other.',
    rows,
    charts: {
      [`${name}-throughput`]: chart(`${title}: throughput`, 'operations a second', 'throughput', rows, series),
      [`${name}-cpu`]: chart(`${title}: CPU time, all threads`, 'µs an operation', 'CPU', rows, series)
    }
  }
}

module.exports = { versus }
