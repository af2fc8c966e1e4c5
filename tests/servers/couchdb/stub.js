#!/usr/bin/env node
/*
 * Answers as CouchDB 3.4.3 gives them where PouchDB Server does not, by a comparison of the two and by its documentation.
 * It knows databases, _bulk_docs, _all_docs and _session, and speaks TLS.
 *
 *   node stub.js --listen PORT [--tls CERTIFICATE KEY]
 *
 * Users: `admin` with the password `secret`, or with the token `header.payload.signature`, who may do all; `reader`, with
 * the same password, who may see nothing that is new. All of it is below `/couch` as well, as behind a proxy.
 * What it is to do comes by HTTP, a GET of a path:
 *
 *   /stub/status/S/N      the next N requests below a database are answered with HTTP status S, and `retry-after: 0`
 *   /stub/status/S/N/A    the same for requests of one action, such as _bulk_docs
 *   /stub/trip/ID         whatever has to do with this document is answered with 500
 *   /stub/largest/N       requests are refused whose body has more bytes
 *   /stub/expire          sessions that were begun are over
 *   /stub/report          {"sessions": COUNT, "requests": COUNT, "refused": COUNT, "longest": BYTES of an answer}; all of them
 *                         answer with it
 */
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const https = require('node:https')
const { parseArgs } = require('node:util')

const PASSWORD = 'secret'
const LARGEST = 8000000
const OWN_FIELDS = new Set(['_id', '_rev', '_deleted', '_attachments', '_revisions'])

const refusal = (status, error, reason) => ({ status, body: { error, reason } })

class Stub {
  constructor () {
    this.databases = new Map()
    this.sessions = new Map()
    this.began = 0
    this.requests = 0
    this.refused = 0
    this.longest = 0
    this.status = 0
    this.statuses = 0
    this.action = undefined
    this.trip = undefined
    this.largest = Infinity
  }

  /* The user's name; null for nobody, and an answer where the login is wrong. */
  user ({ headers }) {
    if (headers.authorization === 'Bearer header.payload.signature') return 'admin'
    if (headers.authorization) {
      const [name, password] = Buffer.from(headers.authorization.replace('Basic ', ''), 'base64').toString().split(':')
      return this.check(name, password) ? name : refusal(401, 'unauthorized', 'Name or password is incorrect.')
    }
    const cookie = /AuthSession=([^;]+)/.exec(headers.cookie || '')
    if (!cookie) return null
    return this.sessions.get(cookie[1]) || refusal(401, 'unauthorized', 'Authentication required.')
  }

  check (name, password) { return ['admin', 'reader'].includes(name) && password === PASSWORD }

  session ({ name, password }) {
    if (!this.check(name, password)) return refusal(401, 'unauthorized', 'Name or password is incorrect.')
    const token = crypto.randomBytes(12).toString('base64url')
    this.sessions.set(token, name)
    this.began++
    const cookie = `AuthSession=${token}; Version=1; Expires=Fri, 27-Nov-2099 00:00:00 GMT; Max-Age=600; Path=/; HttpOnly`
    return { status: 200, cookie, body: { ok: true, name, roles: name === 'admin' ? ['_admin'] : [] } }
  }

  answer (request, path, query, body) {
    if (path[0] === '_session') return this.session(JSON.parse(body))
    this.requests++
    const [name, action] = path
    if (this.statuses > 0 && (!this.action || this.action === action)) {
      this.statuses--
      this.refused++
      return refusal(this.status, 'too_many_requests', 'planned')
    }
    if (body.length > this.largest) return refusal(413, 'too_large', 'the request entity is too large')
    if (this.trip && (body.includes(`"${this.trip}"`) || path.includes(this.trip))) {
      this.refused++
      return refusal(500, 'unknown_error', 'badmatch')
    }
    const user = this.user(request)
    if (user && user.status) return user
    if (!user) return refusal(401, 'unauthorized', 'You are not authorized to access this db.')
    if (!action && request.method === 'PUT') return this.makeDatabase(user, name)
    const database = this.databases.get(name)
    if (!database) return refusal(404, 'not_found', 'Database does not exist.')
    // Whoever makes a database in 3.x makes it for administrators alone.
    if (user !== 'admin') return refusal(403, 'forbidden', 'You are not allowed to access this db.')
    if (!action) return { status: 200, body: { db_name: name, doc_count: database.size } }
    if (action === '_bulk_docs') return this.write(database, body)
    if (action === '_all_docs') return this.list(database, query, body)
    return refusal(404, 'not_found', 'missing')
  }

