#!/usr/bin/env node
/*
 * A client for Cassandra that needs nothing but Node.js, for tests: carries out statements, one after the other, and
 * prints the rows, one in a line, columns separated by tabs, nothing for null.
 *
 *   node cql.js PORT [STATEMENT...]      without a statement those on standard input, one in each line
 *
 * CQL_HOST, CQL_USER and CQL_PASSWORD log in elsewhere and as somebody; CQL_TLS=1 speaks TLS and believes any
 * certificate, CQL_CERT and CQL_KEY name the files of a client's. Protocol version 4; each error ends it with status 1.
 */
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const readline = require('node:readline')
const tls = require('node:tls')

const OPCODE = { error: 0, startup: 1, ready: 2, authenticate: 3, query: 7, result: 8, authResponse: 15, authSuccess: 16 }
const HEADER_BYTES = 9
const CONSISTENCY_ONE = 1
const ROWS = 2

class Reader {
  constructor (bytes) {
    this.bytes = bytes
    this.at = 0
  }

  take (length) {
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  short () { return this.take(2).readUInt16BE() }
  int () { return this.take(4).readInt32BE() }
  string () { return this.take(this.short()).toString() }

  /* A column's type as a function that makes text of a value. */
  type () {
    const code = this.short()
    switch (code) {
      case 0x00: this.string(); return (value) => value.toString('hex')
      case 0x01: case 0x0a: case 0x0d: return (value) => value.toString()
      case 0x02: case 0x05: return (value) => value.readBigInt64BE().toString()
      case 0x04: return (value) => String(value[0] !== 0)
      case 0x09: return (value) => String(value.readInt32BE())
      case 0x20: case 0x22: this.type(); return (value) => value.toString('hex')
      case 0x21: this.type(); this.type(); return (value) => value.toString('hex')
      default:
        if (code < 0x20) return (value) => value.toString('hex')
        throw new Error(`this client does not know the type ${code}`)
    }
  }

  rows () {
    const flags = this.int()
    const count = this.int()
    if (flags & 2) this.take(this.int())
    if (flags & 1) {
      this.string()
      this.string()
    }
    const columns = Array.from({ length: count }, () => {
      if (!(flags & 1)) {
        this.string()
        this.string()
      }
      this.string()
      return this.type()
    })
    return Array.from({ length: this.int() }, () => columns.map((text) => {
      const length = this.int()
      return length < 0 ? '' : text(this.take(length))
    }))
  }
}

const shortString = (text) => {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

const longString = (bytes) => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function connect (port) {
  const address = { port, host: process.env.CQL_HOST || '127.0.0.1' }
  if (!process.env.CQL_TLS) return net.connect(address)
  const file = (name) => process.env[name] && fs.readFileSync(process.env[name])
  return tls.connect({ ...address, cert: file('CQL_CERT'), key: file('CQL_KEY'), rejectUnauthorized: false })
}

/* Sends one request at a time; `ask` resolves to [opcode, Reader]. */
function client (port) {
  const socket = connect(port)
  let received = Buffer.alloc(0)
  let waiting = null
  const fail = (error) => { if (waiting) waiting.reject(error) }
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the connection was closed')))
  socket.on('data', (data) => {
    received = Buffer.concat([received, data])
    if (received.length < HEADER_BYTES) return
    const length = HEADER_BYTES + received.readInt32BE(5)
    if (received.length < length) return
    const frame = received.subarray(0, length)
    received = received.subarray(length)
    const reader = new Reader(frame.subarray(HEADER_BYTES))
    // Warnings come before the result.
    if (frame[1] & 8) for (let count = reader.short(); count > 0; count--) reader.string()
    if (frame[4] === OPCODE.error) {
      const code = reader.int()
      return fail(new Error(`error 0x${code.toString(16)}: ${reader.string()}`))
    }
    waiting.resolve([frame[4], reader])
  })
  const ask = (opcode, body) => new Promise((resolve, reject) => {
    waiting = { resolve, reject }
    const header = Buffer.from([4, 0, 0, 0, opcode, 0, 0, 0, 0])
    header.writeInt32BE(body.length, 5)
    socket.write(Buffer.concat([header, body]))
  })
  return { ask, end: () => socket.destroy() }
}

async function logIn ({ ask }) {
  const version = Buffer.concat([Buffer.from([0, 1]), shortString('CQL_VERSION'), shortString('3.0.0')])
  const [opcode] = await ask(OPCODE.startup, version)
  if (opcode !== OPCODE.authenticate) return
  const { CQL_USER: user = '', CQL_PASSWORD: password = '' } = process.env
  await ask(OPCODE.authResponse, longString(Buffer.from(`\0${user}\0${password}`)))
}

async function query ({ ask }, statement) {
  const parameters = Buffer.from([0, CONSISTENCY_ONE, 0])
  const [, reader] = await ask(OPCODE.query, Buffer.concat([longString(Buffer.from(statement)), parameters]))
  return reader.int() === ROWS ? reader.rows() : []
}

async function main ([port, ...statements]) {
  if (!port) throw new Error('usage: cql.js PORT [STATEMENT...]')
  const connection = client(Number(port))
  await logIn(connection)
  const lines = statements.length > 0 ? statements : readline.createInterface({ input: process.stdin })
  for await (const statement of lines) {
    for (const row of await query(connection, statement)) console.log(row.join('\t'))
  }
  connection.end()
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`cql.js: ${error.message}`)
  process.exit(1)
})
