#!/usr/bin/env node
/*
 * Sends one command to a server of MongoDB's protocol and prints the answer as JSON; for recipes and tests, which need
 * no driver for it.
 *
 *   mongodb.js PORT DATABASE COMMAND [--tls CERTIFICATE-FOLDER]
 *
 * COMMAND is a JSON object; its integers are sent as such. Exits with 1 where the answer is not `ok`.
 */
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const tls = require('node:tls')

const OP_MSG = 2013

const int32 = (number) => { const bytes = Buffer.alloc(4); bytes.writeInt32LE(number); return bytes }
const double = (number) => { const bytes = Buffer.alloc(8); bytes.writeDoubleLE(number); return bytes }
const cstring = (text) => Buffer.concat([Buffer.from(text), Buffer.from([0])])

function element (name, value) {
  const as = (kind, bytes) => Buffer.concat([Buffer.from([kind]), cstring(name), bytes])
  if (value === null) return as(10, Buffer.alloc(0))
  if (typeof value === 'string') return as(2, Buffer.concat([int32(Buffer.byteLength(value) + 1), cstring(value)]))
  if (typeof value === 'boolean') return as(8, Buffer.from([Number(value)]))
  if (typeof value === 'number') return Number.isInteger(value) ? as(16, int32(value)) : as(1, double(value))
  return as(Array.isArray(value) ? 4 : 3, encode(value))
}

function encode (object) {
  const body = Buffer.concat(Object.entries(object).map(([name, value]) => element(name, value)))
  return Buffer.concat([int32(body.length + 5), body, Buffer.from([0])])
}

/* The document that begins at `at`. */
function decode (bytes, at, isList = false) {
  const end = at + bytes.readInt32LE(at) - 1
  const result = isList ? [] : {}
  at += 4
  while (at < end) {
    const kind = bytes[at++]
    const stop = bytes.indexOf(0, at)
    const name = bytes.toString('utf8', at, stop)
    at = stop + 1
    const size = { 1: 8, 2: 4 + bytes.readInt32LE(at), 3: bytes.readInt32LE(at), 4: bytes.readInt32LE(at), 5: 5 + bytes.readInt32LE(at), 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8 }[kind]
    if (size === undefined) throw new Error(`an element of kind ${kind} cannot be read here`)
    result[name] = value(bytes, kind, at, size)
    at += size
  }
  return result
}

function value (bytes, kind, at, size) {
  switch (kind) {
    case 1: return bytes.readDoubleLE(at)
    case 2: return bytes.toString('utf8', at + 4, at + size - 1)
    case 3: return decode(bytes, at)
    case 4: return decode(bytes, at, true)
    case 8: return bytes[at] === 1
    case 10: return null
    case 16: return bytes.readInt32LE(at)
    case 18: return Number(bytes.readBigInt64LE(at))
    // Nobody asks for more than that it is there.
    default: return bytes.toString('hex', at, at + size)
  }
}

function connect (port, certificates) {
  if (!certificates) return net.connect(port, '127.0.0.1')
  const file = (name) => fs.readFileSync(path.join(certificates, name))
  // The certificate may be a bad one on purpose, and this client is not what is tested.
  return tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, cert: file('client.crt'), key: file('client.key') })
}

const [port, database, text, ...rest] = process.argv.slice(2)
const body = Buffer.concat([int32(0), Buffer.from([0]), encode({ ...JSON.parse(text), $db: database })])
const socket = connect(Number(port), rest[0] === '--tls' ? rest[1] : undefined)
let received = Buffer.alloc(0)
socket.setTimeout(5000, () => socket.destroy(new Error('no answer within 5 s')))
socket.on('error', (error) => { console.error(`mongodb.js: ${error.message}`); process.exit(1) })
socket.on('close', () => process.exit(1))
socket.on('data', (data) => {
  received = Buffer.concat([received, data])
  if (received.length < 4 || received.length < received.readInt32LE(0)) return
  // A header of 16 bytes, 4 of flags, and the kind of the one section.
  const answer = decode(received, 21)
  console.log(JSON.stringify(answer))
  process.exit(answer.ok === 1 ? 0 : 1)
})
socket.write(Buffer.concat([int32(body.length + 16), int32(1), int32(0), int32(OP_MSG), body]))
