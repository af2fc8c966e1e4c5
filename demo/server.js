/* deepstream's own server program, run by its own command, with a configuration file that names our connector. */
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { once } = require('node:events')
const { spawn } = require('node:child_process')

const START_LIMIT = 20000

const configuration = ({ port, addon, file }) => `# A deepstream server whose cache and storage are deepstream-connector.
httpServer:
  type: default
  options: { host: 127.0.0.1, port: ${port} }
connectionEndpoints:
  - type: ws-binary
    options: { urlPath: /deepstream }

# Where the server looks first. For Redis instead: { type: redis, host: 127.0.0.1, port: 6379 }
cache:
  path: ${JSON.stringify(addon)}
  options: { type: memory }

# Where records stay.
storage:
  path: ${JSON.stringify(addon)}
  options: { type: sqlite, path: ${JSON.stringify(file)} }

logger:
  type: default
  options: { logLevel: INFO, colors: false }
`

/* The port that a configuration file names; null if there is no such file. */
function portOf (config) {
  return fs.existsSync(config) ? Number(fs.readFileSync(config, 'utf8').match(/port: (\d+)/)[1]) : null
}

const isFree = (port) => new Promise((resolve) => {
  const probe = net.createServer()
  probe.once('error', () => resolve(null))
  probe.listen(port, '127.0.0.1', () => {
    const { port } = probe.address()
    probe.close(() => resolve(port))
  })
})

/* The port wished for, or another that is free. */
const choosePort = async (wish) => await isFree(wish) || await isFree(0)

class Server {
  /* `command` is deepstream's program; `log` a file to which its output is appended. */
  constructor (command, config, log) {
    this.command = command
    this.config = config
    this.log = log
    this.process = null
  }

  async start () {
    const output = fs.openSync(this.log, 'a')
    const begin = fs.fstatSync(output).size
    this.process = spawn(process.execPath, [this.command, 'start', '-c', this.config], { stdio: ['ignore', output, output] })
    fs.closeSync(output)
    this.ended = once(this.process, 'exit')
    const end = Date.now() + START_LIMIT
    for (;;) {
      const text = fs.readFileSync(this.log).subarray(begin).toString()
      if (text.includes('Deepstream started')) return
      if (this.process.exitCode !== null || Date.now() > end) {
        const what = this.process.exitCode === null ? 'has not started in time' : 'ended'
        throw new Error(`the server ${what}; ${path.relative('.', this.log)} ends with:\n${text.split('\n').slice(-8).join('\n')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async stop () {
    this.process.kill('SIGINT')
    const [code, signal] = await this.ended
    if (code !== 0) throw new Error(`the server ended with ${signal || code}`)
  }

  /* For the demo's own end, however it comes. */
  kill () {
    if (this.process && this.process.exitCode === null) this.process.kill('SIGKILL')
  }
}

module.exports = { Server, configuration, portOf, choosePort }
