// Operations on one name happen in the order of the calls.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { modern, classic, call, turns } = require('./helper.js')

test('get_sees_pending_set', async (t) => {
  const cache = modern(t)
  cache.set('a', 1, 'first', assert.ifError)
  const first = call(cache, 'get', 'a')
  cache.set('a', 2, 'second', assert.ifError)
  const second = call(cache, 'get', 'a')
  cache.delete('a', assert.ifError)
  const third = call(cache, 'get', 'a')
  cache.set('a', 0, 'again', assert.ifError)
  const fourth = call(cache, 'get', 'a')
  assert.deepStrictEqual(await first, [null, 1, 'first'])
  assert.deepStrictEqual(await second, [null, 2, 'second'])
  assert.deepStrictEqual(await third, [null, -1, null])
  assert.deepStrictEqual(await fourth, [null, 0, 'again'])
})

test('many_sets_of_one_name_each_call_back', async (t) => {
  const cache = modern(t)
  let answers = 0
  for (let i = 0; i < 5000; i++) {
    cache.set('a', i, i, (error) => {
      assert.ifError(error)
      answers++
    })
  }
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 4999, 4999])
  assert.strictEqual(answers, 5000)
})

/** What a server does on updates of a record: read, check the version, write, and on without waiting. */
function updates (cache, count) {
  return new Promise((resolve, reject) => {
    let left = count
    const update = (i) => {
      cache.get('record', (error, version) => {
        if (error) return reject(error)
        if (version !== i - 1) return reject(new Error(`update ${i} found version ${version}`))
        cache.set('record', i, { i }, (error) => {
          if (error) return reject(error)
          if (--left === 0) resolve()
        })
        if (i < count) update(i + 1)
      })
    }
    update(1)
  })
}

for (const reactorThread of [false, true]) {
  test(`twelve_updates_in_a_row_all_arrive (reactorThread: ${reactorThread})`, async (t) => {
    const cache = modern(t, { reactorThread })
    await call(cache, 'set', 'record', 0, {})
    await updates(cache, 12)
    assert.deepStrictEqual(await call(cache, 'get', 'record'), [null, 12, { i: 12 }])
  })
}

test('a_lower_version_overwrites_a_higher_one', async (t) => {
  const cache = classic(t)
  await call(cache, 'set', 'a', { _v: 9, _d: 'old' })
  await call(cache, 'set', 'a', { _v: 0, _d: 'new' })
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, { _v: 0, _d: 'new' }])
})

test('callbacks_of_one_name_come_in_order', async (t) => {
  const cache = modern(t)
  const order = []
  for (let i = 0; i < 100; i++) {
    cache.set('a', i, i, () => order.push(`set ${i}`))
    cache.get('a', (error, version) => order.push(`get ${version} ${error}`))
  }
  await call(cache, 'head', 'a')
  const expected = Array.from({ length: 100 }, (_, i) => [`set ${i}`, `get ${i} null`]).flat()
  assert.deepStrictEqual(order, expected)
})

test('next_ticks_and_promises_of_callbacks_run_at_once', async (t) => {
  const cache = modern(t)
  const events = []
  await new Promise((resolve) => {
    cache.get('a', () => {
      events.push('callback')
      process.nextTick(() => events.push('tick'))
      Promise.resolve().then(() => events.push('promise'))
      setImmediate(() => {
        events.push('immediate')
        resolve()
      })
    })
  })
  assert.deepStrictEqual(events, ['callback', 'tick', 'promise', 'immediate'])
})

test('a_chain_of_operations_leaves_the_loop_its_turns', async (t) => {
  const cache = modern(t)
  let operations = 0
  let stop = false
  const next = () => {
    operations++
    if (!stop) cache.get('a', next)
  }
  next()
  await turns(20)
  await new Promise((resolve) => setTimeout(resolve, 20))
  stop = true
  assert.ok(operations > 100, `${operations} operations`)
})
