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

/* There is no connector of deepstream's for Cassandra: the vendor's driver, as one would use it, on our table. */
function cassandraDriver ({ host, port, keyspace }) {
  const folder = path.join(modules('peer-cassandra'), 'cassandra-driver')
  const { Client, types } = require(folder)
  const client = new Client({
    contactPoints: [host],
    protocolOptions: { port },
    localDataCenter: 'datacenter1',
    queryOptions: { prepare: true, isIdempotent: true, consistency: types.consistencies.localQuorum }
  })
  const set = `INSERT INTO ${keyspace}.records (collection, id, version, data) VALUES (?, ?, ?, ?)`
  const get = `SELECT version, data FROM ${keyspace}.records WHERE collection = ? AND id = ?`
  const placeOf = (name) => {
    const end = name.indexOf('/')
    return [name.slice(0, end), name.slice(end + 1)]
  }
  const connector = {
    whenReady: () => client.connect(),
    set: (name, version, data, callback) => {
      const [collection, id] = placeOf(name)
      const values = [collection, id, types.Long.fromNumber(version), JSON.stringify(data)]
      client.execute(set, values, { prepare: true, isIdempotent: true }, (error) => callback(error))
    },
    get: (name, callback) => {
      client.execute(get, placeOf(name), { prepare: true, isIdempotent: true }, (error, result) => {
        const row = error ? null : result.first()
        if (row) callback(null, row.version.toNumber(), JSON.parse(row.data))
        else callback(error, -1, null)
      })
    },
    close: () => client.shutdown()
  }
  const name = 'cassandra-driver'
  return { connector, name, title: `${name} ${versionIn(folder)}` }
}

/* There is no connector of deepstream's for DynamoDB either: AWS's client, one item at a time, on our table. */
function awsDynamodb ({ endpoint, table }) {
  const folder = path.join(modules('peer-dynamodb'), '@aws-sdk', 'client-dynamodb')
  const { DynamoDBClient, GetItemCommand, PutItemCommand } = require(folder)
  const { marshall, unmarshall } = require(path.join(folder, '..', 'util-dynamodb'))
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
  const client = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials })
  const connector = {
    whenReady: async () => {},
    set: (name, version, data, callback) => {
      const item = { ds_key: name, ds_version: version, ds_collection: name.slice(0, name.indexOf('/')), ds_data: data }
      client.send(new PutItemCommand({ TableName: table, Item: marshall(item) })).then(() => callback(null), callback)
    },
    get: (name, callback) => {
      const question = { TableName: table, Key: { ds_key: { S: name } }, ConsistentRead: true }
      client.send(new GetItemCommand(question)).then(({ Item }) => {
        if (!Item) return callback(null, -1, null)
        const { ds_version: version, ds_data: data } = unmarshall(Item)
        callback(null, version, data)
      }, callback)
    },
    close: async () => client.destroy()
  }
  const name = '@aws-sdk/client-dynamodb'
  return { connector, name, title: `${name} ${versionIn(folder)}` }
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
  const name = 'the cluster client of ioredis'
  return { connector: new ClusterCache(new Cluster(nodes)), name, title: `ioredis ${versionIn(folder)}, Cluster` }
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

function storagePostgres (options) {
  const folder = path.join(modules('interop-postgres'), '@deepstream', 'storage-postgres')
  const { Connector } = require(folder)
  const events = ['CREATE_TABLE', 'DESTROY_TABLE', 'INSERT', 'UPDATE', 'DELETE']
  const notifications = Object.fromEntries(events.map((event) => [event, false]))
  const connector = new Connector({ ...options, notifications }, services())
  connector.init()
  const name = '@deepstream/storage-postgres'
  const driver = versionIn(path.join(folder, '..', '..', 'pg'))
  return { connector, name, title: `${name} ${versionIn(folder)} (pg ${driver})` }
}

/*
 * What no connector can do without: it writes each document as JSON and calls back later. What a set costs beyond this is
 * the connector's own.
 */
class JsonAlone {
  constructor () {
    this.characters = 0
    this.callbacks = []
    this.answer = this.answer.bind(this)
  }

  set (name, version, data, callback) {
    this.characters += JSON.stringify(data).length
    if (this.callbacks.push(callback) === 1) setImmediate(this.answer)
  }

  answer () {
    for (const callback of this.callbacks.splice(0)) callback(null)
  }
}

function jsonAlone () {
  return { connector: new JsonAlone() }
}

/* What deepstream's own memcached connector, which is in no package registry, does with this client. */
class MemcachedCache {
  constructor (client) {
    this.client = client
  }

  async whenReady () {}

  set (name, version, data, callback) {
    this.client.set(name, { version, data }, 0, callback)
  }

  get (name, callback) {
    this.client.get(name, (error, value) => {
      if (error) callback(error)
      else if (value === undefined) callback(null, -1, null)
      else callback(null, value.version, value.data)
    })
  }

  async close () {
    this.client.end()
  }
}

function npmMemcached (location) {
  const folder = path.join(modules('memcached'), 'memcached')
  const Memcached = require(folder)
  const name = 'the npm client memcached'
  return { connector: new MemcachedCache(new Memcached(location)), name, title: `npm memcached ${versionIn(folder)}` }
}

/* The Map that the modern server uses when no cache is configured. */
function localCache () {
  const folder = path.join(modules('modern'), '@deepstream', 'server')
  const { LocalCache } = require(path.join(folder, 'dist', 'src', 'services', 'cache', 'local-cache.js'))
  const connector = new LocalCache({}, services(), {})
  return { connector, title: `Map cache of @deepstream/server ${versionIn(folder)}` }
}

module.exports = {
  ours,
  awsDynamodb,
  cacheRedis,
  cassandraDriver,
  ioredisCluster,
  jsonAlone,
  localCache,
  npmMemcached,
  storageMongodb,
  storagePostgres
}
