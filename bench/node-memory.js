#!/usr/bin/env node
/*
 * Node.js and the memory of the machine: our memory backend against the Map in which deepstream's server keeps its
 * records when no cache is configured.
 */
'use strict'

const { main } = require('./lib/part')
const { interleave } = require('./lib/rounds')
const { row } = require('./lib/report')
const processes = require('./lib/cache-processes')

const RECORDS = 1000000

/* How many operations in flight, and how many to measure. */
const LOADS = [[1, 100000], [64, 200000], [1000, 200000]]

const HEAP_AIM = { atMost: 0.05 }
const TIME_AIM = { of: 'ours', atMost: 4 }

/* More than the records need, so that none is dropped. */
const OURS = { type: 'memory', maxEntries: 4 * RECORDS, maxBytes: 4 * 2 ** 30 }

const SIDES = { ours: ['ours', OURS], peer: ['localCache', {}] }

const megabytes = (bytes) => bytes / 2 ** 20

function memoryRows (count, { ours, peer }) {
  const grown = (fills, key) => fills.map(({ before, after }) => megabytes(after[key] - before[key]))
  const of = (key) => ({ ours: grown(ours, key), peer: grown(peer, key) })
  const work = `${count.toLocaleString('en-US')} records`
  return [
    row({ work, measure: 'V8 heap growth', unit: 'MiB', ...of('heap'), aim: HEAP_AIM }),
    row({ work, measure: 'memory outside of the heap that V8 knows of', unit: 'MiB', ...of('external') }),
    row({ work, measure: 'growth of the process (RSS)', unit: 'MiB', ...of('rss') })
  ]
}

function timeRows (kind, inFlight, count, { ours, peer }) {
  const work = `${kind}, W=${inFlight}`
  const time = ({ seconds }) => seconds / count * 1e6
  return [
    row({ work, measure: 'time', unit: 'µs/op', ours: ours.map(time), peer: peer.map(time), aim: TIME_AIM }),
    row({ work, measure: 'CPU', unit: 'µs/op', ours: ours.map(({ cpu }) => cpu), peer: peer.map(({ cpu }) => cpu) })
  ]
}

/* Fills a cache in a new process; `keep` is whether it stays for more. */
async function filled ([side, options], count, keep) {
  const cache = await processes.start(side, options)
  const fill = await cache.fill(count)
  if (!keep) cache.stop()
  return { cache, fill }
}

main('node-memory', async ({ rounds, scaled, say }) => {
  const count = scaled(RECORDS)
  // What a process has grown by is the same each time; two are enough to see that.
  say('filling')
  const caches = {}
  const fills = { ours: [], peer: [] }
  for (const keep of [false, true]) {
    for (const side of ['ours', 'peer']) {
      const { cache, fill } = await filled(SIDES[side], count, keep)
      caches[side] = cache
      fills[side].push(fill)
    }
  }
  const rows = memoryRows(count, fills)
  const times = []
  for (const kind of ['set', 'get']) {
    for (const [inFlight, fullCount] of LOADS) {
      say(`${kind}, W=${inFlight}`)
      const operations = scaled(fullCount)
      const results = await interleave(['ours', 'peer'], rounds, (side) => caches[side][kind](operations, inFlight))
      times.push(...timeRows(kind, inFlight, operations, results))
    }
  }
  caches.ours.stop()
  caches.peer.stop()
  const series = [caches.ours.title, caches.peer.title]
  const groups = (rows) => rows.map(({ work, ours, peer }) => ({ label: work, values: [ours, peer] }))
  return {
    title: 'Node.js and memory: ours against the Map of deepstream\'s server',
    versions: series,
    method: `Each cache in a process of its own, filled with ${count.toLocaleString('en-US')} records of about 130 bytes of JSON; ` +
      `memory after garbage collection, from 2 processes each; times in turns, ${rounds} rounds after one to warm up, all ` +
      `records in a scattered order; operations in each: ${LOADS.map(([w, n]) => `${scaled(n)} at W=${w}`).join(', ')}. ` +
      'The Map keeps the very object that it was given and hands that out; ours writes and parses JSON, as hosts that ' +
      'change what they get need it to.',
    rows: [...rows, ...times],
    charts: {
      'node-memory': {
        title: `Node.js: what ${count.toLocaleString('en-US')} records take`,
        unit: 'MiB',
        series,
        groups: [['V8 heap', rows[0]], ['whole process', rows[2]]].map(([label, { ours, peer }]) => ({ label, values: [ours, peer] }))
      },
      'node-memory-time': {
        title: 'Node.js: time of an operation in memory',
        unit: 'µs an operation',
        series,
        groups: groups(times.filter(({ measure }) => measure === 'time'))
      }
    }
  }
})
