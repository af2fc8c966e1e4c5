/* The modern deepstream server (interface of 5.x and 7.x) for tests; harness.js tells how to use it. */
'use strict'

const path = require('node:path')
const { once } = require('node:events')
const harness = require('./harness')

const load = (name) => require(path.join(harness.modules('modern'), name))

async function startServer ({ port, cache, storage, config, configFile, log }) {
  const { Deepstream } = load('@deepstream/server')
  const made = { storage, cache }
  const plugins = {}
  for (const role of Object.keys(made)) {
    if (made[role] && typeof made[role] !== 'function' && typeof made[role].get !== 'function') {
      plugins[role] = { options: {}, ...made[role] }
      delete made[role]
    }
  }

  const server = new Deepstream(configFile || {
    ...plugins,
    logger: { path: path.join(__dirname, 'logger.js'), options: { write: log } },
    httpServer: { type: 'default', options: { host: '127.0.0.1', port } },
    // Given in full, because the server's own list opens MQTT to the world.
    connectionEndpoints: [
      { type: 'ws-binary', options: { urlPath: '/deepstream' } },
      { type: 'http', options: {} }
    ],
    ...config
  })
  // The server never clears these timers, which would keep a test's process alive, and its validation forbids 0.
  if (!configFile) server.getConfig().subscriptions.options.subscriptionsSanityTimer = 0
  for (const [role, connector] of Object.entries(made)) {
    if (!connector) continue
    server.set(role, typeof connector === 'function' ? connector(server.getServices(), server.getConfig()) : connector)
  }

  const stop = async () => {
    if (!server.getServices()) return
    const stopped = once(server, 'stopped')
    server.stop()
    await stopped
  }
  const started = new Promise((resolve, reject) => {
    server.once('started', resolve)
    server.once('FATAL_EXCEPTION', () => reject(new Error('the server met a fatal exception')))
  })
  server.start()
  try {
    await started
  } catch (error) {
    await stop()
    throw error
  }
  return { server, stop }
}

async function connect (port, options, onError) {
  const { DeepstreamClient } = load('@deepstream/client')
  const client = new DeepstreamClient(`127.0.0.1:${port}/deepstream`, {
    reconnectIntervalIncrement: 100,
    maxReconnectInterval: 1000,
    maxReconnectAttempts: 1000,
    ...options
  })
  client.on('error', (error, event, topic) => onError(`${event}: ${error} (topic ${topic})`))
  await client.login()
  return { client, close: async () => client.close() }
}

const kind = { name: 'modern', startServer, connect }

module.exports = { ...kind, start: (options) => harness.start(kind, options), modules: () => harness.modules('modern') }
