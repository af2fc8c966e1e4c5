/*
 * What an ElastiCache cluster with the engine memcached has and memcached has not: the command `config get cluster`, as
 * https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/AutoDiscovery.AddingToYourClientLibrary.html describes it, and
 * nothing else. A stub: the nodes that it names are real.
 *
 *   discovery.js --listen PORT --nodes FILE [--cert FILE --key FILE]
 *
 * FILE holds the version and in the next line the nodes, `host:port` with spaces between; it is read for each answer.
 */
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const tls = require('node:tls')
const readline = require('node:readline')
const { parseArgs } = require('node:util')

const LOOPBACK = '127.0.0.1'

const { values } = parseArgs({
  options: { listen: { type: 'string' }, nodes: { type: 'string' }, cert: { type: 'string' }, key: { type: 'string' } }
})

function list () {
  const [version, nodes] = fs.readFileSync(values.nodes, 'utf8').split('\n')
  const named = nodes.split(' ').map((node) => {
    const [host, port] = node.split(':')
    return `${host}|${LOOPBACK}|${port}`
  })
  return `${version}\n${named.join(' ')}\n`
}

function answer (line) {
  if (line !== 'config get cluster') return 'ERROR\r\n'
  const text = list()
  return `CONFIG cluster 0 ${Buffer.byteLength(text)}\r\n${text}\r\nEND\r\n`
}

function serve (socket) {
  socket.on('error', () => socket.destroy())
  readline.createInterface({ input: socket }).on('line', (line) => socket.write(answer(line))).on('error', () => {})
}

const server = values.cert
  ? tls.createServer({ cert: fs.readFileSync(values.cert), key: fs.readFileSync(values.key) }, serve).on('tlsClientError', () => {})
  : net.createServer(serve)
server.listen(Number(values.listen), LOOPBACK)
