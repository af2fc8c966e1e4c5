/*
 * deepstream's own PostgreSQL connectors and ours on one live database: each reads what the other wrote, so that a user may
 * change from one to the other and back.
 */
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const { once } = require('node:events')
const { describe, test } = require('./needing')('postgres')
const { modules, within } = require('./harness')
const { ADDON, atEnd, instance, until } = require('./connector')

const Ours = require(ADDON)
const load = (name) => require(path.join(modules('interop-postgres'), name))
const silent = { getNameSpace: () => ({ debug () {}, info () {}, warn () {}, error () {}, fatal () {} }) }
const ALL_EVENTS = { CREATE_TABLE: true, DESTROY_TABLE: true, INSERT: true, UPDATE: true, DELETE: true }

const RECORDS = {
  'bikes/1': [1, { colour: 'red', rider: { name: 'Ada' } }],
  'lists/a list': [12, ['bikes/1', 'bikes/2']],
  'empty/object': [0, {}],
  'empty/list': [3, []],
  lonely: [4, { a: [], b: {}, c: [[], {}, null], '': { '': '' } }],
  'žluťoučký/kůň 🚲': [2147483647, { 'klíč 🔑': 'Příliš žluťoučký ﷽ \u2028', text: "' \" \\ / \n" }],
  'numbers/all': [7, { numbers: [0.1, 1e21, 5e-324, -1.5, Number.MAX_SAFE_INTEGER], _v: 1, _d: { _v: 2 } }],
  'deep/er/and deeper': [8, { list: [{ of: { lists: [[1], [2, [3]]] } }] }]
}

/* Both generations of connectors, seen in one way: get resolves to [version, data], or null. */
function promising (connector, isClassic) {
  const ask = (method, ...args) => within(new Promise((resolve, reject) => {
    connector[method](...args, (error, ...results) => error ? reject(error) : resolve(results))
  }), method)
  return {
    connector,
    set: (name, version, data) => isClassic ? ask('set', name, { _v: version, _d: data }) : ask('set', name, version, data),
    get: async (name) => {
      const [first, data] = await ask('get', name)
      if (isClassic) return first && [first._v, first._d]
      return first === -1 ? null : [first, data]
    },
    delete: (name) => ask('delete', name)
  }
}

async function modern (t, Connector, options) {
  const connector = new Connector({ ...options }, { logger: silent })
  connector.init()
  await within(connector.whenReady(), 'the connection')
  atEnd(t, () => connector.close())
  return promising(connector, false)
}

async function classic (t, Connector, options) {
  const connector = new Connector({ ...options })
  if (!connector.isReady) await within(once(connector, 'ready'), 'the connection')
  atEnd(t, () => new Promise((resolve) => connector.destroy(resolve)))
  return promising(connector, true)
}

const LAYOUTS = {
  'V2, @deepstream/storage-postgres 3.0.4': async (t, options) => [
    await modern(t, load('@deepstream/storage-postgres').default, options),
    await modern(t, Ours, { type: 'postgres', ...options })
  ],
  'V1, deepstream.io-storage-postgres 1.1.5': async (t, options) => [
    await classic(t, load('deepstream.io-storage-postgres'), { writeInterval: 20, ...options }),
    await classic(t, Ours, { type: 'postgres', ...options })
  ]
}

/* Options of both connectors for a server of their own. */
async function postgres (t) {
  const server = await instance(t, 'postgres')
  const options = {
    host: '127.0.0.1',
    port: server.port,
    user: 'connector',
    password: 'secret',
    database: 'records',
    schema: 'ds',
    writeInterval: 20,
    max: 4
  }
  return { options, sql: (text) => server.ctl('client', '-c', text) }
}

/* Another version: any but -1, which is a miss to the modern server. */
const other = (version) => version === 0 ? 5 : version - 1

const reversed = (pair) => [...pair].reverse()

