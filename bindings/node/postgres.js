// What deepstream's own PostgreSQL connector has beside the storage interface, under its names.
'use strict'

const { rethrow } = require('./errors.js')

const DEFAULT_SCHEMA = 'ds'

/** Who listens to which schema. Apart from the connector, which it must not keep. */
class Subscriptions {
  constructor () {
    this.listeners = new Map()
    this.notify = this.notify.bind(this)
  }

  of (schema) {
    return this.listeners.get(schema) || []
  }

  put (schema, listeners) {
    if (listeners.length > 0) this.listeners.set(schema, listeners)
    else this.listeners.delete(schema)
  }

  remove (schema, listener) {
    this.put(schema, this.of(schema).filter((other) => other !== listener))
  }

  notify (channel, payload) {
    const notification = notificationOf(payload)
    for (const listener of [...this.of(channel)]) {
      try {
        listener({ ...notification })
      } catch (error) {
        rethrow(error)
      }
    }
  }
}

/**
 * Adds these methods to a connector of the type `postgres`. Where a callback is left out, they
 * return a promise.
 */
function extend (connector, options, line) {
  const ownSchema = options.schema === null || options.schema === undefined ? DEFAULT_SCHEMA : String(options.schema)
  const subscriptions = new Subscriptions()
  line.notified = subscriptions.notify

  /** The connector is kept while there are any. */
  const change = (body) => {
    body()
    line.hasSubscriptions = subscriptions.listeners.size > 0
    line.review(connector)
  }

  const command = (name, parameters, callback, read = () => undefined) => {
    const answer = new Promise((resolve, reject) => {
      connector.command(name, parameters, (error, value) => error ? reject(error) : resolve(read(value)))
    })
    return finish(answer, callback)
  }

  const methods = {
    createSchema: (name, callback) => command('createSchema', { schema: name }, callback),

    destroySchema: (name, callback) => command('destroySchema', { schema: name }, callback),

    getSchemaOverview: (first, second) => {
      const [callback, schema] = typeof first === 'function' ? [first, second] : [undefined, first]
      return command('getSchemaOverview', { schema: schema || ownSchema }, callback, (tables) => tables)
    },

    subscribe: (listener, done, schema = ownSchema) => {
      change(() => subscriptions.put(schema, [...subscriptions.of(schema), listener]))
      const answer = command('subscribe', { schema }).catch((error) => {
        change(() => subscriptions.remove(schema, listener))
        throw error
      })
      return finish(answer, done)
    },

    unsubscribe: (listener, done, schema = ownSchema) => {
      change(() => listener ? subscriptions.remove(schema, listener) : subscriptions.put(schema, []))
      return subscriptions.of(schema).length > 0 ? finish(Promise.resolve(), done) : command('unsubscribe', { schema }, done)
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
