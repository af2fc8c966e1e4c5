/*
 * deepstream's own MongoDB connectors and ours on one database: each reads what the other wrote, so that a user may change
 * from one to the other and back.
 */
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const { describe, test, missing } = require('./needing')('mongodb')
const { once } = require('node:events')
const { modules, within } = require('./harness')
const { ADDON, atEnd, instance } = require('./connector')

const load = (name) => require(path.join(modules('interop-mongodb'), name))
const silent = { getNameSpace: () => ({ info () {}, warn () {}, error () {}, fatal () {} }) }

/* Whatever deepstream's own connectors can store as well. */
const RECORDS = {
  bike: [1, { colour: 'red', rider: { name: 'Ada' } }],
  'lists/one': [12, ['bikes/1', { two: 2 }, ['three']]],
  empty: [0, {}],
  'nested/a/b': [3, { a: [], b: {}, c: [[], {}, null], deep: { deeper: { deepest: true } } }],
  'žluťoučký/kůň 🚲': [1099511627776, { 'klíč 🔑': 'Příliš žluťoučký ﷽ \u2028 \u0000', text: '" \\ / \n' }],
  "it's/; drop()": [7, { numbers: [0, -1, 0.1, 1e21, 5e-324, -1.5, 4294967296, Number.MAX_SAFE_INTEGER], _v: 1, _d: { _v: 2 } }]
}

/* The same fields with other values. */
function changed (data) {
  if (Array.isArray(data)) return [...data, 'changed']
  return Object.fromEntries(Object.keys(data).map((name) => [name, `changed ${name}`]))
}

/* Both generations of connectors, seen in one way: get resolves to [version, data], or null. */
function promising (connector, isClassic) {
  const ask = (method, ...args) => within(new Promise((resolve, reject) => {
    connector[method](...args, (error, ...results) => error ? reject(error) : resolve(results))
  }), method)
  return {
    // Theirs change what they are given.
    set: (name, version, data) => {
      const copy = structuredClone(data)
      return isClassic ? ask('set', name, { _v: version, _d: copy }) : ask('set', name, version, copy)
    },
    get: async (name) => {
      const [first, data] = await ask('get', name)
      if (isClassic) return first && [first._v, first._d]
      return first === -1 ? null : [first, data]
    },
    delete: (name) => ask('delete', name)
  }
}

/* The newer connector connects twice, and closes one of the two: nothing would end this process. */
function connectOnce () {
  const folder = path.join(modules('interop-mongodb'), '@deepstream/storage-mongodb')
  const { MongoClient } = require(require.resolve('mongodb', { paths: [folder] }))
  const { connect } = MongoClient.prototype
  const known = new WeakMap()
  MongoClient.prototype.connect = function () {
    if (!known.has(this)) known.set(this, connect.call(this))
    return known.get(this)
  }
}

/* The older connector asks for its index in a form that no server takes, and leaves the refusal to the process. */
function withoutIndexes (db) {
  const collection = db.collection.bind(db)
  db.collection = (name) => Object.assign(collection(name), { createIndexes: () => {} })
}

const LAYOUTS = {
  'V2, @deepstream/storage-mongodb 2.0.8': async (t, options) => {
    const { default: Theirs } = load('@deepstream/storage-mongodb')
    const theirs = new Theirs({ ...options, db: 'records' }, { logger: silent })
    await within(theirs.whenReady(), 'their connection')
    // It has no close.
    atEnd(t, () => theirs.client.close())
    const Ours = require(ADDON)
    const ours = new Ours({ type: 'mongodb', ...options, db: 'records' }, { logger: silent })
    await within(ours.whenReady(), 'our connection')
    atEnd(t, () => ours.close())
    return [promising(theirs, false), promising(ours, false)]
  },
  'V1, deepstream.io-storage-mongodb 1.1.1': async (t, { connectionString, ...options }) => {
    const own = { connectionString: `${connectionString}records`, ...options }
    const connectors = []
    for (const [Connector, of] of [[load('deepstream.io-storage-mongodb'), own], [require(ADDON), { type: 'mongodb', ...own }]]) {
      const connector = new Connector({ ...of })
      if (!connector.isReady) await within(once(connector, 'ready'), 'the connection')
      atEnd(t, () => {
        if (connector._client) return connector._client.close()
        const closed = once(connector, 'close')
        connector.close()
        return closed
      })
      if (connector._db) withoutIndexes(connector._db)
      connectors.push(promising(connector, true))
    }
    return connectors
  }
}

describe("deepstream's own MongoDB connectors and ours", () => {
  if (!missing) connectOnce()
  for (const [layout, connect] of Object.entries(LAYOUTS)) {
    for (const splitChar of ['/', '::']) {
      test(`${layout}, split at ${splitChar}: each reads, changes and deletes what the other wrote`, async (t) => {
        const { port } = await instance(t, 'mongodb')
        const options = { connectionString: `mongodb://127.0.0.1:${port}/`, splitChar }
        const [theirs, ours] = await connect(t, options)
        const records = Object.entries(RECORDS).map(([name, record]) => [name.replaceAll('/', splitChar), record])

        for (const [writer, reader] of [[theirs, ours], [ours, theirs]]) {
          for (const [name, [version, data]] of records) {
            await writer.set(name, version, data)
            assert.deepStrictEqual(await reader.get(name), [version, data], name)
            await reader.set(name, version + 1, changed(data))
            assert.deepStrictEqual(await writer.get(name), [version + 1, changed(data)], name)
          }
          for (const [name] of records) {
            await reader.delete(name)
            assert.deepStrictEqual([await writer.get(name), await reader.get(name)], [null, null], name)
          }
        }

        // Ours replaces a document where theirs would merge it.
        await theirs.set('a', 1, { gone: true, kept: 1 })
        await ours.set('a', 2, { kept: 2 })
        assert.deepStrictEqual(await theirs.get('a'), [2, { kept: 2 }])
        await theirs.set('b', 1, ['a list'])
        await ours.set('b', 2, { an: 'object' })
        assert.deepStrictEqual(await theirs.get('b'), [2, { an: 'object' }])
      })
    }
  }
})
