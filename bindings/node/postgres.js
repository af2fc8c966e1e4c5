// What deepstream's own PostgreSQL connector has beside the storage interface, under its names.
'use strict'

const { callOptionsOf } = require('./arguments.js')
const { rethrow } = require('./errors.js')
const { reasonOf } = require('./signals.js')

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
 * return a promise; options of one operation may stand before it.
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

  const command = (name, parameters, options, read = nothing) => new Promise((resolve, reject) => {
    connector.command(name, parameters, options, (error, value) => error ? reject(error) : resolve(read(value)))
  })

  const methods = {
    createSchema: (schema, ...rest) => begin(callOf(rest), (options) => command('createSchema', { schema }, options)),

    destroySchema: (schema, ...rest) => begin(callOf(rest), (options) => command('destroySchema', { schema }, options)),

    // The schema is first, or else last.
    getSchemaOverview: (first, ...rest) => {
      const isSchema = typeof first === 'string' || !isGiven(first)
      const call = callOf(isSchema ? rest : [first, ...rest])
      const schema = (isSchema ? first : call.more[0]) || ownSchema
      return begin(call, (options) => command('getSchemaOverview', { schema }, options, (tables) => tables))
    },

    subscribe: (listener, ...rest) => {
      const call = callOf(rest)
      const [schema = ownSchema] = call.more
      return begin(call, (options) => {
        change(() => subscriptions.put(schema, [...subscriptions.of(schema), listener]))
        return command('subscribe', { schema }, options).catch((error) => {
          change(() => subscriptions.remove(schema, listener))
          throw error
        })
      })
    },

    unsubscribe: (listener, ...rest) => {
      const call = callOf(rest)
      const [schema = ownSchema] = call.more
      return begin(call, (options) => {
        change(() => listener ? subscriptions.remove(schema, listener) : subscriptions.put(schema, []))
        return subscriptions.of(schema).length > 0 ? Promise.resolve() : command('unsubscribe', { schema }, options)
      })
    },

    query: (text, ...rest) => {
      const call = callOf(rest)
      const [values = []] = call.more
      return begin(call, (options) => command('query', { text, values }, options, (result) => result))
    },

    destroy: (callback) => finish(connector.close(), callback)
  }
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(connector, name, { value, writable: true, configurable: true })
  }
}

/**
 * What stands behind a method's first argument: options, a callback, both or neither, and then more.
 *
 * @returns {{options: any, callback: any, more: any[]}}
 */
function callOf (rest) {
  const [first, second, third] = rest
  // Where neither is given, what comes third says where they stand. Their connector's last argument is a boolean.
  const isThird = typeof second === 'function' || (!isGiven(second) && isGiven(third) && typeof third !== 'boolean')
  const hasOptions = typeof first !== 'function' && (isGiven(first) || isThird)
  const [options, callback, ...more] = hasOptions ? rest : [undefined, ...rest]
  return { options, callback, more }
}

/** Does what a method does, unless its options are wrong or its signal is aborted. */
function begin ({ options, callback }, body) {
  const refused = refusalOf(options)
  return finish(refused === null ? body(options) : Promise.reject(refused), callback)
}

function refusalOf (options) {
  const checked = callOptionsOf(options)
  if (checked instanceof Error) return checked.of('command')
  const { signal } = checked
  return signal !== null && signal.aborted ? reasonOf(signal) : null
}

function isGiven (value) {
  return value !== null && value !== undefined
}

function nothing () {}

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
