/*
 * A registry of npm's that has our packages and nothing else: registry(t, change) resolves to its address. `change` may first
 * remove packages, or alter their manifests.
 */
'use strict'

const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { createHash } = require('node:crypto')
const { once } = require('node:events')
const { execFileSync } = require('node:child_process')
const { freePort } = require('../deepstream/harness')
const { PACKAGES } = require('./support')

/* Each package by its name: the manifest, and the file. */
function read () {
  const files = fs.readdirSync(PACKAGES).filter((name) => name.endsWith('.tgz')).map((name) => path.join(PACKAGES, name))
  return Object.fromEntries(files.map((file) => {
    const manifest = JSON.parse(execFileSync('tar', ['-xzOf', file, 'package/package.json']))
    return [manifest.name, { manifest, file }]
  }))
}

/* What npm calls a packument. */
function described ({ manifest, file }, address) {
  const integrity = 'sha512-' + createHash('sha512').update(fs.readFileSync(file)).digest('base64')
  const dist = { tarball: `${address}/${manifest.name}/-/${path.basename(file)}`, integrity }
  return {
    name: manifest.name,
    'dist-tags': { latest: manifest.version },
    versions: { [manifest.version]: { ...manifest, dist } }
  }
}

async function registry (t, change = () => {}) {
  const packages = read()
  change(packages)
  const server = http.createServer((request, response) => {
    const [name, rest] = request.url.slice(1).split('/-/')
    const found = packages[name]
    if (!found) {
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end('{"error":"Not found"}')
    } else if (rest) {
      response.writeHead(200, { 'content-type': 'application/octet-stream' })
      fs.createReadStream(found.file).pipe(response)
    } else {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(described(found, address)))
    }
  })
  const port = await freePort()
  const address = `http://127.0.0.1:${port}`
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return address
}

module.exports = { registry }
