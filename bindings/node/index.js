// The connector as deepstream servers of all generations take it.
'use strict'

const { EventEmitter } = require('events')
const { promisify } = require('util')
const { configurationOf } = require('./configuration.js')
const { recordOf } = require('./classic.js')
const { ConnectorError, connectorError } = require('./errors.js')
const { Line, closedError } = require('./line.js')
const { loggerOf } = require('./logger.js')
const { listAll, MAX_PAGE } = require('./listing.js')
const postgres = require('./postgres.js')
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
    const line = new Line(this, configuration.classic, loggerOf(services))
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

  whenReady () {
    return this[LINE].whenReady(this)
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

  get (name, callback) {
    const line = this[LINE]
    if (typeof callback !== 'function') {
      return promised((done) => Connector.prototype.get.call(this, name, done), line.classic ? first : foundRecord)
    }
    if (typeof name !== 'string') return refuse(callback, 'get', name, nameError(name))
    if (line.closed) return refuse(callback, 'get', name, closedError())
    line.submissions.get(line.deliveries.expect('get', name, callback), name)
  }

  set (name, version, data, callback) {
    const line = this[LINE]
    if (line.classic) callback = data
    if (typeof callback !== 'function') {
      return promised((done) => {
        if (line.classic) Connector.prototype.set.call(this, name, version, done)
        else Connector.prototype.set.call(this, name, version, data, done)
      }, nothing)
    }
    let text
    try {
      if (line.classic) {
        const record = recordOf(version)
        version = record.version
        text = record.text
      } else {
        text = JSON.stringify(data)
      }
    } catch (error) {
      return refuse(callback, 'set', name, dataError(error))
    }
    if (typeof name !== 'string') return refuse(callback, 'set', name, nameError(name))
    if (!Number.isSafeInteger(version)) return refuse(callback, 'set', name, versionError(version))
    if (text === undefined) return refuse(callback, 'set', name, dataError(null))
    if (line.closed) return refuse(callback, 'set', name, closedError())
    line.submissions.set(line.deliveries.expect('set', name, callback), name, version, text)
  }

  delete (name, callback) {
    const line = this[LINE]
    if (typeof callback !== 'function') {
      return promised((done) => Connector.prototype.delete.call(this, name, done), nothing)
    }
    if (typeof name !== 'string') return refuse(callback, 'delete', name, nameError(name))
    if (line.closed) return refuse(callback, 'delete', name, closedError())
    line.submissions.delete(line.deliveries.expect('delete', name, callback), name)
  }

  head (name, callback) {
    const line = this[LINE]
    if (typeof callback !== 'function') {
      return promised((done) => Connector.prototype.head.call(this, name, done), foundVersion)
    }
    if (typeof name !== 'string') return refuse(callback, 'head', name, nameError(name))
    if (line.closed) return refuse(callback, 'head', name, closedError())
    line.submissions.head(line.deliveries.expect('head', name, callback), name)
  }

  deleteBulk (names, callback) {
    const line = this[LINE]
    if (typeof callback !== 'function') {
      return promised((done) => Connector.prototype.deleteBulk.call(this, names, done), nothing)
    }
    const list = listOf(names)
    if (list instanceof Error) return refuse(callback, 'deleteBulk', undefined, list)
    if (line.closed) return refuse(callback, 'deleteBulk', undefined, closedError())
    const done = (error) => callback(error)
    line.submissions.now().deleteMany(line.deliveries.expect('deleteBulk', undefined, done), list)
  }

  headBulk (names, callback) {
    const line = this[LINE]
    if (typeof callback !== 'function') {
      const found = (versions, missing) => ({ versions, missing })
      return promised((done) => Connector.prototype.headBulk.call(this, names, done), found)
    }
    const list = listOf(names)
    if (list instanceof Error) return refuse(callback, 'headBulk', undefined, list)
    if (line.closed) return refuse(callback, 'headBulk', undefined, closedError())
    const done = (error, found) => {
      if (error) return callback(error)
      const { versions, missing } = sorted(list, found)
      callback(null, versions, missing)
    }
    line.submissions.now().headMany(line.deliveries.expect('headBulk', undefined, done), list)
  }

  scan (cursor, limit, callback) {
    const line = this[LINE]
    if (typeof callback !== 'function') {
      return promised((done) => Connector.prototype.scan.call(this, cursor, limit, done), first)
    }
    if (cursor !== null && cursor !== undefined && typeof cursor !== 'string') {
      return refuse(callback, 'scan', undefined, cursorError(cursor))
    }
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
      return refuse(callback, 'scan', undefined, limitError(limit))
    }
    if (line.closed) return refuse(callback, 'scan', undefined, closedError())
    line.submissions.now().scan(line.deliveries.expect('scan', undefined, callback), cursor || '', limit)
  }

  records (pageSize = 1000, cursor = null) {
    return listAll((cursor, limit) => Connector.prototype.scan.call(this, cursor, limit), pageSize, cursor)
  }

  command (name, parameters, callback) {
    const line = this[LINE]
    if (typeof callback !== 'function') {
      return promised((done) => Connector.prototype.command.call(this, name, parameters, done), first)
    }
    if (typeof name !== 'string') return refuse(callback, 'command', undefined, nameError(name))
    let text
    try {
      text = JSON.stringify(parameters === undefined ? null : parameters)
    } catch (error) {
      return refuse(callback, 'command', undefined, dataError(error))
    }
    if (text === undefined) return refuse(callback, 'command', undefined, dataError(null))
    if (line.closed) return refuse(callback, 'command', undefined, closedError())
    line.submissions.now().command(line.deliveries.expect('command', undefined, callback), name, text)
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

for (const name of ['get', 'set', 'delete', 'head', 'deleteBulk', 'headBulk', 'scan', 'command']) {
  const method = Connector.prototype[name]
  method[promisify.custom] = function (...args) {
    // A last argument in the callback's place is none.
    return this[name](...args)
  }
}

/**
 * A promise of what a callback is told. One that nobody waits for fails in silence, as an operation
 * without a callback always did.
 */
function promised (start, read) {
  const promise = new Promise((resolve, reject) => {
    start((error, one, two) => error ? reject(error) : resolve(read(one, two)))
  })
  promise.catch(nothing)
  return promise
}

function nothing () {}

function first (result) {
  return result
}

function foundRecord (version, data) {
  return version === -1 && data === null ? null : { version, data }
}

function foundVersion (version) {
  return version === -1 ? null : version
}

/** Calls back with an error, later as always. */
function refuse (callback, operation, name, error) {
  process.nextTick(callback, error.of(operation, typeof name === 'string' ? name : undefined))
}

function nameError (name) {
  return connectorError('INVALID_ARGUMENT', false, `the name is ${inWords(name)}; give a string`)
}

function cursorError (cursor) {
  return connectorError('INVALID_ARGUMENT', false,
    `the cursor is ${inWords(cursor)}; give that of the page before, or null for the first one`)
}

function limitError (limit) {
  return connectorError('INVALID_ARGUMENT', false,
    `the limit is ${inWords(limit)}; give the most records that a page may have, from 1 to ${MAX_PAGE}`)
}

function versionError (version) {
  return connectorError('INVALID_ARGUMENT', false,
    `the version is ${inWords(version)}; give a whole number up to ${Number.MAX_SAFE_INTEGER}`)
}

function dataError (cause) {
  const reason = cause === null ? '' : `: ${cause.message}`
  const error = connectorError('INVALID_ARGUMENT', false, `the data cannot be written as JSON${reason}`)
  if (cause !== null) error.cause = cause
  return error
}

/** What a value is, without what is in it: that may be anything. */
function inWords (value) {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'number') return `the number ${value}`
  if (Array.isArray(value)) return 'a list'
  return `of type ${typeof value}`
}

/** A copy of a list of names, or an error. */
function listOf (names) {
  if (!Array.isArray(names)) {
    return connectorError('INVALID_ARGUMENT', false, `the names are ${inWords(names)}; give a list of strings`)
  }
  const list = names.slice()
  for (let i = 0; i < list.length; i++) {
    if (typeof list[i] !== 'string') return nameError(list[i])
  }
  return list
}

/**
 * Names with a version and names without. The versions are an ordinary object, and yet names
 * such as `__proto__` and `constructor` are there only if they were found.
 */
function sorted (names, found) {
  const versions = {}
  const missing = []
  for (let i = 0; i < names.length; i++) {
    const name = names[i]
    const version = found[i]
    const absent = Number.isNaN(version)
    if (absent) missing.push(name)
    if (name in Object.prototype) {
      Object.defineProperty(versions, name, {
        value: absent ? undefined : version, enumerable: !absent, writable: true, configurable: true
      })
    } else if (!absent) {
      versions[name] = version
    }
  }
  return { versions, missing }
}

module.exports = Connector
module.exports.default = Connector
module.exports.Connector = Connector
module.exports.ConnectorError = ConnectorError
