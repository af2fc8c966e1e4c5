/* The modern server with our connector as its cache and storage. */
'use strict'

const assert = require('node:assert')
const { test } = require('./needing')('redis')
const modern = require('./modern')
const { native, proxy, redis, sqlite, start, until } = require('./connector')

/* What a connector has to have got right when it comes back: JavaScript's own traps and JSON's corners. */
const AWKWARD = JSON.parse(`{
  "": "an empty key", "empty": [[], {}, [[]], [{}], "", null], "deep": {"a": {"b": {"c": [{"d": []}]}}},
  "__proto__": {"polluted": true}, "constructor": {"prototype": null}, "toString": 1, "hasOwnProperty": false,
  "_id": 1, "_rev": 2, "_v": 3, "_d": 4, "ds_key": 5, "__ds": {"_v": 6}, "a.b": {"$set": 7}, "data": "version",
  "unicode": "Příliš žluťoučký kůň 🚲 ⚡︎ ﷽ \\u0000 \\u2028 \\ud83d\\ude80 e\\u0301",
  "numbers": [0, 0.1, 1e21, 5e-324, 1.7976931348623157e308, 9007199254740991, -1.5],
  "text": "'; DROP TABLE records; -- \\" \\\\ / \\n\\t"
}`)
const AWKWARD_NAMES = ["it's/; DROP TABLE \"x\"", 'žluťoučký/kůň 🚲', '__proto__', 'a b\nc', 'constructor/__proto__', '%_*?[a]']

const CONNECTORS = {
  'memory cache, SQLite storage': async (t) => ({ cache: { type: 'memory' }, storage: sqlite(t) }),
  'Redis cache, SQLite storage': async (t) => ({ cache: (await redis(t)).options(), storage: sqlite(t) }),
  'Redis cache alone': async (t) => ({ cache: (await redis(t)).options() })
}

const plugins = (options) => Object.fromEntries(Object.entries(options).map(([role, of]) => [role, native(of)]))

async function openRecord (client, name) {
  const record = client.record.getRecord(name)
  await record.whenReady()
  return record
}

async function openList (client, name) {
  const list = client.record.getList(name)
  await list.whenReady()
  return list
}

for (const [name, make] of Object.entries(CONNECTORS)) {
  test(`${name}: records and lists are made, changed, read, forgotten and deleted`, async (t) => {
    const options = await make(t)
    const deepstream = await start(t, modern, plugins(options))
    const { client } = deepstream
    const other = await deepstream.connect()

    const bike = await openRecord(client, 'bikes/1')
    await bike.setWithAck({ colour: 'red', rider: { name: 'Ada' } })
    await bike.setWithAck('rider.name', 'Grace')
    await bike.setWithAck('rider.helmet', true)
    await bike.setWithAck('colour', undefined)
    const grace = { rider: { name: 'Grace', helmet: true } }
    assert.deepStrictEqual(await other.record.snapshot('bikes/1'), grace)
    assert.strictEqual(await other.record.head('bikes/1'), 4)
    assert.strictEqual(await other.record.has('bikes/1'), true)
    assert.strictEqual(await other.record.has('bikes/2'), false)
    assert.strictEqual(await other.record.head('bikes/2'), -1)

    const list = await openList(client, 'bikes')
    await list.setEntriesWithAck(['bikes/1', 'bikes/2'])
    list.addEntry('bikes/3')
    list.removeEntry('bikes/2')
    await until('the list is changed', async () => await other.record.head('bikes') === 3)
    assert.deepStrictEqual((await openList(other, 'bikes')).getEntries(), ['bikes/1', 'bikes/3'])

    // The server has its cache forget these, and then finds in the storage what is there.
    await other.record.notify(['bikes/1', 'bikes', 'bikes/none'])
    assert.strictEqual(await other.record.has('bikes/1'), options.storage !== undefined)
    if (options.storage) {
      assert.deepStrictEqual(await other.record.snapshot('bikes/1'), grace)
      assert.strictEqual(await other.record.head('bikes/1'), 4)
    }

    const short = await openRecord(client, 'bikes/4')
    await short.setWithAck({ a: 1 })
    await short.delete()
    assert.strictEqual(await other.record.has('bikes/4'), false)
    const again = await openRecord(other, 'bikes/4')
    assert.deepStrictEqual(again.get(), {})
    await again.setWithAck({ a: 2 })
    assert.deepStrictEqual(await client.record.snapshot('bikes/4'), { a: 2 })
    assert.deepStrictEqual(deepstream.errors, [])
  })
}

for (const name of ['memory cache, SQLite storage', 'Redis cache alone']) {
  test(`${name}: acknowledged records come back equal when the server is started again, or was killed`, async (t) => {
    const options = { child: true, ...plugins(await CONNECTORS[name](t)) }
    const first = await start(t, modern, options)
    for (const record of AWKWARD_NAMES) await (await openRecord(first.client, record)).setWithAck(AWKWARD)
    await (await openRecord(first.client, 'gone')).setWithAck({ a: 1 })
    await first.client.record.getRecord('gone').delete()
    await first.stop()

    const second = await start(t, modern, options)
    for (const record of AWKWARD_NAMES) {
      assert.deepStrictEqual(await second.client.record.snapshot(record), AWKWARD, record)
      assert.strictEqual(await second.client.record.head(record), 1, record)
    }
    assert.strictEqual(await second.client.record.has('gone'), false)
    const last = await openRecord(second.client, 'last')
    for (let i = 1; i <= 5; i++) await last.setWithAck({ i })
    await second.kill()

    const third = await start(t, modern, options)
    assert.deepStrictEqual(await third.client.record.snapshot('last'), { i: 5 })
    assert.strictEqual(await third.client.record.head('last'), 5)
  })
}

test('twelve quick updates of a record through a slow Redis end at the twelfth', async (t) => {
  const server = await redis(t)
  const slow = await proxy(t, server.port)
  const options = { ...server.options(), port: slow.port }
  const deepstream = await start(t, modern, { cache: native(options) })
  const other = await deepstream.connect()
  const record = await openRecord(deepstream.client, 'counter')
  await slow.set('latency', '40')

  for (let i = 1; i < 12; i++) record.set('n', i)
  await record.setWithAck('n', 12)

  assert.deepStrictEqual(deepstream.errors, [])
  assert.deepStrictEqual(await other.record.snapshot('counter'), { n: 12 })
  assert.strictEqual(await other.record.head('counter'), 12)
  assert.deepStrictEqual((await server.ask(options, 'MGET', 'counter_v', 'counter_d')).split('\n'), ['12', '{"n":12}'])
})

test('two clients that take turns at a record through a slow Redis lose no update', async (t) => {
  const server = await redis(t)
  const slow = await proxy(t, server.port)
  const deepstream = await start(t, modern, { cache: native({ ...server.options(), port: slow.port }), storage: native(sqlite(t)) })
  const reader = await deepstream.connect()
  const records = []
  for (const client of [deepstream.client, await deepstream.connect()]) records.push(await openRecord(client, 'counter'))
  await slow.set('latency', '30')

  for (let i = 1; i <= 12; i++) {
    const record = records[i % 2]
    await until(`update ${i - 1} has arrived`, () => i === 1 || record.get('n') === i - 1)
    record.set('n', i)
  }
  // One that has not opened the record asks the server for it.
  await until('the last update is stored', async () => await reader.record.head('counter') === 12)
  assert.deepStrictEqual(await reader.record.snapshot('counter'), { n: 12 })
  assert.deepStrictEqual(deepstream.errors, [])
})
