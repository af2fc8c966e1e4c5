#!/usr/bin/env node
/*
 * SQLite: durable sets with 1000 in flight, against transactions of 1000 rows by SQLite's own C API, both in WAL mode
 * with synchronous=FULL, in files in target/bench. sqlite.rs measures; this reads what it prints.
 */
'use strict'

const fs = require('node:fs')
const { execFileSync } = require('node:child_process')
const build = require('./lib/build')
const { main } = require('./lib/part')
const { row } = require('./lib/report')

const IN_FLIGHT = 1000
const COUNT = 50000
const AIM = { atLeast: 0.6 }

const ROUND = /^\s*(new|replaced): plain\s+([\d.]+), connector\s+([\d.]+)/gm

main('sqlite', async ({ rounds, scaled }) => {
  const program = build.rustExample('bench_sqlite')
  const count = scaled(COUNT)
  fs.mkdirSync(build.OUTPUT, { recursive: true })
  // The first round is to warm up.
  const output = execFileSync(program, [build.OUTPUT, IN_FLIGHT, count, rounds + 1].map(String), { encoding: 'utf8' })
  const found = [...output.matchAll(ROUND)].map(([, step, peer, ours]) => ({ step, peer: peer * 1000, ours: ours * 1000 }))
  const [, version] = output.match(/SQLite ([\d.]+)/) || [null, '?']
  const rows = ['new', 'replaced'].map((step) => {
    const chosen = found.filter((line) => line.step === step).slice(1)
    if (chosen.length !== rounds) throw new Error(`bench_sqlite printed something else than expected:\n${output}`)
    return row({
      work: `set, ${step} records, W=${IN_FLIGHT}`,
      measure: 'throughput',
      unit: 'op/s',
      ours: chosen.map(({ ours }) => ours),
      peer: chosen.map(({ peer }) => peer),
      aim: AIM
    })
  })
  return {
    title: 'SQLite: ours against plain transactions of SQLite\'s C API',
    versions: [`deepstream-connector ${build.ownVersion()}`, `SQLite ${version}`],
    method: `Records of 130 bytes, ${count} sets in each of ${rounds} rounds after one to warm up, in turns; WAL, ` +
      `synchronous=FULL; the peer commits ${IN_FLIGHT} rows at a time, ours keeps ${IN_FLIGHT} sets in flight. Every record ` +
      'is read in the end and compared.',
    rows,
    charts: {
      'sqlite-throughput': {
        title: 'SQLite: durable sets',
        unit: 'operations a second',
        series: ['deepstream-connector', 'SQLite C API, 1000 rows a transaction'],
        groups: rows.map(({ work, ours, peer }) => ({ label: work, values: [ours, peer] }))
      }
    }
  }
})
