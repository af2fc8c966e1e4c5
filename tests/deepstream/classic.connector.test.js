/* The classic server with our connector as its cache and storage, set by its user as `server.set('cache', connector)`. */
'use strict'

const assert = require('node:assert')
const { test } = require('./needing')('redis')
const { isDeepStrictEqual } = require('node:util')
const classic = require('./classic')
const { ADDON, native, proxy, redis, sqlite, start, until } = require('./connector')
const { within } = require('./harness')

/* Its clients send and keep JSON as it is, but end strings at \u001e and \u001f, which separate messages. */
const AWKWARD = {
  '': 'an empty key',
  empty: [[], {}, [[]], [{}], '', null],
  deep: { a: { b: { c: [{ d: [] }] } } },
  constructor: { prototype: null },
  _v: 3,
  _d: 4,
  __ds: { _v: 6 },
  __dsList: [],
  'a.b': { $set: 7 },
  unicode: 'Příliš žluťoučký kůň 🚲 ﷽ \u2028 \u0000',
  numbers: [0, 0.1, 1e21, 5e-324, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, -1.5],
  text: "'; DROP TABLE records; -- \" \\ / \n\t"
}
const AWKWARD_NAMES = ["it's/; DROP TABLE \"x\"", 'žluťoučký/kůň 🚲', 'a b\nc', '%_*?[a]']

const CONNECTORS = {
  'memory cache, SQLite storage': async (t) => ({ cache: { type: 'memory' }, storage: sqlite(t) }),
  'Redis cache alone': async (t) => ({ cache: (await redis(t)).options() })
}

const plugins = (options) => Object.fromEntries(Object.entries(options).map(([role, of]) => [role, native(of)]))

const whenReady = (record) => within(new Promise((resolve) => record.whenReady(() => resolve(record))), 'a record')
const openRecord = (client, name) => whenReady(client.record.getRecord(name))
const openList = (client, name) => whenReady(client.record.getList(name))

/* A new client each time, so that what it sees comes from the server. */
const read = async (deepstream, name) => (await openRecord(await deepstream.connect(), name)).get()

/* Resolves when the server has passed a record on to another client, and so given it to its cache. */
async function isPassedOn (record, client) {
  const copy = await openRecord(client, record.name)
  await until('the server has passed the record on', () => isDeepStrictEqual(copy.get(), record.get()))
}

async function deleteRecord (record) {
  const deleted = new Promise((resolve) => record.once('delete', resolve))
  record.delete()
  await within(deleted, 'the deletion')
}

for (const [name, make] of Object.entries(CONNECTORS)) {
  test(`${name}: records and lists are made, changed, read and deleted`, async (t) => {
    const Connector = require(ADDON)
    const connectors = {}
    for (const [role, options] of Object.entries(await make(t))) connectors[role] = new Connector(options)
    const deepstream = await start(t, classic, connectors)
    const { client } = deepstream
    const other = await deepstream.connect()

    const bike = await openRecord(client, 'bikes/1')
    bike.set({ colour: 'red', rider: { name: 'Ada' } })
    bike.set('rider.name', 'Grace')
    bike.set('rider.helmet', true)
    await isPassedOn(bike, other)
    assert.deepStrictEqual(await read(deepstream, 'bikes/1'), { colour: 'red', rider: { name: 'Grace', helmet: true } })

    const list = await openList(client, 'bikes')
    list.setEntries(['bikes/1', 'bikes/2'])
    list.addEntry('bikes/3')
    list.removeEntry('bikes/2')
    const copy = await openList(other, 'bikes')
    await until('the list is passed on', () => isDeepStrictEqual(copy.getEntries(), list.getEntries()))
    assert.deepStrictEqual(await read(deepstream, 'bikes'), ['bikes/1', 'bikes/3'])

    await deleteRecord(bike)
    assert.deepStrictEqual(await read(deepstream, 'bikes/1'), {})
    assert.deepStrictEqual(deepstream.errors, [])
  })

  test(`${name}: records come back equal when the server is started again`, async (t) => {
    const options = { child: true, ...plugins(await make(t)) }
    const first = await start(t, classic, options)
    const other = await first.connect()
    for (const name of AWKWARD_NAMES) {
      const record = await openRecord(first.client, name)
      record.set(AWKWARD)
      await isPassedOn(record, other)
    }
    const gone = await openRecord(first.client, 'gone')
    gone.set({ a: 1 })
    await deleteRecord(gone)
    await first.stop()

    const second = await start(t, classic, options)
    for (const name of AWKWARD_NAMES) assert.deepStrictEqual(await read(second, name), AWKWARD, name)
    assert.deepStrictEqual(await read(second, 'gone'), {})
    assert.deepStrictEqual(second.errors, [])
  })
}

test('records are in Redis as deepstream.io-cache-redis writes them', async (t) => {
  const server = await redis(t)
  const options = server.options()
  const deepstream = await start(t, classic, { cache: native(options) })
  const record = await openRecord(deepstream.client, 'bikes/1')
  record.set('colour', 'red')
  await until('it is stored', async () => await server.ask(options, 'GET', 'bikes/1') === '{"_v":1,"_d":{"colour":"red"}}')
  assert.strictEqual(await server.ask(options, 'KEYS', '*'), 'bikes/1')
})

test('twelve quick updates of a record through a slow Redis end at the twelfth', async (t) => {
  const server = await redis(t)
  const slow = await proxy(t, server.port)
  const options = { ...server.options(), port: slow.port }
  const deepstream = await start(t, classic, { cache: native(options) })
  const record = await openRecord(deepstream.client, 'counter')
  await slow.set('latency', '40')

  for (let i = 1; i <= 12; i++) record.set('n', i)

  await until('it is stored', async () => await server.ask(options, 'GET', 'counter') === '{"_v":12,"_d":{"n":12}}')
  assert.deepStrictEqual(deepstream.errors, [])
})
