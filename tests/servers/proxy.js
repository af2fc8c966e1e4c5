#!/usr/bin/env node
/*
 * A TCP proxy on loopback that spoils connections on demand, so that tests can see what slow, silent, lying and breaking
 * networks do to a connector.
 *
 *   node proxy.js --listen PORT --target HOST:PORT                     commands: lines on standard input, whose end stops it
 *   node proxy.js --listen PORT --target HOST:PORT --control PATH      commands: lines on a Unix socket
 *   node proxy.js --tell PATH COMMAND [VALUE]                          sends one command to such a socket
 *
 * Each command is answered by one line on standard output or on the socket: `ok ...` or `error ...`. It holds from then
 * on, for connections that exist and for new ones:
 *
 *   latency MS   answers are held back for MS milliseconds; requests are not, so a request that timed out was carried out
 *   bandwidth N  each connection passes N bytes of answers a second, in pieces of at most 16 KiB; 0 takes the limit away
 *   garbage      every request is answered with bytes that are no protocol, and a new connection is greeted with them
 *   blackhole    connections are accepted, requests vanish, nothing is ever answered
 *   refuse       new connections are refused; existing ones go on
 *   reset        existing connections are reset (RST) now, as they always are when the target refuses or resets its side
 *   limit N      each connection is closed after N more bytes of answers
 *   pass         back to normal; connections that lost bytes to garbage or blackhole are reset
 *   stats        ok open=N accepted=N up=BYTES down=BYTES
 *
 * garbage, blackhole and refuse exclude each other; latency, bandwidth and limit go with all of them. Frozen rather than lossy is
 * what SIGSTOP does to this process: bytes wait, and go on after SIGCONT.
 */
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const readline = require('node:readline')

const LOOPBACK = '127.0.0.1'
const MAX_HELD_BYTES = 16 * 1024 * 1024
const PIECE = 16 * 1024
const GARBAGE = Buffer.from('\x00\xff\x7fgarbage \x80\xfe\r\n%!?\x01\n', 'latin1')

class Proxy {
  constructor (port, target) {
    this.port = port
    this.target = target
    this.mode = 'pass'
    this.latency = 0
    this.bandwidth = 0
    this.limit = Infinity
    this.links = new Set()
    this.accepted = 0
    this.up = 0
    this.down = 0
    this.listener = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.accept(socket))
  }

  listen () {
    return new Promise((resolve, reject) => {
      this.listener.once('error', reject)
      this.listener.listen(this.port, LOOPBACK, () => {
        this.listener.off('error', reject)
        resolve()
      })
    })
  }

  accept (socket) {
    this.accepted++
    this.links.add(new Link(this, socket))
  }

  /* Returns the answer to a command line. */
  async command (line) {
    const [name, value] = line.trim().split(/\s+/)
    switch (name) {
      case 'latency':
        this.latency = wholeNumber(value)
        break
      case 'bandwidth':
        this.bandwidth = wholeNumber(value)
        break
      case 'limit':
        this.limit = wholeNumber(value)
        for (const link of this.links) link.remaining = this.limit
        break
      case 'garbage':
      case 'blackhole':
        await this.enter(name)
        break
      case 'refuse':
        await this.enter(name)
        this.listener.close()
        break
      case 'reset':
        for (const link of this.links) link.reset()
        break
      case 'pass':
        this.latency = 0
        this.bandwidth = 0
        this.limit = Infinity
        for (const link of this.links) link.remaining = Infinity
        await this.enter(name)
        break
      case 'stats':
        return `ok open=${this.links.size} accepted=${this.accepted} up=${this.up} down=${this.down}`
      default:
        throw new Error(`unknown command '${name}'`)
    }
    return `ok ${line.trim()}`
  }

  async enter (mode) {
    this.mode = mode
    if (mode !== 'refuse' && !this.listener.listening) await this.listen()
    if (mode === 'pass' || mode === 'refuse') {
      for (const link of this.links) if (link.lossy) link.reset()
    }
  }
}

/* One connection through the proxy. */
class Link {
  constructor (proxy, client) {
    this.proxy = proxy
    this.client = client
    this.server = net.connect({ ...proxy.target, allowHalfOpen: true, noDelay: true })
    this.remaining = proxy.limit
    this.cut = false
    this.lossy = false
    this.held = []
    this.heldBytes = 0
    this.timer = null

    client.on('data', (bytes) => this.request(bytes))
    client.on('end', () => this.lossy ? client.destroy() : this.server.end())
    this.server.on('data', (bytes) => this.answer(bytes))
    this.server.on('end', () => this.answer(null))
    this.server.on('drain', () => client.resume())
    client.on('drain', () => this.resumeServer())
    for (const socket of [client, this.server]) {
      socket.on('error', () => this.reset())
      socket.on('close', () => this.closed())
    }
    if (proxy.mode === 'garbage') this.lie()
  }

  request (bytes) {
    const { proxy } = this
    proxy.up += bytes.length
    if (proxy.mode === 'garbage') {
      this.lie()
    } else if (proxy.mode === 'blackhole') {
      this.lossy = true
    } else if (!this.server.write(bytes)) {
      this.client.pause()
    }
  }

