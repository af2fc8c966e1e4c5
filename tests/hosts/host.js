#!/usr/bin/env node
// The host program for Node.js (see PROTOCOL.md). Modes: `default` and `modern` are the interface
// of the servers from 5.x on, `classic` that of the older ones, `values` is `classic` with values
// that may be no records, `thread` is `modern` with a thread of the connector's own.
'use strict'

const Connector = require('../../bindings/node')

const FEATURES = ['get_many', 'set_many', 'delete_many', 'head_many', 'head', 'timeout']

const CODES = [
  'INVALID_ARGUMENT', 'CONFIGURATION', 'BUSY', 'CLOSED', 'TIMEOUT', 'UNAVAILABLE', 'AUTHENTICATION',
  'BACKEND', 'TOO_LARGE', 'CORRUPT', 'PANIC', 'FORKED', 'UNSUPPORTED'
]
const LEVELS = ['debug', 'info', 'warn', 'error']

/**
 * How the classic interface has a record, by mode: `wrap` makes a value of a version and data, `read` the opposite. What has no
 * version is read as of version 0.
 */
const CLASSIC = {
  classic: {
    wrap: (version, data) => ({ _v: version, _d: data }),
    read: ({ _v, _d }) => [_v, _d]
  },
  values: {
    wrap: (version, data) => data,
    read: (value) => [0, value]
  }
}

/** Connectors by their number. */
const connectors = new Map()

function say (words, ...payloads) {
  const bytes = payloads.map((payload) => Buffer.isBuffer(payload) ? payload : Buffer.from(String(payload)))
  const line = [...words, ...bytes.map((payload) => payload.length)].join(' ')
  process.stdout.write(Buffer.concat([Buffer.from(`${line}\n`), ...bytes]))
}

function codeOf (error) {
  return error ? CODES.indexOf(error.code) + 1 : 0
}

/** Whether an operation may have been carried out although it failed. */
function appliedOf (error) {
  if (!error) return 0
  if (!['no', 'unknown'].includes(error.applied)) throw new Error(`"applied" of an error is ${error.applied}`)
  return Number(error.applied === 'unknown')
}

function messageOf (error) {
  return error ? error.message : ''
}

function done (c, r, error, found = false, version = 0, data = '') {
  say(['done', c, r, codeOf(error), Number(Boolean(error && error.retryable)), appliedOf(error), Number(found), version],
    messageOf(error), data)
}

/** Reports an answer for many names, or for each what the error tells; `found` makes found, version and data of a result. */
function many (c, r, error, results, found) {
  const isPartial = Boolean(error) && error.results !== undefined
  const list = error ? error.results || [] : results
  const payload = Buffer.concat(list.map((result) => entryOf(result, found)))
  const whole = isPartial ? null : error
  const message = Buffer.from(messageOf(whole))
  process.stdout.write(Buffer.concat([
    Buffer.from(`many ${c} ${r} ${codeOf(whole)} ${appliedOf(whole)} ${message.length} ${list.length} ${payload.length}\n`),
    message,
    payload
  ]))
}

function entryOf (result, found) {
  const failed = result instanceof Connector.ConnectorError
  const [isFound, version = 0, data = ''] = failed ? [false] : found(result)
  const entry = Buffer.alloc(14)
  entry.writeInt32LE(failed ? codeOf(result) : 0, 0)
  entry.writeUInt8(failed ? appliedOf(result) : 0, 4)
  entry.writeUInt8(Number(isFound), 5)
  entry.writeBigInt64LE(BigInt(version), 6)
  return Buffer.concat([entry, counted(data)])
}

/** What a result of many is: a version, nothing. */
const versionOf = (version) => version === null || version === undefined ? [false] : [true, version]
const nothing = () => [false]

