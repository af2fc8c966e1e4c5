/* The caches that are compared in Node.js: ours and those of deepstream, all with the interface of the modern server. */
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { modules } = require('../../tests/deepstream/harness')

const ADDON = path.join(__dirname, '..', '..', 'bindings', 'node')

/* What a modern server hands to its plugins, as far as a cache uses it. */
function services () {
  const fatal = (event, message) => { throw new Error(`${event}: ${message}`) }
  const namespace = { ...Object.fromEntries(['debug', 'info', 'warn', 'error'].map((level) => [level, () => {}])), fatal }
  return {
    logger: { getNameSpace: () => namespace },
    notifyFatalException: () => { throw new Error('the cache gave up') }
  }
}

function versionIn (folder) {
  return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).version
}

function ours (options) {
  const Connector = require(ADDON)
  const connector = new Connector(options, services(), {})
  return { connector, title: `deepstream-connector ${versionIn(ADDON)}` }
}

function cacheRedis (options) {
  const folder = path.join(modules('interop'), '@deepstream', 'cache-redis')
  const { CacheConnector } = require(folder)
  // It changes the options that it gets.
  const connector = new CacheConnector({ ...options }, services(), {})
  const driver = versionIn(path.join(folder, '..', '..', 'ioredis'))
  return { connector, title: `@deepstream/cache-redis ${versionIn(folder)} (ioredis ${driver})` }
}

/* The layout of ours in a cluster, by the client that people would take: deepstream's connector has none. */
class ClusterCache {
  constructor (cluster) {
    this.cluster = cluster
  }

  whenReady () {
    return new Promise((resolve) => this.cluster.status === 'ready' ? resolve() : this.cluster.once('ready', resolve))
  }

  set (name, version, data, callback) {
    this.cluster.mset(`{${name}}_v`, version, `{${name}}_d`, JSON.stringify(data), callback)
  }

  get (name, callback) {
    this.cluster.mget(`{${name}}_v`, `{${name}}_d`, (error, values) => {
      if (error) callback(error)
      else callback(null, Number(values[0]), JSON.parse(values[1]))
    })
  }

  close () {
    return this.cluster.quit()
  }
}

function ioredisCluster (nodes) {
  const folder = path.join(modules('interop'), 'ioredis-now')
  const { Cluster } = require(folder)
  return { connector: new ClusterCache(new Cluster(nodes)), title: `ioredis ${versionIn(folder)}, Cluster` }
}

/* The Map that the modern server uses when no cache is configured. */
function localCache () {
  const folder = path.join(modules('modern'), '@deepstream', 'server')
  const { LocalCache } = require(path.join(folder, 'dist', 'src', 'services', 'cache', 'local-cache.js'))
  const connector = new LocalCache({}, services(), {})
  return { connector, title: `Map cache of @deepstream/server ${versionIn(folder)}` }
}

module.exports = { ours, cacheRedis, ioredisCluster, localCache }
