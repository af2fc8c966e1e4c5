#!/usr/bin/env -S node --expose-gc
/*
 * MariaDB: sets with 1000 in flight through our addon, against plain multi-row inserts of the same rows by the npm client
 * mysql2, which puts them together itself, in one process and against one server. Both acknowledge what is committed.
 */
'use strict'

const path = require('node:path')
const { performance } = require('node:perf_hooks')
const { load } = require('./lib/load')
const { main } = require('./lib/part')
const { interleave } = require('./lib/rounds')
const { row } = require('./lib/report')
const machine = require('./lib/machine')
const records = require('./lib/records')
const servers = require('./lib/servers')
const sides = require('./lib/sides')
const { modules } = require('../tests/deepstream/harness')

const LOADS = [[1, 3000], [64, 20000], [1000, 100000]]

/* A batch has what is in flight. */
const AIMS = { 1000: { atLeast: 0.5 } }

const TABLE = 'CREATE TABLE plain (id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin PRIMARY KEY, ' +
  'version BIGINT NOT NULL, data JSON NOT NULL)'
const INSERT = 'INSERT INTO plain (id, version, data) VALUES ? ' +
  'ON DUPLICATE KEY UPDATE version = VALUES(version), data = VALUES(data)'

const pool = records.make()
const keyOf = (index) => index % pool.count

async function plain (connection, revision, count, size) {
  const rows = (begin) => Array.from({ length: Math.min(size, count - begin) }, (_, index) => {
    const key = keyOf(begin + index)
    return [pool.names[key], revision, JSON.stringify(pool.contents[key])]
  })
  if (global.gc) global.gc()
  const cpuBefore = process.cpuUsage()
  const begun = performance.now()
  for (let begin = 0; begin < count; begin += size) await connection.query(INSERT, [rows(begin)])
  const seconds = (performance.now() - begun) / 1000
  const { user, system } = process.cpuUsage(cpuBefore)
  return { seconds, cpu: (user + system) / count }
}

async function ours (connector, revision, count, inFlight) {
  const operate = (index, callback) => {
    const key = keyOf(index)
    connector.set(pool.names[key], revision, pool.contents[key], callback)
  }
  const result = await load({ operate, verify: () => {}, count, inFlight })
  const verify = (index, version, data) => {
    if (version !== revision || data.id !== index) throw new Error(`wrong answer for ${pool.names[index]}`)
  }
  const get = (index, callback) => connector.get(pool.names[index], callback)
  await load({ operate: get, verify, count: 100, inFlight: 100 })
  return result
}

main('mysql', async ({ rounds, scaled, say }) => {
  const server = servers.start('mariadb')
  const folder = path.join(modules('mysql'), 'mysql2')
  const login = { host: server.host, port: server.port, user: 'connector', password: 'secret', database: 'records' }
  try {
    const { connector, title } = sides.ours({ type: 'mariadb', ...login })
    const peer = await require(path.join(folder, 'promise')).createConnection(login)
    await connector.whenReady()
    await peer.query(TABLE)
    let revision = 0
    const rows = []
    for (const [inFlight, fullCount] of LOADS) {
      const count = Math.max(scaled(fullCount), pool.count)
      say(`set, W=${inFlight}`)
      const results = await interleave(['ours', 'peer'], rounds, (side) => {
        revision++
        return side === 'ours' ? ours(connector, revision, count, inFlight) : plain(peer, revision, count, inFlight)
      })
      const work = `set, W=${inFlight}`
      const of = (value) => ({ ours: results.ours.map(value), peer: results.peer.map(value) })
      rows.push(
        row({ work, measure: 'throughput', unit: 'op/s', ...of(({ seconds }) => count / seconds), aim: AIMS[inFlight] }),
        row({ work, measure: 'CPU', unit: 'µs/op', ...of(({ cpu }) => cpu) })
      )
    }
    await Promise.all([connector.close(), peer.end()])
    const series = [title, `mysql2 ${require(path.join(folder, 'package.json')).version}, multi-row inserts`]
    const chosen = rows.filter(({ measure }) => measure === 'throughput')
    return {
      title: 'MariaDB: ours against plain multi-row inserts',
      versions: [...series, `MariaDB ${machine.versionOf('mariadbd')}`],
      method: `Records of ${pool.bytes} bytes, ${pool.count} keys in turn, both sides in one process and in turns, ` +
        `${rounds} rounds after one to warm up. The peer inserts as many rows in a statement as ours has sets in flight, ` +
        'one statement after the other; innodb_flush_log_at_trx_commit=2. What ours wrote is read back and compared.',
      rows,
      charts: {
        'mysql-throughput': {
          title: 'MariaDB: sets',
          unit: 'operations a second',
          series,
          groups: chosen.map(({ work, ours, peer }) => ({ label: work, values: [ours, peer] })),
          ratios: true
        }
      }
    }
  } finally {
    server.stop()
  }
})
