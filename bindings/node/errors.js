// Errors as callbacks get them.
'use strict'

/**
 * @param {string} code what kind of failure, such as 'TIMEOUT'
 * @param {boolean} retryable whether the same call may succeed later
 * @param {string} message one sentence
 */
function connectorError (code, retryable, message) {
  const error = new Error(message)
  error.code = code
  error.retryable = retryable
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
