/*
 * Values of the classic interface that are no version and data: ours and the connectors of that time, on one database, give
 * equal ones back, whichever has stored them.
 */
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const needing = require('./needing')
const { once } = require('node:events')
const { modules, within } = require('./harness')
const { ADDON, atEnd, instance } = require('./connector')

const Ours = require(ADDON)
const load = (project, name) => require(path.join(modules(project), name))

/* Their MongoDB connector knows but those with data. */
const WITH_DATA = {
  record: { _v: 7, _d: { x: [1] } },
  more: { _v: 3, _d: { v: 10 }, by: { whom: ['me'] } },
  withoutVersion: { _d: { v: 10 }, firstname: 'Wolfram' },
  list: { _d: ['a', { b: 1 }], firstname: 'Wolfram' }
}
const ANY = {
  ...WITH_DATA,
  object: { firstname: 'Wolfram' },
  brokenVersion: { _v: 1.5, _d: {} },
  holder: { __dsValue: 1 },
  recordWithHolder: { _v: 3, _d: { __dsValue: 1 } },
  listAlone: [1, { _v: 1, _d: 2 }],
  text: 'text',
  number: 5.5,
  no: false
}
/* Theirs do not write text, or read it, as JSON there. */
const NO_TEXT = Object.fromEntries(Object.entries(ANY).filter(([, value]) => typeof value === 'object'))

async function redis (t) {
  const options = { host: '127.0.0.1', port: (await instance(t, 'redis')).port }
  const theirs = new (load('interop', 'deepstream.io-cache-redis'))({ ...options })
  if (!theirs.isReady) await within(once(theirs, 'ready'), 'the connection')
  // It has no way to end, and takes its end for a fault.
  atEnd(t, () => {
    theirs.on('error', () => {})
    theirs.client.disconnect()
  })
  return { theirs, options: { type: 'redis', ...options } }
}

async function memcached (t) {
  const serverLocation = `127.0.0.1:${(await instance(t, 'memcached')).port}`
  const client = new (load('memcached', 'memcached'))(serverLocation)
  atEnd(t, () => client.end())
  const theirs = {
    set: (name, value, done) => client.set(name, value, 0, done),
    get: (name, done) => client.get(name, done)
  }
  return { theirs, options: { type: 'memcached', serverLocation } }
}

async function postgres (t, more) {
  const { port } = await instance(t, 'postgres')
  const options = { host: '127.0.0.1', port, user: 'connector', password: 'secret', database: 'records', schema: 'ds', ...more }
  const theirs = new (load('interop-postgres', 'deepstream.io-storage-postgres'))({ writeInterval: 20, ...options })
  if (!theirs.isReady) await within(once(theirs, 'ready'), 'the connection')
  atEnd(t, () => new Promise((resolve) => theirs.destroy(resolve)))
  return { theirs, options: { type: 'postgres', ...options } }
}

async function mongodb (t) {
  const options = { connectionString: `mongodb://127.0.0.1:${(await instance(t, 'mongodb')).port}/records`, splitChar: '/' }
  const theirs = new (load('interop-mongodb', 'deepstream.io-storage-mongodb'))({ ...options })
  if (!theirs.isReady) await within(once(theirs, 'ready'), 'the connection')
  atEnd(t, () => theirs._client.close())
  // It asks for them in a way that servers of today refuse.
  const collection = theirs._db.collection.bind(theirs._db)
  theirs._db.collection = (name) => Object.assign(collection(name), { createIndexes: () => {} })
  return { theirs, options: { type: 'mongodb', ...options } }
}

const ask = (connector, method, ...rest) => within(new Promise((resolve, reject) => {
  connector[method](...rest, (error, result) => error ? reject(error) : resolve(result))
}), method)

const PLACES = [
  ['redis', 'redis', redis, ANY],
  ['memcached', 'memcached', memcached, NO_TEXT],
  ['postgres, text', 'postgres', (t) => postgres(t, {}), ANY],
  ['postgres, jsonb', 'postgres', (t) => postgres(t, { useJsonb: true }), NO_TEXT],
  ['mongodb', 'mongodb', mongodb, WITH_DATA]
]

for (const [name, recipe, open, values] of PLACES) {
  needing(recipe).test(`classic values are read by either connector, whichever has written them: ${name}`, async (t) => {
    const { theirs, options } = await open(t)
    const ours = new Ours(options)
    atEnd(t, () => ours.close())
    for (const [writer, reader, place] of [[ours, theirs, 'ours'], [theirs, ours, 'theirs']]) {
      for (const [key, value] of Object.entries(values)) {
        await ask(writer, 'set', `${place}/${key}`, structuredClone(value))
        assert.deepStrictEqual(await ask(reader, 'get', `${place}/${key}`), value, `${key}, written by ${place}`)
        assert.deepStrictEqual(await ask(ours, 'get', `${place}/${key}`), value, `${key}, written by ${place}, read by ours`)
      }
    }
    // The ones that only ours can tell apart.
    for (const [key, value] of Object.entries({ ...ANY, null: null })) {
      await ask(ours, 'set', `own/${key}`, value)
      assert.deepStrictEqual(await ask(ours, 'get', `own/${key}`), value, key)
    }
    assert.deepStrictEqual(await ask(ours, 'get', 'own/none'), null)
  })
}
