// Errors as callbacks get them.
'use strict'

/** Whatever fails: see `index.d.ts`. */
class ConnectorError extends Error {
  /**
   * @param {string} code what kind of failure, such as 'TIMEOUT'
   * @param {boolean} retryable whether the same call may succeed later
   * @param {string} message one sentence
   * @param {'no' | 'unknown'} [applied] whether the operation may have been carried out all the same
   */
  constructor (code, retryable, message, applied = 'no') {
    super(message)
    this.code = code
    this.retryable = retryable
    this.applied = applied
  }

  /** Says which of the connector's operations failed, and for what name if it was one. */
  of (operation, key) {
    this.operation = operation
    if (key !== undefined) this.key = key
    return this
  }
}

// Not enumerable, as those of Node's own errors.
for (const [name, value] of [['name', 'ConnectorError'], ['of', ConnectorError.prototype.of]]) {
  Object.defineProperty(ConnectorError.prototype, name, { value, writable: true, configurable: true })
}

function connectorError (code, retryable, message, applied) {
  return new ConnectorError(code, retryable, message, applied)
}

/** What the addon has thrown, as an error of ours. */
function fromNative (error) {
  if (!(error instanceof Error) || error.retryable === undefined) return error
  return connectorError(error.code, error.retryable, error.message, error.applied)
}

/** Throws what a callback has thrown where nobody catches it, after the rest of the batch. */
function rethrow (error) {
  process.nextTick(raise, error)
}

function raise (error) {
  throw error
}

module.exports = { ConnectorError, connectorError, fromNative, rethrow }
