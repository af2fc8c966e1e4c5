// From the options of a server's configuration file to the addon's configuration.
'use strict'

const { connectorError } = require('./errors.js')

/** The types for which classic servers had connectors with an older layout. */
const LAYOUTS = ['redis', 'memcached', 'elasticache', 'mongodb', 'postgres']

/**
 * Reads options without changing them: they are the server's own.
 *
 * @returns {{text: string, type: string | undefined, classic: boolean}}
 * @throws an error with code 'CONFIGURATION' for what JSON cannot hold; everything else is
 *   checked by the addon
 */
function configurationOf (options, services) {
  if (options === null || options === undefined) options = {}
  let plain
  try {
    plain = JSON.parse(JSON.stringify(options, checked))
  } catch (error) {
    if (error.code === 'CONFIGURATION') throw error
    throw wrong(`the options cannot be written as JSON: ${error.message}`)
  }
  if (plain === null || typeof plain !== 'object' || Array.isArray(plain)) {
    return { text: JSON.stringify(plain), type: undefined, classic: true }
  }
  const given = plain.api
  const modern = typeof services === 'object' && services !== null
  // Words of options are in upper or lower case; the addon refuses one that it does not know.
  const classic = given === null || given === undefined ? !modern : String(given).toLowerCase() === 'classic'
  // The addon, too, has to know.
  if (given === null || given === undefined) plain.api = classic ? 'classic' : 'modern'
  if (classic && LAYOUTS.includes(plain.type) && (plain.layout === null || plain.layout === undefined)) {
    plain.layout = 'V1'
  }
  return { text: JSON.stringify(plain), type: plain.type, classic }
}

/**
 * JSON leaves such values out or makes them null, and then a default would be used silently. It
 * is called with the object that has the value as `this`.
 */
function checked (name, value) {
  // JSON has made something else of it.
  if (this[name] instanceof Uint8Array) return textOf(name, this[name])
  const kind = typeof value
  if (kind === 'function' || kind === 'symbol' || kind === 'bigint') {
    // Only what holds all options has no name.
    if (name === '') throw wrong(`the options are a ${kind}; give an object such as {type: 'memory'}`)
    throw wrong(`the option "${name}" is a ${kind}; give a value that JSON can hold`)
  }
  if (kind === 'number' && !Number.isFinite(value)) {
    throw wrong(`the option "${name}" is ${value}; give a number`)
  }
  return value
}

/** Certificates are read from files as bytes. */
function textOf (name, bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw wrong(`the option "${name}" has bytes that are no text; give a certificate or key in PEM form`)
  }
}

function wrong (message) {
  return connectorError('CONFIGURATION', false, message)
}

module.exports = { configurationOf }
