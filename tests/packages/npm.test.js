/* The npm packages, installed into empty folders and used there. */
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const test = require('node:test')
const { LISTEN, addServer, runServer } = require('../deepstream/project')
const { registry } = require('./registry')
const { ALL, VERSION, folder, follow, run } = require('./support')

const PLATFORM = 'deepstream-connector-linux-x64-gnu'

/* Nothing may be asked of any registry. */
const OFFLINE = { npm_config_offline: 'true', npm_config_audit: 'false', npm_config_fund: 'false', npm_config_update_notifier: 'false' }

const PROGRAM = `
import Connector, { ConnectorError } from 'deepstream-connector'
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
for (const role of ['cache', 'storage']) if (require('deepstream.io-' + role + '-native') !== Connector) throw new Error(role)
const cache = new Connector({ type: 'memory', api: 'modern' })
await cache.set('user/1', 1, { name: 'Ada' })
const error = await cache.scan(null, 10).catch((error) => error)
console.log(JSON.stringify(await cache.get('user/1')), cache.version, error instanceof ConnectorError && error.code)
await cache.close()
`
const PRINTS = `{"version":1,"data":{"name":"Ada"}} ${VERSION} UNSUPPORTED\n`

async function isUsed (home) {
  fs.writeFileSync(path.join(home, 'program.mjs'), PROGRAM)
  assert.strictEqual(await run(process.execPath, ['program.mjs'], { cwd: home }), PRINTS)
}

/* What npm installed, once; each test has a copy. */
const original = folder(test)
test.before(() => follow('npm', original, OFFLINE))

/* A project in which npm has installed the packages. */
function installed (t) {
  const home = folder(t)
  fs.cpSync(original, home, { recursive: true })
  return home
}

/* What `require` says where it must fail; `before` is run first. */
async function refusal (home, before = '', env = {}) {
  const program = `${before}; try { require('deepstream-connector'); console.log('loaded') } catch (error) { console.log(error.code, error.message) }`
  return run(process.execPath, ['-e', program], { cwd: home, env })
}

test('npm installs from files, and JavaScript uses them', async (t) => {
  const home = installed(t)
  await isUsed(home)
  const main = path.join(home, 'node_modules/deepstream-connector')
  for (const name of ['README.md', 'LICENSE', 'index.d.ts', 'options.d.ts']) assert.ok(fs.existsSync(path.join(main, name)), name)
  assert.ok(!fs.existsSync(path.join(main, 'deepstream-connector.node')), 'the addon is in the package of the platform alone')
})

test('a deepstream server loads them by name', async (t) => {
  const home = installed(t)
  await serves(t, home)
})

async function serves (t, home) {
  addServer(home)
  fs.writeFileSync(path.join(home, 'config.yml'), `${LISTEN}
cache: { name: native, options: { type: memory } }
storage: { name: native, options: { type: sqlite, path: records.sqlite } }
`)
  const log = await runServer(t, home, {}, async (client) => {
    const record = client.record.getRecord('bikes/1')
    await record.whenReady()
    await record.setWithAck({ colour: 'red' })
  })
  assert.match(log, new RegExp(`cache ready: .*deepstream-connector ${VERSION}`))
  assert.match(log, /storage ready: SQLite at .*records\.sqlite/)
  await runServer(t, home, {}, async (client) => {
    assert.deepStrictEqual(await client.record.snapshot('bikes/1'), { colour: 'red' })
  })
}

test('without the package of the platform require says what was tried', async (t) => {
  const home = installed(t)
  fs.rmSync(path.join(home, 'node_modules', PLATFORM), { recursive: true })
  const said = await refusal(home)
  assert.match(said, /^MODULE_NOT_FOUND .*a local build is not there .*make node.*the package deepstream-connector-linux-x64-gnu is not there .*--omit=optional/)
})

test('on a system that has no package require says so', async (t) => {
  const home = installed(t)
  const said = await refusal(home, "Object.defineProperty(process, 'platform', { value: 'darwin' })")
  assert.match(said, /deepstream-connector-darwin-x64 is not there \(there is none for this system, only for linux-x64-gnu.*make node/)
})

test('CONNECTOR_ADDON names another addon, and nothing else is tried', async (t) => {
  const home = installed(t)
  const addon = path.join(home, 'node_modules', PLATFORM, 'deepstream-connector.node')
  const elsewhere = path.join(home, 'mine.node')
  fs.renameSync(addon, elsewhere)
  assert.strictEqual(await refusal(home, '', { CONNECTOR_ADDON: './mine.node' }), 'loaded\n')
  fs.writeFileSync(elsewhere, 'nonsense')
  assert.match(await refusal(home, '', { CONNECTOR_ADDON: './mine.node' }), /mine\.node, which CONNECTOR_ADDON names, cannot be loaded: /)
  assert.match(await refusal(home, '', { CONNECTOR_ADDON: './none.node' }), /none\.node, which CONNECTOR_ADDON names, is not there/)
})

/* How each package manager is run, and installs from a registry into a folder with a package.json. */
const MANAGERS = {
  npm: (address) => ['npm', ['install', '--registry', address]],
  pnpm: (address) => ['pnpm', ['install', `--registry=${address}`]],
  yarn: (address) => ['yarn', ['install', '--registry', address, '--no-default-rc', '--ignore-engines']],
  bun: (address) => ['bun', ['install', '--registry', address]]
}

/* A project that asks for the packages as its user writes it. */
function project (t) {
  const home = folder(t)
  const dependencies = Object.fromEntries(['deepstream-connector', 'deepstream.io-cache-native', 'deepstream.io-storage-native'].map((name) => [name, VERSION]))
  fs.writeFileSync(path.join(home, 'package.json'), JSON.stringify({ name: 'project', private: true, dependencies }))
  return home
}

/* What npm makes of a registry in which something is wrong with the package of this platform. */
async function installedFrom (t, change) {
  const address = await registry(t, change)
  const home = project(t)
  await run('npm', ['install', '--registry', address, '--no-audit', '--no-fund'], { cwd: home })
  assert.ok(fs.existsSync(path.join(home, 'node_modules/deepstream-connector')))
  assert.ok(!fs.existsSync(path.join(home, 'node_modules', PLATFORM)))
  assert.match(await refusal(home), /^MODULE_NOT_FOUND /)
}

test('npm installs where no package is for the system', (t) => installedFrom(t, (packages) => {
  packages[PLATFORM].manifest.os = ['darwin']
}))

test('npm installs where the package of the platform is not published', (t) => installedFrom(t, (packages) => {
  delete packages[PLATFORM]
}))

for (const [name, command] of Object.entries(MANAGERS)) {
  test(`${name} installs from a registry, and a deepstream server loads them by name`, { skip: !ALL && 'only with all packages' }, async (t) => {
    const address = await registry(t)
    const home = project(t)
    let [program, args] = command(address)
    if (name !== 'npm') {
      const tools = folder(t)
      await run('npm', ['install', '--prefix', tools, '--no-audit', '--no-fund', name], { cwd: tools })
      program = path.join(tools, 'node_modules/.bin', program)
    }
    // A cache of its own: it knows nothing of an older package of the same version.
    const cache = folder(t)
    const env = { npm_config_cache: cache, XDG_CACHE_HOME: cache, XDG_DATA_HOME: cache, YARN_CACHE_FOLDER: cache, BUN_INSTALL_CACHE_DIR: cache }
    await run(program, args, { cwd: home, env })
    await isUsed(home)
    await serves(t, home)
  })
}
