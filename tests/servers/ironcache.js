#!/usr/bin/env node
/*
 * A stand-in for IronCache, written from its published documentation (https://dev.iron.io/cache/reference/api/ and
 * https://dev.iron.io/cache/reference/environment/), since the service itself cannot be reached from a test.
 *
 *   node ironcache.js --listen PORT [--project ID] [--token WORD] [--limit BYTES] [--log FILE] [--cert FILE --key FILE]
 *   node ironcache.js --ask PORT METHOD PATH [BODY]        one request, with the token in IRONCACHE_TOKEN; prints the body
 *
 * As documented: caches that are made by their first item; numbers that are stored as numbers; `expires_in`, `add`,
 * `replace` and `cas`; increments; keys of at most 250 characters, items of at most 1 MB; 400, 401, 404, 405 and 406.
 * With --log everything that is acknowledged is in that file first, and is there again after a restart.
 *
 * Paths under /stub are no part of the service and need no token:
 *
 *   PUT /stub/token WORD                          from now on it is this one
 *   PUT /stub/trouble {"status", "times", "after"}   so many requests are answered with that, and `retry-after`
 *   PUT /stub/answer {"status", "body", "times"}     the same with any body
 *   GET /stub/items                               everything, as {cache: {key: value}}
 *   GET /stub/counts                              {"requests", "connections", "troubled"}
 */
'use strict'

const fs = require('node:fs')
const http = require('node:http')
const https = require('node:https')
const { parseArgs } = require('node:util')

const LONGEST_KEY = 250
const LONGEST_LIFE = 2592000

class Refusal extends Error {
  constructor (status, message) {
    super(message)
    this.status = status
  }
}

class IronCache {
  constructor ({ project, token, limit, log }) {
    this.project = project
    this.token = token
    this.limit = Number(limit)
    this.caches = new Map()
    this.cas = 0
    if (log) this.recover(log)
  }

  recover (path) {
    if (fs.existsSync(path)) {
      for (const line of fs.readFileSync(path, 'utf8').split('\n')) {
        // The last line of a server that was killed may be half a line; nobody was told that it is there.
        try { this.apply(...JSON.parse(line)) } catch {}
      }
    }
    this.log = fs.openSync(path, 'a')
  }

  /* Puts an item into a cache, or removes it. */
  apply (cache, key, item) {
    if (!this.caches.has(cache)) this.caches.set(cache, new Map())
    if (item) this.caches.get(cache).set(key, item)
    else this.caches.get(cache).delete(key)
  }

  change (...change) {
    if (this.log) fs.writeSync(this.log, JSON.stringify(change) + '\n')
    this.apply(...change)
  }

  find (cache, key) {
    const item = this.caches.get(cache)?.get(key)
    if (item && item.expires && item.expires <= Date.now()) {
      this.apply(cache, key, null)
      return undefined
    }
    return item
  }

  /* Returns [status, answer]. */
  answer (method, path, body) {
    const [version, projects, project, caches, cache, items, key, more, ...rest] = path.split('/').slice(1).map(decodeURIComponent)
    const known = version === '1' && projects === 'projects' && project === this.project && caches === 'caches'
    if (!known || rest.length > 0) throw new Refusal(404, 'Not found')
    if (cache === undefined) return this.list(method)
    if (items === undefined) return this.cache(method, cache)
    if (items === 'clear' && key === undefined) return this.clear(method, cache)
    if (items !== 'items' || !key) throw new Refusal(404, 'Not found')
    if (path.split('/')[7].length > LONGEST_KEY) throw new Refusal(400, 'Key too long')
    if (more === 'increment') return this.increment(method, cache, key, body)
    if (more !== undefined) throw new Refusal(404, 'Not found')
    return this.item(method, cache, key, body)
  }

  list (method) {
    if (method !== 'GET') throw new Refusal(405, 'Method not allowed')
    return [200, [...this.caches.keys()].map((name) => ({ project_id: this.project, name }))]
  }

  cache (method, cache) {
    if (!this.caches.has(cache)) throw new Refusal(404, 'Cache not found')
    if (method === 'GET') return [200, { size: this.caches.get(cache).size }]
    if (method !== 'DELETE') throw new Refusal(405, 'Method not allowed')
    this.caches.delete(cache)
    return [200, { msg: 'Deleted.' }]
  }

  clear (method, cache) {
    if (method !== 'POST') throw new Refusal(405, 'Method not allowed')
    this.caches.get(cache)?.clear()
    return [200, { msg: 'Cleared.' }]
  }

  item (method, cache, key, body) {
    const item = this.find(cache, key)
    switch (method) {
      case 'PUT':
        this.put(cache, key, item, parse(body))
        return [200, { msg: 'Stored.' }]
      case 'GET':
        if (!item) throw new Refusal(404, 'Key not found')
        return [200, {
          cache,
          key,
          value: item.value,
          cas: item.cas,
          flags: 0,
          expires: item.expires ? new Date(item.expires).toISOString() : '9999-01-01T00:00:00Z'
        }]
      case 'DELETE':
        if (!item) throw new Refusal(404, 'Key not found')
        this.change(cache, key, null)
        return [200, { msg: 'Deleted.' }]
      default:
        throw new Refusal(405, 'Method not allowed')
    }
  }

