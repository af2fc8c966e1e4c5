// What each method for many names asks of the addon. It has one answer, and one error with all that failed.
'use strict'

const { entriesOf, listOf } = require('./arguments.js')
const { ConnectorError, connectorError } = require('./errors.js')
const { closedError } = require('./line.js')
const { Operation, nothing, refuse, second } = require('./operations.js')

/**
 * @param {string} name the method
 * @param {string} native the addon's function
 * @param {Function} tell takes the callback, the names and the results where none has failed
 * @param {Function} read as an `Operation` has it
 */
function onNames (name, native, tell, read) {
  return new Operation(name, false, (line, callback, timeout, names) => {
    const list = listOf(names)
    if (list instanceof Error) return refuse(callback, name, undefined, list)
    submit(line, name, list, callback, tell, (functions, id) => functions[native](id, list, timeout))
  }, read)
}

const GET_MANY = onNames('getMany', 'getMany', (callback, names, records) => callback(null, records), second)

const HEAD_BULK = onNames('headBulk', 'headMany', (callback, names, found) => {
  const { versions, missing } = sorted(names, found)
  callback(null, versions, missing)
}, (line, versions, missing) => ({ versions, missing }))

const DELETE_BULK = onNames('deleteBulk', 'deleteMany', done, nothing)

const SET_MANY = new Operation('setMany', false, (line, callback, timeout, entries) => {
  const list = entriesOf(entries, line.classic)
  if (list instanceof Error) return refuse(callback, 'setMany', undefined, list)
  const { names, versions, texts } = list
  submit(line, 'setMany', names, callback, done, (functions, id) => functions.setMany(id, names, versions, texts, timeout))
}, nothing)

function done (callback) {
  callback(null)
}

function submit (line, operation, names, callback, tell, ask) {
  if (line.closed) return refuse(callback, operation, undefined, closedError())
  const answered = (error, results) => {
    const failure = error || failureOf(operation, names, results)
    if (failure !== null) return callback(failure)
    tell(callback, names, results)
  }
  ask(line.submissions.now(), line.deliveries.expect(operation, undefined, answered))
}

/** One error for all that failed, with the code of one that waiting does not mend, if there is any; or null. */
function failureOf (operation, names, results) {
  const errors = results.filter(isError)
  if (errors.length === 0) return null
  results.forEach((result, i) => {
    if (isError(result)) result.of(operation, names[i])
  })
  const { code, retryable, message } = errors.find(({ retryable }) => !retryable) || errors[0]
  const failure = connectorError(code, retryable,
    `${errors.length} of ${names.length} failed, as \`errors\` and \`results\` tell; one of them: ${message}`,
    results.some(mayBeApplied) ? 'unknown' : 'no')
  failure.errors = errors
  // Not enumerable: whoever logs the error is to log no data.
  Object.defineProperty(failure, 'results', { value: results, writable: true, configurable: true })
  return failure.of(operation)
}

function isError (result) {
  return result instanceof ConnectorError
}

/** Whether something was changed, or perhaps; a write that was carried out has no result. */
function mayBeApplied (result) {
  return result === undefined || (isError(result) && result.applied === 'unknown')
}

/**
 * Names with a version and names without. The versions are an ordinary object, and yet names
 * such as `__proto__` and `constructor` are there only if they were found.
 */
function sorted (names, found) {
  const versions = {}
  const missing = []
  for (let i = 0; i < names.length; i++) {
    const name = names[i]
    const version = found[i]
    const absent = version === null
    if (absent) missing.push(name)
    if (name in Object.prototype) {
      Object.defineProperty(versions, name, {
        value: absent ? undefined : version, enumerable: !absent, writable: true, configurable: true
      })
    } else if (!absent) {
      versions[name] = version
    }
  }
  return { versions, missing }
}

module.exports = { GET_MANY, SET_MANY, DELETE_BULK, HEAD_BULK }
