/* Shows that modern.js works, with the server's own cache: if this passes, a failing test elsewhere is not its fault. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const test = require('node:test')
const modern = require('./modern')
const { freePort, within } = require('./harness')

/* A file in a folder that goes with the test. */
function file (t, name, text) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'deepstream-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  fs.writeFileSync(path.join(folder, name), text)
  return path.join(folder, name)
}

async function start (t, options) {
  const deepstream = await modern.start(options)
  t.after(deepstream.stop)
  return deepstream
}

async function openRecord (client, name) {
  const record = client.record.getRecord(name)
  await record.whenReady()
  return record
}

const localCache = () => path.join(modern.modules(), '@deepstream/server/dist/src/services/cache/local-cache.js')

/* What a client can ask for that reaches a cache. */
async function useRecords (deepstream) {
  const { client } = deepstream
  const other = await deepstream.connect()

  const record = await openRecord(client, 'car')
  await record.setWithAck({ wheels: 4, owner: { name: 'Ada' } })
  await record.setWithAck('owner.name', 'Grace')
  assert.deepStrictEqual(await other.record.snapshot('car'), { wheels: 4, owner: { name: 'Grace' } })
  assert.strictEqual(await other.record.head('car'), 2)
  assert.strictEqual(await other.record.has('no such car'), false)

  const list = client.record.getList('cars')
  await list.whenReady()
  await list.setEntriesWithAck(['car', 'truck'])
  assert.deepStrictEqual(await other.record.snapshot('cars'), ['car', 'truck'])

  // notify() tells the server to forget what its cache holds of these records.
  await other.record.notify(['cars'])
  assert.strictEqual(await other.record.has('cars'), false)

  await record.delete()
  assert.strictEqual(await other.record.has('car'), false)
  assert.deepStrictEqual(deepstream.errors, [])
}

test('records and lists in the server of this process', async (t) => {
  await useRecords(await start(t))
})

test('records and lists in a server of its own process', async (t) => {
  const deepstream = await start(t, { child: true, cache: { path: localCache() } })
  await useRecords(deepstream)
  assert.ok(deepstream.log.some((line) => line.includes('cache ready: Local Cache')))
})

test('a connector object and a function that makes one are used', async (t) => {
  const LocalCache = require(localCache()).default
  const calls = []
  class Spy extends LocalCache {
    set (...args) {
      calls.push(args[0])
      super.set(...args)
    }
  }
  const given = []
  const deepstream = await start(t, { cache: new Spy(), storage: (services, config) => given.push(services, config) && new Spy() })
  const record = await openRecord(deepstream.client, 'seen')
  await record.setWithAck({ a: 1 })
  assert.ok(calls.filter((name) => name === 'seen').length >= 2, 'cache and storage')
  assert.ok(given[0].logger && given[1].connectionEndpoints)
})

test('a configuration file with a variable is used', async (t) => {
  const port = await freePort()
  const configFile = file(t, 'config.yml', `
httpServer: { type: default, options: { host: 127.0.0.1, port: \${TEST_PORT} } }
connectionEndpoints: [{ type: ws-binary, options: { urlPath: /deepstream } }]
cache: { path: ${localCache()} }
`)
  await useRecords(await start(t, { child: true, configFile, port, env: { TEST_PORT: String(port) } }))
})

test('a client outlives a server that is killed', async (t) => {
  const first = await start(t, { child: true })
  await first.kill()
  await start(t, { child: true, port: first.port, client: false })
  await first.online()
  const record = await openRecord(first.client, 'after')
  await within(record.setWithAck({ a: 1 }), 'a write after the restart')
  assert.deepStrictEqual(await first.client.record.snapshot('after'), { a: 1 })
})

test('a server that does not start says why', async (t) => {
  const never = file(t, 'never.js', 'module.exports = class { whenReady () { return new Promise(() => {}) } async close () {} }')
  const config = { dependencyInitializationTimeout: 1000 }
  for (const child of [false, true]) {
    await assert.rejects(modern.start({ child, config, cache: { path: never } }), /cache wasn't initialised in time/)
  }
})
