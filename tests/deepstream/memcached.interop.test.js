/*
 * The npm client memcached, as deepstream's own connector uses it, and ours on the same servers: each reads what the other
 * wrote, so that a user may change from one to the other and back. (That connector itself is in no package registry.)
 */
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const { describe, test } = require('./needing')('memcached')
const { once } = require('node:events')
const { modules, within } = require('./harness')
const { ADDON, atEnd, instance } = require('./connector')

const Connector = require(ADDON)
const Memcached = require(path.join(modules('memcached'), 'memcached'))
const silent = { getNameSpace: () => ({ info () {}, warn () {}, error () {}, fatal () {} }) }

const RECORDS = {
  bike: [1, { colour: 'red', rider: { name: 'Ada' } }],
  lists: [12, ['bikes/1', 'bikes/2']],
  empty: [0, {}],
  nested: [3, { a: [], b: {}, c: [[], {}, null], '': { '': '' } }],
  'žluťoučký/kůň🚲%20': [1099511627776, { 'klíč 🔑': 'Příliš žluťoučký ﷽ \u2028 \u0000', text: '" \\ / \r\n' }],
  "it's;DEL*": [7, { numbers: [0.1, 1e21, 5e-324, -1.5, Number.MAX_SAFE_INTEGER], version: 1, data: { version: 2 }, key: 'x' }],
  [`long/${'x'.repeat(246)}`]: [2, { length: 251 }],
  [`long/${'ü'.repeat(300)}`]: [2, { length: 305 }]
}

const promise = (ask) => within(new Promise((resolve, reject) => {
  ask((error, ...results) => error ? reject(error) : resolve(results))
}), 'an answer')

/* What deepstream's own connector does with the client; layout V1 has the record as classic servers hand it over. */
function theirs (t, location, layout, { lifetime = 0, memcachedOptions = {} }) {
  const client = new Memcached(location, { ...memcachedOptions })
  atEnd(t, () => client.end())
  const isV1 = layout === 'V1'
  return {
    set: (name, version, data) => {
      const value = isV1 ? { _v: version, _d: data } : { version, data }
      return promise((done) => client.set(name, value, lifetime, done))
    },
    get: async (name) => {
      const [value] = await promise((done) => client.get(name, done))
      return value === undefined ? null : isV1 ? [value._v, value._d] : [value.version, value.data]
    },
    delete: (name) => promise((done) => client.del(name, done))
  }
}

async function ours (t, location, layout, options) {
  const all = { type: 'memcached', serverLocation: location, ...options }
  if (layout === 'V1') {
    const connector = new Connector(all)
    if (!connector.isReady) await within(once(connector, 'ready'), 'the connection')
    atEnd(t, () => {
      const closed = once(connector, 'close')
      connector.close()
      return closed
    })
    return {
      set: (name, version, data) => promise((done) => connector.set(name, { _v: version, _d: data }, done)),
      get: async (name) => {
        const [record] = await promise((done) => connector.get(name, done))
        return record && [record._v, record._d]
      },
      delete: (name) => promise((done) => connector.delete(name, done))
    }
  }
  const connector = new Connector(all, { logger: silent })
  await within(connector.whenReady(), 'the connection')
  atEnd(t, () => connector.close())
  return {
    set: (name, version, data) => promise((done) => connector.set(name, version, data, done)),
    get: async (name) => {
      const [version, data] = await promise((done) => connector.get(name, done))
      return version === -1 ? null : [version, data]
    },
    delete: (name) => promise((done) => connector.delete(name, done))
  }
}

const servers = (t, count) => Promise.all(Array.from({ length: count }, () => instance(t, 'memcached')))
const placeOf = (server) => `127.0.0.1:${server.port}`

describe('the npm client memcached and ours', { concurrency: 2 }, () => {
  for (const layout of ['V1', 'V2']) {
    test(`${layout}: each reads, replaces and deletes what the other wrote`, async (t) => {
      const [server] = await servers(t, 1)
      const options = { memcachedOptions: { namespace: 'app:' } }
      const both = [theirs(t, placeOf(server), layout, options), await ours(t, placeOf(server), layout, options)]
      for (const [writer, reader] of [both, [...both].reverse()]) {
        for (const [name, [version, data]] of Object.entries(RECORDS)) {
          await writer.set(name, version, data)
          assert.deepStrictEqual(await reader.get(name), [version, data], name)
          await reader.set(name, version + 1, { changed: data })
          assert.deepStrictEqual(await writer.get(name), [version + 1, { changed: data }], name)
          await reader.delete(name)
          assert.deepStrictEqual([await writer.get(name), await reader.get(name)], [null, null], name)
        }
      }
    })

    test(`${layout}: both leave the same bytes, with the same flags and lifetime`, async (t) => {
      const [server] = await servers(t, 1)
      const both = [theirs, ours].map((make) => make(t, placeOf(server), layout, { lifetime: 3000 }))
      const left = []
      for (const writer of await Promise.all(both)) {
        await writer.set('žluťoučký/kůň🚲', ...RECORDS['žluťoučký/kůň🚲%20'])
        await writer.set('nested', ...RECORDS.nested)
        left.push(await server.ctl('client', 'get žluťoučký/kůň🚲', 'get nested'))
        const [, seconds] = /^HD t(\d+)$/.exec(await server.ctl('client', 'mg nested t'))
        assert.ok(seconds > 2900 && seconds <= 3000, `${seconds} s to live`)
        await server.ctl('client', 'flush_all')
      }
      assert.match(left[0], /^VALUE .* 2 \d+\n/)
      assert.strictEqual(left[1], left[0])
    })
  }

  const LOCATIONS = {
    'a list': (places) => places,
    'weights': (places) => Object.fromEntries(places.map((place, index) => [place, [1, 2, 5, 3][index]])),
    'equal weights': (places) => Object.fromEntries(places.map((place) => [place, 1]))
  }
  for (const [kind, locate] of Object.entries(LOCATIONS)) {
    test(`four servers as ${kind}: each finds what the other wrote, and both have keys at every server`, async (t) => {
      const all = await servers(t, 4)
      const location = locate(all.map(placeOf))
      const options = { memcachedOptions: { namespace: 'ns/' } }
      const both = [theirs(t, location, 'V2', options), await ours(t, location, 'V2', options)]
      const names = Array.from({ length: 400 }, (_, index) => `${index}/${'ž'.repeat(index)}`)
      for (const [writer, reader] of [both, [...both].reverse()]) {
        // What memcached itself has no room for, and so the npm client no answer: between 250 bytes and 250 characters.
        const possible = names.filter((name) => Buffer.byteLength(`ns/${name}`) <= 250 || `ns/${name}`.length > 250)
        assert.ok(possible.length > 200)
        await Promise.all(possible.map((name, index) => writer.set(name, index, { name })))
        for (const [index, name] of possible.entries()) assert.deepStrictEqual(await reader.get(name), [index, { name }], name)
        for (const server of all) {
          const [, items] = /STAT curr_items (\d+)/.exec(await server.ctl('client', 'stats'))
          assert.ok(Number(items) > 0, `${placeOf(server)} has none of ${kind}`)
        }
        await Promise.all(possible.map((name) => reader.delete(name)))
        for (const name of possible) assert.strictEqual(await writer.get(name), null)
      }
    })
  }
})
