// Errors as callbacks get them.
'use strict'

/**
 * @param {string} code what kind of failure, such as 'TIMEOUT'
 * @param {boolean} retryable whether the same call may succeed later
 * @param {string} message one sentence
 * @param {'no' | 'unknown'} [applied] whether the operation may have been carried out all the same
 */
function connectorError (code, retryable, message, applied = 'no') {
  const error = new Error(message)
  error.code = code
  error.retryable = retryable
  error.applied = applied
  return error
}

/** Throws what a callback has thrown where nobody catches it, after the rest of the batch. */
function rethrow (error) {
  process.nextTick(raise, error)
}

function raise (error) {
  throw error
}

module.exports = { connectorError, rethrow }
