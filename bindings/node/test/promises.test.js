// Without a callback, every method returns a promise.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { promisify } = require('util')
const { modern, classic, run } = require('./helper.js')

test('without_a_callback_each_method_returns_a_promise', async (t) => {
  const cache = modern(t)
  assert.strictEqual(await cache.set('a', 3, { x: 1 }), undefined)
  assert.deepStrictEqual(await cache.get('a'), { version: 3, data: { x: 1 } })
  assert.strictEqual(await cache.get('b'), null)
  assert.strictEqual(await cache.head('a'), 3)
  assert.strictEqual(await cache.head('b'), null)
  assert.deepStrictEqual(await cache.headBulk(['a', 'b']), { versions: { a: 3 }, missing: ['b'] })
  assert.strictEqual(await cache.deleteBulk(['a', 'b']), undefined)
  assert.strictEqual(await cache.delete('a'), undefined)
  assert.strictEqual(await cache.get('a'), null)
  await assert.rejects(cache.scan(null, 10), { code: 'UNSUPPORTED' })
  await assert.rejects(cache.command('none', {}), { code: 'UNSUPPORTED' })
})

test('a_classic_promise_has_the_value', async (t) => {
  const cache = classic(t)
  await cache.set('a', { _v: 3, _d: { x: 1 } })
  await cache.set('b', ['any'])
  assert.deepStrictEqual(await cache.get('a'), { _v: 3, _d: { x: 1 } })
  assert.deepStrictEqual(await cache.get('b'), ['any'])
  assert.strictEqual(await cache.get('c'), null)
})

test('with_a_callback_nothing_is_returned', async (t) => {
  const cache = modern(t)
  const ignore = () => {}
  const returned = [
    cache.set('a', 1, {}, ignore), cache.get('a', ignore), cache.head('a', ignore), cache.delete('a', ignore),
    cache.headBulk(['a'], ignore), cache.deleteBulk(['a'], ignore), cache.scan(null, 1, ignore),
    cache.command('none', {}, ignore), cache.get(5, ignore)
  ]
  assert.ok(returned.every((value) => value === undefined))
})

test('util_promisify_gives_the_same', async (t) => {
  const cache = modern(t)
  const [get, set, head] = ['get', 'set', 'head'].map((name) => promisify(cache[name]))
  assert.strictEqual(await set.call(cache, 'a', 3, { x: 1 }), undefined)
  assert.deepStrictEqual(await get.call(cache, 'a'), { version: 3, data: { x: 1 } })
  assert.strictEqual(await get.call(cache, 'b'), null)
  assert.strictEqual(await head.call(cache, 'b'), null)
  await assert.rejects(get.call(cache, 5), { code: 'INVALID_ARGUMENT' })
})

test('what_fails_rejects', async (t) => {
  const cache = modern(t)
  await assert.rejects(cache.get(5), { code: 'INVALID_ARGUMENT', operation: 'get' })
  await assert.rejects(cache.set('a', 1.5, {}), { code: 'INVALID_ARGUMENT', operation: 'set', key: 'a' })
  await assert.rejects(cache.set('a', 1, undefined), { code: 'INVALID_ARGUMENT' })
  await cache.close()
  await assert.rejects(cache.get('a'), { code: 'CLOSED', key: 'a' })
})

test('a_failure_that_nobody_waits_for_ends_no_process', async () => {
  const { status, stderr, stdout } = await run(`
    const cache = memory()
    cache.get(5)
    cache.set('a', 1.5, {})
    cache.delete('b').then(() => console.log('deleted'))
  `)
  assert.deepStrictEqual([status, stderr, stdout], [0, '', 'deleted\n'])
})

test('a_subclass_hears_of_each_call_once', async (t) => {
  const seen = []
  const cache = modern(t)
  class Mine extends cache.constructor {
    get (name, callback) {
      seen.push(name)
      return super.get(name, callback)
    }
  }
  const mine = new Mine({ type: 'memory' }, {})
  t.after(() => mine.close())
  assert.strictEqual(await mine.get('a'), null)
  assert.deepStrictEqual(seen, ['a'])
})
