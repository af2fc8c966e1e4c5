// Callbacks run in the context of their call.
'use strict'

const assert = require('assert')
const { AsyncLocalStorage, createHook, executionAsyncId } = require('async_hooks')
const test = require('node:test')
const { modern, turns } = require('./helper.js')

for (const options of [{ reactorThread: false }, { reactorThread: true }]) {
  test(`a_callback_sees_the_store_of_its_call (reactorThread: ${options.reactorThread})`, async (t) => {
    const storage = new AsyncLocalStorage()
    const cache = storage.run('construction', () => modern(t, options))
    const seen = await Promise.all(Array.from({ length: 600 }, (_, i) => new Promise((resolve) => {
      storage.run(i, () => {
        const done = () => resolve(storage.getStore())
        switch (i % 8) {
          case 0: return cache.set(`${i}`, 1, {}, done)
          case 1: return cache.get('a', done)
          case 2: return cache.headBulk(['a'], done)
          case 3: return cache.get(5, done)
          case 4: return cache.get('a').then(done)
          case 5: return cache.set('a', 1, {}, () => cache.get('a', done))
          case 6: return cache.getMany(['a', 'b'], done)
          case 7: return cache.setMany([{ name: 'a', version: 1, data: {} }], done)
        }
      })
    })))
    assert.deepStrictEqual(seen, Array.from(seen, (_, i) => i))
    const [outside] = await new Promise((resolve) => cache.get('a', () => resolve([storage.getStore()])))
    assert.strictEqual(outside, undefined)
  })
}

test('hooks_see_one_resource_for_each_operation', async (t) => {
  const cache = modern(t)
  await cache.whenReady()
  const [made, ended] = [new Map(), []]
  const hook = createHook({
    init (id, type, trigger) {
      if (type === 'DEEPSTREAM_CONNECTOR') made.set(id, trigger)
    },
    destroy (id) {
      if (made.has(id)) ended.push(id)
    }
  }).enable()
  const ids = await Promise.all(Array.from({ length: 10 }, (_, i) => new Promise((resolve) => {
    cache.set(`${i}`, i, {}, () => resolve(executionAsyncId()))
  })))
  await turns(3)
  hook.disable()
  assert.deepStrictEqual([...made.keys()], ids)
  assert.deepStrictEqual(ended.sort((a, b) => a - b), ids)
})
