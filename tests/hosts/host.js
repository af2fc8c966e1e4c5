#!/usr/bin/env node
// The host program for Node.js (see PROTOCOL.md). Modes: `default` and `modern` are the interface
// of the servers from 5.x on, `classic` that of the older ones, `thread` is `modern` with a
// thread of the connector's own.
'use strict'

const Connector = require('../../bindings/node')

const FEATURES = ['delete_many', 'head_many', 'head', 'timeout']

const CODES = [
  'INVALID_ARGUMENT', 'CONFIGURATION', 'BUSY', 'CLOSED', 'TIMEOUT', 'UNAVAILABLE', 'AUTHENTICATION',
  'BACKEND', 'TOO_LARGE', 'CORRUPT', 'PANIC', 'FORKED', 'UNSUPPORTED'
]
const LEVELS = ['debug', 'info', 'warn', 'error']

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

function many (c, r, error, entries) {
  const bytes = entries.map(({ found, version }) => {
    const entry = Buffer.alloc(18)
    entry.writeUInt8(Number(found), 5)
    entry.writeBigInt64LE(BigInt(version), 6)
    return entry
  })
  const message = Buffer.from(messageOf(error))
  const payload = Buffer.concat(bytes)
  process.stdout.write(Buffer.concat([
    Buffer.from(`many ${c} ${r} ${codeOf(error)} ${appliedOf(error)} ${message.length} ${entries.length} ${payload.length}\n`),
    message,
    payload
  ]))
}

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
  let connector
  try {
    let options = JSON.parse(text)
    if (mode === 'thread' && options instanceof Object) options = { reactorThread: true, ...options }
    connector = mode === 'classic' ? new Connector(options) : new Connector(options, {})
  } catch (error) {
    return say(['created', c, codeOf(error) || CODES.indexOf('CONFIGURATION') + 1], error.message)
  }
  say(['created', c, 0], '')
  connectors.set(c, { connector, classic: mode === 'classic' })
  connector.on('ready', () => say(['ready', c]))
  connector.on('error', (error) => say(['error', c, codeOf(error), Number(error.fatal)], error.message))
  connector.on('notification', (channel, payload) => say(['notification', c], channel, payload))
  connector.on('log', (level, line) => say(['log', c, LEVELS.indexOf(level)], line))
  if (mode !== 'classic') {
    connector.whenReady().catch(() => {})
  } else {
    connector.init()
  }
}

/** What stands before the callback: the timeout, where the command has one. */
function optionsOf (t) {
  return Number(t) > 0 ? [{ timeout: Number(t) }] : []
}

function get ({ connector, classic }, c, r, t, name) {
  if (classic) {
    connector.get(name, ...optionsOf(t), (error, record) => {
      if (error || record === null) return done(c, r, error)
      done(c, r, null, true, record._v, JSON.stringify(record._d))
      spoil(record._d)
    })
  } else {
    connector.get(name, ...optionsOf(t), (error, version, data) => {
      if (error || (version === -1 && data === null)) return done(c, r, error)
      done(c, r, null, true, version, JSON.stringify(data))
      spoil(data)
    }, {})
  }
}

function set ({ connector, classic }, c, r, t, version, name, text) {
  const data = JSON.parse(text)
  if (classic) {
    const record = { _v: version, _d: data }
    connector.set(name, record, ...optionsOf(t), (error) => done(c, r, error))
    record._v = -1
    record._d = 'spoiled'
  } else {
    connector.set(name, version, data, ...optionsOf(t), (error) => done(c, r, error), {})
  }
  spoil(data)
}

function namesIn (payload) {
  const names = []
  for (let at = 0; at < payload.length;) {
    const length = payload.readUInt32LE(at)
    names.push(payload.toString('utf8', at + 4, at + 4 + length))
    at += 4 + length
  }
  return names
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
  delete_many: ([c, r, t], payload) => {
    const names = namesIn(payload)
    connectors.get(c).connector.deleteBulk(names, ...optionsOf(t), (error) => {
      many(c, r, error, error ? [] : names.map(() => ({ found: false, version: 0 })))
    }, {})
  },
  head_many: ([c, r, t], payload) => {
    const names = namesIn(payload)
    connectors.get(c).connector.headBulk(names, ...optionsOf(t), (error, versions) => {
      many(c, r, error, error
        ? []
        : names.map((name) => {
          const version = Object.hasOwn(versions, name) ? versions[name] : undefined
          return { found: version !== undefined, version: version === undefined ? 0 : version }
        }))
    })
  },
  scan: ([c, r, t, limit], payload) => {
    const cursor = payload.length === 0 ? null : payload.toString()
    connectors.get(c).connector.scan(cursor, Number(limit), ...optionsOf(t), (error, page) => {
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
    case 'set': return Number(words[4]) + Number(words[5])
    case 'command': return Number(words[3]) + Number(words[4])
    case 'create':
    case 'get':
    case 'head':
    case 'delete':
    case 'scan':
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
