/*
 * Loaded before the tests of one of deepstream's own connectors: puts ours in the place of that connector, and nothing else.
 *
 *   CONNECTOR_FILE      the module that has their connector
 *   CONNECTOR_OPTIONS   what ours gets beside their options, such as its type and where its server is
 */
'use strict'

const Module = require('node:module')
const Connector = require('../../bindings/node')

const { CONNECTOR_FILE, CONNECTOR_OPTIONS } = process.env
const own = JSON.parse(CONNECTOR_OPTIONS)

class Replaced extends Connector {
  constructor (options, ...rest) {
    super(options instanceof Object ? { ...options, ...own } : options, ...rest)
  }
}
// By whichever name it was exported.
Object.assign(Replaced, { Connector: Replaced, CacheConnector: Replaced, default: Replaced })

const load = Module._load
Module._load = function (request, parent, ...rest) {
  const isTheirs = request.startsWith('.') && Module._resolveFilename(request, parent) === CONNECTOR_FILE
  return isTheirs ? Replaced : load.call(this, request, parent, ...rest)
}
