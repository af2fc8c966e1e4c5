/* The modern server takes our connector from a configuration file alone, by name and by path. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('./needing')('redis')
const modern = require('./modern')
const { freePort } = require('./harness')
const { ADDON, folder, redis, start } = require('./connector')
const { LISTEN, addServer, runServer } = require('./project')

async function useRecord (client) {
  const record = client.record.getRecord('bikes/1')
  await record.whenReady()
  await record.setWithAck({ colour: 'red' })
  await record.setWithAck('colour', 'blue')
  await client.record.notify(['bikes/1'])
}

/* Our packages beside a server: copies, since what they depend on is looked for from where their files really are. */
function addOurs (home) {
  const modules = path.join(home, 'node_modules')
  for (const name of ['deepstream.io-cache-native', 'deepstream.io-storage-native']) {
    fs.cpSync(path.join(ADDON, name), path.join(modules, name), { recursive: true })
  }
  fs.symlinkSync(ADDON, path.join(modules, 'deepstream-connector'))
}

test("by name: deepstream's own command, Redis cache and SQLite storage", async (t) => {
  const server = await redis(t)
  const options = server.options()
  const home = folder(t)
  addServer(home)
  addOurs(home)
  fs.writeFileSync(path.join(home, 'config.yml'), `${LISTEN}
cache: { name: native, options: { type: redis, port: \${TEST_REDIS_PORT}, password: \${TEST_NO_SUCH_PASSWORD} } }
storage: { name: native, options: { type: sqlite, path: records.sqlite } }
`)
  const env = { TEST_REDIS_PORT: String(options.port) }
  const run = (use) => runServer(t, home, env, use)

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