/** A length and so many bytes. */
function counted (text) {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Changes a value that was handed to `set`, as a server does while the write is under way. */
function spoil (data) {
  if (Array.isArray(data)) {
    data.length = 0
    data.push('spoiled')
  } else if (data !== null && typeof data === 'object') {
    for (const name of Object.keys(data)) delete data[name]
    data.spoiled = true
  }
}

function create (c, mode, text) {
  const classic = CLASSIC[mode]
  let connector
  try {
    let options = JSON.parse(text)
    if (mode === 'thread' && options instanceof Object) options = { reactorThread: true, ...options }
    connector = classic ? new Connector(options) : new Connector(options, {})
  } catch (error) {
    return say(['created', c, codeOf(error) || CODES.indexOf('CONFIGURATION') + 1], error.message)
  }
  say(['created', c, 0], '')
  connectors.set(c, { connector, classic })
  connector.on('ready', () => say(['ready', c]))
  connector.on('error', (error) => say(['error', c, codeOf(error), Number(error.fatal)], error.message))
  connector.on('notification', (channel, payload) => say(['notification', c], channel, payload))
  connector.on('log', (level, line) => say(['log', c, LEVELS.indexOf(level)], line))
  if (!classic) {
    connector.whenReady().catch(() => {})
  } else {
    connector.init()
  }
}

/** The text of data, of which there always are some. */
function textOf (data) {
  const text = JSON.stringify(data)
  if (text === undefined) throw new Error(`${data} came back from a connector`)
  return text
}

/** What stands before the callback: the timeout, where the command has one. */
function optionsOf (t) {
  return Number(t) > 0 ? [{ timeout: Number(t) }] : []
}

function get ({ connector, classic }, c, r, t, name) {
  if (classic) {
    connector.get(name, ...optionsOf(t), (error, value) => {
      if (error || value === null) return done(c, r, error)
      const [version, data] = classic.read(value)
      done(c, r, null, true, version, textOf(data))
      spoil(data)
    })
  } else {
    connector.get(name, ...optionsOf(t), (error, version, data) => {
      if (error || (version === -1 && data === null)) return done(c, r, error)
      done(c, r, null, true, version, textOf(data))
      spoil(data)
    }, {})
  }
}

function set ({ connector, classic }, c, r, t, version, name, text) {
  const data = JSON.parse(text)
  if (classic) {
    const value = classic.wrap(version, data)
    connector.set(name, value, ...optionsOf(t), (error) => done(c, r, error))
    spoil(value)
  } else {
    connector.set(name, version, data, ...optionsOf(t), (error) => done(c, r, error), {})
  }
  spoil(data)
}

/** Takes numbers and counted texts off a payload. */
class Reader {
  constructor (payload) {
    this.payload = payload
    this.at = 0
  }

  get isDone () {
    return this.at >= this.payload.length
  }

  text () {
    const from = this.at + 4
    this.at = from + this.payload.readUInt32LE(this.at)
    return this.payload.toString('utf8', from, this.at)
  }

  version () {
    this.at += 8
    return Number(this.payload.readBigInt64LE(this.at - 8))
  }
}

function namesIn (payload) {
  const names = []
  for (const reader = new Reader(payload); !reader.isDone;) names.push(reader.text())
  return names
}

function getMany ({ connector, classic }, c, r, t, names) {
  const read = classic ? classic.read : ({ version, data }) => [version, data]
  const found = (record) => {
    if (record === null) return [false]
    const [version, data] = read(record)
    return [true, version, textOf(data)]
  }
  connector.getMany(names, ...optionsOf(t), (error, records) => many(c, r, error, records, found))
}

function setMany ({ connector, classic }, c, r, t, payload) {
  const entries = []
  const contents = []
  for (const reader = new Reader(payload); !reader.isDone;) {
    const [name, version, data] = [reader.text(), reader.version(), JSON.parse(reader.text())]
    entries.push(classic ? { name, value: classic.wrap(version, data) } : { name, version, data })
    contents.push(data)
  }
  const results = entries.map(() => undefined)
  connector.setMany(entries, ...optionsOf(t), (error) => many(c, r, error, results, nothing))
  for (const entry of entries) {
    spoil(entry.value)
    spoil(entry)
  }
  contents.forEach(spoil)
  spoil(entries)
}

/** What each command does with its words and payload. */
const COMMANDS = {
  create: ([c, mode], payload) => create(c, mode, payload.toString()),
  get: ([c, r, t], payload) => get(connectors.get(c), c, r, t, payload.toString()),
  head: ([c, r, t], payload) => {
    connectors.get(c).connector.head(payload.toString(), ...optionsOf(t), (error, version) => {
      if (error || version === -1) return done(c, r, error)
      done(c, r, null, true, version)
    })
  },
  delete: ([c, r, t], payload) => {
    connectors.get(c).connector.delete(payload.toString(), ...optionsOf(t), (error) => done(c, r, error), {})
  },
  set: ([c, r, t, version, k], payload) => {
    set(connectors.get(c), c, r, t, Number(version), payload.toString('utf8', 0, k), payload.toString('utf8', k))
  },
  get_many: ([c, r, t], payload) => getMany(connectors.get(c), c, r, t, namesIn(payload)),
  set_many: ([c, r, t], payload) => setMany(connectors.get(c), c, r, t, payload),
  delete_many: ([c, r, t], payload) => {
    const names = namesIn(payload)
    connectors.get(c).connector.deleteBulk(names, ...optionsOf(t), (error) => many(c, r, error, names, nothing), {})
  },
  head_many: ([c, r, t], payload) => {
    const names = namesIn(payload)
    connectors.get(c).connector.headBulk(names, ...optionsOf(t), (error, versions) => {
      const results = error ? [] : names.map((name) => Object.hasOwn(versions, name) ? versions[name] : null)
      many(c, r, error, results, versionOf)
    })
  },
  scan: ([c, r, t, limit, length], payload) => {
    const prefix = payload.toString('utf8', 0, Number(length))
    const cursor = payload.toString('utf8', Number(length)) || null
    const [options] = optionsOf(t)
    const listed = prefix === '' ? optionsOf(t) : [{ ...options, prefix }]
    connectors.get(c).connector.scan(cursor, Number(limit), ...listed, (error, page) => {
      if (error || page.errors.length > 0) return done(c, r, error || page.errors[0])
      const parts = page.records.flatMap(({ name, version, data }) => {
        const number = Buffer.alloc(8)
        number.writeBigInt64LE(BigInt(version))
        return [counted(name), number, counted(JSON.stringify(data))]
      })
      if (page.cursor !== null) parts.push(Buffer.from(page.cursor))
      done(c, r, null, true, page.records.length, Buffer.concat(parts))
    })
  },
  command: ([c, r, t, n], payload) => {
    const parameters = JSON.parse(payload.toString('utf8', Number(n)))
    connectors.get(c).connector.command(payload.toString('utf8', 0, Number(n)), parameters, ...optionsOf(t), (error, answer) => {
      if (error) return done(c, r, error)
      done(c, r, null, true, 0, JSON.stringify(answer))
    })
  },
  is_ready: ([c, r]) => say(['is_ready', c, r, Number(connectors.get(c).connector.isReady)]),
  stats: ([c, r]) => say(['stats', c, r], JSON.stringify(connectors.get(c).connector.stats())),
  close: ([c]) => {
    connectors.get(c).connector.close().then(
      () => say(['closed', c, 0], ''),
      (error) => say(['closed', c, codeOf(error)], error.message))
  },
  exit: ([status]) => process.exit(Number(status))
}

/** How many bytes follow a command's line. */
function payloadOf (name, words) {
  switch (name) {
    case 'set':
    case 'scan': return Number(words[4]) + Number(words[5])
    case 'command': return Number(words[3]) + Number(words[4])
    case 'create':
    case 'get':
    case 'head':
    case 'delete':
    case 'get_many':
    case 'set_many':
    case 'delete_many':
    case 'head_many': return Number(words[words.length - 1])
    default: return 0
  }
}

let pending = Buffer.alloc(0)
/** Commands of a burst that are still to be read, and those that were. */
let burst = 0
let gathered = []

/** Takes the next whole command off what was read. */
function next () {
  const end = pending.indexOf(10)
  if (end < 0) return null
  const [name, ...words] = pending.toString('latin1', 0, end).split(' ')
  const from = end + 1
  const to = from + payloadOf(name, words)
  if (pending.length < to) return null
  const payload = pending.subarray(from, to)
  pending = pending.subarray(to)
  return { name, words, payload }
}

function carryOut ({ name, words, payload }) {
  if (!Object.hasOwn(COMMANDS, name)) throw new Error(`the host for Node.js has no command "${name}"`)
  COMMANDS[name](words, payload)
}

process.stdin.on('data', (bytes) => {
  pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes])
  for (let command = next(); command !== null; command = next()) {
    if (burst > 0) {
      gathered.push(command)
      if (--burst === 0) gathered.splice(0).forEach(carryOut)
    } else if (command.name === 'burst') {
      burst = Number(command.words[0])
    } else {
      carryOut(command)
    }
  }
})

process.stdin.on('end', () => {
  if (pending.length > 0 || burst > 0) throw new Error('the input ends within a command')
  for (const { connector } of connectors.values()) connector.close()
})

process.stdout.write(`hello node ${FEATURES.join(',')}\n`)
