/* examples/opentelemetry.js makes spans of OpenTelemetry's own library, as its conventions have them. */
'use strict'

const assert = require('node:assert')
const path = require('node:path')
const { test } = require('node:test')
const { modules } = require('./harness')
const { ADDON } = require('./connector')
const { instrument, attributesOf } = require('../../examples/opentelemetry.js')

const installed = modules('opentelemetry')
const api = require(path.join(installed, '@opentelemetry/api'))
const { AsyncLocalStorageContextManager } = require(path.join(installed, '@opentelemetry/context-async-hooks'))
const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require(path.join(installed, '@opentelemetry/sdk-trace-base'))

const Connector = require(ADDON)

test('each operation is a span with the names of the conventions', async (t) => {
  const exporter = new InMemorySpanExporter()
  api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const stop = instrument(api)
  t.after(stop)
  const cache = new Connector({ type: 'memory' }, {})
  t.after(() => cache.close())

  await api.trace.getTracer('test').startActiveSpan('parent', async (parent) => {
    await cache.set('users/1', 1, {})
    await new Promise((resolve) => cache.get('users/1', resolve))
    await cache.headBulk(['users/1', 'users/2'])
    await cache.getMany(['users/1', 'users/2', 'users/3'])
    await cache.setMany([{ name: 'users/1', version: 2, data: {} }])
    await cache.deleteBulk(['users/1'])
    await cache.get('users/1', { timeout: -1 }).catch(() => {})
    await cache.get('users/1', { signal: AbortSignal.abort(new RangeError('enough')) }).catch(() => {})
    parent.end()
  })
  const spans = exporter.getFinishedSpans()
  const parent = spans.find(({ name }) => name === 'parent')
  const children = spans.filter((span) => span !== parent)
  assert.deepStrictEqual(children.map(({ name, attributes }) => [name, attributes]), [
    ['set', { 'db.system.name': 'memory', 'db.operation.name': 'set' }],
    ['get', { 'db.system.name': 'memory', 'db.operation.name': 'get' }],
    ['BATCH head', { 'db.system.name': 'memory', 'db.operation.name': 'BATCH head', 'db.operation.batch.size': 2 }],
    ['BATCH get', { 'db.system.name': 'memory', 'db.operation.name': 'BATCH get', 'db.operation.batch.size': 3 }],
    ['set', { 'db.system.name': 'memory', 'db.operation.name': 'set' }],
    ['delete', { 'db.system.name': 'memory', 'db.operation.name': 'delete' }],
    ['get', { 'db.system.name': 'memory', 'db.operation.name': 'get', 'error.type': 'INVALID_ARGUMENT' }],
    ['get', { 'db.system.name': 'memory', 'db.operation.name': 'get', 'error.type': 'RangeError' }]
  ])
  for (const { kind, parentSpanContext, status, attributes } of children) {
    assert.strictEqual(kind, api.SpanKind.CLIENT)
    assert.strictEqual(parentSpanContext.spanId, parent.spanContext().spanId)
    const failed = 'error.type' in attributes
    assert.strictEqual(status.code, failed ? api.SpanStatusCode.ERROR : api.SpanStatusCode.UNSET)
  }

  stop()
  await cache.get('users/1')
  assert.strictEqual(exporter.getFinishedSpans().length, spans.length)
})

test('databases have the names that the conventions know', () => {
  const operation = 'get'
  assert.deepStrictEqual(attributesOf({ operation, type: 'postgres', key: 'users/1/2' }), {
    'db.system.name': 'postgresql', 'db.operation.name': 'get', 'db.collection.name': 'users'
  })
  assert.deepStrictEqual(attributesOf({ operation, type: 'mongodb', key: 'users' }), {
    'db.system.name': 'mongodb', 'db.operation.name': 'get'
  })
  assert.deepStrictEqual(attributesOf({ operation, type: 'dynamodb', key: 'users/1' }), {
    'db.system.name': 'aws.dynamodb', 'db.operation.name': 'get'
  })
})
