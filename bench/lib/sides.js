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
  const name = '@deepstream/cache-redis'
  return { connector, name, title: `${name} ${versionIn(folder)} (ioredis ${driver})` }
}

function storageMongodb (options) {
  const folder = path.join(modules('interop-mongodb'), '@deepstream', 'storage-mongodb')
  const { Connector } = require(folder)
  const theirs = new Connector({ ...options }, services(), {})
  const connector = {
    whenReady: () => theirs.whenReady(),
    // It changes the objects that it gets, which both sides are given here.
    set: (name, version, data, callback) => theirs.set(name, version, { ...data }, callback),
    get: (name, callback) => theirs.get(name, callback),
    // It has no close.
    close: () => theirs.client.close()
  }
  const local = path.join(folder, 'node_modules', 'mongodb')
  const driver = versionIn(fs.existsSync(local) ? local : path.join(folder, '..', '..', 'mongodb'))
  const name = '@deepstream/storage-mongodb'
  return { connector, name, title: `${name} ${versionIn(folder)} (mongodb ${driver})` }
}

/* The Map that the modern server uses when no cache is configured. */
function localCache () {
  const folder = path.join(modules('modern'), '@deepstream', 'server')
  const { LocalCache } = require(path.join(folder, 'dist', 'src', 'services', 'cache', 'local-cache.js'))
  const connector = new LocalCache({}, services(), {})
  return { connector, title: `Map cache of @deepstream/server ${versionIn(folder)}` }
}

module.exports = { ours, cacheRedis, storageMongodb, localCache }
