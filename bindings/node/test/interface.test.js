// The two interfaces, as deepstream's servers use them.
'use strict'

const assert = require('assert')
const { EventEmitter, once } = require('events')
const test = require('node:test')
const { Connector, modern, classic, call, failure, turns } = require('./helper.js')

test('the_module_is_the_class_and_its_own_default', () => {
  assert.strictEqual(Connector.default, Connector)
})

test('it_is_an_emitter_with_plain_properties', async (t) => {
  const connector = classic(t)
  assert.ok(connector instanceof EventEmitter)
  for (const name of ['isReady', 'type', 'description', 'name', 'version']) {
    const property = Object.getOwnPropertyDescriptor(connector, name)
    assert.ok(property.writable && property.enumerable && 'value' in property, name)
  }
  assert.strictEqual(connector.isReady, false)
  assert.strictEqual(connector.type, 'memory')
  assert.match(connector.description, /memory/)
  connector.type = 'cache'
  connector.description = 'mine'
  connector.isReady = true
  await connector.whenReady()
  assert.strictEqual(connector.type, 'cache')
  assert.strictEqual(connector.description, 'mine')
})

test('construction_chooses_the_interface', async (t) => {
  const shapes = [
    [classic(t), 'classic'],
    [modern(t), 'modern'],
    [modern(t, { api: 'classic' }), 'classic'],
    [classic(t, { api: 'modern' }), 'modern'],
    [modern(t, { api: null }), 'modern']
  ]
  for (const [connector, expected] of shapes) {
    const [, ...miss] = await call(connector, 'get', 'none')
    assert.deepStrictEqual(miss, expected === 'classic' ? [null] : [-1, null])
  }
})

test('classic_records_come_back_as_they_were_given', async (t) => {
  const cache = classic(t)
  cache.init()
  await once(cache, 'ready')
  assert.strictEqual(cache.isReady, true)
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, null])
  assert.deepStrictEqual(await call(cache, 'set', 'a', { _v: 7, _d: { x: [1] } }), [null])
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, { _v: 7, _d: { x: [1] } }])
  assert.deepStrictEqual(await call(cache, 'delete', 'a'), [null])
  assert.deepStrictEqual(await call(cache, 'delete', 'a'), [null])
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, null])
})

test('classic_values_that_json_cannot_hold_are_refused', async (t) => {
  const cache = classic(t)
  const circle = {}
  circle.circle = circle
  for (const value of [undefined, () => {}, Symbol('x'), 5n, circle, { _v: 2 ** 53, _d: 1 }, { _v: 1e300, _d: {} }]) {
    const error = await failure(cache, 'set', 'a', value)
    assert.strictEqual(error.code, 'INVALID_ARGUMENT')
  }
})

test('a_fourth_argument_to_a_classic_set_is_ignored', async (t) => {
  const cache = classic(t)
  await new Promise((resolve) => cache.set('a', { _v: 1, _d: 2 }, resolve, { user: 'x' }))
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, { _v: 1, _d: 2 }])
})

test('modern_records_come_back_as_they_were_given', async (t) => {
  const cache = modern(t)
  cache.init()
  await cache.whenReady()
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, -1, null])
  await new Promise((resolve) => cache.set('a', 3, { x: null }, resolve, {}))
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 3, { x: null }])
  assert.deepStrictEqual(await call(cache, 'head', 'a'), [null, 3])
  assert.deepStrictEqual(await call(cache, 'head', 'b'), [null, -1])
  await new Promise((resolve) => cache.delete('a', resolve, {}))
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, -1, null])
})

test('a_stored_null_is_no_miss', async (t) => {
  const [cache, old] = [modern(t), classic(t)]
  await call(cache, 'set', 'a', 0, null)
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 0, null])
  await call(old, 'set', 'a', { _v: 0, _d: null })
  assert.deepStrictEqual(await call(old, 'get', 'a'), [null, { _v: 0, _d: null }])
})

test('bulk_head_tells_found_and_missing', async (t) => {
  const cache = modern(t)
  await call(cache, 'set', 'a', 1, {})
  await call(cache, 'set', 'b', 0, {})
  assert.deepStrictEqual(await call(cache, 'headBulk', ['a', 'x', 'b']), [null, { a: 1, b: 0 }, ['x']])
  assert.deepStrictEqual(await call(cache, 'headBulk', ['x']), [null, {}, ['x']])
  assert.deepStrictEqual(await call(cache, 'headBulk', ['a']), [null, { a: 1 }, []])
  assert.deepStrictEqual(await call(cache, 'headBulk', []), [null, {}, []])
})

test('bulk_head_survives_names_of_the_object_prototype', async (t) => {
  const cache = modern(t)
  const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString']
  let [error, versions, missing] = await call(cache, 'headBulk', names)
  assert.ifError(error)
  assert.deepStrictEqual(missing, names)
  assert.deepStrictEqual(Object.keys(versions), [])
  // A server looks a missing name up like this.
  for (const name of names) assert.strictEqual(versions[name], undefined)
  for (const [index, name] of names.entries()) await call(cache, 'set', name, index, {})
  ;[error, versions, missing] = await call(cache, 'headBulk', names)
  assert.deepStrictEqual(missing, [])
  assert.deepStrictEqual(Object.entries(versions), names.map((name, index) => [name, index]))
})