  put (cache, key, item, wanted) {
    const { value, expires_in: life, add, replace, cas } = wanted
    if (value === undefined) throw new Refusal(406, 'Required field value is missing')
    if (!['string', 'number'].includes(typeof value)) throw new Refusal(400, 'The value is no string')
    if (life !== undefined && !(Number.isInteger(life) && life > 0 && life <= LONGEST_LIFE)) {
      throw new Refusal(400, 'expires_in is out of range')
    }
    const missed = (add && item) || (replace && !item) || (cas !== undefined && (!item || item.cas !== String(cas)))
    if (missed) throw new Refusal(400, 'Not stored')
    const expires = life === undefined ? null : Date.now() + life * 1000
    this.change(cache, key, { value: natural(value), cas: String(++this.cas), expires })
  }

  increment (method, cache, key, body) {
    if (method !== 'POST') throw new Refusal(405, 'Method not allowed')
    const { amount } = parse(body)
    if (!Number.isInteger(amount)) throw new Refusal(406, 'Required field amount is missing')
    const item = this.find(cache, key) || { value: 0, expires: null }
    if (typeof item.value !== 'number') throw new Refusal(400, 'The value is no number')
    const value = item.value + amount
    this.change(cache, key, { ...item, value, cas: String(++this.cas) })
    return [200, { msg: 'Added', value }]
  }
}

function parse (body) {
  try {
    const value = JSON.parse(body)
    if (value && typeof value === 'object') return value
  } catch {}
  throw new Refusal(400, 'Invalid JSON')
}

/* "The server also detects numbers and stores them natively as numbers." */
function natural (value) {
  return typeof value === 'string' && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value) ? Number(value) : value
}

class Service {
  constructor (options) {
    this.cache = new IronCache(options)
    this.trouble = { times: 0 }
    this.counts = { requests: 0, connections: 0, troubled: 0 }
  }

  async serve (request, response) {
    try {
      const body = await this.read(request)
      const path = request.url.split('?')[0]
      const own = /^\/stub\/(\w+)$/.exec(path)
      const [status, answer, headers] = own ? this.stub(own[1], body) : this.service(request, path, body)
      reply(response, status, answer, headers)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      reply(response, error.status, { msg: error.message })
    }
  }

  service (request, path, body) {
    this.counts.requests++
    if (this.trouble.times > 0) {
      this.trouble.times--
      this.counts.troubled++
      const { status, after, body } = this.trouble
      return [status, body ?? { msg: 'Please try again' }, after === undefined ? {} : { 'retry-after': String(after) }]
    }
    if (request.headers.authorization !== `OAuth ${this.cache.token}`) throw new Refusal(401, 'Unauthorized')
    if (Buffer.byteLength(body) > this.cache.limit) throw new Refusal(413, 'Item too large')
    if (request.method === 'PUT' && request.headers['content-type'] !== 'application/json') {
      throw new Refusal(400, 'The content type is not application/json')
    }
    return this.cache.answer(request.method, path, body)
  }

  stub (name, body) {
    switch (name) {
      case 'token':
        this.cache.token = body
        return [200, {}]
      case 'trouble':
      case 'answer':
        this.trouble = JSON.parse(body)
        return [200, {}]
      case 'items': {
        const values = (items) => Object.fromEntries([...items].map(([key, { value }]) => [key, value]))
        return [200, Object.fromEntries([...this.cache.caches].map(([name, items]) => [name, values(items)]))]
      }
      case 'counts':
        return [200, this.counts]
      default:
        throw new Refusal(404, 'Not found')
    }
  }

  async read (request) {
    const parts = []
    for await (const part of request) parts.push(part)
    return Buffer.concat(parts).toString()
  }
}

function reply (response, status, answer, headers = {}) {
  const text = typeof answer === 'string' ? answer : JSON.stringify(answer)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers })
  response.end(text)
}

function listen (options) {
  const service = new Service(options)
  const serve = (request, response) => service.serve(request, response).catch(() => response.destroy())
  const server = options.cert
    ? https.createServer({ cert: fs.readFileSync(options.cert), key: fs.readFileSync(options.key) }, serve)
    : http.createServer(serve)
  server.on('connection', () => service.counts.connections++)
  server.on('tlsClientError', () => {})
  server.listen(Number(options.listen), '127.0.0.1')
  process.once('SIGTERM', () => process.exit(0))
}

function ask (port, [method, path, body]) {
  const transport = process.env.IRONCACHE_TLS ? https : http
  const headers = { authorization: `OAuth ${process.env.IRONCACHE_TOKEN}`, 'content-type': 'application/json' }
  const request = transport.request({ host: '127.0.0.1', port, method, path, headers, rejectUnauthorized: false }, (response) => {
    response.pipe(process.stdout)
    response.on('end', () => {
      process.stdout.write('\n')
      process.exitCode = response.statusCode < 400 ? 0 : 1
    })
  })
  request.on('error', (error) => {
    process.stderr.write(`ironcache.js: ${error.message}\n`)
    process.exitCode = 1
  })
  request.end(body)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    listen: { type: 'string' },
    ask: { type: 'string' },
    project: { type: 'string', default: 'project' },
    token: { type: 'string', default: 'right' },
    limit: { type: 'string', default: String(1 << 20) },
    log: { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' }
  }
})
if (values.ask) ask(Number(values.ask), positionals)
else listen(values)
