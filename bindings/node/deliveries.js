// The callbacks of operations under way, and how batches of answers reach them.
'use strict'

const native = require('./native.js')
const { Call } = require('./calls.js')
const { holdsValue, valueOf } = require('./classic.js')
const { connectorError, rethrow } = require('./errors.js')
const { CHARACTERS } = require('./listing.js')
const { Parts } = require('./parts.js')
const { hasExited } = require('./runtime.js')

// What the cells hold, and what each delivery is (see src/cells.rs).
const {
  MAX, CELLS, PART,
  DONE, MISS, RECORD, VERSION, MANY, FAILED, ANSWER, PAGE,
  READY, PROBLEM, FATAL, LOG, CLOSED, NOTIFICATION
} = native.deliveries
const { RETRYABLE, APPLIED_UNKNOWN, CODE } = native.failures

/** A table of calls that grew beyond this is let go of when it is empty. */
const KEPT_CALLS = 16384

class Deliveries {
  /**
   * @param {boolean} classic whether a record reaches its callback as one value
   * @param {(what: string, value?: any, extra?: any) => void} happened hears what belongs to no
   *   operation
   */
  constructor (classic, happened) {
    this.classic = classic
    this.happened = happened
    this.calls = []
    this.free = []
    /** Of the answer for many names that is coming. */
    this.parts = new Parts()
    this.cells = new Float64Array(MAX * CELLS)
    /** Makes what is neither a number nor a small document, in order; the addon's. */
    this.next = null
    this.drain = this.drain.bind(this)
  }

  /** Keeps a callback; returns the number to submit its operation under. */
  expect (operation, key, callback) {
    const { calls, free } = this
    const id = free.length > 0 ? free.pop() : calls.length
    calls[id] = new Call(operation, key, callback)
    return id
  }

  /**
   * Called by the addon with a batch. What a callback throws must not cost others their answer.
   * After `process.exit` nobody hears anything.
   *
   * @param {number} count how many deliveries are in `cells`
   * @param {string} text all small documents in a row
   */
  drain (count, text) {
    if (hasExited()) return
    const { cells, calls, free, next } = this
    const end = count * CELLS
    let start = 0
    for (let cell = 0; cell < end; cell += CELLS) {
      const what = cells[cell + 1]
      const value = cells[cell + 2]
      if (what <= READY) {
        try {
          this.tell(what, value, next)
        } catch (error) {
          rethrow(error)
        }
        continue
      }
      const id = cells[cell]
      const call = id === PART ? this.parts : calls[id]
      if (id !== PART) {
        calls[id] = undefined
        free.push(id)
      }
      try {
        if (what === DONE) {
          call.done()
        } else if (what >= 0) {
          this.giveRecord(call, value, text.slice(start, start += what))
        } else {
          this.give(call, what, value, next)
        }
      } catch (error) {
        rethrow(error)
      }
      call.emitDestroy()
    }
    if (free.length > KEPT_CALLS && free.length === calls.length) {
      this.calls = []
      this.free = []
    }
  }

  giveRecord (call, version, text) {
    let data
    try {
      data = this.classic ? valueOf(version, text) : JSON.parse(text)
    } catch (error) {
      // The parser's own message repeats a part of the data.
      return call.fail(connectorError('CORRUPT', false, 'what is stored under this name is not JSON'))
    }
    if (this.classic) {
      call.give(data)
    } else {
      call.giveRecord(version, data)
    }
  }

  give (call, what, value, next) {
    switch (what) {
      case MISS:
        return call.miss(this.classic)
      case VERSION:
        return call.giveVersion(value)
      case MANY:
        return call.give(this.parts.take())
      case PAGE:
        return this.givePage(call, value, next)
    }
    let extra
    try {
      extra = next()
    } catch (error) {
      return call.fail(tooLong())
    }
    switch (what) {
      case RECORD:
        return this.giveRecord(call, value, extra)
      case ANSWER:
        return call.give(JSON.parse(extra))
      case FAILED:
        return call.fail(errorOf(value, extra))
    }
  }

  /** A page comes in so many texts: lists of its records, then what else there is of it. */
  givePage (call, texts, next) {
    const lists = []
    let characters = 0
    let failure = null
    for (let left = texts; left > 0; left--) {
      try {
        const text = next()
        characters += text.length
        lists.push(JSON.parse(text))
      } catch (error) {
        failure = tooLong()
      }
    }
    if (failure !== null) return call.fail(failure)
    const { cursor, failed } = lists.pop()
    const records = lists.length === 1 ? lists[0] : lists.flat()
    if (this.classic) records.forEach(showValue)
    const errors = failed.map(([name, value, message]) => errorOf(value, message).of(call.operation, name))
    call.give(Object.defineProperty({ records, cursor, errors }, CHARACTERS, { value: characters }))
  }

  tell (what, value, next) {
    switch (what) {
      case READY: return this.happened('ready')
      case PROBLEM: return this.happened('problem', eventOf(value, next(), false))
      case FATAL: return this.happened('fatal', eventOf(value, next(), true))
      case LOG: return this.happened('log', native.logLevels[value], next())
      case CLOSED: return this.happened('closed')
      case NOTIFICATION: return this.happened('notification', ...JSON.parse(next()))
    }
  }
}

/** What is no record has no version. */
function showValue (entry) {
  if (!holdsValue(entry.data)) return
  entry.version = null
  entry.data = entry.data.__dsValue
}

/** V8's longest string has about 537 million characters. */
function tooLong () {
  return connectorError('TOO_LARGE', false,
    'the answer is longer than a string of JavaScript can be; ask for less at once, or read the record in another language')
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
