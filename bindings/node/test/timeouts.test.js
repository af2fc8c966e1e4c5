// Operations with a deadline of their own.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { Connector, modern, classic, call, failure } = require('./helper.js')

/** A server that is not there: what is asked for waits until its deadline. */
const ABSENT = { type: 'redis', host: '127.0.0.1', port: 1 }

/** Each method with its arguments. */
const CALLS = [
  ['get', 'a'], ['set', 'a', 1, {}], ['delete', 'a'], ['head', 'a'], ['headBulk', ['a']], ['deleteBulk', ['a']],
  ['getMany', ['a']], ['setMany', [{ name: 'a', version: 1, data: {} }]], ['scan', null, 10], ['command', 'none', {}]
]

for (const place of [{ reactorThread: false }, { reactorThread: true }]) {
  test(`an_operation_may_have_a_timeout_of_its_own (reactorThread: ${place.reactorThread})`, async (t) => {
    const connector = new Connector({ ...ABSENT, ...place, timeout: 60000, closeTimeout: 1 }, {})
    t.after(() => connector.close())
    const began = Date.now()
    await Promise.all(CALLS.flatMap(([method, ...args]) => [
      assert.rejects(connector[method](...args, { timeout: 40 }), { code: 'TIMEOUT', operation: method }),
      failure(connector, method, ...args, { timeout: 60 }).then((error) => assert.strictEqual(error.code, 'TIMEOUT'))
    ]))
    assert.ok(Date.now() - began >= 50)
  })
}

test('a_timeout_of_its_own_may_be_longer_than_that_of_the_connector', async (t) => {
  const connector = new Connector({ ...ABSENT, timeout: 30, closeTimeout: 1 })
  t.after(() => connector.close())
  const order = []
  const told = (name) => (error) => order.push(`${name} ${error.code}`)
  connector.set('a', 1, { timeout: 300 }, told('long'))
  connector.set('b', 1, told('own'))
  connector.set('c', 1, { timeout: null }, told('none'))
  await new Promise((resolve) => connector.get('d', { timeout: 400 }, resolve))
  assert.deepStrictEqual(order, ['own TIMEOUT', 'none TIMEOUT', 'long TIMEOUT'])
})

test('operations_with_and_without_a_timeout_keep_their_order', async (t) => {
  const cache = modern(t)
  const answers = []
  const expected = []
  for (let i = 0; i < 2000; i++) {
    const options = i % 3 === 0 ? [{ timeout: 60000 }] : []
    const later = i % 5 === 0 ? [{ timeout: 60000 }] : []
    answers.push(call(cache, 'set', 'same', i, { i }, ...options), call(cache, 'get', 'same', ...later), call(cache, 'head', 'same', ...options))
    expected.push([null], [null, i, { i }], [null, i])
    if (i % 7 === 0) {
      answers.push(call(cache, 'delete', 'same', ...later), call(cache, 'get', 'same', ...options))
      expected.push([null], [null, -1, null])
    }
  }
  assert.deepStrictEqual(await Promise.all(answers), expected)
})

test('options_that_are_none_are_refused', async (t) => {
  const [cache, old] = [modern(t), classic(t)]
  const wrong = [
    [5, 'options'], ['1 s', 'options'], [true, 'options'],
    [{ timeout: 0 }, 'timeout'], [{ timeout: -1 }, 'timeout'], [{ timeout: 1.5 }, 'timeout'], [{ timeout: '50' }, 'timeout'],
    [{ timeout: 2 ** 32 }, 'timeout'], [{ timeout: NaN }, 'timeout'], [{ timeout: Infinity }, 'timeout'],
    [{ signal: 5 }, 'signal'], [{ signal: {} }, 'signal'], [{ signal: new AbortController() }, 'signal']
  ]
  for (const [options, word] of wrong) {
    for (const [method, ...args] of CALLS) {
      const expected = { code: 'INVALID_ARGUMENT', operation: method, message: new RegExp(`^the ${word} (is|are) .*; give `) }
      await assert.rejects(cache[method](...args, options), expected)
      const error = await failure(cache, method, ...args, options)
      assert.throws(() => { throw error }, expected)
      assert.strictEqual(error.key, typeof args[0] === 'string' && method !== 'command' ? 'a' : undefined)
    }
    await assert.rejects(old.set('a', {}, options), { code: 'INVALID_ARGUMENT', key: 'a' })
  }
  assert.strictEqual(await cache.get('a'), null)
  assert.strictEqual(await old.get('a'), null)
})

test('options_without_anything_in_them_change_nothing', async (t) => {
  const cache = modern(t)
  for (const options of [null, undefined, {}, { timeout: undefined, signal: null }, { timeout: 2 ** 32 - 1 }]) {
    assert.strictEqual(await cache.set('a', 1, { x: 1 }, options), undefined)
    assert.deepStrictEqual(await cache.get('a', options), { version: 1, data: { x: 1 } })
    assert.deepStrictEqual(await call(cache, 'get', 'a', options), [null, 1, { x: 1 }])
    assert.deepStrictEqual(await call(cache, 'headBulk', ['a'], options), [null, { a: 1 }, []])
  }
})
