/* Starts caches in processes of their own (cache-process.js) and has them measured. */
'use strict'

const path = require('node:path')
const { fork } = require('node:child_process')

/* The heap of a million records as objects is above the usual limit on small machines. */
const NODE_OPTIONS = ['--expose-gc', '--max-old-space-size=4096']

/* `side` is a function of sides.js. Resolves to { title, fill, get, set, stop }. */
async function start (side, options) {
  const child = fork(path.join(__dirname, 'cache-process.js'), [], { execArgv: NODE_OPTIONS })
  let ended = null
  child.once('exit', (code, signal) => { ended = `the process of ${side} ended (${signal || code})` })

  const ask = (...message) => new Promise((resolve, reject) => {
    if (ended) return reject(new Error(ended))
    const gone = () => reject(new Error(ended))
    child.once('exit', gone)
    child.once('message', ([error, result]) => {
      child.off('exit', gone)
      if (error) reject(new Error(error))
      else resolve(result)
    })
    child.send(message)
  })

  const title = await ask('open', side, options)
  return {
    title,
    fill: (count) => ask('fill', count),
    get: (count, inFlight) => ask('get', count, inFlight),
    set: (count, inFlight) => ask('set', count, inFlight),
    stop: () => child.kill()
  }
}

module.exports = { start }