  /* An answer of the target, or the end of its answers (null). */
  answer (bytes) {
    const { latency, bandwidth } = this.proxy
    if (bandwidth > 0 && bytes) {
      for (let start = 0; start < bytes.length; start += PIECE) this.hold(bytes.subarray(start, start + PIECE))
    } else if (latency > 0 || this.held.length > 0) {
      this.hold(bytes)
    } else {
      this.pass(bytes)
    }
  }

  pass (bytes) {
    if (this.proxy.mode === 'garbage' || this.proxy.mode === 'blackhole') this.lossy = true
    else if (bytes) this.deliver(bytes)
    else this.client.end()
  }

  lie () {
    this.lossy = true
    this.deliver(GARBAGE)
  }

  /* Keeps an answer for its time. Nothing overtakes what is held already. */
  hold (bytes) {
    const { latency, bandwidth } = this.proxy
    const last = this.held.at(-1)
    const begin = Math.max(performance.now() + latency, last ? last.due : 0)
    this.held.push({ bytes, due: begin + (bandwidth > 0 && bytes ? bytes.length * 1000 / bandwidth : 0) })
    this.heldBytes += bytes ? bytes.length : 0
    if (this.heldBytes > MAX_HELD_BYTES) this.server.pause()
    if (!this.timer) this.release()
  }

  release () {
    this.timer = null
    while (this.held.length > 0 && this.held[0].due <= performance.now()) {
      const { bytes } = this.held.shift()
      this.heldBytes -= bytes ? bytes.length : 0
      this.pass(bytes)
    }
    this.resumeServer()
    if (this.held.length > 0) {
      // A timer may fire a fraction of a millisecond early, hence the rounding up.
      this.timer = setTimeout(() => this.release(), Math.ceil(this.held[0].due - performance.now()))
    }
  }

  deliver (bytes) {
    if (this.client.destroyed || this.cut) return
    const part = bytes.length > this.remaining ? bytes.subarray(0, this.remaining) : bytes
    this.remaining -= part.length
    this.proxy.down += part.length
    if (!this.client.write(part)) this.server.pause()
    if (this.remaining === 0) {
      this.cut = true
      this.client.end(() => this.client.destroy())
      this.server.destroy()
    }
  }

  resumeServer () {
    if (this.heldBytes <= MAX_HELD_BYTES && !this.client.writableNeedDrain) this.server.resume()
  }

  reset () {
    this.client.resetAndDestroy()
    this.server.resetAndDestroy()
  }

  /* A side that is closed takes the other with it, after what is still on its way to the client. */
  closed () {
    if (this.client.destroyed) {
      clearTimeout(this.timer)
      this.held.length = 0
      this.server.destroy()
      this.proxy.links.delete(this)
    } else if (!this.lossy && this.held.length === 0) {
      this.client.end()
    }
  }
}

function wholeNumber (text) {
  if (!/^\d+$/.test(text || '')) throw new Error(`'${text || ''}' is no whole number`)
  return Number(text)
}

/* Commands take effect one after the other, and each is answered. */
function serve (proxy, input, output) {
  let previous = Promise.resolve()
  return readline.createInterface({ input }).on('line', (line) => {
    if (line.trim() === '') return
    previous = previous
      .then(() => proxy.command(line))
      .catch((error) => `error ${error.message}`)
      .then((answer) => output.write(answer + '\n'))
  })
}

function tell (path, words) {
  const socket = net.connect({ path }, () => socket.write(words.join(' ') + '\n'))
  socket.on('error', (error) => {
    process.stderr.write(`the proxy does not listen on ${path}: ${error.message}\n`)
    process.exitCode = 1
  })
  readline.createInterface({ input: socket }).once('line', (line) => {
    process.stdout.write(line + '\n')
    process.exitCode = line.startsWith('ok') ? 0 : 1
    socket.end()
  }).on('error', () => {})
}

async function main (argv) {
  const option = (name) => argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined
  if (option('--tell')) return tell(argv[1], argv.slice(2))

  const target = /^(.+):(\d+)$/.exec(option('--target') || '')
  const port = Number(option('--listen'))
  if (!target || !Number.isInteger(port)) throw new Error('usage: proxy.js --listen PORT --target HOST:PORT [--control PATH]')
  const proxy = new Proxy(port, { host: target[1], port: Number(target[2]) })
  await proxy.listen()

  const control = option('--control')
  if (control) {
    net.createServer((socket) => {
      socket.on('error', () => {})
      serve(proxy, socket, socket)
    // Whoever sees the socket may use it: it has its name once somebody listens.
    }).listen(`${control}.new`, () => fs.renameSync(`${control}.new`, control))
    process.once('SIGTERM', () => process.exit(0))
  } else {
    process.stdout.write(`ok listening ${port}\n`)
    serve(proxy, process.stdin, process.stdout).on('close', () => process.exit(0))
  }
}

main(process.argv.slice(2)).catch((error) => {
  process.stderr.write(`proxy.js: ${error.message}\n`)
  process.exit(1)
})
