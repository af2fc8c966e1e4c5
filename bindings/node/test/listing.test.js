// All records of a storage, page by page, and commands.
'use strict'

const assert = require('node:assert')
const { getEventListeners } = require('node:events')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')

const Connector = require('..')

/** A storage with that many records; it is closed at the end of the test. */
async function storage (t, count) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'listing-'))
  const connector = new Connector({ type: 'sqlite', path: path.join(folder, 'records.db'), api: 'modern' })
  t.after(async () => {
    await connector.close()
    fs.rmSync(folder, { recursive: true })
  })
  const set = promisify(connector.set.bind(connector))
  await Promise.all(Array.from({ length: count }, (_, number) => set(`list/${number}`, number, { number })))
  return connector
}

test('all records come, page by page', async (t) => {
  const connector = await storage(t, 25)
  for (const size of [undefined, 25, 10, 1]) {
    const found = []
    for await (const { name, version, data } of connector.records(size)) {
      assert.deepStrictEqual({ name, data }, { name: `list/${version}`, data: { number: version } })
      found.push(version)
    }
    assert.deepStrictEqual(found.sort((a, b) => a - b), Array.from({ length: 25 }, (_, number) => number))
  }
})

test('whoever has seen enough may stop', async (t) => {
  const connector = await storage(t, 25)
  for await (const { name } of connector.records(4)) {
    assert.ok(name.startsWith('list/'))
    break
  }
})

test('whoever_returns_early_ends_a_listing', async (t) => {
  const connector = await storage(t, 25)
  const records = connector.records(4)
  // A page is under way.
  const [first, end] = await Promise.all([records.next(), records.return('enough')])
  assert.strictEqual(first.done, false)
  assert.deepStrictEqual(end, { value: 'enough', done: true })
  assert.deepStrictEqual(await records.next(), { value: undefined, done: true })
  assert.strictEqual(records[Symbol.asyncIterator](), records)
  assert.strictEqual(connector.stats().inFlight, 0)
})

test('a_listing_ends_when_its_signal_is_aborted', async (t) => {
  const connector = await storage(t, 40)
  const seen = []
  const controller = new AbortController()
  const { signal } = controller
  await assert.rejects(async () => {
    for await (const { name } of connector.records(40, null, { signal, timeout: 60000 })) {
      seen.push(name)
      // In the midst of a page.
      if (seen.length === 5) controller.abort()
    }
  }, (error) => error === signal.reason)
  assert.strictEqual(seen.length, 5)
  await assert.rejects(connector.records(4, null, { signal }).next(), (error) => error === signal.reason)
  const other = new AbortController()
  const records = connector.records(4, null, { signal: other.signal })
  const next = records.next()
  other.abort()
  await assert.rejects(next, (error) => error === other.signal.reason)
  assert.deepStrictEqual(await records.next(), { value: undefined, done: true })
  assert.strictEqual(getEventListeners(other.signal, 'abort').length, 0)
})

test('a page is asked for with arguments that are checked', async (t) => {
  const connector = await storage(t, 3)
  const scan = promisify(connector.scan.bind(connector))
  for (const [cursor, limit, word] of [[7, 10, 'cursor'], [null, 0, 'limit'], [null, 1.5, 'limit'], [null, '9', 'limit'], ['nonsense', 10, 'cursor']]) {
    await assert.rejects(scan(cursor, limit), (error) => {
      assert.strictEqual(error.code, 'INVALID_ARGUMENT')
      assert.ok(error.message.includes(word), error.message)
      return true
    })
  }
  const first = await scan(undefined, 2)
  const second = await scan(first.cursor, 2)
  assert.deepStrictEqual([first.records.length, second.records.length, second.cursor], [2, 1, null])
})

test('a cache says that it cannot list its records', async () => {
  const connector = new Connector({ type: 'memory', api: 'modern' })
  await assert.rejects(connector.records().next(), { code: 'UNSUPPORTED' })
  await connector.close()
  await assert.rejects(connector.records().next(), { code: 'CLOSED' })
})

test('a command needs a name, and parameters that are JSON', async () => {
  const connector = new Connector({ type: 'memory', api: 'modern' })
  const command = promisify(connector.command.bind(connector))
  const circle = {}
  circle.circle = circle
  await assert.rejects(command(7, {}), { code: 'INVALID_ARGUMENT' })
  await assert.rejects(command('none', circle), { code: 'INVALID_ARGUMENT' })
  await assert.rejects(command('none', () => {}), { code: 'INVALID_ARGUMENT' })
  await assert.rejects(command('none', undefined), { code: 'UNSUPPORTED' })
  await connector.close()
})
