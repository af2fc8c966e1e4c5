#!/usr/bin/env node
/*
 * A stand-in for what Amazon's local DynamoDB cannot do: it checks signatures and the time in them, has too much to do on
 * demand, leaves items of a batch unprocessed, takes its time to make a table, and speaks TLS.
 *
 *   node stub.js --listen PORT [--tls CERTIFICATE KEY]
 *
 * One access key is known: AKIDEXAMPLE with the secret `right`, and ASIAEXAMPLE with the same secret and the session
 * token `token`. What it is to do comes by HTTP, a GET of a path:
 *
 *   /stub/throttle/N       the next N batches are refused: too much to do
 *   /stub/status/S/N       the next N batches are answered with HTTP status S, and `retry-after: 0`
 *   /stub/unprocessed/N    of each of the next N batches of writes only the first item is processed, of reads none
 *   /stub/slow-tables/N    a new table is in the making for N looks at it
 *   /stub/ahead/SECONDS    its clock is so far ahead
 *   /stub/expire           no key is good any more, until the next /stub/accept
 *   /stub/accept           they are again
 *   /stub/invalid/TEXT     a batch with an item whose key has TEXT in it is refused as a whole
 *   /stub/report           {"requests": {ACTION: COUNT}, "largest": {ACTION: ITEMS}, "consistent": whether the
 *                          last read asked for that}; all of them answer with it
 */
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const https = require('node:https')
const { parseArgs } = require('node:util')

const SECRETS = { AKIDEXAMPLE: { secret: 'right' }, ASIAEXAMPLE: { secret: 'right', token: 'token' } }
const MOST_WRITES = 25
const MOST_READS = 100
const LARGEST_SKEW = 300

const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest()
const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex')

class Refusal extends Error {
  constructor (type, message, status = 400) {
    super(message)
    this.type = type
    this.status = status
  }
}

class Stub {
  constructor () {
    this.tables = new Map()
    this.plan = { throttle: 0, status: 0, statuses: 0, unprocessed: 0, slowTables: 0, ahead: 0, expired: false, invalid: null }
    this.requests = {}
    this.largest = {}
    this.consistent = null
  }

  now () { return Date.now() + this.plan.ahead * 1000 }

  /* Checks a signature as Signature Version 4 has it. */
  authenticate (request, body) {
    const given = request.headers.authorization || ''
    const [, id, day, region, service, names, signature] =
      given.match(/^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/) || []
    if (!id) throw new Refusal('MissingAuthenticationTokenException', 'Request is missing Authentication Token')
    const known = SECRETS[id]
    if (!known) throw new Refusal('UnrecognizedClientException', 'The security token included in the request is invalid.')
    if (this.plan.expired || (known.token && request.headers['x-amz-security-token'] !== known.token)) {
      throw new Refusal('ExpiredTokenException', 'The security token included in the request is expired')
    }
    const time = request.headers['x-amz-date']
    const signedNames = names.split(';')
    for (const name of ['host', 'x-amz-date', 'x-amz-target', ...(known.token ? ['x-amz-security-token'] : [])]) {
      if (!signedNames.includes(name)) throw new Refusal('IncompleteSignatureException', `${name} is not signed`)
    }
    const headers = signedNames.map((name) => `${name}:${request.headers[name]}\n`).join('')
    const canonical = ['POST', '/', '', headers, names, sha256(body)].join('\n')
    const toSign = ['AWS4-HMAC-SHA256', time, `${day}/${region}/${service}/aws4_request`, sha256(canonical)].join('\n')
    const key = [day, region, service, 'aws4_request'].reduce(hmac, `AWS4${known.secret}`)
    if (hmac(key, toSign).toString('hex') !== signature) {
      throw new Refusal('InvalidSignatureException', 'The request signature we calculated does not match')
    }
    const [, year, month, date, hour, minute, second] = time.match(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/)
    const seconds = Date.UTC(year, month - 1, date, hour, minute, second) / 1000
    if (Math.abs(this.now() / 1000 - seconds) > LARGEST_SKEW) {
      throw new Refusal('InvalidSignatureException', 'Signature expired: it is now later than the request')
    }
  }

  table (name) {
    const table = this.tables.get(name)
    if (!table) throw new Refusal('ResourceNotFoundException', 'Cannot do operations on a non-existent table')
    return table
  }

  described (name) {
    const table = this.table(name)
    const status = table.looks-- > 0 ? 'CREATING' : 'ACTIVE'
    return { TableName: name, TableStatus: status, KeySchema: [{ AttributeName: 'ds_key', KeyType: 'HASH' }] }
  }

