/*
 * A deepstream server in a process of its own, for tests that kill it or that it ends. The first half runs in the test,
 * the second in the child; between them go the options, then `started` or `failed`, then `stop`.
 */
'use strict'

const { fork } = require('node:child_process')
const { once } = require('node:events')
const readline = require('node:readline')

async function startChild (kind, { log, client, child, env, cwd, ...options }) {
  for (const role of ['cache', 'storage']) {
    const connector = options[role]
    if (typeof connector === 'function' || typeof connector?.get === 'function') {
      throw new Error(`a child process can be given no ${role} object, only { path, options }`)
    }
  }
  const server = fork(__filename, [], { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  for (const stream of [server.stdout, server.stderr]) readline.createInterface({ input: stream }).on('line', log)

  // 'close' rather than 'exit': by then all that the server printed has been read.
  const ended = once(server, 'close')
  const send = (message) => server.connected && server.send(message, () => {})
  const stop = async () => {
    send('stop')
    await ended
  }
  const kill = async () => {
    server.kill('SIGKILL')
    await ended
  }

  send({ kind, options })
  const answer = await Promise.race([once(server, 'message'), ended.then(([code, signal]) => [`it ended with ${signal || code}`])])
  if (answer[0] !== 'started') {
    await kill()
    throw new Error(`the server did not start: ${answer[0]}`)
  }
  return { server, stop, kill }
}

async function runChild () {
  const [{ kind, options }] = await once(process, 'message')
  const print = (line) => process.stdout.write(line + '\n')
  const host = await require(`./${kind}`).startServer({ ...options, log: print })
  process.on('message', async () => {
    await host.stop()
    process.disconnect()
    process.exit(0)
  })
  process.send('started')
}

if (require.main === module) {
  // A test that is gone leaves no server behind.
  process.on('disconnect', () => process.exit(1))
  runChild().catch((error) => process.send(error.stack, () => process.exit(1)))
}

module.exports = { startChild }