describe("deepstream's own PostgreSQL connectors and ours", () => {
  for (const [layout, connect] of Object.entries(LAYOUTS)) {
    for (const useJsonb of [false, true]) {
      test(`${layout}${useJsonb ? ', jsonb' : ''}: each reads, replaces and deletes what the other wrote`, async (t) => {
        const { options } = await postgres(t)
        const pair = await connect(t, { ...options, useJsonb })
        // Whoever writes first makes the tables; the other connector drops emptied ones.
        for (const [writer, reader] of [pair, reversed(pair)]) {
          await Promise.all(Object.entries(RECORDS).map(([name, record]) => writer.set(name, ...record)))
          for (const [name, record] of Object.entries(RECORDS)) assert.deepStrictEqual(await reader.get(name), record, name)
          await Promise.all(Object.entries(RECORDS).map(([name, [version, data]]) => reader.set(name, other(version), { changed: data })))
          for (const [name, [version, data]] of Object.entries(RECORDS)) {
            assert.deepStrictEqual(await writer.get(name), [other(version), { changed: data }], name)
            assert.deepStrictEqual(await reader.get(name), [other(version), { changed: data }], name)
          }
          for (const name of Object.keys(RECORDS)) {
            await reader.delete(name)
            assert.deepStrictEqual([await writer.get(name), await reader.get(name)], [null, null], name)
          }
        }
      })

      test(`${layout}${useJsonb ? ', jsonb' : ''}: both make the same tables with the same rows`, async (t) => {
        const { options, sql } = await postgres(t)
        const left = []
        for (const [index, schema] of ['theirs', 'ours'].entries()) {
          const side = (await connect(t, { ...options, schema, useJsonb }))[index]
          await Promise.all(Object.entries(RECORDS).map(([name, record]) => side.set(name, ...record)))
          left.push([
            await sql(`SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
              WHERE table_schema = '${schema}' ORDER BY table_name, ordinal_position`),
            await sql(`SELECT * FROM ${schema}.bikes`),
            await sql(`SELECT * FROM ${schema}.lists`),
            await sql(`SELECT * FROM ${schema}."default"`),
            await sql(`SELECT * FROM ${schema}."žluťoučký"`),
            await sql(`SELECT tableowner, count(*) FROM pg_tables WHERE schemaname = '${schema}' GROUP BY 1`)
          ])
        }
        assert.deepStrictEqual(left[1], left[0])
      })
    }
  }

  test('what either writes is told to those who subscribed with the other', async (t) => {
    const { options } = await postgres(t)
    const settings = { ...options, notifications: ALL_EVENTS, dropEmptyTables: true }
    const pair = await LAYOUTS['V2, @deepstream/storage-postgres 3.0.4'](t, settings)
    const heard = []
    for (const [index, { connector }] of pair.entries()) {
      heard.push([])
      await within(connector.subscribe((notification) => heard[index].push({ ...notification })), 'the subscription')
    }
    const expected = []
    for (const { set, delete: remove } of pair) {
      await set('cars/1', 1, { a: 1 })
      await set('cars/1', 2, { a: 2 })
      await remove('cars/1')
      expected.push(
        { event: 'CREATE_TABLE', table: 'cars' },
        { event: 'INSERT', table: 'cars', key: '1' },
        { event: 'UPDATE', table: 'cars', key: '1' },
        { event: 'DELETE', table: 'cars', key: '1' },
        { event: 'DESTROY_TABLE', table: 'cars' }
      )
    }
    await until('both have heard it all', () => heard.every((list) => list.length >= expected.length))
    assert.deepStrictEqual(heard, [expected, expected])
    for (const { connector } of pair) await within(connector.unsubscribe(), 'the end of the subscription')
    await pair[1].set('cars/2', 1, {})
    await until('the record is there', async () => await pair[0].get('cars/2') !== null)
    assert.deepStrictEqual(heard, [expected, expected])
  })

  test('the methods beside the storage interface do the same', async (t) => {
    const { options } = await postgres(t)
    const pair = await LAYOUTS['V2, @deepstream/storage-postgres 3.0.4'](t, options)
    for (const { connector, set } of pair) {
      await connector.createSchema('Extra "schema"'.replace(/"/g, ''))
      await new Promise((resolve, reject) => connector.createSchema('another', (error) => error ? reject(error) : resolve()))
      await set('users/1', 1, {})
      await set('users/2', 1, {})
      await set('lonely', 1, {})
      assert.deepStrictEqual(await connector.getSchemaOverview('another'), {})
      assert.deepStrictEqual({ ...await connector.getSchemaOverview('ds') }, { users: 2, default: 1 })
      const overview = await new Promise((resolve, reject) => {
        connector.getSchemaOverview((error, tables) => error ? reject(error) : resolve(tables))
      })
      assert.deepStrictEqual({ ...overview }, { users: 2, default: 1 })
      const ask = (...query) => new Promise((resolve, reject) => {
        connector.query(query[0], (error, result) => error ? reject(error) : resolve(result), query[1], true)
      })
      const { rows } = await ask('SELECT id, version, val::jsonb AS val, $1::int + 1 AS more FROM ds.users WHERE id = ANY ($2) ORDER BY id;', [6, ['1', '2']])
      assert.deepStrictEqual(rows.map((row) => ({ ...row })), [
        { id: '1', version: 1, val: {}, more: 7 },
        { id: '2', version: 1, val: {}, more: 7 }
      ])
      assert.strictEqual((await ask('UPDATE ds.users SET version = 2 WHERE id = $1', ['1'])).rowCount, 1)
      await assert.rejects(ask('SELECT nonsense FROM nowhere'), /nowhere/)
      await connector.destroySchema('another')
      await connector.destroySchema('Extra schema')
      await connector.destroySchema('ds')
      await connector.createSchema('ds')
    }
  })

  test('the methods beside the storage interface take the options of an operation', async (t) => {
    const connector = new Ours({ type: 'postgres', host: '127.0.0.1', port: 1, user: 'nobody', closeTimeout: 1 }, { logger: silent })
    atEnd(t, () => connector.close())
    const calls = [
      ['createSchema', ['a'], []], ['destroySchema', ['a'], []], ['getSchemaOverview', [], ['a']], ['getSchemaOverview', ['a'], []],
      ['subscribe', [() => {}], ['a']], ['unsubscribe', [null], ['a']], ['query', ['SELECT 1'], [[]]]
    ]
    const signal = AbortSignal.abort(new Error('mine'))
    const failures = [
      [{ timeout: 30 }, { code: 'TIMEOUT' }], [{ signal }, { message: 'mine' }],
      [{ timeout: '1' }, { code: 'INVALID_ARGUMENT', operation: 'command' }], [5, { code: 'INVALID_ARGUMENT' }]
    ]
    for (const [options, expected] of failures) {
      for (const [method, before, behind] of calls) {
        const told = new Promise((resolve, reject) => {
          assert.strictEqual(connector[method](...before, options, (error) => error ? reject(error) : resolve(), ...behind), undefined)
        })
        await assert.rejects(told, expected, method)
        await assert.rejects(connector[method](...before, options), expected, method)
      }
    }
    const aborted = new AbortController()
    const answer = connector.getSchemaOverview(null, { signal: aborted.signal })
    aborted.abort()
    await assert.rejects(answer, { name: 'AbortError' })
  })

  test('a statement ends with its options', async (t) => {
    const { options } = await postgres(t)
    const { connector, set } = await modern(t, Ours, { type: 'postgres', ...options, notifications: ALL_EVENTS })
    await assert.rejects(connector.query('SELECT pg_sleep(600)', { timeout: 50 }), { code: 'TIMEOUT' })
    const told = await new Promise((resolve) => connector.query('SELECT $1::int AS n', { timeout: 60000 }, (...all) => resolve(all), [5]))
    assert.deepStrictEqual(told, [null, { rows: [{ n: 5 }], rowCount: 1 }])
    assert.deepStrictEqual((await connector.query('SELECT $1::int AS n', null, null, [6])).rows, [{ n: 6 }])
    // What was given up before it began has changed nothing.
    const heard = []
    const listener = ({ key }) => heard.push(key)
    const signal = AbortSignal.abort()
    await assert.rejects(connector.subscribe(() => heard.push('never'), { signal }), { name: 'AbortError' })
    await connector.subscribe(listener, { timeout: 60000 })
    await assert.rejects(connector.unsubscribe(listener, { signal }), { name: 'AbortError' })
    await set('users/a', 1, {})
    await until('it is heard', () => heard.includes('a'))
    await connector.unsubscribe(listener, { timeout: 60000 })
    assert.ok(!heard.includes('never'))
    assert.deepStrictEqual(Object.keys(await connector.getSchemaOverview('ds', { timeout: 60000 })), ['users'])
    const overview = await new Promise((resolve) => connector.getSchemaOverview({ timeout: 60000 }, (error, tables) => resolve(tables), 'ds'))
    assert.deepStrictEqual(Object.keys(overview), ['users'])
  })

  test('a subscription outlives the connection', async (t) => {
    const { options, sql } = await postgres(t)
    const { connector, set } = await modern(t, Ours, { type: 'postgres', ...options, notifications: ALL_EVENTS })
    const heard = []
    await connector.subscribe(({ key }) => heard.push(key))
    await set('users/a', 1, {})
    await until('the first is heard', () => heard.includes('a'))
    connector.once('error', () => {})
    const again = new Promise((resolve) => connector.once('ready', resolve))
    await sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'connector'")
    await within(again, 'the return')
    await set('users/b:c', 1, {})
    await until('the second is heard', () => heard.includes('b:c'))
  })

  test('the host hears that an option is without effect', async (t) => {
    const { options } = await postgres(t)
    const lines = []
    const namespace = { ...silent.getNameSpace(), info: (event, line) => lines.push(line) }
    const connector = new Ours({ type: 'postgres', ...options }, { logger: { getNameSpace: () => namespace } })
    atEnd(t, () => connector.close())
    await connector.whenReady()
    await until('it is logged', () => lines.some((line) => line.includes('"writeInterval"')))
  })
})
