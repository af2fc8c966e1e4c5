// Which event loop there is. Bun and Deno have Node-API, but of libuv only the names: what the addon asks of it ends the process
// or does nothing.
'use strict'

const OTHERS = ['bun', 'deno']

const isLibuv = !OTHERS.some((name) => name in process.versions) &&
  typeof globalThis.Bun === 'undefined' && typeof globalThis.Deno === 'undefined'

module.exports = { isLibuv }
