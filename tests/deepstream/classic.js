/* The classic deepstream server (interface of 0.x to 3.x) for tests; harness.js tells how to use it. */
'use strict'

const path = require('node:path')
const { once } = require('node:events')
const harness = require('./harness')

const load = (name) => require(path.join(harness.modules('classic'), name))

/* The classic server is handed connectors that its user constructed. */
function construct (connector) {
  if (typeof connector === 'function') return connector()
  if (typeof connector.get === 'function') return connector
  const module = require(connector.path || connector.name)
  const Connector = module.default || module
  return new Connector(connector.options || {})
}

async function startServer ({ port, cache, storage, config, configFile, log }) {
  if (configFile) throw new Error('the classic server reads no configuration file')
  const Deepstream = load('deepstream.io')
  const levels = Object.entries(Deepstream.constants.LOG_LEVEL)
  const server = new Deepstream()
  const settings = {
    showLogo: false,
    logger: {
      isReady: true,
      setLogLevel () {},
      log (level, event, message) {
        log(`${(levels.find(([, number]) => number === level) || [level])[0]} | ${event} | ${message}`)
      }
    },
    // Two listeners: browsers' and, for clients in Node, raw TCP.
    host: '127.0.0.1',
    port: await harness.freePort(),
    tcpHost: '127.0.0.1',
    tcpPort: port,
    ...config
  }
  if (cache) settings.cache = construct(cache)
  if (storage) settings.storage = construct(storage)
  for (const [key, value] of Object.entries(settings)) server.set(key, value)

  const started = once(server, 'started')
  server.start()
  await started
  const stop = async () => {
    const stopped = once(server, 'stopped')
    server.stop()
    await stopped
  }
  return { server, stop }
}

async function connect (port, options, onError) {
  const client = load('deepstream.io-client-js')(`127.0.0.1:${port}`, {
    reconnectIntervalIncrement: 100,
    maxReconnectAttempts: 1000,
    ...options
  })
  client.on('error', (error, event, topic) => onError(`${event}: ${error} (topic ${topic})`))
  await new Promise((resolve, reject) => {
    client.login({}, (success, event, message) => success ? resolve() : reject(new Error(`${event}: ${message}`)))
  })
  return { client, close: async () => client.close() }
}

const kind = { name: 'classic', startServer, connect }

module.exports = { ...kind, start: (options) => harness.start(kind, options), modules: () => harness.modules('classic') }
