// An operation under way: who is called back, and in which context.
'use strict'

const { AsyncResource } = require('async_hooks')

/** The version of a record that does not exist, as deepstream has it. */
const NO_VERSION = -1

const TYPE = 'DEEPSTREAM_CONNECTOR'

/** `answered` says when it ends. */
const MANUAL = { requireManualDestroy: true }

/** Its callback runs in the context of its call, as AsyncLocalStorage and tracers have it. */
class Call extends AsyncResource {
  constructor (operation, key, callback) {
    super(TYPE, MANUAL)
    this.operation = operation
    this.key = key
    this.callback = callback
  }

  /** Without a result. */
  done () {
    this.runInAsyncScope(this.callback, undefined, null)
  }

  /** Without a record. */
  miss (classic) {
    if (classic) this.give(null)
    else this.giveRecord(NO_VERSION, null)
  }

  give (result) {
    this.runInAsyncScope(this.callback, undefined, null, result)
  }

  /** NaN is none. */
  giveVersion (version) {
    this.give(Number.isNaN(version) ? NO_VERSION : version)
  }

  giveRecord (version, data) {
    this.runInAsyncScope(this.callback, undefined, null, version, data)
  }

  fail (error) {
    this.runInAsyncScope(this.callback, undefined, error.of(this.operation, this.key))
  }
}

module.exports = { Call, NO_VERSION }