  answer (action, question) {
    this.requests[action] = (this.requests[action] || 0) + 1
    switch (action) {
      case 'DescribeTable':
        return { Table: this.described(question.TableName) }
      case 'CreateTable':
        if (this.tables.has(question.TableName)) throw new Refusal('ResourceInUseException', 'Table already exists')
        this.tables.set(question.TableName, { items: new Map(), looks: this.plan.slowTables })
        return { TableDescription: this.described(question.TableName) }
      case 'BatchWriteItem':
      case 'BatchGetItem':
        this.trouble()
        return action === 'BatchWriteItem' ? this.write(question.RequestItems) : this.read(question.RequestItems)
      default:
        throw new Refusal('UnknownOperationException', action)
    }
  }

  trouble () {
    if (this.plan.statuses > 0) {
      this.plan.statuses--
      throw new Refusal(null, 'planned', this.plan.status)
    }
    if (this.plan.throttle > 0) {
      this.plan.throttle--
      throw new Refusal('ProvisionedThroughputExceededException', 'The level of configured provisioned throughput was exceeded')
    }
  }

  /* How many of a batch's items are processed now. */
  room (action, count, most) {
    this.largest[action] = Math.max(this.largest[action] || 0, count)
    if (count > most) throw new Refusal('ValidationException', 'Too many items requested')
    if (this.plan.unprocessed <= 0) return count
    this.plan.unprocessed--
    return 1
  }

  write (tables) {
    const all = Object.entries(tables).flatMap(([table, list]) => list.map((write) => ({ table, write })))
    const keyOf = ({ write }) => (write.PutRequest ? write.PutRequest.Item : write.DeleteRequest.Key).ds_key.S
    if (new Set(all.map((one) => `${one.table} ${keyOf(one)}`)).size < all.length) {
      throw new Refusal('ValidationException', 'Provided list of item keys contains duplicates')
    }
    if (this.plan.invalid && all.some((one) => keyOf(one).includes(this.plan.invalid))) {
      throw new Refusal('ValidationException', `One or more parameter values were invalid: ${JSON.stringify(all)}`)
    }
    const room = this.room('BatchWriteItem', all.length, MOST_WRITES)
    const rest = {}
    all.forEach((one, index) => {
      const items = this.table(one.table).items
      if (index >= room) (rest[one.table] = rest[one.table] || []).push(one.write)
      else if (one.write.PutRequest) items.set(keyOf(one), one.write.PutRequest.Item)
      else items.delete(keyOf(one))
    })
    return { UnprocessedItems: rest }
  }

  read (tables) {
    const all = Object.entries(tables).flatMap(([table, { Keys }]) => Keys.map((key) => ({ table, key })))
    const room = this.room('BatchGetItem', all.length, MOST_READS)
    this.consistent = Object.values(tables).every((table) => table.ConsistentRead)
    const found = {}
    const rest = {}
    all.forEach(({ table, key }, index) => {
      const item = this.table(table).items.get(key.ds_key.S)
      // An answer without a single item says that there is too much to do, and not that it was full.
      if (index >= room || room < all.length) (rest[table] = rest[table] || { Keys: [] }).Keys.push(key)
      else if (item) (found[table] = found[table] || []).push(item)
    })
    return { Responses: found, UnprocessedKeys: rest }
  }

  control (path) {
    const [, , name, first, second] = path.split('/').map(decodeURIComponent)
    switch (name) {
      case 'throttle': this.plan.throttle = Number(first); break
      case 'status': Object.assign(this.plan, { status: Number(first), statuses: Number(second) }); break
      case 'unprocessed': this.plan.unprocessed = Number(first); break
      case 'slow-tables': this.plan.slowTables = Number(first); break
      case 'ahead': this.plan.ahead = Number(first); break
      case 'expire': this.plan.expired = true; break
      case 'accept': this.plan.expired = false; break
      case 'invalid': this.plan.invalid = first; break
      case 'report': break
      default: return null
    }
    return { requests: this.requests, largest: this.largest, consistent: this.consistent }
  }

  handle (request, response, body) {
    const reply = (status, value) => {
      const headers = { 'content-type': 'application/x-amz-json-1.0', date: new Date(this.now()).toUTCString() }
      if (status >= 500 || status === 429) headers['retry-after'] = '0'
      response.writeHead(status, headers).end(value === null ? 'busy' : JSON.stringify(value))
    }
    if (request.url.startsWith('/stub/')) {
      const report = this.control(request.url)
      return report ? reply(200, report) : reply(404, {})
    }
    try {
      this.authenticate(request, body)
      const action = String(request.headers['x-amz-target']).replace(/^DynamoDB_20120810\./, '')
      reply(200, this.answer(action, JSON.parse(body)))
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal
      const type = `com.amazonaws.dynamodb.v20120810#${refusal.type}`
      reply(refusal.status, refusal.type ? { __type: type, message: refusal.message } : null)
    }
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { listen: { type: 'string' }, tls: { type: 'boolean', default: false } }
})
const stub = new Stub()
const serve = (request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => stub.handle(request, response, Buffer.concat(parts)))
}
const [certificate, key] = positionals
const server = values.tls
  ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, serve)
  : http.createServer(serve)
server.listen(Number(values.listen), '127.0.0.1')
