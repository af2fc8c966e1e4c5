/* The modern server takes our connector from a configuration file alone, by name and by path. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')
const { test } = require('./needing')('redis')
const { once } = require('node:events')
const { spawn } = require('node:child_process')
const modern = require('./modern')
const { freePort, within } = require('./harness')
const { ADDON, atEnd, folder, redis, start } = require('./connector')

const LISTEN = `
httpServer: { type: default, options: { host: 127.0.0.1, port: \${TEST_PORT} } }
connectionEndpoints: [{ type: ws-binary, options: { urlPath: /deepstream } }]
`

async function useRecord (client) {
  const record = client.record.getRecord('bikes/1')
  await record.whenReady()
  await record.setWithAck({ colour: 'red' })
  await record.setWithAck('colour', 'blue')
  await client.record.notify(['bikes/1'])
}

/* A project in which the server and our packages are installed: npm makes a link to a package that is a folder elsewhere. */
function project (t) {
  const home = folder(t)
  const from = modern.modules()
  const to = path.join(home, 'node_modules')
  fs.mkdirSync(path.join(to, '@deepstream'), { recursive: true })
  for (const name of fs.readdirSync(from)) {
    if (name !== '@deepstream') fs.symlinkSync(path.join(from, name), path.join(to, name))
  }
  for (const name of fs.readdirSync(path.join(from, '@deepstream'))) {
    if (name !== 'server') fs.symlinkSync(path.join(from, '@deepstream', name), path.join(to, '@deepstream', name))
  }
  // A copy, since plugins are looked for from where its files really are.
  fs.cpSync(path.join(from, '@deepstream/server'), path.join(to, '@deepstream/server'), { recursive: true })
  for (const name of ['deepstream.io-cache-native', 'deepstream.io-storage-native']) {
    fs.symlinkSync(path.join(ADDON, name), path.join(to, name))
  }
  return home
}

test("by name: deepstream's own command, Redis cache and SQLite storage", async (t) => {
  const server = await redis(t)
  const options = server.options()
  const home = project(t)
  fs.writeFileSync(path.join(home, 'config.yml'), `${LISTEN}
cache: { name: native, options: { type: redis, port: \${TEST_REDIS_PORT}, password: \${TEST_NO_SUCH_PASSWORD} } }
storage: { name: native, options: { type: sqlite, path: records.sqlite } }
`)
  const port = await freePort()
  const command = path.join(home, 'node_modules/@deepstream/server/dist/bin/deepstream')
  const env = { ...process.env, TEST_PORT: String(port), TEST_REDIS_PORT: String(options.port) }
  const run = async (use) => {
    const log = []
    const child = spawn(process.execPath, [command, 'start', '-c', 'config.yml'], { cwd: home, env })
    const ended = once(child, 'close')
    atEnd(t, () => child.kill('SIGKILL'))
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

  const log = await run(useRecord)
  assert.match(log, /cache ready: Redis at 127\.0\.0\.1/)
  assert.match(log, /storage ready: SQLite at .*records\.sqlite/)
  await server.ask(options, 'FLUSHALL')
  await run(async (client) => assert.deepStrictEqual(await client.record.snapshot('bikes/1'), { colour: 'blue' }))
  assert.strictEqual(await server.ask(options, 'MGET', 'bikes/1_v', 'bikes/1_d'), '2\n{"colour":"blue"}')
})

test('by path, relative to the working folder', async (t) => {
  const home = folder(t)
  fs.symlinkSync(ADDON, path.join(home, 'connector'))
  const configFile = path.join(home, 'config.yml')
  fs.writeFileSync(configFile, `${LISTEN}
cache: { path: ./connector, options: { type: memory } }
storage: { path: ./connector, options: { type: sqlite, path: records.sqlite } }
`)
  const port = await freePort()
  const options = { child: true, configFile, port, cwd: home, env: { TEST_PORT: String(port) } }
  const first = await start(t, modern, options)
  await useRecord(first.client)
  await first.stop()
  const second = await start(t, modern, options)
  assert.deepStrictEqual(await second.client.record.snapshot('bikes/1'), { colour: 'blue' })
  assert.ok(fs.existsSync(path.join(home, 'records.sqlite')))
})

test('an option that does not exist ends the server, which names the one that was meant', async (t) => {
  const configFile = path.join(folder(t), 'config.yml')
  fs.writeFileSync(configFile, `${LISTEN}
cache: { path: ${ADDON}, options: { type: redis, prot: 6379 } }
`)
  const port = await freePort()
  const options = { child: true, configFile, port, env: { TEST_PORT: String(port) } }
  await assert.rejects(start(t, modern, options), (error) => {
    assert.match(error.log.join('\n') + error.message, /prot.*port/)
    return true
  })
})
