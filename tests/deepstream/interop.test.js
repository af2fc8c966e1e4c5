/*
 * deepstream's own Redis connectors and ours on one Redis: each reads what the other wrote, so that a user may change from
 * one to the other and back.
 */
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const { describe, test } = require('./needing')('redis')
const { once } = require('node:events')
const { modules, within } = require('./harness')
const { ADDON, atEnd, pause, redis } = require('./connector')

const load = (name) => require(path.join(modules('interop'), name))
const silent = { getNameSpace: () => ({ info () {}, warn () {}, error () {}, fatal () {} }) }

const RECORDS = {
  bike: [1, { colour: 'red', rider: { name: 'Ada' } }],
  'a list': [12, ['bikes/1', 'bikes/2']],
  empty: [0, {}],
  nested: [3, { a: [], b: {}, c: [[], {}, null], '': { '': '' } }],
  'žluťoučký/kůň 🚲': [1099511627776, { 'klíč 🔑': 'Příliš žluťoučký ﷽ \u2028 \u0000', text: '" \\ / \n' }],
  "it's; DEL *": [7, { numbers: [0.1, 1e21, 5e-324, -1.5, Number.MAX_SAFE_INTEGER], _v: 1, _d: { _v: 2 } }]
}

/* Both generations of connectors, seen in one way: get resolves to [version, data], or null. */
function promising (connector, isClassic) {
  const ask = (method, ...args) => within(new Promise((resolve, reject) => {
    connector[method](...args, (error, ...results) => error ? reject(error) : resolve(results))
  }), method)
  return {
    set: (name, version, data) => isClassic ? ask('set', name, { _v: version, _d: data }) : ask('set', name, version, data),
    get: async (name) => {
      const [first, data] = await ask('get', name)
      if (isClassic) return first && [first._v, first._d]
      return first === -1 ? null : [first, data]
    },
    delete: (name) => ask('delete', name),
    headBulk: (names) => ask('headBulk', names),
    deleteBulk: (names) => ask('deleteBulk', names)
  }
}

const LAYOUTS = {
  'V2, @deepstream/cache-redis 2.0.9': async (t, options) => {
    const connectors = []
    for (const [Connector, of] of [[load('@deepstream/cache-redis').default, options], [require(ADDON), { type: 'redis', ...options }]]) {
      const connector = new Connector({ ...of }, { logger: silent })
      await within(connector.whenReady(), 'the connection')
      atEnd(t, () => connector.close())
      connectors.push(promising(connector, false))
    }
    return connectors
  },
  'V1, deepstream.io-cache-redis 1.2.2': async (t, options) => {
    const connectors = []
    for (const [Connector, of] of [[load('deepstream.io-cache-redis'), options], [require(ADDON), { type: 'redis', ...options }]]) {
      const connector = new Connector({ ...of })
      if (!connector.isReady) await within(once(connector, 'ready'), 'the connection')
      atEnd(t, () => {
        const closed = once(connector, 'close')
        connector.close()
        return closed
      })
      connectors.push(promising(connector, true))
    }
    return connectors
  }
}

// Each has a Redis of its own, and mostly they wait.
describe("deepstream's own Redis connectors and ours", { concurrency: 2 }, () => {
  for (const [layout, connect] of Object.entries(LAYOUTS)) {
    test(`${layout}: each reads, replaces and deletes what the other wrote`, async (t) => {
      const server = await redis(t)
      const { type, ...options } = server.options()
      const [theirs, ours] = await connect(t, options)
      const names = Object.keys(RECORDS)

      for (const [writer, reader] of [[theirs, ours], [ours, theirs]]) {
        for (const [name, [version, data]] of Object.entries(RECORDS)) {
          await writer.set(name, version, data)
          assert.deepStrictEqual(await reader.get(name), [version, data], name)
          await reader.set(name, version + 1, { changed: data })
          assert.deepStrictEqual(await writer.get(name), [version + 1, { changed: data }], name)
        }
        if (layout.startsWith('V2')) {
          const versions = Object.fromEntries(names.map((name) => [name, RECORDS[name][0] + 1]))
          assert.deepStrictEqual(await reader.headBulk(['none', ...names]), [versions, ['none']])
          assert.deepStrictEqual(await writer.headBulk(['none', ...names]), [versions, ['none']])
          await reader.deleteBulk(names.slice(1))
        } else {
          for (const name of names.slice(1)) await reader.delete(name)
        }
        await reader.delete(names[0])
        for (const name of names) assert.deepStrictEqual([await writer.get(name), await reader.get(name)], [null, null], name)
        assert.strictEqual(await server.ask(options, 'DBSIZE'), '0')
      }
    })

    test(`${layout}: both leave the same bytes, with the same time to live`, async (t) => {
      const server = await redis(t)
      const { type, ...options } = server.options()
      const [theirs, ours] = await connect(t, { ...options, ttl: 3000 })
      const left = async () => {
        const found = []
        for (const key of (await server.ask(options, 'KEYS', '*')).split('\n').sort()) {
          found.push(key, await server.ask(options, 'GET', key))
          const ttl = Number(await server.ask(options, 'TTL', key))
          assert.ok(ttl > 2900 && ttl <= 3000, `${key} has ${ttl} s to live`)
        }
        return found
      }
      const both = []
      for (const writer of [theirs, ours]) {
        await server.ask(options, 'FLUSHDB')
        await writer.set('žluťoučký/kůň 🚲', ...RECORDS['žluťoučký/kůň 🚲'])
        await writer.set('nested', ...RECORDS.nested)
        both.push(await left())
      }
      assert.deepStrictEqual(both[1], both[0])
    })

    test(`${layout}: what has expired is a miss to both`, async (t) => {
      const { type, ...options } = (await redis(t)).options()
      const [theirs, ours] = await connect(t, { ...options, ttl: 1 })
      await theirs.set('by them', ...RECORDS.bike)
      await ours.set('by us', ...RECORDS.bike)
      for (const reader of [theirs, ours]) {
        for (const name of ['by them', 'by us']) assert.deepStrictEqual(await reader.get(name), RECORDS.bike)
      }
      await pause(1100)
      for (const reader of [theirs, ours]) {
        for (const name of ['by them', 'by us']) assert.strictEqual(await reader.get(name), null)
      }
    })
  }
})
