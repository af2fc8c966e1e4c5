/* Shows that classic.js works, with the server's own cache: if this passes, a failing test elsewhere is not its fault. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const test = require('node:test')
const classic = require('./classic')
const { within } = require('./harness')

/* A connector in the manner of the classic interface. */
const MEMORY = `
const { EventEmitter } = require('node:events')
module.exports = class Memory extends EventEmitter {
  constructor (options) {
    super()
    this.data = new Map()
    this.calls = []
    if (!options.never) setImmediate(() => { this.isReady = true; this.emit('ready') })
  }
  set (name, value, callback) { this.calls.push(name); this.data.set(name, JSON.stringify(value)); setImmediate(callback, null) }
  get (name, callback) { setImmediate(callback, null, JSON.parse(this.data.get(name) || 'null')) }
  delete (name, callback) { this.data.delete(name); setImmediate(callback, null) }
  close () { setImmediate(() => this.emit('close')) }
}
`

function memoryConnector (t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'deepstream-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  fs.writeFileSync(path.join(folder, 'memory.js'), MEMORY)
  return path.join(folder, 'memory.js')
}

async function start (t, options) {
  const deepstream = await classic.start(options)
  t.after(deepstream.stop)
  return deepstream
}

const whenReady = (record) => within(new Promise((resolve) => record.whenReady(() => resolve(record))), 'a record')

/* A new client each time, so that what it sees comes from the server. */
const read = async (deepstream, name) => whenReady((await deepstream.connect()).record.getRecord(name))

/* What a client can ask for that reaches a cache. Names are new each time: the server's own cache is one a process. */
async function useRecords (deepstream) {
  const { client } = deepstream
  const [car, cars] = [client.getUid(), client.getUid()]

  const record = await whenReady(client.record.getRecord(car))
  record.set({ wheels: 4, owner: { name: 'Ada' } })
  record.set('owner.name', 'Grace')
  assert.deepStrictEqual((await read(deepstream, car)).get(), { wheels: 4, owner: { name: 'Grace' } })

  const list = await whenReady(client.record.getList(cars))
  list.setEntries(['car', 'truck'])
  const other = await deepstream.connect()
  assert.deepStrictEqual((await whenReady(other.record.getList(cars))).getEntries(), ['car', 'truck'])

  const deleted = new Promise((resolve) => record.once('delete', resolve))
  record.delete()
  await within(deleted, 'the deletion')
  assert.deepStrictEqual((await read(deepstream, car)).get(), {})
  assert.deepStrictEqual(deepstream.errors, [])
}

test('records and lists in the server of this process', async (t) => {
  await useRecords(await start(t))
})

test('records and lists in a server of its own process', async (t) => {
  await useRecords(await start(t, { child: true, cache: { path: memoryConnector(t), options: {} } }))
})

test('a connector object and a function that makes one are used', async (t) => {
  const Memory = require(memoryConnector(t))
  const cache = new Memory({})
  const storage = new Memory({})
  await useRecords(await start(t, { cache, storage: () => storage }))
  assert.ok(cache.calls.length >= 4 && storage.calls.length >= 4)
})

test('a server that does not start says why', async (t) => {
  const cache = { path: memoryConnector(t), options: { never: true } }
  const config = { dependencyInitialisationTimeout: 500 }
  await assert.rejects(classic.start({ child: true, config, cache }), /cache wasn't initialised in time/)
})
