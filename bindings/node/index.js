// The connector as deepstream servers of all generations take it.
'use strict'

const { EventEmitter } = require('events')
const native = require('./native.js')
const { Deliveries } = require('./deliveries.js')
const { Submissions } = require('./submissions.js')
const { configurationOf } = require('./configuration.js')
const { connectorError, rethrow } = require('./errors.js')
const { loggerOf } = require('./logger.js')
const postgres = require('./postgres.js')
const manifest = require('./package.json')

/** The most records of a page. */
const MAX_PAGE = 1000000

/**
 * A connector that nobody can reach any more finishes what it has accepted and closes.
 *
 * @type {FinalizationRegistry<Line>}
 */
const abandoned = new FinalizationRegistry((line) => line.close())

/**
 * What belongs to a connector but must not keep it: the addon holds on to this for as long as
 * the connection stands, and the connector itself can be collected meanwhile.
 */
class Line {
  constructor (connector, classic, logger) {
    this.connector = new WeakRef(connector)
    this.classic = classic
    this.logger = logger
    this.deliveries = new Deliveries(classic, (what, value, extra) => this.happened(what, value, extra))
    this.submissions = new Submissions()
    this.functions = null
    /** The connector, while somebody waits for it and not for an operation. */
    this.awaited = null
    this.waiters = []
    this.ready = false
    /** The connection has stood. */
    this.wasReady = false
    /** The first connection stood, or it became known that there will be none. */
    this.settled = false
    this.fatal = null
    this.closing = false
    this.closed = false
    this.closeCallbacks = []
  }

  open (configuration) {
    const { deliveries, submissions } = this
    this.functions = native.open(
      configuration, deliveries.drain, deliveries.cells, submissions.collect, submissions.cells
    )
    submissions.functions = this.functions
  }

  /** Keeps the process and the connector until the connection stands or cannot. */
  expectReady () {
    if (!this.settled && !this.closed) this.keep(this.connector.deref())
  }

  keep (connector) {
    this.awaited = connector
    this.functions.hold(connector !== null)
  }

  settle () {
    this.settled = true
    if (!this.closing) this.keep(null)
  }

  whenReady () {
    if (this.closing) return Promise.reject(closedError())
    if (this.ready) return Promise.resolve()
    if (this.fatal !== null) return Promise.reject(this.fatal)
    this.settled = false
    this.expectReady()
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }))
  }

  close () {
    if (this.closing) return
    this.closing = true
    this.submissions.now().close()
  }

  whenClosed (callback) {
    if (this.closed) return process.nextTick(callback)
    this.closeCallbacks.push(callback)
    this.close()
    const connector = this.connector.deref()
    if (connector !== undefined) this.keep(connector)
  }

  takeWaiters () {
    return this.waiters.splice(0)
  }

  emit (...event) {
    const connector = this.connector.deref()
    if (connector === undefined) return
    try {
      connector.emit(...event)
    } catch (error) {
      rethrow(error)
    }
  }

  setReady (ready) {
    this.ready = ready
    const connector = this.connector.deref()
    if (connector !== undefined) connector.isReady = ready
  }

  happened (what, value, extra) {
    switch (what) {
      case 'ready': return this.onReady()
      case 'problem': return this.onProblem(value)
      case 'fatal': return this.onFatal(value)
      case 'log': return this.onLog(value, extra)
      case 'closed': return this.onClosed()
      case 'notification': return this.emit('notification', value, extra)
    }
  }

  onReady () {
    this.fatal = null
    this.wasReady = true
    this.setReady(true)
    for (const { resolve } of this.takeWaiters()) resolve()
    this.emit('ready')
    this.settle()
  }

  /**
   * An outage. The engine has logged it, so that it may go unheard otherwise. A classic server
   * exits at an `error` before `ready`, and is to wait for its database.
   */
  onProblem (error) {
    this.setReady(false)
    const isFatalToHost = this.classic && !this.wasReady
    if (this.hasListener('error') && !isFatalToHost) this.emit('error', error)
  }

  onFatal (error) {
    this.fatal = error
    this.setReady(false)
    const waiters = this.takeWaiters()
    for (const { reject } of waiters) reject(error)
    // Without anybody to tell, Node's custom is to throw. A modern server must not die of it: it
    // has a logger, and asks by `whenReady`.
    if (this.hasListener('error') || (this.classic && waiters.length === 0)) this.emit('error', error)
    this.settle()
  }

  onLog (level, line) {
    try {
      this.logger(level, line)
    } catch (error) {
      rethrow(error)
    }
    if (this.hasListener('log')) this.emit('log', level, line)
  }

  onClosed () {
    this.closing = true
    this.closed = true
    this.setReady(false)
    for (const { reject } of this.takeWaiters()) reject(closedError())
    this.emit('close')
    for (const callback of this.closeCallbacks.splice(0)) callback()
    this.settled = true
    this.awaited = null
  }

  hasListener (event) {
    const connector = this.connector.deref()
    return connector !== undefined && connector.listenerCount(event) > 0
  }
}

