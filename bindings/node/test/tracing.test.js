// Operations on the channels of `diagnostics_channel`.
'use strict'

const assert = require('assert')
const { AsyncLocalStorage } = require('async_hooks')
const diagnostics = require('diagnostics_channel')
const test = require('node:test')
const { Connector, modern, classic, call, run } = require('./helper.js')

const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error']

/** Collects what an operation's channels publish, or some of them, until the end of the test. */
function subscribed (t, operation, events = EVENTS) {
  const seen = []
  for (const event of events) {
    const channel = diagnostics.channel(`tracing:deepstream-connector:${operation}:${event}`)
    const subscriber = (context) => seen.push({ event, context, then: { ...context } })
    channel.subscribe(subscriber)
    t.after(() => channel.unsubscribe(subscriber))
  }
  return seen
}

const names = (seen) => seen.map(({ event }) => event)

test('each_operation_has_channels_of_its_own', async (t) => {
  const cache = modern(t)
  const about = { type: 'memory', target: cache.description.replace(/ \(.*/, '') }
  const unsupported = { code: 'UNSUPPORTED' }
  const expected = [
    ['set', ['a', 3, { x: 1 }], { key: 'a' }, undefined],
    ['get', ['a'], { key: 'a' }, { version: 3, data: { x: 1 } }],
    ['get', ['b'], { key: 'b' }, null],
    ['head', ['a'], { key: 'a' }, 3],
    ['headBulk', [['a', 'b']], { count: 2 }, { versions: { a: 3 }, missing: ['b'] }],
    ['setMany', [[{ name: 'a', version: 3, data: 1 }, { name: 'c', version: 4, data: 2 }]], { count: 2 }, undefined],
    ['getMany', [['a', 'b']], { count: 2 }, [{ version: 3, data: 1 }, null]],
    ['deleteBulk', [['a', 'b']], { count: 2 }, undefined],
    ['delete', ['a'], { key: 'a' }, undefined],
    ['scan', [null, 10], {}, unsupported],
    ['command', ['none', {}], {}, unsupported]
  ]
  for (const [operation, args, subject, result] of expected) {
    const start = { operation, ...about, ...subject }
    for (const answer of [() => cache[operation](...args), () => call(cache, operation, ...args)]) {
      const seen = subscribed(t, operation)
      await answer().catch(() => {})
      const failed = result === unsupported
      assert.deepStrictEqual(names(seen), ['start', 'end', ...(failed ? ['error'] : []), 'asyncStart', 'asyncEnd'])
      const [{ context }] = seen
      assert.ok(seen.every((one) => one.context === context))
      assert.deepStrictEqual(seen[0].then, start)
      if (failed) {
        assert.strictEqual(context.error.code, 'UNSUPPORTED')
        assert.ok(!('result' in context))
      } else {
        assert.deepStrictEqual(context, { ...start, result })
      }
    }
  }
})

test('a_traced_callback_is_told_what_it_is_otherwise_and_runs_between_its_events', async (t) => {
  const [cache, old] = [modern(t), classic(t)]
  for (const operation of ['get', 'set', 'headBulk']) subscribed(t, operation)
  assert.deepStrictEqual(await call(cache, 'set', 'a', 1, {}), [null])
  assert.deepStrictEqual(await call(cache, 'headBulk', ['a', 'b']), [null, { a: 1 }, ['b']])
  assert.deepStrictEqual(await call(old, 'set', 'a', ['any']), [null])
  assert.strictEqual(await old.set('b', { _v: 2, _d: {} }), undefined)
  assert.deepStrictEqual(await call(old, 'get', 'a', { timeout: 1000 }), [null, ['any']])
  assert.deepStrictEqual(await old.get('b'), { _v: 2, _d: {} })
  const seen = subscribed(t, 'get')
  let returned
  const results = await new Promise((resolve) => {
    returned = cache.get('a', (...results) => {
      seen.push({ event: 'callback' })
      resolve(results)
    }, { meta: 'data' })
    seen.push({ event: 'returned' })
  })
  assert.strictEqual(returned, undefined)
  assert.deepStrictEqual(results, [null, 1, {}])
  assert.deepStrictEqual(names(seen), ['start', 'end', 'returned', 'asyncStart', 'callback', 'asyncEnd'])
})

test('one_channel_alone_is_enough', async (t) => {
  const cache = modern(t)
  for (const event of EVENTS) {
    const seen = subscribed(t, 'head', [event])
    await cache.head(5).catch(() => {})
    assert.deepStrictEqual(names(seen), [event])
  }
})

test('every_kind_of_failure_is_traced', async (t) => {
  const seen = subscribed(t, 'get', ['error'])
  const cache = modern(t)
  const absent = new Connector({ type: 'redis', host: '127.0.0.1', port: 1, timeout: 60000, closeTimeout: 1 }, {})
  t.after(() => absent.close())
  const controller = new AbortController()
  const answers = [
    cache.get(5), cache.get('a', { timeout: -1 }), cache.get('b', { signal: AbortSignal.abort() }),
    absent.get('c', { timeout: 20 }), absent.get('d', { signal: controller.signal })
  ]
  controller.abort(new RangeError('enough'))
  const reasons = (await Promise.allSettled(answers)).map(({ reason }) => reason)
  const told = new Map(seen.map(({ context }) => [context.key, context.error]))
  assert.deepStrictEqual([undefined, 'a', 'b', 'c', 'd'].map((key) => told.get(key)), reasons)
  assert.deepStrictEqual(reasons.map(({ code, name }) => name === 'ConnectorError' ? code : name), [
    'INVALID_ARGUMENT', 'INVALID_ARGUMENT', 'AbortError', 'TIMEOUT', 'RangeError'
  ])
})

const { tracingChannel } = diagnostics
test('a_tracing_channel_of_node_sees_it', { skip: tracingChannel === undefined && 'this Node.js has none' }, async (t) => {
  const storage = new AsyncLocalStorage()
  const channels = tracingChannel('deepstream-connector:get')
  const seen = []
  const handlers = Object.fromEntries(EVENTS.map((event) => [event, () => seen.push(event)]))
  channels.subscribe(handlers)
  channels.start.bindStore(storage, ({ key }) => key)
  t.after(() => {
    channels.unsubscribe(handlers)
    channels.start.unbindStore(storage)
  })
  const cache = modern(t)
  const stores = await Promise.all(['a', 'b'].map((key) => new Promise((resolve) => {
    cache.get(key, () => resolve(storage.getStore()))
  })))
  assert.deepStrictEqual(stores, ['a', 'b'])
  assert.strictEqual(storage.getStore(), undefined)
  assert.deepStrictEqual(seen, ['start', 'end', 'start', 'end', 'asyncStart', 'asyncEnd', 'asyncStart', 'asyncEnd'])
})

test('what_subscribers_and_traced_callbacks_throw_costs_nobody_an_answer', async () => {
  const { status, stdout } = await run(`
    const told = []
    process.on('uncaughtException', (error) => told.push('uncaught ' + error.message))
    const channel = (event) => require('diagnostics_channel').channel('tracing:deepstream-connector:get:' + event)
    channel('start').subscribe(() => { throw new Error('start') })
    channel('asyncEnd').subscribe(({ key }) => told.push('end of ' + key))
    const cache = memory()
    cache.get('a', () => { throw new Error('callback') })
    cache.get('b').then((record) => told.push('b ' + record))
    process.on('exit', () => console.log(told.join()))
  `)
  assert.strictEqual(status, 0)
  const told = stdout.trim().split(',').sort()
  assert.deepStrictEqual(told, ['b null', 'end of a', 'end of b', 'uncaught callback', 'uncaught start', 'uncaught start'])
})
