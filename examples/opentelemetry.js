// A span of OpenTelemetry for each operation of the connectors in this process, made of their tracing channels and named by
// the conventions for database clients (https://opentelemetry.io/docs/specs/semconv/db/database-spans/):
//
//   const stop = require('./opentelemetry.js').instrument(require('@opentelemetry/api'))
'use strict'

const { channel } = require('node:diagnostics_channel')

const OPERATIONS = ['get', 'set', 'delete', 'head', 'getMany', 'setMany', 'deleteBulk', 'headBulk', 'scan', 'command']

/** What `db.system.name` calls it, where that is not the connector's own type. */
const SYSTEMS = { postgres: 'postgresql', dynamodb: 'aws.dynamodb' }

/** Those that have a table or collection for each first part of a name, unless they are configured otherwise. */
const HAVE_COLLECTIONS = ['postgres', 'mysql', 'mariadb', 'mongodb']

/**
 * @param {object} api the module `@opentelemetry/api`
 * @returns {() => void} ends it
 */
function instrument ({ trace, SpanKind, SpanStatusCode }) {
  const tracer = trace.getTracer('deepstream-connector')
  const spans = new WeakMap()

  const handlers = {
    // In the context of the call, whose span becomes the parent.
    start (context) {
      const attributes = attributesOf(context)
      const name = [attributes['db.operation.name'], attributes['db.collection.name']].filter(Boolean).join(' ')
      spans.set(context, tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }))
    },

    error (context) {
      const { code, name, message } = context.error
      const span = spans.get(context)
      if (span === undefined) return
      span.setAttribute('error.type', String(code || name))
      span.setStatus({ code: SpanStatusCode.ERROR, message })
    },

    // The answer is there; the callback is no part of the operation.
    asyncStart (context) {
      const span = spans.get(context)
      if (span !== undefined) span.end()
    }
  }

  const subscriptions = OPERATIONS.flatMap((operation) => Object.entries(handlers).map(([event, handler]) => ({
    channel: channel(`tracing:deepstream-connector:${operation}:${event}`), handler
  })))
  for (const { channel, handler } of subscriptions) channel.subscribe(handler)
  return () => {
    for (const { channel, handler } of subscriptions) channel.unsubscribe(handler)
  }
}

function attributesOf ({ operation, type, key, count }) {
  const attributes = { 'db.system.name': SYSTEMS[type] || type, 'db.operation.name': operation.replace(/Bulk|Many/, '') }
  if (count > 1) {
    attributes['db.operation.name'] = `BATCH ${attributes['db.operation.name']}`
    attributes['db.operation.batch.size'] = count
  }
  if (key !== undefined && key.includes('/') && HAVE_COLLECTIONS.includes(type)) {
    attributes['db.collection.name'] = key.slice(0, key.indexOf('/'))
  }
  return attributes
}

module.exports = { instrument, attributesOf }
