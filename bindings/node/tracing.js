// Operations, told to whoever subscribes to their channels of `diagnostics_channel`. These are the five that a
// `TracingChannel` has, which the first versions of Node 18 do not know.
'use strict'

const { channel } = require('diagnostics_channel')

class Trace {
  constructor (operation) {
    const named = (event) => channel(`tracing:deepstream-connector:${operation}:${event}`)
    this.start = named('start')
    this.end = named('end')
    this.asyncStart = named('asyncStart')
    this.asyncEnd = named('asyncEnd')
    this.error = named('error')
  }

  get hasSubscribers () {
    return this.start.hasSubscribers || this.end.hasSubscribers || this.asyncStart.hasSubscribers ||
      this.asyncEnd.hasSubscribers || this.error.hasSubscribers
  }

  /**
   * @param {object} context what subscribers are told; it gets `result` or `error`
   * @param {(...results: any[]) => any} read makes the result of what the callback is told
   * @param {Function} callback
   * @param {(callback: Function) => void} begin starts the operation
   */
  follow (context, read, callback, begin) {
    const finish = (error, ...results) => {
      if (error) {
        context.error = error
        this.error.publish(context)
      } else {
        context.result = read(...results)
      }
      within(this.asyncStart, context, this.asyncEnd, () => callback(error, ...results))
    }
    within(this.start, context, this.end, () => begin(finish))
  }
}

/** Publishes a context before and after something, which runs in the stores that are bound to the first channel. */
function within (before, context, after, body) {
  const published = () => {
    try {
      body()
    } finally {
      after.publish(context)
    }
  }
  if (typeof before.runStores === 'function') return before.runStores(context, published)
  before.publish(context)
  published()
}

module.exports = { Trace }