  makeDatabase (user, name) {
    if (user !== 'admin') return refusal(401, 'unauthorized', 'You are not a server admin.')
    if (this.databases.has(name)) return refusal(412, 'file_exists', 'The database could not be created, the file already exists.')
    this.databases.set(name, new Map())
    return { status: 201, body: { ok: true } }
  }

  write (database, text) {
    // Half of a surrogate pair, escaped, and not the text of such an escape.
    if (/(?<!\\)(\\\\)*\\ud(?:[89ab][0-9a-f]{2}(?!\\ud[c-f])|[c-f])/i.test(text.replace(/\\ud[89ab]..\\ud[c-f]../gi, ''))) return refusal(400, 'bad_request', 'invalid UTF-8 JSON')
    const { docs } = JSON.parse(text)
    for (const doc of docs) {
      if (doc._id === '') return refusal(400, 'illegal_docid', 'Document id must not be empty')
      if (doc._id.startsWith('_')) return refusal(400, 'illegal_docid', 'Only reserved document ids may start with underscore.')
      const field = Object.keys(doc).find((name) => name.startsWith('_') && !OWN_FIELDS.has(name))
      if (field) return refusal(400, 'doc_validation', `Bad special document member: ${field}`)
      if (Buffer.byteLength(JSON.stringify(doc)) > LARGEST) return refusal(413, 'document_too_large', doc._id)
    }
    return { status: 201, body: docs.map((doc) => this.writeOne(database, doc)) }
  }

  writeOne (database, doc) {
    const old = database.get(doc._id)
    // A deleted document may be made again with or without its revision; nothing else goes without.
    const fits = old ? doc._rev === old._rev || (old._deleted && !doc._rev && !doc._deleted) : !doc._rev && !doc._deleted
    if (!fits) return { id: doc._id, error: 'conflict', reason: 'Document update conflict.' }
    const number = old ? parseInt(old._rev, 10) + 1 : 1
    const _rev = `${number}-${crypto.randomBytes(16).toString('hex')}`
    database.set(doc._id, { ...doc, _rev })
    return { ok: true, id: doc._id, rev: _rev }
  }

  list (database, query, body) {
    const row = (doc, key) => {
      if (!doc) return { key, error: 'not_found' }
      if (doc._deleted) return { id: key, key, value: { rev: doc._rev, deleted: true }, doc: null }
      const rest = query.get('include_docs') === 'true' ? { doc } : {}
      return { id: key, key, value: { rev: doc._rev }, ...rest }
    }
    const keys = body ? JSON.parse(body).keys : null
    if (keys) return { status: 200, body: { total_rows: database.size, rows: keys.map((key) => row(database.get(key), key)) } }
    const start = query.has('startkey') ? Buffer.from(JSON.parse(query.get('startkey'))) : Buffer.alloc(0)
    const ids = [...database.keys()].filter((id) => !database.get(id)._deleted && Buffer.from(id).compare(start) >= 0)
    ids.sort((a, b) => Buffer.from(a).compare(Buffer.from(b)))
    const limit = Number(query.get('limit') || Infinity)
    return { status: 200, body: { total_rows: database.size, offset: 0, rows: ids.slice(0, limit).map((id) => row(database.get(id), id)) } }
  }

  control ([, name, first, second, third]) {
    if (name === 'status') Object.assign(this, { status: Number(first), statuses: Number(second), action: third })
    if (name === 'trip') this.trip = first
    if (name === 'largest') this.largest = Number(first)
    if (name === 'expire') this.sessions.clear()
    const { began, requests, refused, longest } = this
    return { status: 200, body: { sessions: began, requests, refused, longest } }
  }

  handle (request, response, body) {
    const url = new URL(request.url, 'http://localhost')
    const path = url.pathname.split('/').slice(1).map(decodeURIComponent).filter((part) => part !== '')
    if (path[0] === 'couch') path.shift()
    const { status, body: value, cookie } =
      path[0] === 'stub' ? this.control(path) : this.answer(request, path, url.searchParams, body)
    const headers = { 'content-type': 'application/json' }
    if (cookie) headers['set-cookie'] = cookie
    if (status === 429 || status >= 500) headers['retry-after'] = '0'
    const text = JSON.stringify(value) + '\n'
    this.longest = Math.max(this.longest, Buffer.byteLength(text))
    response.writeHead(status, headers).end(text)
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
  request.on('end', () => stub.handle(request, response, Buffer.concat(parts).toString()))
}
const [certificate, key] = positionals
const server = values.tls
  ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, serve)
  : http.createServer(serve)
server.listen(Number(values.listen), '127.0.0.1')
