// The callbacks of operations under way, and how batches of answers reach them.
'use strict'

const native = require('./native.js')
const { connectorError, rethrow } = require('./errors.js')

// What the cells hold, and what each delivery is (see src/cells.rs).
const {
  MAX, CELLS, NO_VERSION,
  DONE, MISS, RECORD, VERSION, VERSIONS, FAILED, ANSWER,
  READY, PROBLEM, FATAL, LOG, CLOSED, NOTIFICATION
} = native.deliveries
const { RETRYABLE, APPLIED_UNKNOWN, CODE } = native.failures

/** A table of callbacks that grew beyond this is let go of when it is empty. */
const KEPT_CALLBACKS = 16384

class Deliveries {
  /**
   * @param {boolean} classic whether a record reaches its callback as `{_v, _d}`
   * @param {(what: string, value?: any, extra?: any) => void} happened hears what belongs to no
   *   operation
   */
  constructor (classic, happened) {
    this.classic = classic
    this.happened = happened
    this.callbacks = []
    this.free = []
    this.cells = new Float64Array(MAX * CELLS)
    this.drain = this.drain.bind(this)
  }

  /** Keeps a callback; returns the number to submit its operation under. */
  expect (callback) {
    const { callbacks, free } = this
    const id = free.length > 0 ? free.pop() : callbacks.length
    callbacks[id] = callback
    return id
  }

  /**
   * Called by the addon with a batch. What a callback throws must not cost others their answer.
   *
   * @param {number} count how many deliveries are in `cells`
   * @param {string} text all small documents in a row
   * @param {any[]} [extras] what is neither a number nor a small document, in order
   */
  drain (count, text, extras) {
    const { cells, callbacks, free } = this
    const end = count * CELLS
    let start = 0
    let extra = 0
    for (let cell = 0; cell < end; cell += CELLS) {
      const what = cells[cell + 1]
      const value = cells[cell + 2]
      if (what <= READY) {
        this.tell(what, value, what === READY || what === CLOSED ? undefined : extras[extra++])
        continue
      }
      const id = cells[cell]
      const callback = callbacks[id]
      callbacks[id] = undefined
      free.push(id)
      try {
        if (what === DONE) {
          callback(null)
        } else if (what >= 0) {
          this.giveRecord(callback, value, text.slice(start, start += what))
        } else {
          this.give(callback, what, value, what === MISS || what === VERSION ? undefined : extras[extra++])
        }
      } catch (error) {
        rethrow(error)
      }
    }
    if (free.length > KEPT_CALLBACKS && free.length === callbacks.length) {
      this.callbacks = []
      this.free = []
    }
  }

  giveRecord (callback, version, text) {
    let data
    try {
      data = JSON.parse(text)
    } catch (error) {
      // The parser's own message repeats a part of the data.
      return callback(connectorError('CORRUPT', false, 'what is stored under this name is not JSON'))
    }
    if (this.classic) {
      callback(null, { _v: version, _d: data })
    } else {
      callback(null, version, data)
    }
  }

  giveAnswer (callback, text) {
    let answer
    try {
      answer = JSON.parse(text)
    } catch (error) {
      return callback(connectorError('CORRUPT', false, 'a record on this page is not JSON'))
    }
    callback(null, answer)
  }

  give (callback, what, value, extra) {
    switch (what) {
      case MISS:
        return this.classic ? callback(null, null) : callback(null, NO_VERSION, null)
      case RECORD:
        return this.giveRecord(callback, value, extra)
      case VERSION:
        return callback(null, value)
      case VERSIONS:
        return callback(null, new Float64Array(extra))
      case ANSWER:
        return this.giveAnswer(callback, extra)
      case FAILED:
        return callback(errorOf(value, extra))
    }
  }

  tell (what, value, extra) {
    switch (what) {
      case READY: return this.happened('ready')
      case PROBLEM: return this.happened('problem', eventOf(value, extra, false))
      case FATAL: return this.happened('fatal', eventOf(value, extra, true))
      case LOG: return this.happened('log', native.logLevels[value], extra)
      case CLOSED: return this.happened('closed')
      case NOTIFICATION: return this.happened('notification', ...JSON.parse(extra))
    }
  }
}

function errorOf (value, message) {
  const applied = value & APPLIED_UNKNOWN ? 'unknown' : 'no'
  return connectorError(native.errorCodes[Math.floor(value / CODE)], (value & RETRYABLE) !== 0, message, applied)
}

/** An error that belongs to no operation; `fatal` means that waiting will not help. */
function eventOf (value, message, fatal) {
  const error = errorOf(value, message)
  error.fatal = fatal
  return error
}

module.exports = { Deliveries }
