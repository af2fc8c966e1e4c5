#!/usr/bin/env node
/*
 * A host in C and Redis: redis.c, in poll mode and in callback mode, against redis-benchmark with one connection and
 * as many commands in flight.
 */
'use strict'

const { execFileSync } = require('node:child_process')
const build = require('./lib/build')
const { main } = require('./lib/part')
const { interleave } = require('./lib/rounds')
const { row } = require('./lib/report')
const { median } = require('./lib/stats')
const machine = require('./lib/machine')
const servers = require('./lib/servers')

/* How many operations in flight, and how many to measure. */
const LOADS = [[1, 30000], [64, 300000], [1000, 300000]]

const DOCUMENT_BYTES = 130
const LEAST_COUNT = 4096

const THROUGHPUT_AIM = { atLeast: 0.8 }
const LATENCY_AIM = { atMost: 1.5 }

/* A record is two keys, so redis-benchmark's own SET and GET do half of the work; these two do the same as ours. */
const EQUAL = {
  set: ['MSET', 'name_v', '1', 'name_d', 'x'.repeat(DOCUMENT_BYTES)],
  get: ['MGET', 'name_v', 'name_d']
}

/* The last line of redis-benchmark's CSV, as our own programs report: rate, mean, least, p50, p95, p99, most. */
function benchmarkNumbers (output, count) {
  const line = output.trim().split('\n').pop()
  const [rate, , , p50, , p99] = line.split(',').slice(-7).map((word) => Number(word.replaceAll('"', '')))
  if (!(rate > 0)) throw new Error(`redis-benchmark printed something else than expected:\n${output}`)
  return { seconds: count / rate, p50: p50 * 1000, p99: p99 * 1000 }
}

/* Each program as a function of what to do. */
function programs (port) {
  const run = (program, ...options) => execFileSync(program, options.map(String), { encoding: 'utf8' })
  const ours = build.cProgram('redis', true)
  const socket = build.cProgram('redis-socket', false)
  const benchmark = (inFlight, count, ...command) => benchmarkNumbers(
    run('redis-benchmark', '-p', port, '-c', 1, '-P', inFlight, '-n', count, '-d', DOCUMENT_BYTES, '--csv', ...command), count)
  return {
    poll: (kind, inFlight, count) => JSON.parse(run(ours, 'poll', kind, inFlight, count, port)),
    callback: (kind, inFlight, count) => JSON.parse(run(ours, 'callback', kind, inFlight, count, port)),
    plain: (kind, inFlight, count) => benchmark(inFlight, count, '-t', kind),
    equal: (kind, inFlight, count) => benchmark(inFlight, count, ...EQUAL[kind]),
    socket: (kind, inFlight, count) => JSON.parse(run(socket, kind, count, port))
  }
}

const COMMANDS = { plain: { set: 'SET', get: 'GET' }, equal: { set: 'MSET', get: 'MGET' } }

/* The aims are about poll mode, which is what a host that wants speed uses. */
const judgedIn = (mode, aim) => mode === 'poll' ? aim : undefined

function throughputRows (kind, inFlight, count, results) {
  const rates = (side) => results[side].map(({ seconds }) => count / seconds)
  return ['poll', 'callback'].flatMap((mode) => ['plain', 'equal'].map((peer) => row({
    work: `${kind}, W=${inFlight}`,
    measure: `throughput, ${mode} mode against ${COMMANDS[peer][kind]}`,
    unit: 'op/s',
    ours: rates(mode),
    peer: rates(peer),
    aim: inFlight === 64 ? judgedIn(mode, THROUGHPUT_AIM) : undefined
  })))
}

/* With one operation in flight, its mean latency is the time over the count, exactly. */
function latencyRows (kind, count, results) {
  const command = COMMANDS.plain[kind]
  const p50 = (result) => result.p50
  const mean = (result) => result.seconds / count * 1e6
  const comparisons = [
    [`against ${command}`, 'latency mean', 'plain', mean],
    [`against ${command}, in steps of 8 µs`, 'latency p50', 'plain', p50],
    ['against a bare socket', 'latency p50', 'socket', p50]
  ]
  return ['poll', 'callback'].flatMap((mode) => comparisons.map(([words, measure, peer, value]) => row({
    work: `${kind}, W=1`,
    measure: `${measure}, ${mode} mode ${words}`,
    unit: 'µs',
    ours: results[mode].map(value),
    peer: results[peer].map(value),
    aim: judgedIn(mode, LATENCY_AIM)
  })))
}

function rowsOf (kind, inFlight, count, results) {
  return [
    ...throughputRows(kind, inFlight, count, results),
    ...(inFlight === 1 ? latencyRows(kind, count, results) : [])
  ]
}

function chartOf (cells) {
  const groups = cells.map(({ kind, inFlight, count, results }) => ({
    label: `${kind}, W=${inFlight}`,
    values: ['poll', 'callback', 'plain', 'equal'].map((side) => median(results[side].map(({ seconds }) => count / seconds)))
  }))
  const series = ['ours, poll mode', 'ours, callback mode', 'redis-benchmark SET / GET', 'redis-benchmark MSET / MGET']
  return { title: 'A host in C and Redis: throughput', unit: 'operations a second', series, groups, ratios: true }
}

main('redis', async ({ rounds, scaled, say }) => {
  const server = servers.start('redis')
  try {
    const run = programs(server.port)
    const cells = []
    for (const kind of ['set', 'get']) {
      for (const [inFlight, fullCount] of LOADS) {
        const count = Math.max(scaled(fullCount), LEAST_COUNT)
        const sides = ['poll', 'callback', 'plain', 'equal', ...(inFlight === 1 ? ['socket'] : [])]
        say(`${kind}, W=${inFlight}`)
        const results = await interleave(sides, rounds, (side) => run[side](kind, inFlight, count))
        cells.push({ kind, inFlight, count, results })
      }
    }
    const counts = LOADS.map(([inFlight, count]) => `${Math.max(scaled(count), LEAST_COUNT)} at W=${inFlight}`)
    return {
      title: 'A host in C and Redis: ours against redis-benchmark',
      versions: [
        `deepstream-connector ${build.ownVersion()}`,
        `redis-benchmark ${machine.versionOf('redis-benchmark')}`,
        `redis-server ${machine.versionOf('redis-server')}`
      ],
      method: `Records of ${DOCUMENT_BYTES} bytes; ours on 4096 keys in turn, redis-benchmark on one. All in turns, ${rounds} ` +
        `rounds after one to warm up; operations in each: ${counts.join(', ')}. The aims are about redis-benchmark's plain ` +
        'SET and GET, one key for an operation. A record of ours is two keys, so MSET and MGET of two keys, which do the ' +
        'same work, stand beside them. redis-benchmark counts latencies in steps of 8 µs and reports the end of the ' +
        'step; redis-socket.c sends the same SET and GET and counts nanoseconds. Every record that was read is compared with what was written.',
      rows: cells.flatMap(({ kind, inFlight, count, results }) => rowsOf(kind, inFlight, count, results)),
      charts: { 'redis-throughput': chartOf(cells) }
    }
  } finally {
    server.stop()
  }
})
