/* A modern server in a project of its user's: installed in a folder, and run there by its own command. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')
const { once } = require('node:events')
const { spawn } = require('node:child_process')
const modern = require('./modern')
const { freePort, within } = require('./harness')

/* The part of `config.yml` that says where clients connect. */
const LISTEN = `
httpServer: { type: default, options: { host: 127.0.0.1, port: \${TEST_PORT} } }
connectionEndpoints: [{ type: ws-binary, options: { urlPath: /deepstream } }]
`

/* Puts the server and its client among the modules of a folder. */
function addServer (home) {
  const from = modern.modules()
  const to = path.join(home, 'node_modules')
  fs.mkdirSync(path.join(to, '@deepstream'), { recursive: true })
  for (const name of fs.readdirSync(from)) {
    const isApart = name === '@deepstream' || name.startsWith('.')
    if (!isApart && !fs.existsSync(path.join(to, name))) fs.symlinkSync(path.join(from, name), path.join(to, name))
  }
  for (const name of fs.readdirSync(path.join(from, '@deepstream'))) {
    if (name !== 'server') fs.symlinkSync(path.join(from, '@deepstream', name), path.join(to, '@deepstream', name))
  }
  // A copy, since plugins are looked for from where its files really are.
  fs.cpSync(path.join(from, '@deepstream/server'), path.join(to, '@deepstream/server'), { recursive: true })
}

/* Runs the server with the folder's `config.yml`, uses it as a client, ends it in order, and resolves to its log. */
async function runServer (t, home, env, use) {
  const log = []
  const port = await freePort()
  const command = path.join(home, 'node_modules/@deepstream/server/dist/bin/deepstream')
  const options = { cwd: home, env: { ...process.env, ...env, TEST_PORT: String(port) } }
  const child = spawn(process.execPath, [command, 'start', '-c', 'config.yml'], options)
  const ended = once(child, 'close')
  t.after(() => child.kill('SIGKILL'))
  child.stderr.on('data', (text) => log.push(String(text)))
  const started = new Promise((resolve, reject) => {
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      log.push(line)
      if (line.includes('Deepstream started')) resolve()
    })
    child.on('exit', () => reject(new Error(`the server ended:\n${log.join('\n')}`)))
  })
  await within(started, 'the start of the server')
  const errors = []
  const { client, close } = await within(modern.connect(port, {}, (error) => errors.push(error)), 'the login')
  await use(client)
  await close()
  child.kill('SIGINT')
  assert.deepStrictEqual(await within(ended, 'the end of the server'), [0, null], log.join('\n'))
  assert.deepStrictEqual(errors, [])
  return log.join('\n')
}

module.exports = { LISTEN, addServer, runServer }