test('bulk_delete_deletes_all', async (t) => {
  const cache = modern(t)
  await call(cache, 'set', 'a', 1, {})
  await call(cache, 'set', 'b', 1, {})
  assert.deepStrictEqual(await call(cache, 'deleteBulk', ['a', 'b', 'x']), [null])
  assert.deepStrictEqual(await call(cache, 'headBulk', ['a', 'b']), [null, {}, ['a', 'b']])
  assert.deepStrictEqual(await call(cache, 'deleteBulk', []), [null])
})

test('bulk_lists_may_be_long_and_may_be_changed_at_once', async (t) => {
  const cache = modern(t)
  const names = Array.from({ length: 10000 }, (_, i) => `record/${i}`)
  for (let i = 0; i < names.length; i += 2) cache.set(names[i], i, {}, assert.ifError)
  const given = names.slice()
  const answer = call(cache, 'headBulk', given)
  given.length = 0
  const [error, versions, missing] = await answer
  assert.ifError(error)
  assert.strictEqual(Object.keys(versions).length, 5000)
  assert.strictEqual(versions['record/9998'], 9998)
  assert.deepStrictEqual(missing, names.filter((_, i) => i % 2 === 1))
  assert.deepStrictEqual(await call(cache, 'deleteBulk', names), [null])
  const [, left] = await call(cache, 'headBulk', names)
  assert.deepStrictEqual(left, {})
})

test('bulk_lists_that_are_no_lists_of_names_are_refused', async (t) => {
  const cache = modern(t)
  for (const names of ['abc', null, undefined, {}, ['a', 5], ['a', ''], ['a', '\ud800'], new Array(3)]) {
    for (const method of ['headBulk', 'deleteBulk']) {
      const error = await failure(cache, method, names)
      assert.strictEqual(error.code, 'INVALID_ARGUMENT', String(names))
    }
  }
})

test('nothing_calls_back_before_the_method_has_returned', async (t) => {
  const cache = modern(t, { maxInFlight: 4 })
  await cache.whenReady()
  let returned = false
  const answers = []
  const expectLater = () => {
    assert.ok(returned)
    answers.push(1)
  }
  cache.set('a', 1, {}, expectLater)
  cache.get('a', expectLater)
  cache.head('a', expectLater)
  cache.delete('a', expectLater)
  cache.get('busy', expectLater)
  cache.get(5, expectLater)
  cache.set('a', 1, undefined, expectLater)
  cache.set('a', NaN, {}, expectLater)
  cache.headBulk([], expectLater)
  cache.headBulk(null, expectLater)
  returned = true
  await turns(5)
  assert.strictEqual(answers.length, 10)
})

test('a_missing_callback_is_tolerated', async (t) => {
  // What fails and nobody waits for is no unhandled rejection.
  const cache = modern(t)
  cache.set('a', 1, { x: 1 })
  cache.get('a')
  cache.get(5)
  cache.deleteBulk(['b'])
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 1, { x: 1 }])
})

test('statistics_count_operations', async (t) => {
  const cache = modern(t)
  await call(cache, 'set', 'a', 1, {})
  await call(cache, 'get', 'a')
  const { ready, inFlight, operations, connects } = cache.stats()
  assert.deepStrictEqual({ ready, inFlight, connects }, { ready: true, inFlight: 0, connects: 1 })
  assert.strictEqual(operations.set.count, 1)
  assert.strictEqual(operations.get.count, 1)
  assert.ok(operations.get.latencyMicroseconds.max > 0)
})

test('a_thread_of_its_own_changes_nothing', async (t) => {
  const cache = modern(t, { reactorThread: true })
  await cache.whenReady()
  await call(cache, 'set', 'a', 1, { x: 1 })
  const answers = await Promise.all(Array.from({ length: 5000 }, () => call(cache, 'get', 'a')))
  for (const answer of answers) assert.deepStrictEqual(answer, [null, 1, { x: 1 }])
})

test('connectors_of_one_thread_are_independent', async (t) => {
  const all = Array.from({ length: 20 }, () => modern(t))
  await Promise.all(all.map((cache, i) => call(cache, 'set', 'a', i, i)))
  for (const [i, cache] of all.entries()) {
    assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, i, i])
  }
})

test('a_callback_of_one_connector_may_use_another', async (t) => {
  const caches = Array.from({ length: 4 }, () => modern(t))
  let hops = 0
  await new Promise((resolve) => {
    const hop = (error) => {
      assert.ifError(error)
      if (++hops === 1000) return resolve()
      caches[hops % 4].set('a', hops, {}, hop)
    }
    hop(null)
  })
})
