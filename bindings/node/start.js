// What operations have in common that are not called with a callback alone: promises, options, traces.
'use strict'

const { callOptionsOf } = require('./arguments.js')
const { refuse } = require('./operations.js')
const { untilAborted, reasonOf } = require('./signals.js')

/**
 * Starts an operation. Its arguments, at most three, are followed by options, a callback, both or neither. Without a callback
 * it returns a promise. One that nobody waits for fails in silence, as an operation without a callback always did.
 */
function start (line, operation, options, callback, one, two, three) {
  if (typeof options === 'function') return begin(line, operation, null, options, one, two, three)
  if (typeof callback === 'function') return begin(line, operation, options, callback, one, two, three)
  const promise = new Promise((resolve, reject) => {
    const done = (error, first, second) => error ? reject(error) : resolve(operation.read(line, first, second))
    begin(line, operation, options, done, one, two, three)
  })
  promise.catch(nothing)
  return promise
}

function begin (line, operation, options, callback, one, two, three) {
  if (operation.trace.hasSubscribers) beginTraced(line, operation, options, callback, one, two, three)
  else submit(line, operation, options, callback, one, two, three)
}

function beginTraced (line, operation, options, callback, one, two, three) {
  const read = (first, second) => operation.read(line, first, second)
  operation.trace.follow(contextOf(line, operation, one), read, callback, (callback) => {
    submit(line, operation, options, callback, one, two, three)
  })
}

/** What the subscribers of a trace are told. */
function contextOf (line, { name, isKeyed }, one) {
  const context = { operation: name, type: line.type, target: line.functions.target }
  if (isKeyed && typeof one === 'string') context.key = one
  if (Array.isArray(one)) context.count = one.length
  return context
}

function submit (line, operation, options, callback, one, two, three) {
  const checked = callOptionsOf(options)
  if (checked instanceof Error) return refuse(callback, operation.name, operation.isKeyed ? one : undefined, checked)
  const { timeout, signal } = checked
  if (signal !== null) {
    if (signal.aborted) return process.nextTick(callback, reasonOf(signal))
    callback = untilAborted(signal, callback)
  }
  operation.run(line, callback, timeout, one, two, three)
}

function nothing () {}

module.exports = { start }
