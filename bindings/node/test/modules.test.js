// By which names the class is had, and what may be made of it.
'use strict'

const assert = require('assert')
const test = require('node:test')
const { Connector, FOLDER, modern, call } = require('./helper.js')

test('require_gives_the_class_by_all_its_names', () => {
  assert.strictEqual(Connector.default, Connector)
  assert.strictEqual(Connector.Connector, Connector)
  assert.ok(Connector.ConnectorError.prototype instanceof Error)
})

test('import_gives_the_class_by_all_its_names', async () => {
  const module = await import(`${FOLDER}/index.js`)
  assert.strictEqual(module.default, Connector)
  assert.strictEqual(module.Connector, Connector)
  assert.strictEqual(module.ConnectorError, Connector.ConnectorError)
})

test('a_proxy_works', async (t) => {
  const seen = []
  const cache = new Proxy(modern(t), {
    get (target, name, receiver) {
      seen.push(name)
      return Reflect.get(target, name, receiver)
    }
  })
  await cache.whenReady()
  await cache.set('a', 1, { x: 1 })
  assert.deepStrictEqual(await call(cache, 'get', 'a'), [null, 1, { x: 1 }])
  let closed = 0
  cache.on('close', () => closed++)
  await cache.close()
  assert.strictEqual(closed, 1)
  assert.ok(seen.includes('whenReady') && seen.includes('get'))
})

test('a_subclass_works', async (t) => {
  class Mine extends Connector {
    constructor (options) {
      super({ type: 'memory', ...options }, {})
      this.mine = true
    }
  }
  const cache = new Mine({ timeout: 1000 })
  t.after(() => cache.close())
  assert.ok(cache instanceof Connector && cache.mine)
  await cache.set('a', 1, 2)
  assert.deepStrictEqual(await cache.get('a'), { version: 1, data: 2 })
})

test('every_error_is_a_connector_error_that_names_operation_and_key', async (t) => {
  const { ConnectorError } = Connector
  assert.throws(() => new Connector({ type: 'none' }), (error) => error instanceof ConnectorError && error.code === 'CONFIGURATION')
  assert.throws(() => new Connector({ type: 'memory', x: () => {} }), ConnectorError)
  const cache = modern(t, { maxInFlight: 1 })
  cache.get('other', () => {})
  const [error] = await call(cache, 'set', 'users/ada', 1, {})
  assert.ok(error instanceof ConnectorError)
  assert.strictEqual(error.name, 'ConnectorError')
  const { code, retryable, applied, operation, key } = error
  assert.deepStrictEqual({ code, retryable, applied, operation, key }, {
    code: 'BUSY', retryable: true, applied: 'no', operation: 'set', key: 'users/ada'
  })
  const [bulk] = await call(cache, 'headBulk', ['a', 'b'])
  assert.deepStrictEqual([bulk.operation, 'key' in bulk], ['headBulk', false])
  await assert.rejects(modern(t, { type: 'redis', host: '127.0.0.1', port: 1, timeout: 50 }).get('a'),
    (error) => error instanceof ConnectorError && error.operation === 'get' && error.key === 'a' && error.code === 'TIMEOUT')
})
