/*
 * What a test with a real deepstream server needs, whichever server it is: start it with our connectors in it, get clients,
 * stop all of it, in this process or in a child that can be killed. Tests use it through modern.js and classic.js.
 *
 *   const modern = require('../deepstream/modern')
 *   const deepstream = await modern.start({ cache: { path: '/…/connector.node', options: { type: 'redis' } } })
 *   const record = deepstream.client.record.getRecord('car')
 *   await deepstream.stop()
 *
 * start(options) resolves when the server runs and a client is logged in. Options, all of them optional:
 *
 *   cache, storage   one of
 *                    - an object with `path` (absolute) or `name`, and `options`: a plugin, which the server itself loads
 *                      and constructs (the classic server knows no such thing: there it is done here in its manner)
 *                    - an object with a `get` method: a connector that is made already
 *                    - a function (services, config) => connector; classic: () => connector
 *   config           more of the server's configuration; its keys replace those that are set here
 *   configFile       modern only: a YAML, JSON or JS file instead of all the above; it must listen on `port` of 127.0.0.1
 *   port             where clients connect; a free one is taken otherwise
 *   client           options of the client; false: start no client
 *   child            true: the server runs in a process of its own. Only plugins and configFile can be given then
 *   env, cwd         of that process; env is added to this process's
 *
 * The result:
 *
 *   server           the server object, or with `child` the ChildProcess
 *   client           a logged-in client
 *   port             its port
 *   log              lines `LEVEL | EVENT | message` that the server logged; with `child` all that it printed
 *   errors           what clients emitted as 'error', as strings
 *   connect(options) another logged-in client
 *   kill()           with `child`: SIGKILL. Clients stay, and connect to a new server that is started on the same port
 *   online()         resolves when `client` is connected, as far as it knows: to be called after such a start
 *   stop()           closes the clients, stops the server and resolves when it has stopped; may be called again
 *
 * A server that does not start rejects with the end of its log; all of it is in the error's `log`. The classic server, however, ends its process when a
 * connector is not ready in time: test that with `child`.
 */
'use strict'

const path = require('node:path')
const { execFileSync } = require('node:child_process')
const { startChild } = require('./child')

/* What takes a second takes many where other programs want the same cores. */
const LIMIT = 30000

/* The node_modules of a project beside this file, installed if need be. */
function modules (project) {
  return execFileSync(path.join(__dirname, 'install'), [project], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
}

/* One that no server waits for that another test has killed and starts again. */
async function freePort () {
  return Number(execFileSync(path.join(__dirname, '../servers/ctl'), ['port'], { encoding: 'utf8' }))
}

/* The promise's outcome, or a rejection that names what did not happen. */
function within (promise, what, milliseconds = LIMIT) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within ${milliseconds} ms`)), milliseconds)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function isOnline (client) {
  return new Promise((resolve) => {
    const look = () => /^open$/i.test(client.getConnectionState()) && resolve()
    client.on('connectionStateChanged', look)
    look()
  })
}

/*
 * `kind` is one of modern.js and classic.js: startServer(options) resolves to { server, stop() }, and
 * connect(port, options, onError) to { client, close() }.
 */
async function start (kind, options = {}) {
  const port = options.port || await freePort()
  const log = []
  const errors = []
  const clients = []
  const serverOptions = { ...options, port, log: (line) => log.push(line) }
  let host = null
  let stopping = null

  async function connect (clientOptions) {
    const connection = await within(kind.connect(port, clientOptions, (error) => errors.push(error)), 'the login')
    clients.push(connection)
    return connection.client
  }

  async function stopAll () {
    await Promise.all(clients.map((connection) => within(connection.close(), 'the end of a client')))
    if (host) await within(host.stop(), 'the end of the server')
  }

  const stop = () => {
    stopping = stopping || stopAll()
    return stopping
  }

  try {
    const starting = options.child ? startChild(kind.name, serverOptions) : kind.startServer(serverOptions)
    host = await within(starting, 'the start of the server')
    const client = options.client === false ? null : await connect(options.client)
    const online = () => within(isOnline(client), 'the return of the client')
    return { server: host.server, client, port, log, errors, connect, online, stop, kill: host.kill }
  } catch (error) {
    await stop().catch(() => {})
    error.log = log
    error.message += `; the server's log ends with:\n${log.slice(-10).join('\n')}`
    throw error
  }
}

module.exports = { start, modules, freePort, within }
