// What methods are called with, checked. Messages say what a value is, never what is in it.
'use strict'

const { connectorError } = require('./errors.js')

/** The most records of a page. */
const MAX_PAGE = 1000000

/** The longest time that one operation may be given, in milliseconds. */
const MAX_TIMEOUT = 2 ** 32 - 1

function nameError (name) {
  return wrong(`the name is ${inWords(name)}; give a string`)
}

function cursorError (cursor) {
  return wrong(`the cursor is ${inWords(cursor)}; give that of the page before, or null for the first one`)
}

function limitError (limit) {
  return wrong(`the limit is ${inWords(limit)}; give the most records that a page may have, from 1 to ${MAX_PAGE}`)
}

function versionError (version) {
  return wrong(`the version is ${inWords(version)}; give a whole number up to ${Number.MAX_SAFE_INTEGER}`)
}

function dataError (cause) {
  const reason = cause === null ? '' : `: ${cause.message}`
  const error = wrong(`the data cannot be written as JSON${reason}`)
  if (cause !== null) error.cause = cause
  return error
}

/** A copy of a list of names, or an error. */
function listOf (names) {
  if (!Array.isArray(names)) return wrong(`the names are ${inWords(names)}; give a list of strings`)
  const list = names.slice()
  for (let i = 0; i < list.length; i++) {
    if (typeof list[i] !== 'string') return nameError(list[i])
  }
  return list
}

/**
 * The options of one operation, or an error.
 *
 * @returns {{timeout: number, signal: AbortSignal | null} | Error} a timeout of 0 is the connector's own
 */
function callOptionsOf (options) {
  if (options === null || options === undefined) return NO_OPTIONS
  if (typeof options !== 'object') {
    return wrong(`the options are ${inWords(options)}; give an object such as {timeout: 1000}`)
  }
  const { timeout, signal } = options
  const hasTimeout = timeout !== null && timeout !== undefined
  if (hasTimeout && !(Number.isInteger(timeout) && timeout >= 1 && timeout <= MAX_TIMEOUT)) {
    return wrong(`the timeout is ${inWords(timeout)}; give whole milliseconds, from 1 to ${MAX_TIMEOUT}`)
  }
  const hasSignal = signal !== null && signal !== undefined
  if (hasSignal && (typeof signal.aborted !== 'boolean' || typeof signal.addEventListener !== 'function')) {
    return wrong(`the signal is ${inWords(signal)}; give an AbortSignal`)
  }
  return { timeout: hasTimeout ? timeout : 0, signal: hasSignal ? signal : null }
}

const NO_OPTIONS = { timeout: 0, signal: null }

/** What a value is, without what is in it: that may be anything. */
function inWords (value) {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'number') return `the number ${value}`
  if (Array.isArray(value)) return 'a list'
  return `of type ${typeof value}`
}

function wrong (message) {
  return connectorError('INVALID_ARGUMENT', false, message)
}

module.exports = { MAX_PAGE, nameError, cursorError, limitError, versionError, dataError, listOf, callOptionsOf }
