/*
 * Our connector as the tests here give it to a deepstream server, and the Redis servers it talks to. Whatever a test makes
 * by these functions ends with it, the newest first.
 */
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { execFile } = require('node:child_process')
const { promisify } = require('node:util')

const run = promisify(execFile)

const ADDON = path.join(__dirname, '../../bindings/node')
const CTL = path.join(__dirname, '../servers/ctl')

// What a failed test leaves behind could keep its process for ever.
setTimeout(() => {
  console.error('the tests of this file have not ended within five minutes')
  process.exit(1)
}, 300000).unref()

const endings = new WeakMap()

/* Like t.after, but the last that was made ends first: a connector before its database. */
function atEnd (t, end) {
  if (!endings.has(t)) {
    endings.set(t, [])
    t.after(async () => {
      for (const end of endings.get(t).reverse()) await end()
    })
  }
  endings.get(t).push(end)
}

/* A folder of its own. */
function folder (t) {
  const name = fs.mkdtempSync(path.join(os.tmpdir(), 'deepstream-'))
  atEnd(t, () => fs.rmSync(name, { recursive: true }))
  return name
}

/* A server with its client; `kind` is modern.js or classic.js. */
async function start (t, kind, options) {
  const deepstream = await kind.start(options)
  atEnd(t, deepstream.stop)
  return deepstream
}

/* The connector for a server to load. */
const native = (options) => ({ path: ADDON, options })

/* Options of an SQLite file that is not there yet. */
const sqlite = (t) => ({ type: 'sqlite', path: path.join(folder(t), 'records.sqlite') })

/*
 * A server of tests/servers. It ends with this process, should the test not end it.
 *
 *   ctl(command, ...)   any command of the instance; resolves to what it printed
 */
async function instance (t, recipe, ...words) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'deepstream-'))
  const ctl = async (command, ...rest) => (await run(CTL, [recipe, command, '--dir', dir, ...rest])).stdout.trim()
  atEnd(t, () => ctl('wipe'))
  const address = await ctl('start', '--owner', String(process.pid), ...words)
  return { ctl, port: Number(address.split(':')[1]) }
}

/*
 * A Redis server. Beside ctl and port it has
 *
 *   options()           a connector's options for a database of the server that is empty
 *   ask(options, ...)   sends a command to such a database
 */
async function redis (t, ...words) {
  const server = await instance(t, 'redis', ...words)
  let databases = 0
  return {
    ...server,
    options: () => ({ type: 'redis', host: '127.0.0.1', port: server.port, db: databases++ }),
    ask: (options, ...command) => server.ctl('client', '-n', String(options.db), ...command)
  }
}

/* A proxy before a port; set(command, value) spoils what goes through it. */
async function proxy (t, port) {
  const { ctl, ...server } = await instance(t, 'proxy', '--', '--target', `127.0.0.1:${port}`)
  return { ...server, set: (...command) => ctl('set', ...command) }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/* Resolves when the condition holds, which may be a promise's outcome; rejects after 30 s. */
async function until (what, condition) {
  const end = Date.now() + 30000
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`it did not come about within 30 s that ${what}`)
    await pause(10)
  }
}

module.exports = { ADDON, CTL, atEnd, folder, instance, start, native, sqlite, redis, proxy, pause, until }
