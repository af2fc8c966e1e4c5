// The addon itself, or a sentence on how to get it.
'use strict'

function load () {
  try {
    return require('./deepstream-connector.node')
  } catch (cause) {
    const error = new Error(cause.code === 'MODULE_NOT_FOUND'
      ? 'the addon deepstream-connector.node is not built; run "make node" in the project\'s folder'
      : `the addon deepstream-connector.node cannot be loaded: ${cause.message}`)
    error.code = cause.code
    error.cause = cause
    throw error
  }
}

module.exports = load()
