/* Two caches in one process, in turns: sets and gets, with one, some and many operations in flight. */
'use strict'

const { load } = require('./load')
const { interleave } = require('./rounds')
const { row } = require('./report')
const records = require('./records')

/* How many operations in flight, and how many to measure. */
const LOADS = [[1, 20000], [64, 100000], [1000, 200000]]

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

/* The revision that all records have now, in whatever store the two caches share. */
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
 * Measures `caches`, { ours, peer } of sides.js, which share one store. `aims` has for `set` and `get` what each number
 * of operations in flight should reach, and `cpu`; a number that it lacks is measured all the same if `loads` has it.
 * Returns { rows, series, method }.
 */
async function compare ({ caches, aims, loads = LOADS, rounds, scaled, say }) {
  await Promise.all([caches.ours.connector.whenReady(), caches.peer.connector.whenReady()])
  const counted = loads.map(([inFlight, count]) => [inFlight, Math.max(scaled(count), pool.count)])
  const rows = []
  for (const kind of ['set', 'get']) {
    for (const [inFlight, count] of counted) {
      say(`${kind}, W=${inFlight}`)
      const results = await interleave(['ours', 'peer'], rounds, (side) => measure(caches, side, kind, inFlight, count))
      rows.push(...rowsOf(aims, kind, inFlight, count, results))
    }
  }
  await Promise.all([caches.ours.connector.close(), caches.peer.connector.close()])
  const counts = counted.map(([inFlight, count]) => `${count} at W=${inFlight}`)
  return {
    rows,
    series: [caches.ours.title, caches.peer.title],
    method: `Records of ${pool.bytes} bytes, ${pool.count} keys in turn, both sides in one process and in turns, ` +
      `${rounds} rounds after one to warm up; operations measured in each: ${counts.join(', ')}. Every answer is ` +
      'checked, and what one side wrote is read back by the other.'
  }
}

module.exports = { compare, chart }
