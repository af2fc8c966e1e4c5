// What each method asks of the addon, once it has a callback.
'use strict'

const { MAX_PAGE, nameError, cursorError, limitError, prefixError, dataError, recordError } = require('./arguments.js')
const { NO_VERSION } = require('./calls.js')
const { recordOf } = require('./classic.js')
const { closedError } = require('./line.js')
const { Trace } = require('./tracing.js')

class Operation {
  /**
   * @param {string} name the method
   * @param {boolean} isKeyed whether its first argument is the name of a record
   * @param {Function} run takes the line, the callback, a timeout in milliseconds or 0 for the connector's own, and the
   *   method's arguments
   * @param {Function} read makes the value of a promise of the line and of what the callback is told
   */
  constructor (name, isKeyed, run, read) {
    this.name = name
    this.isKeyed = isKeyed
    this.run = run
    this.read = read
    this.trace = new Trace(name)
  }
}

const GET = new Operation('get', true, (line, callback, timeout, name) => {
  if (typeof name !== 'string') return refuse(callback, 'get', name, nameError(name))
  if (line.closed) return refuse(callback, 'get', name, closedError())
  line.submissions.get(line.deliveries.expect('get', name, callback), name, timeout)
}, (line, version, data) => {
  if (line.classic) return version
  return version === NO_VERSION && data === null ? null : { version, data }
})

const SET = new Operation('set', true, (line, callback, timeout, name, version, data) => {
  let text
  try {
    text = JSON.stringify(data)
  } catch (error) {
    return refuse(callback, 'set', name, dataError(error))
  }
  setText(line, callback, timeout, name, version, text)
}, nothing)

/** With the classic interface. */
const SET_VALUE = new Operation('set', true, (line, callback, timeout, name, value) => {
  let record
  try {
    record = recordOf(value)
  } catch (error) {
    return refuse(callback, 'set', name, dataError(error))
  }
  setText(line, callback, timeout, name, record.version, record.text)
}, nothing)

function setText (line, callback, timeout, name, version, text) {
  const error = recordError(name, version, text)
  if (error !== null) return refuse(callback, 'set', name, error)
  if (line.closed) return refuse(callback, 'set', name, closedError())
  line.submissions.set(line.deliveries.expect('set', name, callback), name, version, text, timeout)
}

const DELETE = new Operation('delete', true, (line, callback, timeout, name) => {
  if (typeof name !== 'string') return refuse(callback, 'delete', name, nameError(name))
  if (line.closed) return refuse(callback, 'delete', name, closedError())
  line.submissions.delete(line.deliveries.expect('delete', name, callback), name, timeout)
}, nothing)

const HEAD = new Operation('head', true, (line, callback, timeout, name) => {
  if (typeof name !== 'string') return refuse(callback, 'head', name, nameError(name))
  if (line.closed) return refuse(callback, 'head', name, closedError())
  line.submissions.head(line.deliveries.expect('head', name, callback), name, timeout)
}, (line, version) => version === NO_VERSION ? null : version)

const SCAN = new Operation('scan', false, (line, callback, timeout, cursor, limit, options) => {
  if (cursor !== null && cursor !== undefined && typeof cursor !== 'string') {
    return refuse(callback, 'scan', undefined, cursorError(cursor))
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    return refuse(callback, 'scan', undefined, limitError(limit))
  }
  const prefix = options?.prefix ?? ''
  if (typeof prefix !== 'string') return refuse(callback, 'scan', undefined, prefixError(prefix))
  if (line.closed) return refuse(callback, 'scan', undefined, closedError())
  line.submissions.now().scan(line.deliveries.expect('scan', undefined, callback), cursor || '', limit, timeout, prefix)
}, second)

const COMMAND = new Operation('command', false, (line, callback, timeout, name, parameters) => {
  if (typeof name !== 'string') return refuse(callback, 'command', undefined, nameError(name))
  let text
  try {
    text = JSON.stringify(parameters === undefined ? null : parameters)
  } catch (error) {
    return refuse(callback, 'command', undefined, dataError(error))
  }
  if (text === undefined) return refuse(callback, 'command', undefined, dataError(null))
  if (line.closed) return refuse(callback, 'command', undefined, closedError())
  line.submissions.now().command(line.deliveries.expect('command', undefined, callback), name, text, timeout)
}, second)

function nothing () {}

function second (line, result) {
  return result
}

/** Calls back with an error, later as always. */
function refuse (callback, operation, name, error) {
  process.nextTick(callback, error.of(operation, typeof name === 'string' ? name : undefined))
}

module.exports = { Operation, GET, SET, SET_VALUE, DELETE, HEAD, SCAN, COMMAND, refuse, nothing, second }
