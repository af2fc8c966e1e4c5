// Which event loop there is, and whether it should have ended. Bun and Deno have Node-API, but of libuv only the names: what the
// addon asks of it ends the process or does nothing.
'use strict'

const OTHERS = ['bun', 'deno']

const isLibuv = !OTHERS.some((name) => name in process.versions) &&
  typeof globalThis.Bun === 'undefined' && typeof globalThis.Deno === 'undefined'

let exited = false

if (!isLibuv) process.once('exit', () => { exited = true })

/**
 * Whether `process.exit` was called. In a worker of Deno's the turn of the loop goes on after it, with all that answers a bell
 * or was given to `setImmediate`.
 */
function hasExited () {
  return exited
}

module.exports = { isLibuv, hasExited }
