// Operations that are given up when a signal says so.
'use strict'

const { AsyncResource } = require('async_hooks')
const { rethrow } = require('./errors.js')

const TYPE = 'DEEPSTREAM_CONNECTOR_SIGNAL'

/**
 * What each signal is to call. It has one listener of ours while there is anything: thousands would each be looked for
 * among all others, and Node warns of them.
 *
 * @type {WeakMap<AbortSignal, {calls: Set<() => void>, tell: () => void}>}
 */
const waiting = new WeakMap()

/**
 * A callback that is called once: with the signal's reason as soon as that is aborted, or with what comes before.
 */
function untilAborted (signal, callback) {
  const resource = new AsyncResource(TYPE)
  const abort = () => resource.runInAsyncScope(finish, undefined, reasonOf(signal))
  const finish = (...results) => {
    const called = callback
    if (called === null) return
    callback = null
    forget(signal, abort)
    called(...results)
  }
  remember(signal, abort)
  return finish
}

function remember (signal, abort) {
  let entry = waiting.get(signal)
  if (entry === undefined) {
    const calls = new Set()
    entry = { calls, tell: () => tell(calls) }
    waiting.set(signal, entry)
  }
  if (entry.calls.size === 0) signal.addEventListener('abort', entry.tell)
  entry.calls.add(abort)
}

function forget (signal, abort) {
  const { calls, tell } = waiting.get(signal)
  calls.delete(abort)
  if (calls.size === 0) signal.removeEventListener('abort', tell)
}

/** What one callback throws must not cost others their error. */
function tell (calls) {
  for (const abort of calls) {
    try {
      abort()
    } catch (error) {
      rethrow(error)
    }
  }
}

/** Why a signal was aborted, as an error: null would say that all is well. */
function reasonOf ({ reason }) {
  if (reason) return reason
  const error = new Error('the operation was aborted', { cause: reason })
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' })
}

module.exports = { untilAborted, reasonOf }
