// What methods are called with, checked. Messages say what a value is, never what is in it.
'use strict'

const { recordOf } = require('./classic.js')
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

function prefixError (prefix) {
  return wrong(`the prefix is ${inWords(prefix)}; give what the names begin with, as a string`)
}

function versionError (version) {
  return wrong(`the version is ${inWords(version)}; give a whole number up to ${Number.MAX_SAFE_INTEGER}`)
}

function dataError (cause) {
  const reason = cause === null ? '; give a value that JSON has' : `: ${cause.message}`
  const error = wrong(`the data cannot be written as JSON${reason}`)
  if (cause !== null) error.cause = cause
  return error
}

/** What is wrong with a record that is to be stored; null if nothing is. `text` are its data as JSON. */
function recordError (name, version, text) {
  if (typeof name !== 'string') return nameError(name)
  if (!Number.isSafeInteger(version)) return versionError(version)
  if (text === undefined) return dataError(null)
  return null
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
 * A list of records as the addon takes it, or an error.
 *
 * @returns {{names: string[], versions: number[], texts: string[]} | Error}
 */
function entriesOf (entries, classic) {
  const shape = classic ? '{name, value}' : '{name, version, data}'
  if (!Array.isArray(entries)) return wrong(`the entries are ${inWords(entries)}; give a list such as [${shape}]`)
  const list = { names: [], versions: [], texts: [] }
  // What an entry's data have for JSON may change the entries.
  for (const [i, entry] of entries.slice().entries()) {
    if (entry === null || typeof entry !== 'object' || Array.isArray(entry)) {
      return wrong(`entry ${i} is ${inWords(entry)}; give an object such as ${shape}`)
    }
    const error = append(list, entry, classic)
    if (error !== null) {
      error.message = `entry ${i}: ${error.message}`
      return error
    }
  }
  return list
}

/** What is wrong with an entry; null if it was appended. */
function append ({ names, versions, texts }, entry, classic) {
  const { name } = entry
  let { version, text } = entry
  try {
    if (classic) ({ version, text } = recordOf(entry.value))
    else text = JSON.stringify(entry.data)
  } catch (error) {
    return dataError(error)
  }
  const error = recordError(name, version, text)
  if (error !== null) return error
  names.push(name)
  versions.push(version)
  texts.push(text)
  return null
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

module.exports = {
  MAX_PAGE, nameError, cursorError, limitError, prefixError, dataError, recordError, listOf, entriesOf, callOptionsOf
}
