// What deepstream's own PostgreSQL connector has beside the storage interface, under its names.
'use strict'

const DEFAULT_SCHEMA = 'ds'

/**
 * Adds these methods to a connector of the type `postgres`. Where a callback is left out, they
 * return a promise.
 */
function extend (connector, options) {
  const ownSchema = options.schema === null || options.schema === undefined ? DEFAULT_SCHEMA : String(options.schema)
  /** Who listens to which schema. */
  const listeners = new Map()

  const command = (name, parameters, callback, read = () => undefined) => {
    const answer = new Promise((resolve, reject) => {
      connector.command(name, parameters, (error, value) => error ? reject(error) : resolve(read(value)))
    })
    return finish(answer, callback)
  }

  connector.on('notification', (channel, payload) => {
    const notification = notificationOf(payload)
    for (const listener of [...(listeners.get(channel) || [])]) listener({ ...notification })
  })

  const methods = {
    createSchema: (name, callback) => command('createSchema', { schema: name }, callback),

    destroySchema: (name, callback) => command('destroySchema', { schema: name }, callback),

    getSchemaOverview: (first, second) => {
      const [callback, schema] = typeof first === 'function' ? [first, second] : [undefined, first]
      return command('getSchemaOverview', { schema: schema || ownSchema }, callback, (tables) => tables)
    },

    subscribe: (listener, done, schema = ownSchema) => {
      listeners.set(schema, [...(listeners.get(schema) || []), listener])
      return command('subscribe', { schema }, done)
    },

    unsubscribe: (listener, done, schema = ownSchema) => {
      const left = listener ? (listeners.get(schema) || []).filter((other) => other !== listener) : []
      listeners.set(schema, left)
      return left.length > 0 ? finish(Promise.resolve(), done) : command('unsubscribe', { schema }, done)
    },

    query: (text, callback, values = []) => command('query', { text, values }, callback, (result) => result),

    destroy: (callback) => finish(connector.close(), callback)
  }
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(connector, name, { value, writable: true, configurable: true })
  }
}

/** To the callback, if there is one; what that throws is nobody's rejection. */
function finish (promise, callback) {
  if (typeof callback !== 'function') return promise
  promise.then(
    (value) => process.nextTick(callback, null, value),
    (error) => process.nextTick(callback, error)
  )
}

/** `EVENT:table`, or `EVENT:table:key`. A key may have colons; a table's name had better not. */
function notificationOf (payload) {
  const [event, table, ...key] = payload.split(':')
  return key.length === 0 ? { event, table } : { event, table, key: key.join(':') }
}

module.exports = { extend }