class Connector extends EventEmitter {
  #line

  constructor (options, services, config) {
    super()
    const configuration = configurationOf(options, services)
    const line = new Line(this, configuration.classic, loggerOf(services))
    line.open(configuration.text)
    this.#line = line
    this.name = manifest.name
    this.version = manifest.version
    this.type = configuration.type
    this.description = `${line.functions.target} (${manifest.name} ${manifest.version})`
    this.isReady = false
    abandoned.register(this, line)
    if (this.type === 'postgres') postgres.extend(this, options)
    // Whoever listens for `ready` waits for it.
    this.on('newListener', (event) => {
      if (event === 'ready') line.expectReady()
    })
  }

  init () {}

  whenReady () {
    return this.#line.whenReady()
  }

  close () {
    const line = this.#line
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
    const line = this.#line
    callback = callable(callback)
    if (typeof name !== 'string') return refuse(callback, nameError(name))
    if (line.closed) return refuse(callback, closedError())
    line.submissions.get(line.deliveries.expect(callback), name)
  }

  set (name, version, data, callback) {
    const line = this.#line
    let text
    try {
      if (line.classic) {
        callback = data
        data = version._d
        version = version._v
        if (version === undefined) version = 0
      }
      text = JSON.stringify(data)
    } catch (error) {
      return refuse(callable(callback), dataError(error))
    }
    callback = callable(callback)
    if (typeof name !== 'string') return refuse(callback, nameError(name))
    if (!Number.isSafeInteger(version)) return refuse(callback, versionError(version))
    if (text === undefined) return refuse(callback, dataError(null))
    if (line.closed) return refuse(callback, closedError())
    line.submissions.set(line.deliveries.expect(callback), name, version, text)
  }

  delete (name, callback) {
    const line = this.#line
    callback = callable(callback)
    if (typeof name !== 'string') return refuse(callback, nameError(name))
    if (line.closed) return refuse(callback, closedError())
    line.submissions.delete(line.deliveries.expect(callback), name)
  }

  head (name, callback) {
    const line = this.#line
    callback = callable(callback)
    if (typeof name !== 'string') return refuse(callback, nameError(name))
    if (line.closed) return refuse(callback, closedError())
    line.submissions.head(line.deliveries.expect(callback), name)
  }

  deleteBulk (names, callback) {
    const line = this.#line
    callback = callable(callback)
    const list = listOf(names)
    if (list instanceof Error) return refuse(callback, list)
    if (line.closed) return refuse(callback, closedError())
    const done = (error) => callback(error)
    line.submissions.now().deleteMany(line.deliveries.expect(done), list)
  }

  headBulk (names, callback) {
    const line = this.#line
    callback = callable(callback)
    const list = listOf(names)
    if (list instanceof Error) return refuse(callback, list)
    if (line.closed) return refuse(callback, closedError())
    const done = (error, found) => {
      if (error) return callback(error)
      const { versions, missing } = sorted(list, found)
      callback(null, versions, missing)
    }
    line.submissions.now().headMany(line.deliveries.expect(done), list)
  }

  scan (cursor, limit, callback) {
    const line = this.#line
    callback = callable(callback)
    if (cursor !== null && cursor !== undefined && typeof cursor !== 'string') {
      return refuse(callback, cursorError(cursor))
    }
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) return refuse(callback, limitError(limit))
    if (line.closed) return refuse(callback, closedError())
    line.submissions.now().scan(line.deliveries.expect(callback), cursor || '', limit)
  }

  async * records (pageSize = 1000) {
    let cursor = null
    do {
      const page = await new Promise((resolve, reject) => {
        this.scan(cursor, pageSize, (error, page) => error ? reject(error) : resolve(page))
      })
      yield * page.records
      cursor = page.cursor
    } while (cursor !== null)
  }

  command (name, parameters, callback) {
    const line = this.#line
    callback = callable(callback)
    if (typeof name !== 'string') return refuse(callback, nameError(name))
    let text
    try {
      text = JSON.stringify(parameters === undefined ? null : parameters)
    } catch (error) {
      return refuse(callback, dataError(error))
    }
    if (text === undefined) return refuse(callback, dataError(null))
    if (line.closed) return refuse(callback, closedError())
    line.submissions.now().command(line.deliveries.expect(callback), name, text)
  }

  stats () {
    return JSON.parse(this.#line.submissions.now().statistics())
  }
}

function ignore () {}

function callable (callback) {
  return typeof callback === 'function' ? callback : ignore
}

/** Calls back with an error, later as always. */
function refuse (callback, error) {
  process.nextTick(callback, error)
}

function closedError () {
  return connectorError('CLOSED', false, 'the connector is closed; nothing new is accepted')
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
