// Operations that are given up by an AbortSignal.
'use strict'

const assert = require('assert')
const { AsyncLocalStorage } = require('async_hooks')
const { getEventListeners } = require('events')
const test = require('node:test')
const { Connector, modern, classic, call, failure, turns, run } = require('./helper.js')

/** Each method with its arguments. */
const CALLS = [
  ['get', 'a'], ['set', 'a', 1, {}], ['delete', 'a'], ['head', 'a'], ['headBulk', ['a']], ['deleteBulk', ['a']],
  ['getMany', ['a']], ['setMany', [{ name: 'a', version: 1, data: {} }]], ['scan', null, 10], ['command', 'none', {}]
]

/** A connector whose operations wait until it is closed. */
function waiting (t) {
  const connector = new Connector({ type: 'redis', host: '127.0.0.1', port: 1, timeout: 60000, closeTimeout: 1 }, {})
  t.after(() => connector.close())
  return connector
}

test('an_aborted_get_rejects_with_the_reason', async (t) => {
  const connector = waiting(t)
  const controller = new AbortController()
  const { signal } = controller
  const answer = connector.get('a', { signal })
  controller.abort()
  await assert.rejects(answer, (error) => error === signal.reason && error.name === 'AbortError')
  const reason = new Error('mine')
  const other = new AbortController()
  const answers = CALLS.map(([method, ...args]) => connector[method](...args, { signal: other.signal }))
  other.abort(reason)
  for (const answer of answers) await assert.rejects(answer, (error) => error === reason)
  await assert.rejects(connector.get('a', { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
})

test('what_is_aborted_before_the_call_is_not_sent', async (t) => {
  const cache = modern(t)
  const signal = AbortSignal.abort()
  for (const [method, ...args] of CALLS) {
    await assert.rejects(cache[method](...args, { signal }), (error) => error === signal.reason)
    let returned = false
    const error = await new Promise((resolve) => {
      cache[method](...args, { signal }, (error) => {
        assert.ok(returned)
        resolve(error)
      })
      returned = true
    })
    assert.strictEqual(error, signal.reason)
  }
  const { operations, inFlight } = cache.stats()
  assert.deepStrictEqual([inFlight, ...Object.values(operations).map(({ count }) => count)], [0, 0, 0, 0, 0])
})

test('an_aborted_callback_is_called_at_once_and_once', async (t) => {
  for (const cache of [modern(t), modern(t, { reactorThread: true })]) {
    await cache.whenReady()
    const controller = new AbortController()
    const { signal } = controller
    const told = []
    for (const [method, ...args] of CALLS) cache[method](...args, { signal }, (...results) => told.push(results))
    assert.deepStrictEqual(told, [])
    controller.abort()
    assert.deepStrictEqual(told, CALLS.map(() => [signal.reason]))
    // The answers come, and nobody hears them.
    await call(cache, 'get', 'a')
    await turns(3)
    assert.strictEqual(told.length, CALLS.length)
    assert.strictEqual(cache.stats().inFlight, 0)
  }
})

test('an_aborted_write_may_have_been_carried_out', async (t) => {
  const cache = modern(t)
  const controller = new AbortController()
  const written = cache.set('a', 7, {}, { signal: controller.signal })
  controller.abort()
  await assert.rejects(written, { name: 'AbortError' })
  assert.strictEqual(await cache.head('a'), 7)
})

test('what_was_answered_is_not_aborted_any_more', async (t) => {
  const cache = classic(t)
  const controller = new AbortController()
  const { signal } = controller
  const told = []
  await cache.set('a', ['any'], { signal })
  assert.deepStrictEqual(await cache.get('a', { signal }), ['any'])
  await new Promise((resolve) => cache.get('a', { signal }, (...results) => resolve(told.push(results))))
  controller.abort()
  await turns(2)
  assert.deepStrictEqual(told, [[null, ['any']]])
})

test('a_signal_keeps_no_listener', async (t) => {
  const warnings = []
  const warned = (warning) => warnings.push(warning)
  process.on('warning', warned)
  t.after(() => process.off('warning', warned))
  const cache = modern(t)
  const { signal } = new AbortController()
  const count = () => getEventListeners(signal, 'abort').length
  for (let round = 0; round < 3; round++) {
    const answers = Array.from({ length: 1000 }, (_, i) => cache.set(`${i}`, i, {}, { signal }))
    assert.strictEqual(count(), 1)
    await Promise.all(answers)
    assert.strictEqual(count(), 0)
  }
  await assert.rejects(cache.get(5, { signal }), { code: 'INVALID_ARGUMENT' })
  await assert.rejects(cache.get('', { signal }), { code: 'INVALID_ARGUMENT' })
  assert.strictEqual(count(), 0)
  const controller = new AbortController()
  const answer = cache.get('a', { signal: controller.signal })
  controller.abort()
  assert.strictEqual(getEventListeners(controller.signal, 'abort').length, 0)
  await assert.rejects(answer)
  await turns(2)
  assert.deepStrictEqual(warnings, [])
})

test('an_aborted_callback_sees_the_store_of_its_call', async (t) => {
  const cache = modern(t)
  const storage = new AsyncLocalStorage()
  const controller = new AbortController()
  const seen = []
  for (let i = 0; i < 3; i++) {
    storage.run(i, () => cache.get('a', { signal: controller.signal }, () => seen.push(storage.getStore())))
  }
  storage.run('abort', () => controller.abort())
  assert.deepStrictEqual(seen, [0, 1, 2])
  const { signal } = controller
  const before = await storage.run('before', () => new Promise((resolve) => {
    cache.get('a', { signal }, () => resolve(storage.getStore()))
  }))
  assert.strictEqual(before, 'before')
})

test('a_reason_that_is_nothing_is_an_error_all_the_same', async (t) => {
  const cache = modern(t)
  for (const reason of [null, 0, '']) {
    const error = await failure(cache, 'get', 'a', { signal: AbortSignal.abort(reason) })
    assert.deepStrictEqual([error.name, error.code, error.cause], ['AbortError', 'ABORT_ERR', reason])
    const controller = new AbortController()
    const answer = cache.get('a', { signal: controller.signal })
    controller.abort(reason)
    await assert.rejects(answer, { name: 'AbortError' })
  }
  await assert.rejects(cache.get('a', { signal: AbortSignal.abort('words') }), (error) => error === 'words')
})

test('what_an_aborted_callback_throws_costs_no_other_its_error', async () => {
  const { status, stdout } = await run(`
    const cache = memory()
    const told = []
    process.on('uncaughtException', (error) => told.push('uncaught ' + error.message))
    const controller = new AbortController()
    for (const name of ['a', 'b', 'c']) {
      cache.get(name, { signal: controller.signal }, (error) => {
        told.push(name + ' ' + error.name)
        throw new Error(name)
      })
    }
    controller.abort()
    process.on('exit', () => console.log(told.join()))
  `)
  assert.deepStrictEqual([status, stdout], [0, 'a AbortError,b AbortError,c AbortError,uncaught a,uncaught b,uncaught c\n'])
})

test('a_timeout_and_a_signal_go_together', async (t) => {
  const connector = waiting(t)
  const controller = new AbortController()
  await assert.rejects(connector.get('a', { timeout: 30, signal: controller.signal }), { code: 'TIMEOUT' })
  assert.strictEqual(getEventListeners(controller.signal, 'abort').length, 0)
})
