// The connector as deepstream servers of all generations take it.
'use strict'

const { EventEmitter } = require('events')
const { promisify } = require('util')
const { configurationOf } = require('./configuration.js')
const { ConnectorError } = require('./errors.js')
const { Line } = require('./line.js')
const { loggerOf } = require('./logger.js')
const { listAll } = require('./listing.js')
const { GET_MANY, SET_MANY, DELETE_BULK, HEAD_BULK } = require('./many.js')
const { GET, SET, SET_VALUE, DELETE, HEAD, SCAN, COMMAND } = require('./operations.js')
const postgres = require('./postgres.js')
const { start } = require('./start.js')
const manifest = require('./package.json')

/** Where a connector has its line: a proxy's or subclass's methods find it, too. */
const LINE = Symbol('line')

/**
 * A connector that nobody can reach any more finishes what it has accepted and closes.
 *
 * @type {FinalizationRegistry<Line>}
 */
const abandoned = new FinalizationRegistry((line) => line.close())

class Connector extends EventEmitter {
  constructor (options, services, config) {
    super()
    const configuration = configurationOf(options, services)
    const line = new Line(this, configuration, loggerOf(services))
    line.open(configuration.text)
    Object.defineProperty(this, LINE, { value: line })
    this.name = manifest.name
    this.version = manifest.version
    this.type = configuration.type
    this.description = `${line.functions.target} (${manifest.name} ${manifest.version})`
    this.isReady = false
    abandoned.register(this, line)
    if (this.type === 'postgres') postgres.extend(this, options, line)
  }

  init () {}

  /** Classic servers from 2.x on call it before they wait for `ready`. */
  setDeepstream (deepstream) {
    const options = deepstream && (deepstream._options || deepstream)
    this[LINE].setLogger(loggerOf(options))
  }

  whenReady (options) {
    return this[LINE].whenReady(this, options)
  }

  close () {
    const line = this[LINE]
    return new Promise((resolve) => {
      // The last to close hears of it even when the connector was closed before.
      const late = line.closed
      line.whenClosed(() => {
        if (late) line.emit('close')
        resolve()
      })
    })
  }

  get (name, callback, last) {
    if (typeof callback !== 'function' || GET.trace.hasSubscribers) {
      return start(this[LINE], GET, callback, last, name)
    }
    GET.run(this[LINE], callback, 0, name)
  }

  set (name, version, data, callback, last) {
    const line = this[LINE]
    if (line.classic) return setValue(line, name, version, data, callback)
    if (typeof callback !== 'function' || SET.trace.hasSubscribers) {
      return start(line, SET, callback, last, name, version, data)
    }
    SET.run(line, callback, 0, name, version, data)
  }

  delete (name, callback, last) {
    if (typeof callback !== 'function' || DELETE.trace.hasSubscribers) {
      return start(this[LINE], DELETE, callback, last, name)
    }
    DELETE.run(this[LINE], callback, 0, name)
  }

  head (name, callback, last) {
    if (typeof callback !== 'function' || HEAD.trace.hasSubscribers) {
      return start(this[LINE], HEAD, callback, last, name)
    }
    HEAD.run(this[LINE], callback, 0, name)
  }

  getMany (names, callback, last) {
    return start(this[LINE], GET_MANY, callback, last, names)
  }

  setMany (entries, callback, last) {
    return start(this[LINE], SET_MANY, callback, last, entries)
  }

  deleteBulk (names, callback, last) {
    return start(this[LINE], DELETE_BULK, callback, last, names)
  }

  headBulk (names, callback, last) {
    return start(this[LINE], HEAD_BULK, callback, last, names)
  }

  scan (cursor, limit, callback, last) {
    // Its options are the third of its arguments as well, which may be the callback.
    return start(this[LINE], SCAN, callback, last, cursor, limit, callback)
  }

  records (pageSize = 1000, cursor = null, options = null) {
    return listAll((cursor, limit) => Connector.prototype.scan.call(this, cursor, limit, options), pageSize, cursor, options)
  }

  command (name, parameters, callback, last) {
    return start(this[LINE], COMMAND, callback, last, name, parameters)
  }

  stats () {
    return JSON.parse(this[LINE].submissions.now().statistics())
  }
}

// Whoever adds or removes a listener changes what the connector is kept for.
for (const name of ['on', 'addListener', 'prependListener', 'off', 'removeListener', 'removeAllListeners']) {
  const original = EventEmitter.prototype[name]
  const method = {
    [name] (...args) {
      original.apply(this, args)
      const line = this[LINE]
      if (line !== undefined) line.review(this)
      return this
    }
  }[name]
  Object.defineProperty(Connector.prototype, name, { value: method, writable: true, configurable: true })
}

// Node.js 18 has no such symbol before 18.18.
if (Symbol.asyncDispose !== undefined) {
  const close = function () { return this.close() }
  Object.defineProperty(Connector.prototype, Symbol.asyncDispose, { value: close, writable: true, configurable: true })
}

for (const name of ['get', 'set', 'delete', 'head', 'getMany', 'setMany', 'deleteBulk', 'headBulk', 'scan', 'command']) {
  const method = Connector.prototype[name]
  method[promisify.custom] = function (...args) {
    // A last argument in the callback's place is none.
    return this[name](...args)
  }
}

/** With the classic interface, where a record is one value. */
function setValue (line, name, value, callback, last) {
  if (typeof callback !== 'function' || SET_VALUE.trace.hasSubscribers) {
    return start(line, SET_VALUE, callback, last, name, value)
  }
  SET_VALUE.run(line, callback, 0, name, value)
}

module.exports = Connector
module.exports.default = Connector
module.exports.Connector = Connector
module.exports.ConnectorError = ConnectorError
