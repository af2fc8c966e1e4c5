#!/usr/bin/env node
/*
 * Growth: whether an operation of ours costs the same with a million records as with a thousand (memory backend), and
 * with ten thousand operations in flight as with 64 (Redis). Time is measured in Node.js, memory in a Rust program
 * that counts what it allocates (footprint.rs).
 */
'use strict'

const { execFileSync } = require('node:child_process')
const build = require('./lib/build')
const processes = require('./lib/cache-processes')
const servers = require('./lib/servers')
const { main } = require('./lib/part')
const { interleave } = require('./lib/rounds')
const { row } = require('./lib/report')
const { median } = require('./lib/stats')

const AIM = { atMost: 1.3 }

const SIZES = [1000, 10000, 100000, 1000000]
const SIZES_IN_FLIGHT = 64

const WIDTHS = [64, 1000, 10000]
/* Twice as many as are ever in flight, so that no two operations under way meet at one key. */
const RECORDS_IN_REDIS = 20000

const OPERATIONS = 150000

const number = (value) => value.toLocaleString('en-US')

/*
 * Rows for each step against the first one. `values` has a list for each; the aim is about the last step, the others
 * show the way there.
 */
function rowsOf (work, measure, unit, steps, values, label) {
  const [first, ...others] = steps
  return others.map((step) => row({
    work,
    measure: `${measure}, ${label(step)} against ${label(first)}`,
    unit,
    ours: values[step],
    peer: values[first],
    aim: step === steps[steps.length - 1] ? AIM : undefined
  }))
}

async function times (caches, steps, inFlightAt, rounds, count) {
  const result = {}
  for (const kind of ['set', 'get']) {
    const measured = await interleave(steps, rounds, (step) => caches[step][kind](count, inFlightAt(step)))
    result[kind] = Object.fromEntries(steps.map((step) => {
      return [step, measured[step].map(({ seconds }) => seconds / count * 1e6)]
    }))
  }
  return result
}

async function withRecords (rounds, scaled, say) {
  const caches = {}
  for (const size of SIZES) {
    say(`${size} records`)
    caches[size] = await processes.start('ours', { type: 'memory', maxEntries: 2 * size, maxBytes: 2 ** 32 })
    await caches[size].fill(size)
  }
  const result = await times(caches, SIZES, () => SIZES_IN_FLIGHT, rounds, scaled(OPERATIONS))
  for (const size of SIZES) caches[size].stop()
  return result
}

async function withWidths (port, rounds, scaled, say) {
  say('operations in flight')
  const cache = await processes.start('ours', { type: 'redis', host: '127.0.0.1', port })
  await cache.fill(RECORDS_IN_REDIS)
  const caches = Object.fromEntries(WIDTHS.map((width) => [width, cache]))
  const result = await times(caches, WIDTHS, (width) => width, rounds, scaled(OPERATIONS))
  cache.stop()
  return result
}

/* The numbers that bench_footprint prints, as lists of one. */
function footprint (program, ...options) {
  const output = execFileSync(program, options.map(String), { encoding: 'utf8' })
  return Object.fromEntries(output.trim().split('\n').map((line) => {
    const [step, bytes] = line.split(' ').map(Number)
    return [step, [bytes]]
  }))
}

function chart (title, unit, steps, label, lines) {
  return {
    title,
    unit,
    series: Object.keys(lines),
    groups: steps.map((step) => ({ label: label(step), values: Object.values(lines).map((values) => median(values[step])) }))
  }
}

main('growth', async ({ rounds, scaled, say }) => {
  const program = build.rustExample('bench_footprint')
  const server = servers.start('redis')
  try {
    const records = (size) => `${number(size)} records`
    const width = (inFlight) => `W=${number(inFlight)}`
    const bySize = await withRecords(rounds, scaled, say)
    const byWidth = await withWidths(server.port, rounds, scaled, say)
    const bytesBySize = footprint(program, 'records', ...SIZES)
    const bytesByWidth = footprint(program, 'in-flight', server.port, ...WIDTHS)
    const rows = [
      ...['set', 'get'].flatMap((kind) => rowsOf(`${kind}, memory, W=${SIZES_IN_FLIGHT}`, 'time', 'µs/op', SIZES, bySize[kind], records)),
      ...rowsOf('memory', 'bytes for each record', 'bytes', SIZES, bytesBySize, records),
      ...['set', 'get'].flatMap((kind) => rowsOf(`${kind}, Redis`, 'time', 'µs/op', WIDTHS, byWidth[kind], width)),
      ...rowsOf('set, Redis', 'highest bytes per operation', 'bytes', WIDTHS, bytesByWidth, width)
    ]
    return {
      title: 'Growth: ours against itself',
      versions: [`deepstream-connector ${build.ownVersion()}`],
      method: `Time: Node.js, ${number(scaled(OPERATIONS))} operations on records in a scattered order, in turns, ${rounds} rounds after ` +
        'one to warm up. Memory: what the library allocates, counted by the allocator of a Rust program, not by the system. ' +
        'The aims are about the greatest number.',
      sides: ['more', 'fewer'],
      rows,
      charts: {
        'growth-records': chart('Memory backend in Node.js: time by number of records', 'µs an operation', SIZES, records, bySize),
        'growth-in-flight': chart('Redis in Node.js: time by operations in flight', 'µs an operation', WIDTHS, width, byWidth)
      }
    }
  } finally {
    server.stop()
  }
})
